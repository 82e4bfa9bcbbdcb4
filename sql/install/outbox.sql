-- The outbox: requests that triggers and scheduled jobs leave behind, sent
-- after their transaction has committed, by a background worker or by a session
-- that calls flex_outbox_drain().  Only this extension's functions write the
-- tables; each role sees its own requests, by the view flex_outbox.

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

-- No CHECKs: our functions alone write it, and the server would read the
-- constraints' expressions anew for each of their statements, a fifth of the cost.
CREATE TABLE flex_outbox_requests (
	id bigint GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME flex_outbox_id_seq) PRIMARY KEY,
	operation text COLLATE "C" NOT NULL,
	arguments jsonb NOT NULL,
	context jsonb,
	state text COLLATE "C" NOT NULL DEFAULT 'pending',
	priority integer NOT NULL DEFAULT 0,
	attempts integer NOT NULL DEFAULT 0,
	max_attempts integer NOT NULL,
	run_at timestamptz NOT NULL,
	unique_key text COLLATE "C",
	on_success text,
	on_failure text,
	account_sid text,
	enqueued_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	enqueued_by name NOT NULL,
	enqueued_role oid,
	enqueued_in oid NOT NULL,
	started_at timestamptz,
	finished_at timestamptz,
	http_status integer,
	error_code text,
	error_message text,
	response jsonb,
	request_id text,
	may_be_done boolean NOT NULL DEFAULT false,
	sender_pid integer,
	sender_start timestamptz,
	outcome text COLLATE "C",
	callback_at timestamptz,
	callback_attempts integer,
	callback_error text,
	sid text,
	role_id integer NOT NULL,
	enqueued_xid xid8 NOT NULL,
	on_success_owner oid,
	on_failure_owner oid,
	lane integer,
	turn integer NOT NULL DEFAULT 0,
	server text COLLATE "C",
	ordering_key text COLLATE "C",
	waits_for bigint,
	expires_at timestamptz,
	reduced_at timestamptz)
-- Every request is two row versions, in one page: leave space there, and clean up early.
WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0,
	fillfactor = 40);

COMMENT ON TABLE flex_outbox_requests IS
'The requests of all roles, which the view flex_outbox shows. Only flex_enqueue() and the senders write to it. Foreign
keys to a request refer to the id of this table.
It contains no secrets. A dump has only the finished rows, because a restored copy must not send what the original
sends.';
COMMENT ON COLUMN flex_outbox_requests.id IS 'Number that flex_enqueue() returned.';
COMMENT ON COLUMN flex_outbox_requests.operation IS 'Name of the function that a direct call would use, e.g. flex_webchat_create.';
COMMENT ON COLUMN flex_outbox_requests.arguments IS 'Its arguments: a JSON object of names and values.';
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
COMMENT ON COLUMN flex_outbox_requests.on_success IS 'Function of one flex_outbox row, called when the request succeeds.';
COMMENT ON COLUMN flex_outbox_requests.on_failure IS 'Function of one flex_outbox row, called when it fails or becomes uncertain.';
COMMENT ON COLUMN flex_outbox_requests.account_sid IS 'flex_api.account_sid of the session that enqueued; NULL: the sender''s.';
COMMENT ON COLUMN flex_outbox_requests.enqueued_at IS 'When flex_enqueue() was called.';
COMMENT ON COLUMN flex_outbox_requests.enqueued_by IS 'Role that enqueued, by its name at that time.';
COMMENT ON COLUMN flex_outbox_requests.enqueued_role IS
'The same role by its OID in this cluster: the request is sent with this role''s credentials, and its callbacks run as
this role. From flex_outbox_role_oids.';
COMMENT ON COLUMN flex_outbox_requests.enqueued_in IS
'OID of the database, so that the requests in a copy of a database are not sent again.';
COMMENT ON COLUMN flex_outbox_requests.started_at IS 'When the last attempt began.';
COMMENT ON COLUMN flex_outbox_requests.finished_at IS 'When it reached its final state; NULL: not yet.';
COMMENT ON COLUMN flex_outbox_requests.http_status IS 'HTTP status of the last answer; NULL: there was none.';
COMMENT ON COLUMN flex_outbox_requests.error_code IS
'Twilio''s error code of the last answer, or an SQLSTATE when there was none; expired: it was not sent before expires_at.';
COMMENT ON COLUMN flex_outbox_requests.error_message IS
'The error of the last attempt; for a request that has succeeded, why its answer could not be stored.';
COMMENT ON COLUMN flex_outbox_requests.response IS
'Body of the answer if the request has succeeded; NULL if it could not be stored: then error_message says why, and sid
has the new resource.';
COMMENT ON COLUMN flex_outbox_requests.request_id IS 'Twilio-Request-Id of the last answer.';
COMMENT ON COLUMN flex_outbox_requests.may_be_done IS
'Some attempt may have been carried out: it was sent, and the service did not refuse it. If a retried DELETE then
finds nothing, it has succeeded.';
COMMENT ON COLUMN flex_outbox_requests.sender_pid IS 'Process that has claimed it, while it is being sent.';
COMMENT ON COLUMN flex_outbox_requests.sender_start IS
'When that process started, to distinguish it from a later process with the same PID.';
COMMENT ON COLUMN flex_outbox_requests.outcome IS
'The final state that it gets together with its callback, while the callback has not run. Computed by the view.';
COMMENT ON COLUMN flex_outbox_requests.callback_at IS
'When its callback is tried next; NULL: there is none, or it has run. This and the next columns come from
flex_outbox_callbacks.';
COMMENT ON COLUMN flex_outbox_requests.callback_attempts IS
'How many times its callback has failed, while it has not run without error.';
COMMENT ON COLUMN flex_outbox_requests.callback_error IS 'The last error of its callback.';
COMMENT ON COLUMN flex_outbox_requests.sid IS
'SID of the resource in the answer (its sid or, for web chats, users and Insights, the member that takes its place, such
as conversation_sid), also if the rest of the answer could not be stored; NULL: the answer had none.';
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

-- New requests are found by this.  Nothing that changes is in an index, so that settling a
-- request leaves all of them alone.
CREATE INDEX flex_outbox_fresh ON flex_outbox_requests (lane, enqueued_xid, id) WHERE lane IS NOT NULL;
CREATE UNIQUE INDEX flex_outbox_unique_key ON flex_outbox_requests (role_id, unique_key) WHERE unique_key IS NOT NULL;

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

-- A restored copy must not send again what the original sends: a dump has the
-- finished rows alone.
SELECT pg_catalog.pg_extension_config_dump('flex_outbox_requests', 'WHERE finished_at IS NOT NULL');
SELECT pg_catalog.pg_extension_config_dump('flex_outbox_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('flex_outbox_counts', '');
SELECT pg_catalog.pg_extension_config_dump('flex_outbox_roles', '');
SELECT pg_catalog.pg_extension_config_dump('flex_outbox_roles_id_seq', '');

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

CREATE TABLE flex_outbox_holds (
	operation text COLLATE "C" PRIMARY KEY,
	held_until timestamptz NOT NULL);
COMMENT ON TABLE flex_outbox_holds IS
'Unused; kept for users'' queries that read it. Times from Retry-After are kept in memory, by account and operation: see
flex_stat_rates.';
COMMENT ON COLUMN flex_outbox_holds.operation IS 'Name of the operation''s function.';
COMMENT ON COLUMN flex_outbox_holds.held_until IS 'When it may be called again.';

CREATE TABLE flex_outbox_activity (
	only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	last_drain_at timestamptz,
	worker_pid integer);
INSERT INTO flex_outbox_activity (last_drain_at) VALUES (NULL);
COMMENT ON TABLE flex_outbox_activity IS 'One row: the background worker and the last drain of this outbox.';
COMMENT ON COLUMN flex_outbox_activity.only_row IS 'True: keeps the table to one row.';
COMMENT ON COLUMN flex_outbox_activity.last_drain_at IS 'Start of the last drain, to the hour; NULL: never.';
COMMENT ON COLUMN flex_outbox_activity.worker_pid IS 'Process of the background worker that began last.';

-- Each database's outbox is its own: a subscriber of logical replication must
-- neither send the publisher's requests nor have its own overwritten.
CREATE FUNCTION flex_outbox_refuse_replica() RETURNS trigger
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

CREATE TRIGGER flex_outbox_refuse_replica BEFORE INSERT OR UPDATE OR DELETE ON flex_outbox_requests
	FOR EACH ROW EXECUTE FUNCTION flex_outbox_refuse_replica();
ALTER TABLE flex_outbox_requests ENABLE REPLICA TRIGGER flex_outbox_refuse_replica;
CREATE TRIGGER flex_outbox_refuse_replica BEFORE INSERT OR UPDATE OR DELETE ON flex_outbox_holds
	FOR EACH ROW EXECUTE FUNCTION flex_outbox_refuse_replica();
ALTER TABLE flex_outbox_holds ENABLE REPLICA TRIGGER flex_outbox_refuse_replica;
CREATE TRIGGER flex_outbox_refuse_replica BEFORE INSERT OR UPDATE OR DELETE ON flex_outbox_activity
	FOR EACH ROW EXECUTE FUNCTION flex_outbox_refuse_replica();
ALTER TABLE flex_outbox_activity ENABLE REPLICA TRIGGER flex_outbox_refuse_replica;
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

CREATE FUNCTION flex_enqueue(
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

CREATE PROCEDURE flex_outbox_drain(max_requests bigint DEFAULT NULL)
AS 'MODULE_PATHNAME', 'flex_api_drain'
LANGUAGE C;

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

CREATE FUNCTION flex_outbox_retry(id bigint) RETURNS void
AS 'MODULE_PATHNAME', 'flex_api_outbox_retry'
LANGUAGE C VOLATILE PARALLEL UNSAFE STRICT;

COMMENT ON FUNCTION flex_outbox_retry(bigint) IS
'Makes a failed, uncertain or cancelled request pending again, with a new count of attempts; a pending one is due now.
An uncertain request may have been carried out: check that before.
id: number of a request that the current role has enqueued; a superuser may retry any request.
Errors: P0002 for an id that does not exist, 55000 for a request in another state,
40001 if a sender has claimed it since the transaction''s snapshot.
For a request that has succeeded, it retries the callback, if that failed.
An expired request loses its expires_at, and waits as long as it has to.';

CREATE FUNCTION flex_outbox_cancel(id bigint) RETURNS void
AS 'MODULE_PATHNAME', 'flex_api_outbox_cancel'
LANGUAGE C VOLATILE PARALLEL UNSAFE STRICT;

COMMENT ON FUNCTION flex_outbox_cancel(bigint) IS
'Cancels a pending, failed or uncertain request: it will not be sent, and no callback is called. With
flex_api.outbox_keep =
identifiers only its SIDs are kept, and it cannot be retried.
id: number of a request that the current role has enqueued; a superuser may cancel any request.
Errors: P0002 for an id that does not exist, 55000 for a request that is being sent or has succeeded,
40001 if a sender has claimed it since the transaction''s snapshot.';

CREATE FUNCTION flex_outbox_confirm(id bigint, response jsonb DEFAULT NULL) RETURNS void
AS 'MODULE_PATHNAME', 'flex_api_outbox_confirm'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION flex_outbox_confirm(bigint, jsonb) IS
'Records that an uncertain request was carried out: it becomes succeeded, and on_success is called.
id: number of a request that the current role has enqueued; a superuser may confirm any request.
response: the answer, if it is known, for instance what a fetch of the resource returns; its SID goes into sid.
Errors: P0002 for an id that does not exist, 55000 for a request in another state, 54000 for too long a response.';

CREATE FUNCTION flex_outbox_await(id bigint, timeout interval DEFAULT '30 seconds') RETURNS flex_outbox
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

COMMENT ON FUNCTION flex_outbox_await(bigint, interval) IS
'Waits until a request of the current role has ended and its callback has run once, and returns its row.
id: number of the request.
timeout: maximum time to wait; after it, the row is returned as it is then.
Call it outside the transaction that enqueued, in READ COMMITTED.
Errors: P0002 for an id that does not exist, 55000 for a request whose transaction has not committed, or whose end this
transaction''s isolation level could not see.';

CREATE VIEW flex_outbox_summary WITH (security_barrier) AS
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
GRANT SELECT ON flex_outbox_summary, flex_outbox_holds, flex_outbox_activity TO PUBLIC;
-- A database's owner can dump it.
GRANT SELECT ON flex_outbox_requests, flex_outbox_id_seq, flex_outbox_roles, flex_outbox_roles_id_seq, flex_outbox_role_oids,
	flex_outbox_callbacks, flex_outbox_counts, flex_outbox_forgetting, flex_outbox_leftovers, flex_outbox_lanes, flex_outbox_lanes_id_seq,
	flex_outbox_marks, flex_outbox_later, flex_outbox_claims, flex_outbox_ordered, flex_outbox_freed_keys,
	flex_outbox_expiring TO pg_database_owner;

COMMENT ON VIEW flex_outbox_summary IS
'The outbox by operation: the requests that the current role may see, for pg_read_all_stats all. How many are in each
state, how many pending ones are due, callbacks still to run, age of the oldest pending one, how many finished in
the last minute, until when the service has asked to wait, the last error, the background worker''s process (NULL: none
runs), and how many wait for an earlier one of their ordering_key.';
COMMENT ON COLUMN flex_outbox_summary.operation IS 'Name of the operation''s function.';
COMMENT ON COLUMN flex_outbox_summary.pending IS 'Requests that wait to be sent, now or later.';
COMMENT ON COLUMN flex_outbox_summary.due IS
'Pending requests whose run_at has passed, and that do not wait for an earlier one of their ordering_key.';
COMMENT ON COLUMN flex_outbox_summary.sending IS
'Requests that a sender has claimed, or whose callback has not run yet.';
COMMENT ON COLUMN flex_outbox_summary.succeeded IS 'Requests that have succeeded, as long as they are kept.';
COMMENT ON COLUMN flex_outbox_summary.failed IS 'Requests that have failed, as long as they are kept.';
COMMENT ON COLUMN flex_outbox_summary.uncertain IS 'Requests on which a person has to decide.';
COMMENT ON COLUMN flex_outbox_summary.cancelled IS 'Requests that were cancelled, as long as they are kept.';
COMMENT ON COLUMN flex_outbox_summary.callbacks IS 'Callbacks that are still to run, or to run again.';
COMMENT ON COLUMN flex_outbox_summary.oldest_pending IS 'How long ago the oldest pending request was enqueued.';
COMMENT ON COLUMN flex_outbox_summary.finished_last_minute IS
'How many requests reached their final state within a minute.';
COMMENT ON COLUMN flex_outbox_summary.held_until IS 'Nothing is sent before this time, as the service has asked (Retry-After); NULL: no hold.';
COMMENT ON COLUMN flex_outbox_summary.last_error IS
'Message of the last tried request that has one; NULL for a role that sees all by pg_read_all_stats.';
COMMENT ON COLUMN flex_outbox_summary.worker_pid IS 'Process of the background worker; NULL: none runs.';
COMMENT ON COLUMN flex_outbox_summary.held_back IS 'Pending requests that wait for an earlier one of their ordering_key.';

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

-- For the end of this script alone: the worker learns that the extension is here.
CREATE FUNCTION flex_outbox_wake() RETURNS void
AS 'MODULE_PATHNAME', 'flex_api_outbox_wake'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION flex_outbox_wake() IS
'Internal. At commit, wakes the background worker of this database. flex_enqueue() does so by itself.';
-- The type is this script's own: no function that somebody has made before takes it,
-- or makes the call ambiguous.
CREATE TYPE flex_outbox_wake_now AS ();
CREATE FUNCTION flex_outbox_wake(flex_outbox_wake_now) RETURNS void
AS 'MODULE_PATHNAME', 'flex_api_outbox_wake'
LANGUAGE C VOLATILE;
SELECT flex_outbox_wake(NULL::flex_outbox_wake_now);
DROP FUNCTION flex_outbox_wake(flex_outbox_wake_now);
DROP TYPE flex_outbox_wake_now;
