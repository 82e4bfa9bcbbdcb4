# finished.pl --bin FOLDER --directory DIRECTORY
#
# Measures what requests cost that have finished and are kept: how long flex_outbox_summary and
# flex_outbox_status take, a drain of one request, and how fast they are deleted when their time has come.  So many are
# there as FINISHED says, a million where it does not.  test/bench/run prepares and calls it.
# Ends with 1 where a goal was missed.
use strict;
use warnings;

use File::Basename qw(dirname);
use Getopt::Long;
use JSON::PP;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

use lib dirname(__FILE__);
use Rounds;
use Servers;
use Session;

my ($bin, $directory);
GetOptions('bin=s' => \$bin, 'directory=s' => \$directory) or exit 2;
$SIG{INT} = $SIG{TERM} = sub { exit 1 };

my $FINISHED = $ENV{FINISHED} // 1_000_000;
my $WAITING = 1000;
my $SENT = 20_000;
my $TIMES = 20;
my $missed = 0;
my $servers = Servers->new($bin, $directory, "flex_api.rate_limits = 'none'", 'shared_buffers = 1GB', 'max_wal_size = 10GB', "flex_api.outbox_retention = '1d'");
my $simulator = $servers->simulator;
$servers->control($simulator, 'POST', 'settings', { record => JSON::PP::false });
my $session = session();

sub session
{
	my $new = Session->new($servers);
	$new->query("SET flex_api.base_url = '$simulator'; SET client_min_messages = error; SET flex_api.concurrency = 100");
	return $new;
}

sub line
{
	my ($what, $is, $goal, $reached) = @_;
	$missed++ unless $reached;
	printf "%-58s %10s   %-12s %s\n", $what, $is, $goal, $reached ? 'ok' : 'MISSED';
}

sub enqueue
{
	my ($count, $more) = @_;
	$session->query("SELECT count(flex_enqueue('flex_webchat_create', jsonb_build_object('address_sid', 'IG' || md5(g::text), " .
		  "'identity', 'customer ' || g)$more)) FROM generate_series(1, $count) g");
}

# Milliseconds that a statement takes, the median of some times.
sub median_ms
{
	my ($sql, $before) = @_;
	my @ms;

	foreach (1 .. $TIMES)
	{
		$before->() if $before;
		my $begin = clock_gettime(CLOCK_MONOTONIC);
		$session->query($sql);
		push @ms, (clock_gettime(CLOCK_MONOTONIC) - $begin) * 1000;
	}
	return Rounds::median(@ms);
}

sub summary
{
	my ($when) = @_;

	foreach my $role ('postgres', 'role1', 'monitor')
	{
		$session->query("SET ROLE $role");
		my $ms = median_ms('SELECT * FROM flex_outbox_summary');
		line("summary, $when, as $role: ms", sprintf('%.1f', $ms), '<= 20', $ms <= 20);
		$ms = median_ms('SELECT * FROM flex_outbox_status');
		line("status, $when, as $role: ms", sprintf('%.1f', $ms), '<= 20', $ms <= 20);
		$session->query('RESET ROLE');
	}
}

sub drain_ms { return median_ms('CALL flex_outbox_drain()', sub { enqueue(1, '') }); }

sub left { return $session->query("SELECT count(*) FROM flex_outbox_requests WHERE finished_at < now() - interval '1 day'") =~ s/\s//gr; }

# Some are sent, so that a role has a lane, and is copied: five roles, twelve operations.
$session->query('CREATE EXTENSION flex_api; CREATE ROLE monitor; GRANT pg_read_all_stats TO monitor;
	GRANT SELECT ON flex_outbox_status TO PUBLIC; GRANT EXECUTE ON FUNCTION flex_outbox_sender TO PUBLIC');
$session->query("CREATE ROLE role$_; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO role$_") foreach 1 .. 4;
foreach my $role (1 .. 4)
{
	$session->query("SET ROLE role$role");
	enqueue(10, '');
	enqueue($WAITING / 4, ", run_at => now() + interval '1 hour'");
	$session->query('RESET ROLE');
}
$session->query('CALL flex_outbox_drain()');
my $empty_ms = drain_ms();
$session->query("INSERT INTO flex_outbox_requests (operation, arguments, state, attempts, max_attempts, run_at, enqueued_at, enqueued_by,
		enqueued_in, started_at, finished_at, http_status, response, request_id, role_id, enqueued_xid, lane)
	SELECT CASE WHEN g % 12 = 0 THEN r.operation ELSE 'operation' || g % 12 END, r.arguments, CASE WHEN g % 50 = 0 THEN 'failed' ELSE 'succeeded' END,
		1, 20, now() - interval '1 hour', now() - interval '1 hour', r.enqueued_by, r.enqueued_in, now() - interval '1 hour', now() - interval '1 hour', 201,
		r.response, r.request_id, r.role_id, r.enqueued_xid, r.lane
	FROM generate_series(1, $FINISHED) AS g JOIN (SELECT DISTINCT ON (role_id) row_number() OVER () AS number, * FROM flex_outbox_requests
		WHERE state = 'succeeded' AND lane IS NOT NULL ORDER BY role_id, id) AS r ON r.number % 5 = g % 5;
	DELETE FROM flex_outbox_counts;
	INSERT INTO flex_outbox_counts SELECT role_id, operation, state, '-infinity', count(*) FROM flex_outbox_requests WHERE finished_at IS NOT NULL GROUP BY 1, 2, 3;
	-- They have been read.
	UPDATE flex_outbox_marks SET xid = (SELECT enqueued_xid FROM flex_outbox_requests ORDER BY enqueued_xid DESC LIMIT 1),
		id = (SELECT max(id) FROM flex_outbox_requests)");
$session->query('VACUUM ANALYZE');
printf "\n%d finished requests, %d that wait\n", $FINISHED, $WAITING;
summary('at rest');
my $ms = drain_ms();
line('a drain of one request: ms', sprintf('%.2f', $ms), sprintf('<= 1.2 x %.2f', $empty_ms), $ms <= 1.2 * $empty_ms);

# As at full speed: a minute's rows of what has finished are not added up yet.
enqueue($SENT, '');
my $begin = clock_gettime(CLOCK_MONOTONIC);
$session->query('CALL flex_outbox_drain()');
my $sent_per_second = $SENT / (clock_gettime(CLOCK_MONOTONIC) - $begin);
line('sent per second', sprintf('%.0f', $sent_per_second), '', 1);
summary("after $SENT");

# A tenth of them has had its time.
my $old = $FINISHED / 10;
$session->query("UPDATE flex_outbox_requests SET enqueued_at = now() - interval '2 days', finished_at = finished_at - interval '2 days'
	WHERE id IN (SELECT id FROM flex_outbox_requests ORDER BY id LIMIT $old)");
$old = left();
$begin = clock_gettime(CLOCK_MONOTONIC);
$session->query('CALL flex_outbox_drain()');
my $per_second = $old / (clock_gettime(CLOCK_MONOTONIC) - $begin);
line('deleted per second at rest', sprintf('%.0f', $per_second), '>= sent', $per_second >= $sent_per_second);
line('left of them', left(), '0', left() == 0);
sleep 400 if $ENV{PAUSE};
$servers->stop;
exit($missed ? 1 : 0);
