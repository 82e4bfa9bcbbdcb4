# A request becomes a row without a statement, and by one where somebody has
# altered the table: the same row, with the same constraints, indexes and locks.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('insertion', $simulator, 'autovacuum = off');
my $session = FlexApi::Session->new($node);

$session->value('SET client_min_messages = error');
$session->value('CREATE FUNCTION answered(flex_outbox) RETURNS void LANGUAGE sql AS $$ $$');

my $enqueue = q{flex_enqueue('flex_channel_fetch', '{"sid": "CH00000000000000000000000000000000"}', '{"a": [1, null]}',
	'answered', 'public.answered', '2030-01-01 00:00+00', 5, 3, %s)};

# All of a row but what differs between any two.
sub row
{
	my ($key) = @_;
	my $id = $session->value('SELECT ' . sprintf($enqueue, $key));

	return $session->value("SELECT to_jsonb(o) - 'id' - 'enqueued_at' - 'unique_key' - 'enqueued_xid' FROM flex_outbox AS o WHERE id = $id AND enqueued_at > now() - interval '1 minute'");
}

# The INSERTs that a session has prepared: the server's own list of memory has their texts.
sub prepared { return ($_[0] // $session)->value("SELECT count(*) FROM pg_backend_memory_contexts WHERE ident LIKE 'INSERT INTO %flex_outbox_requests %'"); }

my %direct = map { $_ => row($_) } 'NULL', "'one'";
is(prepared(), 0, 'no statement: insertion.c has the table\'s columns as they are');
like($direct{NULL}, qr/"state": "pending".*"callback_attempts": 0|"callback_attempts": 0.*"state": "pending"/, 'a row of its own');
is($direct{"'one'"}, $direct{NULL}, 'the same with a key');

# What superusers do to tables
my @alterations = (
	[ 'a trigger', q{CREATE TRIGGER noted BEFORE INSERT ON flex_outbox_requests FOR EACH ROW EXECUTE FUNCTION note()}, q{DROP TRIGGER noted ON flex_outbox_requests} ],
	[ 'a trigger for all', q{CREATE TRIGGER noted AFTER INSERT ON flex_outbox_requests FOR EACH ROW EXECUTE FUNCTION note(); ALTER TABLE flex_outbox_requests ENABLE ALWAYS TRIGGER noted}, q{DROP TRIGGER noted ON flex_outbox_requests} ],
	[ 'a trigger that is disabled', q{CREATE TRIGGER noted AFTER INSERT ON flex_outbox_requests FOR EACH ROW EXECUTE FUNCTION note(); ALTER TABLE flex_outbox_requests DISABLE TRIGGER noted}, q{DROP TRIGGER noted ON flex_outbox_requests} ],
	[ 'a rule', q{CREATE RULE noted AS ON INSERT TO flex_outbox_requests DO ALSO INSERT INTO notes VALUES (1)}, q{DROP RULE noted ON flex_outbox_requests} ],
	[ 'a column', q{ALTER TABLE flex_outbox_requests ADD COLUMN extra integer NOT NULL DEFAULT 7}, q{ALTER TABLE flex_outbox_requests DROP COLUMN extra} ],
	[ 'a column that is gone', 'SELECT', 'SELECT' ]);

$session->value('CREATE TABLE notes (n integer)');
$session->value('CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.notes VALUES (1); RETURN NEW; END $$');
my $n = 0;
foreach my $alteration (@alterations)
{
	my ($name, $do, $undo) = @$alteration;

	$session->value($_) foreach split /; /, $do;
	is(row('NULL'), $direct{NULL}, "$name: the same row");
	# ON CONFLICT and rules do not go together: that is the server's to say.
	cmp_ok(prepared(), '>', 0, "$name: by a statement") unless $name =~ /disabled/;
	is(row("'altered " . ++$n . "'"), $direct{NULL}, "$name: also with a key") unless $name eq 'a rule';
	is($session->value('SELECT count(*) > 0 FROM notes'), $name =~ /disabled/ ? 'f' : 't', "$name: fired") if $name =~ /trigger|rule/;
	is($session->value('SELECT DISTINCT extra FROM flex_outbox_requests'), '7', "$name: has its default") if $name eq 'a column';
	$session->value('TRUNCATE notes');
	$session->value($undo);
}

# A fresh table for the rest: a dropped column never goes.
$session->value('DROP EXTENSION flex_api CASCADE');
$session->value('CREATE EXTENSION flex_api');
$session->value('CREATE FUNCTION answered(flex_outbox) RETURNS void LANGUAGE sql AS $$ $$');

# A trigger that comes back to the outbox after a schema was made: the plan that runs stays
$session->value('CREATE SEQUENCE schemas');
$session->value(<<'SQL');
CREATE FUNCTION reenter() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF pg_trigger_depth() < 2 THEN
		EXECUTE 'CREATE SCHEMA s' || nextval('public.schemas');
		BEGIN PERFORM public.flex_enqueue('flex_webchat_create', '{"bogus": 1}'); EXCEPTION WHEN OTHERS THEN NULL; END;
		FOR i IN 1 .. 400 LOOP EXECUTE format('PREPARE p%s AS SELECT %s', i, repeat('9, ', (i * 7) % 200) || '1'); END LOOP;
		DEALLOCATE ALL;
	END IF;
	RETURN NULL;
END $$
SQL
$session->value('CREATE TRIGGER reenters AFTER INSERT ON flex_outbox_requests FOR EACH ROW EXECUTE FUNCTION reenter()');
is($session->value("SELECT count(flex_enqueue('flex_provisioning_status_fetch', '{}', unique_key => key)) FROM (SELECT 're' || g FROM generate_series(1, 10) AS g UNION ALL SELECT NULL FROM generate_series(1, 10)) AS k (key)"), 20, 'a trigger that enqueues and makes schemas');
$session->value('DROP TRIGGER reenters ON flex_outbox_requests');
$session->value('TRUNCATE flex_outbox_requests');

# A trigger that drops the row is told of, and one that numbers it anew is followed
$session->value('CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.priority = 1 THEN RETURN NULL; END IF; NEW.id := 777777; RETURN NEW; END $$');
$session->value('CREATE TRIGGER meddles BEFORE INSERT ON flex_outbox_requests FOR EACH ROW EXECUTE FUNCTION meddle()');
foreach my $key ('NULL', "'k'")
{
	is($session->sqlstate("SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', priority => 1, unique_key => $key)"), '55000', "dropped by a trigger, key $key");
}
is($session->value("SELECT flex_enqueue('flex_provisioning_status_fetch', '{}')"), 777777, 'numbered by a trigger');
$session->value('DROP TRIGGER meddles ON flex_outbox_requests');
$session->value('TRUNCATE flex_outbox_requests');

# What somebody's functions find with the owner's rights is not for the caller to choose
$session->value($_) foreach 'CREATE TABLE audit_log (who text)', 'CREATE ROLE thief', 'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO thief',
	'CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql SET check_function_bodies = off AS $$ BEGIN INSERT INTO audit_log VALUES (current_user); RETURN NEW; EXCEPTION WHEN undefined_table THEN RETURN NEW; END $$',
	q{CREATE FUNCTION indexed(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN INSERT INTO audit_log VALUES (current_user); RETURN $1; EXCEPTION WHEN undefined_table OR feature_not_supported THEN RETURN $1; END $$};
foreach my $function ([ 'a trigger', 'CREATE TRIGGER audits AFTER INSERT ON flex_outbox_requests FOR EACH ROW EXECUTE FUNCTION audit()', 'DROP TRIGGER audits ON flex_outbox_requests' ],
	[ 'a check', 'ALTER TABLE flex_outbox_requests ADD CONSTRAINT audits CHECK (indexed(operation) IS NOT NULL)', 'ALTER TABLE flex_outbox_requests DROP CONSTRAINT audits' ])
{
	my ($name, $do, $undo) = @$function;
	my $thief = FlexApi::Session->new($node);

	$session->value($do);
	$thief->value($_) foreach 'SET SESSION AUTHORIZATION thief', 'CREATE TEMP TABLE audit_log (who text)', 'GRANT ALL ON audit_log TO PUBLIC',
		"SELECT flex_enqueue('flex_provisioning_status_fetch', '{}')", "SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', unique_key => '$name')";
	is($thief->value('SELECT count(*) FROM audit_log'), 0, "$name of somebody's does not find the caller's table");
	$session->value($undo);
}
$session->value('TRUNCATE flex_outbox_requests');

# Constraints and indexes of somebody's hold
$session->value('ALTER TABLE flex_outbox_requests ADD CONSTRAINT low CHECK (priority < 100)');
$session->value("CREATE UNIQUE INDEX only_one ON flex_outbox_requests (max_attempts) WHERE max_attempts = 19");
foreach my $key ('NULL', "'k'")
{
	my $call = "SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', unique_key => $key";

	is($session->sqlstate("$call, priority => 100)"), '23514', "a check is made, key $key");
	ok($session->value("$call, priority => 99)"), "and passed, key $key");
	$session->value('TRUNCATE flex_outbox_requests');
	ok($session->value("$call, max_attempts => 19)"), "a unique index takes one, key $key");
	is($session->sqlstate("SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', unique_key => $key || 'other', max_attempts => 19)"), '23505', "and no more, key $key");
}
$session->value('ALTER TABLE flex_outbox_requests DROP CONSTRAINT low');
$session->value('DROP INDEX only_one');
$session->value('ALTER INDEX flex_outbox_unique_key RENAME TO other');
is($session->sqlstate("SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', unique_key => 'k')"), '42704', 'a key whose index is not there is refused');
$session->value('TRUNCATE flex_outbox_requests');
$session->value('ALTER INDEX other RENAME TO flex_outbox_unique_key');

# An index that is built meanwhile: rows of a session that has seen it before it was ready are in it, too
my ($locker, $builder, $other) = map { FlexApi::Session->new($node) } 1 .. 3;
$session->value('DROP INDEX flex_outbox_fresh');
$locker->value($_) foreach 'BEGIN', 'LOCK TABLE flex_outbox_requests IN ROW EXCLUSIVE MODE';
$builder->send_query('CREATE INDEX CONCURRENTLY flex_outbox_fresh ON flex_outbox_requests (lane, enqueued_xid, id) WHERE lane IS NOT NULL');
ok(FlexApi::wait_until(sub { $session->value("SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('flex_outbox_fresh') AND NOT indisready") }), 'an index is not ready');
$other->value("SELECT flex_enqueue('flex_provisioning_status_fetch', '{}')");
cmp_ok(prepared($other), '>', 0, '... a row by a statement');
$locker->value('COMMIT');
$builder->receive;
$other->value("SELECT flex_enqueue('flex_provisioning_status_fetch', '{}')");
$session->value($_) foreach 'SET enable_seqscan = off', 'SET enable_bitmapscan = off';
is($session->value('SELECT count(*) FROM flex_outbox_requests WHERE lane IS NOT NULL'), 2, '... and both rows in it when it is');
$session->value($_) foreach 'RESET enable_seqscan', 'RESET enable_bitmapscan', 'TRUNCATE flex_outbox_requests';
$_->close foreach $locker, $builder, $other;

# What is kept from one row to the next: it holds nothing between them, goes with what it is of, and
# does not outlive an error.
my $plain = "SELECT flex_enqueue('flex_provisioning_status_fetch', '{}')";
my $indexed = 'SELECT count(*) FROM flex_outbox_requests WHERE lane IS NOT NULL AND enqueued_xid = pg_current_xact_id()';
$session->value('BEGIN');
$session->value($plain);
is($session->sqlstate('ALTER TABLE flex_outbox_requests ADD COLUMN passing integer'), '00000', 'a table that has just got a row can be altered');
$session->value($plain);
$session->value('ROLLBACK');
$session->value($_) foreach 'BEGIN', $plain, 'SAVEPOINT s', 'DROP INDEX flex_outbox_fresh', $plain, 'ROLLBACK TO s', $plain, 'SET LOCAL enable_seqscan = off';
like(join(' ', map { @$_ } @{ $session->query("EXPLAIN $indexed AND lane > 0")->{rows} }), qr/flex_outbox_fresh/, 'an index that was dropped is there again');
is($session->value("$indexed AND lane > 0"), 2, '... and has all rows');
$session->value('ROLLBACK');
my $holder = FlexApi::Session->new($node);
my $keyed = "SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', unique_key => 'held')";
$holder->value($_) foreach 'SET client_min_messages = error', 'BEGIN', $keyed;
is($session->sqlstate("SET statement_timeout = '200ms'; $keyed"), '57014', 'a key that somebody else has is waited for');
$session->value('SET statement_timeout = 0');
ok($session->value($plain), '... and the next row goes in after that error');
$holder->value('ROLLBACK');
ok($session->value($keyed), '... also with that key');
$session->value('TRUNCATE flex_outbox_requests');

# Rolled back to a savepoint, and within one statement
$session->value('BEGIN');
my $kept = $session->value("SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', unique_key => 'kept')");
$session->value('SAVEPOINT s');
$session->value("SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', unique_key => 'gone')");
$session->value('ROLLBACK TO s');
is($session->value("SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', unique_key => 'kept')"), $kept, 'a key of the same transaction');
isnt($session->value("SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', unique_key => 'gone')"), $kept, 'one that was rolled back is free');
$session->value('COMMIT');
is($session->value("SELECT count(DISTINCT flex_enqueue('flex_provisioning_status_fetch', '{}', unique_key => 'again' || g % 7)) FROM generate_series(1, 100) AS g"), 7, 'the same keys in one statement');
is($session->value('SELECT count(*) FROM flex_outbox'), 9, 'nothing else stands there');

# Sessions that enqueue the same keys at once: each key once, one id for all, and no error.
my $KEYS = 300;
my @sessions = map { FlexApi::Session->new($node) } 1 .. 4;
$session->value('CREATE TABLE ids (key integer, id bigint)');
$_->value('SET client_min_messages = error') foreach @sessions;
foreach my $other (@sessions)
{
	$other->send_query("DO \$\$ DECLARE k integer; BEGIN FOR k IN 1 .. $KEYS LOOP
		INSERT INTO ids SELECT k, flex_enqueue('flex_provisioning_status_fetch', '{}', unique_key => 'race ' || k);
		IF k % 5 = 0 THEN ROLLBACK; ELSE COMMIT; END IF; END LOOP; END \$\$");
}
my @results = map { $_->receive(60) } @sessions;
is_deeply([ map { $_->{error} ? $_->{error}->{C} . ' ' . $_->{error}->{M} : () } @results ], [], 'the same keys at once: no error');
is($session->value("SELECT count(*) || ' ' || count(DISTINCT unique_key) FROM flex_outbox WHERE unique_key LIKE 'race %'"),
	join(' ', ($KEYS * 4 / 5) x 2), 'each key that was not rolled back stands there once');
is($session->value('SELECT count(*) FROM (SELECT key FROM ids GROUP BY key HAVING count(*) <> 4 OR count(DISTINCT id) <> 1) AS x'), 0, 'and all were told the same id');

# All of it as the server wants a table to be
SKIP:
{
	skip 'amcheck is not here', 1 unless $session->value("SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'");
	$session->value('CREATE EXTENSION amcheck');
	is($session->value(<<'SQL'), 3, 'heap and indexes agree');
SELECT count(bt_index_check(indexrelid, true)) FROM pg_index WHERE indrelid = 'flex_outbox_requests'::regclass
	AND NOT EXISTS (SELECT FROM verify_heapam('flex_outbox_requests'))
SQL
}

$node->stop;
done_testing;
