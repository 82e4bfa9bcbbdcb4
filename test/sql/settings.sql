--
-- settings.sql
--	  The configuration parameters: which there are, what they refuse, which role
--	  may set and see them, what addresses and credentials they make.
--
\getenv directory PG_ABS_SRCDIR
\set connect :directory '/sql/include/connect.psql'
\i :connect
\set fetch 'SELECT FROM flex_channel_fetch(''CH00000000000000000000000000000000'')'
SET flex_api.max_retries = 0;

-- All that there are, but for those of the outbox, which has tests of its own, and those that
-- have a secret: pg_settings would show its reset_val
CREATE TEMPORARY VIEW settings AS
	SELECT * FROM pg_settings WHERE name LIKE 'flex\_api.%' AND name !~ 'outbox|worker|callback|concurrency|rate_limits';
SELECT name, vartype, context, unit, min_val, max_val, boot_val FROM settings ORDER BY name COLLATE "C";
SELECT name, short_desc, extra_desc FROM settings ORDER BY name COLLATE "C";
SELECT name AS undescribed FROM pg_settings WHERE name LIKE 'flex\_api.%' AND (short_desc = '' OR category <> 'Customized Options');
-- and no others
SET flex_api.auth_tokn = 'mistyped';
SELECT set_config('flex_api.anything', 'x', false);

CREATE FUNCTION pg_temp.try_set(name text, value text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(CASE line WHEN 1 THEN substring(outcome FROM '^[^:,]+') ELSE substring(outcome FROM 'DETAIL: (.*)') END, ': ')
	FROM pg_temp.attempt(format('SET LOCAL %s = %L', name, value)) WITH ORDINALITY AS attempt (outcome, line)
$$;
-- base_url: https, or http to this machine; a path, but no user, query, odd port
SELECT quote_literal(value) AS base_url, pg_temp.try_set('flex_api.base_url', value) FROM unnest(ARRAY[
	'', 'https://flex-api.twilio.com', 'https://flex-api.twilio.com/', 'HTTPS://flex-api.twilio.com:8443', 'https://10.0.0.1', 'https://[2001:db8::1]:443', 'https://localhost',
	'http://localhost', 'http://LOCALHOST:8080', 'http://127.0.0.1:1', 'http://127.255.1.2', 'http://[::1]', 'http://[::1]:65535/',
	'http://flex-api.twilio.com', 'http://10.0.0.1', 'http://localhost.evil.example', 'http://127.0.0.1.evil.example', 'http://127.0.0.1@evil.example', 'http://128.0.0.1', 'http://127.1',
	'http://2130706433', 'http://[::2]', 'http://0.0.0.0', 'http://[::ffff:10.0.0.1]',
	'http://0177.0.0.1', 'http://0x7f000001', 'http://0x7f.0.0.1', 'http://127.0.0.01', 'http://127.0.0.1.', 'http://localhost.', 'http://[::ffff:127.0.0.1]', 'http://[0:0:0:0:0:0:0:1]', 'http://①②⑦.0.0.1', 'http://127。0。0。1',
	'http://localhost@evil.example', 'http://localhost:1@evil.example', 'http://localhost%00.evil.example', 'http://localhost%2f', 'http://localhost\@evil.example', 'https:/\evil.example', 'https:\\evil.example', '//evil.example', 'gopher://127.0.0.1', 'hTTps://evil.example',
	'https://user:pass@flex-api.twilio.com', 'https://user@flex-api.twilio.com', 'https://gateway.example/twilio', 'https://gateway.example/a/b-1.2_~/', 'http://localhost:1/x', 'https://flex-api.twilio.com//', 'https://gateway.example/a//b', 'https://gateway.example/.', 'https://gateway.example/a/../b', 'https://gateway.example/...', 'https://gateway.example/%2e%2e', 'https://gateway.example/a b', 'https://gateway.example/a?b', 'https://gateway.example/a#b', 'https://gateway.example/a@b', 'http://gateway.example/a', 'https://gateway.example/a\b', 'https://flex-api.twilio.com?a=b', 'https://{service}.gateway.example', 'http://127.0.0.1:1/{service}/', 'https://{service}:443', 'http://{service}.example', 'http://{service}', 'https://{service}/{service}', 'https://{Service}.example', 'https://{service', 'https://gateway.example/x{service}/y', '{service}://gateway.example', 'https://gateway.example:{service}', 'https://a@{service}',
	'https://flex-api.twilio.com#a', 'https://flex-api.twilio.com:', 'https://flex-api.twilio.com:0', 'https://flex-api.twilio.com:65536', 'https://flex-api.twilio.com:x',
	'https://flex-api.twilio.com:443:443', 'https://', 'https:///', 'flex-api.twilio.com', 'ftp://flex-api.twilio.com', 'https:flex-api.twilio.com', 'file:///etc/passwd', ' https://flex-api.twilio.com',
	E'https://flex-api.twilio.com\r\n', 'https://flex api.twilio.com', 'https://flex-api.twilio.com\@evil.example', 'https://é.example', 'https://[::1', 'https://[x]']) AS value;

-- edge and region are labels of a host name
SELECT value AS edge, pg_temp.try_set('flex_api.edge', value) FROM unnest(ARRAY['', 'dublin', 'sydney-2', 'a.b', 'evil.example/', 'Dublin', 'a b', 'a@b', repeat('x', 64)]) AS value;
SELECT value AS region, pg_temp.try_set('flex_api.region', value) FROM unnest(ARRAY['', 'ie1', 'ie1.evil', 'ie1:443', 'ie1#']) AS value;
-- users of credentials
SELECT name, quote_literal(value) AS value, pg_temp.try_set('flex_api.' || name, value) FROM unnest(ARRAY['account_sid', 'api_key']) AS name, unnest(ARRAY['AC:x', E'AC\n', 'ACé']) AS value;
-- numbers and their units
-- (from 17 on the range has units: it is left out)
SELECT regexp_replace(pg_temp.attempt(statement), ' \(-?\d+ ?\w* \.\. \d+ ?\w*\)$', '') AS attempt FROM unnest(ARRAY[
	'SET LOCAL flex_api.timeout = 0', 'SET LOCAL flex_api.timeout = ''2 days''', 'SET LOCAL flex_api.timeout = ''1 day''', 'SET LOCAL flex_api.timeout = ''long''',
	'SET LOCAL flex_api.connect_timeout = ''11min''', 'SET LOCAL flex_api.max_retries = -1', 'SET LOCAL flex_api.max_retries = 21',
	'SET LOCAL flex_api.max_response_size = ''1GB''', 'SET LOCAL flex_api.max_response_size = 0']) AS statement;
SET flex_api.timeout = '2s';
SHOW flex_api.timeout;
SET flex_api.max_response_size = '2048kB';
SHOW flex_api.max_response_size;
RESET flex_api.timeout;
RESET flex_api.max_response_size;

-- The address that edge and region make: what the proxy is asked to connect to. The
-- simulator is no proxy, and refuses; but it records the request.
CREATE FUNCTION pg_temp.address(edge text, region text, base text DEFAULT '') RETURNS text LANGUAGE plpgsql SET client_min_messages = error AS $$
DECLARE
	simulator text := current_setting('flex_api.base_url');
	outcome text;
BEGIN
	PERFORM set_config('flex_api.edge', edge, true), set_config('flex_api.region', region, true),
		set_config('flex_api.base_url', base, true), set_config('flex_api.proxy', simulator, true);
	SELECT string_agg(regexp_replace(line, '(the Flex API): .*', '\1: ...'), '') INTO outcome
		FROM pg_temp.attempt('SELECT FROM flex_channel_fetch(''CH00000000000000000000000000000000'')') AS line;
	PERFORM set_config('flex_api.base_url', simulator, true), set_config('flex_api.proxy', '', true);
	RETURN coalesce((SELECT request FROM pg_temp.sent()), outcome);
END $$;
SELECT edge, region, pg_temp.address(edge, region) FROM (VALUES ('', ''), ('dublin', 'ie1'), ('sydney', 'us1'), ('tokyo', ''),
	('', 'us1'), ('', 'au1'), ('', 'ie1'), ('dublin', 'xx9'), ('', 'xx9')) AS labels (edge, region);
-- base_url goes before both
SELECT pg_temp.address('dublin', 'ie1', 'https://flex.example:8443/');
RESET flex_api.edge;
RESET flex_api.region;

-- Credentials that are missing or contradict each other: nothing is sent
CREATE FUNCTION pg_temp.credentials(account text, token text, key text, secret text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('flex_api.account_sid', account, true), set_config('flex_api.auth_token', token, true),
		set_config('flex_api.api_key', key, true), set_config('flex_api.api_secret', secret, true);
	RETURN QUERY SELECT pg_temp.attempt('SELECT FROM flex_channels_list()');
END $$;
SELECT body -> 'requests' AS requests FROM flex_request('GET', '/_simulator/counters') \gset before_
\set account AC00000000000000000000000000000000
\set key SK00000000000000000000000000000000
SELECT account, token, key, secret, pg_temp.credentials(account, token, key, secret) FROM (VALUES
	('', '', '', ''), (:'account', '', '', ''), ('', 's3cret', '', ''), ('', '', :'key', ''), ('', '', '', 's3cret'),
	(:'account', 's3cret', :'key', ''), (:'account', 's3cret', '', 's3cret')) AS settings (account, token, key, secret);
SELECT body -> 'requests' = :'before_requests' AS nothing_was_sent FROM flex_request('GET', '/_simulator/counters');
-- and those that do: the account's token, the key's secret, with or without the account, and beside a token
SELECT account <> '' AS account, token, key <> '' AS key, secret, pg_temp.credentials(account, token, key, secret) FROM (VALUES
	(:'account', 'test-token', '', ''), ('', '', :'key', 'test-secret'), (:'account', '', :'key', 'test-secret'), (:'account', 'no-token', :'key', 'test-secret'), (:'account', 'wrong', '', '')) AS settings (account, token, key, secret);
SELECT convert_from(decode(substring(headers ->> 'authorization' FROM 'Basic (.*)'), 'base64'), 'UTF8') AS credentials FROM pg_temp.sent();
-- the file: not there, not a file, without a line for this role; what it gives to whom is a TAP test's
CREATE FUNCTION pg_temp.credentials_file(path text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('flex_api.auth_token', '', true), set_config('flex_api.credentials_file', path, true);
	RETURN QUERY SELECT replace(pg_temp.attempt('SELECT FROM flex_channels_list()'), current_user, '<me>');
END $$;
SELECT pg_temp.credentials_file(path) FROM unnest(ARRAY['no-such-file', 'base', 'PG_VERSION']) AS path;
RESET flex_api.account_sid;
SELECT pg_temp.credentials_file('PG_VERSION');
SET flex_api.account_sid = :'account';
-- settings go before the file, so that it is not even looked for
SET flex_api.credentials_file = 'no-such-file';
SELECT pg_temp.attempt('SELECT FROM flex_channels_list()');
RESET flex_api.credentials_file;

-- No secret stands in a message: of wrong credentials, of a proxy that is none, of a refused value
CREATE FUNCTION pg_temp.proxy(proxy text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('flex_api.proxy', proxy, true);
	RETURN QUERY SELECT pg_temp.attempt('SELECT FROM flex_channels_list()');
EXCEPTION WHEN OTHERS THEN
	RETURN NEXT SQLERRM;
END $$;
SELECT proxy, bool_or(outcome ~ 's3cret') AS secret_is_told
FROM unnest(ARRAY['http://user:s3cret@127.0.0.1:1', 'http://user:s3cret@127.0.0.1:99999', 'http://user:s3cret@', 'http://user:s3cret@a b', 'foo://user:s3cret@127.0.0.1:1', 'user:s3cret@[::1', 'user:s3cret']) AS proxy,
	pg_temp.proxy(proxy) AS outcome
GROUP BY proxy ORDER BY proxy COLLATE "C";
SELECT bool_or(outcome ~ 's3cret') AS secret_is_told FROM pg_temp.credentials(:'account', 's3cret', '', '') AS outcome;
RESET flex_api.account_sid;
SET flex_api.account_sid = :'account';

-- Which role may set what, and see the secrets
SET flex_api.auth_token = 's3cret token';
SET flex_api.auth_token_previous = 's3cret before';
SET flex_api.api_secret = 's3cret secret';
SET flex_api.proxy = 'http://user:s3cret@127.0.0.1:1';
SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_flex_api_plain, regress_flex_api_reader;
RESET client_min_messages;
CREATE ROLE regress_flex_api_plain;
CREATE ROLE regress_flex_api_reader IN ROLE pg_read_all_settings;
GRANT SELECT ON settings TO regress_flex_api_plain;
CREATE FUNCTION pg_temp.see(name text, OUT in_pg_settings bigint, OUT current_setting text) LANGUAGE plpgsql AS $$
BEGIN
	SELECT count(*) INTO in_pg_settings FROM pg_settings AS s WHERE s.name = see.name;
	current_setting := current_setting(name);
EXCEPTION WHEN insufficient_privilege THEN
	current_setting := SQLSTATE;
END $$;
SELECT name, see.* FROM unnest(ARRAY['auth_token', 'auth_token_previous', 'api_secret', 'proxy']) AS name, pg_temp.see('flex_api.' || name);
SHOW flex_api.auth_token;
SET ROLE regress_flex_api_reader;
SELECT name, see.* FROM unnest(ARRAY['auth_token', 'auth_token_previous', 'api_secret', 'proxy', 'account_sid']) AS name, pg_temp.see('flex_api.' || name);
SHOW flex_api.auth_token;
SELECT * FROM pg_show_all_settings() AS s WHERE s::text ~ 's3cret';
SET ROLE regress_flex_api_plain;
SELECT name, see.* FROM unnest(ARRAY['auth_token', 'auth_token_previous', 'api_secret', 'proxy', 'account_sid']) AS name, pg_temp.see('flex_api.' || name);
\set VERBOSITY sqlstate
SHOW flex_api.auth_token;
SHOW flex_api.proxy;
\set VERBOSITY terse
SELECT set_config(name, CASE vartype WHEN 'integer' THEN '2' WHEN 'enum' THEN boot_val ELSE '' END, true) AS may_be_set, name
FROM pg_temp.settings WHERE context = 'user' ORDER BY name COLLATE "C";
SET flex_api.base_url = 'https://evil.example';
SET flex_api.proxy = 'http://evil.example';
SET flex_api.ca_file = 'evil.pem';
SET flex_api.credentials_file = 'credentials';
RESET flex_api.base_url;
-- what a role sets itself it may not see either
SET flex_api.auth_token = 'own';
\set VERBOSITY sqlstate
SHOW flex_api.auth_token;
RESET ROLE;
\set VERBOSITY default

-- A secret that is stored where everybody can read it draws a warning, and works
ALTER ROLE regress_flex_api_plain SET flex_api.auth_token = 's3cret';
ALTER ROLE regress_flex_api_plain SET flex_api.api_secret = 's3cret';
ALTER ROLE regress_flex_api_plain SET flex_api.account_sid = 'AC1';
ALTER ROLE regress_flex_api_plain SET flex_api.auth_token = '';
ALTER ROLE ALL SET flex_api.auth_token = 's3cret';
ALTER ROLE ALL RESET flex_api.auth_token;
CREATE FUNCTION pg_temp.with_secret() RETURNS void LANGUAGE sql SET flex_api.auth_token = 's3cret' AS '';
DROP VIEW settings;
DROP ROLE regress_flex_api_plain, regress_flex_api_reader;

SET client_min_messages = warning;
DROP EXTENSION flex_api CASCADE;
