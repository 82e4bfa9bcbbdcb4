--
-- statistics.sql
--	  What operators look at: what requests came to, and what is under way.
--

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
