# Each kind of statement that contrib/postgres_fdw's regression file (of 15 and of 17) has for
# reading, and for defining: what works gives what it should, what is refused is refused for
# the reason that stands here.  The table is the one of sql/USING.md, in detail.
#
# Not applicable, since there is no SQL on the other side: pushed-down joins, sorts, aggregates,
# LIMIT and OFFSET in remote queries, extensions whose functions are shippable, use_remote_estimate,
# remote triggers and constraints, application_name, keep_connections and
# postgres_fdw_get_connections(), SCRAM pass-through, remote transactions and their isolation,
# parallel commit.  kinds_of_writes.pl has those for writing.
use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('kinds', $simulator, 'flex_api.max_retries = 0', 'max_prepared_transactions = 2', 'wal_level = logical');
my $session = FlexApi::Session->new($node);

$simulator->post('seed', { flows => 5 });
$session->value($_) foreach "CREATE SERVER twilio FOREIGN DATA WRAPPER flex_api OPTIONS (account_sid '$FlexApi::ACCOUNT')",
	"CREATE USER MAPPING FOR PUBLIC SERVER twilio OPTIONS (auth_token '$FlexApi::TOKEN')", 'IMPORT FOREIGN SCHEMA flex FROM SERVER twilio INTO public',
	'CREATE TABLE local AS SELECT sid, row_number() OVER () AS n FROM flows', 'CREATE ROLE plain', 'GRANT SELECT ON flows TO plain';
my $one = $session->value('SELECT min(sid) FROM flows');

# What pg_dump writes makes the same tables again, secrets included.
$node->safe_psql('postgres', 'CREATE DATABASE restored');
my ($dumped, $dump) = run_command([ 'pg_dump', '-d', $node->connstr('postgres') ]);
my (undef, undef, $errors) = $node->psql("restored", $dumped, on_error_stop => 1);
is($node->safe_psql('restored', 'SELECT count(*) FROM flows JOIN local USING (sid)'), 5, 'dumped and restored, tables are read as before') or diag("$dump\n$errors");

my $has_icu = $session->value(q{SELECT count(*) FROM pg_collation WHERE collprovider = 'i'}) > 0;

# Kind, statement ("{key}" is a key that is there), and what it gives: a value, or an error's SQLSTATE.
my @KINDS = (
	'simple queries',
	[ 'without an alias', 'SELECT count(*) FROM flows', 5 ],
	[ 'with an alias', 'SELECT count(f.sid) FROM flows AS f', 5 ],
	[ 'tableoid', 'SELECT DISTINCT tableoid::regclass FROM flows', 'flows' ],
	[ 'whole row', 'SELECT count(f) FROM flows AS f', 5 ],
	[ 'whole row as JSON', q{SELECT to_jsonb(f) ->> 'sid' FROM flows AS f WHERE sid = '{key}'}, '{key}' ],
	[ 'empty result', 'SELECT count(*) FROM flows WHERE false', 0 ],
	[ 'system columns but tableoid', 'SELECT xmin FROM flows', '0A000' ],
	[ 'FOR UPDATE', 'SELECT sid FROM flows FOR UPDATE', '0A000' ],
	[ 'FOR SHARE', 'SELECT sid FROM flows FOR SHARE', '0A000' ],
	[ 'FOR UPDATE of a local table beside it', 'SELECT count(*) FROM (SELECT l.n FROM local AS l JOIN flows USING (sid) FOR UPDATE OF l) AS s', 5 ],
	[ 'aggregate', 'SELECT count(*), min(sid) FROM flows', 5 ],
	[ 'subquery and MAX', q{SELECT sid FROM flows WHERE sid = (SELECT min(sid) FROM flows)}, '{key}' ],
	[ 'in a CTE', q{WITH t AS (SELECT * FROM flows) SELECT count(*) FROM t}, 5 ],
	[ 'materialized CTE', q{WITH t AS MATERIALIZED (SELECT * FROM flows WHERE sid = '{key}') SELECT count(*) FROM t}, 1 ],
	[ 'recursive CTE', q{WITH RECURSIVE t AS (SELECT sid, 1 AS n FROM flows UNION ALL SELECT flows.sid, n + 1 FROM flows JOIN t USING (sid) WHERE n < 3) SELECT count(*) FROM t}, 15 ],
	[ 'fixed values', q{SELECT count(*) FROM (SELECT 'fixed', NULL FROM flows) AS s}, 5 ],
	[ 'ORDER BY', 'SELECT sid FROM flows ORDER BY sid LIMIT 1', '{key}' ],
	[ 'FETCH FIRST WITH TIES', 'SELECT count(*) FROM (SELECT 1 FROM flows ORDER BY account_sid FETCH FIRST 2 ROWS WITH TIES) AS s', 5 ],
	[ 'TABLESAMPLE', 'SELECT count(*) FROM flows TABLESAMPLE SYSTEM (50)', '0A000' ],
	'conditions',
	[ 'constant', q{SELECT count(*) FROM flows WHERE sid = '{key}'}, 1 ],
	[ 'NullTest', 'SELECT count(*) FROM flows WHERE sid IS NULL', 0 ],
	[ 'FuncExpr', q{SELECT count(*) FROM flows WHERE sid = upper(left('{key}', 2)) || substr('{key}', 3)}, 1 ],
	[ 'volatile function', q{SELECT count(*) FROM flows WHERE sid = CASE WHEN random() < 2 THEN '{key}' END}, 1 ],
	[ 'DistinctExpr', q{SELECT count(*) FROM flows WHERE sid IS DISTINCT FROM '{key}'}, 4 ],
	[ 'ScalarArrayOpExpr', q{SELECT count(*) FROM flows WHERE sid = ANY (ARRAY['{key}', 'x'])}, 1 ],
	[ 'ArrayRef', q{SELECT count(*) FROM flows WHERE sid = (ARRAY['{key}', 'x'])[1]}, 1 ],
	[ 'CASE', q{SELECT count(*) FROM flows WHERE CASE WHEN sid = '{key}' THEN true ELSE false END}, 1 ],
	[ 'OR', q{SELECT count(*) FROM flows WHERE sid = '{key}' OR sid IS NULL}, 1 ],
	[ 'user-defined function', q{SELECT count(*) FROM flows WHERE pg_temp.same(sid) = '{key}'}, 1 ],
	[ 'collation', q{SELECT count(*) FROM flows WHERE sid COLLATE "C" = '{key}'}, 1 ],
	[ 'parameter', q{SELECT pg_temp.by_key('{key}')}, 1 ],
	$has_icu ? (
		[ 'collation under which different texts are equal', q{CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)}, '' ],
		[ 'table with it', q{CREATE FOREIGN TABLE loose (sid text COLLATE loose, friendly_name text COLLATE loose) SERVER twilio OPTIONS (resource 'flows')}, '' ],
		[ 'its key is not sent', q{SELECT count(*) FROM loose WHERE sid = lower('{key}')}, 1 ],
		[ 'nor its filter', q{SELECT count(*) FROM loose WHERE friendly_name = (SELECT upper(friendly_name) FROM flows WHERE sid = '{key}')}, 1 ]) : (),
	'joins',
	[ 'inner', 'SELECT count(*) FROM flows AS a JOIN flows AS b USING (sid)', 5 ],
	[ 'left', 'SELECT count(*) FROM local LEFT JOIN flows USING (sid)', 5 ],
	[ 'right', 'SELECT count(*) FROM local RIGHT JOIN flows ON flows.sid = local.sid AND n > 100', 5 ],
	[ 'full', 'SELECT count(*) FROM local FULL JOIN flows USING (sid)', 5 ],
	[ 'semi', 'SELECT count(*) FROM flows WHERE EXISTS (SELECT FROM local WHERE local.sid = flows.sid)', 5 ],
	[ 'anti', 'SELECT count(*) FROM flows WHERE NOT EXISTS (SELECT FROM local WHERE local.sid = flows.sid)', 0 ],
	[ 'cross', 'SELECT count(*) FROM flows AS a, flows AS b', 25 ],
	[ 'lateral', 'SELECT count(*) FROM local, LATERAL (SELECT FROM flows WHERE flows.sid = local.sid) AS s', 5 ],
	[ 'lateral subquery with LIMIT', 'SELECT count(*) FROM local AS l, LATERAL (SELECT * FROM flows WHERE sid <> l.sid LIMIT 2) AS s', 10 ],
	[ 'pseudoconstant', 'SELECT count(*) FROM flows AS a LEFT JOIN flows AS b ON a.sid = b.sid AND (SELECT false)', 5 ],
	[ 'placeholder', q{SELECT count(x) FROM local LEFT JOIN (SELECT sid, coalesce(friendly_name, 'x') AS x FROM flows) AS s USING (sid)}, 5 ],
	[ 'multi-way', 'SELECT count(*) FROM flows AS a JOIN flows AS b USING (sid) JOIN flows AS c USING (sid) JOIN local USING (sid)', 5 ],
	'aggregates',
	[ 'GROUP BY and HAVING', 'SELECT count(*) FROM (SELECT channel_type FROM flows GROUP BY 1 HAVING count(*) > 0) AS s', 1 ],
	[ 'DISTINCT, ORDER BY, FILTER', q{SELECT count(DISTINCT sid) FILTER (WHERE sid > '') FROM flows}, 5 ],
	[ 'ordered set', 'SELECT percentile_disc(0) WITHIN GROUP (ORDER BY sid) FROM flows', '{key}' ],
	[ 'grouping sets', 'SELECT count(*) FROM (SELECT sid, count(*) FROM flows GROUP BY ROLLUP (sid)) AS s', 6 ],
	[ 'window', 'SELECT max(n) FROM (SELECT row_number() OVER (ORDER BY sid) AS n FROM flows) AS s', 5 ],
	[ 'set operations', 'SELECT count(*) FROM (SELECT sid FROM flows INTERSECT SELECT sid FROM local) AS s', 5 ],
	'prepared statements, cursors, functions',
	[ 'PREPARE', q{PREPARE by_key (text) AS SELECT count(*) FROM flows WHERE sid = $1}, '' ],
	map({ [ "EXECUTE, time $_", q{EXECUTE by_key ('{key}')}, 1 ] } 1 .. 7),
	[ 'ALTER SERVER replans', q{ALTER SERVER twilio OPTIONS (ADD page_size '2')}, '' ],
	[ 'EXECUTE after that', q{EXECUTE by_key ('{key}')}, 1 ],
	[ 'column dropped below it', 'ALTER FOREIGN TABLE flows DROP COLUMN janitor_enabled', '' ],
	[ 'EXECUTE after that, too', q{EXECUTE by_key ('{key}')}, 1 ],
	[ 'PL/pgSQL', q{SELECT pg_temp.by_key('{key}')}, 1 ],
	[ 'subtransaction', q{DO $$ BEGIN PERFORM * FROM interaction_channels; EXCEPTION WHEN SQLSTATE 'HV00L' THEN PERFORM * FROM flows; END $$}, '' ],
	[ 'WHERE CURRENT OF', q{DO $$ DECLARE c CURSOR FOR SELECT * FROM flows; r record; BEGIN OPEN c; FETCH c INTO r; DELETE FROM flows WHERE CURRENT OF c; END $$}, '0A000|HV000|42809' ],
	'definitions',
	[ 'view', 'CREATE VIEW seen AS SELECT * FROM flows', '' ],
	[ 'query of a view', 'SELECT count(*) FROM seen', 5 ],
	[ 'materialized view', 'CREATE MATERIALIZED VIEW kept AS SELECT * FROM flows', '' ],
	[ 'its refresh', 'REFRESH MATERIALIZED VIEW kept', '' ],
	[ 'CREATE TABLE AS', 'CREATE TABLE copied AS SELECT * FROM flows', '' ],
	[ 'partition', 'CREATE TABLE parts (sid text, account_sid text) PARTITION BY LIST (account_sid)', '' ],
	[ 'partition, foreign', qq{CREATE FOREIGN TABLE part PARTITION OF parts FOR VALUES IN ('$FlexApi::ACCOUNT') SERVER twilio OPTIONS (resource 'flows')}, '' ],
	[ 'query of partitions', 'SELECT count(*) FROM parts', 5 ],
	[ 'partition that is pruned', q{SELECT count(*) FROM parts WHERE account_sid = 'AC'}, 0 ],
	[ 'inheritance', 'CREATE TABLE parent (sid text)', '' ],
	[ 'child, foreign', q{CREATE FOREIGN TABLE child () INHERITS (parent) SERVER twilio OPTIONS (resource 'flows')}, '' ],
	[ 'query of a parent', q{SELECT count(*) FROM parent WHERE sid = '{key}'}, 1 ],
	[ 'parent, FOR UPDATE', 'SELECT count(*) FROM (SELECT * FROM parent FOR UPDATE) AS s', '0A000' ],
	[ 'check constraint', q{ALTER FOREIGN TABLE child ADD CONSTRAINT c CHECK (sid > '')}, '' ],
	[ 'constraint exclusion', q{SELECT count(*) FROM child WHERE sid = '{key}'}, 1 ],
	[ 'NOT NULL', 'ALTER FOREIGN TABLE child ALTER COLUMN sid SET NOT NULL', '42809|' ],
	[ 'ADD COLUMN that no answer has', 'ALTER FOREIGN TABLE flows ADD COLUMN strange text', '' ],
	[ 'it reads as NULL', 'SELECT count(strange) FROM flows', 0 ],
	[ 'ADD COLUMN of another type', 'ALTER FOREIGN TABLE flows ADD COLUMN odd point', '' ],
	[ 'it is refused', 'SELECT count(*) FROM flows', 'HV004' ],
	[ 'and dropped', 'ALTER FOREIGN TABLE flows DROP COLUMN odd', '' ],
	[ 'column renamed', q{ALTER FOREIGN TABLE flows RENAME COLUMN sid TO id}, '' ],
	[ 'without an option it has no member', 'SELECT count(id) FROM flows', 0 ],
	[ 'with column_name', q{ALTER FOREIGN TABLE flows ALTER COLUMN id OPTIONS (ADD column_name 'sid')}, '' ],
	[ 'it has', 'SELECT count(id) FROM flows', 5 ],
	[ 'its key, too', q{SELECT count(*) FROM flows WHERE id = '{key}'}, 1 ],
	[ 'generated column', q{CREATE FOREIGN TABLE generated (sid text, upper text GENERATED ALWAYS AS (upper(sid)) STORED) SERVER twilio OPTIONS (resource 'flows')}, '' ],
	[ 'it is not sent by the service', 'SELECT count(upper) FROM generated', 0 ],
	[ 'row security of a view\'s owner', 'CREATE VIEW guarded WITH (security_barrier) AS SELECT * FROM flows WHERE id > \'\'', '' ],
	[ 'query of it', q{SELECT count(*) FROM guarded WHERE id = '{key}'}, 1 ],
	[ 'index', 'CREATE INDEX ON flows (id)', '42809' ],
	[ 'primary key', 'ALTER FOREIGN TABLE flows ADD PRIMARY KEY (id)', '0A000' ],
	[ 'REINDEX', 'REINDEX TABLE flows', '42809' ],
	[ 'publication', 'CREATE PUBLICATION p FOR TABLE flows', '22023|42809' ],
	[ 'ANALYZE, which only warns', 'ANALYZE flows', '' ],
	[ 'VACUUM, which only warns', 'VACUUM flows', '' ],
	[ 'TRUNCATE', 'TRUNCATE flows', '0A000' ],
	[ 'LOCK', 'DO $$ BEGIN LOCK TABLE flows; END $$', '42809' ],
	[ 'COPY of a query', q{COPY (SELECT id FROM flows) TO '/dev/null'}, '' ],
	[ 'COPY TO of the table', q{COPY flows TO '/dev/null'}, '42809' ],
	[ 'PREPARE TRANSACTION', q{BEGIN; SELECT count(*) FROM flows; PREPARE TRANSACTION 'p'}, 5 ],
	[ 'and its end', q{COMMIT PREPARED 'p'}, '' ],
	[ 'IMPORT again', 'IMPORT FOREIGN SCHEMA flex LIMIT TO (flows) FROM SERVER twilio INTO public', '' ],
	[ 'DROP USER MAPPING that is needed', 'DROP USER MAPPING FOR PUBLIC SERVER twilio', '' ],
	[ 'query without one', 'SELECT count(*) FROM flows', '42704' ],
	[ 'EXPLAIN without one', 'EXPLAIN SELECT * FROM flows', 'Foreign Scan on flows.*' ],
	[ 'DROP SERVER with tables', 'DROP SERVER twilio', '2BP01' ],
	[ 'DROP SERVER CASCADE', 'DROP SERVER twilio CASCADE', '' ],
);

$session->value(q{CREATE FUNCTION pg_temp.same(value text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN value; END'});
$session->value(q{CREATE FUNCTION pg_temp.by_key(key text) RETURNS bigint LANGUAGE plpgsql AS 'DECLARE n bigint; BEGIN SELECT count(*) INTO n FROM flows WHERE sid = key; RETURN n; END'});
foreach my $kind (@KINDS)
{
	unless (ref $kind)
	{
		note($kind);
		next;
	}
	my ($name, $sql, $expected) = map { s/\{key\}/$one/gr } @$kind;
	my $result = $session->query($sql);
	my $given = $result->{error} ? $result->{error}{C} : $result->{rows}[0][0] // '';

	like($given, qr/^(?:$expected)$/, $name) or diag("$sql: " . ($result->{error}{M} // ''));
}
$node->stop;
done_testing();
