\echo
\echo '14. A burst, and the numbers that operators look at'
\echo '   An administrator says that no limit of the account is known, and lets more requests be under way at once.'
\echo '   The service takes 40 web chats per second, and refuses more; some of its answers take longer.'
\echo
\set ECHO none
\connect - postgres
\set ECHO queries

ALTER SYSTEM SET flex_api.rate_limits = 'none';
ALTER SYSTEM SET flex_api.concurrency = 20;
SELECT pg_reload_conf();
GRANT EXECUTE ON FUNCTION flex_call_many, flex_interaction_fetch TO support;

\set ECHO none
GRANT USAGE ON SCHEMA demo TO monitor;
\! test/demo/service limit '{"operations": {"flex_webchat_create": 40}}'
\! test/demo/service fault '{"operation": "flex_interaction_create", "delay_ms": 150, "chance": 0.2}'
\connect - support
\echo '   All at once, 120 customers open a ticket: 120 chats, and as many interactions that ask for an agent.'
\echo
\set ECHO queries
INSERT INTO support_tickets (customer, subject)
SELECT 'Customer ' || n, 'Where is my order?' FROM generate_series(1, 120) AS n;

\set ECHO none
SELECT demo.until($$SELECT count(interaction) = 120 FROM support_tickets WHERE customer LIKE 'Customer %'$$) \g /dev/null
\echo
\echo '   Then all of the interactions are read in one statement, while one in ten answers is a 503:'
\echo
\! test/demo/service fault '{"operation": "flex_interaction_fetch", "status": 503, "chance": 0.1}'
\set ECHO queries
SELECT count(*) AS calls, count(*) FILTER (WHERE sqlstate IS NULL) AS answered, count(DISTINCT response ->> 'sid') AS interactions
FROM flex_call_many('flex_interaction_fetch',
       ARRAY(SELECT jsonb_build_object('sid', interaction) FROM support_tickets WHERE customer LIKE 'Customer %'));

\set ECHO none
\connect - monitor
\echo '   What a role in pg_monitor reads of it, as an exporter for Prometheus would (sql/monitoring):'
\echo
\set ECHO queries
SELECT operation, way, requests, succeeded, throttled, failed, repeats,
       round(p50_time::numeric, 1) AS p50, round(p95_time::numeric, 1) AS p95
FROM flex_stat_operations ORDER BY requests DESC LIMIT 3;

SELECT operation, round(learned_rate::numeric, 1) AS learned_rate, throttled
FROM flex_stat_rates WHERE learned_rate IS NOT NULL ORDER BY operation;

\set ECHO none
\set received `test/demo/service count flex_interaction_create`
SELECT demo.expect(sum(requests) = :received, 'the counters have what the service has seen')
FROM flex_stat_operations WHERE operation = 'flex_interaction_create' \g /dev/null
SELECT demo.expect(sum(repeats) > 0 AND sum(throttled) > 0, 'requests were sent again') FROM flex_stat_operations \g /dev/null
