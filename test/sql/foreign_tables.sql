--
-- foreign_tables.sql
--	  Servers, user mappings, the import of tables, and how they are read: which
--	  request a query sends, with what, and how many.
--
\getenv directory PG_ABS_SRCDIR
\set connect :directory '/sql/include/connect.psql'
\i :connect
CALL pg_temp.reset('{"channels": 2500, "flows": 7}');

CREATE SERVER twilio FOREIGN DATA WRAPPER flex_api OPTIONS (account_sid 'AC00000000000000000000000000000000');
CREATE USER MAPPING FOR PUBLIC SERVER twilio OPTIONS (auth_token 'test-token');
CREATE SCHEMA twilio;
IMPORT FOREIGN SCHEMA flex FROM SERVER twilio INTO twilio;
SELECT c.relname, string_agg(format('%s %s', a.attname, format_type(a.atttypid, NULL)), ', ' ORDER BY attnum) AS columns
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND attnum > 0
WHERE c.relnamespace = 'twilio'::regnamespace AND relkind = 'f' AND relname <> 'configuration' GROUP BY 1 ORDER BY 1;

-- A whole list, its rows as the function has them
CALL pg_temp.forget();
SELECT count(*), count(DISTINCT sid) FROM twilio.channels;
SELECT count(*), count(DISTINCT parameters) FROM pg_temp.sent();
SELECT count(*) FROM (SELECT account_sid, flex_flow_sid, sid, user_sid, task_sid, url, date_created, date_updated FROM twilio.channels
	EXCEPT ALL SELECT * FROM flex_channels_list()) AS rest;
SELECT count(*) FROM twilio.channels WHERE identity IS NULL;

-- LIMIT reaches the page size; a condition that is only ours makes it an estimate
CALL pg_temp.forget();
SELECT count(*) FROM (SELECT sid FROM twilio.channels LIMIT 10) AS ten;
SELECT count(*) FROM (SELECT sid FROM twilio.channels OFFSET 3 LIMIT 7) AS seven;
SELECT count(*) FROM (SELECT sid FROM twilio.channels LIMIT 1500) AS many;
SELECT count(*) FROM (SELECT sid FROM twilio.channels LIMIT 0) AS none;
SELECT request, parameters, status FROM pg_temp.sent();

-- A key is one fetch; what is not there, or cannot be, is no row
SELECT min(sid) AS one, max(sid) AS other FROM twilio.channels \gset
CALL pg_temp.forget();
SELECT sid = :'one' AS is_it FROM twilio.channels WHERE sid = :'one';
SELECT count(*) FROM twilio.channels WHERE sid = 'CH00000000000000000000000000000bad';
SELECT count(*) FROM twilio.channels WHERE sid = 'no SID' OR false;
SELECT count(*) FROM twilio.channels WHERE sid = NULL::text || 'x';
SELECT count(*) FROM twilio.channels WHERE sid = :'one' AND flex_flow_sid = 'FO';
SELECT request, status FROM pg_temp.sent();

-- Many keys, each once
CALL pg_temp.forget();
SELECT count(*) FROM twilio.channels WHERE sid = ANY (ARRAY[:'one', :'other', :'one', NULL, 'CH', 'CH00000000000000000000000000000bad']);
SELECT count(*) FROM twilio.channels WHERE sid IN (:'one', :'other');
SELECT request, status, count(*) FROM pg_temp.sent() GROUP BY 1, 2 ORDER BY 1, 2;

-- A row that the service finds by another of its names, too, is one row; its own key is the column's
SELECT sid AS plugin FROM flex_plugin_create('two-names') \gset
SELECT count(*) FROM twilio.plugins WHERE sid = ANY (ARRAY['two-names', :'plugin']);
SELECT count(*) FROM twilio.plugins WHERE sid = ANY (ARRAY['two-names', 'three']);
UPDATE twilio.plugins SET description = 'once' WHERE sid IN (:'plugin', 'two-names');
SELECT count(*) AS updates FROM pg_temp.sent() WHERE request LIKE 'POST %/Plugins/%';

-- A filter that the list has is sent; the others are PostgreSQL's
CALL pg_temp.forget();
SELECT friendly_name AS name FROM twilio.flows ORDER BY 1 LIMIT 1 \gset
SELECT count(*) FROM twilio.flows WHERE friendly_name = :'name';
SELECT count(*) FROM twilio.flows WHERE enabled;
SELECT count(*) FROM twilio.flows WHERE friendly_name COLLATE "C" = :'name' AND friendly_name LIKE '%';
SELECT request, parameters, status FROM pg_temp.sent();

-- An argument that no answer has reads as what was asked for
SELECT count(*), bool_and(include_inactive) FROM twilio.insights_questionnaires WHERE include_inactive;
SELECT count(*), bool_or(include_inactive) FROM twilio.insights_questionnaires WHERE NOT include_inactive;
SELECT count(*) FROM twilio.insights_questionnaires WHERE include_inactive IS NULL;

-- Arguments of the path are needed
SELECT sid FROM twilio.interaction_channels;
SELECT sid FROM twilio.interaction_invites WHERE interaction_sid = 'KD00000000000000000000000000000001';
SELECT sid FROM twilio.interactions;
SELECT * FROM twilio.webchats;
SELECT pg_temp.attempt($$SELECT sid FROM twilio.interaction_channels WHERE interaction_sid = 'KD00000000000000000000000000000bad'$$);
SELECT sid FROM twilio.interaction_channels WHERE interaction_sid = 'KD';
SELECT count(*) FROM twilio.interaction_channels WHERE interaction_sid = 'KD00000000000000000000000000000bad' AND sid = 'UO00000000000000000000000000000bad';
SELECT sid AS interaction FROM flex_interaction_create('{"type": "sms", "initiated_by": "customer"}') \gset
SELECT count(*), bool_and(interaction_sid = :'interaction') FROM twilio.interaction_channels WHERE interaction_sid = :'interaction';
SELECT count(*) FROM twilio.interactions AS i JOIN twilio.interaction_channels AS c ON c.interaction_sid = i.sid WHERE i.sid = :'interaction';

-- There is one of it
SELECT status FROM twilio.configuration;
SELECT count(*) FROM twilio.provisioning_status;

-- EXPLAIN, without a request and with them
CALL pg_temp.forget();
EXPLAIN (COSTS OFF) SELECT sid FROM twilio.channels LIMIT 10;
EXPLAIN (COSTS OFF) SELECT sid FROM twilio.channels WHERE sid = 'CH';
EXPLAIN (COSTS OFF) SELECT sid FROM twilio.channels WHERE sid = ANY (ARRAY['CH', 'CI']);
EXPLAIN (COSTS OFF) SELECT sid FROM twilio.flows WHERE friendly_name = 'x' AND enabled;
EXPLAIN (COSTS OFF) SELECT c.sid FROM twilio.interactions AS i JOIN twilio.interaction_channels AS c ON c.interaction_sid = i.sid WHERE i.sid = 'KD';
SELECT count(*) FROM pg_temp.sent();
CREATE FUNCTION pg_temp.explained(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) ' || query LOOP
		RETURN NEXT regexp_replace(line, '(Bytes Received: |rows=)[0-9.]+', '\1N');
	END LOOP;
END $$;
SELECT * FROM pg_temp.explained('SELECT * FROM twilio.channels');

-- Options: the validator names what it refuses, and what it knows
CREATE SERVER bad FOREIGN DATA WRAPPER flex_api OPTIONS (acount_sid 'AC');
CREATE SERVER bad FOREIGN DATA WRAPPER flex_api OPTIONS (auth_token 'secret');
CREATE SERVER bad FOREIGN DATA WRAPPER flex_api OPTIONS (base_url 'ftp://example.com');
CREATE SERVER bad FOREIGN DATA WRAPPER flex_api OPTIONS (proxy 'secret');
CREATE SERVER bad FOREIGN DATA WRAPPER flex_api OPTIONS (region 'Upper');
CREATE SERVER bad FOREIGN DATA WRAPPER flex_api OPTIONS (timeout 'soon');
CREATE SERVER bad FOREIGN DATA WRAPPER flex_api OPTIONS (page_size '1001');
ALTER USER MAPPING FOR PUBLIC SERVER twilio OPTIONS (user 'x');
ALTER USER MAPPING FOR PUBLIC SERVER twilio OPTIONS (api_key 'SK');
CREATE FOREIGN TABLE bad (sid text) SERVER twilio OPTIONS (resource 'chanels');
CREATE FOREIGN TABLE bad (sid text) SERVER twilio OPTIONS (rows '0');
CREATE FOREIGN TABLE bad (sid text OPTIONS (name 'x')) SERVER twilio OPTIONS (resource 'channels');
ALTER FOREIGN DATA WRAPPER flex_api OPTIONS (x 'y');

-- Columns that are renamed, unknown, of another type
CREATE FOREIGN TABLE renamed (id text OPTIONS (column_name 'sid'), account_sid text, strange text, date_created text)
	SERVER twilio OPTIONS (resource 'channels', page_size '7', rows '20');
CALL pg_temp.forget();
SELECT id = :'one', account_sid, strange, date_created IS NULL FROM renamed WHERE id = :'one';
SELECT id = :'one' FROM renamed ORDER BY id LIMIT 1;
SELECT request, parameters FROM pg_temp.sent() LIMIT 2;
CREATE FOREIGN TABLE twice (sid text, id text OPTIONS (column_name 'sid')) SERVER twilio OPTIONS (resource 'channels');
SELECT sid = id AS same FROM twice WHERE id = :'one';
ALTER FOREIGN TABLE twice DROP COLUMN sid;
SELECT id = :'one' AS is_it FROM twice WHERE id = :'one';
CREATE FOREIGN TABLE odd (sid char(34)) SERVER twilio OPTIONS (resource 'channels');
SELECT * FROM odd;
CREATE FOREIGN TABLE nothing (sid text) SERVER twilio;
SELECT * FROM nothing;

-- An import that is repeated says what differs
ALTER FOREIGN TABLE twilio.flows DROP COLUMN url;
ALTER FOREIGN TABLE twilio.flows ALTER COLUMN date_created TYPE text;
IMPORT FOREIGN SCHEMA flex LIMIT TO (flows, channels) FROM SERVER twilio INTO twilio;
-- ... also of tables that cannot be used, which do not prevent the import of others
CREATE SCHEMA odd;
CREATE FOREIGN TABLE odd.channels (sid text, id text OPTIONS (column_name 'sid')) SERVER twilio;
CREATE FOREIGN TABLE odd.flows (sid varchar) SERVER twilio;
IMPORT FOREIGN SCHEMA flex LIMIT TO (flows, channels, plugins) FROM SERVER twilio INTO odd;
SELECT count(*) FROM pg_class WHERE oid = to_regclass('odd.plugins');
IMPORT FOREIGN SCHEMA flex LIMIT TO (chanels) FROM SERVER twilio INTO twilio;
IMPORT FOREIGN SCHEMA public FROM SERVER twilio INTO twilio;
IMPORT FOREIGN SCHEMA flex FROM SERVER twilio INTO twilio OPTIONS (x 'y');
CREATE SCHEMA other;
IMPORT FOREIGN SCHEMA flex EXCEPT (channels) FROM SERVER twilio INTO other;
SELECT count(*), count(*) FILTER (WHERE relname = 'channels') FROM pg_class WHERE relnamespace = 'other'::regnamespace AND relkind = 'f';

-- What is altered counts at once, in prepared statements, too
PREPARE flows AS SELECT count(*) FROM twilio.flows;
EXECUTE flows;
ALTER SERVER twilio OPTIONS (DROP account_sid);
EXECUTE flows;
ALTER SERVER twilio OPTIONS (ADD account_sid 'AC00000000000000000000000000000000');
ALTER USER MAPPING FOR PUBLIC SERVER twilio OPTIONS (SET auth_token 'wrong');
SELECT pg_temp.attempt('EXECUTE flows');
ALTER USER MAPPING FOR PUBLIC SERVER twilio OPTIONS (DROP auth_token);
EXECUTE flows;
DROP USER MAPPING FOR PUBLIC SERVER twilio;
\set VERBOSITY sqlstate
EXECUTE flows;
\set VERBOSITY default
-- The session's settings are none of a table's
SELECT count(*) FROM flex_flows_list();
SELECT flex_user_mapping_set('twilio', 'public', '{"api_key": "SK00000000000000000000000000000000", "api_secret": "test-secret"}');
EXECUTE flows;
CREATE FUNCTION pg_temp.told() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '% %', tg_event, tg_tag; END $$;
CREATE EVENT TRIGGER told ON ddl_command_start WHEN TAG IN ('CREATE USER MAPPING', 'ALTER USER MAPPING') EXECUTE FUNCTION pg_temp.told();
SELECT flex_user_mapping_set('twilio', 'public', '{"auth_token": "test-token"}');
DROP EVENT TRIGGER told;
EXECUTE flows;
BEGIN READ ONLY;
SELECT flex_user_mapping_set('twilio', 'public', '{}');
ROLLBACK;
SELECT umoptions FROM pg_user_mappings WHERE srvname = 'twilio';
SELECT flex_user_mapping_set('twilio', 'public', '{"token": "test-token"}');
SELECT flex_user_mapping_set('twilio', 'public', '["auth_token"]');
SELECT flex_user_mapping_set('twilio', 'nobody', '{}');
SELECT flex_user_mapping_set('twillio', 'public', '{}');

-- What foreign tables of this kind do not do
ANALYZE twilio.flows;
SELECT sid FROM twilio.flows FOR UPDATE;
TRUNCATE twilio.flows;
