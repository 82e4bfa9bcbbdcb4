-- What an administrator does once: the extension, a role, and what the role may call.
\set ECHO none
CREATE SCHEMA demo;
CREATE FUNCTION demo.expect(good boolean, what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF good IS NOT TRUE THEN
		RAISE EXCEPTION 'the demo did not do what it says: %', what;
	END IF;
END $$;
\echo
\echo '1. The extension, a role, and what the role may call'
\echo '   Nobody but a superuser may call the functions until told so. No setting has a secret.'
\echo
\set ECHO queries

CREATE EXTENSION flex_api;
CREATE ROLE support LOGIN;
GRANT EXECUTE ON FUNCTION flex_webchat_create, flex_flow_create,
      flex_interaction_create, flex_interaction_channels_list, flex_interaction_channel_update,
      flex_channel_create, flex_channel_fetch, flex_channels_list, flex_channel_delete TO support;
\echo
SELECT current_setting('flex_api.auth_token') AS auth_token,
       current_setting('flex_api.api_secret') AS api_secret,
       current_setting('flex_api.base_url') AS base_url;

\set ECHO none
GRANT USAGE, CREATE ON SCHEMA public TO support;
GRANT USAGE ON SCHEMA demo TO support;
SELECT demo.expect(current_setting('flex_api.auth_token') || current_setting('flex_api.api_secret') = '',
	'no secret stands in a setting') \g /dev/null
\connect - support
