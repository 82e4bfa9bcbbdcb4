# How many requests are under way at once, whom a slow service delays, and that
# many drainers together send everything once.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('concurrency', $simulator, "flex_api.rate_limits = 'none'", 'fsync = off');
my $session = FlexApi::Session->new($node);
$session->query('SET client_min_messages = error');

sub fresh
{
	$session->value('DELETE FROM flex_outbox_requests; DELETE FROM flex_outbox_holds');
	$simulator->clear_faults;
	$simulator->post('reset');
	return;
}

sub enqueue
{
	my ($count) = @_;
	return $session->value(q{SELECT count(flex_enqueue('flex_webchat_create', jsonb_build_object('address_sid', 'IG00000000000000000000000000000001',
		'identity', 'i' || g))) FROM generate_series(1, } . $count . ') AS g');
}

# A server that counts the requests that it has at once, and answers after a while.
my $counting = FlexApi::Server->new(sub {
	my ($connection, $server) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		$server->note('in');
		Time::HiRes::sleep(0.05);
		$server->note('out');
		print $connection FlexApi::Server::answer('{"identity": "x"}', '201 Created') or return;
	}
});

foreach my $concurrency (1, 7, 20)
{
	fresh();
	$counting->clear_notes;
	my $count = $concurrency == 1 ? 15 : 60;
	enqueue($count);
	$session->value("SET flex_api.concurrency = $concurrency");
	$session->value("SET flex_api.base_url = '" . $counting->url . "'");
	$session->value('CALL flex_outbox_drain()');
	my ($now, $most) = (0, 0);
	foreach my $note ($counting->notes)
	{
		$now += $note eq 'in' ? 1 : -1;
		$most = $now if $now > $most;
	}
	is($session->value("SELECT count(*) FROM flex_outbox WHERE state = 'succeeded'"), $count, "concurrency $concurrency: all are sent");
	cmp_ok($most, '<=', $concurrency, '... no more at once');
	cmp_ok($most, '>', $concurrency / 2, "... but $most");
}
$session->value("SET flex_api.base_url = '" . $simulator->url . "'");
$session->value('RESET flex_api.concurrency');

# Connections are kept: no more of them than requests at once
fresh();
enqueue(300);
my $before = $simulator->get('counters')->{connections};
$session->value('CALL flex_outbox_drain()');
cmp_ok($simulator->get('counters')->{connections} - $before, '<=', 40, 'connections are kept');
is(scalar($simulator->requests), 300, '... and serve them all');

# A service that is slow for one operation does not delay the others' settlement
fresh();
$simulator->post('faults', { path => '/v2/WebChats', delay_ms => 5000, times => -1 });
enqueue(5);
my $drainer = FlexApi::Session->new($node);
$session->value(q{SELECT count(flex_enqueue('flex_provisioning_status_fetch', '{}')) FROM generate_series(1, 10)});
$drainer->send_query('CALL flex_outbox_drain()');
ok(FlexApi::wait_until(sub { $session->value("SELECT count(*) FROM flex_outbox WHERE state = 'succeeded'") == 10 }),
	'the quick ones are settled while the slow ones are under way');
is($session->value("SELECT count(*) FROM flex_outbox WHERE state = 'sending'"), 5, '... which they still are');
# and neither does a later one wait for them
my $id = $session->value(q{SELECT flex_enqueue('flex_provisioning_status_fetch', '{}')});
$session->value('CALL flex_outbox_drain()');
is($session->value("SELECT state FROM flex_outbox WHERE id = $id"), 'succeeded', 'a second drainer takes what comes meanwhile');
is($drainer->receive(30)->{error}, undef, 'the slow ones end');
is($session->value("SELECT count(*) FROM flex_outbox WHERE state = 'succeeded'"), 16, '... well');

# A service that takes no connection
fresh();
my $full = IO::Socket::INET->new(Listen => 0, LocalAddr => '127.0.0.1') or die $!;
$drainer->value("SET flex_api.connect_timeout = '300ms'");
$drainer->value("SET flex_api.base_url = 'http://127.0.0.1:" . $full->sockport . "'");
$drainer->value("SET flex_api.timeout = '600ms'");
enqueue(30);
$drainer->send_query('CALL flex_outbox_drain(30)');
$drainer->receive(30);
my %states = map { @$_ } @{ $session->query('SELECT state, count(*) FROM flex_outbox GROUP BY 1')->{rows} };
is($states{failed}, undef, 'a mute service: nothing has failed');
is(($states{pending} // 0) + ($states{uncertain} // 0), 30, '... each either waits, or was sent and is uncertain');
close $full;

# Many at once: everything once
fresh();
enqueue(2000);
my @drainers = map { FlexApi::Session->new($node) } 1 .. 4;
$_->send_query('CALL flex_outbox_drain()') for @drainers;
my @errors = grep { defined } map { $_->receive(60)->{error} } @drainers;
is_deeply(\@errors, [], 'four drainers end well');
is($session->value("SELECT count(*) FROM flex_outbox WHERE state = 'succeeded'"), 2000, '... everything is sent');
is($simulator->get('counters')->{by_operation}->{flex_webchat_create}, 2000, '... once');
is($session->value("SELECT count(DISTINCT response ->> 'conversation_sid') FROM flex_outbox"), 2000, '... and each has its own answer');

# max_requests of each
fresh();
enqueue(100);
$_->send_query('CALL flex_outbox_drain(10)') for @drainers;
$_->receive(60) for @drainers;
is($session->value("SELECT count(*) FROM flex_outbox WHERE state = 'succeeded'"), 40, 'max_requests is each drainer\'s own');

$node->stop('fast');
done_testing();
