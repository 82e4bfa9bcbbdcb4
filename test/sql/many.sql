--
-- many.sql
--	  flex_call_many(): what it refuses unsent, and what its rows say.
--
\getenv directory PG_ABS_SRCDIR
\set connect :directory '/sql/include/connect.psql'
\i :connect
SET flex_api.max_retries = 0;
SET flex_api.rate_limits = 'none';
CALL pg_temp.reset('{"flows": 3}');
CALL pg_temp.forget();

-- Successes: each row has its element's answer, whatever the order
SELECT number, http_status, response ->> 'identity' AS identity, error_code, error_message, request_id LIKE 'RQ%' AS has_request_id, sqlstate
FROM flex_call_many('flex_webchat_create',
	(SELECT array_agg(jsonb_build_object('address_sid', 'IG00000000000000000000000000000001', 'identity', 'i' || g) ORDER BY g) FROM generate_series(1, 5) AS g))
ORDER BY number;
SELECT request, parameters, status FROM pg_temp.sent() ORDER BY parameters;

-- One at a time: in the array's order
SELECT number, response ->> 'identity' AS identity FROM flex_call_many('flex_webchat_create',
	(SELECT array_agg(jsonb_build_object('address_sid', 'IG00000000000000000000000000000001', 'identity', 'i' || g) ORDER BY g) FROM generate_series(1, 3) AS g), 1);
CALL pg_temp.forget();

-- Refusals are rows, and say what a direct call does
\set faults '[{"status": 400, "code": 20001, "message": "no such thing"}, {"status": 503}, {"status": 504}, {"status": 429, "retry_after": "1"}, {"cut_at": 0}, {"status": 200, "body": "[1]"}, {"status": 201, "body": "{\\"conversation_sid\\": \\"CH00000000000000000000000000000001\\", \\"identity\\": 5}"}, {"status": 200, "body": ""}, {"status": 200, "body": "{"}, {"status": 302, "headers": {"Location": "/v1/Channels"}, "body": ""}]'
CALL pg_temp.fault(:'faults');
SELECT number, http_status, response IS NOT NULL AS has_response, error_code, pg_temp.steady(error_message) AS error_message, sqlstate
FROM flex_call_many('flex_webchat_create', array_fill(jsonb '{"address_sid": "IG00000000000000000000000000000001"}', ARRAY[11]), 1);
CALL pg_temp.forget();
CALL pg_temp.fault(:'faults');
SELECT outcome AS direct FROM generate_series(1, 10) AS g, pg_temp.attempt(format('SELECT FROM flex_webchat_create(''IG00000000000000000000000000000001'', identity => %L)', g)) AS outcome WHERE outcome !~ '^ ';
CALL pg_temp.forget();

-- Operations of every kind: one that is fetched, one that is deleted, and any request
SELECT flow.sid AS sid FROM flex_flows_list(max_rows => 1) AS flow \gset
SELECT number, http_status, response ->> 'sid' = :'sid' AS right_one, sqlstate
FROM flex_call_many('flex_flow_fetch', ARRAY[jsonb_build_object('sid', :'sid'), '{"sid": "FO00000000000000000000000000000000"}']) ORDER BY number;
SELECT number, http_status, response, sqlstate FROM flex_call_many('flex_flow_delete', ARRAY[jsonb_build_object('sid', :'sid'), jsonb_build_object('sid', :'sid')], 1);
SELECT number, http_status, jsonb_array_length(response -> 'flex_flows') AS flows, sqlstate
FROM flex_call_many('flex_request', ARRAY['{"method": "GET", "path": "/v1/FlexFlows"}', '{"method": "GET", "path": "/v1/Nothing"}']::jsonb[]) ORDER BY number;
-- an operation that brings a credential of its own, beside one that does not
SELECT pg_get_function_arguments('flex_insights_session_create'::regproc) AS arguments;
SELECT number, http_status, sqlstate FROM flex_call_many('flex_insights_session_create', ARRAY['{}', '{"authorization": "Bearer wrong"}']::jsonb[], 1);
CALL pg_temp.forget();

-- Nothing to do
SELECT * FROM flex_call_many('flex_webchat_create', NULL);
SELECT * FROM flex_call_many('flex_webchat_create', '{}');
SELECT count(*) FROM pg_temp.sent();

-- Arrays of more dimensions and other bounds: as unnest() has them
SELECT number, response ->> 'identity' AS identity FROM flex_call_many('flex_webchat_create',
	ARRAY[ARRAY['{"address_sid": "IG00000000000000000000000000000001", "identity": "a"}', '{"address_sid": "IG00000000000000000000000000000001", "identity": "b"}'],
		ARRAY['{"address_sid": "IG00000000000000000000000000000001", "identity": "c"}', '{"address_sid": "IG00000000000000000000000000000001", "identity": "d"}']]::jsonb[], 1);
SELECT number, response ->> 'identity' AS identity FROM flex_call_many('flex_webchat_create',
	'[7:7]={"{\"address_sid\": \"IG00000000000000000000000000000001\", \"identity\": \"seven\"}"}'::jsonb[]);

-- In the target list, with LIMIT, twice in a statement, and for each row of another
SELECT (flex_call_many('flex_flow_fetch', ARRAY['{"sid": "FO00000000000000000000000000000000"}'::jsonb])).sqlstate;
SELECT sqlstate FROM flex_call_many('flex_flow_fetch', array_fill(jsonb '{"sid": "FO00000000000000000000000000000000"}', ARRAY[5])) LIMIT 2;
SELECT g, number, sqlstate FROM generate_series(1, 2) AS g, LATERAL flex_call_many('flex_flow_fetch', array_fill(jsonb '{"sid": "FO00000000000000000000000000000000"}', ARRAY[g])) ORDER BY 1, 2;
CALL pg_temp.forget();

-- What is wrong is an error that names the element, before anything is sent
CREATE FUNCTION pg_temp.refused(operation text, arguments jsonb[], concurrency int DEFAULT NULL) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
	hint text;
	context text;
BEGIN
	PERFORM * FROM flex_call_many(operation, arguments, concurrency);
	RETURN NEXT 'succeeded';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
	RETURN NEXT format('%s: %s', SQLSTATE, message);
	RETURN NEXT format('  %s %s', detail, hint);
	RETURN NEXT '  ' || split_part(context, E'\n', 1);
END $$;
SELECT pg_temp.refused('flex_flow_fetch', ARRAY['{"sid": "FO00000000000000000000000000000000"}', '{"sid": "FO"}']::jsonb[]);
SELECT pg_temp.refused('flex_webchat_create', ARRAY['{"address_sid": "IG00000000000000000000000000000001"}', '{}']::jsonb[]);
SELECT pg_temp.refused('flex_webchat_create', ARRAY['{"address_sid": "IG00000000000000000000000000000001"}', NULL]::jsonb[]);
SELECT pg_temp.refused('flex_webchat_create', ARRAY['{"address_sid": "IG00000000000000000000000000000001"}', '{"adress": 1}']::jsonb[]);
SELECT pg_temp.refused('flex_webchat_create', ARRAY['[]']::jsonb[]);
SELECT pg_temp.refused('flex_request', ARRAY['{"method": "GET", "path": "//"}', '{"method": "HEAD", "path": "/"}']::jsonb[]);
SELECT pg_temp.refused('flex_webchat_create', NULL, 0);
SELECT pg_temp.refused('flex_webchat_create', NULL, 1001);
SELECT pg_temp.refused('flex_webchat_create', NULL, -1);
SELECT pg_temp.refused(NULL, '{}');
SELECT pg_temp.refused('flex_flows_list', ARRAY['{}']::jsonb[]);
SELECT pg_temp.refused('flex_flows_list', NULL);
SELECT pg_temp.refused('flex_nothing', '{}');
SELECT pg_temp.refused('flex_call_many', '{}');
BEGIN;
SET LOCAL flex_api.auth_token = '';
SELECT pg_temp.refused('flex_flow_fetch', ARRAY['{"sid": "FO00000000000000000000000000000000"}']::jsonb[]);
ROLLBACK;
SELECT count(*) FROM pg_temp.sent();

-- It needs EXECUTE on both functions, and is nobody's at first
SELECT proacl::text ~ '[{,]=' AS is_everybodys, provolatile, proparallel, proisstrict FROM pg_proc WHERE proname = 'flex_call_many';
CREATE ROLE regress_flex_many;
GRANT EXECUTE ON FUNCTION flex_call_many TO regress_flex_many;
SET ROLE regress_flex_many;
SELECT * FROM flex_call_many('flex_flow_fetch', ARRAY['{"sid": "FO00000000000000000000000000000000"}']::jsonb[]);
SELECT * FROM flex_call_many('flex_flow_fetch', NULL);
RESET ROLE;
GRANT EXECUTE ON FUNCTION flex_flow_fetch TO regress_flex_many;
SET ROLE regress_flex_many;
SELECT number, sqlstate FROM flex_call_many('flex_flow_fetch', ARRAY['{"sid": "FO00000000000000000000000000000000"}']::jsonb[]);
RESET ROLE;
DROP OWNED BY regress_flex_many;
DROP ROLE regress_flex_many;

-- A function of another definition with its C function is refused
CREATE FUNCTION pg_temp.other(text, jsonb, int) RETURNS SETOF record AS '$libdir/flex_api', 'flex_api_call_many' LANGUAGE C;
SELECT * FROM pg_temp.other('flex_flow_fetch', '{}', 1) AS t (number int);
CREATE FUNCTION pg_temp.narrow(text, jsonb[], int) RETURNS TABLE (a int, b text) AS '$libdir/flex_api', 'flex_api_call_many' LANGUAGE C;
SELECT * FROM pg_temp.narrow('flex_flow_fetch', '{}', 1);
