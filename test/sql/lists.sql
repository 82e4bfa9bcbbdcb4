--
-- lists.sql
--	  Lists follow their pages: all rows, or max_rows of them, by the fewest
--	  requests; at the configured host whatever host a page names, never round in
--	  a circle, and never half a list where there was an error.
--
\getenv directory PG_ABS_SRCDIR
\set connect :directory '/sql/include/connect.psql'
\i :connect
CALL pg_temp.reset('{"channels": 2500, "flows": 7}');

-- What a call of the list gives, and what was asked for: the sizes of its pages
CREATE FUNCTION pg_temp.listing(arguments text, OUT rows bigint, OUT sids bigint, OUT sizes text)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM FROM flex_request('DELETE', '/_simulator/requests');
	EXECUTE format('SELECT count(*), count(DISTINCT sid) FROM flex_channels_list(%s)', arguments) INTO rows, sids;
	SELECT string_agg(substring(parameters FROM 'PageSize=([0-9]+)'), ' ') INTO sizes FROM pg_temp.sent();
END $$;

-- Without a page size: the fewest requests, and of those the smallest
SELECT arguments, listing.* FROM unnest(ARRAY['', 'max_rows => 0', 'max_rows => 1', 'max_rows => 999', 'max_rows => 1000', 'max_rows => 1001',
	'max_rows => 2000', 'max_rows => 2001', 'max_rows => 2500', 'max_rows => 2501', 'max_rows => 9223372036854775807']) AS arguments,
	pg_temp.listing(arguments) AS listing;
-- With one: exactly a page, one more, one less, beyond the end, all
SELECT arguments, listing.* FROM unnest(ARRAY['1000', '100, 100', '100, 101', '100, 99', '100, 200', '100, 0', '100, 1', '1, 3',
	'1000, 3000', '1000, 2500', '625, 2500', '625', '500', 'NULL, NULL']) AS arguments,
	pg_temp.listing(arguments) AS listing;

-- The rows come in the service's order, each once
SELECT string_agg(sid, ',' ORDER BY n) = (SELECT string_agg(sid, ',' ORDER BY n) FROM flex_channels_list(100, 300) WITH ORDINALITY AS l (a, f, sid, u, t, url, c, d, n)) AS same_order
FROM flex_channels_list(1000, 300) WITH ORDINALITY AS l (a, f, sid, u, t, url, c, d, n);

-- A filter goes to each page, by the address that the page before gave
SELECT FROM flex_flow_create('Müller & Söhne', 'IS00000000000000000000000000000000', 'web');
SELECT FROM flex_flow_create('Müller & Söhne', 'IS00000000000000000000000000000000', 'sms');
SELECT FROM flex_flow_create('Müller & Söhne', 'IS00000000000000000000000000000000', 'line');
CALL pg_temp.forget();
SELECT friendly_name, channel_type FROM flex_flows_list('Müller & Söhne', page_size => 1);
SELECT request, regexp_replace(parameters, 'Token=.*$', 'Token=...') AS parameters FROM pg_temp.sent();
-- and so do headers: those of the credentials
SELECT count(*) FROM flex_flows_list('Müller & Söhne', page_size => 1);
SELECT count(*), count(DISTINCT headers ->> 'authorization') AS authorizations, count(headers ->> 'authorization') AS authorized FROM pg_temp.sent();

-- Where a page says that the next one is: its path and query are asked for here, whatever
-- host it names; what has none, or is no plain URL, is an error, and gives no row
CREATE FUNCTION pg_temp.lead_to(address text, OUT requests bigint, OUT outcome text) LANGUAGE plpgsql AS $$
BEGIN
	CALL pg_temp.forget();
	CALL pg_temp.fault(jsonb_build_object('next_page_url', address));
	SELECT string_agg(line, '') INTO outcome FROM pg_temp.attempt('SELECT FROM flex_channels_list(page_size => 10, max_rows => 30)') AS line;
	SELECT count(*) INTO requests FROM pg_temp.sent();
END $$;
SELECT substring(:'url' FROM '[0-9]+$') AS port \gset
SELECT replace(replace(address, :'url', '<origin>'), :'port', 'PORT') AS address, requests, outcome FROM unnest(ARRAY[
	'http://evil.example/v1/Channels', 'https://flex-api.twilio.com/v1/Channels', 'http://127.0.0.2/v1/Channels',
	replace(:'url', '127.0.0.1', 'localhost') || '/v1/Channels', replace(:'url', '127.0.0.1', '127.1') || '/v1/Channels',
	regexp_replace(:'url', ':[0-9]+$', ':1') || '/v1/Channels', regexp_replace(:'url', ':[0-9]+$', '') || '/v1/Channels',
	:'url' || '0/v1/Channels', replace(:'url', 'http:', 'https:') || '/v1/Channels', replace(:'url', 'http:', 'ftp:') || '/v1/Channels',
	replace(:'url', 'http://', 'http://user:secret@') || '/v1/Channels', :'url' || '@evil.example/v1/Channels', :'url' || ':80@evil.example/',
	:'url' || '.evil.example/v1/Channels', :'url', :'url' || '?PageToken=1', :'url' || '#/v1/Channels', :'url' || '\@evil.example/', :'url' || '/v1/Chan nels',
	'https://flex-api.dublin.ie1.twilio.com/v1/Channels?PageSize=20&Page=1&PageToken=PB1', 'https://[::1]:443/v1/Channels', 'HTTP://FLEX/v1/Channels',
	'http://evil.example:80:80//v1/Channels', :'url' || '/v1/../v1/Channels', :'url' || '/v1/%2e%2E/v1/Channels', :'url' || '/v1/.%2fChannels', :'url' || '/v1/x%5C..', :'url' || '/v1\Channels', :'url' || '/..',
	'https://user@flex-api.twilio.com/v1/Channels', 'https://flex-api.twilio.com%2f@evil.example/v1/Channels', 'https://evil.example%00/v1/Channels', 'https:///v1/Channels', 'https:/v1/Channels',
	'https:\\flex-api.twilio.com/v1/Channels', 'javascript:alert(1)', 'gopher://flex-api.twilio.com/v1/Channels', ' https://flex-api.twilio.com/v1/Channels', E'https://flex-api.twilio.com\t/v1/Channels', 'https://flex-api。twilio.com/v1/Channels',
	:'url' || E'/v1/Channels\r\nX-Evil: 1', :'url' || '/v1/Channels#a', :'url' || '/v1/Channels?é', '//evil.example/v1/Channels', '/v1/Channels', 'v1/Channels', '', 'file:///etc/passwd']) AS address,
	pg_temp.lead_to(address);
-- not text at all
SELECT value, pg_temp.attempt('SELECT FROM flex_channels_list(page_size => 10, max_rows => 30)') AS outcome
FROM unnest(ARRAY['5', '{}', '[]', 'true']) AS value
WHERE (SELECT status FROM flex_request('POST', '/_simulator/faults', body => format('{"next_page_url": %s}', value)::jsonb)) = 200;
-- the scheme in capitals is the same
SELECT * FROM pg_temp.lead_to(replace(:'url', 'http://', 'HTTP://') || '/v1/Channels?PageSize=20');
-- the first page again is an error, whatever host is named
SELECT * FROM pg_temp.lead_to('https://flex-api.twilio.com/v1/Channels?PageSize=10');
-- null is the end
SELECT * FROM pg_temp.lead_to(NULL);

-- Round in a circle: at once, and after several pages
CALL pg_temp.forget();
CALL pg_temp.fault('{"path": "/v1/Channels", "loop": true, "times": -1}');
SELECT pg_temp.attempt('SELECT FROM flex_channels_list(page_size => 10)');
SELECT count(*) <= 3 AS soon FROM pg_temp.sent();
CALL pg_temp.forget();
CALL pg_temp.fault(jsonb_build_object('path', '/v1/Channels', 'skip', 4, 'times', -1, 'next_page_url', :'url' || '/v1/Channels?PageSize=10'));
SELECT pg_temp.attempt('SELECT FROM flex_channels_list(page_size => 10)');
SELECT count(*) BETWEEN 5 AND 20 AS soon FROM pg_temp.sent();
-- the page before, though with it there would be enough rows
CALL pg_temp.forget();
CALL pg_temp.fault('{"path": "/v1/Channels", "loop": true, "times": -1}');
SELECT pg_temp.attempt('SELECT FROM flex_channels_list(page_size => 10, max_rows => 20)');
SELECT count(*) FROM pg_temp.sent();
-- a repeated page within what max_rows allows is none of our business when no more is needed
CALL pg_temp.forget();
CALL pg_temp.fault('{"path": "/v1/Channels", "loop": true, "times": -1}');
SELECT count(*) FROM flex_channels_list(page_size => 10, max_rows => 10);
CALL pg_temp.forget();

-- An error in the middle: no rows, also where the statement would not want them all
CALL pg_temp.fault('{"path": "/v1/Channels", "skip": 2, "status": 403, "message": "Enough"}');
SELECT pg_temp.attempt('SELECT FROM flex_channels_list(page_size => 100)');
CALL pg_temp.fault('{"path": "/v1/Channels", "skip": 2, "status": 200, "body": "{}"}');
SELECT pg_temp.attempt('CREATE TEMPORARY TABLE half AS SELECT * FROM flex_channels_list(page_size => 100)');
SELECT to_regclass('pg_temp.half') AS half;
-- 429 and 503 in the middle: asked for again, with nothing lost or doubled
CALL pg_temp.forget();
CALL pg_temp.fault('[{"path": "/v1/Channels", "skip": 1, "status": 429}, {"path": "/v1/Channels", "skip": 3, "status": 503}, {"path": "/v1/Channels", "skip": 4, "cut_at": 5000}]');
SELECT count(*), count(DISTINCT sid) FROM flex_channels_list(page_size => 500);
SELECT status, count(*) FROM pg_temp.sent() GROUP BY status ORDER BY status;

-- Rows that come too few or too many for the page size, and empty pages on the way
CALL pg_temp.forget();
CALL pg_temp.fault(jsonb_build_object('status', 200, 'body', format('{"meta": {"key": "x", "next_page_url": "%s/v1/Channels?PageSize=2&Page=0"}, "x": []}', :'url')));
SELECT count(*) FROM flex_channels_list(page_size => 2, max_rows => 3);
CALL pg_temp.fault('{"status": 200, "body": "{\"meta\": {\"key\": \"x\", \"next_page_url\": null}, \"x\": [{\"sid\": \"1\"}, {\"sid\": \"2\"}, {\"sid\": \"3\"}]}"}');
SELECT sid FROM flex_channels_list(page_size => 2, max_rows => 2);

-- Pages without what tells where their rows are
CALL pg_temp.forget();
CALL pg_temp.fault('[{"status": 200, "body": "{\"flex_chat_channels\": []}"},
	{"status": 200, "body": "{\"meta\": null, \"flex_chat_channels\": []}"},
	{"status": 200, "body": "{\"meta\": {}, \"flex_chat_channels\": []}"},
	{"status": 200, "body": "{\"meta\": {\"key\": null}, \"flex_chat_channels\": []}"},
	{"status": 200, "body": "{\"meta\": {\"key\": 1}, \"flex_chat_channels\": []}"},
	{"status": 200, "body": "{\"meta\": {\"key\": \"other\"}, \"flex_chat_channels\": []}"},
	{"status": 200, "body": "{\"meta\": {\"key\": \"x\"}, \"x\": null}"},
	{"status": 200, "body": "{\"meta\": {\"key\": \"x\"}, \"x\": {}}"},
	{"status": 200, "body": "[]"}, {"status": 200, "body": "null"}, {"status": 200, "body": ""}]');
SELECT pg_temp.attempt('SELECT FROM flex_channels_list()') FROM generate_series(1, 11);
-- A list that goes on by a token: the same request, with it; a number is one, an empty one is none
CALL pg_temp.forget();
CALL pg_temp.fault('[{"status": 200, "body": "{\"meta\": {\"key\": \"x\", \"next_token\": \"a b&c\"}, \"x\": [{\"sid\": \"1\"}, {\"sid\": \"2\"}]}"},
	{"status": 200, "body": "{\"meta\": {\"key\": \"x\", \"next_page_url\": null, \"next_token\": 17}, \"x\": []}"},
	{"status": 200, "body": "{\"meta\": {\"key\": \"x\", \"next_token\": \"\"}, \"x\": [{\"sid\": \"3\"}]}"}]');
SELECT sid FROM flex_flows_list('a&b=c', page_size => 2);
CALL pg_temp.fault('[{"status": 200, "body": "{\"meta\": {\"key\": \"x\", \"nextToken\": \"n\"}, \"x\": [{\"sid\": \"1\"}, {\"sid\": \"2\"}]}"},
	{"status": 200, "body": "{\"meta\": {\"key\": \"x\", \"nextToken\": null}, \"x\": []}"}]');
SELECT sid FROM flex_flows_list(page_size => 2);
SELECT request, parameters FROM pg_temp.sent();
-- the same token for ever, and what is none
CALL pg_temp.fault('{"status": 200, "times": -1, "body": "{\"meta\": {\"key\": \"x\", \"next_token\": \"again\"}, \"x\": [{}]}"}');
SELECT pg_temp.attempt('SELECT FROM flex_flows_list()');
CALL pg_temp.forget();
CALL pg_temp.fault('{"status": 200, "body": "{\"meta\": {\"key\": \"x\", \"next_token\": {}}, \"x\": [{}]}"}');
SELECT pg_temp.attempt('SELECT FROM flex_flows_list()');
CALL pg_temp.forget();

-- next_page_url may be missing
CALL pg_temp.fault('{"status": 200, "body": "{\"meta\": {\"key\": \"x\"}, \"x\": [{}]}"}');
SELECT count(*) FROM flex_channels_list();

-- Within SQL: LIMIT, a join, a condition, twice in one statement, in a subquery, a cursor
CALL pg_temp.forget();
SELECT count(*) FROM (SELECT FROM flex_channels_list(page_size => 1000) LIMIT 5) AS few;
CREATE TEMPORARY TABLE names AS SELECT * FROM (VALUES ('Müller & Söhne'), ('nobody')) AS rows (name);
SELECT name, channel_type FROM names, LATERAL flex_flows_list(names.name) AS flow ORDER BY channel_type COLLATE "C";
SELECT name, count(flow.sid) FROM names LEFT JOIN flex_flows_list() AS flow ON flow.friendly_name = name GROUP BY name ORDER BY name COLLATE "C";
SELECT count(*) FROM flex_flows_list() AS a JOIN flex_flows_list() AS b USING (sid);
SELECT EXISTS (SELECT FROM flex_flows_list('nobody'));
SELECT count(*) FROM (SELECT flex_flows_list('Müller & Söhne')) AS target_list;
BEGIN;
DECLARE flows SCROLL CURSOR FOR SELECT channel_type FROM flex_flows_list('Müller & Söhne');
FETCH 2 FROM flows;
FETCH BACKWARD 1 FROM flows;
COMMIT;
-- nothing there
CALL pg_temp.reset('{}');
SELECT * FROM flex_channels_list();
SELECT count(*), coalesce(sum(1), 0) AS sum FROM flex_flows_list(page_size => 1, max_rows => 1);

SET client_min_messages = warning;
DROP EXTENSION flex_api CASCADE;
