# pg_cron as Debian has it drains the outbox on a server where flex_api is not preloaded, as a
# role that is no superuser.
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

# What is known of the last run of a job.
sub run_of
{
	my ($job, $column) = @_;

	return "SELECT $column FROM cron.job_run_details JOIN cron.job USING (jobid) WHERE jobname = '$job' ORDER BY runid DESC LIMIT 1";
}

# Channels of which some are stale.
$simulator->post('seed', { channels => 20 });
$session->value("CREATE TABLE channels AS SELECT sid FROM flex_channels_list()");
my $channels = $session->value('SELECT count(*) FROM channels');
cmp_ok($channels, '>=', 20, 'there are channels');
$session->value(qq{
	CREATE TABLE stale AS SELECT sid FROM channels ORDER BY sid LIMIT $STALE;
	CREATE TABLE reports (made_at timestamptz DEFAULT clock_timestamp(), operation text, pending bigint, succeeded bigint)});

# The statements as the pages have them; what else of the recipe they need stands before them.
sub blocks
{
	my ($page, $section) = @_;
	my $text = PostgreSQL::Test::Utils::slurp_file("$FindBin::RealBin/../../../$page");

	($text) = $text =~ /^(## \Q$section\E.*?)(?=^## |\z)/ms if defined $section;
	return $text =~ /^```sql\n(.*?)^```/msg;
}
$session->value('CREATE DATABASE app');
$node->safe_psql('app', 'CREATE EXTENSION flex_api');
my $elsewhere = $node->safe_psql('app', q{SELECT flex_enqueue('flex_provisioning_status_fetch', '{}')});
is($node->psql('postgres', $_), 0, 'the recipe: ' . (split /\n/)[0]) foreach blocks('sql/RECIPES.md', 'Scheduled jobs: sweep, drain, report');
is($node->psql('postgres', $_), 0, "README: $_") foreach grep { /cron\.schedule/ } blocks('README.md');
is($node->psql('postgres', $_), 0, "OPERATING: $_") foreach blocks('sql/OPERATING.md', 'pg_cron');
$session->value(q{SELECT cron.unschedule(jobid) FROM cron.job WHERE jobname IN ('drain the outbox', 'report the outbox', 'sweep stale channels')});
is($session->sqlstate(q{SELECT cron.schedule('seconds', '5 seconds', 'SELECT')}), $has_seconds ? '00000' : '22023', 'seconds are known from 1.5 on')
  or diag(explain($session->query(q{SELECT cron.schedule('seconds', '5 seconds', 'SELECT')})->{error}));
$session->value(q{SELECT cron.unschedule(jobid) FROM cron.job WHERE jobname = 'seconds'});
$session->value(q{SELECT cron.schedule('refused', '* * * * *', 'SELECT flex_outbox_cancel(0)')});

my %jobs = (
	sweep => q{SELECT count(flex_enqueue('flex_channel_delete', jsonb_build_object('sid', l.sid), unique_key => 'sweep ' || l.sid))
		FROM flex_channels_list() AS l JOIN stale USING (sid)},
	drain => $has_seconds ? 'CALL flex_outbox_drain()' : "CALL drain_for('5 seconds')",
	report => 'INSERT INTO reports (operation, pending, succeeded) SELECT operation, pending, succeeded FROM flex_outbox_summary');
# As on a managed server: the role that drains is no superuser, and has no other right.
$session->value($_) foreach 'CREATE ROLE drainer LOGIN', 'GRANT USAGE ON SCHEMA cron TO drainer', 'GRANT EXECUTE ON PROCEDURE flex_outbox_drain TO drainer';
my %sessions = (drain => FlexApi::Session->new($node, user => 'drainer'));
($sessions{$_} // $session)->value("SELECT cron.schedule('$_', '" . ($has_seconds ? '2 seconds' : '* * * * *') . "', \$job\$$jobs{$_}\$job\$)") foreach sort keys %jobs;
is($session->value("SELECT username || ' ' || rolsuper FROM cron.job JOIN pg_roles ON rolname = username WHERE jobname = 'drain'"), 'drainer false', 'the job that drains belongs to a plain role');
my $mine = enqueue($session, 'mine');

# The next minute.
my $details = "SELECT count(DISTINCT jobid) FROM cron.job_run_details JOIN cron.job USING (jobid) WHERE status = 'succeeded' AND jobname IN ('sweep', 'drain', 'report')";
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

# Drained elsewhere; and a job that fails says why.
ok(FlexApi::wait_until(sub { $node->safe_psql('app', "SELECT state FROM flex_outbox WHERE id = $elsewhere") eq 'succeeded' }), 'the outbox of another database is drained')
  or diag(explain($session->query('SELECT jobid, status, return_message, command FROM cron.job_run_details')->{rows}));
ok(FlexApi::wait_until(sub { ($session->value(run_of('refused', 'status')) // '') eq 'failed' }), 'a job that fails is seen');
like($session->value(run_of('refused', 'return_message')), qr/ERROR:.*request 0 is not in the outbox/, '... with its error');

# A connection that pg_hba.conf does not let in; the server's owner passes by its name.
$session->value('CREATE ROLE sweeper LOGIN; GRANT USAGE ON SCHEMA cron TO sweeper; GRANT EXECUTE ON PROCEDURE flex_outbox_drain TO sweeper');
$session->value('SELECT cron.unschedule(jobid) FROM cron.job');
$session->value("SELECT cron.schedule('of the owner', '\@reboot', 'CALL flex_outbox_drain()')");
$session->value("SET ROLE sweeper; SELECT cron.schedule('of a role', '\@reboot', 'CALL flex_outbox_drain()'); RESET ROLE");
PostgreSQL::Test::Utils::append_to_file($node->data_dir . '/pg_hba.conf.new', "local all all peer\n");
rename($node->data_dir . '/pg_hba.conf.new', $node->data_dir . '/pg_hba.conf') or die "pg_hba.conf: $!";
$node->restart;
$session = FlexApi::Session->new($node);
ok(FlexApi::wait_until(sub { ($session->value(run_of('of the owner', 'status')) // '') eq 'succeeded' }), 'the owner\'s job connects');
ok(FlexApi::wait_until(sub { ($session->value(run_of('of a role', 'status')) // '') eq 'failed' }), 'that of a role which is not let in does not');
like($session->value(run_of('of a role', 'return_message')), qr/connection failed/, '... and says so');

# In a background worker, at the server's start.
my $later = enqueue($session, 'later');
$session->value("SELECT cron.schedule('at start', '\@reboot', 'CALL flex_outbox_drain()')");
$node->append_conf('postgresql.conf', 'cron.use_background_workers = on');
$node->restart;
$session = FlexApi::Session->new($node);
ok(reaches($session, $later, 'succeeded'), 'a background worker of pg_cron drains too')
  or diag(explain($session->query('SELECT jobid, status, return_message, command FROM cron.job_run_details')->{rows}));
ok(FlexApi::wait_until(sub { ($session->value(run_of('of a role', 'status')) // '') eq 'succeeded' }), '... for a role that is not let in, too')
  or diag(explain($session->query('SELECT jobid, status, return_message, command FROM cron.job_run_details')->{rows}));

$node->stop;
done_testing();
