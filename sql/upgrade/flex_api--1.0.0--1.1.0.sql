-- flex_api: from 1.0.0 to 1.1.0.
--
-- What a fresh install of 1.1.0 has beyond one of 1.0.0, or otherwise; a test compares
-- the two.  A function that is new here is not PUBLIC's: REVOKE EXECUTE on it.
\echo Use "ALTER EXTENSION flex_api UPDATE TO '1.1.0'" to load this file. \quit

-- The table of requests becomes flex_outbox_requests, with a view flex_outbox before it that
-- shows what readers have seen.  Foreign keys, triggers, and functions and columns on the row
-- type follow the table.  What reads it is made anew, to read the view: views, policies, rules
-- and functions with a parsed body; those that run with the rights of somebody who sees all
-- rows read flex_outbox_all.  Rights that were given move to the view.
CREATE FUNCTION flex_outbox_upgrade_others(statement text) RETURNS void
AS 'MODULE_PATHNAME', 'flex_api_upgrade_others'
LANGUAGE C VOLATILE;

-- What reads a table, with the text that names the table as it is called now.
CREATE FUNCTION flex_outbox_upgrade_readers(relation regclass,
	OUT kind text, OUT object oid, OUT named text, OUT sees_all boolean, OUT body text, OUT options text)
RETURNS SETOF record LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	WITH reader AS (
		SELECT DISTINCT d.classid, d.objid FROM pg_depend AS d
		WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = relation AND d.deptype = 'n'
	), view_or_rule AS (
		SELECT r.oid, r.rulename, c.oid AS relation, c.relkind, c.relowner AS owner, c.reloptions
		FROM reader AS d JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
			JOIN pg_class AS c ON c.oid = r.ev_class
		WHERE NOT EXISTS (SELECT FROM pg_depend AS m WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid AND m.deptype = 'e')
	)
	SELECT CASE WHEN v.rulename <> '_RETURN' THEN 'rule' WHEN v.relkind = 'm' THEN 'materialized view' ELSE 'view' END,
		v.relation, v.relation::regclass::text,
		(o.rolsuper OR o.rolbypassrls) AND NOT EXISTS (SELECT FROM pg_options_to_table(v.reloptions) AS s
			WHERE s.option_name = 'security_invoker' AND s.option_value::boolean),
		CASE v.rulename WHEN '_RETURN' THEN pg_get_viewdef(v.relation) ELSE pg_get_ruledef(v.oid) END,
		coalesce(' WITH (' || array_to_string(v.reloptions, ', ') || ')', '')
	FROM view_or_rule AS v JOIN pg_roles AS o ON o.oid = v.owner
	UNION ALL
	SELECT 'policy', p.oid, format('%I ON %s', p.polname, p.polrelid::regclass), false,
		concat(' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', ' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')'), ''
	FROM reader AS d JOIN pg_policy AS p ON d.classid = 'pg_policy'::regclass AND p.oid = d.objid
	WHERE p.polrelid <> relation
	UNION ALL
	SELECT 'function', p.oid, p.oid::regprocedure::text, p.prosecdef AND o.rolsuper, pg_get_function_sqlbody(p.oid), ''
	FROM reader AS d JOIN pg_proc AS p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid JOIN pg_roles AS o ON o.oid = p.proowner
$$;

CREATE TABLE flex_outbox_upgrade_rights AS
SELECT a.grantee, a.privilege_type AS privilege, a.is_grantable, NULL::name AS of_column
FROM pg_catalog.pg_class AS c, pg_catalog.aclexplode(c.relacl) AS a
WHERE c.oid OPERATOR(pg_catalog.=) 'flex_outbox'::pg_catalog.regclass AND a.grantee OPERATOR(pg_catalog.<>) c.relowner
UNION ALL
SELECT a.grantee, a.privilege_type, a.is_grantable, t.attname
FROM pg_catalog.pg_attribute AS t, pg_catalog.aclexplode(t.attacl) AS a
WHERE t.attrelid OPERATOR(pg_catalog.=) 'flex_outbox'::pg_catalog.regclass;
DO $$
DECLARE
	grantee text;
BEGIN
	FOR grantee IN SELECT DISTINCT coalesce(pg_catalog.quote_ident(r.rolname), 'PUBLIC')
		FROM @extschema@.flex_outbox_upgrade_rights AS g LEFT JOIN pg_catalog.pg_roles AS r ON r.oid OPERATOR(pg_catalog.=) g.grantee
	LOOP
		PERFORM @extschema@.flex_outbox_upgrade_others('REVOKE ALL ON @extschema@.flex_outbox FROM ' OPERATOR(pg_catalog.||) grantee
			OPERATOR(pg_catalog.||) ' CASCADE');
	END LOOP;
END $$;
DO $$
DECLARE
	policy name;
BEGIN
	FOR policy IN SELECT p.polname FROM pg_catalog.pg_policy AS p
		WHERE p.polrelid OPERATOR(pg_catalog.=) 'flex_outbox'::pg_catalog.regclass AND p.polname OPERATOR(pg_catalog.<>) 'flex_outbox_own'
	LOOP
		RAISE WARNING 'policy "%" on flex_outbox has no effect any more', policy
			USING DETAIL = 'flex_outbox is a view, which shows a role its own requests and a superuser all.',
				HINT = 'GRANT SELECT ON flex_outbox_all to roles that may read all requests.';
	END LOOP;
END $$;
DROP POLICY flex_outbox_own ON flex_outbox;
ALTER TABLE flex_outbox DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;

ALTER TABLE flex_outbox RENAME TO flex_outbox_all;
CREATE TABLE flex_outbox_upgrade_readers AS SELECT * FROM flex_outbox_upgrade_readers('flex_outbox_all'::pg_catalog.regclass) AS r WHERE r.sees_all;
ALTER TABLE flex_outbox_all RENAME TO flex_outbox;
INSERT INTO flex_outbox_upgrade_readers SELECT * FROM flex_outbox_upgrade_readers('flex_outbox'::pg_catalog.regclass) AS r WHERE NOT r.sees_all;
ALTER TABLE flex_outbox RENAME TO flex_outbox_requests;
ALTER INDEX flex_outbox_pkey RENAME TO flex_outbox_requests_pkey;

-- The SID that an answer gave, also where the rest of it could not be kept.
ALTER TABLE flex_outbox_requests ADD COLUMN sid text;
COMMENT ON COLUMN flex_outbox_requests.sid IS
'SID of the resource in the answer (its sid or, for web chats, users and Insights, the member that takes its place, such
as conversation_sid), also if the rest of the answer could not be stored; NULL: the answer had none.';

-- Rows know their role by a number of our own: OIDs do not survive a dump, and names
-- change.  A dump has the names; the OIDs are this cluster's.
CREATE TABLE flex_outbox_roles (
	id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name name);
COMMENT ON TABLE flex_outbox_roles IS
'Roles that have enqueued, with the number that their requests have. After a dump is restored in another cluster, a
number belongs to the role of the same name.';
COMMENT ON COLUMN flex_outbox_roles.id IS 'The number: role_id of the requests.';
COMMENT ON COLUMN flex_outbox_roles.name IS 'Name of the role, when it was last checked; NULL: the role was dropped.';

CREATE TABLE flex_outbox_role_oids (
	role oid PRIMARY KEY,
	id integer NOT NULL UNIQUE);
COMMENT ON TABLE flex_outbox_role_oids IS
'The same roles by their OIDs in this cluster; not dumped. The row of a dropped role stays, so that a new role of the
same name gets another number.';
COMMENT ON COLUMN flex_outbox_role_oids.role IS 'OID of the role.';
COMMENT ON COLUMN flex_outbox_role_oids.id IS 'Its number in flex_outbox_roles.';


-- Requests belong to the roles that could see them.  A finished one whose role and name do not
-- agree, as of a dump that was restored or of a role that was renamed, has been nobody's.
CREATE TABLE flex_outbox_upgrade_owners AS
SELECT pg_catalog.row_number() OVER (ORDER BY o.role, o.by)::integer AS id, o.role, o.by
FROM (SELECT DISTINCT r.enqueued_role AS role,
		CASE WHEN r.finished_at IS NOT NULL AND coalesce(r.enqueued_by OPERATOR(pg_catalog.<>) a.rolname, true) THEN r.enqueued_by END AS by
	FROM flex_outbox_requests AS r LEFT JOIN pg_catalog.pg_roles AS a ON a.oid OPERATOR(pg_catalog.=) r.enqueued_role) AS o;
INSERT INTO flex_outbox_roles (id, name) OVERRIDING SYSTEM VALUE
SELECT o.id, CASE WHEN o.by IS NULL THEN a.rolname END
FROM flex_outbox_upgrade_owners AS o LEFT JOIN pg_catalog.pg_roles AS a ON a.oid OPERATOR(pg_catalog.=) o.role;
INSERT INTO flex_outbox_role_oids (role, id) SELECT o.role, o.id FROM flex_outbox_upgrade_owners AS o WHERE o.by IS NULL;
SELECT pg_catalog.setval('flex_outbox_roles_id_seq', max(o.id)) FROM flex_outbox_upgrade_owners AS o HAVING max(o.id) IS NOT NULL;
CREATE FUNCTION flex_outbox_upgrade_owner(of_role oid, enqueued_by name, finished_at timestamptz) RETURNS integer
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF finished_at IS NOT NULL AND EXISTS (SELECT FROM @extschema@.flex_outbox_upgrade_owners AS o WHERE o.role = of_role AND o.by = enqueued_by) THEN
		RETURN (SELECT o.id FROM @extschema@.flex_outbox_upgrade_owners AS o WHERE o.role = of_role AND o.by = enqueued_by);
	END IF;
	RETURN (SELECT o.id FROM @extschema@.flex_outbox_upgrade_owners AS o WHERE o.role = of_role AND o.by IS NULL);
END $$;

-- In one pass over the table, which is written anew.  Where a column of somebody's is of its row
-- type, that is refused: then row by row, without the triggers.
DROP INDEX flex_outbox_unique_key, flex_outbox_callbacks, flex_outbox_finished, flex_outbox_lanes, flex_outbox_sending;
ALTER TABLE flex_outbox_requests ADD COLUMN role_id integer, ADD COLUMN enqueued_xid xid8, ADD COLUMN on_success_owner oid,
	ADD COLUMN on_failure_owner oid, ADD COLUMN lane integer, ADD COLUMN turn integer,
	ADD COLUMN server text COLLATE "C", ADD COLUMN ordering_key text COLLATE "C",
	ADD COLUMN waits_for bigint, ADD COLUMN expires_at timestamptz,
	ADD COLUMN reduced_at timestamptz;
ALTER TABLE flex_outbox_requests ALTER COLUMN callback_attempts DROP NOT NULL, ALTER COLUMN callback_attempts DROP DEFAULT;
CREATE TABLE flex_outbox_callbacks (
	id bigint PRIMARY KEY,
	role_id integer NOT NULL,
	due_at timestamptz,
	attempts integer NOT NULL DEFAULT 0,
	error text)
-- Each callback is some row versions, and then gone.
WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000,
	autovacuum_vacuum_cost_delay = 0);
CREATE INDEX flex_outbox_callbacks_due ON flex_outbox_callbacks (role_id, due_at) WHERE due_at IS NOT NULL;
COMMENT ON TABLE flex_outbox_callbacks IS
'Callbacks of finished requests that have not run without error yet. Not dumped: they run in the original database.';
COMMENT ON COLUMN flex_outbox_callbacks.id IS 'The request.';
COMMENT ON COLUMN flex_outbox_callbacks.role_id IS 'Its role, as in the request.';
COMMENT ON COLUMN flex_outbox_callbacks.due_at IS
'When it is tried next; NULL: not again, unless flex_outbox_retry() is called.';
COMMENT ON COLUMN flex_outbox_callbacks.attempts IS 'How many times it has been started, or has failed.';
COMMENT ON COLUMN flex_outbox_callbacks.error IS 'Its last error; NULL: it has not failed yet.';

CREATE TABLE flex_outbox_forgetting (
	only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	below bigint NOT NULL DEFAULT 0,
	safe_below bigint NOT NULL DEFAULT 0,
	noted_below bigint NOT NULL DEFAULT 0,
	noted_xid xid8 NOT NULL DEFAULT '0');
INSERT INTO flex_outbox_forgetting DEFAULT VALUES;
COMMENT ON TABLE flex_outbox_forgetting IS
'One row: how far old finished requests have been deleted. Each request is checked once, in the order of ids, and
deleted or put into flex_outbox_leftovers.';
COMMENT ON COLUMN flex_outbox_forgetting.only_row IS 'True: keeps the table to one row.';
COMMENT ON COLUMN flex_outbox_forgetting.below IS 'All requests with a lower id have been checked.';
COMMENT ON COLUMN flex_outbox_forgetting.safe_below IS 'No open transaction has inserted a request with a lower id.';
COMMENT ON COLUMN flex_outbox_forgetting.noted_below IS
'The next value of safe_below, when the transactions before noted_xid have ended.';
COMMENT ON COLUMN flex_outbox_forgetting.noted_xid IS 'The next transaction when noted_below was the next id.';

CREATE TABLE flex_outbox_leftovers (
	id bigint PRIMARY KEY,
	again_at timestamptz NOT NULL,
	tries integer NOT NULL DEFAULT 0);
CREATE INDEX flex_outbox_leftovers_again ON flex_outbox_leftovers (again_at);
COMMENT ON TABLE flex_outbox_leftovers IS
'Requests that could not be deleted when they were checked, because they had not finished, or other tables refer to
them.';
COMMENT ON COLUMN flex_outbox_leftovers.id IS 'The request.';
COMMENT ON COLUMN flex_outbox_leftovers.again_at IS 'When it is checked again.';
COMMENT ON COLUMN flex_outbox_leftovers.tries IS 'How many times it could not be deleted.';

-- What the senders keep of the outbox's requests: in which lane each waits, which wait for a
-- time, and which are being sent.  None of it is dumped: a copy sends nothing.

-- The requests of a role, a server, an account, an operation and a priority are a lane.  Two sessions
-- that need a new one at the same time may make it twice, which costs nothing: to make them
-- wait for each other would, for as long as a transaction lasts.
CREATE TABLE flex_outbox_lanes (
	id integer GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME flex_outbox_lanes_id_seq) PRIMARY KEY,
	role_id integer NOT NULL,
	account_sid text COLLATE "C",
	operation text COLLATE "C" NOT NULL,
	priority integer NOT NULL,
	server text COLLATE "C");
COMMENT ON TABLE flex_outbox_lanes IS
'Internal. The lanes of the outbox. A lane is the queue of the requests of one role, server, account, operation and
priority.';
COMMENT ON COLUMN flex_outbox_lanes.id IS 'Number of the lane.';
COMMENT ON COLUMN flex_outbox_lanes.role_id IS 'Role whose requests these are.';
COMMENT ON COLUMN flex_outbox_lanes.account_sid IS 'Account that they are for; NULL: the sender''s.';
COMMENT ON COLUMN flex_outbox_lanes.operation IS
'Name of the operation''s function; empty: all operations for which the role has no lane of its own.';
COMMENT ON COLUMN flex_outbox_lanes.priority IS 'Their priority.';
COMMENT ON COLUMN flex_outbox_lanes.server IS 'Foreign server that they are for; empty: none; NULL: the sender''s.';
CREATE INDEX flex_outbox_lanes_key ON flex_outbox_lanes (role_id, operation, priority);

CREATE TABLE flex_outbox_marks (
	lane integer PRIMARY KEY,
	xid xid8 NOT NULL DEFAULT '0',
	id bigint NOT NULL DEFAULT 0,
	holes xid8[] NOT NULL DEFAULT '{}')
WITH (fillfactor = 50);
INSERT INTO flex_outbox_marks (lane) VALUES (0);
COMMENT ON TABLE flex_outbox_marks IS
'Internal. The mark of each lane: the position up to which its requests have been read. Pending requests before it wait
elsewhere, or are in its holes. In lane 0: the transaction before which no claim is live, except those of its holes.';
COMMENT ON COLUMN flex_outbox_marks.lane IS 'Number of the lane.';
COMMENT ON COLUMN flex_outbox_marks.xid IS 'Transaction that enqueued the last request before the mark.';
COMMENT ON COLUMN flex_outbox_marks.id IS 'That request.';
COMMENT ON COLUMN flex_outbox_marks.holes IS
'Transactions before the mark that had not ended, whose requests have not been read.';

CREATE TABLE flex_outbox_later (
	lane integer NOT NULL,
	due_at timestamptz NOT NULL,
	id bigint NOT NULL,
	turn integer NOT NULL,
	cause text COLLATE "C",
	held_since timestamptz,
	PRIMARY KEY (lane, due_at, id, turn));
CREATE INDEX flex_outbox_later_held ON flex_outbox_later (held_since) WHERE cause IS NOT NULL;
COMMENT ON TABLE flex_outbox_later IS
'Internal. Pending requests that wait for a time: their run_at, or their next attempt.';
COMMENT ON COLUMN flex_outbox_later.lane IS 'Number of the request''s lane.';
COMMENT ON COLUMN flex_outbox_later.due_at IS 'Not sent before this time.';
COMMENT ON COLUMN flex_outbox_later.id IS 'The request.';
COMMENT ON COLUMN flex_outbox_later.turn IS
'Turn of the request that this row is for: a row of an earlier turn has no effect.';
COMMENT ON COLUMN flex_outbox_later.cause IS
'SQLSTATE of the problem that an operator has to repair; NULL: it waits for the time only.';
COMMENT ON COLUMN flex_outbox_later.held_since IS 'When that problem was first met.';

CREATE TABLE flex_outbox_claims (
	id xid8 PRIMARY KEY,
	sender_pid integer NOT NULL,
	sender_start timestamptz NOT NULL,
	claimed_at timestamptz,
	requests bigint[] NOT NULL,
	turns integer[] NOT NULL,
	enqueued_xids xid8[] NOT NULL);
COMMENT ON TABLE flex_outbox_claims IS
'Internal. The requests that senders have claimed and not settled: one row for all requests that one transaction has
claimed.';
COMMENT ON COLUMN flex_outbox_claims.id IS 'The transaction.';
COMMENT ON COLUMN flex_outbox_claims.sender_pid IS 'Process that sends them.';
COMMENT ON COLUMN flex_outbox_claims.sender_start IS
'When that process started, to distinguish it from a later process with the same PID.';
COMMENT ON COLUMN flex_outbox_claims.claimed_at IS 'When they were claimed; NULL: unknown.';
COMMENT ON COLUMN flex_outbox_claims.requests IS 'The requests.';
COMMENT ON COLUMN flex_outbox_claims.turns IS
'The turn of each request: it is settled when its row has reached this turn.';
COMMENT ON COLUMN flex_outbox_claims.enqueued_xids IS
'The transaction that enqueued each request, to distinguish it from a later one with the same id.';

-- Requests with an ordering key, from the enqueueing to the end.  What has to be found is the
-- one of a key that goes first, and no request without a key is ever looked for here.
CREATE TABLE flex_outbox_ordered (
	role_id integer NOT NULL,
	ordering_key text COLLATE "C" NOT NULL,
	waits boolean NOT NULL DEFAULT true,
	id bigint NOT NULL,
	PRIMARY KEY (role_id, ordering_key, waits, id))
WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE flex_outbox_ordered IS
'Internal. Requests with an ordering_key that have not ended: the first of each key is the one that may be sent.';
COMMENT ON COLUMN flex_outbox_ordered.role_id IS 'Role whose key it is.';
COMMENT ON COLUMN flex_outbox_ordered.ordering_key IS 'The key.';
COMMENT ON COLUMN flex_outbox_ordered.waits IS
'False: it has been claimed once, and no other request of its key is sent before its end.';
COMMENT ON COLUMN flex_outbox_ordered.id IS 'The request.';

CREATE TABLE flex_outbox_freed_keys (
	at timestamptz NOT NULL,
	id bigint NOT NULL,
	xid xid8 NOT NULL,
	role_id integer NOT NULL,
	ordering_key text COLLATE "C" NOT NULL,
	PRIMARY KEY (at, id))
WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE flex_outbox_freed_keys IS
'Internal. Ends of requests with an ordering key, until a sender has looked for the next request of the key.';
COMMENT ON COLUMN flex_outbox_freed_keys.at IS 'When the request ended.';
COMMENT ON COLUMN flex_outbox_freed_keys.id IS 'The request that ended.';
COMMENT ON COLUMN flex_outbox_freed_keys.xid IS 'The transaction that ended it.';
COMMENT ON COLUMN flex_outbox_freed_keys.role_id IS 'Role whose key it is.';
COMMENT ON COLUMN flex_outbox_freed_keys.ordering_key IS 'The key.';

-- Requests that expire.  It has no row of those that do not, and costs them nothing.
CREATE TABLE flex_outbox_expiring (
	expires_at timestamptz NOT NULL,
	id bigint NOT NULL,
	turn integer NOT NULL,
	PRIMARY KEY (expires_at, id, turn))
WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE flex_outbox_expiring IS
'Internal. Requests with expires_at, also finished ones, until a sender has checked them after that time, or they are
deleted.';
COMMENT ON COLUMN flex_outbox_expiring.expires_at IS 'When it expires, if it is still to be sent.';
COMMENT ON COLUMN flex_outbox_expiring.id IS 'The request.';
COMMENT ON COLUMN flex_outbox_expiring.turn IS 'Its turn when it became pending with this expires_at.';

-- How many requests have finished: a row for what one statement has changed, in each operation
-- and state of a role, which are added up after a minute.  So nobody waits for another to count.
CREATE TABLE flex_outbox_counts (
	role_id integer NOT NULL,
	operation text NOT NULL,
	state text NOT NULL,
	at timestamptz NOT NULL,
	requests bigint NOT NULL,
	error_id bigint,
	last_at timestamptz);
-- It has no key: without this nothing could be deleted under a publication of all tables.
ALTER TABLE flex_outbox_counts REPLICA IDENTITY FULL;
COMMENT ON TABLE flex_outbox_counts IS
'Internal. The number of finished requests by role, operation and state is the sum of these rows. They are dumped, as
the finished requests are.';
COMMENT ON COLUMN flex_outbox_counts.role_id IS 'Role, by its number in flex_outbox_roles.';
COMMENT ON COLUMN flex_outbox_counts.operation IS 'Name of the operation''s function.';
COMMENT ON COLUMN flex_outbox_counts.state IS 'Final state of the requests.';
COMMENT ON COLUMN flex_outbox_counts.at IS 'When they got this state; -infinity: rows that were added up.';
COMMENT ON COLUMN flex_outbox_counts.requests IS 'How many; negative if requests were deleted or got another state.';
COMMENT ON COLUMN flex_outbox_counts.error_id IS 'The last of these requests that has a message.';
COMMENT ON COLUMN flex_outbox_counts.last_at IS
'In a row that was added up: when the last of the requests got the state.';

-- Callbacks' owners are those of now.
CREATE TABLE flex_outbox_upgrade_callbacks AS
SELECT pg_catalog.format('%I.%I', n.nspname, p.proname) AS name, p.proowner AS owner
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
WHERE p.pronargs OPERATOR(pg_catalog.=) 1
	AND p.proargtypes[0] OPERATOR(pg_catalog.=) 'flex_outbox_requests'::pg_catalog.regtype;
ALTER TABLE flex_outbox_requests DISABLE TRIGGER flex_outbox_refuse_replica;
DO $$
DECLARE
	replication_role text := pg_catalog.current_setting('session_replication_role');
	nestloop text := pg_catalog.current_setting('enable_nestloop');
	mergejoin text := pg_catalog.current_setting('enable_mergejoin');
BEGIN
	PERFORM pg_catalog.set_config('session_replication_role', 'replica', true);
	BEGIN
		ALTER TABLE @extschema@.flex_outbox_requests
			ALTER COLUMN role_id TYPE integer USING @extschema@.flex_outbox_upgrade_owner(enqueued_role, enqueued_by, finished_at),
			ALTER COLUMN enqueued_xid TYPE xid8 USING '3'::pg_catalog.xid8,
			ALTER COLUMN turn TYPE integer USING 0;
	EXCEPTION WHEN feature_not_supported THEN
		UPDATE @extschema@.flex_outbox_requests
		SET role_id = @extschema@.flex_outbox_upgrade_owner(enqueued_role, enqueued_by, finished_at), enqueued_xid = '3',
			turn = 0;
	END;
	-- Callbacks that have not come to a good end; their requests have finished.
	INSERT INTO @extschema@.flex_outbox_callbacks (id, role_id, due_at, attempts, error)
	SELECT r.id, r.role_id, r.callback_at, r.callback_attempts, r.callback_error FROM @extschema@.flex_outbox_requests AS r
	WHERE r.callback_at IS NOT NULL OR r.callback_error IS NOT NULL;
	UPDATE @extschema@.flex_outbox_requests AS r
	SET state = coalesce(r.outcome, r.state), outcome = NULL, callback_at = NULL, callback_attempts = NULL, callback_error = NULL,
		finished_at = CASE WHEN r.outcome IS NULL THEN r.finished_at ELSE coalesce(r.finished_at, pg_catalog.now()) END,
		on_success_owner = (SELECT c.owner FROM @extschema@.flex_outbox_upgrade_callbacks AS c WHERE c.name OPERATOR(pg_catalog.=) r.on_success),
		on_failure_owner = (SELECT c.owner FROM @extschema@.flex_outbox_upgrade_callbacks AS c WHERE c.name OPERATOR(pg_catalog.=) r.on_failure)
	WHERE r.outcome IS NOT NULL OR r.callback_at IS NOT NULL OR r.callback_error IS NOT NULL
		OR (r.finished_at IS NULL OR r.state OPERATOR(pg_catalog.<>) 'succeeded')
			AND (r.on_success IS NOT NULL OR r.on_failure IS NOT NULL);
	-- What is pending waits for its time, in a lane of its own or, behind the thousandth of its role,
	-- in the one for all others.
	INSERT INTO @extschema@.flex_outbox_lanes (role_id, account_sid, operation, priority)
	SELECT DISTINCT k.role_id, CASE WHEN k.is_own THEN k.account_sid END, CASE WHEN k.is_own THEN k.operation ELSE '' END,
		CASE WHEN k.is_own THEN k.priority ELSE 0 END
	FROM (SELECT r.role_id, r.account_sid COLLATE "C" AS account_sid, r.operation, r.priority,
			pg_catalog.row_number() OVER (PARTITION BY r.role_id ORDER BY pg_catalog.min(r.id)) OPERATOR(pg_catalog.<=) 1000 AS is_own
		FROM @extschema@.flex_outbox_requests AS r WHERE r.state OPERATOR(pg_catalog.=) ANY (ARRAY['pending', 'sending'])
		GROUP BY r.role_id, r.account_sid COLLATE "C", r.operation, r.priority) AS k;
	INSERT INTO @extschema@.flex_outbox_marks (lane) SELECT l.id FROM @extschema@.flex_outbox_lanes AS l;
	-- There are no statistics yet: each request would be compared with each of its role's lanes.
	PERFORM pg_catalog.set_config('enable_nestloop', 'off', true), pg_catalog.set_config('enable_mergejoin', 'off', true);
	INSERT INTO @extschema@.flex_outbox_later (lane, due_at, id, turn)
	SELECT coalesce(l.id, m.id), r.run_at, r.id, 0 FROM @extschema@.flex_outbox_requests AS r LEFT JOIN @extschema@.flex_outbox_lanes AS l
		ON l.role_id OPERATOR(pg_catalog.=) r.role_id AND l.operation OPERATOR(pg_catalog.=) r.operation
		AND l.priority OPERATOR(pg_catalog.=) r.priority AND l.account_sid IS NOT DISTINCT FROM r.account_sid COLLATE "C"
		-- This can be hashed, what stands before it cannot.
		AND coalesce(l.account_sid, '') OPERATOR(pg_catalog.=) coalesce(r.account_sid COLLATE "C", '')
		LEFT JOIN @extschema@.flex_outbox_lanes AS m ON m.role_id OPERATOR(pg_catalog.=) r.role_id AND m.operation OPERATOR(pg_catalog.=) ''
	WHERE r.state OPERATOR(pg_catalog.=) 'pending';
	PERFORM pg_catalog.set_config('enable_nestloop', nestloop, true), pg_catalog.set_config('enable_mergejoin', mergejoin, true);
	-- What a sender has is one claim, under a number that no transaction has.
	INSERT INTO @extschema@.flex_outbox_claims (id, sender_pid, sender_start, claimed_at, requests, turns, enqueued_xids)
	SELECT (pg_catalog.row_number() OVER () OPERATOR(pg_catalog.+) 2)::pg_catalog.text::pg_catalog.xid8,
		coalesce(r.sender_pid, 0), coalesce(r.sender_start, '-infinity'), pg_catalog.max(r.started_at),
		pg_catalog.array_agg(r.id), pg_catalog.array_agg(1), pg_catalog.array_agg(r.enqueued_xid)
	FROM @extschema@.flex_outbox_requests AS r WHERE r.state OPERATOR(pg_catalog.=) 'sending'
	GROUP BY r.sender_pid, r.sender_start;
	UPDATE @extschema@.flex_outbox_requests AS r
	SET state = 'pending', attempts = greatest(r.attempts OPERATOR(pg_catalog.-) 1, 0), sender_pid = NULL, sender_start = NULL
	WHERE r.state OPERATOR(pg_catalog.=) 'sending';
	PERFORM pg_catalog.set_config('session_replication_role', replication_role, true);
END $$;
ALTER TABLE flex_outbox_requests ENABLE REPLICA TRIGGER flex_outbox_refuse_replica;
ALTER TABLE flex_outbox_requests ALTER COLUMN role_id SET NOT NULL, ALTER COLUMN enqueued_xid SET NOT NULL,
	ALTER COLUMN turn SET DEFAULT 0, ALTER COLUMN turn SET NOT NULL,
	ALTER COLUMN enqueued_role DROP NOT NULL;
ALTER TABLE flex_outbox_requests SET (fillfactor = 40);
CREATE INDEX flex_outbox_fresh ON flex_outbox_requests (lane, enqueued_xid, id) WHERE lane IS NOT NULL;
INSERT INTO flex_outbox_counts (role_id, operation, state, at, requests, error_id, last_at)
SELECT r.role_id, r.operation, r.state, '-infinity', pg_catalog.count(*),
	(pg_catalog.array_agg(r.id ORDER BY r.started_at DESC) FILTER (WHERE r.error_message IS NOT NULL))[1], pg_catalog.max(r.finished_at)
FROM flex_outbox_requests AS r WHERE r.finished_at IS NOT NULL GROUP BY r.role_id, r.operation, r.state;
DROP TABLE flex_outbox_upgrade_callbacks;
CREATE UNIQUE INDEX flex_outbox_unique_key ON flex_outbox_requests (role_id, unique_key) WHERE unique_key IS NOT NULL;
DROP FUNCTION flex_outbox_upgrade_owner(oid, name, timestamptz);
DROP TABLE flex_outbox_upgrade_owners;

COMMENT ON TABLE flex_outbox_requests IS
'The requests of all roles, which the view flex_outbox shows. Only flex_enqueue() and the senders write to it. Foreign
keys to a request refer to the id of this table.
It contains no secrets. A dump has only the finished rows, because a restored copy must not send what the original
sends.';
COMMENT ON COLUMN flex_outbox_requests.enqueued_role IS
'The same role by its OID in this cluster: the request is sent with this role''s credentials, and its callbacks run as
this role. From flex_outbox_role_oids.';
COMMENT ON COLUMN flex_outbox_requests.role_id IS
'The role that enqueued, and owns the request, by its number in flex_outbox_roles.';
COMMENT ON COLUMN flex_outbox_requests.enqueued_xid IS
'Transaction that enqueued; the request is sent after its commit.';
COMMENT ON COLUMN flex_outbox_requests.on_success_owner IS
'OID of the role that owned on_success when the request was enqueued; a function of that name with another owner is
not called.';
COMMENT ON COLUMN flex_outbox_requests.on_failure_owner IS 'The same for on_failure.';
COMMENT ON COLUMN flex_outbox_requests.lane IS
'Lane in which it was enqueued (flex_outbox_lanes); NULL: it was enqueued with a later run_at.';
COMMENT ON COLUMN flex_outbox_requests.turn IS 'How many times it was settled, or made pending again.';
COMMENT ON COLUMN flex_outbox_requests.server IS
'flex_api.server of the session that enqueued: the foreign server to which it is sent, with its role''s user mapping;
empty: the session had chosen none; NULL: the sender''s.';
COMMENT ON COLUMN flex_outbox_requests.ordering_key IS
'Requests of a role with the same key are sent one at a time, in the order of their ids; NULL: no order.';
COMMENT ON COLUMN flex_outbox_requests.waits_for IS
'Request of the same ordering_key that has to end before this one is sent; NULL: none. Computed by the view.';
COMMENT ON COLUMN flex_outbox_requests.expires_at IS
'If it has not been sent by this time, it fails, with error_code expired; NULL: it does not expire.';
COMMENT ON COLUMN flex_outbox_requests.reduced_at IS
'When arguments, context and response were reduced to the SIDs among them (flex_api.outbox_keep); NULL: they were not.';

COMMENT ON COLUMN flex_outbox_requests.error_code IS
'Twilio''s error code of the last answer, or an SQLSTATE when there was none; expired: it was not sent before expires_at.';
COMMENT ON COLUMN flex_outbox_requests.outcome IS
'The final state that it gets together with its callback, while the callback has not run. Computed by the view.';
COMMENT ON COLUMN flex_outbox_requests.callback_at IS
'When its callback is tried next; NULL: there is none, or it has run. This and the next columns come from
flex_outbox_callbacks.';
COMMENT ON COLUMN flex_outbox_requests.callback_attempts IS
'How many times its callback has failed, while it has not run without error.';
COMMENT ON COLUMN flex_outbox_requests.response IS
'Body of the answer if the request has succeeded; NULL if it could not be stored: then error_message says why, and sid
has the new resource.';
COMMENT ON COLUMN flex_outbox_requests.error_message IS
'The error of the last attempt; for a request that has succeeded, why its answer could not be stored.';
COMMENT ON COLUMN flex_outbox_requests.context IS 'Any JSON of the caller, such as the key of a ticket; not sent.';
COMMENT ON COLUMN flex_outbox_requests.state IS
'pending: waits to be sent; sending: a sender has claimed it, or its callback has not run yet; succeeded; failed:
refused, or not delivered in max_attempts attempts; uncertain: sent once, and it is not known whether it was carried
out, so that flex_outbox_retry(), flex_outbox_confirm() or flex_outbox_cancel() has to decide; cancelled.';
COMMENT ON COLUMN flex_outbox_requests.priority IS 'Requests of a role with a higher priority are sent first.';
COMMENT ON COLUMN flex_outbox_requests.attempts IS 'How many times it was claimed.';
COMMENT ON COLUMN flex_outbox_requests.max_attempts IS 'After this number of attempts it has failed.';
COMMENT ON COLUMN flex_outbox_requests.run_at IS
'Not sent before this time; moved to the time of the next attempt when it is to be sent again.';
COMMENT ON COLUMN flex_outbox_requests.unique_key IS
'Idempotency key: unique among the requests of a role; NULL: none.';
COMMENT ON COLUMN flex_outbox_requests.enqueued_in IS
'OID of the database, so that the requests in a copy of a database are not sent again.';
COMMENT ON COLUMN flex_outbox_requests.finished_at IS 'When it reached its final state; NULL: not yet.';
COMMENT ON COLUMN flex_outbox_requests.http_status IS 'HTTP status of the last answer; NULL: there was none.';
COMMENT ON COLUMN flex_outbox_requests.may_be_done IS
'Some attempt may have been carried out: it was sent, and the service did not refuse it. If a retried DELETE then
finds nothing, it has succeeded.';
COMMENT ON COLUMN flex_outbox_requests.sender_pid IS 'Process that has claimed it, while it is being sent.';
COMMENT ON COLUMN flex_outbox_requests.sender_start IS
'When that process started, to distinguish it from a later process with the same PID.';
COMMENT ON COLUMN flex_outbox_requests.callback_error IS 'The last error of its callback.';

-- What the requests are to their readers: the same columns as the table's, some of them
-- computed.
CREATE VIEW flex_outbox_all AS
SELECT
	o.id,
	o.operation,
	o.arguments,
	o.context,
	CASE WHEN o.is_claimed OR (c.error IS NULL AND c.due_at IS NOT NULL) THEN 'sending' ELSE o.state END AS state,
	o.priority,
	CASE WHEN o.is_claimed THEN least(o.attempts, 2147483646) + 1 ELSE o.attempts END AS attempts,
	o.max_attempts,
	o.run_at,
	o.unique_key,
	o.on_success,
	o.on_failure,
	o.account_sid,
	o.enqueued_at,
	o.enqueued_by,
	m.role AS enqueued_role,
	o.enqueued_in,
	CASE WHEN o.is_claimed THEN (SELECT k.claimed_at FROM flex_outbox_claims AS k
		WHERE k.turns[pg_catalog.array_position(k.requests, o.id)] = o.turn + 1
			AND k.enqueued_xids[pg_catalog.array_position(k.requests, o.id)] = o.enqueued_xid LIMIT 1)
		ELSE o.started_at END AS started_at,
	CASE WHEN c.error IS NULL AND c.due_at IS NOT NULL THEN NULL ELSE o.finished_at END AS finished_at,
	o.http_status,
	o.error_code,
	o.error_message,
	o.response,
	o.request_id,
	o.may_be_done,
	CASE WHEN o.is_claimed THEN (SELECT k.sender_pid FROM flex_outbox_claims AS k
		WHERE k.turns[pg_catalog.array_position(k.requests, o.id)] = o.turn + 1
			AND k.enqueued_xids[pg_catalog.array_position(k.requests, o.id)] = o.enqueued_xid LIMIT 1)
		ELSE o.sender_pid END AS sender_pid,
	CASE WHEN o.is_claimed THEN (SELECT k.sender_start FROM flex_outbox_claims AS k
		WHERE k.turns[pg_catalog.array_position(k.requests, o.id)] = o.turn + 1
			AND k.enqueued_xids[pg_catalog.array_position(k.requests, o.id)] = o.enqueued_xid LIMIT 1)
		ELSE o.sender_start END AS sender_start,
	CASE WHEN c.error IS NULL AND c.due_at IS NOT NULL THEN o.state END AS outcome,
	c.due_at AS callback_at,
	coalesce(c.attempts, 0) AS callback_attempts,
	c.error AS callback_error,
	o.sid,
	o.role_id,
	o.enqueued_xid,
	o.on_success_owner,
	o.on_failure_owner,
	o.lane,
	o.turn,
	o.server,
	o.ordering_key,
	CASE WHEN o.state = 'pending' AND o.ordering_key IS NOT NULL AND NOT o.is_claimed THEN (SELECT f.id FROM (
			SELECT w.id FROM flex_outbox_ordered AS w WHERE w.role_id = o.role_id AND w.ordering_key = o.ordering_key
			ORDER BY w.waits, w.id LIMIT 1) AS f WHERE f.id <> o.id) END AS waits_for,
	o.expires_at,
	o.reduced_at
FROM (SELECT r.*, r.state = 'pending' AND (r.id, r.turn + 1, r.enqueued_xid) IN (SELECT l.id, l.turn, l.xid
		FROM flex_outbox_claims AS k, unnest(k.requests, k.turns, k.enqueued_xids) AS l(id, turn, xid)) AS is_claimed
		FROM flex_outbox_requests AS r) AS o
	LEFT JOIN flex_outbox_callbacks AS c ON c.id = o.id
	LEFT JOIN flex_outbox_role_oids AS m ON m.id = o.role_id;
COMMENT ON VIEW flex_outbox_all IS
'The requests of all roles, with the columns of flex_outbox: for views and functions of superusers, and for operators
with SELECT on it.';

-- A number that no role of this cluster has got yet belongs to the role of its name.
CREATE VIEW flex_outbox WITH (security_barrier = true) AS
SELECT
	o.id,
	o.operation,
	o.arguments,
	o.context,
	o.state,
	o.priority,
	o.attempts,
	o.max_attempts,
	o.run_at,
	o.unique_key,
	o.on_success,
	o.on_failure,
	o.account_sid,
	o.enqueued_at,
	o.enqueued_by,
	o.enqueued_role,
	o.enqueued_in,
	o.started_at,
	o.finished_at,
	o.http_status,
	o.error_code,
	o.error_message,
	o.response,
	o.request_id,
	o.may_be_done,
	o.sender_pid,
	o.sender_start,
	o.outcome,
	o.callback_at,
	o.callback_attempts,
	o.callback_error,
	o.sid,
	o.role_id,
	o.enqueued_xid,
	o.on_success_owner,
	o.on_failure_owner,
	o.lane,
	o.turn,
	o.server,
	o.ordering_key,
	o.waits_for,
	o.expires_at,
	o.reduced_at
FROM flex_outbox_all AS o
WHERE (SELECT r.rolsuper OR r.rolbypassrls OR pg_catalog.pg_has_role(c.relowner, 'USAGE')
		FROM pg_catalog.pg_roles AS r, pg_catalog.pg_class AS c
		WHERE r.rolname = current_user AND c.oid OPERATOR(pg_catalog.=) 'flex_outbox_requests'::pg_catalog.regclass)
	OR o.role_id = (SELECT coalesce(
			(SELECT m.id FROM flex_outbox_role_oids AS m WHERE m.role = r.oid),
			(SELECT pg_catalog.min(n.id) FROM flex_outbox_roles AS n WHERE n.name = r.rolname
				AND NOT EXISTS (SELECT FROM flex_outbox_role_oids AS m WHERE m.id = n.id)))
		FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user);
COMMENT ON VIEW flex_outbox IS
'Requests to the Flex API that are sent after the transaction that enqueued them has committed.
A role sees its own requests, a superuser all. A row of this view is the argument of callbacks. It contains no secrets.
A dump has only the finished rows, because a restored copy must not send what the original sends.';
GRANT SELECT ON flex_outbox TO PUBLIC;

DO $$
DECLARE
	commented record;
BEGIN
	FOR commented IN
		SELECT v.attrelid::pg_catalog.regclass AS view, v.attname AS column, pg_catalog.col_description(t.attrelid, t.attnum) AS words
		FROM pg_catalog.pg_attribute AS t JOIN pg_catalog.pg_attribute AS v ON v.attname OPERATOR(pg_catalog.=) t.attname
		WHERE t.attrelid OPERATOR(pg_catalog.=) 'flex_outbox_requests'::pg_catalog.regclass AND t.attnum OPERATOR(pg_catalog.>) 0
			AND v.attrelid OPERATOR(pg_catalog.=) ANY (ARRAY['flex_outbox_all', 'flex_outbox']::pg_catalog.regclass[])
	LOOP
		EXECUTE pg_catalog.format('COMMENT ON COLUMN %s.%I IS %L', commented.view, commented.column, commented.words);
	END LOOP;
END $$;

-- A dump of 1.0.0 has its rows as those of flex_outbox, which was a table.
CREATE FUNCTION flex_outbox_restore() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	number integer;
BEGIN
	IF NEW.finished_at IS NULL THEN
		RAISE EXCEPTION 'only finished requests can be put into view flex_outbox' USING
			ERRCODE = 'object_not_in_prerequisite_state',
			DETAIL = 'The view takes the rows of a dump of version 1.0.0.', HINT = 'Use flex_enqueue().';
	END IF;
	-- The schema may have another name by now.
	EXECUTE format('SELECT coalesce(
		(SELECT m.id FROM %1$I.flex_outbox_role_oids AS m JOIN pg_roles AS r ON r.oid = m.role WHERE r.rolname = $1),
		(SELECT min(n.id) FROM %1$I.flex_outbox_roles AS n WHERE n.name = $1
			AND NOT EXISTS (SELECT FROM %1$I.flex_outbox_role_oids AS m WHERE m.id = n.id)))', TG_TABLE_SCHEMA)
	INTO number USING NEW.enqueued_by;
	IF number IS NULL THEN
		EXECUTE format('INSERT INTO %I.flex_outbox_roles (name) VALUES ($1) RETURNING id', TG_TABLE_SCHEMA)
		INTO number USING NEW.enqueued_by;
	END IF;
	EXECUTE format('INSERT INTO %I.flex_outbox_requests (
		id, operation, arguments, context, state, priority, attempts, max_attempts, run_at, unique_key, on_success,
		on_failure, account_sid, enqueued_at, enqueued_by, enqueued_in, started_at, finished_at, http_status,
		error_code, error_message, response, request_id, may_be_done, role_id, enqueued_xid)
	OVERRIDING SYSTEM VALUE SELECT
		r.id, r.operation, r.arguments, r.context, r.state, r.priority, r.attempts, r.max_attempts,
		r.run_at, r.unique_key, r.on_success, r.on_failure, r.account_sid, r.enqueued_at,
		r.enqueued_by, r.enqueued_in, r.started_at, r.finished_at, r.http_status, r.error_code,
		r.error_message, r.response, r.request_id, r.may_be_done, $2, ''3''
	FROM (SELECT ($1).*) AS r', TG_TABLE_SCHEMA)
	USING NEW, number;
	EXECUTE format('INSERT INTO %I.flex_outbox_counts (role_id, operation, state, at, requests) VALUES ($1, $2, $3, $4, 1)',
		TG_TABLE_SCHEMA)
	USING number, NEW.operation, NEW.state, NEW.finished_at;
	RETURN NEW;
END $$;
COMMENT ON FUNCTION flex_outbox_restore() IS
'Internal. Trigger of the view flex_outbox that accepts the finished requests of a dump of version 1.0.0, where it was
a table.';
CREATE TRIGGER flex_outbox_restore INSTEAD OF INSERT ON flex_outbox
	FOR EACH ROW EXECUTE FUNCTION flex_outbox_restore();

-- A table or function of somebody's on the table's row type takes the view's row, too:
-- until 1.1.0 the two were one.
CREATE FUNCTION flex_outbox_requests(flex_outbox) RETURNS flex_outbox_requests
AS 'MODULE_PATHNAME', 'flex_api_outbox_row'
LANGUAGE C IMMUTABLE PARALLEL SAFE STRICT;
COMMENT ON FUNCTION flex_outbox_requests(flex_outbox) IS
'Internal. Converts a row of the view flex_outbox to one of the table flex_outbox_requests, for functions and tables
that
were created when flex_outbox was a table.';
CREATE CAST (flex_outbox AS flex_outbox_requests) WITH FUNCTION flex_outbox_requests(flex_outbox) AS IMPLICIT;
COMMENT ON CAST (flex_outbox AS flex_outbox_requests) IS 'By the columns'' names.';


CREATE TRIGGER flex_outbox_refuse_replica BEFORE INSERT OR UPDATE OR DELETE ON flex_outbox_forgetting
	FOR EACH ROW EXECUTE FUNCTION flex_outbox_refuse_replica();
ALTER TABLE flex_outbox_forgetting ENABLE REPLICA TRIGGER flex_outbox_refuse_replica;
CREATE TRIGGER flex_outbox_refuse_replica BEFORE INSERT OR UPDATE OR DELETE ON flex_outbox_leftovers
	FOR EACH ROW EXECUTE FUNCTION flex_outbox_refuse_replica();
ALTER TABLE flex_outbox_leftovers ENABLE REPLICA TRIGGER flex_outbox_refuse_replica;
CREATE TRIGGER flex_outbox_refuse_replica BEFORE INSERT OR UPDATE OR DELETE ON flex_outbox_callbacks
	FOR EACH ROW EXECUTE FUNCTION flex_outbox_refuse_replica();
ALTER TABLE flex_outbox_callbacks ENABLE REPLICA TRIGGER flex_outbox_refuse_replica;
CREATE TRIGGER flex_outbox_refuse_replica BEFORE INSERT OR UPDATE OR DELETE ON flex_outbox_counts
	FOR EACH ROW EXECUTE FUNCTION flex_outbox_refuse_replica();
ALTER TABLE flex_outbox_counts ENABLE REPLICA TRIGGER flex_outbox_refuse_replica;
CREATE TRIGGER flex_outbox_refuse_replica BEFORE INSERT OR UPDATE OR DELETE ON flex_outbox_roles
	FOR EACH ROW EXECUTE FUNCTION flex_outbox_refuse_replica();
ALTER TABLE flex_outbox_roles ENABLE REPLICA TRIGGER flex_outbox_refuse_replica;
CREATE TRIGGER flex_outbox_refuse_replica BEFORE INSERT OR UPDATE OR DELETE ON flex_outbox_role_oids
	FOR EACH ROW EXECUTE FUNCTION flex_outbox_refuse_replica();
ALTER TABLE flex_outbox_role_oids ENABLE REPLICA TRIGGER flex_outbox_refuse_replica;
CREATE TRIGGER flex_outbox_refuse_replica BEFORE INSERT OR UPDATE OR DELETE ON flex_outbox_lanes
	FOR EACH ROW EXECUTE FUNCTION flex_outbox_refuse_replica();
ALTER TABLE flex_outbox_lanes ENABLE REPLICA TRIGGER flex_outbox_refuse_replica;
CREATE TRIGGER flex_outbox_refuse_replica BEFORE INSERT OR UPDATE OR DELETE ON flex_outbox_marks
	FOR EACH ROW EXECUTE FUNCTION flex_outbox_refuse_replica();
ALTER TABLE flex_outbox_marks ENABLE REPLICA TRIGGER flex_outbox_refuse_replica;
CREATE TRIGGER flex_outbox_refuse_replica BEFORE INSERT OR UPDATE OR DELETE ON flex_outbox_later
	FOR EACH ROW EXECUTE FUNCTION flex_outbox_refuse_replica();
ALTER TABLE flex_outbox_later ENABLE REPLICA TRIGGER flex_outbox_refuse_replica;
CREATE TRIGGER flex_outbox_refuse_replica BEFORE INSERT OR UPDATE OR DELETE ON flex_outbox_claims
	FOR EACH ROW EXECUTE FUNCTION flex_outbox_refuse_replica();
ALTER TABLE flex_outbox_claims ENABLE REPLICA TRIGGER flex_outbox_refuse_replica;
CREATE TRIGGER flex_outbox_refuse_replica BEFORE INSERT OR UPDATE OR DELETE ON flex_outbox_ordered
	FOR EACH ROW EXECUTE FUNCTION flex_outbox_refuse_replica();
ALTER TABLE flex_outbox_ordered ENABLE REPLICA TRIGGER flex_outbox_refuse_replica;
CREATE TRIGGER flex_outbox_refuse_replica BEFORE INSERT OR UPDATE OR DELETE ON flex_outbox_freed_keys
	FOR EACH ROW EXECUTE FUNCTION flex_outbox_refuse_replica();
ALTER TABLE flex_outbox_freed_keys ENABLE REPLICA TRIGGER flex_outbox_refuse_replica;
CREATE TRIGGER flex_outbox_refuse_replica BEFORE INSERT OR UPDATE OR DELETE ON flex_outbox_expiring
	FOR EACH ROW EXECUTE FUNCTION flex_outbox_refuse_replica();
ALTER TABLE flex_outbox_expiring ENABLE REPLICA TRIGGER flex_outbox_refuse_replica;

-- Whoever deletes requests, they are no longer counted.  The schema may have another name by then.
-- After TRUNCATE ... RESTART IDENTITY ids come again: what is left of their former requests must not be taken for theirs.
-- The new ones have not been checked for their deletion yet (flex_outbox_forgetting).
CREATE FUNCTION flex_outbox_count_deleted() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	rest text;
BEGIN
	IF TG_OP = 'TRUNCATE' THEN
		FOREACH rest IN ARRAY ARRAY['counts', 'callbacks', 'later', 'ordered', 'expiring', 'leftovers'] LOOP
			EXECUTE format('DELETE FROM %I.%I', TG_TABLE_SCHEMA, 'flex_outbox_' || rest);
		END LOOP;
		EXECUTE format('UPDATE %I.flex_outbox_forgetting SET below = DEFAULT, safe_below = DEFAULT, noted_below = DEFAULT,
			noted_xid = DEFAULT', TG_TABLE_SCHEMA);
		RETURN NULL;
	END IF;
	EXECUTE format('INSERT INTO %I.flex_outbox_counts (role_id, operation, state, at, requests)
		SELECT d.role_id, d.operation, d.state, greatest(d.finished_at, now() - interval ''1 minute''), -count(*)
		FROM deleted AS d WHERE d.finished_at IS NOT NULL GROUP BY 1, 2, 3, 4', TG_TABLE_SCHEMA);
	RETURN NULL;
END $$;
COMMENT ON FUNCTION flex_outbox_count_deleted() IS
'Internal. Trigger of the table flex_outbox_requests that updates flex_outbox_counts when requests are deleted. When the
table is truncated, it deletes what other tables of the outbox have of the requests, and resets flex_outbox_forgetting.';
CREATE TRIGGER flex_outbox_count_deleted AFTER DELETE ON flex_outbox_requests REFERENCING OLD TABLE AS deleted
	FOR EACH STATEMENT EXECUTE FUNCTION flex_outbox_count_deleted();
CREATE TRIGGER flex_outbox_count_truncated AFTER TRUNCATE ON flex_outbox_requests
	FOR EACH STATEMENT EXECUTE FUNCTION flex_outbox_count_deleted();

-- A settlement counts what it settles, which is a turn of the request; all else is counted here.
CREATE FUNCTION flex_outbox_count_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	EXECUTE format('INSERT INTO %I.flex_outbox_counts (role_id, operation, state, at, requests, error_id)
		SELECT c.role_id, c.operation, c.state, c.at, c.requests, c.error_id
		FROM (VALUES ($1, $2, $3, $4, -1, NULL), ($5, $6, $7, $8, 1, $9)) AS c(role_id, operation, state, at, requests, error_id)
		WHERE c.at IS NOT NULL', TG_TABLE_SCHEMA)
	USING OLD.role_id, OLD.operation, OLD.state, OLD.finished_at, NEW.role_id, NEW.operation, NEW.state, NEW.finished_at,
		CASE WHEN NEW.error_message IS NOT NULL THEN NEW.id END;
	RETURN NULL;
END $$;
COMMENT ON FUNCTION flex_outbox_count_changed() IS
'Internal. Trigger of the table flex_outbox_requests that updates flex_outbox_counts when a decision or a superuser
changes requests.';
CREATE TRIGGER flex_outbox_count_changed AFTER UPDATE ON flex_outbox_requests
	FOR EACH ROW WHEN (OLD.turn = NEW.turn AND (OLD.state <> NEW.state OR OLD.finished_at IS DISTINCT FROM NEW.finished_at
		OR OLD.operation <> NEW.operation OR OLD.role_id <> NEW.role_id))
	EXECUTE FUNCTION flex_outbox_count_changed();
-- Estimates of queries tell nothing of others' rows.
DO $$
DECLARE
	hidden record;
BEGIN
	FOR hidden IN
		SELECT a.attrelid::pg_catalog.regclass AS relation, a.attname AS column FROM pg_catalog.pg_attribute AS a
		WHERE a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped AND a.attrelid OPERATOR(pg_catalog.=) ANY (ARRAY[
			'flex_outbox_requests', 'flex_outbox_callbacks', 'flex_outbox_counts', 'flex_outbox_claims', 'flex_outbox_roles',
			'flex_outbox_role_oids', 'flex_outbox_ordered', 'flex_outbox_freed_keys', 'flex_outbox_expiring']::pg_catalog.regclass[])
	LOOP
		EXECUTE pg_catalog.format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS 0', hidden.relation, hidden.column);
	END LOOP;
END $$;
DELETE FROM pg_catalog.pg_statistic WHERE starelid OPERATOR(pg_catalog.=) 'flex_outbox_requests'::pg_catalog.regclass;
-- One that waits returns the view's row: its result is changed in place, so that rights stay.
UPDATE pg_catalog.pg_proc AS p SET prorettype = 'flex_outbox'::pg_catalog.regtype
WHERE p.oid OPERATOR(pg_catalog.=) 'flex_outbox_await(bigint, interval)'::pg_catalog.regprocedure;
CREATE OR REPLACE FUNCTION flex_outbox_await(id bigint, timeout interval DEFAULT '30 seconds') RETURNS flex_outbox
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- The schema may have another name by now.
	look text := format('SELECT * FROM %s.flex_outbox AS o WHERE o.id = $1',
		(SELECT e.extnamespace::regnamespace FROM pg_extension AS e WHERE e.extname = 'flex_api'));
	awaited record;
	deadline timestamptz := clock_timestamp() + coalesce(timeout, interval '30 seconds');
	pause double precision := 0.001;
BEGIN
	LOOP
		EXECUTE look INTO awaited USING id;
		IF awaited.id IS NULL THEN
			RAISE EXCEPTION 'request % is not in the outbox', id USING ERRCODE = 'no_data_found';
		END IF;
		IF awaited.state NOT IN ('pending', 'sending') OR clock_timestamp() >= deadline THEN
			RETURN awaited;
		END IF;
		-- A row that we see although its transaction is in progress is our own.
		IF pg_xact_status(awaited.enqueued_xid) = 'in progress' THEN
			RAISE EXCEPTION 'request % is not sent before its transaction commits', id
				USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Commit, then wait.';
		END IF;
		-- One snapshot would show for ever what it has shown first.
		IF current_setting('transaction_isolation') NOT LIKE 'read %committed' THEN
			RAISE EXCEPTION 'flex_outbox_await needs transactions of isolation level read committed'
				USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Set default_transaction_isolation to read committed.';
		END IF;
		PERFORM pg_sleep(pause);
		pause := least(pause * 2, 0.05);
	END LOOP;
END $$;

CREATE FUNCTION flex_enqueue_many(
	operation text,
	arguments jsonb[],
	contexts jsonb[] DEFAULT NULL,
	on_success text DEFAULT NULL,
	on_failure text DEFAULT NULL,
	run_at timestamptz DEFAULT NULL,
	priority integer DEFAULT 0,
	max_attempts integer DEFAULT 20,
	unique_keys text[] DEFAULT NULL,
	ordering_keys text[] DEFAULT NULL,
	expires_at timestamptz DEFAULT NULL)
RETURNS bigint[]
AS 'MODULE_PATHNAME', 'flex_api_enqueue_many'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION flex_enqueue_many(text, jsonb[], jsonb[], text, text, timestamptz, integer, integer, text[], text[], timestamptz) IS
'Enqueues many requests of an operation, as flex_enqueue() does with one, for a fraction of its cost.
operation: name of the function that a direct call would use; the caller needs EXECUTE on it. No list functions.
arguments: for each request its arguments, as a JSON object of names and values; NULL, as array_agg() of no rows, for
none.
contexts: for each request its context, or NULL; NULL for none.
on_success: name of a function, called for each request that has succeeded.
on_failure: name of a function, called for each request that has failed or has become uncertain.
run_at: none is sent before this time; NULL for at once.
priority: requests with a higher priority are sent first; -1000 to 1000.
max_attempts: attempts before a request has failed; 20 take about an hour.
unique_keys: for each request its key, or NULL; if the current role has a request with this key already, the id of that
request is returned. NULL for none.
ordering_keys: for each request its ordering_key, or NULL; requests with the same key are sent in the order of the
arguments. NULL for none.
expires_at: requests that have not been sent by then fail, with error_code expired; NULL for never.
Returns the ids in flex_outbox, in the order of the arguments. If one request is in error, none is enqueued.
Errors: those of flex_enqueue(), and 22023 for an array that is not as long as arguments.';

CREATE FUNCTION flex_outbox_confirm(id bigint, response jsonb DEFAULT NULL) RETURNS void
AS 'MODULE_PATHNAME', 'flex_api_outbox_confirm'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION flex_outbox_confirm(bigint, jsonb) IS
'Records that an uncertain request was carried out: it becomes succeeded, and on_success is called.
id: number of a request that the current role has enqueued; a superuser may confirm any request.
response: the answer, if it is known, for instance what a fetch of the resource returns; its SID goes into sid.
Errors: P0002 for an id that does not exist, 55000 for a request in another state, 54000 for too long a response.';

CREATE OR REPLACE VIEW flex_outbox_summary WITH (security_barrier) AS
WITH
-- Whose requests the current role may see, and whether it may read them: one that monitors counts those of all.
reader AS MATERIALIZED (
	SELECT
		r.rolsuper OR r.rolbypassrls OR pg_catalog.pg_has_role(c.relowner, 'USAGE')
			OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all,
		r.rolsuper OR NOT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AS reads,
		coalesce((SELECT m.id FROM flex_outbox_role_oids AS m WHERE m.role = r.oid),
			(SELECT pg_catalog.min(n.id) FROM flex_outbox_roles AS n WHERE n.name = r.rolname
				AND NOT EXISTS (SELECT FROM flex_outbox_role_oids AS m WHERE m.id = n.id))) AS role_id
	FROM pg_catalog.pg_roles AS r, pg_catalog.pg_class AS c
	WHERE r.rolname = current_user AND c.oid OPERATOR(pg_catalog.=) 'flex_outbox_requests'::pg_catalog.regclass),
-- Requests that have not finished, and those that have a callback: found where they wait, and not among all.
open AS MATERIALIZED (
	SELECT r.id, r.role_id, r.ordering_key, r.operation, r.state, r.run_at, r.enqueued_at, r.started_at, r.finished_at, r.http_status,
		r.error_message, c.due_at AS callback_at, c.error IS NULL AND c.due_at IS NOT NULL AS is_called, r.state = 'pending'
			AND (r.id, r.turn + 1, r.enqueued_xid) IN (SELECT l.id, l.turn, l.xid
				FROM flex_outbox_claims AS k, unnest(k.requests, k.turns, k.enqueued_xids) AS l(id, turn, xid)) AS is_claimed
	FROM flex_outbox_requests AS r LEFT JOIN flex_outbox_callbacks AS c ON c.id = r.id
	WHERE r.id = ANY (ARRAY(
			SELECT w.id FROM flex_outbox_lanes AS l JOIN (SELECT k.lane, k.id, CASE
					WHEN k.xid >= pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()) THEN '0' ELSE k.xid END AS xid
				FROM flex_outbox_marks AS k) AS m ON m.lane = l.id,
				-- The bounds of the transaction are for the estimate; the order is that of the index.
				LATERAL (SELECT o.id FROM flex_outbox_requests AS o WHERE o.lane = l.id AND o.finished_at IS NULL
					AND (o.enqueued_xid, o.id) > (m.xid, m.id) AND o.enqueued_xid >= m.xid AND o.enqueued_xid < '18446744073709551615'
					ORDER BY o.enqueued_xid, o.id OFFSET 0) AS w
			WHERE (SELECT x.sees_all OR x.role_id = l.role_id FROM reader AS x)
			UNION ALL
			SELECT w.id FROM flex_outbox_marks AS m, pg_catalog.unnest(m.holes) AS h(xid),
				LATERAL (SELECT o.id FROM flex_outbox_requests AS o WHERE o.lane = m.lane AND o.enqueued_xid = h.xid
					AND o.finished_at IS NULL ORDER BY o.id OFFSET 0) AS w
			-- Few marks have any: by these bounds the planner knows, and does not compile the query.
			WHERE pg_catalog.cardinality(m.holes) BETWEEN 1 AND 2147483647
			UNION ALL SELECT l.id FROM flex_outbox_later AS l
			UNION ALL SELECT pg_catalog.unnest(k.requests) FROM flex_outbox_claims AS k
			UNION ALL SELECT c.id FROM flex_outbox_callbacks AS c
			UNION ALL SELECT w.id FROM flex_outbox_ordered AS w))
		AND (SELECT x.sees_all OR x.role_id = r.role_id FROM reader AS x)),
finished AS (
	SELECT c.operation, c.state, pg_catalog.sum(c.requests) AS requests,
		pg_catalog.sum(c.requests) FILTER (WHERE c.at > pg_catalog.now() - interval '1 minute') AS lately
	FROM flex_outbox_counts AS c
	WHERE (SELECT x.sees_all OR x.role_id = c.role_id FROM reader AS x)
	GROUP BY c.operation, c.state),
-- The last ones that have a message, by role.
failures AS (
	SELECT DISTINCT ON (c.role_id, c.operation) c.operation, c.error_id
	FROM flex_outbox_counts AS c JOIN flex_outbox_requests AS e ON e.id = c.error_id AND e.error_message IS NOT NULL
	WHERE c.error_id IS NOT NULL AND (SELECT x.reads AND (x.sees_all OR x.role_id = c.role_id) FROM reader AS x)
	ORDER BY c.role_id, c.operation, c.at DESC, c.error_id DESC),
-- What has finished is counted, less those whose callback has not run: they count as being sent.
counted AS (
	SELECT o.operation,
		CASE WHEN o.is_claimed OR o.is_called THEN 'sending' ELSE o.state END AS state,
		CASE WHEN o.finished_at IS NULL OR o.is_called THEN 1 ELSE 0 END AS requests,
		0 AS lately,
		CASE WHEN o.state = 'pending' AND NOT o.is_claimed THEN o.run_at END AS run_at,
		CASE WHEN o.state = 'pending' AND NOT o.is_claimed THEN o.enqueued_at END AS enqueued_at,
		o.http_status, o.callback_at, o.started_at, CASE WHEN (SELECT x.reads FROM reader AS x) THEN o.error_message END AS error_message,
		CASE WHEN o.state = 'pending' AND o.ordering_key IS NOT NULL AND NOT o.is_claimed THEN (SELECT f.id FROM (
			SELECT w.id FROM flex_outbox_ordered AS w WHERE w.role_id = o.role_id AND w.ordering_key = o.ordering_key
			ORDER BY w.waits, w.id LIMIT 1) AS f WHERE f.id <> o.id) END AS waits_for
	FROM open AS o
	UNION ALL
	SELECT o.operation, o.state, -1, CASE WHEN o.finished_at > pg_catalog.now() - interval '1 minute' THEN -1 ELSE 0 END,
		NULL, NULL, NULL, NULL, NULL, NULL, NULL
	FROM open AS o WHERE o.is_called
	UNION ALL
	SELECT f.operation, f.state, f.requests, f.lately, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM finished AS f
	UNION ALL
	SELECT f.operation, NULL, 0, 0, NULL, NULL, NULL, NULL,
		(SELECT e.started_at FROM flex_outbox_requests AS e WHERE e.id = f.error_id),
		(SELECT e.error_message FROM flex_outbox_requests AS e WHERE e.id = f.error_id), NULL
	FROM failures AS f)
SELECT
	n.operation,
	coalesce(pg_catalog.sum(n.requests) FILTER (WHERE n.state = 'pending'), 0)::bigint AS pending,
	coalesce(pg_catalog.sum(n.requests) FILTER (WHERE n.run_at <= pg_catalog.now() AND n.waits_for IS NULL), 0)::bigint AS due,
	coalesce(pg_catalog.sum(n.requests) FILTER (WHERE n.state = 'sending'), 0)::bigint AS sending,
	coalesce(pg_catalog.sum(n.requests) FILTER (WHERE n.state = 'succeeded'), 0)::bigint AS succeeded,
	coalesce(pg_catalog.sum(n.requests) FILTER (WHERE n.state = 'failed'), 0)::bigint AS failed,
	coalesce(pg_catalog.sum(n.requests) FILTER (WHERE n.state = 'uncertain'), 0)::bigint AS uncertain,
	coalesce(pg_catalog.sum(n.requests) FILTER (WHERE n.state = 'cancelled'), 0)::bigint AS cancelled,
	pg_catalog.count(n.callback_at) AS callbacks,
	pg_catalog.now() - pg_catalog.min(n.enqueued_at) AS oldest_pending,
	coalesce(pg_catalog.sum(n.lately), 0)::bigint AS finished_last_minute,
	pg_catalog.max(n.run_at) FILTER (WHERE n.http_status = 429 AND n.run_at > pg_catalog.now()) AS held_until,
	(pg_catalog.array_agg(n.error_message ORDER BY n.started_at DESC)
		FILTER (WHERE n.error_message IS NOT NULL))[1] AS last_error,
	(SELECT a.worker_pid FROM flex_outbox_activity AS a
		WHERE EXISTS (SELECT FROM pg_catalog.pg_stat_get_activity(a.worker_pid))) AS worker_pid,
	pg_catalog.count(n.waits_for) AS held_back
FROM counted AS n
GROUP BY n.operation
HAVING pg_catalog.sum(n.requests) > 0.0;
COMMENT ON VIEW flex_outbox_summary IS
'The outbox by operation: the requests that the current role may see, for pg_read_all_stats all. How many are in each
state, how many pending ones are due, callbacks still to run, age of the oldest pending one, how many finished in
the last minute, until when the service has asked to wait, the last error, the background worker''s process (NULL: none
runs), and how many wait for an earlier one of their ordering_key.';
COMMENT ON COLUMN flex_outbox_summary.due IS
'Pending requests whose run_at has passed, and that do not wait for an earlier one of their ordering_key.';
COMMENT ON COLUMN flex_outbox_summary.held_back IS 'Pending requests that wait for an earlier one of their ordering_key.';
COMMENT ON COLUMN flex_outbox_summary.last_error IS
'Message of the last tried request that has one; NULL for a role that sees all by pg_read_all_stats.';
-- A database's owner can dump it.
GRANT SELECT ON flex_outbox_requests, flex_outbox_id_seq, flex_outbox_roles, flex_outbox_roles_id_seq, flex_outbox_role_oids,
	flex_outbox_callbacks, flex_outbox_counts, flex_outbox_forgetting, flex_outbox_leftovers, flex_outbox_lanes, flex_outbox_lanes_id_seq,
	flex_outbox_marks, flex_outbox_later, flex_outbox_claims, flex_outbox_ordered, flex_outbox_freed_keys,
	flex_outbox_expiring TO pg_database_owner;



SELECT pg_catalog.pg_extension_config_dump('flex_outbox_requests', 'WHERE finished_at IS NOT NULL');
SELECT pg_catalog.pg_extension_config_dump('flex_outbox_counts', '');
SELECT pg_catalog.pg_extension_config_dump('flex_outbox_roles', '');
SELECT pg_catalog.pg_extension_config_dump('flex_outbox_roles_id_seq', '');

-- What users have made.
DO $$
DECLARE
	path text := pg_catalog.current_setting('search_path');
	reader @extschema@.flex_outbox_upgrade_readers;
	statement text;
	owner regrole;
	failure text;
BEGIN
	PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
	FOR reader IN SELECT * FROM @extschema@.flex_outbox_upgrade_readers LOOP
		statement := CASE reader.kind
			WHEN 'view' THEN format('CREATE OR REPLACE VIEW %s%s AS %s', reader.named, reader.options, reader.body)
			WHEN 'rule' THEN regexp_replace(reader.body, '^CREATE RULE', 'CREATE OR REPLACE RULE')
			WHEN 'policy' THEN format('ALTER POLICY %s%s', reader.named, reader.body)
			WHEN 'function' THEN replace(pg_get_functiondef(reader.object), pg_get_function_sqlbody(reader.object), reader.body)
		END;
		-- What reads the table with the rights of its owner, whom no policy binds.
		owner := (SELECT c.relowner::regrole FROM pg_class AS c WHERE c.oid = reader.object AND reader.sees_all AND reader.kind <> 'function');
		CONTINUE WHEN statement IS NULL AND (SELECT r.rolsuper FROM pg_roles AS r WHERE r.oid = owner);
		failure := 'It can be changed by its owner alone.';
		BEGIN
			IF statement IS NOT NULL THEN
				PERFORM @extschema@.flex_outbox_upgrade_others(statement);
				IF NOT (SELECT r.rolsuper FROM pg_roles AS r WHERE r.oid = owner) THEN
					PERFORM @extschema@.flex_outbox_upgrade_others(format('GRANT SELECT ON @extschema@.flex_outbox_all TO %s', owner));
				END IF;
				CONTINUE;
			END IF;
		EXCEPTION WHEN OTHERS THEN
			failure := SQLERRM;
		END;
		RAISE WARNING '% % still reads the table flex_outbox_requests', reader.kind, reader.named
			USING DETAIL = failure, HINT = 'Make it anew, to read the view flex_outbox.';
	END LOOP;
	PERFORM set_config('search_path', path, true);
END $$;
DO $$
DECLARE
	given record;
BEGIN
	IF NOT EXISTS (SELECT FROM @extschema@.flex_outbox_upgrade_rights AS g
		WHERE g.grantee OPERATOR(pg_catalog.=) 0 AND g.privilege OPERATOR(pg_catalog.=) 'SELECT' AND g.of_column IS NULL)
	THEN
		PERFORM @extschema@.flex_outbox_upgrade_others('REVOKE SELECT ON @extschema@.flex_outbox FROM PUBLIC');
	END IF;
	-- Row security has let nobody write but the table's owner.
	FOR given IN SELECT coalesce(pg_catalog.quote_ident(r.rolname), 'PUBLIC') AS grantee, g.privilege, g.is_grantable, g.of_column
		FROM @extschema@.flex_outbox_upgrade_rights AS g LEFT JOIN pg_catalog.pg_roles AS r ON r.oid OPERATOR(pg_catalog.=) g.grantee
		WHERE g.privilege OPERATOR(pg_catalog.<>) ALL ('{INSERT,UPDATE,DELETE}')
			AND NOT (g.grantee OPERATOR(pg_catalog.=) 0 AND g.privilege OPERATOR(pg_catalog.=) 'SELECT' AND g.of_column IS NULL)
	LOOP
		PERFORM @extschema@.flex_outbox_upgrade_others(pg_catalog.format('GRANT %s%s ON @extschema@.%s TO %s%s', given.privilege,
			' (' OPERATOR(pg_catalog.||) pg_catalog.quote_ident(given.of_column) OPERATOR(pg_catalog.||) ')',
			CASE given.privilege WHEN 'SELECT' THEN 'flex_outbox' ELSE 'flex_outbox_requests' END, given.grantee,
			CASE WHEN given.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END));
	END LOOP;
END $$;
DROP TABLE flex_outbox_upgrade_rights, flex_outbox_upgrade_readers;
DROP FUNCTION flex_outbox_upgrade_readers(regclass), flex_outbox_upgrade_others(text);

COMMENT ON PROCEDURE flex_outbox_drain(bigint) IS
'Sends the due requests of the outbox, waits for the answers and runs the callbacks, until nothing is due.
max_requests: the maximum number of attempts; NULL for all due requests.
It commits several times. Many sessions may drain at the same time. It is not needed if the background worker runs
(shared_preload_libraries).
It sends the requests of all roles, each with the credentials of the server or the database or, if there are none, with
the credentials file''s line of the role that enqueued. A superuser''s drain sends from its session, with its settings.
The drain of any other role runs in a background worker, with the settings of server and database, and ends with its
caller. EXECUTE on it only allows a role to decide when requests are sent.
Errors: 25001 inside a transaction block, 55000 if transactions are not READ COMMITTED, 53400 if
max_worker_processes leaves no worker.';

COMMENT ON EXTENSION flex_api IS
'Twilio Flex API: typed SQL functions, and an outbox whose requests are sent after the commit';
CREATE OR REPLACE FUNCTION flex_outbox_refuse_replica() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF current_setting('session_replication_role') = 'replica' THEN
		RETURN NULL;
	END IF;
	-- ALTER TABLE ... ENABLE TRIGGER ALL, as after a restore of data, has this trigger fire in ordinary sessions.
	IF TG_OP = 'DELETE' THEN
		RETURN OLD;
	END IF;
	RETURN NEW;
END $$;
COMMENT ON FUNCTION flex_outbox_refuse_replica() IS
'Internal. Trigger of the outbox''s tables that discards rows of logical replication:
the publisher sends its own requests.';
COMMENT ON FUNCTION flex_outbox_wake() IS
'Internal. At commit, wakes the background worker of this database. flex_enqueue() does so by itself.';

-- flex_enqueue() has two arguments more, and its defaults are told where \df shows them; a NULL
-- means the same as before.  Its row in pg_proc is changed in place, by that of a function made
-- for it, so that rights, comments and all that uses it stay; what was stored with fewer
-- arguments gets the defaults of the new ones whenever it is planned.
CREATE FUNCTION flex_enqueue_with_all(
	operation text,
	arguments jsonb,
	context jsonb DEFAULT NULL,
	on_success text DEFAULT NULL,
	on_failure text DEFAULT NULL,
	run_at timestamptz DEFAULT NULL,
	priority integer DEFAULT 0,
	max_attempts integer DEFAULT 20,
	unique_key text DEFAULT NULL,
	ordering_key text DEFAULT NULL,
	expires_at timestamptz DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'flex_api_enqueue'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
UPDATE pg_catalog.pg_proc AS p
SET pronargs = model.pronargs, pronargdefaults = model.pronargdefaults, proargtypes = model.proargtypes,
	proargnames = model.proargnames, proargdefaults = model.proargdefaults
FROM pg_catalog.pg_proc AS model
WHERE p.oid OPERATOR(pg_catalog.=)
		'flex_enqueue(text, jsonb, jsonb, text, text, timestamptz, integer, integer, text)'::pg_catalog.regprocedure
	AND model.oid OPERATOR(pg_catalog.=)
		'flex_enqueue_with_all(text, jsonb, jsonb, text, text, timestamptz, integer, integer, text, text, timestamptz)'::pg_catalog.regprocedure;
ALTER EXTENSION flex_api DROP FUNCTION flex_enqueue_with_all(text, jsonb, jsonb, text, text, timestamptz, integer, integer, text, text, timestamptz);
DROP FUNCTION flex_enqueue_with_all(text, jsonb, jsonb, text, text, timestamptz, integer, integer, text, text, timestamptz);
COMMENT ON FUNCTION flex_enqueue(text, jsonb, jsonb, text, text, timestamptz, integer, integer, text, text, timestamptz) IS
'Enqueues a request, which is sent after this transaction has committed; after a rollback nothing is sent.
operation: name of the function that a direct call would use; the caller needs EXECUTE on it. No list functions.
arguments: its arguments as a JSON object of names and values, checked at once as in a direct call, without the
network.
context: any JSON for use in a callback or a query, such as a ticket''s number; it is not sent.
on_success: name of a function that takes one flex_outbox row, called when the request has succeeded; the row has the
SID in sid, also if the answer could not be stored and response is NULL.
on_failure: name of such a function, called when the request has failed or has become uncertain.
run_at: not sent before this time; NULL for at once.
priority: requests with a higher priority are sent first; -1000 to 1000.
max_attempts: attempts before the request has failed; 20 take about an hour.
unique_key: if a request of the current role has this key already, nothing is enqueued, and its id is returned.
ordering_key: requests of the current role with the same key are sent one at a time, in the order of their ids: the
next
is sent when the previous one has succeeded, failed or been cancelled, and its callback has run.
expires_at: if the request has not been sent by then, it fails with error_code expired, and on_failure is called; NULL
for never. A request that is being sent, or is uncertain, does not expire. With a time in the past, the request fails
as soon as this transaction commits.
Returns the id in flex_outbox. Callbacks run as the current role, in the transaction that records the final state.
The request keeps the name of the foreign server in flex_api.server, and is sent to it.
Errors: 22023 and 22004 for invalid arguments, such as an expires_at that is not after run_at, 0A000 for a list, 42883
for a callback that does not exist, 42501 without EXECUTE on the operation or on a callback, or USAGE on the server,
55000
for a server that does not exist, 53400 if the current role has as many waiting requests as flex_api.outbox_quota
allows.';

-- An estimate that need not change with each operation.
ALTER FUNCTION flex_operations() ROWS 100;

-- flex_request() has two arguments more.  Its row in pg_proc is changed in place, by that of a
-- function made for it, so that rights, comments and all that uses it stay; what was stored
-- with fewer arguments gets the defaults of the new ones whenever it is planned.
CREATE FUNCTION flex_request_with_all(
	method text,
	path text,
	parameters jsonb DEFAULT NULL,
	body jsonb DEFAULT NULL,
	headers jsonb DEFAULT NULL,
	service text DEFAULT NULL)
RETURNS flex_response
AS 'MODULE_PATHNAME', 'flex_api_request'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

UPDATE pg_catalog.pg_proc AS p
SET pronargs = model.pronargs, pronargdefaults = model.pronargdefaults, proargtypes = model.proargtypes,
	proargnames = model.proargnames, proargdefaults = model.proargdefaults
FROM pg_catalog.pg_proc AS model
WHERE p.oid OPERATOR(pg_catalog.=) 'flex_request(text, text, jsonb, jsonb)'::pg_catalog.regprocedure
	AND model.oid OPERATOR(pg_catalog.=)
		'flex_request_with_all(text, text, jsonb, jsonb, jsonb, text)'::pg_catalog.regprocedure;

ALTER EXTENSION flex_api DROP FUNCTION flex_request_with_all(text, text, jsonb, jsonb, jsonb, text);
DROP FUNCTION flex_request_with_all(text, text, jsonb, jsonb, jsonb, text);

COMMENT ON FUNCTION flex_request(text, text, jsonb, jsonb, jsonb, text) IS
'Sends a request that no other function makes, to Twilio''s hosts or the configured one only.
method: GET, POST, PUT, PATCH or DELETE. path: begins with a slash, percent-encoded, for instance /v1/Channels.
parameters: an object of names and values, in the form of a POST, PUT or PATCH without body, else in the query;
an array is sent as repeated names, an object as JSON text, and a null is left out.
body: any JSON, sent as such; not with GET.
headers: an object of names and strings, for instance {"I-Twilio-Auth-Account": "AC..."}; a null is left out. Headers
that the extension sends itself (Authorization, Host, Accept, Content-Type and those of the HTTP message) are refused.
service: NULL for the Flex API, or another product with the same credentials: conversations, taskrouter, api, verify,
proxy or studio. Its host is derived from the name, flex_api.edge and flex_api.region, or from {service} in
flex_api.base_url; a base_url without {service} is for the Flex API only.
Returns status, headers and body of the answer; for further pages of a list see flex_request_list.
Errors: as with all functions: TW and the HTTP status, 08xxx for the network, 22023 for arguments.
flex_enqueue sends it later: ''flex_request'' with these arguments. The outbox then keeps the answer and the headers.
Call it in FROM: SELECT (flex_request(...)).* calls it once per column.';

CREATE FUNCTION flex_request_list(
	path text,
	parameters jsonb DEFAULT NULL,
	member text DEFAULT NULL,
	max_rows bigint DEFAULT NULL,
	headers jsonb DEFAULT NULL,
	service text DEFAULT NULL)
RETURNS SETOF jsonb
AS 'MODULE_PATHNAME', 'flex_api_request_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_request_list(text, jsonb, text, bigint, jsonb, text) IS
'Returns the rows of all pages of a list that has no function of its own, as the service sends them.
path: of the list, as in flex_request. parameters: sent in the query; without PageSize the service chooses one.
member: name of the member that has the rows; NULL for the one that meta.key of the page names.
max_rows: the maximum number of rows; NULL for all, 0 sends nothing. headers: as in flex_request, sent for each page.
service: another product, as in flex_request.
The next page comes from meta.next_page_url, meta.next_token or, in lists of api, next_page_uri, at the configured host.
Returns one jsonb per row.
Errors: as with all lists: 08P01 if a page leads back to one that was already read, or the member is not an array.';

REVOKE EXECUTE ON FUNCTION flex_request_list(text, jsonb, text, bigint, jsonb, text) FROM PUBLIC;

-- What is said of the functions, in other words.
COMMENT ON COLUMN flex_interaction.routing IS
'How it was routed, with the task''s properties (object). properties.attributes and
properties.addons are strings that hold JSON: (routing #>> ''{properties,attributes}'')::jsonb. To the attributes the
service adds members, such as conversationSid.';
COMMENT ON COLUMN flex_interaction_channel.type IS 'voice, sms, email, web, whatsapp, chat, messenger or gbm; others may come.';
COMMENT ON COLUMN flex_interaction_channel.status IS 'setup, active, failed, closed, inactive, pause or transfer; others may come.';
COMMENT ON COLUMN flex_interaction_invite.routing IS
'How the invite was routed, with the task''s properties (object). properties.attributes and
properties.addons are strings that hold JSON: (routing #>> ''{properties,attributes}'')::jsonb. To the attributes the
service adds members, such as conversationSid.';
COMMENT ON FUNCTION flex_interaction_create(jsonb, jsonb, text, text) IS
'Starts an interaction, incoming or outgoing.
POST /v1/Interactions
channel: an object. A customer''s contact: {"type": "sms", "initiated_by": "customer", "properties":
{"media_channel_sid": "CH..."}}, with sms, whatsapp, web or email. An agent''s: {"type": "sms",
"initiated_by": "agent", "participants": [{"address": "+1...", "proxy_address": "+1..."}]}.
routing: {"properties": {"workspace_sid": ..., "workflow_sid": ..., "queue_sid": ..., "worker_sid": ...,
"task_channel_unique_name": ..., "attributes": {}}}; queue_sid and worker_sid are needed where an agent begins.
An identity in it should hold no personal data, and no @.
interaction_context_sid: a SID (HQ...). webhook_ttid: identifies a webhook of this interaction.
Returns the interaction, which is accepted but not yet at work:
see flex_interaction_channels_list for its channel''s status. The task''s attributes are a string in it that holds JSON:
(routing #>> ''{properties,attributes}'')::jsonb.
Errors: 22023 for an argument that cannot be valid, TW400
for one that the service refuses, TW429 when no turn comes in time (20 per second are allowed).
Call it in FROM: SELECT (flex_interaction_create(...)).* calls it once per column.';
COMMENT ON FUNCTION flex_interaction_invite_create(text, text, jsonb) IS
'Invites an agent or a queue to a channel.
POST /v1/Interactions/{InteractionSid}/Channels/{ChannelSid}/Invites
interaction_sid: the interaction''s SID (KD...). channel_sid: the channel''s (UO...).
routing: whom to invite: {"properties": {"workspace_sid": ..., "workflow_sid": ...,
"queue_sid": ..., "worker_sid": ..., "task_channel_unique_name": ..., "attributes": {}}}.
Returns the invite, which is sent but not yet accepted. The task''s attributes are a string in it that holds JSON:
(routing #>> ''{properties,attributes}'')::jsonb.
Errors: TW400 for routing that the service refuses, TW404 when there is no such channel.
Call it in FROM: SELECT (flex_interaction_invite_create(...)).* calls it once per column.';
COMMENT ON FUNCTION flex_webchat_create(text, text, text, text, jsonb, text) IS
'Begins a web chat: creates a conversation with a guest user in it.
POST /v2/WebChats
address_sid: SID (IG...) of the address that the chat comes in at, an address of Conversations of type chat. Twilio''s
Console has it under Flex, Manage, Messaging, Conversations Addresses.
ui_version: value of the Ui-Version header.
chat_friendly_name: the conversation''s name, at most 256 characters.
customer_friendly_name: the customer''s name for display.
pre_engagement_data: what is known of the customer before
the chat begins; JSON of at most 16 KB, sent as a string.
identity: names the guest user, at most 256 characters: a pseudonym, no personal data such as an e-mail address.
Returns the conversation''s SID and the guest''s identity.
Errors: 22023 for an argument that cannot be valid; TW400 for one that the service
refuses, such as an address that is not configured; TW429 when no turn comes in time (5 per second are allowed).
Call it in FROM: SELECT (flex_webchat_create(...)).* calls it once per column.';
COMMENT ON COLUMN flex_configuration.integrations IS
'The integrations, each with its settings (array of objects); config of each is a string that holds JSON.';
COMMENT ON FUNCTION flex_configuration_update(jsonb) IS
'Changes the configuration of the account''s Flex instance.
POST /v1/Configuration
body: an object of the members to change, by their names in flex_configuration, with account_sid
among them; it is sent as JSON. A member that holds JSON is replaced whole, not merged: fetch it, merge, send.
The operator || merges its top level alone; jsonb_set changes one member deep inside.
Returns the configuration as it is afterwards.
Errors: TW400 for a member that the service refuses; Twilio''s code 45102 in the DETAIL
says that somebody else changed the configuration meanwhile: fetch, merge and send again.';
COMMENT ON COLUMN flex_channel.task_sid IS
'SID of the TaskRouter task (WT...); NULL for flows of integration type studio and external.';
COMMENT ON FUNCTION flex_channel_create(text, text, text, text, text, text, jsonb, text, jsonb, boolean) IS
'Creates a chat channel that follows a Flex Flow, and its chat user.
POST /v1/Channels
flex_flow_sid: a SID (FO...). identity: names the chat user, unique in its chat service, at most 256 characters;
no personal data such as an e-mail address.
chat_user_friendly_name: the chat user''s name for display.
chat_friendly_name: the channel''s, at most 256 characters.
target: the contact at the other end, for instance the telephone number of an SMS.
chat_unique_name: a unique name for the channel.
pre_engagement_data: what is known of the customer before
the chat begins; JSON of at most 16 KB, sent as a string.
task_sid: a SID (WT...); only where the flow''s integration type is task.
task_attributes: attributes for the task, an object, sent as a string.
long_lived: whether the channel is kept for the contact''s later conversations.
Returns the channel; its task_sid is NULL where the flow''s integration type is studio or external.
Errors: 22023 for an argument that cannot be valid, TW400 for one that the service refuses.
Legacy: Programmable Chat ended for Flex UI 1.x on 2026-06-01; current accounts use flex_interaction_create.
Call it in FROM: SELECT (flex_channel_create(...)).* calls it once per column.';
COMMENT ON FUNCTION flex_channel_delete(text) IS
'Deletes a chat channel.
DELETE /v1/Channels/{Sid}
sid: the channel''s SID (CH...).
Errors: TW404 when there is no such channel.
Legacy: Programmable Chat ended for Flex UI 1.x on 2026-06-01; current
accounts use flex_interaction_channel_update with status closed.';
COMMENT ON FUNCTION flex_channel_fetch(text) IS
'Fetches one chat channel.
GET /v1/Channels/{Sid}
sid: the channel''s SID (CH...).
Returns the channel.
Errors: TW404 when there is no such channel.
Legacy: Programmable Chat ended for Flex UI 1.x on 2026-06-01; current accounts use flex_interaction_channel_fetch.';
COMMENT ON FUNCTION flex_channels_list(integer, bigint) IS
'Lists the account''s chat channels.
GET /v1/Channels
page_size: rows per request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row per channel.
Legacy: Programmable Chat ended for Flex UI 1.x on 2026-06-01; current accounts use flex_interaction_channels_list.';
COMMENT ON FUNCTION flex_flow_create(
	text, text, text, text, boolean, text, text, text, text, text, text, integer, integer, boolean, boolean,
	boolean, integer) IS
'Creates a Flex Flow.
POST /v1/FlexFlows
friendly_name: a name for display. chat_service_sid: a SID (IS...).
channel_type: web, sms, facebook, whatsapp, line or custom. contact_identity: the contact''s own address.
enabled: whether the flow takes contacts at once.
integration_type: what handles incoming messages. studio needs integration_flow_sid, external needs integration_url,
task needs integration_workspace_sid and integration_workflow_sid, and a task channel.
integration_flow_sid: the Studio flow (FW...). integration_url: the webhook.
integration_workspace_sid, integration_workflow_sid: SIDs (WS... and WW...) for new tasks.
integration_channel: SID (TC...) or unique name of the task channel, such as sms.
integration_timeout: seconds until a task times out, 86400 where nothing is said; only with task.
integration_priority: a task''s priority, 0 where nothing is said; only with task.
integration_creation_on_message: for outgoing messages, true waits with the task for the customer''s first answer.
long_lived: whether a channel is kept for the contact''s later conversations; false where nothing is said.
janitor_enabled: whether Proxy sessions are ended when their task is removed outside the Flex UI.
integration_retry_count: how often a failed Studio flow or
webhook is tried again, 0 to 3, 3 where nothing is said.
Returns the flow.
Errors: 22023 for an argument that cannot be valid, TW400 for one that the service refuses.
Legacy: Programmable Chat ended for Flex UI 1.x on 2026-06-01; current accounts use flex_interaction_create.
Call it in FROM: SELECT (flex_flow_create(...)).* calls it once per column.';
COMMENT ON FUNCTION flex_flow_delete(text) IS
'Deletes a Flex Flow.
DELETE /v1/FlexFlows/{Sid}
sid: the flow''s SID (FO...).
Errors: TW404 when there is no such flow.
Legacy: Programmable Chat ended for Flex UI 1.x on 2026-06-01; current accounts use flex_interaction_create.';
COMMENT ON FUNCTION flex_flow_fetch(text) IS
'Fetches one Flex Flow.
GET /v1/FlexFlows/{Sid}
sid: the flow''s SID (FO...).
Returns the flow.
Errors: TW404 when there is no such flow.
Legacy: Programmable Chat ended for Flex UI 1.x on 2026-06-01; current accounts use flex_interaction_create.';
COMMENT ON FUNCTION flex_flow_update(
	text, text, text, text, text, boolean, text, text, text, text, text, text, integer, integer, boolean, boolean,
	boolean, integer) IS
'Changes a Flex Flow; what is NULL stays as it is.
POST /v1/FlexFlows/{Sid}
sid: the flow''s SID (FO...). friendly_name: a name for display. chat_service_sid: a SID (IS...).
channel_type: web, sms, facebook, whatsapp, line or custom. contact_identity: the contact''s own address.
enabled: whether the flow takes contacts.
integration_type: what handles incoming messages. studio needs integration_flow_sid, external needs integration_url,
task needs integration_workspace_sid and integration_workflow_sid, and a task channel.
integration_flow_sid: the Studio flow (FW...). integration_url: the webhook.
integration_workspace_sid, integration_workflow_sid: SIDs (WS... and WW...) for new tasks.
integration_channel: SID (TC...) or unique name of the task channel, such as sms.
integration_timeout: seconds until a task times out, 86400 where nothing is said; only with task.
integration_priority: a task''s priority, 0 where nothing is said; only with task.
integration_creation_on_message: for outgoing messages, true waits with the task for the customer''s first answer.
long_lived: whether a channel is kept for the contact''s later conversations; false where nothing is said.
janitor_enabled: whether Proxy sessions are ended when their task is removed outside the Flex UI.
integration_retry_count: how often a failed Studio flow or
webhook is tried again, 0 to 3, 3 where nothing is said.
Returns the flow as it is afterwards.
Errors: TW404 when there is no such flow.
Legacy: Programmable Chat ended for Flex UI 1.x on 2026-06-01; current accounts use flex_interaction_create.';
COMMENT ON FUNCTION flex_flows_list(text, integer, bigint) IS
'Lists the account''s Flex Flows.
GET /v1/FlexFlows
friendly_name: only flows of this name.
page_size: rows per request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row per flow.
Legacy: Programmable Chat ended for Flex UI 1.x on 2026-06-01; current accounts use flex_interaction_create.';
COMMENT ON FUNCTION flex_web_channel_create(text, text, text, text, text, jsonb) IS
'Creates a web chat channel that follows a Flex Flow.
POST /v1/WebChannels
flex_flow_sid: a SID (FO...). identity: names the chat user, at most 256 characters;
no personal data such as an e-mail address.
customer_friendly_name: the customer''s name for display.
chat_friendly_name: the channel''s, at most 256 characters.
chat_unique_name: a unique name for the channel.
pre_engagement_data: what is known of the customer before
the chat begins; JSON of at most 16 KB, sent as a string.
Returns the channel.
Errors: 22023 for an argument that cannot be valid, TW400 for one that the service refuses.
Legacy: Programmable Chat ended for Flex UI 1.x on 2026-06-01; current accounts use flex_webchat_create.
Call it in FROM: SELECT (flex_web_channel_create(...)).* calls it once per column.';
COMMENT ON FUNCTION flex_web_channel_delete(text) IS
'Deletes a web chat channel.
DELETE /v1/WebChannels/{Sid}
sid: the channel''s SID (CH...).
Errors: TW404 when there is no such channel.
Legacy: Programmable Chat ended for Flex UI 1.x on 2026-06-01; current accounts use flex_webchat_create.';
COMMENT ON FUNCTION flex_web_channel_fetch(text) IS
'Fetches one web chat channel.
GET /v1/WebChannels/{Sid}
sid: the channel''s SID (CH...).
Returns the channel.
Errors: TW404 when there is no such channel.
Legacy: Programmable Chat ended for Flex UI 1.x on 2026-06-01; current accounts use flex_webchat_create.';
COMMENT ON FUNCTION flex_web_channel_update(text, text, jsonb) IS
'Ends a web chat, or adds what the customer said after it.
POST /v1/WebChannels/{Sid}
sid: the channel''s SID (CH...). chat_status: inactive ends the chat; there is no other value.
post_engagement_data: what came after the chat, JSON sent as a string.
Returns the channel as it is afterwards.
Errors: TW404 when there is no such channel.
Legacy: Programmable Chat ended for Flex UI 1.x on 2026-06-01; current accounts use flex_webchat_create.';
COMMENT ON FUNCTION flex_web_channels_list(integer, bigint) IS
'Lists the account''s web chat channels.
GET /v1/WebChannels
page_size: rows per request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row per channel.
Legacy: Programmable Chat ended for Flex UI 1.x on 2026-06-01; current accounts use flex_webchat_create.';

COMMENT ON COLUMN flex_outbox_activity.last_drain_at IS 'Start of the last drain, to the hour; NULL: never.';
COMMENT ON TABLE flex_outbox_activity IS 'One row: the background worker and the last drain of this outbox.';

-- Rates and shares are told by "per" wherever a comment has not been given anew above.
DO $$
DECLARE
	old record;
	new text;
BEGIN
	FOR old IN
		SELECT p.oid::pg_catalog.regprocedure AS function, pg_catalog.obj_description(p.oid, 'pg_proc') AS words
		FROM pg_catalog.pg_proc AS p
		JOIN pg_catalog.pg_depend AS d ON d.objid OPERATOR(pg_catalog.=) p.oid
		JOIN pg_catalog.pg_extension AS e ON e.oid OPERATOR(pg_catalog.=) d.refobjid
		WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
			AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
			AND d.deptype OPERATOR(pg_catalog.=) 'e' AND e.extname OPERATOR(pg_catalog.=) 'flex_api'
			AND p.prokind OPERATOR(pg_catalog.=) 'f'
	LOOP
		new := pg_catalog.replace(old.words, 'once a column', 'once per column');
		new := pg_catalog.replace(new, 'rows a request', 'rows per request');
		new := pg_catalog.replace(new, 'requests a second an account', 'requests per second and account');
		new := pg_catalog.regexp_replace(new, 'one row an? ', 'one row per ', 'g');
		new := pg_catalog.regexp_replace(new, '([0-9]) a second', '\1 per second', 'g');
		IF new OPERATOR(pg_catalog.<>) old.words THEN
			EXECUTE pg_catalog.format('COMMENT ON FUNCTION %s IS %L', old.function, new);
		END IF;
	END LOOP;
END $$;

-- At the end: a worker that waited for these tables goes on.
-- The type is this script's own: no function that somebody has made before takes it,
-- or makes the call ambiguous.
CREATE TYPE flex_outbox_wake_now AS ();
CREATE FUNCTION flex_outbox_wake(flex_outbox_wake_now) RETURNS void
AS 'MODULE_PATHNAME', 'flex_api_outbox_wake'
LANGUAGE C VOLATILE;
SELECT flex_outbox_wake(NULL::flex_outbox_wake_now);
DROP FUNCTION flex_outbox_wake(flex_outbox_wake_now);
DROP TYPE flex_outbox_wake_now;

-- Webhooks and access tokens, and merging of the configuration.
CREATE FUNCTION flex_webhook_is_authentic(
	url text,
	parameters jsonb,
	signature text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'flex_api_webhook_is_authentic'
LANGUAGE C STABLE PARALLEL UNSAFE COST 100;

COMMENT ON FUNCTION flex_webhook_is_authentic(text, jsonb, text) IS
'Checks whether a webhook, a request with a form or without a body, was signed by Twilio with the account''s auth token.
url: the address that Twilio requested, with scheme, host and query; with or without a port.
parameters: those of the form, decoded, as an object of strings; a repeated name has an array. NULL: no form.
signature: the header X-Twilio-Signature; NULL: the request has none.
Returns true or false, never NULL. The token is flex_api.auth_token or, while it is rotated, the previous one in
flex_api.auth_token_previous. Without flex_api.auth_token, the tokens are those of the current role''s first two lines
with a token in the credentials file. Webhooks that Twilio signs with a shared key are not recognised.
Errors: 22004 without url, 22023 for parameters that no form can have, 55000 without an auth token.
Sends nothing. From twilio.com/docs/usage/security; details that are not described there as in the official Node
client 6.2.0.';

CREATE FUNCTION flex_webhook_body_is_authentic(
	url text,
	body bytea,
	signature text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'flex_api_webhook_body_is_authentic'
LANGUAGE C STABLE PARALLEL UNSAFE COST 100;

COMMENT ON FUNCTION flex_webhook_body_is_authentic(text, bytea, text) IS
'Checks whether a webhook with a body that is not a form, such as JSON, was signed by Twilio with the account''s auth
token.
url: the address that Twilio requested. Its query must have bodySHA256, the body''s SHA-256, or the result is false.
body: the bytes as received, not JSON that was parsed and written again. NULL: none.
signature: the header X-Twilio-Signature; NULL: the request has none.
Returns true or false, never NULL. The tokens are those of flex_webhook_is_authentic.
Errors: 22004 without url, 55000 without an auth token.
Sends nothing. From twilio.com/docs/usage/security; details that are not described there as in the official Node
client 6.2.0.';

CREATE FUNCTION flex_access_token(
	identity text,
	chat_service_sid text DEFAULT NULL,
	grants jsonb DEFAULT NULL,
	ttl interval DEFAULT '1 hour',
	valid_from timestamptz DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'flex_api_access_token'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 100;

COMMENT ON FUNCTION flex_access_token(text, text, jsonb, interval, timestamptz) IS
'Makes an access token, with which a browser or an app joins the conversation that flex_webchat_create has opened.
identity: the user of the token; for a web chat the identity that flex_webchat_create returns.
chat_service_sid: the chat service (IS...) that the token gives access to, chat_service_instance_sid of
flex_configuration.
grants: more grants, an object by kind, as Twilio defines them: {"voice": {"incoming": {"allow": true}},
"data_sync": {"service_sid": "IS..."}, "video": {"room": "..."}}.
ttl: how long the token is valid, from 1 second to 24 hours, counted from now; fractions are cut off.
valid_from: not valid before this time; NULL for at once. Clocks differ, so leave it out unless it is needed.
Returns the token, a JSON Web Token (HS256) with the API key''s SID, its account and flex_api.region if that is set.
Keep
it secret: its holder can act as this identity until it ends, and it cannot be revoked on its own.
Errors: 22004 without identity, 22023 for an invalid argument, 55000 without an API key: the auth token does
not sign access tokens.
Sends nothing. From twilio.com/docs/iam/access-tokens and the official Node client 6.2.0.';

CREATE FUNCTION flex_json_merge_patch(
	target jsonb,
	patch jsonb)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'flex_api_json_merge_patch'
LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION flex_json_merge_patch(jsonb, jsonb) IS
'Changes JSON by a JSON Merge Patch, as RFC 7396 has it.
target: what is changed; NULL: there is nothing yet.
patch: an object of the members to change: null removes one, an object changes that member''s own members, and any other
value, an array included, takes the member''s place. A patch that is no object takes the place of all; NULL: no change.
Returns the target as it is then.
Sends nothing.';

CREATE FUNCTION flex_configuration_merge(
	patch jsonb,
	date_updated timestamptz DEFAULT NULL)
RETURNS flex_configuration
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE COST 2000
SET search_path = pg_catalog, pg_temp
AS $merge$
#variable_conflict use_variable
DECLARE
	-- It may have another name than when the extension was created.
	schema regnamespace := (SELECT e.extnamespace FROM pg_extension AS e WHERE e.extname = 'flex_api');
	seen record;
	members jsonb;
	stranger text;
	body jsonb;
	result record;
BEGIN
	IF pg_catalog.jsonb_typeof(patch) IS DISTINCT FROM 'object' OR patch = '{}' OR patch ? 'account_sid' THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'invalid value for argument "patch"',
			DETAIL = 'flex_configuration_merge expects an object of the members to change, without account_sid.';
	END IF;
	EXECUTE format('SELECT c.* FROM %s.flex_configuration_fetch() AS c', schema) INTO seen;
	members := to_jsonb(seen);
	SELECT name INTO stranger FROM jsonb_object_keys(patch) AS name WHERE NOT members ? name ORDER BY name LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('the configuration has no member "%s" that flex_api knows', stranger),
			HINT = 'flex_configuration_update sends any member, replacing it whole.';
	END IF;
	IF seen.date_updated IS DISTINCT FROM date_updated AND date_updated IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'serialization_failure', MESSAGE = 'the configuration has been changed meanwhile',
			DETAIL = format('It was updated at %s, not at %s.', seen.date_updated, date_updated),
			HINT = 'Fetch the configuration, and decide again.';
	END IF;
	-- A member cannot be removed: a null is sent for it.  Those that the patch does not name are not sent at all.
	EXECUTE format('SELECT jsonb_object_agg(name, coalesce(merged -> name, ''null''))
		FROM %s.flex_json_merge_patch($1, $2) AS merged, jsonb_object_keys($2) AS name', schema)
	INTO body USING members, patch;
	EXECUTE format('SELECT c.* FROM %s.flex_configuration_update($1) AS c', schema)
	INTO result USING body || jsonb_build_object('account_sid', seen.account_sid);
	RETURN result;
END $merge$;

COMMENT ON FUNCTION flex_configuration_merge(jsonb, timestamptz) IS
'Changes members of the configuration deep inside: fetches it, merges, and sends the members that the patch names.
patch: an object of the members to change, by their names in flex_configuration, merged as flex_json_merge_patch does; an
array is replaced. A null for a member of the configuration itself is sent as null; deeper down it removes a member.
date_updated: refuse if the configuration has another date_updated by now (in seconds) than when you read it; NULL: any.
Returns the configuration as it is afterwards. The caller needs EXECUTE on flex_configuration_fetch,
flex_configuration_update and flex_json_merge_patch, too.
Errors: 22023 for a patch that cannot be merged, 40001 when date_updated is another; when somebody changes the
configuration between its two requests, the service refuses the second one with its code 45102 in the DETAIL if it notices:
it has no condition that could be sent along. Twilio then asks to call again (twilio.com/docs/api/errors/45102).
Call it in FROM: SELECT (flex_configuration_merge(...)).* calls it once a column.';

COMMENT ON FUNCTION flex_outbox_retry(bigint) IS
'Makes a failed, uncertain or cancelled request pending again, with a new count of attempts; a pending one is due now.
An uncertain request may have been carried out: check that before.
id: number of a request that the current role has enqueued; a superuser may retry any request.
Errors: P0002 for an id that does not exist, 55000 for a request in another state,
40001 if a sender has claimed it since the transaction''s snapshot.
For a request that has succeeded, it retries the callback, if that failed.
An expired request loses its expires_at, and waits as long as it has to.';

COMMENT ON FUNCTION flex_outbox_cancel(bigint) IS
'Cancels a pending, failed or uncertain request: it will not be sent, and no callback is called. With
flex_api.outbox_keep =
identifiers only its SIDs are kept, and it cannot be retried.
id: number of a request that the current role has enqueued; a superuser may cancel any request.
Errors: P0002 for an id that does not exist, 55000 for a request that is being sent or has succeeded,
40001 if a sender has claimed it since the transaction''s snapshot.';
COMMENT ON FUNCTION flex_outbox_await(bigint, interval) IS
'Waits until a request of the current role has ended and its callback has run once, and returns its row.
id: number of the request.
timeout: maximum time to wait; after it, the row is returned as it is then.
Call it outside the transaction that enqueued, in READ COMMITTED.
Errors: P0002 for an id that does not exist, 55000 for a request whose transaction has not committed, or whose end this
transaction''s isolation level could not see.';

CREATE FUNCTION flex_outbox_sender(
	OUT worker_pid integer,
	OUT worker_since timestamptz,
	OUT delivery boolean,
	OUT explanation text,
	OUT credentials text)
AS 'MODULE_PATHNAME', 'flex_api_outbox_sender'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION flex_outbox_sender() IS
'Internal. The part of flex_outbox_status about the worker and the current role''s credentials. To read that view, a
role
needs EXECUTE on this function, and SELECT on the view. Sends nothing.';

CREATE VIEW flex_stat_holds WITH (security_barrier) AS
SELECT
	h.role,
	h.operation,
	h.account_sid,
	h.cause,
	pg_catalog.count(*) AS requests,
	pg_catalog.min(h.held_since) AS since,
	(pg_catalog.array_agg(h.error_message ORDER BY h.started_at DESC) FILTER (WHERE h.is_own))[1] AS message
FROM (
	SELECT n.name AS role, r.operation, r.account_sid, l.cause, l.held_since, r.error_message, r.started_at,
		(SELECT o.rolsuper OR o.rolbypassrls OR pg_catalog.pg_has_role(c.relowner, 'USAGE')
			FROM pg_catalog.pg_roles AS o, pg_catalog.pg_class AS c
			WHERE o.rolname = current_user AND c.oid OPERATOR(pg_catalog.=) 'flex_outbox_requests'::pg_catalog.regclass)
			OR r.role_id = (SELECT coalesce(
				(SELECT m.id FROM flex_outbox_role_oids AS m WHERE m.role = o.oid),
				(SELECT pg_catalog.min(f.id) FROM flex_outbox_roles AS f WHERE f.name = o.rolname
					AND NOT EXISTS (SELECT FROM flex_outbox_role_oids AS m WHERE m.id = f.id)))
				FROM pg_catalog.pg_roles AS o WHERE o.rolname = current_user) AS is_own
	FROM flex_outbox_later AS l
		JOIN flex_outbox_requests AS r ON r.id = l.id AND r.turn = l.turn AND r.state = 'pending'
		JOIN flex_outbox_roles AS n ON n.id = r.role_id
	WHERE l.cause IS NOT NULL) AS h
WHERE h.is_own OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')
GROUP BY h.role, h.operation, h.account_sid, h.cause;
GRANT SELECT ON flex_stat_holds TO PUBLIC;

COMMENT ON VIEW flex_stat_holds IS
'Requests that were tried and wait until an operator has repaired a problem, by role, operation, account and cause:
those of the
current role, for pg_read_all_stats all. Other requests with the same problem are not tried, and wait behind them.';
COMMENT ON COLUMN flex_stat_holds.role IS 'Role that enqueued them.';
COMMENT ON COLUMN flex_stat_holds.operation IS 'Name of the operation''s function.';
COMMENT ON COLUMN flex_stat_holds.account_sid IS 'Account that they are for; NULL: the sender''s.';
COMMENT ON COLUMN flex_stat_holds.cause IS
'SQLSTATE: 08001 no way to the server (name, proxy, certificate), TW401 refused credentials, 55000 missing settings or
credentials; others as in error_code.';
COMMENT ON COLUMN flex_stat_holds.requests IS 'How many requests.';
COMMENT ON COLUMN flex_stat_holds.since IS 'When the first of them met the problem.';
COMMENT ON COLUMN flex_stat_holds.message IS
'Error message of the last tried one; NULL for a role that sees it by pg_read_all_stats alone.';

-- What waits is found where it waits, and the last ends by the counts: none of it by reading what has finished.
CREATE VIEW flex_outbox_status WITH (security_barrier) AS
WITH
-- Whose requests the current role may see.
reader AS MATERIALIZED (
	SELECT
		r.rolsuper OR r.rolbypassrls OR pg_catalog.pg_has_role(c.relowner, 'USAGE') AS sees_all,
		coalesce((SELECT m.id FROM flex_outbox_role_oids AS m WHERE m.role = r.oid),
			(SELECT pg_catalog.min(n.id) FROM flex_outbox_roles AS n WHERE n.name = r.rolname
				AND NOT EXISTS (SELECT FROM flex_outbox_role_oids AS m WHERE m.id = n.id))) AS role_id
	FROM pg_catalog.pg_roles AS r, pg_catalog.pg_class AS c
	WHERE r.rolname = current_user AND c.oid OPERATOR(pg_catalog.=) 'flex_outbox_requests'::pg_catalog.regclass),
pending AS MATERIALIZED (
	SELECT r.id, r.run_at, r.started_at, r.error_message, r.run_at <= pg_catalog.now() AND (r.ordering_key IS NULL OR r.id = (
			SELECT w.id FROM flex_outbox_ordered AS w WHERE w.role_id = r.role_id AND w.ordering_key = r.ordering_key
			ORDER BY w.waits, w.id LIMIT 1)) IS NOT FALSE AS is_due
	FROM flex_outbox_requests AS r
	WHERE r.id = ANY (ARRAY(
			SELECT w.id FROM flex_outbox_lanes AS l JOIN (SELECT k.lane, k.id, CASE
					WHEN k.xid >= pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()) THEN '0' ELSE k.xid END AS xid
				FROM flex_outbox_marks AS k) AS m ON m.lane = l.id,
				-- The bounds of the transaction are for the estimate; the order is that of the index.
				LATERAL (SELECT o.id FROM flex_outbox_requests AS o WHERE o.lane = l.id AND o.state = 'pending'
					AND (o.enqueued_xid, o.id) > (m.xid, m.id) AND o.enqueued_xid >= m.xid AND o.enqueued_xid < '18446744073709551615'
					ORDER BY o.enqueued_xid, o.id OFFSET 0) AS w
			WHERE (SELECT x.sees_all OR x.role_id = l.role_id FROM reader AS x)
			UNION ALL
			SELECT w.id FROM flex_outbox_marks AS m, pg_catalog.unnest(m.holes) AS h(xid),
				LATERAL (SELECT o.id FROM flex_outbox_requests AS o WHERE o.lane = m.lane AND o.enqueued_xid = h.xid
					AND o.state = 'pending' ORDER BY o.id OFFSET 0) AS w
			-- Few marks have any: by these bounds the planner knows, and does not compile the query.
			WHERE pg_catalog.cardinality(m.holes) BETWEEN 1 AND 2147483647
			UNION ALL SELECT l.id FROM flex_outbox_later AS l
			UNION ALL SELECT w.id FROM flex_outbox_ordered AS w))
		AND r.state = 'pending' AND (r.id, r.turn + 1, r.enqueued_xid) NOT IN (SELECT l.id, l.turn, l.xid
			FROM flex_outbox_claims AS k, unnest(k.requests, k.turns, k.enqueued_xids) AS l(id, turn, xid))
		AND (SELECT x.sees_all OR x.role_id = r.role_id FROM reader AS x)),
finished AS (
	SELECT c.state, nullif(pg_catalog.max(greatest(c.at, c.last_at)) FILTER (WHERE c.requests > 0), '-infinity') AS last_at
	FROM flex_outbox_counts AS c
	WHERE (SELECT x.sees_all OR x.role_id = c.role_id FROM reader AS x)
	GROUP BY c.role_id, c.operation, c.state
	HAVING pg_catalog.sum(c.requests) > 0.0)
SELECT
	s.worker_pid,
	s.worker_since,
	s.delivery,
	s.explanation,
	s.credentials,
	o.due,
	o.oldest_due,
	o.waiting,
	(SELECT p.error_message FROM pending AS p WHERE p.error_message IS NOT NULL
		ORDER BY p.started_at DESC NULLS LAST, p.id DESC LIMIT 1) AS waiting_for,
	(SELECT pg_catalog.max(f.last_at) FROM finished AS f WHERE f.state = 'succeeded') AS last_success,
	(SELECT pg_catalog.max(f.last_at) FROM finished AS f WHERE f.state IN ('failed', 'uncertain')) AS last_failure,
	h.held,
	h.held_since
FROM flex_outbox_sender() AS s, (SELECT
		pg_catalog.count(*) FILTER (WHERE p.is_due) AS due,
		pg_catalog.min(p.run_at) FILTER (WHERE p.is_due) AS oldest_due,
		pg_catalog.count(*) FILTER (WHERE NOT p.is_due) AS waiting
	FROM pending AS p) AS o, (SELECT
		coalesce(pg_catalog.sum(w.requests), 0)::pg_catalog.int8 AS held,
		pg_catalog.min(w.since) AS held_since
	FROM flex_stat_holds AS w) AS h;

COMMENT ON VIEW flex_outbox_status IS
'Always one row: whether the outbox''s requests are sent here, if not why, with which credentials, and what waits, for
the
requests that the current role may see.';
COMMENT ON COLUMN flex_outbox_status.worker_pid IS 'Process of this database''s background worker; NULL: none runs.';
COMMENT ON COLUMN flex_outbox_status.worker_since IS 'When it began.';
COMMENT ON COLUMN flex_outbox_status.delivery IS 'flex_api.delivery as this session has it; false: paused.';
COMMENT ON COLUMN flex_outbox_status.explanation IS 'Why no worker sends, and what to do; NULL: a worker sends.';
COMMENT ON COLUMN flex_outbox_status.credentials IS
'As whom requests of the current role are made in this session, and where that is set; or why there are no credentials.
Never a secret.';
COMMENT ON COLUMN flex_outbox_status.due IS
'Pending requests whose run_at has passed, and that do not wait for an earlier one of their ordering_key.';
COMMENT ON COLUMN flex_outbox_status.oldest_due IS 'Since when the oldest of them could have been sent.';
COMMENT ON COLUMN flex_outbox_status.waiting IS 'Requests that wait for their run_at, for their next attempt, or for an earlier one of their ordering_key.';
COMMENT ON COLUMN flex_outbox_status.waiting_for IS
'Message of the last attempt among the pending requests: why they wait.';
COMMENT ON COLUMN flex_outbox_status.last_success IS 'When the last request succeeded; NULL: none is kept.';
COMMENT ON COLUMN flex_outbox_status.last_failure IS
'When the last request failed or became uncertain; NULL: none is kept.';
COMMENT ON COLUMN flex_outbox_status.held IS
'Requests that were tried and wait until an operator has repaired a problem: see flex_stat_holds.';
COMMENT ON COLUMN flex_outbox_status.held_since IS 'When the first of them met the problem; NULL: there is none.';

CREATE VIEW flex_outbox_causes WITH (security_barrier) AS
SELECT
	o.operation,
	o.state,
	o.error_code AS cause,
	pg_catalog.count(*) AS requests,
	pg_catalog.now() - pg_catalog.min(o.enqueued_at) AS oldest
FROM (
	SELECT p.operation, p.state, p.error_code, p.enqueued_at
	FROM flex_outbox AS p
	WHERE NOT (SELECT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AND NOT r.rolsuper
		FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user)
	UNION ALL
	-- A role that monitors counts the requests of all, and reads nothing of them.
	SELECT a.operation, a.state, a.error_code, a.enqueued_at
	FROM flex_outbox_all AS a
	WHERE (SELECT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AND NOT r.rolsuper
		FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user)) AS o
WHERE o.error_code IS NOT NULL
GROUP BY o.operation, o.state, o.error_code;
GRANT SELECT ON flex_outbox_causes TO PUBLIC;

COMMENT ON VIEW flex_outbox_causes IS
'Why requests of the outbox are not sent, and how others have ended: by operation, state and error code, of the
requests that the current role may see, for pg_read_all_stats of all.';
COMMENT ON COLUMN flex_outbox_causes.operation IS 'Name of the operation''s function.';
COMMENT ON COLUMN flex_outbox_causes.state IS
'State of the requests; for pending ones, cause is that of the last attempt.';
COMMENT ON COLUMN flex_outbox_causes.cause IS
'The service''s error code, or the SQLSTATE of an error in this database.';
COMMENT ON COLUMN flex_outbox_causes.requests IS 'How many requests; finished ones count as long as they are kept.';
COMMENT ON COLUMN flex_outbox_causes.oldest IS 'How long ago the oldest of them was enqueued.';

CREATE FUNCTION flex_call_many(
	operation text,
	arguments jsonb[],
	concurrency integer DEFAULT NULL)
RETURNS TABLE (
	number integer,
	http_status integer,
	response jsonb,
	error_code text,
	error_message text,
	request_id text,
	sqlstate text)
AS 'MODULE_PATHNAME', 'flex_api_call_many'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 100;

COMMENT ON FUNCTION flex_call_many(text, jsonb[], integer) IS
'Calls an operation many times, with many requests in flight at once, and returns when all have ended.
operation: name of the function that a direct call would use; the caller needs EXECUTE on it. flex_request is allowed,
list functions are not.
arguments: an array with one JSON object of names and values per call, as in flex_enqueue. All are checked before the
first is sent. NULL or an empty array: no call, no row.
concurrency: how many requests are in flight at once, 1 to 1000; NULL for flex_api.concurrency. flex_api.rate_limits
applies.
Returns one row per element, in the order in which they end. number: of the element, from 1 on. http_status: NULL
without
an answer. response: the answer''s JSON. error_code: Twilio''s. error_message: of the error that a direct call raises.
sqlstate: the SQLSTATE of that error, such as TW404; NULL if the call succeeded. 08007: it may have been carried out.
Errors: 22023 and 22004 for invalid arguments, with the element''s number in the CONTEXT; 0A000 for a list, 42501
without EXECUTE. A refusal by the service is a row. If the statement is cancelled or fails, its CONTEXT says how many
requests were sent and answered, its DETAIL has the SIDs in the answers to POSTs, and the server''s log has all of
them.
LIMIT does not end it: all elements are sent.';

CREATE FUNCTION flex_fdw_handler()
RETURNS fdw_handler
AS 'MODULE_PATHNAME', 'flex_fdw_handler'
LANGUAGE C STRICT;

COMMENT ON FUNCTION flex_fdw_handler() IS
'Handler of the foreign-data wrapper flex_api, which calls it.';

CREATE FUNCTION flex_fdw_validator(
	options text[],
	catalog oid)
RETURNS void
AS 'MODULE_PATHNAME', 'flex_fdw_validator'
LANGUAGE C STRICT;

COMMENT ON FUNCTION flex_fdw_validator(text[], oid) IS
'Checks options of the foreign-data wrapper flex_api, which calls it.';

CREATE FOREIGN DATA WRAPPER flex_api HANDLER flex_fdw_handler VALIDATOR flex_fdw_validator;

COMMENT ON FOREIGN DATA WRAPPER flex_api IS
'The resources of the Flex API as foreign tables.';

CREATE FUNCTION flex_user_mapping_set(
	server text,
	role text,
	options jsonb)
RETURNS void
AS 'MODULE_PATHNAME', 'flex_user_mapping_set'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION flex_user_mapping_set(text, text, jsonb) IS
'Creates or alters a user mapping, as CREATE and ALTER USER MAPPING do, but takes the secret as a value. If the options
are a bind parameter, no statement, log or view of activity contains the secret.
server: name of a server of the foreign-data wrapper flex_api. role: name of a role; public for all roles without a
mapping of their own.
options: an object of strings, api_key and api_secret, or auth_token. They replace all options of the mapping.
Errors: 42704 for a server or a role that does not exist, 42501 without the right, HV00D for an unknown option.
Sends nothing.';

CREATE FUNCTION flex_stat_get_operations(
	OUT usesysid oid,
	OUT datid oid,
	OUT operation text,
	OUT way text,
	OUT requests bigint,
	OUT succeeded bigint,
	OUT refused bigint,
	OUT throttled bigint,
	OUT failed bigint,
	OUT lost bigint,
	OUT unsent bigint,
	OUT repeats bigint,
	OUT rows bigint,
	OUT bytes_sent bigint,
	OUT bytes_received bigint,
	OUT total_time double precision,
	OUT min_time double precision,
	OUT max_time double precision,
	OUT mean_time double precision,
	OUT stddev_time double precision,
	OUT p50_time double precision,
	OUT p95_time double precision,
	OUT p99_time double precision,
	OUT stats_reset timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'flex_api_stat_operations'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 100;
COMMENT ON FUNCTION flex_stat_get_operations() IS
'Internal. What the view flex_stat_operations shows. Sends nothing.';

CREATE VIEW flex_stat_operations AS
SELECT
	s.usesysid,
	r.rolname AS usename,
	s.datid,
	d.datname,
	s.operation,
	s.way,
	s.requests,
	s.succeeded,
	s.refused,
	s.throttled,
	s.failed,
	s.lost,
	s.unsent,
	s.repeats,
	s.rows,
	s.bytes_sent,
	s.bytes_received,
	s.total_time,
	s.min_time,
	s.max_time,
	s.mean_time,
	s.stddev_time,
	s.p50_time,
	s.p95_time,
	s.p99_time,
	s.stats_reset
FROM flex_stat_get_operations() AS s
LEFT JOIN pg_catalog.pg_roles AS r ON r.oid OPERATOR(pg_catalog.=) s.usesysid
LEFT JOIN pg_catalog.pg_database AS d ON d.oid OPERATOR(pg_catalog.=) s.datid;

COMMENT ON VIEW flex_stat_operations IS
'Counts of HTTP requests by role, database, operation and way: those of the current role, for pg_read_all_stats of all
roles.
requests is the sum of succeeded, refused, throttled, failed, lost and unsent. If the library is preloaded, and always
from PostgreSQL 17 on, all sessions share the counters; otherwise each session has its own. If preloaded, they
survive a
clean restart.';
COMMENT ON COLUMN flex_stat_operations.usesysid IS
'Role of the requests: the current role of a call, the role that has enqueued.';
COMMENT ON COLUMN flex_stat_operations.usename IS 'Its name; NULL: it was dropped.';
COMMENT ON COLUMN flex_stat_operations.datid IS 'Database in which they were made.';
COMMENT ON COLUMN flex_stat_operations.datname IS 'Its name; NULL: it was dropped.';
COMMENT ON COLUMN flex_stat_operations.operation IS 'Name of the operation''s function.';
COMMENT ON COLUMN flex_stat_operations.way IS
'How they were made: call, list, many (flex_call_many), foreign (a foreign table), outbox, request (flex_request and
flex_request_list).';
COMMENT ON COLUMN flex_stat_operations.requests IS
'HTTP requests that were tried, including retries and pages of lists.';
COMMENT ON COLUMN flex_stat_operations.succeeded IS
'Requests that were carried out: status 2xx, or a retried DELETE whose resource no longer exists.';
COMMENT ON COLUMN flex_stat_operations.refused IS 'Requests with an answer of status 4xx other than 429.';
COMMENT ON COLUMN flex_stat_operations.throttled IS 'Requests with an answer of status 429: too many requests.';
COMMENT ON COLUMN flex_stat_operations.failed IS
'Requests with any other answer, such as 5xx or one that is too large.';
COMMENT ON COLUMN flex_stat_operations.lost IS
'Requests that were sent and got no answer: connection, timeout, or cancelled.';
COMMENT ON COLUMN flex_stat_operations.unsent IS
'Requests of which nothing could be sent, or that were cancelled before.';
COMMENT ON COLUMN flex_stat_operations.repeats IS 'How many of the requests were retries.';
COMMENT ON COLUMN flex_stat_operations.rows IS 'Rows on the received pages of lists.';
COMMENT ON COLUMN flex_stat_operations.bytes_sent IS 'Bytes of the requests'' bodies.';
COMMENT ON COLUMN flex_stat_operations.bytes_received IS 'Bytes of the answers'' bodies, before decompression.';
COMMENT ON COLUMN flex_stat_operations.total_time IS
'Total time of the requests, in milliseconds, each from its beginning to its end.';
COMMENT ON COLUMN flex_stat_operations.min_time IS 'Minimum time of a request.';
COMMENT ON COLUMN flex_stat_operations.max_time IS 'Maximum time of a request.';
COMMENT ON COLUMN flex_stat_operations.mean_time IS 'Mean time of a request.';
COMMENT ON COLUMN flex_stat_operations.stddev_time IS 'Standard deviation of the time of a request.';
COMMENT ON COLUMN flex_stat_operations.p50_time IS 'Median time of a request, with an error of at most 5 %.';
COMMENT ON COLUMN flex_stat_operations.p95_time IS
'95th percentile of the time of a request, with an error of at most 5 %.';
COMMENT ON COLUMN flex_stat_operations.p99_time IS
'99th percentile of the time of a request, with an error of at most 5 %.';
COMMENT ON COLUMN flex_stat_operations.stats_reset IS 'Time from which on the row counts.';

CREATE FUNCTION flex_stat_get_progress(
	OUT pid integer,
	OUT usesysid oid,
	OUT datid oid,
	OUT way text,
	OUT operation text,
	OUT done bigint,
	OUT total bigint,
	OUT in_flight bigint,
	OUT failed bigint,
	OUT rows bigint,
	OUT started_at timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'flex_api_stat_progress'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 10;
COMMENT ON FUNCTION flex_stat_get_progress() IS
'Internal. What the view flex_stat_progress shows. Sends nothing.';

CREATE VIEW flex_stat_progress AS
SELECT
	s.pid,
	s.datid,
	d.datname,
	s.usesysid,
	r.rolname AS usename,
	s.way,
	s.operation,
	s.done,
	s.total,
	s.in_flight,
	s.failed,
	s.rows,
	s.started_at
FROM flex_stat_get_progress() AS s
LEFT JOIN pg_catalog.pg_roles AS r ON r.oid OPERATOR(pg_catalog.=) s.usesysid
LEFT JOIN pg_catalog.pg_database AS d ON d.oid OPERATOR(pg_catalog.=) s.datid;

COMMENT ON VIEW flex_stat_progress IS
'Lists, flex_call_many, statements on foreign tables and senders of the outbox that are running now, like
pg_stat_progress_* for the server''s own commands: those of the current role, for pg_read_all_stats of all roles.';
COMMENT ON COLUMN flex_stat_progress.pid IS 'Process.';
COMMENT ON COLUMN flex_stat_progress.datid IS 'Database of the process.';
COMMENT ON COLUMN flex_stat_progress.datname IS 'Its name.';
COMMENT ON COLUMN flex_stat_progress.usesysid IS 'Role that it works as.';
COMMENT ON COLUMN flex_stat_progress.usename IS 'Its name.';
COMMENT ON COLUMN flex_stat_progress.way IS 'list, many, foreign, outbox (a worker or a drain), or request (flex_request_list).';
COMMENT ON COLUMN flex_stat_progress.operation IS 'Name of the operation''s function; NULL: several.';
COMMENT ON COLUMN flex_stat_progress.done IS 'Requests that have ended; for a list, pages.';
COMMENT ON COLUMN flex_stat_progress.total IS 'How many there will be; NULL: unknown.';
COMMENT ON COLUMN flex_stat_progress.in_flight IS 'Requests that are in flight, or wait for a retry.';
COMMENT ON COLUMN flex_stat_progress.failed IS 'Requests that ended without success.';
COMMENT ON COLUMN flex_stat_progress.rows IS 'Rows that were received.';
COMMENT ON COLUMN flex_stat_progress.started_at IS 'When it began.';

CREATE FUNCTION flex_stat_get_rates(
	OUT account text,
	OUT operation text,
	OUT configured_rate double precision,
	OUT learned_rate double precision,
	OUT tokens integer,
	OUT held_until timestamptz,
	OUT held_because text,
	OUT throttled bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'flex_api_stat_rates'
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 100;
COMMENT ON FUNCTION flex_stat_get_rates() IS
'Internal. What the view flex_stat_rates shows. Sends nothing.';

CREATE VIEW flex_stat_rates AS
SELECT
	s.account,
	s.operation,
	s.configured_rate,
	s.learned_rate,
	s.tokens,
	s.held_until,
	s.held_because,
	s.throttled
FROM flex_stat_get_rates() AS s;

COMMENT ON VIEW flex_stat_rates IS
'How many requests may be sent, by account and operation, of those that were used recently. pg_read_all_stats sees
all, other
roles the account of their own calls, unless the session has set it. If the library is preloaded, and always from
PostgreSQL
17 on, all sessions and databases share the rates; otherwise each session has its own.';
COMMENT ON COLUMN flex_stat_rates.account IS
'SID of the account or, if it is not known, of the API key; NULL: neither is known.';
COMMENT ON COLUMN flex_stat_rates.operation IS
'Name of the operation''s function; for operations that share a rate, the first.';
COMMENT ON COLUMN flex_stat_rates.configured_rate IS
'Requests per second by flex_api.rate_limits, as set in this session; 0: paused; NULL: no limit.';
COMMENT ON COLUMN flex_stat_rates.learned_rate IS
'Requests per second that are sent now, because the service has refused more (429); NULL: none was refused recently.';
COMMENT ON COLUMN flex_stat_rates.tokens IS 'Requests that may be sent at once; NULL: any number.';
COMMENT ON COLUMN flex_stat_rates.held_until IS 'Nothing is sent before this time; NULL: no hold.';
COMMENT ON COLUMN flex_stat_rates.held_because IS
'asked: the service has named the time (Retry-After, of which at most an hour is obeyed); refused: the service refuses
everything, and a single request is sent as a probe at that time; NULL: no hold.';
COMMENT ON COLUMN flex_stat_rates.throttled IS 'Requests with the answer 429, since the row exists.';

CREATE FUNCTION flex_stat_reset() RETURNS void
AS 'MODULE_PATHNAME', 'flex_api_stat_reset'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION flex_stat_reset() IS
'Resets the counters of flex_stat_operations, for all roles and databases. Sends nothing.';

GRANT SELECT ON flex_stat_operations, flex_stat_progress, flex_stat_rates TO PUBLIC;

REVOKE EXECUTE ON FUNCTION flex_webhook_is_authentic(text, jsonb, text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_webhook_body_is_authentic(text, bytea, text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_access_token(text, text, jsonb, interval, timestamptz) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_json_merge_patch(jsonb, jsonb) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_configuration_merge(jsonb, timestamptz) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_outbox_sender() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_call_many(text, jsonb[], integer) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_fdw_handler() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_fdw_validator(text[], oid) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_user_mapping_set(text, text, jsonb) FROM PUBLIC;

-- Interaction webhooks, teams and users, which the OpenAPI documents do not have.
CREATE TYPE flex_interaction_webhook AS (
	ttid text,
	account_sid text,
	instance_sid text,
	webhook_url text,
	webhook_events jsonb,
	webhook_method text,
	type text,
	friendly_name text,
	url text);

COMMENT ON TYPE flex_interaction_webhook IS
'A webhook for events of interactions.';
COMMENT ON COLUMN flex_interaction_webhook.ttid IS 'What names the webhook (flex_interactionwebhook_...); of type interaction, what webhook_ttid of an interaction takes.';
COMMENT ON COLUMN flex_interaction_webhook.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_interaction_webhook.instance_sid IS 'SID of the Flex instance (GO...).';
COMMENT ON COLUMN flex_interaction_webhook.webhook_url IS 'Where events are sent.';
COMMENT ON COLUMN flex_interaction_webhook.webhook_events IS 'The names of the events that are sent (array of strings).';
COMMENT ON COLUMN flex_interaction_webhook.webhook_method IS 'GET or POST.';
COMMENT ON COLUMN flex_interaction_webhook.type IS 'global: events of all interactions; interaction: of those that name it.';
COMMENT ON COLUMN flex_interaction_webhook.friendly_name IS 'A name for people.';
COMMENT ON COLUMN flex_interaction_webhook.url IS 'Address of this resource.';

CREATE FUNCTION flex_interaction_webhook_create(
	instance_sid text,
	webhook_url text,
	webhook_events text[] DEFAULT NULL,
	webhook_method text DEFAULT NULL,
	type text DEFAULT NULL,
	friendly_name text DEFAULT NULL)
RETURNS flex_interaction_webhook
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_interaction_webhook_create(text, text, text[], text, text, text) IS
'Registers a webhook for events of interactions.
POST /v1/Instances/{InstanceSid}/InteractionWebhooks
instance_sid: the instance''s SID (GO...). webhook_url: where events are sent. webhook_events: names of events:
onInteractionCreated, onChannelCreated, onChannelCreateFailed, onChannelStatusUpdated, onParticipantJoined,
onParticipantLeft or onParticipantUpdated. webhook_method: GET or POST. type: global for events of all interactions,
which is the service''s default, or interaction for those that are created with its ttid as webhook_ttid.
friendly_name: a name for people.
Returns the webhook.
State: no beta notice; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/conversations/register-interactions-webhooks.
Errors: TW404 when there is no such instance.';

CREATE FUNCTION flex_interaction_webhooks_list(
	instance_sid text,
	type text DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_interaction_webhook
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_interaction_webhooks_list(text, text, integer, bigint) IS
'Lists the instance''s webhooks for events of interactions.
GET /v1/Instances/{InstanceSid}/InteractionWebhooks
instance_sid: the instance''s SID (GO...). type: global or interaction; NULL for both. page_size: rows per request, 1
to 1000; NULL for the fewest requests. max_rows: stop after so many; NULL for all.
Returns one row per webhook.
State: no beta notice; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/conversations/register-interactions-webhooks.
Errors: TW404 when there is no such instance.';

CREATE FUNCTION flex_interaction_webhook_fetch(
	instance_sid text,
	ttid text)
RETURNS flex_interaction_webhook
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_interaction_webhook_fetch(text, text) IS
'Fetches one webhook for events of interactions.
GET /v1/Instances/{InstanceSid}/InteractionWebhooks/{Ttid}
instance_sid: the instance''s SID (GO...). ttid: what names the webhook (flex_interactionwebhook_...).
Returns the webhook.
State: no beta notice; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/conversations/register-interactions-webhooks.
Errors: TW404 when there is no such instance or webhook.';

CREATE FUNCTION flex_interaction_webhook_update(
	instance_sid text,
	ttid text,
	webhook_url text DEFAULT NULL,
	webhook_events text[] DEFAULT NULL,
	webhook_method text DEFAULT NULL,
	friendly_name text DEFAULT NULL)
RETURNS flex_interaction_webhook
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_interaction_webhook_update(text, text, text, text[], text, text) IS
'Changes a webhook for events of interactions; what is NULL stays as it is.
POST /v1/Instances/{InstanceSid}/InteractionWebhooks/{Ttid}
instance_sid: the instance''s SID (GO...). ttid: what names the webhook (flex_interactionwebhook_...). webhook_url:
where events are sent. webhook_events: names of events, in place of those before. webhook_method: GET or POST.
friendly_name: a name for people.
Returns the webhook as it is afterwards.
State: no beta notice; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/conversations/register-interactions-webhooks.
Errors: TW404 when there is no such instance or webhook.';

CREATE FUNCTION flex_interaction_webhook_delete(
	instance_sid text,
	ttid text)
RETURNS void
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_interaction_webhook_delete(text, text) IS
'Deletes a webhook for events of interactions.
DELETE /v1/Instances/{InstanceSid}/InteractionWebhooks/{Ttid}
instance_sid: the instance''s SID (GO...). ttid: what names the webhook (flex_interactionwebhook_...).
Returns nothing.
State: no beta notice; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/conversations/register-interactions-webhooks.
Errors: TW404 when there is no such instance or webhook.';

CREATE TYPE flex_team AS (
	team_sid text,
	account_sid text,
	instance_sid text,
	friendly_name text,
	description text,
	level integer,
	parent_team_sid text,
	member_count integer,
	date_created timestamptz,
	date_updated timestamptz,
	version integer);

COMMENT ON TYPE flex_team IS
'A team of a Flex instance.';
COMMENT ON COLUMN flex_team.team_sid IS 'SID of the team (QO...).';
COMMENT ON COLUMN flex_team.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_team.instance_sid IS 'SID of the Flex instance (GO...).';
COMMENT ON COLUMN flex_team.friendly_name IS 'The team''s name, which is unique; no personal data.';
COMMENT ON COLUMN flex_team.description IS 'What the team is for; no personal data.';
COMMENT ON COLUMN flex_team.level IS '1: a team, with members; 2 and 3: groups of teams, with owners alone.';
COMMENT ON COLUMN flex_team.parent_team_sid IS 'SID of the team of the next level that it belongs to (QO...).';
COMMENT ON COLUMN flex_team.member_count IS 'How many members it has.';
COMMENT ON COLUMN flex_team.date_created IS 'When it was created.';
COMMENT ON COLUMN flex_team.date_updated IS 'When it was last changed.';
COMMENT ON COLUMN flex_team.version IS 'Version of the team''s record.';

CREATE TYPE flex_team_user AS (
	flex_user_sid text,
	account_sid text,
	instance_sid text,
	team_sid text,
	friendly_name text,
	email text,
	worker_sid text);

COMMENT ON TYPE flex_team_user IS
'A member or an owner of a team.';
COMMENT ON COLUMN flex_team_user.flex_user_sid IS 'SID of the Flex user (FU...).';
COMMENT ON COLUMN flex_team_user.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_team_user.instance_sid IS 'SID of the Flex instance (GO...).';
COMMENT ON COLUMN flex_team_user.team_sid IS 'SID of the team (QO...).';
COMMENT ON COLUMN flex_team_user.friendly_name IS 'The user''s name.';
COMMENT ON COLUMN flex_team_user.email IS 'The user''s e-mail address.';
COMMENT ON COLUMN flex_team_user.worker_sid IS 'SID of the TaskRouter worker (WK...).';

CREATE FUNCTION flex_team_create(
	instance_sid text,
	friendly_name text,
	description text DEFAULT NULL,
	level integer DEFAULT NULL,
	parent_team_sid text DEFAULT NULL)
RETURNS flex_team
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_team_create(text, text, text, integer, text) IS
'Creates a team.
POST /v1/Instances/{InstanceSid}/Teams
instance_sid: the instance''s SID (GO...). friendly_name: a unique name of 1 to 100 characters, without personal data.
description: what it is for, 1 to 1000 characters, without personal data. level: 1 for a team, 2 or 3 for a group of
teams; the service''s default is 1. parent_team_sid: SID of the team of the next level that it belongs to (QO...); a
team of level 3 has none.
Returns the team.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-teams-api.
Errors: TW404 when there is no such instance.';

CREATE FUNCTION flex_teams_list(
	instance_sid text,
	owner text DEFAULT NULL,
	include_transitive boolean DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_team
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_teams_list(text, text, boolean, integer, bigint) IS
'Lists the instance''s teams.
GET /v1/Instances/{InstanceSid}/Teams
instance_sid: the instance''s SID (GO...). owner: SID of a Flex user (FU...), for the teams that this user owns.
include_transitive: also the teams below those. page_size: rows per request, 1 to 1000; NULL for the fewest requests.
max_rows: stop after so many; NULL for all.
Returns one row per team.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-teams-api.
Errors: TW404 when there is no such instance.';

CREATE FUNCTION flex_team_fetch(
	instance_sid text,
	team_sid text)
RETURNS flex_team
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_team_fetch(text, text) IS
'Fetches one team.
GET /v1/Instances/{InstanceSid}/Teams/{TeamSid}
instance_sid: the instance''s SID (GO...). team_sid: the team''s SID (QO...).
Returns the team.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-teams-api.
Errors: TW404 when there is no such instance or team.';

CREATE FUNCTION flex_team_update(
	instance_sid text,
	team_sid text,
	friendly_name text,
	description text,
	parent_team_sid text DEFAULT NULL)
RETURNS flex_team
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_team_update(text, text, text, text, text) IS
'Changes a team.
POST /v1/Instances/{InstanceSid}/Teams/{TeamSid}
instance_sid: the instance''s SID (GO...). team_sid: the team''s SID (QO...). friendly_name: its name, also where it
stays. description: what it is for, also where it stays. parent_team_sid: SID of the team of the next level that it
belongs to (QO...); a team of level 3 has none. The page calls it required; it can be left out here, for there are
teams without one.
Returns the team as it is afterwards.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-teams-api.
Errors: TW404 when there is no such instance or team.';

CREATE FUNCTION flex_team_delete(
	instance_sid text,
	team_sid text)
RETURNS void
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_team_delete(text, text) IS
'Deletes a team.
DELETE /v1/Instances/{InstanceSid}/Teams/{TeamSid}
instance_sid: the instance''s SID (GO...). team_sid: the team''s SID (QO...).
Returns nothing.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-teams-api.
Errors: TW404 when there is no such instance or team. The default team cannot be deleted.';

CREATE FUNCTION flex_team_member_create(
	instance_sid text,
	team_sid text,
	flex_user_sid text)
RETURNS flex_team_user
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_team_member_create(text, text, text) IS
'Makes a user a member of a team. The user leaves the previous team, because each user has one team.
POST /v1/Instances/{InstanceSid}/Teams/{TeamSid}/Members
instance_sid: the instance''s SID (GO...). team_sid: the team''s SID (QO...). flex_user_sid: the user''s SID (FU...).
Returns the member.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-teams-api.
Errors: TW404 when there is no such instance or team or user.';

CREATE FUNCTION flex_team_members_list(
	instance_sid text,
	team_sid text,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_team_user
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_team_members_list(text, text, integer, bigint) IS
'Lists a team''s members.
GET /v1/Instances/{InstanceSid}/Teams/{TeamSid}/Members
instance_sid: the instance''s SID (GO...). team_sid: the team''s SID (QO...). page_size: rows per request, 1 to 1000;
NULL for the fewest requests. max_rows: stop after so many; NULL for all.
Returns one row per member.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-teams-api.
Errors: TW404 when there is no such instance or team.';

CREATE FUNCTION flex_team_owner_create(
	instance_sid text,
	team_sid text,
	flex_user_sid text)
RETURNS flex_team_user
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_team_owner_create(text, text, text) IS
'Makes a user an owner of a team. A user may own several teams.
POST /v1/Instances/{InstanceSid}/Teams/{TeamSid}/Owners
instance_sid: the instance''s SID (GO...). team_sid: the team''s SID (QO...). flex_user_sid: the user''s SID (FU...).
Returns the owner.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-teams-api.
Errors: TW404 when there is no such instance or team or user.';

CREATE FUNCTION flex_team_owners_list(
	instance_sid text,
	team_sid text,
	include_transitive boolean DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_team_user
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_team_owners_list(text, text, boolean, integer, bigint) IS
'Lists a team''s owners.
GET /v1/Instances/{InstanceSid}/Teams/{TeamSid}/Owners
instance_sid: the instance''s SID (GO...). team_sid: the team''s SID (QO...). include_transitive: also those who own it
by a team above it. page_size: rows per request, 1 to 1000; NULL for the fewest requests. max_rows: stop after so
many; NULL for all.
Returns one row per owner.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-teams-api.
Errors: TW404 when there is no such instance or team.';

CREATE FUNCTION flex_team_owner_delete(
	instance_sid text,
	team_sid text,
	flex_user_sid text)
RETURNS void
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_team_owner_delete(text, text, text) IS
'Removes an owner of a team.
DELETE /v1/Instances/{InstanceSid}/Teams/{TeamSid}/Owners/{FlexUserSid}
instance_sid: the instance''s SID (GO...). team_sid: the team''s SID (QO...). flex_user_sid: the user''s SID (FU...).
Returns nothing.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-teams-api.
Errors: TW404 when there is no such instance or team or owner.';

CREATE TYPE flex_instance_user AS (
	flex_user_sid text,
	account_sid text,
	instance_sid text,
	flex_team_sid text,
	worker_sid text,
	workspace_sid text,
	username text,
	full_name text,
	email text,
	roles jsonb,
	locale text,
	deactivated boolean,
	created_date timestamptz,
	updated_date timestamptz,
	deactivated_date timestamptz,
	version integer);

COMMENT ON TYPE flex_instance_user IS
'A user of a Flex instance, as version 4 of the API has it.';
COMMENT ON COLUMN flex_instance_user.flex_user_sid IS 'SID of the Flex user (FU...).';
COMMENT ON COLUMN flex_instance_user.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_instance_user.instance_sid IS 'SID of the Flex instance (GO...).';
COMMENT ON COLUMN flex_instance_user.flex_team_sid IS 'SID of the team that the user is a member of (QO...).';
COMMENT ON COLUMN flex_instance_user.worker_sid IS 'SID of the TaskRouter worker (WK...).';
COMMENT ON COLUMN flex_instance_user.workspace_sid IS 'SID of the TaskRouter workspace (WS...).';
COMMENT ON COLUMN flex_instance_user.username IS 'The user''s unique name.';
COMMENT ON COLUMN flex_instance_user.full_name IS 'The user''s full name.';
COMMENT ON COLUMN flex_instance_user.email IS 'The user''s e-mail address.';
COMMENT ON COLUMN flex_instance_user.roles IS 'The user''s roles: agent, supervisor, admin (array of strings).';
COMMENT ON COLUMN flex_instance_user.locale IS 'The language and region that the user prefers.';
COMMENT ON COLUMN flex_instance_user.deactivated IS 'Whether the user has been deprovisioned.';
COMMENT ON COLUMN flex_instance_user.created_date IS 'When it was created.';
COMMENT ON COLUMN flex_instance_user.updated_date IS 'When it was last changed.';
COMMENT ON COLUMN flex_instance_user.deactivated_date IS 'When the user was deprovisioned.';
COMMENT ON COLUMN flex_instance_user.version IS 'Version of the user''s record.';

CREATE TYPE flex_provisioned_user AS (
	flex_user_sid text,
	account_sid text,
	instance_sid text,
	username text,
	email text,
	full_name text,
	flex_team_sid text,
	roles jsonb,
	locale text,
	worker jsonb,
	deactivated boolean,
	created_date timestamptz,
	updated_date timestamptz,
	deactivated_date timestamptz,
	version integer);

COMMENT ON TYPE flex_provisioned_user IS
'A user of a Flex instance, as provisioning returns it.';
COMMENT ON COLUMN flex_provisioned_user.flex_user_sid IS 'SID of the Flex user (FU...).';
COMMENT ON COLUMN flex_provisioned_user.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_provisioned_user.instance_sid IS 'SID of the Flex instance (GO...).';
COMMENT ON COLUMN flex_provisioned_user.username IS 'The user''s unique name.';
COMMENT ON COLUMN flex_provisioned_user.email IS 'The user''s e-mail address.';
COMMENT ON COLUMN flex_provisioned_user.full_name IS 'The user''s full name.';
COMMENT ON COLUMN flex_provisioned_user.flex_team_sid IS 'SID of the team that the user is a member of (QO...).';
COMMENT ON COLUMN flex_provisioned_user.roles IS 'The user''s roles: agent, supervisor, admin (array of strings).';
COMMENT ON COLUMN flex_provisioned_user.locale IS 'The language and region that the user prefers.';
COMMENT ON COLUMN flex_provisioned_user.worker IS 'The TaskRouter worker: worker_sid and workspace_sid (object).';
COMMENT ON COLUMN flex_provisioned_user.deactivated IS 'Whether the user has been deprovisioned.';
COMMENT ON COLUMN flex_provisioned_user.created_date IS 'When it was created.';
COMMENT ON COLUMN flex_provisioned_user.updated_date IS 'When it was last changed.';
COMMENT ON COLUMN flex_provisioned_user.deactivated_date IS 'When the user was deprovisioned.';
COMMENT ON COLUMN flex_provisioned_user.version IS 'Version of the user''s record.';

CREATE FUNCTION flex_user_provision(
	instance_sid text,
	body jsonb)
RETURNS flex_provisioned_user
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_user_provision(text, jsonb) IS
'Creates a Flex user and a TaskRouter worker, or updates existing ones.
POST /v4/Instances/{InstanceSid}/Users/Provision
instance_sid: the instance''s SID (GO...). body: a JSON object with username, email and full_name (1 to 256 characters
each), roles (an array of agent, supervisor, admin) and worker (an object, which may be empty or have attributes). It
is sent as it is; with the same username again it makes no second user.
Returns the user.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-users-api.
Errors: TW404 when there is no such instance.';

CREATE FUNCTION flex_instance_users_list(
	instance_sid text,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_instance_user
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_instance_users_list(text, integer, bigint) IS
'Lists the instance''s users, those that were deprovisioned included.
GET /v1/Instances/{InstanceSid}/Users
instance_sid: the instance''s SID (GO...). page_size: rows per request, 1 to 1000; NULL for the fewest requests.
max_rows: stop after so many; NULL for all.
Returns one row per user.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-users-api.
Errors: TW404 when there is no such instance.';

CREATE FUNCTION flex_instance_users_named_list(
	instance_sid text,
	username text,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_instance_user
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_instance_users_named_list(text, text, integer, bigint) IS
'Finds a user by name.
GET /v4/Instances/{InstanceSid}/Users
instance_sid: the instance''s SID (GO...). username: the user''s unique name. page_size: rows per request, 1 to 1000;
NULL for the fewest requests. max_rows: stop after so many; NULL for all.
Returns the user, or no row.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-users-api.
Errors: TW404 when there is no such instance.';

CREATE FUNCTION flex_instance_user_fetch(
	instance_sid text,
	flex_user_sid text)
RETURNS flex_instance_user
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_instance_user_fetch(text, text) IS
'Fetches one user of the instance.
GET /v4/Instances/{InstanceSid}/Users/{FlexUserSid}
instance_sid: the instance''s SID (GO...). flex_user_sid: the user''s SID (FU...).
Returns the user.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-users-api.
Errors: TW404 when there is no such instance or user.';

CREATE FUNCTION flex_user_deprovision(
	instance_sid text,
	body jsonb)
RETURNS void
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_user_deprovision(text, jsonb) IS
'Deactivates a Flex user and deletes the user''s TaskRouter worker.
POST /v4/Instances/{InstanceSid}/Users/Deprovision
instance_sid: the instance''s SID (GO...). body: a JSON object with flex_user_sid, the user''s SID (FU...).
Returns nothing.
State: public beta; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/user-management/flex-users-api.
Errors: TW404 when there is no such instance or user.';

REVOKE EXECUTE ON FUNCTION flex_interaction_webhook_create(text, text, text[], text, text, text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_interaction_webhooks_list(text, text, integer, bigint) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_interaction_webhook_fetch(text, text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_interaction_webhook_update(text, text, text, text[], text, text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_interaction_webhook_delete(text, text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_team_create(text, text, text, integer, text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_teams_list(text, text, boolean, integer, bigint) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_team_fetch(text, text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_team_update(text, text, text, text, text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_team_delete(text, text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_team_member_create(text, text, text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_team_members_list(text, text, integer, bigint) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_team_owner_create(text, text, text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_team_owners_list(text, text, boolean, integer, bigint) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_team_owner_delete(text, text, text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_user_provision(text, jsonb) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_instance_users_list(text, integer, bigint) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_instance_users_named_list(text, text, integer, bigint) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_instance_user_fetch(text, text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_user_deprovision(text, jsonb) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_outbox_restore() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_outbox_confirm(bigint, jsonb) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_enqueue_many(text, jsonb[], jsonb[], text, text, timestamptz, integer, integer, text[], text[], timestamptz) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_outbox_count_deleted() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_outbox_count_changed() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION flex_stat_reset() FROM PUBLIC;
-- What these show is one's own, and they send nothing.
REVOKE EXECUTE ON FUNCTION flex_stat_get_operations(), flex_stat_get_progress(), flex_stat_get_rates() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION flex_stat_get_operations(), flex_stat_get_progress(), flex_stat_get_rates() TO PUBLIC;

COMMENT ON TABLE flex_outbox_holds IS
'Unused; kept for users'' queries that read it. Times from Retry-After are kept in memory, by account and operation: see
flex_stat_rates.';
COMMENT ON FUNCTION flex_operations() IS
'Lists the operations of the Flex API that have a function; sends nothing.
Returns one row per operation. name: its function. method, path: of its requests; {Sid} stands for an argument.
repeatable: true if the request can safely be sent twice, so that it is retried when its answer is lost.
rate: the published limit in requests per second and account; NULL if none is published with its unit.';
COMMENT ON COLUMN flex_outbox_summary.sending IS
'Requests that a sender has claimed, or whose callback has not run yet.';
COMMENT ON COLUMN flex_outbox_summary.uncertain IS 'Requests on which a person has to decide.';
COMMENT ON COLUMN flex_outbox_summary.finished_last_minute IS
'How many requests reached their final state within a minute.';
