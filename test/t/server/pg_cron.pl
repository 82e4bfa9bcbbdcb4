# pg_cron as Debian has it drains the outbox on a server where flex_api is not preloaded.
# Behaviour: scheduled jobs enqueue (a sweep that deletes stale channels), drain each few
# seconds, and report; both ways of pg_cron to run a job do: its own connection, and a
# background worker.  Before its release 1.5 a job runs once a minute at most, so that
# the job that drains is a procedure which does so again and again for a while.
use strict;
use warnings;

use FindBin;
use lib 'test/perl', "$FindBin::RealBin/../../crash";
use FlexApi;
use Outbox;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $STALE = 5;

chomp(my $folder = qx(pg_config --sharedir));
plan skip_all => 'pg_cron is not here' unless -e "$folder/extension/pg_cron.control";
plan skip_all => 'a job waits for the next minute; the ordinary build has shown it' if $ENV{FLEX_SLOW_BUILD};

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('cron', $simulator, "shared_preload_libraries = 'pg_cron'", "flex_api.rate_limits = 'none'",
	"cron.database_name = 'postgres'", 'max_worker_processes = 20');
$node->append_conf('postgresql.conf', "cron.host = '" . $node->host . "'");
$node->restart;
my $session = FlexApi::Session->new($node);
$session->value('CREATE EXTENSION pg_cron');
my ($major, $minor) = $session->value("SELECT extversion FROM pg_extension WHERE extname = 'pg_cron'") =~ /^(\d+)\.(\d+)/;
my $has_seconds = $major > 1 || $minor >= 5;
note("pg_cron $major.$minor");

# Channels of which some are stale.
$simulator->post('seed', { channels => 20 });
$session->value("CREATE TABLE channels AS SELECT sid FROM flex_channels_list()");
my $channels = $session->value('SELECT count(*) FROM channels');
cmp_ok($channels, '>=', 20, 'there are channels');
$session->value(qq{
	CREATE TABLE stale AS SELECT sid FROM channels ORDER BY sid LIMIT $STALE;
	CREATE TABLE reports (made_at timestamptz DEFAULT clock_timestamp(), operation text, pending bigint, succeeded bigint);
	CREATE PROCEDURE drain_for(duration interval) LANGUAGE plpgsql AS \$\$
	DECLARE
		until timestamptz := clock_timestamp() + duration;
	BEGIN
		LOOP
			CALL flex_outbox_drain();
			COMMIT;
			EXIT WHEN clock_timestamp() >= until;
			PERFORM pg_sleep(0.5);
		END LOOP;
	END \$\$});

my %jobs = (
	sweep => q{SELECT count(flex_enqueue('flex_channel_delete', jsonb_build_object('sid', l.sid), unique_key => 'sweep ' || l.sid))
		FROM flex_channels_list() AS l JOIN stale USING (sid)},
	drain => $has_seconds ? 'CALL flex_outbox_drain()' : "CALL drain_for('5 seconds')",
	report => 'INSERT INTO reports (operation, pending, succeeded) SELECT operation, pending, succeeded FROM flex_outbox_summary');
$session->value("SELECT cron.schedule('$_', '" . ($has_seconds ? '2 seconds' : '* * * * *') . "', \$job\$$jobs{$_}\$job\$)") foreach sort keys %jobs;
my $mine = enqueue($session, 'mine');

# The next minute.
my $details = "SELECT count(DISTINCT jobid) FROM cron.job_run_details WHERE status = 'succeeded'";
ok(FlexApi::wait_until(sub { $session->value($details) == 3 }, 80), 'all three jobs succeed')
  or diag(explain($session->query('SELECT jobid, status, return_message, command FROM cron.job_run_details')->{rows}));
is(state_of($session, $mine), 'succeeded', 'what a session enqueued has been sent');
is(sent($simulator, 'mine'), 1, 'once');
ok(FlexApi::wait_until(sub {
	$session->value("SELECT count(*) FROM flex_outbox WHERE operation = 'flex_channel_delete' AND state = 'succeeded'") == $STALE }, 10),
	'the sweep\'s requests have been sent by the drain that ran beside it');
is($session->value('SELECT count(*) FROM flex_channels_list()'), $channels - $STALE, 'the stale channels are gone, the others are not');
is($session->value('SELECT count(*) FROM flex_channels_list() JOIN stale USING (sid)'), 0, 'it was these');
cmp_ok($session->value('SELECT count(*) FROM reports'), '>=', 1, 'there is a report');

# In a background worker, at the server's start.
my $later = enqueue($session, 'later');
$session->value('SELECT cron.unschedule(jobname) FROM cron.job');
$session->value("SELECT cron.schedule('at start', '\@reboot', 'CALL flex_outbox_drain()')");
$node->append_conf('postgresql.conf', 'cron.use_background_workers = on');
$node->restart;
$session = FlexApi::Session->new($node);
ok(reaches($session, $later, 'succeeded'), 'a background worker of pg_cron drains too')
  or diag(explain($session->query('SELECT jobid, status, return_message, command FROM cron.job_run_details')->{rows}));

$node->stop;
done_testing();
