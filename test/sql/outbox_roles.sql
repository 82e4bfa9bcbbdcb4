--
-- outbox_roles.sql
--	  Which role may enqueue what and see which requests, and that none writes the
--	  outbox by hand.
--
\getenv directory PG_ABS_SRCDIR
\set connect :directory '/sql/include/connect.psql'
\i :connect
\set SHOW_CONTEXT never
SET client_min_messages = error;
DROP ROLE IF EXISTS regress_flex_outbox_a, regress_flex_outbox_b;
CREATE ROLE regress_flex_outbox_a;
CREATE ROLE regress_flex_outbox_b;
SELECT flex_enqueue('flex_provisioning_status_fetch', '{}') AS mine \gset

-- Without EXECUTE: neither on flex_enqueue, nor with it on the function that is named
SET ROLE regress_flex_outbox_a;
SELECT flex_enqueue('flex_provisioning_status_fetch', '{}');
CALL flex_outbox_drain();
SELECT flex_outbox_retry(1);
SELECT flex_outbox_cancel(1);
SELECT flex_outbox_await(1);
RESET ROLE;
GRANT EXECUTE ON FUNCTION flex_enqueue, flex_outbox_cancel, flex_outbox_retry, flex_outbox_await
	TO regress_flex_outbox_a, regress_flex_outbox_b;
SET ROLE regress_flex_outbox_a;
SELECT flex_enqueue('flex_provisioning_status_fetch', '{}');
SELECT flex_enqueue('flex_nothing', '{}');
RESET ROLE;
GRANT EXECUTE ON FUNCTION flex_provisioning_status_fetch() TO regress_flex_outbox_a, regress_flex_outbox_b;
CREATE SCHEMA regress_flex_private;
CREATE FUNCTION regress_flex_private.hidden(flex_outbox) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION forbidden(flex_outbox) RETURNS void LANGUAGE sql AS '';
REVOKE EXECUTE ON FUNCTION forbidden FROM PUBLIC;

-- Callbacks that the role may not call
SET ROLE regress_flex_outbox_a;
SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', on_success => 'forbidden');
SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', on_failure => 'forbidden');
SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', on_success => 'regress_flex_private.hidden');

-- Each role sees its own requests, and no others
SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', '"of a"', unique_key => 'k') AS of_a \gset
SELECT context, enqueued_by FROM flex_outbox;
SELECT operation, pending FROM flex_outbox_summary;
SET ROLE regress_flex_outbox_b;
SELECT count(*) FROM flex_outbox;
SELECT count(*) FROM flex_outbox_summary;
SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', '"of b"') AS of_b \gset
SELECT context, enqueued_by FROM flex_outbox;
SELECT flex_outbox_cancel(:of_a);
SELECT flex_outbox_retry(:of_a);
SELECT flex_outbox_await(:of_a, '0 s');
SELECT flex_outbox_cancel(0);
SELECT (flex_outbox_await(:of_b, '0 s')).state;
-- by a function that is told more than it should be
CREATE FUNCTION pg_temp.leaky(jsonb) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN RAISE NOTICE '%', $1; RETURN true; END $$;
SET client_min_messages = notice;
SELECT context FROM flex_outbox WHERE pg_temp.leaky(context);
SET client_min_messages = error;
RESET ROLE;
SELECT context, enqueued_by = current_user AS mine FROM flex_outbox ORDER BY id;
SELECT flex_outbox_cancel(:of_b);

-- Nobody writes the tables by hand
SET ROLE regress_flex_outbox_a;
SELECT outcome
FROM unnest(ARRAY[
	'INSERT INTO flex_outbox DEFAULT VALUES',
	'INSERT INTO flex_outbox OVERRIDING SYSTEM VALUE SELECT * FROM flex_outbox',
	'UPDATE flex_outbox SET state = ''pending''',
	'DELETE FROM flex_outbox',
	'TRUNCATE flex_outbox',
	'LOCK TABLE flex_outbox IN SHARE MODE',
	'SELECT * FROM flex_outbox FOR UPDATE',
	'SELECT nextval(''flex_outbox_id_seq'')',
	'INSERT INTO flex_outbox_holds VALUES (''flex_channel_fetch'', now())',
	'DELETE FROM flex_outbox_activity',
	'CREATE TRIGGER t BEFORE INSERT ON flex_outbox FOR EACH ROW EXECUTE FUNCTION flex_outbox_refuse_replica()',
	'ALTER TABLE flex_outbox DISABLE ROW LEVEL SECURITY',
	'CREATE POLICY all_of_them ON flex_outbox USING (true)',
	'SELECT flex_outbox_wake()']) AS statement,
	LATERAL (SELECT pg_temp.attempt(statement) AS outcome LIMIT 1) AS attempt;
-- what stands there may be read, and says nothing of others
SELECT count(*) FROM flex_outbox_holds;
SELECT count(*) FROM flex_outbox_activity;
RESET ROLE;

-- retry and cancel: NULL does nothing, states that do not allow it say so; what is pending stays so
SELECT flex_outbox_cancel(NULL) IS NULL AS nothing, flex_outbox_retry(NULL) IS NULL AS nothing;
SELECT replace(outcome, :'of_b', 'ID') FROM pg_temp.attempt(format('SELECT flex_outbox_cancel(%s)', :of_b)) AS outcome;
SELECT flex_outbox_retry(:of_b);
SELECT replace(outcome, :'of_b', 'ID') FROM pg_temp.attempt(format('SELECT flex_outbox_retry(%s)', :of_b)) AS outcome;
SELECT state, finished_at, attempts FROM flex_outbox WHERE id = :of_b;
SET ROLE regress_flex_outbox_b;
SELECT flex_outbox_cancel(:of_b);
SELECT state, finished_at IS NOT NULL AS finished FROM flex_outbox;
RESET ROLE;

-- A trigger with its owner's rights enqueues as its owner; without them, as the role that caused it
CREATE TABLE tickets (id integer);
CREATE FUNCTION enqueue_as_owner() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
	PERFORM flex_enqueue('flex_provisioning_status_fetch', '{}', to_jsonb(NEW.id));
	RETURN NEW;
END $$;
CREATE FUNCTION enqueue_as_caller() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM flex_enqueue('flex_provisioning_status_fetch', '{}', to_jsonb(NEW.id + 1));
	RETURN NEW;
END $$;
ALTER FUNCTION enqueue_as_owner() OWNER TO regress_flex_outbox_b;
GRANT INSERT ON tickets TO regress_flex_outbox_a;
CREATE TRIGGER one BEFORE INSERT ON tickets FOR EACH ROW EXECUTE FUNCTION enqueue_as_owner();
CREATE TRIGGER two BEFORE INSERT ON tickets FOR EACH ROW EXECUTE FUNCTION enqueue_as_caller();
DELETE FROM flex_outbox_requests;
SET ROLE regress_flex_outbox_a;
INSERT INTO tickets VALUES (1);
SELECT context, enqueued_by FROM flex_outbox ORDER BY id;
RESET ROLE;
SELECT context, enqueued_by, enqueued_role::regrole FROM flex_outbox ORDER BY id;
DELETE FROM flex_outbox_requests;

-- SET SESSION AUTHORIZATION as SET ROLE
SET SESSION AUTHORIZATION regress_flex_outbox_a;
SELECT count(flex_enqueue('flex_provisioning_status_fetch', '{}'));
RESET SESSION AUTHORIZATION;
SELECT enqueued_by, session_user = current_user AS back FROM flex_outbox;

-- A role that takes over another's name does not see the first one's requests
ALTER ROLE regress_flex_outbox_a RENAME TO regress_flex_outbox_c;
ALTER ROLE regress_flex_outbox_b RENAME TO regress_flex_outbox_a;
SET ROLE regress_flex_outbox_a;
SELECT count(*) FROM flex_outbox;
SET ROLE regress_flex_outbox_c;
SELECT count(*) FROM flex_outbox;
RESET ROLE;

-- The owner's rights are given back, also after an error
SET ROLE regress_flex_outbox_c;
BEGIN;
SAVEPOINT s;
SELECT flex_outbox_cancel(0);
ROLLBACK TO s;
SELECT current_user;
SELECT count(*) FROM flex_outbox;
COMMIT;
RESET ROLE;

SET client_min_messages = warning;
DROP TABLE tickets;
DROP FUNCTION enqueue_as_owner, enqueue_as_caller;
DROP EXTENSION flex_api CASCADE;
DROP SCHEMA regress_flex_private CASCADE;
DROP OWNED BY regress_flex_outbox_a, regress_flex_outbox_c;
DROP ROLE regress_flex_outbox_a, regress_flex_outbox_c;
