# A soak of about a minute: pgbench's own load beside sessions that enqueue, roll back, call and
# list, while the service refuses, fails and loses answers, and senders are killed with kill -9.
# Then the figures of flex_outbox_summary, of flex_stat_operations and of the service's journal
# are the same, request by request; of the counters a crash takes what was counted before.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FlexApi;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $KILLS = 3;
my $SECONDS = 8;
my $CLIENTS = 6;
my $PER_SECOND = 120;    # transactions of all clients, so that what is enqueued is sent meanwhile

my $folder = PostgreSQL::Test::Utils::tempdir;
my $journal = "$folder/journal";
my $simulator = FlexApi::Simulator->new('--journal', $journal);
my $node = FlexApi::node('soak', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'", 'flex_api.concurrency = 10',
	'flex_api.timeout = 2min', 'fsync = off', 'restart_after_crash = off');
my $pgbench = $node->installed_command('pgbench');

$simulator->post('settings', { record => JSON::PP::false });
$node->safe_psql('postgres', q{
	CREATE TABLE tags (id bigint GENERATED ALWAYS AS IDENTITY);
	CREATE FUNCTION look() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM FROM flex_channel_fetch('CH' || repeat('9', 32));
	EXCEPTION WHEN SQLSTATE 'TW404' THEN NULL;
	END $$});
append_to_file("$folder/calls.sql", <<'EOF_SQL');
\set what random(1, 10)
\if :what <= 6
BEGIN;
INSERT INTO tags DEFAULT VALUES RETURNING id AS tag \gset
SELECT flex_enqueue('flex_webchat_create', jsonb_build_object('address_sid', 'IG00000000000000000000000000000001', 'identity', :tag::text));
COMMIT;
\elif :what = 7
BEGIN;
SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001", "identity": "rolled back"}');
ROLLBACK;
\elif :what = 8
SELECT look();
\elif :what = 9
SELECT count(*) FROM flex_flows_list(max_rows => 3);
\else
BEGIN;
SELECT count(*) FROM flex_call_many('flex_channel_fetch', ARRAY(SELECT '{"sid": "CH99999999999999999999999999999999"}'::jsonb FROM generate_series(1, 4)));
ROLLBACK;
\endif
EOF_SQL
ok(IPC::Run::run([ $pgbench, '-i', '-q', $node->connstr('postgres') ], '>', '/dev/null', '2>', '/dev/null'), 'the tables of pgbench');

sub figures { my ($sql) = @_; return $node->safe_psql('postgres', $sql) =~ s/\|/ /gr; }
sub load
{
	my ($seconds) = @_;
	return IPC::Run::start([ $pgbench, '-n', '-c', $CLIENTS, '-j', 2, '-T', $seconds, '-R', $PER_SECOND, '-b', 'tpcb-like@2', '-f', "$folder/calls.sql\@3", $node->connstr('postgres') ],
		'>', '/dev/null', '2>', "$folder/pgbench.log");
}

# What the service has received, line by line.  It has one thread: after two control requests it
# has read whatever had come before.
sub received
{
	$simulator->get('health') foreach 1 .. 2;
	return map { decode_json($_) } split /\n/, FlexApi::content($journal);
}

# How many requests it has received, for those that wait for some.
sub received_count { return scalar(() = FlexApi::content($journal) =~ /\n/g); }

# So that each epoch has all kinds of ends; the first of them that fits counts.
sub trouble
{
	$simulator->clear_faults;
	$simulator->post('faults', { operation => 'flex_webchat_create', status => 429, times => 5 });
	$simulator->post('faults', { operation => 'flex_webchat_create', status => 503, times => 5 });
	$simulator->post('faults', { operation => 'flex_webchat_create', fault => 'lost_answer', times => 5 });
	$simulator->post('faults', { operation => 'flex_flows_list', status => 503, times => 3 });
	$simulator->post('faults', { operation => 'flex_webchat_create', delay_ms => 300, chance => 0.3 });
	return;
}

my @before;
foreach my $round (1 .. $KILLS)
{
	trouble();
	my $load = load(600);
	my $postmaster = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
	my $sent = received_count();
	ok(FlexApi::wait_until(sub { received_count() > $sent + 200 }), "round $round: requests are sent");
	my $worker = '';
	ok(FlexApi::wait_until(sub { $worker = figures(q{SELECT pid FROM flex_stat_progress WHERE way = 'outbox' AND in_flight > 2}) }), '... several at once')
	  or diag(FlexApi::content("$folder/pgbench.log"));
	kill 'KILL', $worker;
	ok(FlexApi::wait_until(sub { !kill 0, $postmaster }), '... and their sender is killed, and the server with it');
	IPC::Run::finish($load);
	$node->stop('immediate', fail_ok => 1);
	@before = received();
	$node->start;
}

# From the last kill on nothing may be missing, through a clean restart with requests under way, either.
$node->restart;
trouble();
ok(IPC::Run::finish(load($SECONDS)), 'a load without a kill') or diag(FlexApi::content("$folder/pgbench.log"));
$simulator->clear_faults;
ok($node->poll_query_until('postgres', 'SELECT sum(pending + sending) = 0 FROM flex_outbox_summary'), 'all are over');
my @all = received();
my @lines = @all[ @before .. $#all ];
my $outbox = sub { $_[0]->{path} eq '/v2/WebChats' };
my $status = sub { $_[0]->{answered} // $_[0]->{status} };
my %sent_before = map { $_->{form}{Identity} => 1 } grep { $outbox->($_) } @before;
my @chats = grep { $outbox->($_) } @lines;
my %chats = map { $_->{form}{Identity} => 1 } @chats;
my @others = grep { !$outbox->($_) } @lines;
note(scalar(@all), ' requests, ', scalar(@lines), ' of them since the last kill');

# Counters and service
my $counted = 'SELECT sum(requests - unsent), sum(throttled), sum(failed), sum(succeeded + lost) FROM flex_stat_operations WHERE way';
is(figures("$counted = 'outbox'"),
	join(' ', scalar(@chats), scalar(grep({ $status->($_) == 429 } @chats)), scalar(grep({ $status->($_) == 503 } @chats)), scalar(grep({ $_->{carried_out} } @chats))),
	'the outbox: all requests, refused, failed, carried out');
# One of which an attempt was ended before it was sent, as by the restart, is repeated, too.
my ($repeats, $unsent) = split / /, figures("SELECT sum(repeats), sum(unsent) FROM flex_stat_operations WHERE way = 'outbox'");
my $sent_again = @chats - grep { !$sent_before{$_} } keys %chats;
ok($repeats >= $sent_again && $repeats <= $sent_again + $unsent, "... and repeated: $repeats, $sent_again of them sent before, $unsent attempts unsent");
is(figures("SELECT sum(requests - unsent), sum(refused), sum(failed), sum(succeeded) FROM flex_stat_operations WHERE way <> 'outbox'"),
	join(' ', scalar(@others), scalar(grep({ $status->($_) == 404 } @others)), scalar(grep({ $status->($_) == 503 } @others)), scalar(grep({ $status->($_) == 200 } @others))),
	'calls, lists and many calls: the same, also in transactions that were rolled back');

# Summary and service, over all epochs
is(figures('SELECT succeeded + failed + uncertain, cancelled FROM flex_outbox_summary'), figures('SELECT count(*), 0 FROM tags'), 'the summary has all that was committed');
is(figures('SELECT succeeded, failed, uncertain FROM flex_outbox_summary'),
	figures(q{SELECT count(*) FILTER (WHERE state = 'succeeded'), count(*) FILTER (WHERE state = 'failed'), count(*) FILTER (WHERE state = 'uncertain') FROM flex_outbox}), '... as the rows say');
my %carried_out;
$carried_out{ $_->{form}{Identity} }++ foreach grep { $outbox->($_) && $_->{carried_out} } @all;
my %state = map { split /\|/ } split /\n/, $node->safe_psql('postgres', q{SELECT arguments ->> 'identity', state FROM flex_outbox});
my @wrong = grep {
	my $times = $carried_out{$_} // 0;
	$state{$_} eq 'succeeded' ? $times != 1 : $state{$_} eq 'uncertain' ? $times > 1 : $times != 0
} keys %state;
is(join(' ', map { "$_: $state{$_}" } @wrong), '', 'what has succeeded was carried out once, what has failed was not');
is(join(' ', grep { !exists $state{$_} } keys %carried_out), '', 'and nothing else was: not what was rolled back');
cmp_ok(scalar(grep { $_ eq 'uncertain' } values %state), '>=', 3 * $KILLS + 5, 'what was under way at a kill, and what was lost, is uncertain');
cmp_ok(figures('SELECT sum(xact_commit) FROM pg_stat_database'), '>', 100, 'pgbench has done its own');

$node->stop;
done_testing();
