--
-- request.sql
--	  flex_request(): any method and path of the service, and no other host.
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
SELECT method, status FROM unnest(ARRAY['GET', 'POST', 'PUT', 'PATCH', 'DELETE']) AS method,
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

SET client_min_messages = warning;
DROP EXTENSION flex_api CASCADE;
