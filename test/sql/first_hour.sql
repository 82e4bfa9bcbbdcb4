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

-- Typos: the name that was probably meant
SET client_min_messages = error;
SELECT FROM flex_enqueue('flex_flow_fetch', '{"sid": "FO00000000000000000000000000000000"}', run_at => '9999-01-01');
RESET client_min_messages;
CREATE FUNCTION pg_temp.refused(VARIADIC calls text[]) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT outcome FROM unnest(calls) AS call, pg_temp.attempt('SELECT flex_enqueue(' || call || ')') AS outcome
$$;
SELECT pg_temp.refused($$'public.flex_webchat_create', '{}'$$, $$'FLEX_WEBCHAT_CREATE', '{}'$$, $$'webchat_create', '{}'$$,
	$$'flex_webchats_create', '{}'$$, $$'flex_webchat_create(text)', '{}'$$, $$'"s.x".Webchat_Create', '{}'$$,
	$$'hello', '{}'$$, $$'', '{}'$$, $$'é', '{}'$$, $$repeat('flex_webchat_create', 100), '{}'$$);
SELECT pg_temp.refused($$'flex_webchat_create', '{"addres_sid": "IG"}'$$, $$'flex_webchat_create', '{"AddressSid": "IG"}'$$,
	$$'flex_webchat_create', '{"colour": "red"}'$$, $$'flex_user_roles_fetch', '{"a": 1}'$$);
SELECT pg_temp.attempt('SELECT FROM flex_interaction_channel_update(''KD00000000000000000000000000000000'', ''UO00000000000000000000000000000000'', ''' || status || ''')')
FROM unnest(ARRAY['close', 'Closed', 'done']) AS status;
-- in a setting, too
SET flex_api.rate_limits = 'flex_webchats_create=5';
SET flex_api.rate_limits = 'hello=5';
SELECT pg_temp.attempt('SELECT FROM flex_call_many(''webchat_create'', ARRAY[''{}''::jsonb])');
-- of a setting, wherever it is set; what is not near has no hint
SET flex_api.acount_sid = 'AC00000000000000000000000000000000';
SET LOCAL flex_api.auth_tokn = 'x';
SET flex_api.nonsense = 1;
ALTER ROLE CURRENT_USER SET flex_api.timout = 1;
ALTER DATABASE :"DBNAME" SET flex_api.conect_timeout = 1;
CREATE FUNCTION pg_temp.misspelt() RETURNS void LANGUAGE sql SET flex_api.regoin = 'ie1' AS '';
-- other errors have their own hints, and a right name has none
SET flex_api.unrepresentable = 'replce';
SET flex_api.timeout = 'never';
-- Callbacks: a name alone, of a function that takes the row
CREATE FUNCTION first_hour_two(flex_outbox, integer) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION first_hour_two(jsonb) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION first_hour_four(flex_outbox) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION "first_hour(odd)"(flex_outbox) RETURNS void LANGUAGE sql AS '';
SELECT pg_temp.refused('''flex_flow_fetch'', ''{"sid": "FO00000000000000000000000000000000"}'', on_success => ' || quote_literal(name) || ', run_at => ''9999-01-01''')
FROM unnest(ARRAY['first_hour_two(flex_outbox)', 'first_hour_two', 'public.first_hour_two', 'first_hour_hello', 'nowhere.first_hour', '"first_hour(odd)"', 'first_hour_fuor', 'f(flex_oubox)']) AS name;
DROP FUNCTION first_hour_two(flex_outbox, integer), first_hour_two(jsonb), first_hour_four, "first_hour(odd)"(flex_outbox);

-- What cannot be meant is refused, and nothing is sent
CALL pg_temp.forget();
SELECT pg_temp.refused('''flex_flow_fetch'', ''{"sid": "FO00000000000000000000000000000000"}'', ' || argument)
FROM unnest(ARRAY['run_at => ''infinity''', 'run_at => ''-infinity''', 'priority => 1001', 'priority => -1001', 'max_attempts => 0']) AS argument;
SELECT pg_temp.attempt('SELECT FROM flex_request(''GET'', ''/v1/Channels'', body => ''{"PageSize": 5}'')');
SELECT pg_temp.attempt('SELECT FROM flex_webchat_create(''IGxx'')');
SELECT pg_temp.attempt('SELECT FROM flex_webchat_create(''AC00000000000000000000000000000000'')');
SET flex_api.base_url = '';
SET flex_api.region = 'eu1';
SELECT pg_temp.attempt(:'fetch');
RESET flex_api.region;
SET flex_api.base_url = :'url';
SELECT count(*) FROM pg_temp.sent();
SELECT extra_desc FROM pg_settings WHERE name = 'flex_api.connect_timeout';

-- A request that waits is due when it is retried, and keeps its place when it is due already
SELECT flex_enqueue('flex_flow_fetch', '{"sid": "FO00000000000000000000000000000000"}', run_at => '9999-01-01') AS id \gset
SELECT FROM flex_outbox_retry(:id);
SELECT state, run_at <= clock_timestamp() AS due, run_at AS before FROM flex_outbox WHERE id = :id \gset
SELECT FROM flex_outbox_retry(:id);
SELECT :'state' AS state, :'due' AS due, run_at = :'before' AS as_before FROM flex_outbox WHERE id = :id;
SELECT FROM flex_outbox_cancel(:id);
SELECT FROM flex_outbox_retry(:id);
SELECT run_at > :'before' AS at_the_end FROM flex_outbox WHERE id = :id;
SELECT FROM flex_outbox_cancel(:id);

-- Status is one row, whatever there is
SELECT count(*) FROM flex_outbox_status;
SELECT delivery, credentials, due, waiting, waiting_for, last_success, last_failure FROM flex_outbox_status;
SET flex_api.auth_token = '';
SELECT credentials FROM flex_outbox_status;
SET flex_api.credentials_file = 'no-such-file';
SELECT credentials FROM flex_outbox_status;
RESET flex_api.credentials_file;
SET flex_api.auth_token = 's3cret';
SELECT status::text ~ 's3cret' AS secret_is_told FROM flex_outbox_status AS status;
SET flex_api.auth_token = 'test-token';
SET flex_api.delivery = off;
SELECT delivery, explanation FROM flex_outbox_status;
CALL flex_outbox_drain();
RESET flex_api.delivery;

-- a plain role reads it by two grants
CREATE ROLE regress_flex_status;
GRANT SELECT ON flex_outbox_status TO regress_flex_status;
GRANT EXECUTE ON FUNCTION flex_outbox_sender() TO regress_flex_status;
SET ROLE regress_flex_status;
SELECT due, waiting FROM flex_outbox_status;
RESET ROLE;
DROP OWNED BY regress_flex_status;
DROP ROLE regress_flex_status;

-- What psql shows: defaults as they are, comments on all, internal functions named as such
SELECT pg_get_function_arguments('flex_enqueue'::regproc);
SELECT flex_enqueue('flex_flow_fetch', '{"sid": "FO00000000000000000000000000000000"}', run_at => '9999-01-01', priority => NULL, max_attempts => NULL) AS id \gset
SELECT priority, max_attempts FROM flex_outbox WHERE id = :id;
CREATE TEMPORARY VIEW members AS SELECT classid, objid FROM pg_depend
	WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'flex_api');
SELECT objid::regprocedure FROM members WHERE classid = 'pg_proc'::regclass AND obj_description(objid, 'pg_proc') ~ '^Internal\.' ORDER BY objid::regprocedure::text;
SELECT pg_describe_object(classid, objid, 0) AS uncommented FROM members
WHERE (classid = 'pg_proc'::regclass AND obj_description(objid, 'pg_proc') IS NULL)
	OR (classid = 'pg_type'::regclass AND EXISTS (SELECT FROM pg_type AS t JOIN pg_class AS c ON c.oid = typrelid WHERE t.oid = objid AND relkind = 'c') AND obj_description(objid, 'pg_type') IS NULL)
	OR (classid = 'pg_class'::regclass AND EXISTS (SELECT FROM pg_class WHERE oid = objid AND relkind IN ('r', 'v')) AND obj_description(objid, 'pg_class') IS NULL);
SELECT objid::regclass, attname AS uncommented FROM members JOIN pg_class AS c ON c.oid = objid JOIN pg_attribute ON attrelid = objid
WHERE classid = 'pg_class'::regclass AND relkind IN ('r', 'v', 'c') AND attnum > 0 AND NOT attisdropped AND col_description(objid, attnum) IS NULL;
SELECT obj_description(oid, 'pg_extension') FROM pg_extension WHERE extname = 'flex_api';

SET client_min_messages = warning;
DROP EXTENSION flex_api CASCADE;
