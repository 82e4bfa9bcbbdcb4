# A service that has an IPv6 address alone.  Behaviour: it is called, by address and by name, and
# what the outbox has goes there as well.
use strict;
use warnings;

use FlexApi;
use IO::Socket::IP;
use PostgreSQL::Test::Cluster;
use Test::More;

plan skip_all => 'there is no IPv6 here' unless IO::Socket::IP->new(Listen => 1, LocalHost => '::1', LocalPort => 0);
my $server = FlexApi::Server->new(sub {
	my ($connection, $self) = @_;

	while (my $request = FlexApi::Server::read_request($connection))
	{
		my $body = '{"sid": "CH00000000000000000000000000000001", "conversation_sid": "CH00000000000000000000000000000001"}';
		$self->note($connection->peerhost);
		print $connection "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
	}
}, '::1');
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('ipv6', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.base_url = '" . $server->url . "'");
my $session = FlexApi::Session->new($node);
my $fetch = "SELECT sid FROM flex_channel_fetch('CH00000000000000000000000000000001')";

is($session->value($fetch), 'CH00000000000000000000000000000001', 'a call to ' . $server->url);
my $id = $session->value(q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}')});
is($session->value("SELECT state FROM flex_outbox_await($id)"), 'succeeded', 'a request in the outbox');

# By a name: where localhost has both addresses, only one of them answers.
SKIP:
{
	my $has_name = grep { $_ eq '::1' } map { (split)[0] } qx(getent ahosts localhost);
	skip 'localhost has no IPv6 address here', 1 unless $has_name;
	$session->value("SET flex_api.base_url = 'http://localhost:" . $server->port . "'");
	is($session->value($fetch), 'CH00000000000000000000000000000001', 'a call by name');
}
is_deeply([ grep { $_ ne '::1' } $server->notes ], [], 'all came by IPv6');

$node->stop;
done_testing();
