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
\echo '   Statements are shown with their results; command tags, such as CREATE TABLE, are hidden.'
\echo
\set ECHO queries

CREATE EXTENSION flex_api;
CREATE ROLE support LOGIN;
GRANT EXECUTE ON FUNCTION flex_enqueue, flex_outbox_await, flex_outbox_retry, flex_outbox_cancel,
      flex_webchat_create, flex_flow_create,
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

-- Waits until so many tickets' requests are in a state; what the reader sees comes after it.
CREATE FUNCTION demo.wait_for(wanted text, how_many bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	deadline timestamptz := clock_timestamp() + interval '30 seconds';
BEGIN
	WHILE (SELECT count(*) FROM flex_outbox WHERE state = wanted) < how_many LOOP
		PERFORM demo.expect(clock_timestamp() < deadline, format('%s requests are %s', how_many, wanted));
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;
-- The same for whatever a query asks; it is true when it is time.
CREATE FUNCTION demo.until(query text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	deadline timestamptz := clock_timestamp() + interval '30 seconds';
	done     boolean := false;
BEGIN
	LOOP
		EXECUTE query INTO done;
		EXIT WHEN done;
		PERFORM demo.expect(clock_timestamp() < deadline, query);
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;
\connect - support
