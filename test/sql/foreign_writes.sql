--
-- foreign_writes.sql
--	  INSERT, UPDATE and DELETE on foreign tables: what is sent, what comes back, what
--	  is refused, and what an error says of what was carried out.
--
\getenv directory PG_ABS_SRCDIR
\set connect :directory '/sql/include/connect.psql'
\i :connect
CALL pg_temp.reset('{"channels": 30, "flows": 3}');

CREATE SERVER twilio FOREIGN DATA WRAPPER flex_api OPTIONS (account_sid 'AC00000000000000000000000000000000');
CREATE USER MAPPING FOR PUBLIC SERVER twilio OPTIONS (auth_token 'test-token');
CREATE SCHEMA written;
IMPORT FOREIGN SCHEMA flex LIMIT TO (channels, flows, interactions, interaction_channels, webchats, users, plugins, configuration)
	FROM SERVER twilio INTO written;
SET search_path = written, public;

-- What the service has operations for
SELECT relname, pg_relation_is_updatable(oid, false)::int::bit(5) AS delete_insert_update
FROM pg_class WHERE relkind = 'f' ORDER BY 1;

-- INSERT creates; RETURNING has the service's row, arguments read as they were given
SELECT sid AS flow FROM flows ORDER BY sid LIMIT 1 \gset
CALL pg_temp.forget();
INSERT INTO channels (flex_flow_sid, identity, chat_friendly_name, chat_user_friendly_name) VALUES (:'flow', 'one', 'a', 'b')
RETURNING sid LIKE 'CH%' AS has_sid, identity, chat_friendly_name, date_created IS NOT NULL AS has_date;
SELECT request, parameters, status FROM pg_temp.sent();

-- Several rows, several at once
CALL pg_temp.forget();
INSERT INTO channels (flex_flow_sid, identity, chat_friendly_name, chat_user_friendly_name)
SELECT :'flow', 'many ' || g, 'a', 'b' FROM generate_series(1, 50) AS g;
SELECT count(*), count(DISTINCT body), min(status), max(status) FROM pg_temp.sent();
EXPLAIN (COSTS off) INSERT INTO channels (flex_flow_sid, identity) SELECT :'flow', 'many ' || g FROM generate_series(1, 50) AS g;

-- What cannot be sent is an error before anything is
CALL pg_temp.forget();
INSERT INTO channels (flex_flow_sid, identity, chat_friendly_name, chat_user_friendly_name)
SELECT CASE g WHEN 3 THEN 'no SID' ELSE :'flow' END, 'x', 'a', 'b' FROM generate_series(1, 5) AS g;
INSERT INTO channels (flex_flow_sid, identity) VALUES (:'flow', 'x');
INSERT INTO channels (sid, flex_flow_sid, identity, chat_friendly_name, chat_user_friendly_name)
VALUES ('CH00000000000000000000000000000000', :'flow', 'x', 'a', 'b');
INSERT INTO users (flex_user_sid) VALUES ('FU00000000000000000000000000000000');
INSERT INTO webchats (address_sid) VALUES ('IGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa') ON CONFLICT DO NOTHING;
SELECT count(*) FROM pg_temp.sent();

-- One of many is refused: what was carried out is told
CALL pg_temp.fault('{"path": "/v1/Channels", "skip": 2, "status": 400, "times": 1}');
ALTER FOREIGN TABLE channels OPTIONS (ADD concurrency '1');
\set VERBOSITY terse
INSERT INTO channels (flex_flow_sid, identity, chat_friendly_name, chat_user_friendly_name)
SELECT :'flow', 'fails ' || g, 'a', 'b' FROM generate_series(1, 5) AS g;
\set VERBOSITY default
SELECT count(*) FROM pg_temp.sent();
DO $$
DECLARE
	said text;
	at text;
BEGIN
	CALL pg_temp.fault('{"path": "/v1/Channels", "skip": 2, "status": 400, "times": 1}');
	INSERT INTO channels (flex_flow_sid, identity, chat_friendly_name, chat_user_friendly_name)
	SELECT (SELECT min(sid) FROM flows), 'fails ' || g, 'a', 'b' FROM generate_series(1, 5) AS g;
EXCEPTION WHEN SQLSTATE 'TW400' THEN
	GET STACKED DIAGNOSTICS said = PG_EXCEPTION_DETAIL, at = PG_EXCEPTION_CONTEXT;
	RAISE NOTICE '%', regexp_replace(said, '[A-Z]{2}[0-9a-f]{32}', 'SID', 'g');
	RAISE NOTICE '%', split_part(at, E'\n', 1);
END $$;
-- also if a row of a later batch cannot be sent
DO $$
DECLARE
	said text;
	at text;
BEGIN
	INSERT INTO channels (flex_flow_sid, identity, chat_friendly_name, chat_user_friendly_name)
	SELECT CASE g WHEN 12 THEN 'no SID' ELSE (SELECT min(sid) FROM flows) END, 'fails ' || g, 'a', 'b' FROM generate_series(1, 12) AS g;
EXCEPTION WHEN SQLSTATE '22023' THEN
	GET STACKED DIAGNOSTICS said = PG_EXCEPTION_DETAIL, at = PG_EXCEPTION_CONTEXT;
	RAISE NOTICE '%', regexp_replace(said, '[A-Z]{2}[0-9a-f]{32}', 'SID', 'g');
	RAISE NOTICE '%', split_part(at, E'\n', 1);
END $$;
ALTER FOREIGN TABLE channels OPTIONS (DROP concurrency);

-- EXPLAIN ANALYZE says what was sent
CREATE FUNCTION pg_temp.explained(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) ' || query LOOP
		line := regexp_replace(line, '[A-Z]{2}[0-9a-f]{32}', 'SID');
		RETURN NEXT regexp_replace(line, '(Bytes Received: |Bytes Sent: |rows=)[0-9.]+', '\1N');
	END LOOP;
END $$;
CALL pg_temp.fault('{"path": "/v1/Channels", "status": 429, "times": 1}');
SELECT * FROM pg_temp.explained(format($q$INSERT INTO channels (flex_flow_sid, identity, chat_friendly_name, chat_user_friendly_name)
	SELECT %L, 'explained ' || g, 'a', 'b' FROM generate_series(1, 5) AS g$q$, :'flow'));
SELECT * FROM pg_temp.explained(format($q$UPDATE flows SET friendly_name = 'explained' WHERE sid = %L RETURNING sid$q$, :'flow'));
SELECT * FROM pg_temp.explained($q$DELETE FROM channels WHERE sid = 'CH00000000000000000000000000000bad'$q$);

-- UPDATE sends what is set, and no more
CALL pg_temp.forget();
UPDATE flows SET friendly_name = 'renamed', enabled = false WHERE sid = :'flow' RETURNING friendly_name, enabled, sid = :'flow' AS is_it;
UPDATE flows SET friendly_name = friendly_name || '!' WHERE sid = :'flow';
UPDATE flows SET friendly_name = 'x' WHERE sid = 'FO00000000000000000000000000000bad';
SELECT request, parameters, status FROM pg_temp.sent();
SELECT friendly_name FROM flows WHERE sid = :'flow';
UPDATE flows SET sid = 'FO00000000000000000000000000000000';
UPDATE flows SET date_created = now();
UPDATE channels SET identity = 'x';
EXPLAIN (COSTS off) UPDATE flows SET friendly_name = 'x' WHERE sid = 'FO00000000000000000000000000000bad';

-- One of which there is one
UPDATE configuration SET body = '{"account_sid": "AC00000000000000000000000000000000", "ui_version": "2.1.0"}' RETURNING ui_version;

-- DELETE by the scan itself, with any condition; all rows are found before the first is deleted
SELECT count(*) AS all FROM channels \gset
CALL pg_temp.forget();
EXPLAIN (COSTS off) DELETE FROM channels WHERE sid = 'CH00000000000000000000000000000bad';
DELETE FROM channels WHERE right(sid, 1) < '8';
SELECT count(*) < :all AS fewer, count(*) FILTER (WHERE right(sid, 1) < '8') AS of_those FROM channels;
SELECT split_part(request, ' ', 1) AS method, count(*) > 0 AS some, min(status), max(status) FROM pg_temp.sent() GROUP BY 1 ORDER BY 1;
DELETE FROM channels WHERE sid = 'CH00000000000000000000000000000bad';

-- Its conditions see what those of a query see
SELECT count(*) AS all FROM channels \gset
DELETE FROM channels WHERE tableoid <> 'channels'::regclass;
SELECT count(*) = :all AS none_is_deleted FROM channels;

-- What a statement creates it does not read
SELECT count(*) AS all FROM flows \gset
ALTER FOREIGN TABLE flows OPTIONS (ADD page_size '2');
INSERT INTO flows (friendly_name, chat_service_sid, channel_type)
SELECT 'copy of ' || friendly_name, chat_service_sid, 'web' FROM flows RETURNING friendly_name IS NOT NULL AS is_copy;
SELECT count(*) = 2 * :all AS each_once FROM flows;
UPDATE flows SET friendly_name = friendly_name || '?' WHERE friendly_name LIKE 'copy of%';
SELECT count(*) = :all AS each_once FROM flows WHERE friendly_name LIKE 'copy of%?';
ALTER FOREIGN TABLE flows OPTIONS (DROP page_size);

-- Columns that the server generates are its own
CREATE FOREIGN TABLE generated (sid text, flex_flow_sid text, identity text, chat_friendly_name text,
	chat_user_friendly_name text GENERATED ALWAYS AS (identity || '!') STORED) SERVER twilio OPTIONS (resource 'channels');
INSERT INTO generated (flex_flow_sid, identity, chat_friendly_name) VALUES (:'flow', 'generated', 'a') RETURNING chat_user_friendly_name;
DROP FOREIGN TABLE generated;

-- A trigger that would change what is not sent
CREATE FUNCTION pg_temp.change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.enabled := true; RETURN NEW; END $$;
CREATE TRIGGER change BEFORE UPDATE ON flows FOR EACH ROW EXECUTE FUNCTION pg_temp.change();
UPDATE flows SET friendly_name = 'x' WHERE sid = :'flow';
DROP TRIGGER change ON flows;

-- One partition among others
CREATE TABLE parted (flex_flow_sid text, identity text, chat_friendly_name text, chat_user_friendly_name text) PARTITION BY LIST (chat_friendly_name);
CREATE FOREIGN TABLE parted_a PARTITION OF parted FOR VALUES IN ('a') SERVER twilio OPTIONS (resource 'channels');
INSERT INTO parted VALUES (:'flow', 'routed', 'a', 'b') RETURNING identity, tableoid::regclass;
INSERT INTO parted VALUES (:'flow', 'routed', 'a', 'b') ON CONFLICT DO NOTHING;
DROP TABLE parted;

-- A table that is none breaks no list of tables
CREATE FOREIGN TABLE nothing (sid point) SERVER twilio;
SELECT is_insertable_into FROM information_schema.tables WHERE table_name = 'nothing';
DROP FOREIGN TABLE nothing;

-- Row by row, where somebody wants to see them
SELECT min(sid) AS one FROM channels \gset
DELETE FROM channels WHERE sid = :'one' RETURNING sid = :'one' AS is_it, date_created IS NOT NULL AS has_date;
CREATE TEMP TABLE old_ones AS SELECT sid FROM channels ORDER BY sid LIMIT 3;
DELETE FROM channels USING old_ones WHERE channels.sid = old_ones.sid;
SELECT count(*) FROM channels JOIN old_ones USING (sid);
DELETE FROM plugins;
TRUNCATE channels;

-- Triggers see rows as the service has them
CREATE TEMP TABLE seen (what text, sid text);
CREATE FUNCTION pg_temp.see() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO seen VALUES (TG_OP, CASE TG_OP WHEN 'DELETE' THEN OLD.sid ELSE NEW.sid END);
	RETURN NULL;
END $$;
CREATE TRIGGER see AFTER INSERT OR DELETE ON channels FOR EACH ROW EXECUTE FUNCTION pg_temp.see();
INSERT INTO channels (flex_flow_sid, identity, chat_friendly_name, chat_user_friendly_name)
SELECT :'flow', 'seen ' || g, 'a', 'b' FROM generate_series(1, 2) AS g;
DELETE FROM channels WHERE sid = (SELECT sid FROM seen LIMIT 1);
SELECT what, count(*), bool_and(sid LIKE 'CH%') AS have_sids FROM seen GROUP BY 1 ORDER BY 1;
DROP TRIGGER see ON channels;

-- COPY
CALL pg_temp.forget();
SELECT format('echo ''%s,copied,a,b''', :'flow') AS rows \gset
COPY channels (flex_flow_sid, identity, chat_friendly_name, chat_user_friendly_name) FROM PROGRAM :'rows' (FORMAT csv);
SELECT request, parameters, status FROM pg_temp.sent();
COPY users FROM PROGRAM 'true';

-- A transaction that may not write
BEGIN READ ONLY;
INSERT INTO channels (flex_flow_sid, identity, chat_friendly_name, chat_user_friendly_name) VALUES (:'flow', 'x', 'a', 'b');
ROLLBACK;
\set ECHO none
