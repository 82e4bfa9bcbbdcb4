# Rows that a superuser inserts into the table of requests, which wakes nobody.  Behaviour: the
# worker finds them when it looks round, twice a minute, whether it is idle or waits for a
# slow answer; also after the table's triggers were disabled meanwhile.
use strict;
use warnings;

use FindBin;
use lib 'test/perl', "$FindBin::RealBin/../../crash";
use FlexApi;
use Outbox;
use PostgreSQL::Test::Cluster;
use Test::More;
use Time::HiRes qw(time);

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('unannounced', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'", "flex_api.timeout = '1h'");
$node->safe_psql('postgres', 'CREATE DATABASE busy');
$node->safe_psql('busy', 'CREATE EXTENSION flex_api');
my %session = map { $_ => FlexApi::Session->new($node, database => $_) } 'postgres', 'busy';

# A new request like a finished one, as flex_enqueue() would insert it.
sub insert
{
	my ($session, $model, $id) = @_;

	$session->value(qq{INSERT INTO flex_outbox_requests OVERRIDING SYSTEM VALUE
		SELECT n.* FROM flex_outbox_requests AS m, jsonb_populate_record(m, jsonb_build_object('id', $id, 'state', 'pending', 'attempts', 0, 'turn', 0,
			'run_at', now(), 'enqueued_at', now(), 'enqueued_xid', pg_current_xact_id()::text, 'started_at', NULL, 'finished_at', NULL,
			'http_status', NULL, 'request_id', NULL, 'response', NULL)) AS n WHERE m.id = $model});
	return;
}

# Wait until the worker has done nothing for so long that it has no look outstanding.
sub is_quiet
{
	my ($session) = @_;

	return FlexApi::wait_until(sub { $session->value(q{SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
		AND backend_type = 'flex_api outbox worker' AND backend_xmin IS NULL AND state_change < clock_timestamp() - interval '3 s'}) == 1 });
}

my %model = map { $_ => $session{$_}->value(q{SELECT flex_enqueue('flex_provisioning_status_fetch', '{}')}) } keys %session;
ok(reaches($session{$_}, $model{$_}, 'succeeded'), "$_: a request is sent") foreach sort keys %session;
$simulator->post('faults', { operation => 'flex_webchat_create', delay_ms => 3_600_000 });
my $slow = enqueue($session{busy}, 'slow');
ok(FlexApi::wait_until(sub { sent($simulator, 'slow') == 1 }), 'busy: the worker waits for an answer');

# Neither worker is woken; both look round at about the same time.
ok(is_quiet($session{$_}), "$_: the worker is quiet") foreach sort keys %session;
insert($session{postgres}, $model{postgres}, 1001);
$session{busy}->value($_) foreach 'BEGIN', 'ALTER TABLE flex_outbox_requests DISABLE TRIGGER USER';
insert($session{busy}, $model{busy}, 1001);
$session{busy}->value($_) foreach 'ALTER TABLE flex_outbox_requests ENABLE TRIGGER USER', 'COMMIT';
my $begin = time();
foreach my $database (sort keys %session)
{
	ok(reaches($session{$database}, 1001, 'succeeded'), "$database: the row is found and its request sent");
	note(sprintf '%s: after %.1f s', $database, time() - $begin);
}
is(state_of($session{busy}, $slow), 'sending', 'busy: the answer is still awaited');

# A row that looks like one of logical replication is none of ours.
$session{postgres}->value('SET session_replication_role = replica');
insert($session{postgres}, $model{postgres}, 1002);
is($session{postgres}->value('SELECT count(*) FROM flex_outbox_requests WHERE id = 1002'), 0, 'a row of logical replication is discarded');

$_->close foreach values %session;
$node->stop('immediate');
done_testing();
