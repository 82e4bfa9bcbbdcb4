# Each kind of statement that contrib/postgres_fdw's regression file (of 15 and of 17) has for
# writing: what works does what it should, what is refused is refused for the reason that
# stands here.  kinds_of_statements.pl has those for reading and defining.
#
# Not applicable, since there is no SQL on the other side: UPDATE and DELETE that are pushed
# down with joins, remote constraints, defaults and triggers, batch_size (concurrency and the
# rates say how many go at once), remote savepoints and their rollback.
use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('writes', $simulator, 'flex_api.max_retries = 0', 'flex_api.rate_limits = none', 'max_prepared_transactions = 2');

# It counts a statement's rows when the statement has ended, and with it what stands in WITH.
my ($libraries) = PostgreSQL::Test::Utils::run_command([ 'pg_config', '--pkglibdir' ]);
my $has_statements = -r "$libraries/pg_stat_statements.so";
if ($has_statements)
{
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_stat_statements'");
	$node->restart;
}
my $session = FlexApi::Session->new($node);

$simulator->post('seed', { flows => 5 });
$session->value($_) foreach "CREATE SERVER twilio FOREIGN DATA WRAPPER flex_api OPTIONS (account_sid '$FlexApi::ACCOUNT')",
	"CREATE USER MAPPING FOR PUBLIC SERVER twilio OPTIONS (auth_token '$FlexApi::TOKEN')", 'IMPORT FOREIGN SCHEMA flex FROM SERVER twilio INTO public',
	'CREATE TABLE local AS SELECT sid, row_number() OVER (ORDER BY sid) AS n FROM flows', 'CREATE ROLE plain', 'GRANT SELECT ON flows TO plain',
	'CREATE TABLE seen (n serial, what text)', 'CREATE SEQUENCE numbers',
	q{CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen (what) VALUES (TG_WHEN || ' ' || TG_LEVEL || ' ' || TG_OP); RETURN NEW; END $$},
	q{CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.friendly_name := NEW.friendly_name || ' changed'; RETURN NEW; END $$},
	q{CREATE FUNCTION drop_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$},
	q{CREATE FUNCTION instead() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE flows SET friendly_name = NEW.friendly_name WHERE sid = OLD.sid; RETURN NEW; END $$};
my $one = $session->value('SELECT min(sid) FROM flows');

# Kind, statement ("{key}" is the key of a flow, "{new}" the columns of a new one), and what it
# gives: a value, or an error's SQLSTATE.
my $NEW = '(friendly_name, chat_service_sid, channel_type)';
my $SERVICE = 'IS' . '0' x 31 . '1';
sub named { my ($name) = @_; return "SELECT count(*) FROM flows WHERE friendly_name = '$name'"; }

my @KINDS = (
	'INSERT',
	[ 'VALUES', "INSERT INTO flows {new} VALUES ('one', '$SERVICE', 'web')", '' ],
	[ '... is there', named('one'), 1 ],
	[ 'RETURNING', "INSERT INTO flows {new} VALUES ('two', '$SERVICE', 'web') RETURNING friendly_name", 'two' ],
	[ 'RETURNING the whole row', "INSERT INTO flows {new} VALUES ('three', '$SERVICE', 'web') RETURNING (flows).sid LIKE 'FO%' AND flows::text LIKE '%three%'", 't' ],
	[ 'RETURNING tableoid', "INSERT INTO flows {new} VALUES ('four', '$SERVICE', 'web') RETURNING tableoid::regclass", 'flows' ],
	[ 'SELECT from the table itself, in a CTE', "WITH made AS (INSERT INTO flows {new} SELECT 'copy', '$SERVICE', 'web' FROM flows LIMIT 2 RETURNING 1) SELECT count(*) FROM made", 2 ],
	[ 'many rows', "INSERT INTO flows {new} SELECT 'many', '$SERVICE', 'web' FROM generate_series(1, 25)", '' ],
	[ '... are there', named('many'), 25 ],
	[ 'a default', q{ALTER FOREIGN TABLE flows ALTER COLUMN friendly_name SET DEFAULT 'by default ' || nextval('numbers')}, '' ],
	[ '... is sent', "INSERT INTO flows (chat_service_sid, channel_type) VALUES ('$SERVICE', 'web') RETURNING friendly_name", 'by default 1' ],
	[ '... by DEFAULT, too', "INSERT INTO flows {new} VALUES (DEFAULT, '$SERVICE', 'web') RETURNING friendly_name", 'by default 2' ],
	[ 'prepared', "PREPARE make (text) AS INSERT INTO flows {new} VALUES (\$1, '$SERVICE', 'web')", '' ],
	map({ [ "EXECUTE, time $_", q{EXECUTE make ('prepared')}, '' ] } 1 .. 7),
	[ '... are there', named('prepared'), 7 ],
	[ 'ON CONFLICT DO NOTHING', "INSERT INTO flows {new} VALUES ('x', '$SERVICE', 'web') ON CONFLICT DO NOTHING", '0A000' ],
	[ 'ON CONFLICT DO UPDATE', "INSERT INTO flows (sid) VALUES ('x') ON CONFLICT (sid) DO UPDATE SET friendly_name = 'x'", '42P10|0A000' ],
	[ 'a check constraint', q{ALTER FOREIGN TABLE flows ADD CONSTRAINT c CHECK (friendly_name <> 'bad')}, '' ],
	[ '... is an assertion, and not enforced', "INSERT INTO flows {new} VALUES ('bad', '$SERVICE', 'web')", '' ],
	[ '... believed', 'ALTER FOREIGN TABLE flows DROP CONSTRAINT c', '' ],
	'UPDATE',
	[ 'with an expression', q{UPDATE flows SET friendly_name = upper('a' || n) FROM local WHERE local.sid = flows.sid AND n = 1 RETURNING friendly_name}, 'A1' ],
	[ 'from a join', q{WITH done AS (UPDATE flows SET friendly_name = 'joined' FROM local WHERE local.sid = flows.sid AND n < 4 RETURNING 1) SELECT count(*) FROM done}, 3 ],
	[ '... is there', named('joined'), 3 ],
	[ 'RETURNING a column of the other table', q{UPDATE flows SET friendly_name = 'other' FROM local WHERE local.sid = flows.sid AND n = 1 RETURNING n}, 1 ],
	[ 'to a subquery', q{UPDATE flows SET friendly_name = (SELECT 'n' || max(n) FROM local) WHERE sid = '{key}' RETURNING friendly_name}, 'n5' ],
	[ 'of several columns', q{UPDATE flows SET (friendly_name, enabled) = ('row', false) WHERE sid = '{key}' RETURNING friendly_name}, 'row' ],
	[ 'to DEFAULT', q{UPDATE flows SET friendly_name = DEFAULT WHERE sid = '{key}' RETURNING friendly_name}, 'by default \d+' ],
	[ 'of an outer join', q{UPDATE flows SET friendly_name = 'outer' FROM local AS a LEFT JOIN local AS b ON b.n = a.n + 100 WHERE a.sid = flows.sid AND a.n = 2 RETURNING b.n IS NULL}, 't' ],
	[ 'WHERE NOT EXISTS', q{WITH done AS (UPDATE flows SET friendly_name = 'stranger' WHERE NOT EXISTS (SELECT FROM local WHERE local.sid = flows.sid) AND friendly_name = 'many' RETURNING 1) SELECT count(*) FROM done}, 25 ],
	[ 'of the key', q{UPDATE flows SET sid = 'FO'}, 'HV007' ],
	[ 'of what the service sets', 'UPDATE flows SET date_updated = now()', 'HV007' ],
	[ 'of a system column', 'UPDATE flows SET ctid = NULL', '0A000' ],
	[ 'WHERE CURRENT OF', q{DO $$ DECLARE c CURSOR FOR SELECT * FROM flows; r record; BEGIN OPEN c; FETCH c INTO r; UPDATE flows SET friendly_name = 'x' WHERE CURRENT OF c; END $$}, '0A000|HV000|42809' ],
	[ 'of a resource without one', q{UPDATE channels SET identity = 'x'}, '55000' ],
	'DELETE',
	[ 'RETURNING', q{DELETE FROM flows WHERE friendly_name = 'one' RETURNING friendly_name}, 'one' ],
	[ 'USING', q{WITH done AS (DELETE FROM flows USING local WHERE local.sid = flows.sid AND n = 5 RETURNING n) SELECT sum(n) FROM done}, 5 ],
	[ 'RETURNING tableoid', q{DELETE FROM flows WHERE friendly_name = 'four' RETURNING tableoid::regclass}, 'flows' ],
	[ 'by a subquery', q{DELETE FROM flows WHERE sid IN (SELECT sid FROM local WHERE n = 4)}, '' ],
	[ '... is gone', q{SELECT count(*) FROM flows JOIN local USING (sid) WHERE n > 3}, 0 ],
	[ 'of nothing', 'DELETE FROM flows WHERE false', '' ],
	[ 'with a function that only PostgreSQL knows', q{DELETE FROM flows WHERE starts_with(friendly_name, 'pre')}, '' ],
	[ '... is gone', named('prepared'), 0 ],
	[ 'of a resource without one', 'DELETE FROM plugins', '55000' ],
	[ '... that is read by its key only', 'DELETE FROM interactions', '55000' ],
	'other commands',
	[ 'MERGE', q{MERGE INTO flows USING local ON local.sid = flows.sid WHEN MATCHED THEN DELETE}, '0A000|42809' ],
	[ 'TRUNCATE', 'TRUNCATE flows', '0A000' ],
	[ 'row security', 'ALTER FOREIGN TABLE flows ENABLE ROW LEVEL SECURITY', '42809' ],
	[ 'a rule', q{CREATE RULE renamed AS ON DELETE TO flows DO INSTEAD UPDATE flows SET friendly_name = 'spared' WHERE flows.sid = OLD.sid}, '42809' ],
	'COPY FROM',
	[ 'of a program', "COPY flows {new} FROM PROGRAM 'echo copied,$SERVICE,web' (FORMAT csv)", '' ],
	[ '... is there', named('copied'), 1 ],
	[ 'WHERE', "COPY flows {new} FROM PROGRAM 'echo left,$SERVICE,web' (FORMAT csv) WHERE friendly_name <> 'left'", '' ],
	[ '... leaves out', named('left'), 0 ],
	[ 'FREEZE', "COPY flows {new} FROM PROGRAM 'echo frozen,$SERVICE,web' (FORMAT csv, FREEZE)", '55000|0A000' ],
	'views',
	[ 'with a check option', q{CREATE VIEW named AS SELECT * FROM flows WHERE friendly_name LIKE 'v%' WITH CHECK OPTION}, '' ],
	[ 'INSERT', "INSERT INTO named {new} VALUES ('v1', '$SERVICE', 'web') RETURNING friendly_name", 'v1' ],
	[ 'INSERT of what it does not show', "INSERT INTO named {new} VALUES ('w1', '$SERVICE', 'web')", '44000' ],
	[ '... was sent, and stays', named('w1'), 1 ],
	[ 'UPDATE', q{UPDATE named SET friendly_name = 'v2' RETURNING friendly_name}, 'v2' ],
	[ 'UPDATE to what it does not show', q{UPDATE named SET friendly_name = 'w2'}, '44000' ],
	[ 'DELETE', q{DELETE FROM named}, '' ],
	[ 'INSTEAD OF trigger', q{CREATE VIEW through AS SELECT sid, friendly_name FROM flows}, '' ],
	[ '... made', 'CREATE TRIGGER instead INSTEAD OF UPDATE ON through FOR EACH ROW EXECUTE FUNCTION instead()', '' ],
	[ '... runs', q{UPDATE through SET friendly_name = 'instead' WHERE sid = '{key}' RETURNING friendly_name}, 'instead' ],
	'triggers',
	[ 'of statements', 'CREATE TRIGGER a BEFORE INSERT OR UPDATE OR DELETE ON flows FOR EACH STATEMENT EXECUTE FUNCTION see()', '' ],
	[ '... and after them', 'CREATE TRIGGER b AFTER INSERT OR UPDATE OR DELETE ON flows FOR EACH STATEMENT EXECUTE FUNCTION see()', '' ],
	[ 'of rows', 'CREATE TRIGGER c AFTER INSERT OR UPDATE OR DELETE ON flows FOR EACH ROW EXECUTE FUNCTION see()', '' ],
	[ 'INSERT', "INSERT INTO flows {new} VALUES ('triggered', '$SERVICE', 'web')", '' ],
	[ 'UPDATE', q{UPDATE flows SET friendly_name = 'triggered twice' WHERE friendly_name = 'triggered'}, '' ],
	[ 'DELETE', q{DELETE FROM flows WHERE friendly_name = 'triggered twice'}, '' ],
	[ '... fired in their order', q{SELECT string_agg(what, ', ' ORDER BY n) FROM seen}, join(', ', map { ("BEFORE STATEMENT $_", "AFTER ROW $_", "AFTER STATEMENT $_") } qw(INSERT UPDATE DELETE)) ],
	[ '... dropped', 'DROP TRIGGER a ON flows', '' ], [ '... dropped, too', 'DROP TRIGGER b ON flows', '' ], [ '... and the last', 'DROP TRIGGER c ON flows', '' ],
	[ 'that changes a new row', 'CREATE TRIGGER d BEFORE INSERT ON flows FOR EACH ROW EXECUTE FUNCTION change()', '' ],
	[ '... has it sent so', "INSERT INTO flows {new} VALUES ('new', '$SERVICE', 'web') RETURNING friendly_name", 'new changed' ],
	[ '... dropped', 'DROP TRIGGER d ON flows', '' ],
	[ 'that drops a row', q{CREATE TRIGGER e BEFORE INSERT OR DELETE ON flows FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION drop_row()}, '' ],
	[ '... which is not sent', "INSERT INTO flows {new} VALUES ('dropped', '$SERVICE', 'web')", '' ],
	[ '... is not there', named('dropped'), 0 ],
	[ '... nor deleted', q{DELETE FROM flows WHERE sid = '{key}'}, '' ],
	[ '... is there', q{SELECT count(*) FROM flows WHERE sid = '{key}'}, 1 ],
	[ '... dropped', 'DROP TRIGGER e ON flows', '' ],
	[ 'with transition tables', 'CREATE TRIGGER f AFTER INSERT ON flows REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION see()', '42809|0A000' ],
	[ 'of constraints', 'CREATE CONSTRAINT TRIGGER g AFTER INSERT ON flows FOR EACH ROW EXECUTE FUNCTION see()', '42809' ],
	'inheritance',
	[ 'a parent', 'CREATE TABLE parent (sid text, friendly_name text)', '' ],
	[ 'a foreign child', q{CREATE FOREIGN TABLE child () INHERITS (parent) SERVER twilio OPTIONS (resource 'flows')}, '' ],
	[ 'UPDATE of the parent', q{UPDATE parent SET friendly_name = 'inherited' WHERE sid = '{key}' RETURNING tableoid::regclass}, 'child' ],
	[ 'DELETE of the parent', q{DELETE FROM parent WHERE friendly_name = 'inherited' RETURNING tableoid::regclass}, 'child' ],
	[ '... is gone', named('inherited'), 0 ],
	[ '... dropped', 'DROP TABLE parent CASCADE', '' ],
	'partitions',
	[ 'a partitioned table', 'CREATE TABLE parts (sid text, friendly_name text, chat_service_sid text, channel_type text) PARTITION BY LIST (channel_type)', '' ],
	[ 'a foreign partition', q{CREATE FOREIGN TABLE part_web PARTITION OF parts FOR VALUES IN ('web') SERVER twilio OPTIONS (resource 'flows')}, '' ],
	[ 'a local one', q{CREATE TABLE part_sms PARTITION OF parts FOR VALUES IN ('sms')}, '' ],
	[ 'INSERT', "INSERT INTO parts (friendly_name, chat_service_sid, channel_type) VALUES ('routed', '$SERVICE', 'web'), ('routed', '$SERVICE', 'sms')", '' ],
	[ '... goes to both', q{SELECT string_agg(tableoid::regclass::text, ' ' ORDER BY tableoid::regclass::text) FROM parts WHERE friendly_name = 'routed'}, 'part_sms part_web' ],
	[ 'COPY', "COPY parts (friendly_name, chat_service_sid, channel_type) FROM PROGRAM 'echo copied in,$SERVICE,web' (FORMAT csv)", '' ],
	[ '... is there', named('copied in'), 1 ],
	[ 'UPDATE that moves a row to it', q{UPDATE parts SET channel_type = 'web', friendly_name = 'moved' WHERE channel_type = 'sms' RETURNING tableoid::regclass}, '0A000' ],
	[ '... creates nothing', named('moved'), 0 ],
	[ 'UPDATE of both', q{WITH done AS (UPDATE parts SET friendly_name = 'stays' WHERE friendly_name = 'routed' RETURNING 1) SELECT count(*) FROM done}, 2 ],
	[ '... is there', named('stays'), 1 ],
	[ 'ON CONFLICT', "INSERT INTO parts (friendly_name, chat_service_sid, channel_type) VALUES ('x', '$SERVICE', 'web') ON CONFLICT DO NOTHING", '0A000' ],
	[ 'TRUNCATE', 'TRUNCATE parts', '0A000' ],
	[ '... dropped', 'DROP TABLE parts', '' ],
	'transactions and rights',
	[ 'ROLLBACK', "BEGIN; INSERT INTO flows {new} VALUES ('rolled back', '$SERVICE', 'web'); ROLLBACK", '' ],
	[ '... takes nothing back', named('rolled back'), 1 ],
	[ 'ROLLBACK TO a savepoint', "BEGIN; SAVEPOINT s; INSERT INTO flows {new} VALUES ('saved', '$SERVICE', 'web'); ROLLBACK TO s; COMMIT", '' ],
	[ '... neither', named('saved'), 1 ],
	[ 'PREPARE TRANSACTION', "BEGIN; INSERT INTO flows {new} VALUES ('prepared', '$SERVICE', 'web'); PREPARE TRANSACTION 'p'", '' ],
	[ '... and its end', q{ROLLBACK PREPARED 'p'}, '' ],
	[ '... what was sent stays sent', named('prepared'), 1 ],
	[ 'READ ONLY', "BEGIN READ ONLY; INSERT INTO flows {new} VALUES ('x', '$SERVICE', 'web')", '25006' ],
	[ '... ends', 'ROLLBACK', '' ],
	[ 'another role', 'SET ROLE plain', '' ],
	[ '... may read', named('saved'), 1 ],
	[ '... and not write', q{DELETE FROM flows}, '42501' ],
	[ '... nor that', "INSERT INTO flows {new} VALUES ('x', '$SERVICE', 'web')", '42501' ],
	[ '... ends', 'RESET ROLE', '' ],
	[ 'EXPLAIN', q{EXPLAIN (COSTS OFF) DELETE FROM flows WHERE sid = '{key}'}, 'Delete on flows' ],
	[ '... sends nothing', 'SELECT count(*) > 0 FROM flows', 't' ],
	[ 'DELETE of all', 'DELETE FROM flows', '' ],
	[ '... leaves none', 'SELECT count(*) FROM flows', 0 ],
);

foreach my $kind (@KINDS)
{
	unless (ref $kind)
	{
		note($kind);
		next;
	}
	my ($name, $sql, $expected) = map { s/\{key\}/$one/gr =~ s/\{new\}/$NEW/gr } @$kind;
	my $result = $session->query($sql);
	my $given = $result->{error} ? $result->{error}{C} : $result->{rows}[0][0] // '';

	like($given, qr/^(?:$expected)$/, $name) or diag("$sql: " . ($result->{error}{M} // ''));
}

# A list that the statement reads beside one that it writes in WITH is read to its end before the first row is written.
$session->value($_) foreach "ALTER FOREIGN TABLE flows OPTIONS (ADD page_size '3')", "INSERT INTO flows $NEW SELECT 'page', '$SERVICE', 'web' FROM generate_series(1, 10)";
my $all = $session->value('SELECT count(*) FROM flows');
$simulator->clear_requests;
is($session->value(q{WITH gone AS (DELETE FROM flows WHERE friendly_name = 'page' RETURNING sid)
	SELECT count(DISTINCT f.sid) || ' ' || max(f.n) FROM (SELECT sid, (SELECT count(*) FROM gone) AS n FROM flows OFFSET 0) AS f}), "$all 10", 'all rows are read beside a DELETE in WITH');
my @methods = map { $_->{method} } $simulator->requests;
is(join(' ', @methods[ -10 .. -1 ]), join(' ', ('DELETE') x 10), '... before the first is deleted') or diag "@methods";
# A statement whose WITH writes only tables of this database is not read to its end.
$session->value("INSERT INTO flows $NEW SELECT 'page', '$SERVICE', 'web' FROM generate_series(1, 10)");
foreach my $write (q{DELETE FROM local WHERE sid = 'none'}, q{UPDATE local SET n = 0 WHERE sid = 'none'}, q{INSERT INTO local SELECT sid, n FROM local WHERE sid = 'none'})
{
	$simulator->clear_requests;
	$session->value("WITH written AS ($write) SELECT f.sid FROM flows AS f LIMIT 1");
	is(scalar(() = $simulator->requests), 1, "one page is read beside $write");
	$simulator->clear_requests;
	$session->value("WITH few AS MATERIALIZED (SELECT f.sid FROM flows AS f LIMIT 1), written AS ($write) SELECT * FROM few");
	is(scalar(() = $simulator->requests), 1, '... and in WITH itself');
}
$simulator->clear_requests;
$session->value(q{WITH few AS MATERIALIZED (SELECT f.sid FROM flows AS f LIMIT 1) UPDATE local SET n = n FROM few});
is(scalar(() = $simulator->requests), 1, '... and in the WITH of an UPDATE');
# But one that writes a table with a foreign child is.
$session->value($_) foreach 'CREATE TABLE parent (LIKE flows)', 'ALTER FOREIGN TABLE flows INHERIT parent';
$simulator->clear_requests;
$session->value(q{WITH written AS (DELETE FROM parent WHERE friendly_name = 'none') SELECT f.sid FROM flows AS f LIMIT 1});
cmp_ok(scalar(() = $simulator->requests), '>', 2, 'all pages are read beside a DELETE from a table with a foreign child');
$session->value($_) foreach 'ALTER FOREIGN TABLE flows NO INHERIT parent', 'DROP TABLE parent';
$session->value('ALTER FOREIGN TABLE flows OPTIONS (DROP page_size)');

SKIP:
{
	skip 'no pg_stat_statements', 2 unless $has_statements;
	$session->value($_) foreach 'CREATE EXTENSION pg_stat_statements', 'SELECT pg_stat_statements_reset() IS NULL';
	$session->value("INSERT INTO flows $NEW VALUES ('counted', '$SERVICE', 'web'), ('counted', '$SERVICE', 'web'), ('counted', '$SERVICE', 'web')");
	$session->value(q{WITH gone AS (DELETE FROM flows WHERE friendly_name = 'counted') SELECT 1 AS the_only_row});
	is($session->value(q{SELECT rows FROM pg_stat_statements WHERE query LIKE '%the_only_row%' AND query NOT LIKE '%pg_stat_statements%'}), 1,
		'a DELETE in WITH is not counted for the statement');
	$session->value("INSERT INTO flows $NEW VALUES ('counted', '$SERVICE', 'web'), ('counted', '$SERVICE', 'web')");
	$session->value(q{DELETE FROM flows WHERE friendly_name = 'counted'});
	is($session->value(q{SELECT rows FROM pg_stat_statements WHERE query LIKE 'DELETE FROM flows WHERE friendly_name = $1'}), 2, 'a DELETE is');
}
$node->stop;
done_testing();
