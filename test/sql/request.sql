--
-- request.sql
--	  flex_request() and flex_request_list(): any method and path of the service,
--	  headers and pages, and no other host.
--
\getenv directory PG_ABS_SRCDIR
\set connect :directory '/sql/include/connect.psql'
\i :connect
SET flex_api.max_retries = 0;

-- Methods: where parameters go, and what is sent
CALL pg_temp.fault('{"path": "/v1/Anything", "status": 200, "body": "{}", "times": -1}');
SELECT method, status, body FROM unnest(ARRAY['GET', 'POST', 'PUT', 'PATCH', 'DELETE']) AS method,
	LATERAL flex_request(method, '/v1/Anything', '{"A": "a b&c", "B": 1.50, "C": true, "D": null, "E": "", "F": [1, "two", null, {"x": [3]}], "G": {"h": [1, null]}, "H": [], "I": {}, "ü&=": "é"}');
SELECT method, status FROM unnest(ARRAY['GET', 'POST', 'PUT', 'PATCH', 'DELETE']) AS method, LATERAL flex_request(method, '/v1/Anything');
SELECT method, status FROM unnest(ARRAY['POST', 'PUT', 'PATCH', 'DELETE']) AS method,
	LATERAL flex_request(method, '/v1/Anything', '{"A": "in the query"}', '{"b": [1.10, null, "é"]}');
SELECT status FROM flex_request('GET', '/v1/Anything?PageSize=2&Page=%20', '{"A": 1}');
SELECT status FROM flex_request('POST', '/v1/Anything?A=1', '{"B": 2}');
SELECT r ->> 'method' AS method, r ->> 'query' AS query, r -> 'headers' ->> 'content-type' AS content_type, r ->> 'body' AS body
FROM flex_request('GET', '/_simulator/requests'), jsonb_array_elements(body -> 'requests') AS r;
CALL pg_temp.forget();

-- The answer: status, headers in lower case, body of any shape
SELECT status, body ->> 'identity' AS identity, headers ->> 'content-type' AS content_type, headers ? 'twilio-request-id' AS has_request_id
FROM flex_request('POST', '/v2/WebChats', '{"AddressSid": "IG00000000000000000000000000000000", "Identity": "me"}');
CALL pg_temp.fault('{"status": 200, "body": "[1.10, {\"a\": null}]", "headers": {"X-Odd": "a \"quoted\" \\ value"}}');
SELECT body, headers -> 'x-odd' AS odd FROM flex_request('GET', '/v1/Anything');
CALL pg_temp.fault('[{"status": 204, "body": ""}, {"status": 200, "body": ""}, {"status": 200, "body": "null"}]');
SELECT status, body, body IS NULL AS is_null FROM flex_request('DELETE', '/v1/Anything');
SELECT status, body, body IS NULL AS is_null FROM flex_request('GET', '/v1/Anything');
SELECT status, body, body IS NULL AS is_null FROM flex_request('GET', '/v1/Anything');
-- its pages are not followed
CALL pg_temp.reset('{"flows": 3}');
SELECT jsonb_array_length(body -> 'flex_flows') AS rows, body -> 'meta' ->> 'key' AS key, body -> 'meta' ->> 'next_page_url' LIKE :'url' || '/%' AS there_is_more
FROM flex_request('GET', '/v1/FlexFlows', '{"PageSize": 2}');

-- Answers that are no JSON, and refusals
CALL pg_temp.fault('[{"status": 200, "body": "<html>", "content_type": "text/html"}, {"status": 200, "body": "{"}, {"status": 418, "body": "{\"message\": \"teapot\", \"code\": 1}"}, {"cut_at": 0}, {"status": 302, "headers": {"Location": "/v1/Channels"}, "body": ""}]');
SELECT regexp_replace(pg_temp.attempt('SELECT FROM flex_request(''POST'', ''/v1/Anything'')'), 'API: .*', 'API: ...') AS outcome FROM generate_series(1, 5);
SELECT pg_temp.attempt('SELECT FROM flex_request(''GET'', ''/v1/Anything'', ''{"Secret": "is not shown"}'')');
SELECT pg_temp.attempt('SELECT FROM flex_request(''GET'', ''/v1/Anything?Secret=is+not+shown'')');
CALL pg_temp.forget();

-- It cannot leave the host, nor go about on it
SELECT body -> 'requests' AS requests FROM flex_request('GET', '/_simulator/counters') \gset before_
SELECT pg_temp.attempt('SELECT FROM flex_request(''GET'', ''v1/Channels'')');
SELECT outcome FROM unnest(ARRAY['', 'v1/Channels', '@evil.example/', '.evil.example/', ':80/', 'http://evil.example/', ' /v1', '\\evil.example', '/\evil.example',
	'/v1/../v2', '/..', '/v1/.', '/./v1', '/v1\..\x', '/v1/Channels#a', '/v1/Chan nels', E'/v1/\r\nX-Evil: 1', '/v1/é', '/v1/{Sid}', '/v1/"a"', '/v1/<a>', '/a|b', '/a^b', '/a`b']) AS path,
	pg_temp.attempt(format('SELECT FROM flex_request(''GET'', %L)', path)) AS outcome WHERE outcome !~ '^ ';
SELECT body -> 'requests' = :'before_requests' AS nothing_was_sent FROM flex_request('GET', '/_simulator/counters');
-- these stay on it: a path that begins with two slashes, an at sign, dots elsewhere, a query that looks like a URL
CALL pg_temp.forget();
SELECT outcome FROM unnest(ARRAY['//evil.example/v1', '/@evil.example/', '/v1/a..b', '/v1/...', '/v1?u=http://evil.example/../..', '/v1/%2e%2e/x', '/v1/%2E./x', '/v1/a%2f..%2fb']) AS path,
	pg_temp.attempt(format('SELECT FROM flex_request(''GET'', %L)', path)) AS outcome WHERE outcome !~ '^ ';
SELECT request, parameters, headers ->> 'host' = substring(:'url' FROM '//(.*)') AS here FROM pg_temp.sent();

-- Methods that are none
SELECT outcome FROM unnest(ARRAY['get', '', 'GET ', 'HEAD', 'TRACE', 'CONNECT', E'GET\r\nX: 1', 'Ünsinn']) AS method,
	pg_temp.attempt(format('SELECT FROM flex_request(%L, ''/v1/Channels'')', method)) AS outcome;
SELECT request FROM pg_temp.sent();

-- NULL parameters and body are none; JSON null is a body
CALL pg_temp.fault('{"path": "/v1/Anything", "status": 200, "body": "{}", "times": -1}');
SELECT status FROM flex_request('POST', '/v1/Anything', NULL, NULL);
SELECT status FROM flex_request('POST', '/v1/Anything', '{}', 'null');
SELECT status FROM flex_request('POST', '/v1/Anything', body => '"text"');
SELECT body, headers ->> 'content-type' AS content_type FROM pg_temp.sent();
SELECT pg_temp.attempt('SELECT FROM flex_request(''POST'', ''/v1/Anything'', ''null'')');

-- Headers: sent as they are, with the credentials and all that is ours beside them
CALL pg_temp.forget();
CALL pg_temp.fault('{"path": "/v1/Anything", "status": 200, "body": "{}", "times": -1}');
SELECT status FROM flex_request('GET', '/v1/Anything', headers => '{"I-Twilio-Auth-Account": "AC1", "x-empty": "", "X-None": null, "If-Match": "\"é: ;\""}');
SELECT status FROM flex_request('POST', '/v1/Anything', '{"A": 1}', NULL, '{}');
SELECT headers ->> 'i-twilio-auth-account' AS account, headers ->> 'x-empty' AS empty, headers ? 'x-none' AS has_none, headers ->> 'if-match' AS if_match,
	headers ->> 'authorization' LIKE 'Basic %' AS authorized, headers ->> 'accept' AS accept, body FROM pg_temp.sent();
-- those that are ours, in any spelling, and what is no header
SELECT outcome FROM unnest(ARRAY['{"Authorization": "Basic x"}', '{"aUTHORIZATION": null}', '{"Host": "evil.example"}', '{"content-length": "0"}', '{"Transfer-Encoding": "chunked"}',
	'{"CONNECTION": "close"}', '{"Content-Type": "text/plain"}', '{"Accept": "*/*"}', '{"Expect": "100-continue"}', '{"User-Agent": "x"}', '{"Upgrade": "h2c"}', '{"TE": "trailers"}',
	'{"Proxy-Authorization": "x"}', '{"Accept-Encoding": "gzip"}', '{"X-A": "1\r\nX-Evil: 2"}', '{"X-A": "1\n"}', '{"X-A": "\u0001"}', '{"X-A": 1}', '{"X-A": ["1"]}', '{"X-A": {}}', '{"": "1"}',
	'{"X A": "1"}', '{"X-A:": "1"}', '{"X-A;": ""}', '{"X-A\r\nX-Evil": "1"}', '{":authority": "evil.example"}', '{"Hóst": "1"}', '[]', '"X-A: 1"', 'null']) AS headers,
	pg_temp.attempt(format('SELECT FROM flex_request(''POST'', ''/v1/Anything'', headers => %L)', headers)) AS outcome;
SELECT count(*) AS sent FROM pg_temp.sent();

-- All rows of all pages, as jsonb, of a list that has no function, or has one
CALL pg_temp.reset('{"flows": 7}');
SELECT count(*), count(DISTINCT row ->> 'sid') AS sids, bool_and(row ? 'integration') AS whole FROM flex_request_list('/v1/FlexFlows', '{"PageSize": 3}') AS row;
SELECT request, regexp_replace(parameters, 'Token=.*$', 'Token=...') AS parameters FROM pg_temp.sent();
SELECT count(*) FROM flex_request_list('/v1/FlexFlows', '{"PageSize": 3}', max_rows => 4);
SELECT count(*) FROM flex_request_list('/v1/FlexFlows?PageSize=2', member => 'flex_flows', max_rows => 3, headers => '{"X-Mine": "each"}');
SELECT parameters LIKE '%Page=1%' AS second, headers ->> 'x-mine' AS mine, count(*) FROM pg_temp.sent() GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(*) FROM (SELECT flex_request_list('/v1/FlexFlows')) AS target_list;
-- rows of any shape, another member than meta names, no meta where the member is named
CALL pg_temp.fault('[{"status": 200, "body": "{\"meta\": {\"key\": \"data\"}, \"data\": [1.50, null, \"é\", [], {\"a\": [true]}], \"other\": [\"o\"]}"},
	{"status": 200, "body": "{\"meta\": {\"key\": \"data\"}, \"data\": [1], \"other\": [\"o\"]}"},
	{"status": 200, "body": "{\"data\": [1, 2]}"}, {"status": 200, "body": "{\"data\": [1, 2]}"}, {"status": 200, "body": "{\"data\": {}, \"meta\": {}}"}]');
SELECT row, jsonb_typeof(row) AS type FROM flex_request_list('/v1/Anything') AS row;
SELECT * FROM flex_request_list('/v1/Anything', member => 'other');
SELECT * FROM flex_request_list('/v1/Anything', member => 'data');
SELECT pg_temp.attempt('SELECT FROM flex_request_list(''/v1/Anything'')');
SELECT pg_temp.attempt('SELECT FROM flex_request_list(''/v1/Anything'', member => ''data'')');
-- where meta.list_key names it, as in lists of members and users
CALL pg_temp.fault('[{"status": 200, "body": "{\"meta\": {\"list_key\": \"users\", \"next_token\": null}, \"users\": [1]}"}, {"status": 200, "body": "{\"meta\": {\"list_key\": 5}, \"users\": [1]}"}]');
SELECT * FROM flex_request_list('/v1/Anything');
SELECT pg_temp.attempt('SELECT FROM flex_request_list(''/v1/Anything'')');
-- no row is no request, though what is wrong is refused
CALL pg_temp.forget();
SELECT * FROM flex_request_list('/v1/FlexFlows', max_rows => 0);
SELECT outcome FROM unnest(ARRAY['NULL', '''v1/FlexFlows''', '''/v1/../FlexFlows''', '''/v1/FlexFlows'', ''[]''', '''/v1/FlexFlows'', max_rows => -1', '''/v1/FlexFlows'', headers => ''{"host": "x"}''']) AS arguments,
	pg_temp.attempt(format('SELECT FROM flex_request_list(%s%s)', arguments, CASE WHEN arguments LIKE '%max_rows%' THEN '' ELSE ', max_rows => 0' END)) AS outcome;
SELECT count(*) AS sent FROM pg_temp.sent();
-- refusals are those of every other call, and there is no half a list
CALL pg_temp.fault('{"path": "/v1/FlexFlows", "skip": 1, "status": 403, "message": "Enough"}');
SELECT pg_temp.attempt('SELECT FROM flex_request_list(''/v1/FlexFlows'', ''{"PageSize": 2}'')');

SET client_min_messages = warning;
DROP EXTENSION flex_api CASCADE;
