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
use Time::HiRes qw(sleep time);

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

# What may be in the way of a request that is late.
sub say_what_is_there
{
	diag(join ' | ', map { $_ // '' } @$_) foreach @{ $session->query("SELECT clock_timestamp(), id, state, run_at, started_at FROM flex_outbox ORDER BY id DESC LIMIT 3")->{rows} },
		@{ $session->query('SELECT pid, backend_type, state, wait_event_type, wait_event, xact_start, left(query, 60) FROM pg_stat_activity')->{rows} },
		@{ $session->query('SELECT sent_lsn, write_lsn, flush_lsn, pg_current_wal_flush_lsn() FROM pg_stat_replication')->{rows} };
	return;
}

# Is a request sent?  Not if the worker does nothing for much longer than a wake takes, but
# half a minute would pass without one.  What the standby takes its time for is not its fault.
sub is_sent
{
	my ($id) = @_;
	my $patience = 10;
	my $begin = time();
	my $busy_at = $begin;

	for (;;)
	{
		return 1 if $session->value("SELECT started_at IS NOT NULL FROM flex_outbox WHERE id = $id") eq 't';
		$busy_at = time() if $session->value("SELECT count(*) FROM pg_stat_activity
			WHERE backend_type = 'flex_api outbox worker' AND wait_event_type = 'Extension' AND datname = current_database()") == 0;
		return 0 if time() - $busy_at > $patience || time() - $begin > 60;
		sleep 0.002;
	}
}

# The worker is to be in its commit, of what was answered, when the second one comes.
$simulator->post('faults', { delay_ms => 4, times => -1 });
my $enqueue = q{SELECT flex_enqueue('flex_provisioning_status_fetch', '{}')};
my $late = 0;
foreach my $pair (1 .. $PAIRS)
{
	$session->value($enqueue);
	sleep rand 0.025;
	my $id = $other->value($enqueue);
	next if is_sent($id);
	$late++;
	say_what_is_there();
}
is($late, 0, "of $PAIRS pairs of requests none was forgotten");

$session->value('ALTER SYSTEM RESET synchronous_standby_names');
$session->value('SELECT pg_reload_conf()');
$node->stop('fast');
$receiver->signal('TERM');
$receiver->finish;
done_testing;
