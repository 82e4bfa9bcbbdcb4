# The outbox's figures are the same wherever one looks: in flex_outbox_summary, in
# flex_stat_operations (way outbox) and at the service; through refusals, repeats and the end of
# a sender.  What a crash of the server takes is said: the counters, and nothing of the outbox.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new('--threads', 4);
my $node = FlexApi::node('figures', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'", 'flex_api.concurrency = 4',
	'flex_api.timeout = 10min', 'flex_api.shutdown_grace = 0', 'fsync = off', 'restart_after_crash = on');
my $session = FlexApi::Session->new($node);
my $CHAT = '{"address_sid": "IG00000000000000000000000000000001"}';
my $LONG_MS = 1000 * 60 * FlexApi::slowness();
my %before;

sub chats { my ($count) = @_; $session->value("SELECT count(flex_enqueue('flex_webchat_create', '$CHAT')) FROM generate_series(1, $count)"); return; }
sub figures { my ($sql) = @_; return join ' ', @{ $session->query($sql)->{rows}->[0] }; }
sub summary { return figures('SELECT coalesce(sum(succeeded), 0), coalesce(sum(failed), 0), coalesce(sum(uncertain), 0) FROM flex_outbox_summary'); }
sub is_over { return FlexApi::wait_until(sub { $session->value('SELECT coalesce(sum(pending + sending), 0) FROM flex_outbox_summary') == 0 }); }
sub worker { return $session->value("SELECT pid FROM flex_stat_progress WHERE way = 'outbox' AND in_flight > 0"); }

# What was counted, and what the service has seen: all requests, those that have succeeded, 429s.
sub counted { return figures(q{SELECT coalesce(sum(requests - unsent), 0), coalesce(sum(succeeded), 0), coalesce(sum(throttled), 0) FROM flex_stat_operations WHERE way = 'outbox'}); }
sub seen
{
	my @requests = $simulator->requests;
	return join ' ', scalar @requests, scalar(grep { $_->{status} >= 200 && $_->{status} < 300 } @requests), scalar(grep { $_->{status} == 429 } @requests);
}

# Refused and repeated
$session->value('SELECT flex_stat_reset()');
$simulator->post('faults', { path => '/v2/WebChats', status => 429, retry_after => '0', times => 2 });
$simulator->post('faults', { path => '/v2/WebChats', status => 400, times => 3 });
$simulator->post('faults', { path => '/v1/FlexFlows/*', status => 503, retry_after => '0', times => 2 });
chats(40);
$session->value(q{SELECT flex_enqueue('flex_flow_fetch', '{"sid": "FO00000000000000000000000000000bad"}')});
ok(is_over(), 'all are over');
is(summary(), '37 4 0', 'the summary says what became of them');
is(counted(), '45 37 2', '... the counters agree');
is(seen(), counted(), '... and so does the service');
is(figures(q{SELECT sum(repeats) FROM flex_stat_operations WHERE way = 'outbox'}), 4, '... what was sent again is counted as such');

# A sender that is terminated while requests are under way
$simulator->clear_faults;
$simulator->clear_requests;
$session->value('SELECT flex_stat_reset()');
$simulator->post('faults', { path => '/v2/WebChats', times => 4, delay_ms => $LONG_MS });
chats(10);
ok(FlexApi::wait_until(sub { $simulator->requests == 4 && worker() }), 'four are under way');
$session->value('SELECT pg_terminate_backend(' . worker() . ')');
ok(is_over(), '... and all are over, by another sender');
is(summary(), '43 4 4', 'four are uncertain');
is(figures(q{SELECT sum(requests - unsent), sum(succeeded), sum(lost) FROM flex_stat_operations WHERE way = 'outbox'}), '10 6 4', '... and counted as lost');
is(scalar $simulator->requests, 10, '... and the service has seen all, each once');

# A crash takes the counters of before, and no request
$simulator->clear_faults;
$simulator->post('faults', { path => '/v2/WebChats', times => 4, delay_ms => $LONG_MS });
chats(4);
ok(FlexApi::wait_until(sub { $simulator->requests == 14 && worker() }), 'four are under way');
kill 'KILL', worker();
ok(FlexApi::wait_until(sub { $session->query('SELECT')->{closed} || $node->psql('postgres', 'SELECT') != 0 }), 'a sender is killed');
$node->poll_query_until('postgres', 'SELECT true') or die 'the server does not come back';
$session = FlexApi::Session->new($node);
ok(is_over(), '... and what it had is settled');
is(summary(), '43 4 8', 'the summary has all: four more are uncertain');
is(counted(), '0 0 0', '... the counters begin anew');
$simulator->clear_faults;
$simulator->clear_requests;
chats(5);
ok(is_over(), 'others are sent');
is(summary(), '48 4 8', '... the summary goes on');
is(counted(), '5 5 0', '... and the counters agree with what came since');
is(seen(), counted(), '... as the service does');

$node->stop;
done_testing();
