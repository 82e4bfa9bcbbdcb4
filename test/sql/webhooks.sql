--
-- webhooks.sql
--	  Which requests are the service's: published signatures, forms of the URL,
--	  parameters, bodies, tokens, and what is refused.  Whether the official client
--	  finds the same of hundreds of others is interop's to say.
--
\getenv directory PG_ABS_SRCDIR
\set connect :directory '/sql/include/connect.psql'
\i :connect
SET flex_api.auth_token = '12345';
\set url https://mycompany.com/myapp.php?foo=1&bar=2
\set parameters '{"CallSid": "CA1234567890ABCDE", "Caller": "+14158675309", "Digits": "1234", "From": "+14158675309", "To": "+18005551212"}'

-- As published: the example of Twilio's page on security, and those of its libraries' tests
SELECT flex_webhook_is_authentic(:'url', :'parameters', 'RSOYDt4T1cUTdK1PDd93/VVr8B8=');
\set body '{"property": "value", "boolean": true}'
\set body_url :url '&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620'
SELECT flex_webhook_body_is_authentic(:'body_url', convert_to(:'body', 'UTF8'), 'a9nBmqA0ju/hNViExpshrM61xv4=');
BEGIN;
SET LOCAL flex_api.auth_token = '2bd9e9638872de601313dc77410d3b23';
SELECT flex_webhook_is_authentic('http://twiliotests.heroku.com/validate/voice', '{"ToState": "California", "CalledState": "California",
	"Direction": "inbound", "FromState": "CA", "AccountSid": "ACba8bc05eacf94afdae398e642c9cc32d", "Caller": "+14153595711", "CallerZip": "94108",
	"CallerCountry": "US", "From": "+14153595711", "FromCity": "SAN FRANCISCO", "CallerCity": "SAN FRANCISCO", "To": "+14157669926", "FromZip": "94108",
	"FromCountry": "US", "ToCity": "", "CallStatus": "ringing", "CalledCity": "", "CallerState": "CA", "CalledZip": "", "ToZip": "", "ToCountry": "US",
	"CallSid": "CA136d09cd59a3c0ec8dbff44da5c03f31", "CalledCountry": "US", "Called": "+14157669926", "ApiVersion": "2010-04-01",
	"ApplicationSid": "AP44efecad51364e80b133bb7c07eb8204"}', 'oVb2kXoVy8GEfwBDjR8bk/ZZ6eA=');
COMMIT;

-- What does not belong together is not authentic
SELECT what, authentic FROM (VALUES
	('another URL', flex_webhook_is_authentic(:'url' || '3', :'parameters', 'RSOYDt4T1cUTdK1PDd93/VVr8B8=')),
	('another scheme', flex_webhook_is_authentic(replace(:'url', 'https', 'http'), :'parameters', 'RSOYDt4T1cUTdK1PDd93/VVr8B8=')),
	('another value', flex_webhook_is_authentic(:'url', :'parameters' || '{"Digits": "1235"}'::jsonb, 'RSOYDt4T1cUTdK1PDd93/VVr8B8=')),
	('a parameter less', flex_webhook_is_authentic(:'url', :'parameters'::jsonb - 'To', 'RSOYDt4T1cUTdK1PDd93/VVr8B8=')),
	('no parameters', flex_webhook_is_authentic(:'url', NULL, 'RSOYDt4T1cUTdK1PDd93/VVr8B8=')),
	('another signature', flex_webhook_is_authentic(:'url', :'parameters', 'RSOYDt4T1cUTdK1PDd93/VVr8B9=')),
	('half a signature', flex_webhook_is_authentic(:'url', :'parameters', 'RSOYDt4T1cUTdK1P')),
	('a signature and more', flex_webhook_is_authentic(:'url', :'parameters', 'RSOYDt4T1cUTdK1PDd93/VVr8B8= ')),
	('an empty signature', flex_webhook_is_authentic(:'url', :'parameters', '')),
	('no signature', flex_webhook_is_authentic(:'url', :'parameters', NULL)),
	('another body', flex_webhook_body_is_authentic(:'body_url', convert_to(:'body' || ' ', 'UTF8'), 'a9nBmqA0ju/hNViExpshrM61xv4=')),
	('no body', flex_webhook_body_is_authentic(:'body_url', NULL, 'a9nBmqA0ju/hNViExpshrM61xv4=')),
	('a body, wrongly signed', flex_webhook_body_is_authentic(:'body_url', convert_to(:'body', 'UTF8'), 'a9nBmqA0ju/hNViExpshrM61xv5=')),
	('a body, not signed', flex_webhook_body_is_authentic(:'body_url', convert_to(:'body', 'UTF8'), NULL))) AS cases (what, authentic);

-- The signature, in SQL's own words: sorted parameters, each value of an array once
CREATE EXTENSION IF NOT EXISTS pgcrypto;
CREATE FUNCTION pg_temp.signature(signed text, token text DEFAULT '12345') RETURNS text LANGUAGE sql
AS $$ SELECT encode(public.hmac(convert_to(signed, 'UTF8'), convert_to(token, 'UTF8'), 'sha1'), 'base64') $$;
SELECT parameters, flex_webhook_is_authentic('https://a.example/', parameters, pg_temp.signature('https://a.example/' || signed)) FROM (VALUES
	('{}'::jsonb, ''), ('{"": ""}', ''), ('{"a": ""}', 'a'), ('{"b": "2", "a": "1", "B": "3"}', 'B3a1b2'), ('{"a": ["2", "1", "2", "10"]}', 'a1a10a2'),
	('{"a": [], "b": "1"}', 'b1'), ('{"a": [""]}', 'a'), ('{"a": ["é", "z"], "é": "ü"}', 'azaééü'),
	-- code units of UTF-16: U+10000 and beyond go before U+E000
	('{"x": ["\uff21", "\ud83d\ude00", "\ufb00"]}', 'x😀xﬀxＡ'), ('{"\uff21": "1", "\ud83d\ude00": "2"}', '😀2Ａ1')) AS cases (parameters, signed);

-- Forms of the URL: signed in one, told in another
SELECT told, signed, flex_webhook_is_authentic(told, NULL, pg_temp.signature(signed)) AS authentic FROM (VALUES
	('https://a.example/x', 'https://a.example:443/x'), ('https://a.example:443/x', 'https://a.example/x'), ('http://a.example/x', 'http://a.example:80/x'),
	('https://a.example:8443/x', 'https://a.example/x'), ('https://a.example:8443/x', 'https://a.example:8443/x'), ('https://a.example/x', 'https://a.example:8443/x'),
	('https://a.example', 'https://a.example/'), ('https://a.example', 'https://a.example'), ('HTTPS://A.example/X', 'https://a.example/X'),
	('https://user:pa ss@a.example/x', 'https://user:pa%20ss@a.example:443/x'), ('https://u@a.example:1/?q', 'https://u@a.example/?q'),
	('https://a.example/b/../c/./d?e=''f', 'https://a.example/c/d?e=%27f'), ('https://a.example/?e=''f', 'https://a.example/?e=''f'),
	('https://a.example/?e=%27f&g=h+i', 'https://a.example/?e=''f&g=h%20i'), ('https://a.example/?b=1&a=2&b=3', 'https://a.example/?b=1&b=3&a=2'),
	('https://a.example/?b=1&7=2&0=3', 'https://a.example/?0=3&7=2&b=1'), ('https://a.example/ü?ü=ü', 'https://a.example/%C3%BC?%C3%BC=%C3%BC'),
	('https://a.example/?a=%00%ff', 'https://a.example/?a=%00%EF%BF%BD'), ('https://[::1]:443/x', 'https://[::1]/x'), ('https://127.0.0.1/x', 'https://127.0.0.1:443/x'),
	('https://ü.example:443/x', 'https://ü.example/x'), ('ftp://a.example/x', 'ftp://a.example:80/x'), ('no URL', 'no URL'), ('', '')) AS cases (told, signed);
-- a body's hash: the first of the name, in whichever encoding; in small letters; not in the fragment
SELECT url, flex_webhook_body_is_authentic(url, 'abc', pg_temp.signature(url)) AS authentic FROM (SELECT 'https://a.example/' || rest AS url FROM unnest(ARRAY[
	'?bodySHA256=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad', '?a=b&body%53HA256=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a%64&c',
	'?bodySHA256=BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD', '?bodySHA256=&bodySHA256=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
	'?bodySHA256', '', '#?bodySHA256=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad', '?x#&bodySHA256=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad']) AS rest) AS urls;

-- What cannot be judged
SELECT statement, pg_temp.attempt(statement) FROM unnest(ARRAY[
	'SELECT flex_webhook_is_authentic(NULL, NULL, ''x'')', 'SELECT flex_webhook_body_is_authentic(NULL, NULL, ''x'')',
	'SELECT flex_webhook_is_authentic(''https://a.example/'', ''[]'', ''x'')', 'SELECT flex_webhook_is_authentic(''https://a.example/'', ''"a=b"'', ''x'')',
	'SELECT flex_webhook_is_authentic(''https://a.example/'', ''{"a": 1}'', ''x'')', 'SELECT flex_webhook_is_authentic(''https://a.example/'', ''{"a": null}'', ''x'')',
	'SELECT flex_webhook_is_authentic(''https://a.example/'', ''{"a": ["b", ["c"]]}'', ''x'')', 'SELECT flex_webhook_is_authentic(''https://a.example/'', ''{"a": {"b": "c"}}'', ''x'')']) AS statement;

-- Tokens: the current one, and the one before it while it is rotated
CREATE FUNCTION pg_temp.fits(token text) RETURNS boolean LANGUAGE sql AS $$ SELECT flex_webhook_is_authentic('https://a.example/', NULL, pg_temp.signature('https://a.example/', token)) $$;
SET flex_api.auth_token_previous = '01234';
SELECT token, pg_temp.fits(token) FROM unnest(ARRAY['12345', '01234', '1', ' 12345']) AS token;
-- an API key changes nothing of it
SET flex_api.api_key = 'SK00000000000000000000000000000000';
SET flex_api.api_secret = 's3cret';
SELECT token, pg_temp.fits(token) FROM unnest(ARRAY['12345', '01234', 's3cret']) AS token;
-- without the current one there is none
SET flex_api.auth_token = '';
SELECT pg_temp.attempt('SELECT pg_temp.fits(''01234'')');
SELECT pg_temp.attempt('SELECT flex_webhook_is_authentic(''https://a.example/'', NULL, NULL)');
SELECT pg_temp.attempt('SELECT flex_webhook_body_is_authentic(''https://a.example/'', NULL, '''')');
SET flex_api.auth_token = '12345';
-- inside another role's function its caller's token does not count
SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_flex_api_owner;
RESET client_min_messages;
CREATE ROLE regress_flex_api_owner;
GRANT EXECUTE ON FUNCTION flex_webhook_is_authentic TO regress_flex_api_owner;
CREATE FUNCTION pg_temp.as_owner() RETURNS boolean LANGUAGE sql SECURITY DEFINER AS $$ SELECT flex_webhook_is_authentic('https://a.example/', NULL, '') $$;
ALTER FUNCTION pg_temp.as_owner() OWNER TO regress_flex_api_owner;
SELECT pg_temp.attempt('SELECT pg_temp.as_owner()');
SET client_min_messages = error;
ALTER FUNCTION pg_temp.as_owner() SET flex_api.auth_token = 'owner''s';
RESET client_min_messages;
SELECT pg_temp.as_owner();

-- Nothing was sent
SELECT count(*) FROM pg_temp.sent();

SET client_min_messages = warning;
DROP FUNCTION pg_temp.as_owner();
DROP EXTENSION flex_api CASCADE;
DROP EXTENSION pgcrypto CASCADE;
DROP ROLE regress_flex_api_owner;
