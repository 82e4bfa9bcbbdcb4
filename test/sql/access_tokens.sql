--
-- access_tokens.sql
--	  What an access token says, that its signature is right, and what it cannot say.
--
\getenv directory PG_ABS_SRCDIR
\set connect :directory '/sql/include/connect.psql'
\i :connect
CREATE EXTENSION IF NOT EXISTS pgcrypto;
SET flex_api.api_key = 'SK00000000000000000000000000000000';
SET flex_api.api_secret = 'test-secret';
\set service IS00000000000000000000000000000000

CREATE FUNCTION pg_temp.base64url(part text) RETURNS bytea LANGUAGE sql
AS $$ SELECT decode(translate(part, '-_', '+/') || repeat('=', (4 - length(part) % 4) % 4), 'base64') $$;
-- A token's parts: header, claims without what differs from one to the next, what is right of that, and of the signature
CREATE FUNCTION pg_temp.read(token text, secret text DEFAULT 'test-secret', OUT header jsonb, OUT claims jsonb, OUT seconds bigint, OUT id_is_new boolean, OUT is_signed boolean)
LANGUAGE plpgsql AS $$
DECLARE
	parts text[] := string_to_array(token, '.');
BEGIN
	header := convert_from(pg_temp.base64url(parts[1]), 'UTF8');
	claims := convert_from(pg_temp.base64url(parts[2]), 'UTF8');
	seconds := (claims ->> 'exp')::bigint - (claims ->> 'iat')::bigint;
	id_is_new := claims ->> 'jti' ~ format('^SK0{32}-%s-[0-9a-f]{16}$', claims ->> 'iat')
		AND abs((claims ->> 'iat')::bigint - extract(epoch FROM clock_timestamp())) <= 60;
	claims := claims - '{jti,iat,exp}'::text[];
	is_signed := public.hmac(convert_to(parts[1] || '.' || parts[2], 'UTF8'), convert_to(secret, 'UTF8'), 'sha256') = pg_temp.base64url(parts[3])
		AND token ~ '^[\w-]+\.[\w-]+\.[\w-]{43}$';
END $$;

SELECT * FROM pg_temp.read(flex_access_token('customer-4711', :'service'));
SELECT * FROM pg_temp.read(flex_access_token('agent', grants => '{"voice": {"incoming": {"allow": true}, "outgoing": {"application_sid": "AP1", "params": {"n": 1.50}}}, "data_sync": {"service_sid": "IS1"}}', ttl => '24 hours'));
SELECT * FROM pg_temp.read(flex_access_token('a', :'service', '{"video": {}}', '1.9 seconds', '2001-02-03 04:05:06.7+00'));
SELECT * FROM pg_temp.read(flex_access_token('a', NULL, '{}', NULL, NULL));
-- texts are escaped and in UTF-8
SELECT * FROM pg_temp.read(flex_access_token(E'"\\\u00e9\U0001F600\n}', grants => '{"a b\"": {"\u0001": ["é", null]}}'));
-- a region is in the header
SET flex_api.region = 'ie1';
SELECT header FROM pg_temp.read(flex_access_token('a'));
RESET flex_api.region;
-- no two are the same
SELECT count(DISTINCT flex_access_token('a')) FROM generate_series(1, 100);
-- valid_from is before the end, and may be before now
SELECT claims -> 'nbf' AS nbf FROM pg_temp.read(flex_access_token('a', valid_from => '1969-12-31 23:59:58.5+00'));

SET TimeZone = 'UTC'; -- of valid_from in its error
SELECT statement, pg_temp.attempt(statement) FROM unnest(ARRAY[
	'SELECT flex_access_token(NULL)', 'SELECT flex_access_token('''')', 'SELECT flex_access_token(''a'', ''CH00000000000000000000000000000000'')', 'SELECT flex_access_token(''a'', '''')',
	'SELECT flex_access_token(''a'', grants => ''[]'')', 'SELECT flex_access_token(''a'', grants => ''"{}"'')', 'SELECT flex_access_token(''a'', grants => ''{"voice": true}'')', 'SELECT flex_access_token(''a'', grants => ''{"voice": []}'')',
	'SELECT flex_access_token(''a'', grants => ''{"identity": "b"}'')', 'SELECT flex_access_token(''a'', ''IS00000000000000000000000000000000'', ''{"chat": {}}'')',
	'SELECT flex_access_token(''a'', ttl => ''0'')', 'SELECT flex_access_token(''a'', ttl => ''-1 hour'')', 'SELECT flex_access_token(''a'', ttl => ''0.9 seconds'')', 'SELECT flex_access_token(''a'', ttl => ''24:00:01'')',
	'SELECT flex_access_token(''a'', ttl => ''1 month'')', 'SELECT flex_access_token(''a'', ttl => ''178000000 years'')', 'SELECT flex_access_token(''a'', valid_from => ''infinity'')', 'SELECT flex_access_token(''a'', valid_from => ''-infinity'')',
	'SELECT flex_access_token(''a'', valid_from => ''2100-01-01'')']) AS statement;
SELECT seconds FROM pg_temp.read(flex_access_token('a', ttl => '1 day'));

-- The key signs, and nothing else does
CREATE FUNCTION pg_temp.with(account text, token text, key text, secret text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('flex_api.account_sid', account, true), set_config('flex_api.auth_token', token, true),
		set_config('flex_api.api_key', key, true), set_config('flex_api.api_secret', secret, true);
	RETURN QUERY SELECT pg_temp.attempt($q$SELECT 1 / (claims ->> 'sub' = 'AC1' AND claims ->> 'iss' = 'SK00000000000000000000000000000000')::int FROM pg_temp.read(flex_access_token('a'), 's3cret') WHERE is_signed$q$);
END $$;
SELECT account, token, key <> '' AS key, secret, pg_temp.with(account, token, key, secret) FROM (VALUES
	('AC1', 'token', 'SK00000000000000000000000000000000', 's3cret'), ('AC1', '', 'SK00000000000000000000000000000000', 's3cret'), ('AC1', 'token', '', ''), ('', '', '', ''),
	('', '', 'SK00000000000000000000000000000000', 's3cret'), ('AC1', '', 'SK00000000000000000000000000000000', ''), ('AC1', '', '', 's3cret')) AS settings (account, token, key, secret);
SELECT count(*) FROM pg_temp.sent();

SET client_min_messages = warning;
DROP EXTENSION flex_api CASCADE;
DROP EXTENSION pgcrypto CASCADE;
