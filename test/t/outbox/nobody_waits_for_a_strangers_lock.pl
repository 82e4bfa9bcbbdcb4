# Locks that other roles can hold, each held in a transaction that stays open.  Behaviour:
# sending, settling, callbacks and forgetting go on; a request whose own row is held is
# dealt with when it is free.  src/README.md has the list.
use strict;
use warnings;

use FindBin;
use lib 'test/perl', "$FindBin::RealBin/../../crash";
use FlexApi;
use Outbox;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('locks', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'", "flex_api.outbox_retention = '60min'");
my $super = FlexApi::Session->new($node);

$super->value($_) foreach 'CREATE ROLE mallory LOGIN; CREATE ROLE alice LOGIN', 'CREATE TABLE told (id bigint); GRANT INSERT ON told TO PUBLIC; GRANT CREATE ON SCHEMA public TO alice',
	'GRANT EXECUTE ON FUNCTION flex_enqueue, flex_webchat_create, flex_outbox_retry, flex_outbox_cancel TO mallory, alice';
my %of = map { $_ => FlexApi::Session->new($node, user => $_) } 'mallory', 'alice';
$of{alice}->value('CREATE FUNCTION tell(r flex_outbox) RETURNS void LANGUAGE sql AS $$ INSERT INTO public.told VALUES (r.id) $$');
$of{alice}->value('CREATE FUNCTION fails(r flex_outbox) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION $q$no$q$; END $$');

# Alice's requests are sent and settled, their callbacks run, and what finished long ago goes.
sub all_goes_on
{
	my ($when) = @_;
	my $old = enqueue($of{alice}, 'old');

	ok(reaches($super, $old, 'succeeded'), "$when: a request is sent and settled");
	$super->value("UPDATE flex_outbox_requests SET enqueued_at = now() - interval '2 hours' WHERE id IN (SELECT id FROM flex_outbox_requests WHERE id <= $old FOR UPDATE SKIP LOCKED)");
	$super->value("UPDATE flex_outbox_requests SET finished_at = now() - interval '2 hours' WHERE id = $old");
	$super->value('UPDATE flex_outbox_leftovers SET again_at = now()');
	my $new = enqueue($of{alice}, 'new', "on_success => 'public.tell'");
	ok(reaches($super, $new, 'succeeded'), '... with its callback');
	is($super->value("SELECT count(*) FROM told WHERE id = $new"), 1, '... which has run');
	is($super->sqlstate('CALL flex_outbox_drain()', 60), '00000', '... a drain ends');
	is($super->value("SELECT count(*) FROM flex_outbox WHERE id = $old"), 0, '... and the old one is forgotten');
	return;
}

all_goes_on('nothing is held');

# What each of these holds, while all goes on; $1 is an id of mallory's that has failed, $2 one of alice's whose callback has.
$simulator->post('faults', { status => 400, times => 1 });
my $failed = enqueue($of{mallory}, 'failed');
ok(reaches($super, $failed, 'failed'), 'a request of mallory\'s has failed');
my $told = enqueue($of{alice}, 'told', "on_success => 'public.fails'");
ok(FlexApi::wait_until(sub { ($super->value("SELECT callback_error FROM flex_outbox WHERE id = $told") // '') eq 'no' }), 'and a callback of alice\'s');
my @held = (
	[ 'mallory', 'the extension', 'CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$', 'BEGIN', 'ALTER FUNCTION pg_temp.f() DEPENDS ON EXTENSION flex_api' ],
	[ 'mallory', 'its own request', 'BEGIN', "SELECT flex_outbox_retry($failed)" ],
	[ 'mallory', 'its first request', 'BEGIN', enqueue_statement('mallory') ],
	[ 'alice', 'a callback of its own', 'BEGIN', "SELECT flex_outbox_retry($told)" ],
	[ 'mallory', 'the views', 'BEGIN', 'LOCK TABLE flex_outbox, flex_outbox_summary, flex_outbox_holds, flex_outbox_activity IN ACCESS SHARE MODE' ],
	[ 'mallory', 'advisory locks', 'BEGIN', 'SELECT pg_advisory_lock(n), pg_advisory_lock(0, n) FROM generate_series(1, 100) AS n' ],
	[ 'mallory', 'an old snapshot', 'BEGIN ISOLATION LEVEL REPEATABLE READ', 'SELECT count(*) FROM flex_outbox' ],
	[ 'mallory', 'the types', 'BEGIN', 'CREATE TEMP TABLE held (r flex_outbox, q flex_outbox_requests)' ]);

sub enqueue_statement { return 'SELECT ' . chat('first', "run_at => now() + '1 day'"); }

foreach (@held)
{
	my ($role, $what, @statements) = @$_;
	my $holder = FlexApi::Session->new($node, user => $role);

	$super->value("UPDATE flex_outbox_requests SET enqueued_at = now() - interval '2 hours'");
	$holder->value($_) foreach @statements;
	all_goes_on("$role holds $what");
	$holder->query('ROLLBACK');
	$holder->close;
}

# Between the claim of a callback and its end, which it reaches when the lock is gone.
my $holder = FlexApi::Session->new($node, user => 'alice');
$super->value("UPDATE flex_outbox_callbacks SET due_at = now() + interval '1 day' WHERE id = $told");
$of{alice}->value('CREATE OR REPLACE FUNCTION fails(r flex_outbox) RETURNS void LANGUAGE sql AS $$ INSERT INTO public.told VALUES (r.id) $$');
$super->value("UPDATE flex_outbox_requests SET enqueued_at = now() - interval '2 hours'");
$holder->value('BEGIN');
$holder->value("SELECT flex_outbox_retry($told)");
all_goes_on('a callback is held that was claimed');
$holder->value('COMMIT');
ok(FlexApi::wait_until(sub { $super->value("SELECT count(*) FROM told WHERE id = $told") == 1 }), 'when it is free, it runs');

# The extension can be dropped, and nobody ends in a deadlock with that.
my $start = -s $node->logfile;
foreach my $round (1 .. 20)
{
	my @ids = map { enqueue($of{alice}, "round$round-$_", "on_success => 'public.tell'") } 1 .. 5;
	is($super->sqlstate('BEGIN; SET LOCAL client_min_messages = error; DROP EXTENSION flex_api CASCADE; ROLLBACK', 60), '00000', "round $round: DROP EXTENSION");
}
unlike(substr(slurp_file($node->logfile), $start), qr/deadlock detected/, 'no deadlock');

$node->stop('fast');
done_testing;
