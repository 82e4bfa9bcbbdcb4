# A role's requests of very many priorities and accounts need no more than a bounded number of
# lanes: what would need more waits in one.  All is sent, when its rate allows it.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $LIMIT = 1000;
my $COUNT = 1100;
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('lanes', $simulator, 'fsync = off', "flex_api.rate_limits = 'flex_flow_fetch=0, flex_webchat_create=20'");
my $session = FlexApi::Session->new($node);

sub states { return $session->value("SELECT string_agg(operation || ' ' || state || ' ' || n, ', ' ORDER BY operation, state) FROM (SELECT operation, state, count(*) AS n FROM flex_outbox GROUP BY 1, 2) AS s"); }
sub mixed { return $session->value("SELECT count(*) FROM flex_outbox_requests WHERE lane = (SELECT id FROM flex_outbox_lanes WHERE operation = '')"); }

$session->value('SET client_min_messages = error');
$session->value("SELECT count(flex_enqueue('flex_provisioning_status_fetch', '{}', priority => g - 1000)) FROM generate_series(1, $COUNT) AS g");
is($session->value('SELECT count(*) FROM flex_outbox_lanes'), $LIMIT + 1, 'lanes are bounded');
is(mixed(), $COUNT - $LIMIT, '... and what needs more waits in one');
# In it: some whose operation is paused, more than are known of a lane at once, one of which is retried;
# behind them some that have a rate, and one that is retried.
my $paused = $session->value(q{SELECT max(flex_enqueue('flex_flow_fetch', '{"sid": "FO00000000000000000000000000000001"}')) FROM generate_series(1, 10)});
$session->value($_) foreach "SELECT flex_outbox_retry($paused)", 'SET flex_api.concurrency = 4';
my $chat = q{SELECT count(flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}')) FROM generate_series(1, 30)};
$session->value($chat);
my $retried = $session->value("SELECT max(id) FROM flex_outbox WHERE operation = 'flex_provisioning_status_fetch'");
$session->value("SELECT flex_outbox_retry($retried)");
is($session->value("SELECT l.operation FROM flex_outbox_later AS w JOIN flex_outbox_lanes AS l ON l.id = w.lane WHERE w.id = $retried"), '', 'a retry waits there, too');
is($session->value('SELECT count(*) FROM flex_outbox_lanes'), $LIMIT + 1, '... and no lane is made');
$simulator->clear_requests;
my $result = $session->query('CALL flex_outbox_drain()', 300);
is($result->{error}, undef, 'a drain');
is(states(), "flex_flow_fetch pending 10, flex_provisioning_status_fetch succeeded $COUNT, flex_webchat_create succeeded 30", '... sends all but what is paused');
is($session->value("SELECT count(*) FROM flex_outbox WHERE state = 'succeeded' AND attempts <> 1"), 0, '... each once');
cmp_ok($result->{seconds}, '>=', 0.75 * (30 - 2) / 20, '... at its rate');
# Another role has lanes of its own.
$session->value($_) foreach 'CREATE ROLE other', 'GRANT EXECUTE ON FUNCTION flex_enqueue, flex_provisioning_status_fetch TO other', 'SET ROLE other',
	"SELECT flex_enqueue('flex_provisioning_status_fetch', '{}')", 'RESET ROLE';
is($session->value('SELECT count(*) FROM flex_outbox_lanes'), $LIMIT + 2, 'another role has a lane of its own');

# Transactions that do not see each other's lanes share the bound.
my @both = map { FlexApi::Session->new($node) } 1 .. 2;
$session->value($_) foreach 'CREATE ROLE third', 'GRANT EXECUTE ON FUNCTION flex_enqueue, flex_provisioning_status_fetch TO third', 'SET ROLE third',
	"SELECT flex_enqueue('flex_provisioning_status_fetch', '{}')", 'RESET ROLE';
foreach my $i (0, 1)
{
	$both[$i]->value($_) foreach 'SET client_min_messages = error', 'SET ROLE third', 'BEGIN ISOLATION LEVEL REPEATABLE READ',
	  "SELECT count(flex_enqueue('flex_provisioning_status_fetch', '{}', priority => g - $i * 1000)) FROM generate_series(1, 600) AS g";
}
$_->value('COMMIT') foreach @both;
my $third = $session->value("SELECT min(role_id) FROM flex_outbox WHERE enqueued_by = 'third'");
is($session->value("SELECT count(*) FROM flex_outbox_lanes WHERE role_id = $third"), $LIMIT + 1,
	'two transactions have no more together');
is($session->sqlstate('CALL flex_outbox_drain()', 300), '00000', '... and a drain');
is($session->value("SELECT string_agg(DISTINCT state, ' ') || count(*) FROM flex_outbox WHERE enqueued_by = 'third'"), 'succeeded1201', '... sends all');
$session->value($_) foreach "DELETE FROM flex_outbox_requests WHERE role_id = $third", "DELETE FROM flex_outbox_lanes WHERE role_id = $third";

# What a sender that is gone has left goes back to a lane, also where there is none any more.
$session->value(q{INSERT INTO flex_outbox_claims SELECT pg_current_xact_id(), 2147483647, now(), now(), array_agg(id), array_agg(turn + 1), array_agg(enqueued_xid)
	FROM flex_outbox_requests WHERE state = 'pending' AND operation IN ('flex_flow_fetch', 'flex_provisioning_status_fetch')});
$session->value("DELETE FROM flex_outbox_lanes WHERE operation = 'flex_provisioning_status_fetch' AND priority = 0 AND role_id = (SELECT max(role_id) FROM flex_outbox_lanes)");
# This one remembers no lanes.
$session = FlexApi::Session->new($node);
$session->value('SET client_min_messages = error');
is($session->sqlstate('CALL flex_outbox_drain()', 60), '00000', 'another drain');
is(states(), "flex_flow_fetch pending 10, flex_provisioning_status_fetch succeeded @{[ $COUNT + 1 ]}, flex_webchat_create succeeded 30", '... takes over what another one has left');
is($session->value("SELECT DISTINCT l.operation FROM flex_outbox_later AS w JOIN flex_outbox_lanes AS l ON l.id = w.lane"), '', '... in the lane that it had');

# Of those for whose account there are no credentials one is tried, and not all of them each minute.
$session->value($_) foreach "SET flex_api.account_sid = 'AC" . 'f' x 32 . "'",
	"SELECT count(flex_enqueue('flex_provisioning_status_fetch', '{}', priority => 1000)) FROM generate_series(1, 50)", 'RESET flex_api.account_sid';
is($session->sqlstate('CALL flex_outbox_drain()', 60), '00000', 'a drain of what cannot be sent');
cmp_ok($session->value('SELECT count(*) FROM flex_outbox WHERE error_message IS NOT NULL AND priority = 1000'), '<=', 2, '... tries few');
cmp_ok($session->value("SELECT count(*) FROM flex_outbox_later WHERE cause = '55000' AND due_at > now()"), '>=', 50, '... and has all wait for an operator');
is($session->value('SELECT count(*) FROM flex_outbox_later WHERE cause IS NOT NULL AND held_since IS NULL'), 0, '... since some time');

# While some transaction takes long, a sender does not read all lanes in each of its turns.
my $long = FlexApi::Session->new($node);
$long->value($_) foreach 'BEGIN', 'SELECT pg_current_xact_id()';
sub read_lanes { return $session->value("SELECT idx_tup_read FROM pg_stat_all_indexes WHERE indexrelname = 'flex_outbox_lanes_pkey'"); }
$simulator->post('faults', { path => '/v1/account/provision/status', delay_ms => 20, times => -1 });
$session->value($_) foreach 'SET ROLE other', "SELECT count(flex_enqueue('flex_provisioning_status_fetch', '{}')) FROM generate_series(1, 200)", 'RESET ROLE',
	'SELECT pg_stat_force_next_flush()';
my $read_before = read_lanes();
my $slow = FlexApi::Session->new($node);
$slow->value($_) foreach 'SET client_min_messages = error', 'SET flex_api.concurrency = 2', 'CALL flex_outbox_drain()', 'SELECT pg_stat_force_next_flush()';
cmp_ok(read_lanes() - $read_before, '<=', 50 * $LIMIT, 'few of a hundred turns read all lanes');

$node->stop('fast');
done_testing;
