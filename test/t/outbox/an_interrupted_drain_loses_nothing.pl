# A drain that is cancelled, timed out or terminated while requests are in flight:
# nothing is repeated that may have been done, nothing is lost, and the session
# that lives on drains as if nothing had been.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('interrupts', $simulator, "flex_api.rate_limits = 'none'");
my $control = FlexApi::Session->new($node);
my $drainer;

$control->query('SET client_min_messages = error');

# Two requests of each kind, of which nothing comes back in time; a drain that
# has sent them; returns their ids: POSTs, then GETs.
sub in_flight
{
	my ($settings) = @_;
	my @ids;

	$control->value('DELETE FROM flex_outbox_requests');
	$simulator->clear_faults;
	$simulator->clear_requests;
	$simulator->post('faults', { delay_ms => 60000, times => -1 });
	push @ids, $control->value(q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}')}) for 1 .. 2;
	push @ids, $control->value(q{SELECT flex_enqueue('flex_provisioning_status_fetch', '{}')}) for 1 .. 2;
	$drainer = FlexApi::Session->new($node) unless $drainer;
	$drainer->value("SET $settings") if $settings;
	$drainer->send_query('CALL flex_outbox_drain()');
	ok(FlexApi::wait_until(sub { $simulator->requests == 4 }), 'four requests are in flight');
	return @ids;
}

sub states { return $control->value("SELECT string_agg(concat_ws(' ', state, error_code), ', ' ORDER BY id) FROM flex_outbox"); }

# What must hold after any of them.
sub check
{
	my ($session, $expected, $name) = @_;

	is(states(), $expected, "$name: POSTs are uncertain, GETs wait");
	$simulator->clear_faults;
	$control->value("UPDATE flex_outbox_later SET due_at = now()");
	is($session->sqlstate('CALL flex_outbox_drain()'), '00000', '... the next drain works');
	is($control->value("SELECT string_agg(state, ', ' ORDER BY id) FROM flex_outbox"), 'uncertain, uncertain, succeeded, succeeded',
		'... and sends the GETs');
	my %count;
	$count{ $_->{method} }++ foreach $simulator->requests;
	is_deeply(\%count, { POST => 2, GET => 4 }, '... no POST came twice');
	is($control->value("SELECT count(*) FROM flex_outbox WHERE sender_pid IS NOT NULL"), 0, '... nobody has them any more');
	return;
}

# While they are in flight: no snapshot, no lock on anything, no transaction that writes
my @ids = in_flight();
my $pid = $drainer->pid;
ok(FlexApi::is_at_rest($control, $pid), 'all are in flight');
is($control->value("SELECT count(*) FROM pg_locks WHERE pid = $pid AND locktype <> 'virtualxid'"), 0, 'in flight: no lock is held');
is($control->value("SELECT backend_xmin IS NULL AND backend_xid IS NULL FROM pg_stat_activity WHERE pid = $pid"), 't', '... no snapshot, no transaction id');
is($control->value("SELECT string_agg(state || sender_pid, ' ') FROM flex_outbox"), join(' ', ("sending$pid") x 4), '... they are said to be sent');
is($control->sqlstate("SELECT flex_outbox_cancel($ids[0])"), '55000', '... and cannot be cancelled');
is($control->sqlstate("SELECT flex_outbox_retry($ids[0])"), '55000', '... nor retried');
is($control->sqlstate('CALL flex_outbox_drain()'), '00000', '... another drain leaves them alone');
is(scalar($simulator->requests), 4, '... and sends nothing');
$control->value('VACUUM FULL flex_outbox_requests');

# Cancelled
$control->value("SELECT pg_cancel_backend($pid)");
my $result = $drainer->receive(20);
is($result->{error}->{C}, '57014', 'a cancel ends the drain');
check($drainer, 'uncertain 08007, uncertain 08007, pending 08006, pending 08006', 'cancelled');

# statement_timeout
in_flight("statement_timeout = '500ms'");
$result = $drainer->receive(20);
is($result->{error}->{C}, '57014', 'so does statement_timeout');
cmp_ok($result->{seconds}, '<', 1.5 * FlexApi::slowness(), '... at once');
$drainer->value('RESET statement_timeout');
check($drainer, 'uncertain 08007, uncertain 08007, pending 08006, pending 08006', 'timed out');

# Cancelled again and again, at any moment
$control->value('DELETE FROM flex_outbox_requests');
$simulator->clear_requests;
$simulator->post('faults', { delay_ms => 20, times => -1 });
$control->value(q{SELECT count(flex_enqueue('flex_webchat_create', jsonb_build_object('address_sid', 'IG00000000000000000000000000000001', 'identity', 'i' || g)))
	FROM generate_series(1, 300) AS g});
# A few at once, so that cancels come in the middle also where they come late.
$drainer->value('SET flex_api.concurrency = 10');
my $cancels = 0;
foreach my $round (1 .. 200)
{
	$drainer->send_query('CALL flex_outbox_drain()');
	# A cancel that comes before the statement has begun is nobody's.
	foreach my $try (1 .. 5)
	{
		Time::HiRes::sleep(rand(0.02));
		last if $control->value("SELECT bool_or(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE pid = $pid AND state = 'active'");
	}
	my $end = $drainer->receive(20);
	die 'the session ended' if $end->{closed};
	die "$end->{error}->{C} $end->{error}->{M}" if $end->{error} && $end->{error}->{C} ne '57014';
	last if !$end->{error} && $control->value("SELECT count(*) FROM flex_outbox WHERE state IN ('pending', 'sending')") == 0;
	$cancels++ if $end->{error};
}
# what was not sent waits for its back-off
ok(FlexApi::wait_until(sub {
	$control->value("UPDATE flex_outbox_later SET due_at = now()");
	$drainer->value('CALL flex_outbox_drain()');
	return $control->value("SELECT count(*) FROM flex_outbox WHERE state = 'pending'") == 0;
}), 'cancelled again and again, it comes to an end');
cmp_ok($cancels, '>', 5, "$cancels cancels");
$drainer->value('RESET flex_api.concurrency');
is($control->value("SELECT count(*) FILTER (WHERE state IN ('succeeded', 'uncertain')) FROM flex_outbox"), 300, 'at any moment: each request has an end')
  or diag $control->value("SELECT string_agg(DISTINCT concat_ws(' ', state, error_code, error_message), ', ') FROM flex_outbox");
my %times;
$times{ ($_->{body} =~ /Identity=(\w+)/)[0] }++ foreach $simulator->requests;
is(scalar(grep { $_ > 1 } values %times), 0, '... none was sent twice');
is($control->value("SELECT count(*) FROM flex_outbox WHERE state = 'succeeded' AND response IS NULL"), 0, '... those that succeeded have their answer');
my %done = map { $_->[0] => 1 } @{ $control->query("SELECT arguments ->> 'identity' FROM flex_outbox WHERE state = 'succeeded'")->{rows} };
is(scalar(grep { !$times{$_} } keys %done), 0, '... and were sent');

# Terminated
in_flight();
$control->value("SELECT pg_terminate_backend($pid)");
$result = $drainer->receive(20);
ok($result->{closed}, 'pg_terminate_backend ends the session');
ok(FlexApi::wait_until(sub { $control->value("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid") == 0 }), '... soon');
$drainer = FlexApi::Session->new($node);
$drainer->value('CALL flex_outbox_drain(0)');
check($drainer, 'uncertain 08007, uncertain 08007, pending 08006, pending 08006', 'terminated')
  if states() !~ /pending 08007/;
check($drainer, 'uncertain 08007, uncertain 08007, pending 08007, pending 08007', 'terminated') if states() =~ /pending 08007/;

# One process that ends does not take another one's for its own
in_flight();
my $second = FlexApi::Session->new($node);
$control->value("SELECT pg_terminate_backend(" . FlexApi::Session->new($node)->pid . ')');
is($second->sqlstate('CALL flex_outbox_drain()'), '00000', 'another drain while they are in flight');
is(states(), join(', ', ('sending') x 4), '... leaves them alone');

# The server stops at once, though the service hangs
my $begin = time();
$node->stop('fast');
cmp_ok(time() - $begin, '<', 3 * FlexApi::slowness(), 'stop -m fast does not wait for the service');
$node->start;
$control = FlexApi::Session->new($node);
$drainer = FlexApi::Session->new($node);
$drainer->value('CALL flex_outbox_drain(0)');
like(states(), qr/^uncertain 08007, uncertain 08007, pending 0800[67], pending 0800[67]$/, '... and nothing is repeated');

$node->stop('fast');
done_testing();
