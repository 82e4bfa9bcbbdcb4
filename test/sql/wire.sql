--
-- wire.sql
--	  What each operation puts on the wire: method, path, and for every argument
--	  the place, name and value that the published documents give it.
--
\getenv directory PG_ABS_SRCDIR
\set connect :directory '/sql/include/connect.psql'
\i :connect
\set facts :directory '/sql/include/facts.psql'
\i :facts

-- A value for each parameter, unlike the others of its operation
CREATE FUNCTION pg_temp.example(parameter parameters) RETURNS text LANGUAGE sql AS $$
	SELECT CASE
		WHEN pg_temp.sql_type(parameter.type, NULL, pg_temp.sql_name(parameter.name)) = 'jsonb'::regtype THEN format('{"n":[%s,"é"]}', parameter.position)
		WHEN parameter.type = 'boolean' THEN 'true'
		WHEN parameter.type = 'integer' THEN (parameter.position + 1)::text
		WHEN parameter.type = 'number' THEN format('%s.5', parameter.position)
		WHEN parameter.enum IS NOT NULL THEN split_part(parameter.enum, '|', 1)
		WHEN parameter.pattern IS NOT NULL THEN substring(parameter.pattern, 2, 2) || md5(parameter.position::text)
		WHEN parameter.name ~ 'Ur[il]$' THEN format('https://example.com/%s?a=b&c=%%20', parameter.position)
		WHEN parameter.place = 'header' THEN format('header %s', parameter.position)
		WHEN parameter.place = 'path' THEN format('part %s of & é;%%?', parameter.position)
		ELSE format('value %s of & é/%%?', parameter.position)
	END
$$;
-- A call with the required arguments, or with all; those of one type may have another value
CREATE FUNCTION pg_temp.call(called text, optional boolean, other_value text DEFAULT NULL, other_type text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
	SELECT format('SELECT FROM %I(%s)', called, string_agg(format('%I => %L::%s', pg_temp.sql_name(p.name),
		CASE WHEN p.type = other_type THEN other_value
			WHEN p.type = 'array' THEN ARRAY[pg_temp.example(p), pg_temp.example(p)]::text ELSE pg_temp.example(p) END,
		pg_temp.sql_type(p.type, p.format, pg_temp.sql_name(p.name))), ', ' ORDER BY p.position))
	FROM parameters AS p WHERE p.function = called AND (optional OR required)
$$;
CREATE FUNCTION pg_temp.percent_encoded(value text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(CASE WHEN byte < 128 AND chr(byte) ~ '[A-Za-z0-9._~-]' THEN chr(byte) ELSE '%' || upper(lpad(to_hex(byte), 2, '0')) END, '' ORDER BY n)
	FROM generate_series(0, octet_length(value) - 1) AS n, LATERAL get_byte(convert_to(value, 'UTF8'), n) AS byte
$$;

-- What should be sent
CREATE FUNCTION pg_temp.expected_request(called text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	request text;
	p parameters;
BEGIN
	SELECT concat(method, ' ', path) INTO request FROM operations WHERE function = called;
	FOR p IN SELECT * FROM parameters WHERE function = called AND place = 'path' LOOP
		request := replace(request, format('{%s}', p.name), pg_temp.percent_encoded(pg_temp.example(p)));
	END LOOP;
	RETURN request;
END $$;
CREATE FUNCTION pg_temp.expected_arguments(called text, optional boolean) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT format('%s %s=%s', place, CASE place WHEN 'header' THEN lower(name) ELSE coalesce(name, '(body)') END, pg_temp.example(p))
	FROM parameters AS p, generate_series(1, CASE type WHEN 'array' THEN 2 ELSE 1 END)
	WHERE function = called AND place <> 'path' AND (optional OR required)
	UNION ALL
	SELECT 'query PageSize=1000' FROM operations WHERE function = called AND list_key IS NOT NULL
$$;

-- What is sent, as the simulator recorded it; headers that every request has are left out
CREATE FUNCTION pg_temp.sent_arguments(r jsonb) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT format('%s %s=%s', CASE r ->> 'query' WHEN '' THEN 'form' ELSE 'query' END, pair ->> 0, pair ->> 1)
	FROM jsonb_array_elements(r -> 'parameters') AS pair
	UNION ALL
	SELECT format('header %s=%s', key, value) FROM jsonb_each_text(r -> 'headers')
	WHERE key NOT IN ('host', 'accept', 'accept-encoding', 'user-agent', 'content-type', 'content-length') AND value NOT LIKE 'Basic %'
	UNION ALL
	SELECT format('json (body)=%s', r ->> 'body') WHERE r -> 'headers' ->> 'content-type' = 'application/json'
$$;
CREATE FUNCTION pg_temp.compare(called text, optional boolean) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	r jsonb;
BEGIN
	EXECUTE coalesce(pg_temp.call(called, optional), format('SELECT FROM %I()', called));
	SELECT body -> 'requests' -> 0 INTO r FROM flex_request('GET', '/_simulator/requests') WHERE jsonb_array_length(body -> 'requests') = 1;
	PERFORM FROM flex_request('DELETE', '/_simulator/requests');
	RETURN QUERY SELECT CASE WHEN sent = expected THEN 'right' ELSE format('%s instead of %s', sent, expected) END
		FROM concat(r ->> 'method', ' ', r ->> 'path') AS sent, pg_temp.expected_request(called) AS expected;
	RETURN QUERY SELECT 'not sent: ' || a FROM (SELECT * FROM pg_temp.expected_arguments(called, optional) EXCEPT ALL SELECT * FROM pg_temp.sent_arguments(r)) AS missing (a);
	RETURN QUERY SELECT 'sent without need: ' || a FROM (SELECT * FROM pg_temp.sent_arguments(r) EXCEPT ALL SELECT * FROM pg_temp.expected_arguments(called, optional)) AS surplus (a);
END $$;

-- Each operation twice: with its required arguments, and with all of them
CALL pg_temp.fault('{"path": "/v[124]/*", "times": -1, "status": 200, "body": "{\"meta\": {\"key\": \"rows\"}, \"rows\": []}"}');
SELECT name, optional, outcome FROM flex_operations(), unnest(ARRAY[false, true]) AS optional, pg_temp.compare(name, optional) AS outcome
WHERE outcome <> 'right' ORDER BY name COLLATE "C", optional, outcome COLLATE "C";
SELECT count(*) = 2 * (SELECT count(*) FROM flex_operations()) AS all_were_called FROM flex_operations(), unnest(ARRAY[false, true]) AS optional, pg_temp.compare(name, optional) AS outcome
WHERE outcome = 'right';
-- An example of each kind, to be read
SELECT pg_temp.call(name, true) AS call, pg_temp.attempt(pg_temp.call(name, true)) AS outcome FROM flex_operations()
WHERE name IN ('flex_configuration_update', 'flex_insights_questions_list', 'flex_plugin_version_create') ORDER BY name COLLATE "C";
SELECT r ->> 'method' AS method, r ->> 'path' AS path, arguments FROM flex_request('GET', '/_simulator/requests'), jsonb_array_elements(body -> 'requests') AS r, pg_temp.sent_arguments(r) AS arguments;
CALL pg_temp.forget();

-- What no parameter of the kind takes: a number that is none, null among an array's elements, an array of arrays
SELECT o.name, value, pg_temp.attempt(pg_temp.call(o.name, true, value, type)) AS outcome
FROM flex_operations() AS o, (VALUES ('number', 'NaN'), ('number', 'Infinity'), ('number', '-Infinity'), ('array', '{NULL}'), ('array', '{{a,b},{c,d}}')) AS wrong (type, value)
WHERE EXISTS (SELECT FROM parameters AS p WHERE p.function = o.name AND p.type = wrong.type) ORDER BY o.name COLLATE "C", value COLLATE "C";
SELECT request FROM pg_temp.sent();

SET client_min_messages = warning;
DROP EXTENSION flex_api CASCADE;
