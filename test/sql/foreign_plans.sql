--
-- foreign_plans.sql
--	  How foreign tables are read in larger queries: joins by key or by list, whichever
--	  costs less, keys from arrays and subqueries, rescans, cursors, views and policies.
--
\getenv directory PG_ABS_SRCDIR
\set connect :directory '/sql/include/connect.psql'
\i :connect
CALL pg_temp.reset('{"channels": 2000, "flows": 7}');
SET client_min_messages = warning;
DROP TABLE IF EXISTS local_100, local_10000, copied, tickets, flags CASCADE;
RESET client_min_messages;
CREATE SERVER plans FOREIGN DATA WRAPPER flex_api OPTIONS (account_sid 'AC00000000000000000000000000000000');
CREATE USER MAPPING FOR PUBLIC SERVER plans OPTIONS (auth_token 'test-token');
IMPORT FOREIGN SCHEMA flex LIMIT TO (channels, flows, insights_questionnaires, insights_questions, insights_segments, interactions, interaction_channels, plugins, plugin_versions) FROM SERVER plans INTO public;
ALTER FOREIGN TABLE channels OPTIONS (ADD rows '2000');
CREATE TABLE copied AS SELECT * FROM channels;
CREATE TABLE local_100 AS SELECT n, sid AS channel FROM (SELECT row_number() OVER (ORDER BY sid) AS n, sid FROM copied) AS s WHERE n <= 100;
CREATE TABLE local_10000 AS SELECT n, sid AS channel FROM copied, generate_series(0, 4) AS n WHERE n = 0 UNION ALL SELECT n, 'CH' || md5(n::text) FROM generate_series(1, 8000) AS n;
ANALYZE local_100, local_10000, copied;

-- 100 rows are looked up, one after another; for 10,000 the list of 2,000 is read
EXPLAIN (COSTS OFF) SELECT count(c.url) FROM local_100 JOIN channels AS c ON c.sid = channel;
EXPLAIN (COSTS OFF) SELECT count(c.url) FROM local_10000 JOIN channels AS c ON c.sid = channel;
CALL pg_temp.forget();
SELECT count(c.url) FROM local_100 JOIN channels AS c ON c.sid = channel;
SELECT regexp_replace(request, 'CH.*', 'CH') AS request, count(*) FROM pg_temp.sent() GROUP BY 1;
SELECT count(c.url) FROM local_10000 JOIN channels AS c ON c.sid = channel;
SELECT request, count(*) FROM pg_temp.sent() GROUP BY 1;
-- ... also on the nullable side of an outer join, and in a semi-join
EXPLAIN (COSTS OFF) SELECT n, c.url FROM local_100 LEFT JOIN channels AS c ON c.sid = channel AND c.user_sid IS NULL;
SELECT count(*), count(c.url) FROM local_100 LEFT JOIN channels AS c ON c.sid = channel || CASE WHEN n > 50 THEN 'x' ELSE '' END;
SELECT count(*) FROM local_100 WHERE EXISTS (SELECT FROM channels AS c WHERE c.sid = channel AND n < 11);
SELECT count(*) FROM local_100 WHERE channel NOT IN (SELECT sid FROM channels WHERE sid IS NOT NULL);

-- Keys of a subquery, concurrency at once
-- A plan without what differs between versions: how a subquery's result is named, and, from 18 on, that a kind of node was disabled
CREATE FUNCTION pg_temp.plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		CONTINUE WHEN line ~ 'Disabled: true';
		line := regexp_replace(line, '^( *)InitPlan \S+( \(returns \$\d\))?$', '\1InitPlan');
		RETURN NEXT regexp_replace(line, '(Filter: .*)(\$\d|\(InitPlan \S+\)\.col\d)', '\1InitPlan');
	END LOOP;
END $$;
SELECT pg_temp.plan('SELECT count(url) FROM channels WHERE sid = ANY (ARRAY(SELECT channel FROM local_100))') AS "QUERY PLAN";
CALL pg_temp.forget();
SELECT count(url) FROM channels WHERE sid = ANY (ARRAY(SELECT channel FROM local_100));
SELECT count(*) FROM pg_temp.sent();
SELECT count(*) FROM channels WHERE sid = ANY (ARRAY[]::text[]);
SELECT count(*) FROM channels WHERE sid = ANY (NULL::text[]);
SELECT count(*) FROM channels WHERE sid = ANY (ARRAY[NULL]::text[]);
SELECT count(*) FROM channels WHERE sid = ALL (ARRAY(SELECT channel FROM local_100));
SELECT count(*) FROM channels WHERE sid <> ALL (ARRAY(SELECT channel FROM local_100));
SELECT count(*) FROM pg_temp.sent();

-- A chain: what is above gives what the path below needs, and must be there
SELECT sid AS interaction FROM flex_interaction_create('{"type": "sms", "initiated_by": "customer"}') \gset
CREATE TABLE tickets AS SELECT 1 AS id, :'interaction' AS interaction UNION ALL SELECT 2, NULL UNION ALL SELECT 3, 'KD00000000000000000000000000000bad';
ANALYZE tickets;
EXPLAIN (COSTS OFF) SELECT t.id, c.type FROM tickets AS t JOIN interactions AS i ON i.sid = t.interaction JOIN interaction_channels AS c ON c.interaction_sid = i.sid;
SELECT t.id, c.type FROM tickets AS t JOIN interactions AS i ON i.sid = t.interaction JOIN interaction_channels AS c ON c.interaction_sid = i.sid WHERE t.id < 3;
SELECT t.id, i.sid IS NOT NULL AS there FROM tickets AS t LEFT JOIN interactions AS i ON i.sid = t.interaction ORDER BY 1;
SELECT id, (SELECT count(*) FROM interaction_channels WHERE interaction_sid = interaction) FROM tickets WHERE id < 3 ORDER BY 1;
SELECT t.id, c.type FROM tickets AS t, LATERAL (SELECT * FROM interaction_channels AS x WHERE x.interaction_sid = t.interaction LIMIT 1) AS c WHERE t.id < 3;
-- A side of a join that cannot be looked up from the other
SELECT count(*) FROM tickets AS t FULL JOIN interactions AS i ON i.sid = t.interaction;

-- An argument that no answer has is sent by whatever join compares it, or the query is refused: unsent, it would be NULL, and equal to nothing
SELECT name FROM generate_series(1, 2) AS n, flex_insights_questionnaire_create('questionnaire ' || n) ORDER BY 1;
CREATE TABLE flags AS SELECT true AS flag UNION ALL SELECT false;
ANALYZE flags;
SET enable_nestloop = off;
CALL pg_temp.forget();
SELECT pg_temp.plan('SELECT flag, include_inactive, name FROM flags JOIN insights_questionnaires ON include_inactive = flag') AS "QUERY PLAN";
SELECT flag, include_inactive, name FROM flags JOIN insights_questionnaires ON include_inactive = flag ORDER BY 1, 3;
SELECT request, parameters FROM pg_temp.sent();
SELECT flag, count(name) FROM flags LEFT JOIN insights_questionnaires ON include_inactive = flag GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM insights_questionnaires WHERE include_inactive IN (SELECT flag FROM flags);
SELECT count(*) FROM flags WHERE NOT EXISTS (SELECT FROM insights_questionnaires WHERE include_inactive = flag);
SELECT count(*) FROM flags JOIN insights_questionnaires ON include_inactive = flag WHERE flag;
RESET enable_nestloop;
SELECT count(*) FROM flags FULL JOIN insights_questionnaires ON include_inactive = flag;
SELECT count(*) FROM insights_questionnaires LEFT JOIN flags ON include_inactive = flag;
SELECT count(*) FROM insights_questionnaires WHERE include_inactive NOT IN (SELECT flag FROM flags);
SELECT count(*) FROM insights_questionnaires WHERE NOT EXISTS (SELECT FROM flags WHERE flag = include_inactive);
SELECT count(*) FROM insights_questionnaires AS a JOIN insights_questionnaires AS b USING (include_inactive);
SELECT count(*) FROM insights_questionnaires LEFT JOIN flags ON include_inactive = flag WHERE include_inactive;
DELETE FROM insights_questionnaires USING flags WHERE include_inactive = flag AND name = 'questionnaire 1' AND flag;
SELECT count(*) FROM insights_questionnaires WHERE include_inactive;
SELECT count(*) FROM insights_questionnaires WHERE include_inactive = active;
SELECT count(*) FROM insights_questionnaires WHERE include_inactive = active AND include_inactive;
SELECT count(*) FROM insights_questionnaires WHERE include_inactive IS NULL;
SELECT count(*) FROM channels WHERE identity = 'customer';
SELECT count(*) FROM channels WHERE identity = 'customer' OR identity = 'guest';
SELECT count(*) FROM channels WHERE identity IS DISTINCT FROM 'customer';
SELECT count(*) FROM channels WHERE lower(identity) = 'customer';
EXPLAIN (COSTS OFF) DELETE FROM channels WHERE long_lived IS NOT TRUE;
SELECT count(*) FROM insights_questionnaires WHERE include_inactive AND (include_inactive IS NOT TRUE OR active);
SELECT count(*) > 0 AS reads_as_null FROM channels WHERE identity IS NULL;
SELECT count(*) FROM channels WHERE identity = ANY (ARRAY(SELECT channel FROM local_100));

-- A list may take several values of an argument at once, but no row tells by which it was found: one each, or the array
SELECT count(*) FROM insights_questions WHERE category_sid = ANY ('{GI1,GI2}');
EXPLAIN (COSTS OFF) SELECT count(*) FROM unnest('{GI1,GI2}'::text[]) AS wanted JOIN insights_questions ON category_sid = wanted;
EXPLAIN (COSTS OFF) SELECT * FROM insights_segments WHERE reservation_id = '{WR1,WR2}';
SELECT count(*) FROM insights_segments WHERE 'WR1' = ANY (reservation_id);
CREATE FOREIGN TABLE by_reservation (segment_id text, reservation_id text) SERVER plans OPTIONS (resource 'insights_segments');
EXPLAIN (COSTS OFF) SELECT * FROM by_reservation WHERE reservation_id = 'WR1';
SELECT count(*) FROM by_reservation WHERE reservation_id = ANY ('{WR1,WR2}');
SELECT count(*) FROM by_reservation WHERE reservation_id IN ('WR1', 'WR2');

-- Rescans: what is there is not asked for again
CALL pg_temp.forget();
SET enable_material = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_memoize = off;
SELECT count(*) FROM generate_series(1, 5) AS g, flows WHERE flows.friendly_name <> g::text;
SELECT request, count(*) FROM pg_temp.sent() GROUP BY 1;
SELECT count(*) FROM generate_series(1, 5) AS g, channels WHERE sid IN (SELECT channel FROM local_100 WHERE n < 4) AND g > 0;
SELECT regexp_replace(request, 'CH.*', 'CH') AS request, count(*) > 0 AS some FROM pg_temp.sent() GROUP BY 1;
SELECT count(*) FROM generate_series(1, 5) AS g JOIN channels ON sid = ANY (ARRAY(SELECT channel FROM local_100 WHERE n < 4)) AND account_sid <> g::text;
SELECT count(*) FROM pg_temp.sent();
RESET enable_material; RESET enable_hashjoin; RESET enable_mergejoin; RESET enable_memoize;
SELECT count(*) FROM local_100 AS a JOIN channels AS c ON c.sid = a.channel JOIN channels AS d ON d.sid = c.sid WHERE a.n < 3;

-- A cursor reads as it goes, back and forth where it is asked to
CALL pg_temp.forget();
BEGIN;
DECLARE c CURSOR FOR SELECT sid FROM channels;
MOVE 10 FROM c;
SELECT count(*) FROM pg_temp.sent();
MOVE 1000 FROM c;
SELECT count(*) <= 2 AS at_most_two FROM pg_temp.sent();
MOVE ALL FROM c;
MOVE 1 FROM c;
COMMIT;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT friendly_name FROM flows ORDER BY friendly_name;
FETCH LAST FROM c;
FETCH FIRST FROM c;
COMMIT;
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT friendly_name FROM flows ORDER BY friendly_name;
COMMIT;
FETCH 2 FROM held;
CLOSE held;

-- LIMIT reaches no list below a join, a sort or an aggregate
EXPLAIN (COSTS OFF) SELECT c.sid FROM channels AS c JOIN local_10000 ON c.sid = channel LIMIT 5;
EXPLAIN (COSTS OFF) SELECT sid FROM channels ORDER BY sid LIMIT 5;
EXPLAIN (COSTS OFF) SELECT DISTINCT flex_flow_sid FROM channels LIMIT 5;
EXPLAIN (COSTS OFF) SELECT * FROM (SELECT sid FROM channels LIMIT 5) AS c JOIN local_100 ON true LIMIT 3;

-- Generic plans
PREPARE by_key (text) AS SELECT count(*) FROM channels WHERE sid = $1;
SET plan_cache_mode = force_generic_plan;
EXECUTE by_key ('nothing');
EXECUTE by_key (NULL);
SELECT channel AS one FROM local_100 WHERE n = 1 \gset
EXECUTE by_key (:'one');
PREPARE by_limit (int) AS SELECT sid = 'x' FROM channels LIMIT $1;
CALL pg_temp.forget();
EXECUTE by_limit (1);
SELECT request, parameters FROM pg_temp.sent();
RESET plan_cache_mode;

-- A view's conditions come before those of a function that could tell
CREATE FUNCTION tell(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN RAISE NOTICE 'told %', $1; RETURN true; END $$;
CREATE VIEW guarded WITH (security_barrier) AS SELECT * FROM flows WHERE friendly_name = 'friendly_name 1';
SELECT count(*) FROM guarded WHERE tell(friendly_name);
EXPLAIN (COSTS OFF) SELECT count(*) FROM guarded WHERE tell(friendly_name) AND sid = 'FO';

-- Rows, whole and by system columns
SELECT flows IS NULL AS none, tableoid::regclass FROM flows LIMIT 1;
SELECT (f).friendly_name FROM (SELECT flows AS f FROM flows) AS s ORDER BY 1 LIMIT 1;
SELECT count(*) FROM flows;
DROP TABLE local_100, local_10000, copied, tickets, flags;
DROP FUNCTION tell CASCADE;
