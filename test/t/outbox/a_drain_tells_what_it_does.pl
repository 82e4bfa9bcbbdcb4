# A drain tells its session what it has done, at its end and meanwhile: a superuser's, which sends
# from its session, and a plain role's, which a worker carries out.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new('--threads', 4);
my $node = FlexApi::node('tells', $simulator, "flex_api.rate_limits = 'none'", 'flex_api.timeout = 10min', 'fsync = off');
my $watcher = FlexApi::Session->new($node);
my $CHAT = '{"address_sid": "IG00000000000000000000000000000001"}';
my $LONG_MS = 1000 * 60 * FlexApi::slowness();

$watcher->value('CREATE ROLE drainer LOGIN; GRANT EXECUTE ON PROCEDURE flex_outbox_drain TO drainer');

# What it tells, without the words that all have in common.
sub told { return join '; ', map { $_->{M} =~ s/ the Flex API outbox//r } @_; }

foreach my $role (undef, 'drainer')
{
	my $who = $role // 'a superuser';
	my $session = FlexApi::Session->new($node, $role ? (user => $role) : ());

	is(told(@{ $session->query('CALL flex_outbox_drain()')->{notices} }), '', "$who: nothing was due, and nothing is told");
	$watcher->value("SELECT flex_enqueue('flex_webchat_create', '$CHAT'), flex_enqueue('flex_flow_fetch', '{\"sid\": \"FO00000000000000000000000000000bad\"}')");
	is(told(@{ $session->query('CALL flex_outbox_drain()')->{notices} }), 'drained: 1 succeeded, 1 failed, 0 uncertain, 0 put off, 0 cancelled', '... what has been done is told at the end');
	$simulator->post('faults', { path => '/v1/FlexFlows/*', status => 503 });
	$watcher->value("SELECT flex_enqueue('flex_flow_fetch', '{\"sid\": \"FO00000000000000000000000000000bad\"}')");
	is(told(@{ $session->query('CALL flex_outbox_drain(1)')->{notices} }), 'drained: 0 succeeded, 0 failed, 0 uncertain, 1 put off, 0 cancelled', '... what is put off, too');
	$watcher->value('DELETE FROM flex_outbox_requests');
	$simulator->post('faults', { path => '/v2/WebChats', times => -1, delay_ms => $LONG_MS });
	$watcher->value("SELECT flex_enqueue('flex_flow_fetch', '{\"sid\": \"FO00000000000000000000000000000bad\"}'), flex_enqueue('flex_webchat_create', '$CHAT')");
	$session->send_query('CALL flex_outbox_drain()');
	is(told($session->next_notice), 'draining: 0 succeeded, 1 failed, 0 uncertain, 0 put off, 1 under way', '... and meanwhile');
	$watcher->value('SELECT pg_cancel_backend(' . $session->pid . ')');
	is($session->receive->{error}->{C}, '57014', '... it is cancelled');
	$simulator->clear_faults;
	ok(FlexApi::wait_until(sub { $watcher->value("SELECT count(*) FROM flex_outbox WHERE state = 'sending'") == 0 }), '... and has settled what it had');
	$watcher->value('DELETE FROM flex_outbox_requests');
}

$node->stop;
done_testing();
