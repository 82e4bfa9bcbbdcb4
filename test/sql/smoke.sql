--
-- smoke.sql
--	  The extension creates, its functions are there, and one call goes to the
--	  service and back.
--
\getenv directory PG_ABS_SRCDIR
\set neutral :directory '/sql/include/neutral.psql'
\set ECHO none
\i :neutral
\set ECHO all
CREATE EXTENSION flex_api;
SELECT count(*) > 20 AS has_functions
FROM pg_proc WHERE proname LIKE 'flex\_%' AND pronamespace = 'public'::regnamespace;

\getenv simulator FLEX_SIMULATOR_URL
SET flex_api.base_url = :'simulator';
SET flex_api.account_sid = 'AC00000000000000000000000000000000';
SET flex_api.auth_token = 'test-token';
SELECT conversation_sid ~ '^CH[0-9a-f]{32}$' AS began, identity
FROM flex_webchat_create('IGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', identity => 'larry');

DROP EXTENSION flex_api;
