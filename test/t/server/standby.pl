# A streaming standby sends nothing, and takes over when it is promoted.  Behaviour:
# what was pending is sent by the new primary; a POST that was under way in the old one
# becomes uncertain; with a synchronous standby no request leaves before the standby
# has its claim, so that none is sent a second time after a failover.
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
my $primary = FlexApi::node('primary', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'",
	'flex_api.concurrency = 1', 'wal_level = replica', 'max_wal_senders = 4', 'max_replication_slots = 4');
my $session = FlexApi::Session->new($primary);

$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

# On the standby.
my $before = enqueue($session, 'before');
ok(reaches($session, $before, 'succeeded'), 'the primary sends');
my $later = enqueue($session, 'later', "run_at => now() + '1 hour'");
$session->value($_) for 'CREATE ROLE drainer LOGIN', 'GRANT EXECUTE ON PROCEDURE flex_outbox_drain TO drainer';
$primary->wait_for_catchup($standby);
my $replica = FlexApi::Session->new($standby);
is($replica->value('SELECT sum(succeeded) || sum(pending)::text FROM flex_outbox_summary'), '11', 'the standby shows the outbox');
is($replica->value("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'flex_api%'"), 0, 'it has neither launcher nor worker');
is($replica->sqlstate('SELECT ' . chat('there')), '25006', 'nothing can be enqueued there');
my $refusal = $replica->query('CALL flex_outbox_drain()');
is($refusal->{error}->{C} // '', '25006', 'and nothing drained') or diag(explain($refusal));
is(FlexApi::Session->new($standby, user => 'drainer')->sqlstate('CALL flex_outbox_drain()'), '25006', 'nor by a plain role');
is(scalar $simulator->requests, 1, 'the service heard of none of that');
is($replica->sqlstate('SELECT FROM flex_flows_list(max_rows => 1)'), '00000', 'a direct call needs no writing');

# A synchronous standby has a claim before its request leaves.
$primary->append_conf('postgresql.conf', "synchronous_standby_names = '*'");
$primary->reload;
ok($primary->poll_query_until('postgres', "SELECT sync_state = 'sync' FROM pg_stat_replication"), 'the standby is synchronous');
$replica->close;
$standby->stop;
$session->value('SET synchronous_commit = local');
my $waiting = enqueue($session, 'waiting');
ok($primary->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"),
	'the worker waits for the standby to have its claim');
is(sent($simulator, 'waiting'), 0, 'and has not sent the request');
$standby->start;
ok(reaches($session, $waiting, 'succeeded'), 'it is sent when the standby is there again');
is(sent($simulator, 'waiting'), 1, 'once');

# Failover in the middle: one under way, others waiting behind it.
$session->value('RESET synchronous_commit');
$simulator->post('faults', { delay_ms => 60000, times => 1 });
my @ids = map { enqueue($session, "failover$_") } 1 .. 3;
ok(FlexApi::wait_until(sub { sent($simulator, 'failover1') == 1 }), 'a request is under way');
is(state_of($session, $ids[1]), 'pending', 'another waits for it');
$primary->stop('immediate');
$simulator->clear_faults;
$standby->append_conf('postgresql.conf', "synchronous_standby_names = ''");
$standby->promote;
$replica = FlexApi::Session->new($standby);
ok(reaches($replica, $ids[2], 'succeeded'), 'the promoted standby sends what is pending');
is_deeply([ map { state_of($replica, $_) } @ids ], [qw(uncertain succeeded succeeded)], 'and knows what it does not know');
is_deeply([ map { sent($simulator, "failover$_") } 1 .. 3 ], [ 1, 1, 1 ], 'each was sent once');
is(state_of($replica, $later), 'pending', 'what is not due yet still waits');
my $new = enqueue($replica, 'after');
ok(reaches($replica, $new, 'succeeded'), 'new requests are sent');

$standby->stop;
done_testing();
