# No wake is lost: a commit that comes while the worker commits, and waits for a
# synchronous standby with the same latch, is not left until the next look around.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use File::Temp ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $PAIRS = 300;
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('wakes', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'",
	'max_wal_senders = 4', 'wal_level = replica', 'fsync = off');
my $session = FlexApi::Session->new($node);
my $other = FlexApi::Session->new($node);

# A receiver of WAL is all that a synchronous standby needs to be here.
my $folder = File::Temp->newdir;
my $receiver = IPC::Run::start([ 'pg_receivewal', '--synchronous', '-D', "$folder", '-h', $node->host, '-p', $node->port, '-U', $session->value('SELECT current_user') ],
	'>', \my $output, '2>', \my $errors);
ok(FlexApi::wait_until(sub { $session->value('SELECT count(*) FROM pg_stat_replication') == 1 }), 'a receiver is there') or diag($errors);
$session->value("ALTER SYSTEM SET synchronous_standby_names = '*'");
$session->value('SELECT pg_reload_conf()');
ok(FlexApi::wait_until(sub { $session->value("SELECT sync_state FROM pg_stat_replication") eq 'sync' }), '... that commits wait for');

# The worker is to be in its commit, of what was answered, when the second one comes.
$simulator->post('faults', { delay_ms => 4, times => -1 });
my $enqueue = q{SELECT flex_enqueue('flex_provisioning_status_fetch', '{}')};
my $late = 0;
foreach my $pair (1 .. $PAIRS)
{
	$session->value($enqueue);
	sleep rand 0.025;
	my $id = $other->value($enqueue);
	# Half a minute would pass without a wake; a second is much more than it takes.
	$late++ unless FlexApi::wait_until(sub { $session->value("SELECT started_at IS NOT NULL FROM flex_outbox WHERE id = $id") eq 't' }, FlexApi::slowness() > 1 ? 10 : 2);
}
is($late, 0, "of $PAIRS pairs of requests none was forgotten");

$session->value('ALTER SYSTEM RESET synchronous_standby_names');
$session->value('SELECT pg_reload_conf()');
$node->stop('fast');
$receiver->signal('TERM');
$receiver->finish;
done_testing;
