# A sender that waits for the service holds nothing back, and a bad request stops no other.
# Behaviour: while requests are under way a worker and a draining session have no
# snapshot, no transaction id and no lock, so that vacuum removes what is dead; a row
# that makes no sense any more fails by itself, and the others are sent.
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
my $node = FlexApi::node('horizon', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'",
	'autovacuum = off');
my $session = FlexApi::Session->new($node);

# What a process that waits for an answer has of the server's.
sub check_holds
{
	my ($pid, $who) = @_;
	ok(FlexApi::is_at_rest($session, $pid), "$who waits");
	my $result = $session->query(
		"SELECT backend_xmin, backend_xid, (SELECT count(*) FROM pg_locks WHERE pid = $pid AND locktype = 'relation'), state, wait_event_type "
		. "FROM pg_stat_activity WHERE pid = $pid");
	my ($xmin, $xid, $locks, $state, $wait) = @{ $result->{rows}->[0] };

	is($xmin, undef, "$who has no snapshot");
	is($xid, undef, 'no transaction id');
	is($locks, 0, 'no lock');
	isnt($state, 'idle in transaction', 'and is in no transaction');
	is($wait, 'Extension', 'it says that it waits');
	$session->value('CREATE TABLE IF NOT EXISTS churn (id integer)');
	$session->value('INSERT INTO churn SELECT generate_series(1, 1000); DELETE FROM churn');
	my $vacuum = join "\n", map { $_->{M} . $_->{D} } @{ $session->query('VACUUM (VERBOSE) churn')->{notices} };
	like($vacuum, qr/1000 removed, 0 remain, 0 are dead but not yet removable/, 'vacuum removes what died meanwhile');
	is($session->sqlstate('BEGIN; LOCK TABLE flex_outbox IN ACCESS EXCLUSIVE MODE NOWAIT; COMMIT'), '00000', 'the table can be locked');
	return;
}

# A worker and a session, each with an answer that takes its time.
$simulator->post('faults', { delay_ms => 3000, times => 2 });
my $id = enqueue($session, 'worker');
ok(FlexApi::wait_until(sub { sent($simulator, 'worker') == 1 }), 'the worker has a request under way');
check_holds((workers($session))[0], 'the worker');
ok(reaches($session, $id, 'succeeded'), 'its answer is taken');
check_holds((workers($session))[0], 'the idle worker');

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
$session = FlexApi::Session->new($node);
$id = enqueue($session, 'drain');
my $drain = FlexApi::Session->new($node);
$drain->send_query('CALL flex_outbox_drain()');
ok(FlexApi::wait_until(sub { sent($simulator, 'drain') == 1 }), 'a session has a request under way');
check_holds($drain->pid, 'the draining session');
is($drain->receive->{error}, undef, 'it ends well');
is(state_of($session, $id), 'succeeded', 'with its answer');

# Rows that somebody has written nonsense into, each with a good one before and behind it.
my %nonsense = (
	"arguments = '[]'" => 'failed',
	"arguments = '3'" => 'failed',
	"arguments = '{}'" => 'failed',
	q(arguments = '{"address_sid":{"a":[1]}}') => 'failed',
	q(arguments = '{"address_sid":"IG","nobody":1}') => 'failed',
	q(arguments = jsonb_build_object('address_sid', repeat('x', 100000))) => 'failed',
	"operation = 'flex_nothing'" => 'failed',
	"operation = ''" => 'failed',
	"operation = 'pg_sleep'" => 'failed',
	"operation = 'flex_channels_list'" => undef,
	"account_sid = E'a:b\\nc'" => undef,
	'role_id = 0' => 'failed',
	'role_id = 2147483647' => 'failed',
	'enqueued_in = 0' => 'cancelled',
	'enqueued_in = 4000000000' => 'cancelled',
	"on_success = 'no_such_function'" => 'succeeded',
	"on_success = 'no_such(; DROP TABLE flex_outbox; --'" => 'succeeded',
	"on_failure = 'no_such_function', arguments = '{}'" => 'failed',
	"run_at = '-infinity'" => 'succeeded',
	"run_at = '0001-01-01 BC'" => 'succeeded',
	'priority = 2147483647' => 'succeeded',
	'priority = -2147483648' => 'succeeded',
	'max_attempts = 1, attempts = 2147483646' => 'succeeded',
	"context = '[[[[]]]]'" => 'succeeded',
	"state = 'succeeded', finished_at = now(), on_success = 'nobody'" => 'succeeded');
# Claims of senders that are not there.
my %claims = ("0, '-infinity'" => "context = '1'", "-1, 'infinity'" => "context = '2'", '1, now()' => "arguments = '[]'");
my (%id, @good);
foreach my $nonsense (sort keys %nonsense)
{
	push @good, enqueue($session, 'good' . @good);
	$id{$nonsense} = enqueue($session, 'bad' . @good);
	$session->value("UPDATE flex_outbox_requests SET $nonsense WHERE id = $id{$nonsense}");
	$session->value("INSERT INTO flex_outbox_callbacks (id, role_id, due_at) VALUES ($id{$nonsense}, 1, '-infinity')") if $nonsense =~ /'nobody'/;
}
foreach my $claim (sort keys %claims)
{
	push @good, enqueue($session, 'good' . @good);
	$id{$claim} = enqueue($session, 'bad' . @good);
	$nonsense{$claim} = 'uncertain';
	$session->value("UPDATE flex_outbox_requests SET $claims{$claim} WHERE id = $id{$claim}");
	$session->value("INSERT INTO flex_outbox_claims SELECT pg_current_xact_id(), $claim, NULL, ARRAY[id], ARRAY[1], ARRAY[enqueued_xid] FROM flex_outbox_requests WHERE id = $id{$claim}");
}
push @good, enqueue($session, 'good' . @good);
$drain = $session->query('CALL flex_outbox_drain()');
is($drain->{error} && $drain->{error}->{M}, undef, 'a drain gets to its end in spite of bad rows');
is($session->value("SELECT count(*) FROM flex_outbox WHERE state = 'succeeded' AND id IN (" . join(', ', @good) . ')'), scalar @good,
	'and sends all good ones');
foreach my $nonsense (sort keys %nonsense)
{
	my $state = state_of($session, $id{$nonsense});

	isnt($state, 'sending', "$nonsense: is not left behind");
	is($state, $nonsense{$nonsense}, "$nonsense: $nonsense{$nonsense}") if defined $nonsense{$nonsense};
}
is($session->sqlstate('SELECT * FROM flex_outbox_summary'), '00000', 'the summary can be read');
is($session->sqlstate('CALL flex_outbox_drain()'), '00000', 'and so it goes on');

# A counter at its end.
my $counter = enqueue($session, 'counter');
$session->value("UPDATE flex_outbox_requests SET attempts = 2147483647, max_attempts = 2147483647 WHERE id = $counter");
my $behind = enqueue($session, 'behind');
is($session->sqlstate('CALL flex_outbox_drain()'), '00000', 'attempts = 2147483647');
is(state_of($session, $behind), 'succeeded', 'stops nobody else');
$session->value("DELETE FROM flex_outbox_requests WHERE id = $counter");

# The worker, with the same rows.
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'flex_api'");
$node->restart;
$session = FlexApi::Session->new($node);
my ($worker) = has_worker($session, 'postgres') ? workers($session) : ();
$session->value("UPDATE flex_outbox_requests SET arguments = '[]' WHERE id = " . enqueue($session, 'late', "run_at => now() + '0.2 s'"));
my $last = enqueue($session, 'last', "run_at => now() + '0.4 s'");
ok(reaches($session, $last, 'succeeded'), 'the worker goes on as well');
is((workers($session))[0], $worker, 'and was not replaced');

$node->stop;
done_testing();
