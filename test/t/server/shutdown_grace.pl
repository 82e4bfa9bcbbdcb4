# A fast shutdown: what is on the wire may be answered within flex_api.shutdown_grace, and a
# callback may end; nothing new is claimed; and the server does not wait for longer.
use strict;
use warnings;

use FindBin;
use lib 'test/perl', "$FindBin::RealBin/../../crash";
use FlexApi;
use Outbox;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $simulator = FlexApi::Simulator->new('--threads', 8);
my $node = FlexApi::node('grace', $simulator, "flex_api.rate_limits = 'none'", 'flex_api.concurrency = 3', 'fsync = off',
	"shared_preload_libraries = 'flex_api'", 'flex_api.callback_timeout = 5min', 'flex_api.shutdown_grace = 100ms');
my $session = FlexApi::Session->new($node);
my $DELAY_MS = 1500; # of an answer, longer than the default grace

# Start the server with settings, with or without workers.
sub start
{
	my ($preload, $grace) = @_;

	$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', $preload ? "'flex_api'" : "''");
	$node->adjust_conf('postgresql.conf', 'flex_api.shutdown_grace', $grace);
	$node->start;
	$session = FlexApi::Session->new($node);
	return;
}

# Stop the server; returns the seconds.
sub stop
{
	my $begin = time();

	$session->close;
	$node->stop('fast');
	return time() - $begin;
}

# States and attempts of requests by name, and how often each was sent.
sub ends
{
	return map { $session->value("SELECT state || ' ' || attempts FROM flex_outbox WHERE arguments->>'identity' = '$_'") . ' ' . sent($simulator, $_) } @_;
}

sub delay { my ($ms) = @_; $simulator->clear_faults; $simulator->post('faults', { delay_ms => $ms, times => -1 }); return; }
sub are_sent { my @names = @_; return FlexApi::wait_until(sub { !grep { sent($simulator, $_) != 1 } @names }); }

is($session->value("SELECT boot_val || unit FROM pg_settings WHERE name = 'flex_api.shutdown_grace'"), '500ms', 'the default');
is($session->sqlstate("SET flex_api.shutdown_grace = '1s'"), '55P02', 'it is not a session\'s');
is($session->sqlstate("ALTER SYSTEM SET flex_api.shutdown_grace = '61s'"), '22023', 'at most a minute');
stop();

# Time enough.
start(1, '60s');
delay($DELAY_MS);
enqueue($session, "a$_") foreach 1 .. 3;
ok(are_sent(map { "a$_" } 1 .. 3), 'three are under way');
enqueue($session, "a$_") foreach 4 .. 5;
my $seconds = stop();
start(0, '60s');
is_deeply([ ends(map { "a$_" } 1 .. 5) ], [ ('succeeded 1 1') x 3, ('pending 0 0') x 2 ], 'what was under way has succeeded, and nothing was begun');
diag(sprintf('a stop with answers of %d ms: %.0f ms', $DELAY_MS, 1000 * $seconds));
$session->value("DELETE FROM flex_outbox_requests");
stop();

# No time, and too little.
foreach my $grace (0, 500, 3000)
{
	my @names = map { "b$grace$_" } 1 .. 3;

	start(1, "${grace}ms");
	delay(600000);
	enqueue($session, $_) foreach @names;
	ok(are_sent(@names), "a grace of $grace ms, and no answer");
	$seconds = stop();
	# The grace is the server's word, whatever the machine; what is done after it is not.
	cmp_ok($seconds, '<', $grace / 1000 + 0.1 * FlexApi::slowness(), sprintf('... the stop takes %.0f ms', 1000 * $seconds));
	cmp_ok($seconds, '>=', $grace / 1000 - 0.1, '... and no answer has less than that');
	start(0, "${grace}ms");
	is_deeply([ ends(@names) ], [ ('uncertain 1 1') x 3 ], '... nobody knows what became of the requests');
	stop();
}
start(1, '60s');
stop();
$seconds = do { start(1, '60s'); ok(has_worker($session, 'postgres'), 'nothing is under way'); stop() };
diag(sprintf('a stop with nothing under way: %.0f ms', 1000 * $seconds));

# A worker that is terminated has the time, too; a cancelled one does not.
start(1, '60s');
delay($DELAY_MS);
enqueue($session, 'terminated');
ok(are_sent('terminated'), 'a request is under way');
$session->value('SELECT pg_terminate_backend(' . (workers($session))[0] . ')');
ok(FlexApi::wait_until(sub { (ends('terminated'))[0] eq 'succeeded 1 1' }, 60), 'its worker is terminated, and waits for the answer');

# A callback, which has a process of its own.
$simulator->clear_faults;
$session->value($_) for 'CREATE TABLE done (id bigint)', 'CREATE TABLE begun ()',
	q{CREATE FUNCTION slowly(request flex_outbox) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
		PERFORM pg_advisory_xact_lock(7), pg_sleep(coalesce((request.context->>'seconds')::float8, 0)); INSERT INTO done VALUES (request.id); END $$};
sub callback_runs { return FlexApi::wait_until(sub { $session->value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7") == 1 }); }
my $id = enqueue($session, 'called', q{context => '{"seconds": 1.5}', on_success => 'slowly'});
ok(callback_runs(), 'a callback runs');
stop();
start(0, '60s');
is($session->value("SELECT count(*) FROM done WHERE id = $id"), 1, 'it ends within the grace');
is($session->value("SELECT callback_at FROM flex_outbox WHERE id = $id"), undef, '... and is settled');
stop();
start(1, '100ms');
$id = enqueue($session, 'broken', q{context => '{"seconds": 100}', on_success => 'slowly'});
ok(callback_runs(), 'a callback that takes long');
$seconds = stop();
cmp_ok($seconds, '<', 0.1 + 0.1 * FlexApi::slowness(), sprintf('... is broken off: %.0f ms', 1000 * $seconds));
start(0, '60s');
is($session->value("SELECT count(*) FROM done WHERE id = $id"), 0, '... with all it did');
is($session->value("SELECT callback_at IS NOT NULL AND callback_error IS NULL FROM flex_outbox WHERE id = $id"), 't', '... and will run again');
$session->value("UPDATE flex_outbox_callbacks SET due_at = NULL");

# The drain of a role that is no superuser.
$session->value($_) for 'CREATE ROLE drainer LOGIN', 'GRANT EXECUTE ON PROCEDURE flex_outbox_drain TO drainer';
delay($DELAY_MS);
enqueue($session, 'drained');
my $drainer = FlexApi::Session->new($node, user => 'drainer');
$drainer->send_query('CALL flex_outbox_drain()');
ok(are_sent('drained'), 'a drain in a background worker');
stop();
start(0, '60s');
is((ends('drained'))[0], 'succeeded 1 1', '... has its answer within the grace');
delay(600000);
enqueue($session, 'cancelled');
$drainer = FlexApi::Session->new($node, user => 'drainer');
$drainer->send_query('CALL flex_outbox_drain()');
ok(are_sent('cancelled'), 'one that is cancelled');
$session->value('SELECT pg_cancel_backend(' . $drainer->pid . ')');
is($drainer->receive(30)->{error}->{C}, '57014', '... ends at once');
is((ends('cancelled'))[0], 'uncertain 1 1', '... for its role waits');
stop();
done_testing();
