--
-- encodings.sql
--	  Databases that are not in UTF-8: texts are UTF-8 on the wire whatever the
--	  database's encoding, and what cannot be told in it is a clear error.
--
\set database :DBNAME
\set other_encoding true
\getenv directory PG_ABS_SRCDIR
\set connect :directory '/sql/include/connect.psql'
\set address IG00000000000000000000000000000000
SET client_min_messages = warning;
DROP DATABASE IF EXISTS regress_flex_api_latin1;
DROP DATABASE IF EXISTS regress_flex_api_sql_ascii;

-- LATIN1
CREATE DATABASE regress_flex_api_latin1 TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER libc;
\connect regress_flex_api_latin1
SET client_encoding = 'UTF8';
\i :connect
SHOW server_encoding;
-- there and back, in texts, JSON, headers, the query and the path
SELECT identity, octet_length(identity) AS bytes FROM flex_webchat_create(:'address', ui_version => 'é', chat_friendly_name => 'Zoë', identity => 'Grüße', pre_engagement_data => '{"é": "ü"}');
SELECT friendly_name FROM flex_flow_create('Müller', 'IS00000000000000000000000000000000', 'web');
SELECT friendly_name, octet_length(friendly_name) AS bytes FROM flex_flows_list('Müller');
SELECT body ->> 'identity' AS identity FROM flex_request('POST', '/v2/WebChats', format('{"AddressSid": "%s", "Identity": "ñ"}', :'address')::jsonb);
SELECT request, status, body, headers ->> 'ui-version' AS ui_version FROM pg_temp.sent();
-- characters count, not bytes
SELECT length(identity) FROM flex_webchat_create(:'address', identity => repeat('é', 256));
SELECT pg_temp.attempt('SELECT FROM flex_webchat_create(''IG00000000000000000000000000000000'', identity => repeat(''é'', 257))');
-- and those bytes that are sent, where bytes do
SELECT pg_temp.attempt(format('SELECT FROM flex_webchat_create(''IG00000000000000000000000000000000'', pre_engagement_data => to_jsonb(repeat(''é'', %s)))', length)) FROM unnest(ARRAY[8191, 8192]) AS length;
-- what LATIN1 has not, as letters and as escapes, in a text, in JSON, in a member that nobody asked for
CALL pg_temp.fault('[{"status": 200, "body_base64": "eyJpZGVudGl0eSI6ICLwn5iAIn0="}, {"status": 200, "body": "{\"identity\": \"\\ud83d\\ude00\"}"}, {"status": 200, "body_base64": "eyJvdGhlciI6ICLwn5iAIiwgImlkZW50aXR5IjogImZpbmUifQ=="}]');
SELECT pg_temp.attempt('SELECT FROM flex_webchat_create(''IG00000000000000000000000000000000'')') FROM generate_series(1, 3);
CALL pg_temp.fault('{"status": 200, "body_base64": "eyJpbnRlZ3JhdGlvbiI6IHsiYSI6ICLwn5iAIn19"}');
SELECT pg_temp.attempt('SELECT FROM flex_flow_fetch(''FO00000000000000000000000000000000'')');
CALL pg_temp.fault('{"status": 200, "body_base64": "eyJhIjogIuKCrCJ9"}');
SELECT pg_temp.attempt('SELECT FROM flex_request(''GET'', ''/v1/FlexFlows'')');
-- the message of an error is told all the same
CALL pg_temp.fault('[{"status": 400, "body_base64": "eyJtZXNzYWdlIjogIkdyw7bDn2UgMyDigqwg8J+YgCIsICJkZXRhaWxzIjogeyLDqSI6ICLwn5iAIn19"}, {"status": 400, "body_base64": "eyJtZXNzYWdlIjogImb8ciJ9"}]');
SELECT pg_temp.attempt('SELECT FROM flex_webchat_create(''IG00000000000000000000000000000000'')') FROM generate_series(1, 2);

-- SQL_ASCII: bytes without a meaning, which must be UTF-8 to be sent
CREATE DATABASE regress_flex_api_sql_ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER libc;
\connect regress_flex_api_sql_ascii
\i :connect
SHOW server_encoding;
CALL pg_temp.reset();
SELECT identity, octet_length(identity) AS bytes FROM flex_webchat_create(:'address', ui_version => 'é', identity => 'Grüße 😀', pre_engagement_data => '{"é": "ü"}');
SELECT request, status, body FROM pg_temp.sent();
CALL pg_temp.fault('[{"status": 200, "body": "{\"identity\": \"\\ud83d\\ude00 \\u00e9\"}"}]');
SELECT identity FROM flex_webchat_create(:'address');
CALL pg_temp.fault('{"status": 200, "body_base64": "eyJpbnRlZ3JhdGlvbiI6IHsiYSI6ICLwn5iAIn19"}');
SELECT integration FROM flex_flow_fetch('FO00000000000000000000000000000000');
-- characters count, not bytes, and a message has whole ones
SELECT length(identity), octet_length(identity) FROM flex_webchat_create(:'address', identity => repeat('é', 256));
SELECT pg_temp.attempt('SELECT FROM flex_webchat_create(''IG00000000000000000000000000000000'', identity => ''x'' || repeat(''é'', 256))');
CALL pg_temp.forget();
SELECT pg_temp.attempt(statement) FROM unnest(ARRAY[
	$$SELECT FROM flex_webchat_create('IG00000000000000000000000000000000', identity => E'f\xfcr')$$,
	$$SELECT FROM flex_webchat_create('IG00000000000000000000000000000000', ui_version => E'\xff')$$,
	$$SELECT FROM flex_webchat_create('IG00000000000000000000000000000000', pre_engagement_data => to_jsonb(E'\xc0\xaf'::text))$$,
	$$SELECT FROM flex_flows_list(E'\xed\xa0\x80')$$,
	$$SELECT FROM flex_request('GET', '/v1/FlexFlows', jsonb_build_object('A', E'\xff'::text))$$,
	$$SELECT FROM flex_request('GET', '/v1/FlexFlows', jsonb_build_object(E'\xff'::text, 'A'))$$,
	$$SELECT FROM flex_request('POST', '/v1/FlexFlows', body => jsonb_build_object('A', E'\xff'::text))$$]) AS statement;
SELECT request FROM pg_temp.sent();
CALL pg_temp.fault('[{"status": 400, "body_base64": "eyJtZXNzYWdlIjogIkdyw7bDn2UgMyDigqwg8J+YgCIsICJkZXRhaWxzIjogeyLDqSI6ICLwn5iAIn19"}, {"status": 400, "body_base64": "eyJtZXNzYWdlIjogImb8ciJ9"}]');
SELECT pg_temp.attempt('SELECT FROM flex_webchat_create(''IG00000000000000000000000000000000'')') FROM generate_series(1, 2);

\connect :database
DROP DATABASE regress_flex_api_latin1;
DROP DATABASE regress_flex_api_sql_ascii;
