--
-- errors.sql
--	  What goes wrong is an error, told with SQLSTATE, message, detail and hint;
--	  never an empty result, and never the end of the session.
--
\getenv directory PG_ABS_SRCDIR
\set connect :directory '/sql/include/connect.psql'
\i :connect
SET flex_api.max_retries = 0;
\set channel CH00000000000000000000000000000000
\set webchat 'SELECT FROM flex_webchat_create(''IG00000000000000000000000000000000'')'
\set fetch 'SELECT FROM flex_channel_fetch(''CH00000000000000000000000000000000'')'
\set delete 'SELECT flex_channel_delete(''CH00000000000000000000000000000000'')'

-- The three shapes of the service's errors, as it sends them by itself
SELECT pg_temp.attempt(:'fetch');
SELECT pg_temp.attempt('SELECT FROM flex_channel_create(''FO00000000000000000000000000000000'', ''i'', ''n'', ''n'')');
SELECT pg_temp.attempt('SELECT FROM flex_request(''POST'', ''/v2/WebChats'')');
SELECT pg_temp.attempt('SELECT FROM flex_request(''POST'', ''/v1/Interactions'')');

-- The same three with everything that they can have
CALL pg_temp.fault('[
	{"status": 409, "body": "{\"code\": 20409, \"message\": \"Conflict\", \"more_info\": \"https://example.com/20409\", \"status\": 409, \"details\": {\"field\": [\"sid\", 1.50]}}"},
	{"status": 422, "body": "{\"type\": \"https://example.com/45001\", \"title\": \"Unprocessable\", \"status\": 422, \"code\": 45001, \"detail\": \"Two things are wrong\", \"instance\": \"/x\", \"errors\": [{\"detail\": \"too long\", \"pointer\": \"#/Identity\"}, {\"detail\": \"unknown\"}]}"},
	{"status": 403, "body": "{\"code\": \"20403\", \"message\": \"Forbidden\", \"httpStatusCode\": 403, \"params\": {\"why\": \"role\"}, \"userError\": true}"}]');
SELECT pg_temp.attempt(:'fetch');
SELECT pg_temp.attempt(:'webchat');
SELECT pg_temp.attempt(:'webchat');

-- Less than they should have: only a title, nothing of use, members of other types,
-- a hint that is no address, per cent signs, a message over several lines, another status
CALL pg_temp.fault('[
	{"status": 400, "body": "{\"title\": \"Bad\"}"},
	{"status": 400, "body": "{}"},
	{"status": 400, "body": "{\"message\": {\"text\": \"x\"}, \"code\": [1], \"more_info\": 5, \"details\": null, \"errors\": \"none\"}"},
	{"status": 400, "body": "{\"message\": \"100% %s %n\", \"more_info\": \"about:blank\", \"code\": \"\"}"},
	{"status": 400, "body": "{\"message\": \"one\\ntwo\", \"status\": 200}"},
	{"status": 400, "body": "[]"},
	{"status": 400, "body": "\"text\""}]');
SELECT pg_temp.attempt(:'webchat') FROM generate_series(1, 7);

-- No JSON at all: a page of HTML, nothing, half an object, bytes that are no text
CALL pg_temp.fault('[
	{"status": 502, "shape": "html"},
	{"status": 503, "shape": "empty"},
	{"status": 500, "body": "{\"message\": \"cut"},
	{"status": 500, "body_base64": "//79AAE="},
	{"status": 500, "body_base64": "eyJtZXNzYWdlIjogImEAYiJ9"},
	{"status": 500, "body": "{\"message\": \"a\\u0000b\"}"}]');
SELECT pg_temp.attempt(:'fetch') FROM generate_series(1, 6);

-- Each status is a SQLSTATE, also one that HTTP has no name for
CREATE FUNCTION pg_temp.attempt_status(status int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	CALL pg_temp.fault(jsonb_build_object('status', status, 'body', '{"message": "no"}'));
	PERFORM flex_webchat_create('IG00000000000000000000000000000000');
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;
SELECT string_agg(pg_temp.attempt_status(status), ' ') FROM unnest(ARRAY[300, 302, 304, 400, 401, 402, 403, 404, 405, 409,
	410, 412, 413, 415, 418, 422, 429, 451, 499, 500, 501, 502, 503, 504, 511, 599, 600, 999]) AS status;

-- A good status other than 200 and 201
CALL pg_temp.fault('[{"status": 202, "body": "{\"identity\": \"accepted\"}"}, {"status": 299, "body": "{\"identity\": \"fine\"}"}]');
SELECT identity FROM flex_webchat_create('IG00000000000000000000000000000000');
SELECT identity FROM flex_webchat_create('IG00000000000000000000000000000000');

-- Redirects are not followed, with credentials least of all
CALL pg_temp.forget();
CALL pg_temp.fault('[
	{"status": 302, "body": "", "headers": {"Location": "/v2/Elsewhere"}},
	{"status": 307, "body": "", "headers": {"Location": "http://localhost:1/"}},
	{"status": 301, "body": "", "headers": {"Location": "/v2/Elsewhere"}}]');
SELECT pg_temp.attempt(:'webchat');
SELECT pg_temp.attempt(:'webchat');
SELECT pg_temp.attempt(:'fetch');
SELECT request, status FROM pg_temp.sent();

-- Wrong credentials
SET flex_api.auth_token = 'wrong-token';
SELECT pg_temp.attempt(:'fetch');
SELECT pg_temp.attempt(:'webchat');
SET flex_api.auth_token = 'test-token';

-- Caught by SQLSTATE in PL/pgSQL, with the detail and hint at hand
DO $$
DECLARE
	detail text;
	hint text;
BEGIN
	BEGIN
		PERFORM flex_channel_fetch('CH00000000000000000000000000000000');
	EXCEPTION
		WHEN SQLSTATE 'TW429' THEN
			RAISE NOTICE 'wrong branch';
		WHEN SQLSTATE 'TW404' THEN
			GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
			RAISE NOTICE 'there is none: %', detail ~ '^GET /v1/Channels/CH0{32} answered HTTP status 404, error code 20404, request RQ[0-9a-f]{32}\. It was made as AC0{32}, from flex_api\.auth_token, which the session has set\.$';
			RAISE NOTICE 'see %', hint;
	END;
	-- and the whole class of connection errors by its name
	SET LOCAL flex_api.base_url = 'http://127.0.0.1:1';
	BEGIN
		PERFORM flex_channel_fetch('CH00000000000000000000000000000000');
	EXCEPTION WHEN sqlclient_unable_to_establish_sqlconnection THEN
		RAISE NOTICE 'not connected: %', SQLSTATE;
	END;
END $$;

-- The network's errors; libcurl's words, which depend on its version, are left out
CREATE FUNCTION pg_temp.attempt_to_connect(statement text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT regexp_replace(outcome, '(the Flex API): .+$', '\1: ...') FROM pg_temp.attempt(statement) AS outcome
$$;
-- Nothing listens: never sent, whatever the method
SET flex_api.base_url = 'http://127.0.0.1:1';
SELECT pg_temp.attempt_to_connect(:'fetch');
SELECT pg_temp.attempt_to_connect(:'webchat');
SELECT pg_temp.attempt_to_connect('SELECT FROM flex_channels_list()');
SELECT pg_temp.attempt_to_connect('SELECT FROM flex_request(''POST'', ''/v1/Channels'', ''{"Secret": "hidden"}'')');
SET flex_api.base_url = :'url';
-- Cut before the answer, within its first line, within its headers, within its body
CALL pg_temp.forget();
CALL pg_temp.fault('[{"cut_at": 0}, {"cut_at": 7, "after": true}, {"cut_at": 60, "after": true}]');
CALL pg_temp.fault(jsonb_build_object('status', 200, 'body', format('{"identity": "%s"}', repeat('x', 5000)), 'cut_at', 3000));
SELECT pg_temp.attempt_to_connect(:'webchat') FROM generate_series(1, 4);
CALL pg_temp.reset('{"channels": 3}');
CALL pg_temp.fault('[{"cut_at": 0}, {"cut_at": 7}, {"cut_at": 60}, {"cut_at": 900}]');
SELECT pg_temp.attempt_to_connect('SELECT FROM flex_channels_list()') FROM generate_series(1, 4);
CALL pg_temp.fault('[{"cut_at": 0}, {"cut_at": 60}]');
SELECT pg_temp.attempt_to_connect(:'delete') FROM generate_series(1, 2);
-- each went to the service once
SELECT request, count(*) FROM pg_temp.sent() GROUP BY request ORDER BY request COLLATE "C";

-- With repeats: a GET is asked for again after a broken connection and after 5xx, a POST is not
SET flex_api.max_retries = 2;
CALL pg_temp.forget();
CALL pg_temp.fault('[{"method": "GET", "cut_at": 0}, {"method": "GET", "status": 503}]');
SELECT count(*) FROM flex_channels_list();
CALL pg_temp.fault('[{"method": "POST", "cut_at": 60}, {"method": "POST", "status": 503}]');
SELECT pg_temp.attempt_to_connect(:'webchat');
SELECT pg_temp.attempt(:'webchat');
-- and 429 is sent again whatever the method
CALL pg_temp.fault('[{"method": "POST", "status": 429}]');
SELECT count(*) FROM flex_webchat_create('IG00000000000000000000000000000000');
-- no more often than max_retries
CALL pg_temp.fault('{"method": "DELETE", "status": 500, "times": 3, "message": "broken"}');
SELECT pg_temp.attempt(:'delete');
-- a DELETE whose answer was lost found the channel gone: that is a success
SELECT sid FROM flex_channels_list(max_rows => 1) \gset channel_
CALL pg_temp.fault('{"method": "DELETE", "cut_at": 0, "after": true}');
SELECT flex_channel_delete(:'channel_sid');
SELECT request, status FROM pg_temp.sent();
RESET flex_api.max_retries;

-- After a failure of any kind the same session's next statement works
CALL pg_temp.fault('[{"cut_at": 60}, {"status": 400, "huge_bytes": 100000}, {"status": 200, "body": "{"}]');
\set VERBOSITY sqlstate
SELECT * FROM flex_webchat_create('IG00000000000000000000000000000000', identity => 'one');
SELECT * FROM flex_webchat_create('IG00000000000000000000000000000000', identity => 'two');
SELECT * FROM flex_webchat_create('IG00000000000000000000000000000000', identity => 'three');
\set VERBOSITY default
SELECT identity FROM flex_webchat_create('IG00000000000000000000000000000000', identity => 'four');
BEGIN;
SAVEPOINT before;
\set VERBOSITY sqlstate
SELECT * FROM flex_channel_fetch(:'channel');
SELECT count(*) FROM flex_channels_list();
\set VERBOSITY default
ROLLBACK TO before;
SELECT count(*) FROM flex_channels_list();
COMMIT;

SET client_min_messages = warning;
DROP EXTENSION flex_api CASCADE;
