--
-- services.sql
--	  Other products with the same credentials: flex_request(), flex_request_list(),
--	  flex_call_many() and flex_enqueue() with a service out of a fixed list, and no
--	  other host.
--
\getenv directory PG_ABS_SRCDIR
\set connect :directory '/sql/include/connect.psql'
\i :connect
SET flex_api.max_retries = 0;

-- A base URL without the name's place is the Flex API's alone
SELECT pg_temp.attempt('SELECT FROM flex_request(''GET'', ''/v1/Conversations'', service => ''conversations'')');
SELECT pg_temp.attempt('SELECT FROM flex_request_list(''/v1/Conversations'', service => ''conversations'')');
SELECT pg_temp.attempt($$SELECT FROM flex_call_many('flex_request', ARRAY['{"method": "GET", "path": "/v1/FlexFlows"}',
	'{"method": "GET", "path": "/v1/Conversations", "service": "conversations"}']::jsonb[])$$);
SELECT count(*) AS sent FROM pg_temp.sent();
-- with it the name goes there, the Flex API's too; a slash at the end is none
\set every_service :url '/{service}/'
SET flex_api.base_url = :'every_service';
CALL pg_temp.fault('{"path": "/*/v1/Anything", "status": 200, "body": "{}", "times": -1}');
SELECT service, status FROM unnest(ARRAY['conversations', 'taskrouter', 'api', 'verify', 'proxy', 'studio']) AS service,
	LATERAL flex_request('GET', '/v1/Anything', service => service);
SELECT status FROM flex_request('GET', '/v1/FlexFlows');
SELECT status FROM flex_request('POST', '/v1/Anything', '{"A": 1}', headers => '{"X-Mine": "me"}', service => 'studio');
SELECT request, parameters, headers ->> 'host' = substring(:'url' FROM '//(.*)') AS here, headers ->> 'authorization' LIKE 'Basic %' AS authorized FROM pg_temp.sent();

-- Names that are none: nothing is sent
SELECT outcome FROM unnest(ARRAY['', 'flex-api', 'Conversations', 'conversations ', 'conversation', 'evil.example', 'conversations.evil.example', 'conversations@evil.example', 'conversations/', '../api', '{service}',
	'127.0.0.1', E'api\r\nHost: evil.example', 'cönversations']) AS service,
	pg_temp.attempt(format('SELECT FROM flex_request(''GET'', ''/v1/X'', service => %L)', service)) AS outcome WHERE outcome !~ '^  HINT';
SELECT pg_temp.attempt('SELECT FROM flex_request_list(''/v1/X'', service => ''evil.example'', max_rows => 0)');
SELECT pg_temp.attempt($$SELECT flex_enqueue('flex_request', '{"method": "GET", "path": "/v1/X", "service": "evil.example"}')$$);
SELECT count(*) AS sent FROM pg_temp.sent();

-- The host is made of the name, edge and region; a proxy is told which.  Plain https alone has the names of the products.
CREATE FUNCTION pg_temp.host(service text, edge text, region text, base text DEFAULT '') RETURNS text LANGUAGE plpgsql SET client_min_messages = error AS $$
DECLARE
	simulator text := current_setting('flex_api.base_url');
	outcome text;
BEGIN
	PERFORM set_config('flex_api.edge', edge, true), set_config('flex_api.region', region, true), set_config('flex_api.base_url', base, true),
		set_config('flex_api.proxy', replace(simulator, '/{service}/', ''), true);
	SELECT string_agg(regexp_replace(line, '(the Flex API): .*', '\1: ...'), '') INTO outcome
		FROM pg_temp.attempt(format('SELECT FROM flex_request(''GET'', ''/v1/X'', service => %L)', service)) AS line;
	PERFORM set_config('flex_api.base_url', simulator, true), set_config('flex_api.proxy', '', true);
	RETURN coalesce((SELECT request FROM pg_temp.sent()), outcome);
END $$;
SELECT service, edge, region, pg_temp.host(service, edge, region) FROM unnest(ARRAY['conversations', 'taskrouter', 'api', 'verify', 'proxy', 'studio', NULL]) AS service,
	(VALUES ('', ''), ('dublin', 'ie1'), ('tokyo', ''), ('', 'au1'), ('', 'xx9')) AS labels (edge, region);
SELECT service, base, pg_temp.host(service, 'dublin', 'ie1', base) FROM unnest(ARRAY['api', NULL]) AS service,
	unnest(ARRAY['https://{service}.gateway.example', 'https://gateway.example:8443/{service}/twilio/', 'https://x-{service}-y.gateway.example', 'https://gateway.example']) AS base;
RESET flex_api.edge;
RESET flex_api.region;

-- Pages stay at the service, whatever host the answer names, with or without the path before
CALL pg_temp.fault('[{"status": 200, "body": "{\"meta\": {\"key\": \"rows\", \"next_page_url\": \"https://conversations.twilio.com/v1/Rows?Page=1\"}, \"rows\": [1]}"},
	{"status": 200, "body": "{\"meta\": {\"key\": \"rows\", \"next_page_url\": \"https://evil.example/conversations/v1/Rows?Page=2\"}, \"rows\": [2]}"},
	{"status": 200, "body": "{\"meta\": {\"key\": \"rows\", \"next_token\": \"t\"}, \"rows\": [3]}"},
	{"status": 200, "body": "{\"meta\": {\"key\": \"rows\"}, \"rows\": [4]}"}]');
SELECT row FROM flex_request_list('/v1/Rows', service => 'conversations', headers => '{"X-Mine": "each"}') AS row;
SELECT request, parameters, headers ->> 'x-mine' AS mine FROM pg_temp.sent();

-- Many at once, of several products; refusals and unread answers as everywhere
CALL pg_temp.fault('{"path": "/*/v1/Anything", "status": 200, "body": "{\"sid\": \"XX1\"}", "times": -1}');
CALL pg_temp.fault('[{"path": "/verify/v1/Refused", "status": 403, "message": "Not for you", "times": -1}, {"path": "/proxy/v1/Odd", "status": 201, "body": "{\"sid\": \"KN1\", ", "times": -1}]');
SELECT number, http_status, response, sqlstate FROM flex_call_many('flex_request', ARRAY(SELECT jsonb_build_object('method', 'GET', 'path', '/v1/Anything', 'service', service)
	FROM unnest(ARRAY['conversations', 'studio', 'taskrouter']) AS service) || jsonb '{"method": "GET", "path": "/v1/Refused", "service": "verify"}') ORDER BY number;
SELECT request FROM pg_temp.sent() ORDER BY request;
SELECT pg_temp.attempt('SELECT FROM flex_request(''POST'', ''/v1/Refused'', service => ''verify'')');
SELECT pg_temp.attempt('SELECT FROM flex_request(''POST'', ''/v1/Odd'', service => ''proxy'')');

SET client_min_messages = error;
-- What is answered with a secret does not go into the outbox, however it is spelt; what resembles it does
SELECT pg_temp.attempt($$SELECT flex_enqueue('flex_request', '{"method": "POST", "path": "/2010-04-01/Accounts/AC1/Keys.json", "service": "api"}')$$);
SELECT service, method, path, (SELECT split_part(min(line), ':', 1) FROM pg_temp.attempt(format('SELECT flex_enqueue(''flex_request'', %L)', jsonb_build_object('method', method, 'path', path, 'service', service))) AS line WHERE line !~ '^ ') AS outcome
FROM (VALUES ('api', 'POST', '/2010-04-01/Accounts/AC1/SigningKeys.json'), ('api', 'POST', '/2010-04-01/Accounts/AC1/Tokens.json'), ('api', 'GET', '/2010-04-01/Accounts.json?PageSize=1'),
	('api', 'GET', '/2010-04-01/Accounts/AC1.json'), ('api', 'POST', '/2010-04-01/Accounts/AC1'), ('api', 'POST', '/2010-04-01//accounts/AC1/%4beys.XML/'), ('api', 'POST', '/2010-04-01/Accounts/AC1%2FKeys.json'), ('api', 'POST', '/2010-04-01/Accounts/AC1;x/Keys%3Bx'), ('api', 'POST', '/2010-04-01/Accounts/AC1/Keys%3Fx'),
	('verify', 'POST', '/v2/Services/VA1/AccessTokens'), ('verify', 'GET', '/v2/Services/VA1/AccessTokens/YK1'), ('verify', 'POST', '/v2/Services/VA1/Entities/me/Factors'),
	(NULL, 'POST', '/v1/Insights/Session'), (NULL, 'POST', '/v4/Instances/GO1/Users/FU1/Tokens'), ('api', 'GET', '/2010-04-01/Accounts/AC1/Keys.json'), ('api', 'POST', '/2010-04-01/Accounts/AC1/Messages.json'), ('verify', 'GET', '/v2/Services/VA1/Entities/me/Factors'),
	('studio', 'POST', '/v2/Services/VA1/AccessTokens'), ('studio', 'POST', '/v1/Insights/Session'), (NULL, 'POST', '/2010-04-01/Accounts/AC1/Keys.json')) AS cases (service, method, path);

-- In the outbox: as a direct call; where no address is configured it waits for one
TRUNCATE flex_outbox_requests;
CALL pg_temp.forget();
CALL pg_temp.fault('{"path": "/conversations/v1/Anything", "status": 201, "body": "{\"sid\": \"IM1\"}", "times": -1}');
SELECT flex_enqueue('flex_request', '{"method": "POST", "path": "/v1/Anything", "parameters": {"Body": "é"}, "service": "conversations"}') > 0 AS enqueued;
CALL flex_outbox_drain();
SELECT request, parameters FROM pg_temp.sent();
SELECT state, http_status, response FROM flex_outbox;
TRUNCATE flex_outbox_requests;
SET flex_api.base_url = :'url';
SELECT flex_enqueue('flex_request', '{"method": "POST", "path": "/v1/Anything", "service": "conversations"}') > 0 AS enqueued;
CALL flex_outbox_drain();
SELECT state, error_code, error_message FROM flex_outbox;
SELECT count(*) AS sent FROM pg_temp.sent();
TRUNCATE flex_outbox_requests;

DROP EXTENSION flex_api CASCADE;
