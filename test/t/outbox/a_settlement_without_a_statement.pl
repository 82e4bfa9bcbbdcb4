# Requests are claimed, and their results are written, without a statement, and by statements where somebody has
# altered the tables: the same rows and the same counts, and what was hung on the tables takes effect.

use strict;
use warnings;

use FindBin;
use lib 'test/perl', "$FindBin::RealBin/../../crash";
use FlexApi;
use Outbox;
use PostgreSQL::Test::Cluster;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('settlement', $simulator, 'autovacuum = off', "flex_api.rate_limits = 'none'");
my $session = FlexApi::Session->new($node);
my $TABLE = 'flex_outbox_requests';
$session->value($_) foreach 'SET client_min_messages = error', 'CREATE TABLE notes (n integer)',
	'CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.notes VALUES (1); RETURN NEW; END $$',
	'CREATE FUNCTION noted(text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.notes VALUES (1); RETURN true; END $$';

# Requests that succeed, fail, and are reduced to identifiers; all of their rows but what differs between any two, and the counts.
sub settled
{
	my ($drainer) = @_;
	my $all = "to_jsonb(o) - '{id,enqueued_at,enqueued_xid,run_at,started_at,finished_at,reduced_at,request_id,sid,response,lane}'::text[] || jsonb_build_object(
		'times', started_at <= finished_at AND run_at < finished_at AND request_id IS NOT NULL, 'reduced', reduced_at >= started_at,
		'sid', left(sid, 2), 'answer', left(response ->> 'sid', 2) || (response ->> 'identity'), 'lane', lane IS NULL)";
	my @ids;

	$session->value("TRUNCATE $TABLE CASCADE");
	$simulator->clear_faults;
	$simulator->post('faults', { path => '/v2/WebChats', status => 400, times => 1 });
	$drainer->value("RESET flex_api.outbox_keep");
	push @ids, enqueue($session, 'one', q{context => '{"a": [1, null]}'});
	$drainer->value('CALL flex_outbox_drain()');
	push @ids, enqueue($session, 'two', "priority => 3, ordering_key => 'k'"), enqueue($session, 'three', "ordering_key => 'k', unique_key => 'u'");
	$drainer->value('CALL flex_outbox_drain()');
	$drainer->value("SET flex_api.outbox_keep = 'identifiers'");
	push @ids, enqueue($session, 'four', q{context => '{"name": "secret"}'});
	$drainer->value('CALL flex_outbox_drain()');
	return join("\n", map { $session->value("SELECT $all FROM $TABLE AS o WHERE id = $_") } @ids) . "\n" . $session->value("SELECT string_agg(format('%s %s %s %s',
		state, operation, requests, error_id = $ids[0]), E'\\n' ORDER BY c.at) FROM flex_outbox_counts AS c");
}

# The statements that settle, of those that a session has prepared: the server's own list of memory has their texts.
sub prepared { my ($drainer) = @_; return $drainer->value("SELECT count(*) FROM pg_backend_memory_contexts WHERE ident LIKE 'WITH free AS (SELECT f.id FROM %'"); }

# Likewise, those that lock requests to claim.
sub locking { my ($drainer) = @_; return $drainer->value("SELECT count(*) FROM pg_backend_memory_contexts WHERE ident LIKE 'SELECT o.id, o.operation, %, o.arguments, %FOR NO KEY UPDATE SKIP LOCKED'"); }

sub drainer { my $drainer = FlexApi::Session->new($node); $drainer->value('SET client_min_messages = error'); return $drainer; }

my $direct = drainer();
my $settled = settled($direct);
is(prepared($direct), 0, 'no statement');
is(locking($direct), 0, '... nor one to claim');
like($settled, qr/"state": "failed".*\n.*"state": "succeeded".*\n.*"state": "succeeded".*\n.*"state": "succeeded".*\nfailed flex_webchat_create 1 t\n/, 'the requests have ended, and are counted');
like($settled, qr/"turn": 1, .*"attempts": 1, /, '... each in its first turn');
unlike($settled, qr/secret/, '... and the last one is reduced');

# What superusers do to tables: how, how it is undone, and whether it takes effect by a note, or else requires a statement.
my @alterations = (
	[ 'a trigger before', "CREATE TRIGGER noted BEFORE UPDATE ON $TABLE FOR EACH ROW EXECUTE FUNCTION note()", "DROP TRIGGER noted ON $TABLE", 'notes' ],
	[ 'a trigger after', "CREATE TRIGGER noted AFTER UPDATE ON $TABLE FOR EACH ROW EXECUTE FUNCTION note()", "DROP TRIGGER noted ON $TABLE", 'notes' ],
	[ 'a trigger of a column', "CREATE TRIGGER noted AFTER UPDATE OF state ON $TABLE FOR EACH ROW EXECUTE FUNCTION note()", "DROP TRIGGER noted ON $TABLE", 'notes' ],
	[ 'a trigger of the statement', "CREATE TRIGGER noted AFTER UPDATE ON $TABLE FOR EACH STATEMENT EXECUTE FUNCTION note()", "DROP TRIGGER noted ON $TABLE", 'notes' ],
	[ 'a trigger with a table of rows', "CREATE TRIGGER noted AFTER UPDATE ON $TABLE REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION note()", "DROP TRIGGER noted ON $TABLE", 'notes' ],
	[ 'a trigger for all', "CREATE TRIGGER noted AFTER UPDATE ON $TABLE FOR EACH ROW EXECUTE FUNCTION note(); ALTER TABLE $TABLE ENABLE ALWAYS TRIGGER noted", "DROP TRIGGER noted ON $TABLE", 'notes' ],
	[ 'a deferred constraint trigger', "CREATE CONSTRAINT TRIGGER noted AFTER UPDATE ON $TABLE DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note()", "DROP TRIGGER noted ON $TABLE", 'notes' ],
	[ 'a trigger that is disabled', "CREATE TRIGGER noted AFTER UPDATE ON $TABLE FOR EACH ROW EXECUTE FUNCTION note(); ALTER TABLE $TABLE DISABLE TRIGGER noted", "DROP TRIGGER noted ON $TABLE", 'nothing' ],
	[ 'a trigger of something else', "CREATE TRIGGER noted AFTER DELETE ON $TABLE FOR EACH ROW EXECUTE FUNCTION note()", "DROP TRIGGER noted ON $TABLE", 'nothing' ],
	[ 'a trigger of our name', "ALTER TRIGGER flex_outbox_count_changed ON $TABLE RENAME TO ours; CREATE TRIGGER flex_outbox_count_changed AFTER UPDATE ON $TABLE FOR EACH ROW EXECUTE FUNCTION note()",
		"DROP TRIGGER flex_outbox_count_changed ON $TABLE; ALTER TRIGGER ours ON $TABLE RENAME TO flex_outbox_count_changed", 'notes' ],
	[ 'a check', "ALTER TABLE $TABLE ADD CONSTRAINT noted CHECK (noted(state))", "ALTER TABLE $TABLE DROP CONSTRAINT noted", 'notes' ],
	[ 'a policy', "ALTER TABLE $TABLE ENABLE ROW LEVEL SECURITY", "ALTER TABLE $TABLE DISABLE ROW LEVEL SECURITY", 'statement' ],
	[ 'a policy of the claims', 'ALTER TABLE flex_outbox_claims ENABLE ROW LEVEL SECURITY', 'ALTER TABLE flex_outbox_claims DISABLE ROW LEVEL SECURITY', 'statement' ],
	[ 'an index', "CREATE INDEX noted ON $TABLE (response)", 'DROP INDEX noted', 'statement' ],
	[ 'a foreign key', "CREATE TABLE refers (request bigint REFERENCES $TABLE (id))", 'DROP TABLE refers', 'statement' ],
	[ 'a table that inherits', "CREATE TABLE child () INHERITS ($TABLE)", 'DROP TABLE child', 'statement' ],
	[ 'a generated column', "ALTER TABLE $TABLE ADD COLUMN twice integer GENERATED ALWAYS AS (attempts * 2) STORED", "ALTER TABLE $TABLE DROP COLUMN twice", 'twice' ]);
foreach my $alteration (@alterations)
{
	my ($name, $do, $undo, $effect) = @$alteration;
	my $drainer = drainer();
	my $twice = $effect eq 'twice';

	$session->value($_) foreach split(/; /, $do), 'TRUNCATE notes';
	is(settled($drainer) =~ s/"twice": 2, //gr, $settled, "$name: the same rows");
	cmp_ok(prepared($drainer), $effect eq 'nothing' ? '==' : '>', 0, '... ' . ($effect eq 'nothing' ? 'without' : 'by') . ' a statement');
	cmp_ok($session->value('SELECT count(*) FROM notes'), $effect eq 'notes' ? '>=' : '==', $effect eq 'notes' ? 1 : 0, '... which has its effect') if $effect ne 'twice';
	is($session->value("SELECT DISTINCT twice FROM $TABLE"), 2, '... which has its value') if $twice;
	my $by_one = $name =~ /^an? (policy|check|index|generated column|table that inherits)$/;
	cmp_ok(locking($drainer), $by_one ? '>' : '==', 0, '... and they are claimed ' . ($by_one ? 'by one' : 'without one'));
	# One session has settled before, and does so after, without a statement.
	is(settled($direct), $settled, '... also in a session that has kept the table as it was') if !$twice;
	cmp_ok($session->value('SELECT count(*) FROM notes'), '>', 3, '... with its effect there, too') if $effect eq 'notes' && $name !~ /statement|rows/;
	$session->value($_) foreach split /; /, $undo;
	$drainer->close;
}

# A rule: the server refuses the statement, and so the result is refused.
$session->value("CREATE RULE noted AS ON UPDATE TO $TABLE DO ALSO INSERT INTO notes VALUES (1)");
my $ruled = enqueue($session, 'ruled');
is($direct->sqlstate('CALL flex_outbox_drain()'), '55000', 'a rule: the result cannot be recorded');
isnt(state_of($session, $ruled), 'succeeded', '... and is not');
$session->value("DROP RULE noted ON $TABLE");

# A fresh table for the rest: a dropped column never goes.
$session->value($_) foreach 'DROP EXTENSION flex_api CASCADE', 'CREATE EXTENSION flex_api';
$direct->close;
$direct = drainer();
is(settled($direct), $settled, 'an outbox that was created anew: the same rows');
is(prepared($direct), 0, '... without a statement');

# Many at once
$session->value("TRUNCATE $TABLE CASCADE");
$session->value("SELECT count(flex_enqueue('flex_webchat_create', jsonb_build_object('address_sid', 'IG' || md5(g::text), 'identity', 'c' || g))) FROM generate_series(1, 500) AS g");
$direct->value($_) foreach 'RESET flex_api.outbox_keep', 'SET flex_api.concurrency = 50';
$direct->value('CALL flex_outbox_drain()');
is($session->value("SELECT count(*) FROM flex_outbox WHERE state = 'succeeded' AND turn = 1 AND response ->> 'identity' = arguments ->> 'identity'"), 500, 'many at once: each has its own answer');
is($session->value("SELECT sum(requests) FROM flex_outbox_counts WHERE state = 'succeeded'"), 500, '... and is counted once');
is($session->value('SELECT count(*) FROM flex_outbox_claims'), 0, '... and no claim is left');

# Our own trigger, but one that also fires for settlements.
$session->value("CREATE OR REPLACE TRIGGER flex_outbox_count_changed AFTER UPDATE ON $TABLE FOR EACH ROW EXECUTE FUNCTION flex_outbox_count_changed()");
my $counting = drainer();
my $counted = enqueue($session, 'counted');
$counting->value('CALL flex_outbox_drain()');
is(state_of($session, $counted), 'succeeded', 'our own trigger without its condition: the result is recorded');
cmp_ok(prepared($counting), '>', 0, '... by a statement');
$counting->close;

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

$node->stop('fast');
done_testing;
