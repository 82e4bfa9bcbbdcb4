--
-- first_hour.sql
--	  Slips that a newcomer makes: each is answered by what is wrong, where, and what to do.
--
\getenv directory PG_ABS_SRCDIR
\set connect :directory '/sql/include/connect.psql'
\i :connect
SET flex_api.max_retries = 0;
\set fetch 'SELECT FROM flex_channel_fetch(''CH00000000000000000000000000000000'')'

-- Refused: as whom, and where that is set; never the secret
SET flex_api.auth_token = 'mistyped-token';
SELECT pg_temp.attempt(:'fetch');
SET flex_api.api_key = 'SK00000000000000000000000000000001';
SET flex_api.api_secret = 'mistyped-secret';
SELECT pg_temp.attempt(:'fetch');
-- a secret in the place of the user
SET flex_api.api_key = 'misplaced-secret';
SELECT pg_temp.attempt(:'fetch');
RESET flex_api.api_key;
RESET flex_api.api_secret;
-- what another account has is not found, or forbidden
SET flex_api.auth_token = 'test-token';
SELECT pg_temp.attempt(:'fetch');
CALL pg_temp.fault('[{"status": 403, "body": "{\"message\": \"Forbidden\"}"}, {"status": 400, "body": "{\"message\": \"Bad\"}"}]');
SELECT pg_temp.attempt(:'fetch') FROM generate_series(1, 2);

SET client_min_messages = warning;
DROP EXTENSION flex_api CASCADE;
