--
-- merge.sql
--	  JSON Merge Patch by the cases of RFC 7396, appendix A, and others; and the
--	  configuration, merged.
--
\getenv directory PG_ABS_SRCDIR
\set connect :directory '/sql/include/connect.psql'
\i :connect
SET flex_api.max_retries = 0;

-- The RFC's cases
CREATE TEMPORARY TABLE cases (target jsonb, patch jsonb, result jsonb);
INSERT INTO cases VALUES
	('{"a":"b"}', '{"a":"c"}', '{"a":"c"}'), ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'), ('{"a":"b"}', '{"a":null}', '{}'),
	('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'), ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'), ('{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'),
	('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'), ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'), ('["a","b"]', '["c","d"]', '["c","d"]'),
	('{"a":"b"}', '["c"]', '["c"]'), ('{"a":"foo"}', 'null', 'null'), ('{"a":"foo"}', '"bar"', '"bar"'), ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'),
	('[1,2]', '{"a":"b","c":null}', '{"a":"b"}'), ('{}', '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}');
SELECT target, patch, flex_json_merge_patch(target, patch), flex_json_merge_patch(target, patch) = result AS is_right FROM cases;
-- and others: nothing there, no patch, digits that stay, deep down
SELECT target, patch, flex_json_merge_patch(target, patch) FROM (VALUES (NULL::jsonb, '{"a":{"b":null,"c":1}}'::jsonb), (NULL, NULL), ('{"a":1}', NULL), (NULL, '1'), ('1', '{}'),
	('{"a":1.500,"é\"":"\u0001"}', '{"b":1e2}'), ('{"a":{"b":{"c":1,"d":[{"e":1}]},"f":2}}', '{"a":{"b":{"c":null,"d":[]}}}'), ('{"a":{"b":1}}', '{"a":[{"b":null}]}')) AS others (target, patch);
SELECT flex_json_merge_patch((repeat('{"a":', 1000) || '1' || repeat('}', 1000))::jsonb, (repeat('{"a":', 1000) || '{"b":2}' || repeat('}', 1000))::jsonb)
	= (repeat('{"a":', 1000) || '{"b":2}' || repeat('}', 1000))::jsonb AS deep;

-- The configuration: what is not named stays, and is not sent
SELECT FROM flex_configuration_update('{"account_sid": "AC00000000000000000000000000000000", "ui_attributes": {"a": {"b": 1, "c": [1, 2]}, "d": "stays"}, "taskrouter_skills": [{"name": "x"}], "crm_enabled": true}');
SELECT ui_attributes, taskrouter_skills, crm_enabled FROM flex_configuration_merge('{"ui_attributes": {"a": {"b": null, "c": [3], "e": {"f": null, "g": 1}}}}');
SELECT ui_attributes, taskrouter_skills FROM flex_configuration_fetch();
CALL pg_temp.forget();
SELECT crm_enabled, taskrouter_skills FROM flex_configuration_merge('{"taskrouter_skills": [{"name": "y"}], "crm_enabled": false}');
SELECT request, body FROM pg_temp.sent();
-- a null of the configuration itself is sent
SELECT crm_enabled, markdown FROM flex_configuration_merge('{"markdown": null}');
-- others' changes: those before it are merged into, unless they are asked about; those in between the service refuses
SELECT date_updated AS seen FROM flex_configuration_fetch() \gset
SELECT ui_language FROM flex_configuration_merge('{"ui_language": "en"}', :'seen');
SELECT pg_temp.attempt(format('SELECT FROM flex_configuration_merge(''{"ui_language": "fr"}'', %L)', timestamptz :'seen' - interval '1 second'));
CALL pg_temp.fault('{"method": "POST", "path": "/v1/Configuration", "status": 409, "code": 45102, "message": "Collision On Configuration Change"}');
SELECT pg_temp.attempt('SELECT FROM flex_configuration_merge(''{"ui_language": "fr"}'')');
SELECT ui_language FROM flex_configuration_fetch();

-- What cannot be merged
SELECT statement, pg_temp.attempt(statement) FROM unnest(ARRAY[
	'SELECT FROM flex_configuration_merge(NULL)', 'SELECT FROM flex_configuration_merge(''{}'')', 'SELECT FROM flex_configuration_merge(''[]'')', 'SELECT FROM flex_configuration_merge(''{"account_sid": "AC1"}'')',
	'SELECT FROM flex_configuration_merge(''{"new_member": {"a": 1}, "other": 1}'')']) AS statement;

-- Whoever merges needs the rights of what it does
SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_flex_api_plain;
RESET client_min_messages;
CREATE ROLE regress_flex_api_plain;
GRANT EXECUTE ON FUNCTION flex_configuration_merge TO regress_flex_api_plain;
SET ROLE regress_flex_api_plain;
SELECT pg_temp.attempt('SELECT FROM flex_configuration_merge(''{"ui_language": "fr"}'')');
RESET ROLE;
GRANT EXECUTE ON FUNCTION flex_configuration_fetch, flex_configuration_update, flex_json_merge_patch TO regress_flex_api_plain;
SET ROLE regress_flex_api_plain;
SET search_path = pg_temp;
SELECT ui_language FROM public.flex_configuration_merge('{"ui_language": "fr"}');
RESET search_path;
RESET ROLE;
-- and no more
SELECT has_function_privilege('public', f, 'EXECUTE') FROM unnest(ARRAY['flex_configuration_merge(jsonb, timestamptz)', 'flex_json_merge_patch(jsonb, jsonb)']) AS f;

SET client_min_messages = warning;
DROP EXTENSION flex_api CASCADE;
DROP ROLE regress_flex_api_plain;
