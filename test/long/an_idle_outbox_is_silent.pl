# An outbox with nothing to send is silent: for as long as its worker's rounds take it
# writes no WAL, takes no transaction id, and wakes the worker a few times at most.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $SECONDS = 65; # two rounds of the worker
my $simulator = FlexApi::Simulator->new;
# What the server itself writes now and then is left out.
my $node = FlexApi::node('idle', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'", 'wal_level = minimal', 'max_wal_senders = 0',
	'autovacuum = off', 'checkpoint_timeout = 1h', 'fsync = off');
my $session = FlexApi::Session->new($node);

$session->value("SELECT count(flex_enqueue('flex_provisioning_status_fetch', '{}')) FROM generate_series(1, 50)");
$session->value("SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', run_at => now() + interval '1 day')");
ok(FlexApi::wait_until(sub { $session->value("SELECT count(*) FROM flex_outbox WHERE state = 'succeeded'") == 50 }), 'the worker sends');
my $pid = $session->value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'flex_api outbox worker'");

# What has happened in the server, and how often the worker has gone to sleep.
sub happened { return join ' ', @{ $session->query('SELECT pg_current_wal_insert_lsn(), pg_snapshot_xmax(pg_current_snapshot())')->{rows}->[0] }; }
sub sleeps { return (FlexApi::content("/proc/$pid/status") =~ /^voluntary_ctxt_switches:\s*(\d+)/m)[0]; }

my ($before, $begin);
ok(FlexApi::wait_until(sub {
	my $now = happened();
	my $still = defined $before && $now eq $before && FlexApi::is_at_rest($session, $pid);
	$before = $now;
	sleep 1 unless $still;
	return $still;
}), 'it comes to rest');
my $slept = sleeps();
$begin = time();
sleep 1 while time() - $begin < $SECONDS;
is(happened(), $before, "in $SECONDS seconds no WAL, no transaction id");
cmp_ok(sleeps() - $slept, '<=', 12, '... and ' . (sleeps() - $slept) . ' times awake, waits for locks of the server\'s included');
is($session->value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'flex_api outbox worker'"), $pid, '... in the same process');

$node->stop('fast');
done_testing();
