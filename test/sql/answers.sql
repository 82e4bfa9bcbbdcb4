--
-- answers.sql
--	  Any bytes whatsoever that come as an answer give rows or a clear error:
--	  what is damaged, what is no JSON, what is not of the column's type; and
--	  what is unusual but right keeps every digit and letter.
--
\getenv directory PG_ABS_SRCDIR
\set connect :directory '/sql/include/connect.psql'
\i :connect
SET flex_api.max_retries = 0;

-- An answer of these bytes to a fetch, a list's page made of the object, or a request by hand
CREATE FUNCTION pg_temp.answer(bytes bytea, statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	CALL pg_temp.forget();
	CALL pg_temp.fault(jsonb_build_object('status', 200, 'content_type', 'application/json',
		'body_base64', translate(encode(bytes, 'base64'), E'\n', '')));
	RETURN QUERY EXECUTE statement;
EXCEPTION WHEN OTHERS THEN
	DECLARE
		message text;
		detail text;
	BEGIN
		GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
		RETURN NEXT format('%s: %s | %s', SQLSTATE, message, detail);
	END;
END $$;
CREATE FUNCTION pg_temp.flow(answer text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT pg_temp.answer(convert_to(answer, 'UTF8'), 'SELECT f::text FROM flex_flow_fetch(''FO00000000000000000000000000000000'') AS f')
$$;
CREATE FUNCTION pg_temp.request(answer text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT pg_temp.answer(convert_to(answer, 'UTF8'), 'SELECT body::text FROM flex_request(''GET'', ''/v1/FlexFlows'')')
$$;
CREATE FUNCTION pg_temp.flow_of_bytes(answer bytea) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT pg_temp.answer(answer, 'SELECT f::text FROM flex_flow_fetch(''FO00000000000000000000000000000000'') AS f')
$$;

-- Cut at each byte: never a row
SELECT outcome, count(*)
FROM generate_series(1, length('{"sid": "FO1", "enabled": true, "integration": {"n": [1, null]}}') - 1) AS bytes,
	pg_temp.flow(left('{"sid": "FO1", "enabled": true, "integration": {"n": [1, null]}}', bytes)) AS outcome
GROUP BY outcome;

-- Not JSON, though parsers have been known to take it
SELECT answer, outcome FROM unnest(ARRAY[
	'{''sid'': ''FO1''}', '{"sid": "FO1",}', '{"sid": "FO1" // comment' || E'\n}', '{"sid": "FO1" /* comment */}',
	'{"integration": NaN}', '{"unknown": NaN}', '{"integration": Infinity}', '{"integration": -Infinity}', '{"integration": 01}', '{"integration": .5}',
	'{"integration": 1.}', '{"integration": +1}', '{"integration": 0x1F}', '{"integration": 1e}', '{"integration": -}',
	'{"integration": TRUE}', '{"integration": nul}', '{"integration": [1,]}', '{"integration": [1 2]}', '{"sid": "\x"}', '{"sid": "\u12"}',
	'{"sid": "a' || E'\n' || 'b"}', '{"sid": "a' || E'\t' || 'b"}', '{sid: "FO1"}', '{"sid" "FO1"}', '{"sid": "FO1"} {}', '{"sid": "FO1"}}', '{"sid": "FO1"} x',
	'<html></html>', 'OK', ' ', E'\ufeff{"sid": "FO1"}']) AS answer, pg_temp.flow(answer) AS outcome;

-- Not an object
SELECT answer, outcome FROM unnest(ARRAY['[]', '[{"sid": "FO1"}]', 'null', '"FO1"', '1', '-1.5', 'true']) AS answer,
	pg_temp.flow(answer) AS outcome;

-- Nothing at all, with 200, for a fetch and for what creates; and with 204
SELECT pg_temp.flow('');
CALL pg_temp.fault('[{"status": 201, "body": ""}, {"status": 204, "body": ""}]');
SELECT pg_temp.attempt('SELECT FROM flex_webchat_create(''IG00000000000000000000000000000000'')') FROM generate_series(1, 2);
-- but a deletion needs no answer, and may have one
CALL pg_temp.fault('[{"status": 200, "body": ""}, {"status": 202, "body": "<html>"}]');
SELECT pg_temp.attempt('SELECT flex_flow_delete(''FO00000000000000000000000000000000'')') FROM generate_series(1, 2);

-- Deep: 100 levels are no trouble, 10,000 are an error
SELECT length(outcome) FROM pg_temp.flow('{"integration": ' || repeat('[', 100) || repeat(']', 100) || '}') AS outcome;
SELECT pg_temp.flow('{"integration": ' || repeat('[', 10000) || repeat(']', 10000) || '}');
SELECT pg_temp.flow('{"unknown": ' || repeat('{"a":', 10000) || '1' || repeat('}', 10000) || '}');
CALL pg_temp.fault('{"nested": 10000}');
SELECT pg_temp.attempt('SELECT FROM flex_flow_fetch(''FO00000000000000000000000000000000'')');
CALL pg_temp.fault('{"nested": 1000000}');
SELECT pg_temp.attempt('SELECT FROM flex_flows_list()');

-- Bytes that are no UTF-8, in a value, in a name, between; an overlong slash, a surrogate, beyond Unicode
SELECT hex, pg_temp.flow_of_bytes(decode(hex, 'hex')) FROM (VALUES
	('7b22736964223a22ff227d'), ('7b22ff223a317d'), ('7bff7d'), ('7b22736964223a22c0af227d'),
	('7b22736964223a22eda080227d'), ('7b22736964223a22f4908080227d'), ('7b22736964223a22c3227d')) AS rows (hex);
-- the zero byte and its escape, which text cannot have
SELECT pg_temp.flow_of_bytes('\x7b22736964223a22610062227d');
SELECT pg_temp.flow_of_bytes('\x7b22736964223a2246227d00');
SELECT answer, pg_temp.flow(answer) FROM (VALUES ('{"sid": "\u0000"}'), ('{"integration": {"a": "x\u0000"}}'), ('{"\u0000": 1}')) AS rows (answer);
-- but a backslash and the letters u0000 are no zero
SELECT pg_temp.flow('{"sid": "\\u0000", "integration": "\\u0000"}');

-- Surrogate pairs, escapes, all planes; half a pair is no character
SELECT (f).sid, (f).integration FROM (SELECT r::flex_flow AS f FROM pg_temp.flow(
	'{"sid": "\ud83d\ude00 \u00e9 \u20ac \" \\ \/ \n\t", "integration": {"\ud83d\ude00": "é😀\u00a0"}}') AS r) AS answer;
SELECT answer, left(pg_temp.flow(answer), 5) AS outcome
FROM (VALUES ('{"sid": "\ud83d"}'), ('{"sid": "\ude00\ud83d"}'), ('{"integration": "\ud83dx"}'), ('{"unknown": "\ud83d\n"}')) AS rows (answer);

-- Members of the wrong type, for each type of column, and those that have no number, truth or time in them
SELECT format('{"%s": %s}', member, value) AS answer, outcome
FROM unnest(ARRAY['sid', 'enabled', 'date_created']) AS member,
	unnest(ARRAY['null', 'true', '1', '1.5', '"text"', '""', '[]', '{}']) AS value,
	pg_temp.flow(format('{"%s": %s}', member, value)) AS outcome;
-- jsonb takes any
SELECT value, pg_temp.flow(format('{"integration": %s}', value)) FROM unnest(ARRAY['null', 'false', '0', '-0', '"text"', '""', '[]', '{}']) AS value;

-- Integers and fractions, in columns of a type made for this: a function that has an
-- operation's name may have another row type
CREATE TYPE pg_temp.numbers AS (small integer, large bigint, fraction double precision);
CREATE FUNCTION pg_temp.flex_flow_fetch(sid text) RETURNS pg_temp.numbers
AS '$libdir/flex_api', 'flex_api_call' LANGUAGE C;
CREATE FUNCTION pg_temp.numbers(answer text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT pg_temp.answer(convert_to(answer, 'UTF8'), 'SELECT f::text FROM pg_temp.flex_flow_fetch(''FO00000000000000000000000000000000'') AS f')
$$;
SELECT pg_temp.numbers('{"small": -2147483648, "large": -9223372036854775808, "fraction": -0.1}');
SELECT pg_temp.numbers('{"small": 2147483647, "large": 9223372036854775807, "fraction": 1.7976931348623157e308}');
SELECT pg_temp.numbers('{"small": 0, "large": null, "fraction": 5}');
SELECT value, pg_temp.numbers(format('{"small": %s}', value)) FROM unnest(ARRAY['2147483648', '-2147483649',
	'9223372036854775808', '123456789012345678901234567890', '1.5', '1.0', '1e2', 'true', '"1"', '[]', '{}']) AS value;
SELECT value, pg_temp.numbers(format('{"large": %s}', value)) FROM unnest(ARRAY['9223372036854775808', '-9223372036854775809',
	'18446744073709551615', '18446744073709551616', '123456789012345678901234567890', '1.5', 'true', '"1"']) AS value;
SELECT value, CASE WHEN value ~ 'e400' THEN left(outcome, 5) ELSE outcome END AS outcome
FROM unnest(ARRAY['1e400', '-1e400', 'NaN', 'Infinity', '"1.5"', 'true', '[]']) AS value,
	pg_temp.numbers(format('{"fraction": %s}', value)) AS outcome;

-- Impossible dates, and possible ones
SELECT value, outcome FROM unnest(ARRAY[
	'2016-08-01T22:10:40Z', '2016-08-01T22:10:40.123456Z', '2016-08-01T22:10:40.1234569Z', '2016-08-01T22:10:40+05:30',
	'2016-08-01T22:10:40-00:00', '2016-02-29T00:00:00Z', '2016-12-31T23:59:60Z', '0001-01-01T00:00:00Z', '9999-12-31T23:59:59Z',
	'2016-08-01t22:10:40z',
	'2015-02-29T00:00:00Z', '2016-13-01T00:00:00Z', '2016-00-01T00:00:00Z', '2016-01-32T00:00:00Z', '2016-08-01T24:00:01Z',
	'2016-08-01T22:60:00Z', '2016-08-01T22:10:61Z', '2016-08-01', '2016-08-01T22:10:40', '2016-08-01T22:10:40.Z', 'tomorrow', 'infinity',
	'0000-01-01T00:00:00Z', '-0001-01-01T00:00:00Z', '2016-08-01T22:10:40+25:00', '2016-08-01T22:10:40Z ', '16-08-01T22:10:40Z',
	'Mon, 01 Aug 2016 22:10:40 +0000']) AS value,
	LATERAL (SELECT coalesce(substring(flow FROM '^\(,"?([^,"]*)"?,'), flow) AS outcome
		FROM pg_temp.flow(format('{"date_created": "%s"}', value)) AS flow) AS outcome;
-- whatever the session's settings are
SET TIME ZONE 'Australia/Lord_Howe';
SET DateStyle = 'German, DMY';
SELECT pg_temp.flow('{"date_created": "2016-08-01T22:10:40Z"}');
SET TIME ZONE 'UTC';
SET DateStyle = 'ISO';

-- Numbers keep their digits
SELECT value, pg_temp.flow(format('{"integration": %s}', value)) FROM unnest(ARRAY[
	'123456789012345678901234567890', '-123456789012345678901234567890', '9223372036854775807', '9223372036854775808',
	'-9223372036854775808', '-9223372036854775809', '18446744073709551615', '18446744073709551616',
	'1.10', '0.1', '100000000000000000000.000000000000000000001', '1e2', '1E+2', '1e-7', '12345678901234567890e2',
	'[123456789012345678901234567890, "123456789012345678901234567890"]']) AS value;
SELECT length(outcome) FROM pg_temp.flow('{"integration": 1e400}') AS outcome;
SELECT left(pg_temp.flow('{"integration": 1e400000}'), 5) AS outcome;
SELECT value, pg_temp.request(value) FROM unnest(ARRAY['9223372036854775808', '1.10', '"text"', '[1.0]', 'null', 'true', ' {} ']) AS value;
-- the digits of the answer before are none of this one's
SELECT value, pg_temp.request(value) FROM unnest(ARRAY['1111111111', '1e5']) AS value;
-- what numeric cannot hold is told with its member
SELECT pg_temp.flow('{"integration": {"a": [{"b": 1.' || repeat('9', 20000) || 'e400}]}}');
SELECT pg_temp.request('[1' || repeat('0', 200000) || ']');
-- and is no matter where no column wants it
SELECT pg_temp.flow('{"unknown": 1e400000}');

-- Members that are missing or null are NULL, unknown ones are passed over, of two the last one counts
SELECT pg_temp.flow('{}');
SELECT pg_temp.flow('{"sid": null, "enabled": null, "date_created": null, "integration": null}');
SELECT pg_temp.flow('{"unknown": {"sid": "x"}, "SID": "y", "sid ": "z", "": 1}');
SELECT pg_temp.flow('{"sid": "first", "sid": "second"}');
SELECT pg_temp.flow(E' \t\r\n{ "sid" : "FO1" } \r\n');

-- Larger than flex_api.max_response_size
CALL pg_temp.forget();
SET flex_api.max_response_size = '64kB';
CALL pg_temp.fault('{"huge_bytes": 60000}');
SELECT pg_temp.attempt('SELECT FROM flex_flow_fetch(''FO00000000000000000000000000000000'')');
CALL pg_temp.fault('[{"huge_bytes": 70000}, {"huge_bytes": 100000000}, {"huge_bytes": 100000, "status": 400}, {"huge_bytes": 100000000}]');
SELECT pg_temp.attempt('SELECT FROM flex_flow_fetch(''FO00000000000000000000000000000000'')') FROM generate_series(1, 3);
SELECT pg_temp.attempt('SELECT FROM flex_flows_list()');
RESET flex_api.max_response_size;

-- The columns of a list's rows, and rows that are none
SELECT value, pg_temp.answer(convert_to(format('{"meta": {"key": "rows"}, "rows": %s}', value), 'UTF8'),
	'SELECT f::text FROM flex_flows_list() AS f')
FROM unnest(ARRAY['[]', '[{}]', '[{"sid": "FO1"}, {"sid": "FO2"}]', '[{"sid": "FO1"}, {"sid": 2}]', '[{"sid": "FO1"}, null]', '[[]]', '["FO1"]']) AS value;

-- Random damage, always the same: each answer gives a row or an error of the classes meant for it
CALL pg_temp.reset('{"channels": 20}');
CALL pg_temp.fault('{"mutate": 1, "times": -1}');
SELECT kind, count(*) > 10 AS some
FROM (SELECT CASE WHEN outcome LIKE 'succeeded%' THEN 'rows'
		WHEN outcome LIKE '08P01:%' THEN 'error' ELSE outcome END AS kind
	FROM (SELECT pg_temp.attempt('SELECT FROM flex_channels_list()') AS outcome FROM generate_series(1, 300)) AS attempts
	WHERE outcome !~ '^ ') AS kinds
GROUP BY kind ORDER BY kind COLLATE "C";
CALL pg_temp.forget();
SELECT count(*) FROM flex_channels_list();

SET client_min_messages = warning;
DROP EXTENSION flex_api CASCADE;
