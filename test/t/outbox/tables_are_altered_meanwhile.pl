# The outbox's tables are altered while a worker sends: indexes, triggers, policies, publications,
# columns, statistics.  Behaviour: each request is sent once and its result recorded, each index has
# all rows, and what was added takes effect for every request from then on.
use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use Test::More;

my $TABLE = 'flex_outbox_requests';
my $AT_ONCE = 60;
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('altered', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'", 'flex_api.concurrency = 20',
	'wal_level = logical', 'fsync = off');
my $session = FlexApi::Session->new($node);
$session->value($_) foreach 'CREATE TABLE noted (id bigint)',
	'CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.noted VALUES (NEW.id); RETURN NEW; END $$',
	'CREATE TABLE noted_counts (requests bigint)',
	'CREATE FUNCTION note_count() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.noted_counts VALUES (NEW.requests); RETURN NEW; END $$';
my $reader = FlexApi::Session->new($node);
$reader->value($_) foreach 'SET enable_seqscan = off', 'SET enable_bitmapscan = off';

# What is done, how it is undone, and a query that tells for how many of the requests between two ids
# it had an effect, unless it is to have none.
my $noted = 'SELECT count(DISTINCT id) FROM noted WHERE id BETWEEN %d AND %d';
my @CHANGES = (
	[ 'an index', "CREATE INDEX CONCURRENTLY extra ON $TABLE (http_status)", 'DROP INDEX CONCURRENTLY extra', "SELECT count(*) FROM $TABLE WHERE http_status = 201 AND id + 0 BETWEEN %d AND %d" ],
	[ 'a new primary key', "REINDEX INDEX CONCURRENTLY ${TABLE}_pkey", '' ],
	[ 'new indexes', "REINDEX TABLE CONCURRENTLY $TABLE", '' ],
	[ 'a trigger', "CREATE TRIGGER noted AFTER UPDATE ON $TABLE FOR EACH ROW EXECUTE FUNCTION note()", "DROP TRIGGER noted ON $TABLE", $noted ],
	[ 'policies', "ALTER TABLE $TABLE ENABLE ROW LEVEL SECURITY", "ALTER TABLE $TABLE DISABLE ROW LEVEL SECURITY" ],
	[ 'a check', "ALTER TABLE $TABLE ADD CONSTRAINT extra CHECK (id > 0)", "ALTER TABLE $TABLE DROP CONSTRAINT extra" ],
	[ 'a child', "CREATE TABLE child () INHERITS ($TABLE)", 'DROP TABLE child' ],
	[ 'a publication', "CREATE PUBLICATION extra FOR TABLE $TABLE", 'DROP PUBLICATION extra' ],
	[ 'all columns in the log', "ALTER TABLE $TABLE REPLICA IDENTITY FULL", "ALTER TABLE $TABLE REPLICA IDENTITY DEFAULT" ],
	[ 'statistics', "ALTER TABLE $TABLE ALTER state SET STATISTICS 10", 'ANALYZE' ],
	[ 'a vacuum', "VACUUM (FREEZE, INDEX_CLEANUP on) $TABLE", '' ],
	[ 'a new file', "VACUUM FULL $TABLE", '' ],
	[ 'a trigger on the counts', 'CREATE TRIGGER noted AFTER INSERT ON flex_outbox_counts FOR EACH ROW EXECUTE FUNCTION note_count()', 'DROP TRIGGER noted ON flex_outbox_counts' ],
	[ 'a column of its own', "ALTER TABLE $TABLE ADD COLUMN extra text DEFAULT 'mine'", "ALTER TABLE $TABLE DROP COLUMN extra", "SELECT count(*) FROM $TABLE WHERE extra = 'mine' AND id BETWEEN %d AND %d" ],
);

my $enqueued = 0;

# Enqueue some requests, and return the first and the last id.
sub enqueue_some
{
	$enqueued += $AT_ONCE;
	return @{ $session->query("SELECT min(id), max(id) FROM (SELECT flex_enqueue('flex_webchat_create',
		jsonb_build_object('address_sid', 'IG' || repeat('a', 32), 'identity', n::text)) AS id FROM generate_series(1, $AT_ONCE) AS n) AS e")->{rows}[0] };
}

sub all_succeed { return FlexApi::wait_until(sub { $session->value("SELECT count(*) FROM flex_outbox WHERE state <> 'succeeded'") == 0 }, 60); }

enqueue_some();
ok(all_succeed(), 'the worker sends');
foreach my $change (@CHANGES)
{
	my ($name, $do, $undo, $effect) = @$change;

	# Some are under way meanwhile.
	enqueue_some();
	$session->value($do);
	my ($first, $last) = enqueue_some();
	ok(all_succeed(), "$name: all succeed") or diag(explain($session->query("SELECT state, count(*), max(error_message) FROM flex_outbox GROUP BY 1")->{rows}));
	is($reader->value(sprintf $effect, $first, $last), $AT_ONCE, '... and it has its effect') if $effect;
	enqueue_some();
	$session->value($undo) if $undo ne '';
	ok(all_succeed(), '... also while it is undone');
}

is($simulator->get('counters')->{by_operation}->{flex_webchat_create}, $enqueued, 'each request is sent once');
is($session->value('SELECT count(*) FROM flex_outbox WHERE attempts = 1'), $enqueued, '... at its first attempt');
is($session->value('SELECT sum(requests) FROM flex_outbox_counts'), $enqueued, '... and counted once');
cmp_ok($session->value('SELECT sum(requests) FROM noted_counts'), '>=', $AT_ONCE, '... also by a trigger on the counts');
SKIP:
{
	skip 'no amcheck', 1 unless $session->value(q{SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'});
	$session->value('CREATE EXTENSION amcheck');
	is($session->sqlstate("SELECT bt_index_parent_check(indexrelid, true) FROM pg_index WHERE indrelid = '$TABLE'::regclass"), '00000', 'each index has all rows');
}
$_->close foreach $session, $reader;
$node->stop('immediate');
done_testing();
