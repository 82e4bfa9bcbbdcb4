# What the TLS library reads ahead of libcurl, no socket tells of.  Behaviour: however the bytes of
# an answer's records arrive, many records at once, or one in pieces, calls, lists, scans side by
# side, flex_call_many and the outbox have all of it, none waits for what has come already, and
# the connection is kept.
use strict;
use warnings;

use Cwd qw(realpath);
use FlexApi;
use IO::Select;
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Test::More;

my $ROWS = 2500;
# Bytes that are handed on at once, in turns; then the relay waits for a moment, so that they arrive by themselves.
my @WAYS = (
	[ 'all at once, when all is there', 'all' ],
	[ 'pieces as long as a record and a little', 16_500, 3, 40_000, 5 ],
	[ 'the head of a record by itself', 5, 9_000, 1, 4, 33_000 ]);

my $directory = realpath(PostgreSQL::Test::Utils::tempdir);
FlexApi::make_certificates($directory);
my $simulator = FlexApi::Simulator->new('--tls-cert', "$directory/server.pem", '--tls-key', "$directory/server.key");
my $way;

# Hand on what comes from a client as it comes, what comes from the simulator in pieces.
sub relay
{
	my ($client, $relay) = @_;
	my $server = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $simulator->port) or die "connect: $!";
	my $select = IO::Select->new($client, $server);
	my (undef, @pieces) = @$way;

	$relay->note('connection');
	setsockopt($client, Socket::IPPROTO_TCP(), Socket::TCP_NODELAY(), 1) or die "TCP_NODELAY: $!";
	for (;;)
	{
		foreach my $ready ($select->can_read)
		{
			sysread($ready, my $bytes, 1 << 20) or return;
			if ($ready == $client)
			{
				print $server $bytes;
				next;
			}
			# As much as comes within a moment.
			while ($pieces[0] eq 'all' && IO::Select->new($server)->can_read(0.02))
			{
				sysread($server, $bytes, 1 << 20, length $bytes) or last;
			}
			while (length $bytes)
			{
				my $length = $pieces[0] eq 'all' ? length $bytes : $pieces[0];

				print $client substr($bytes, 0, $length, '');
				push @pieces, shift @pieces;
				select(undef, undef, undef, 0.001);
			}
		}
	}
}

$simulator->post('seed', { channels => $ROWS });
my $node = FlexApi::node('pieces', $simulator, "flex_api.ca_file = '$directory/ca.pem'", 'flex_api.max_retries = 0',
	"flex_api.timeout = '" . 3 * FlexApi::slowness() . "s'", "flex_api.rate_limits = 'none'");
my $sid = $node->safe_psql('postgres', 'SELECT min(sid) FROM flex_channels_list()');

foreach my $one (@WAYS)
{
	$way = $one;
	my $relay = FlexApi::Server->new(\&relay);
	my $url = $relay->url =~ s/^http:/https:/r;
	my $session = FlexApi::Session->new($node);

	$session->value($_) foreach "SET flex_api.base_url = '$url'", 'DROP EXTENSION IF EXISTS flex_api CASCADE', 'CREATE EXTENSION flex_api';
	is($session->value("SELECT count(c.sid) FROM generate_series(1, 20) g, LATERAL flex_channel_fetch(CASE WHEN g > 0 THEN '$sid' END) c"), 20,
		"$way->[0]: calls");
	is($session->value("SELECT count(*) FROM flex_channels_list(page_size => $_)"), $ROWS, "$way->[0]: a list in pages of $_") foreach 50, 1000;
	is(scalar $relay->notes(qr/connection/), 1, '... on one connection');
	is($session->value("SELECT count(*) FROM flex_call_many('flex_channel_fetch', " .
			  "(SELECT array_agg(jsonb_build_object('sid', '$sid')) FROM generate_series(1, 50)), 4) WHERE sqlstate IS NULL"), 50,
		"$way->[0]: many at once");
	is($session->value("SELECT flex_channel_fetch('$sid') IS NOT NULL"), 't', '... and a call on one of their connections');
	$session->value($_) foreach
		map({ ("CREATE SERVER s$_ FOREIGN DATA WRAPPER flex_api OPTIONS (account_sid '$FlexApi::ACCOUNT', base_url '$url', page_size '700')",
			"CREATE USER MAPPING FOR PUBLIC SERVER s$_ OPTIONS (auth_token '$FlexApi::TOKEN')",
			"CREATE FOREIGN TABLE c$_ (sid text) SERVER s$_ OPTIONS (resource 'channels')") } 1, 2);
	is($session->value('SELECT count(*) FROM (SELECT sid FROM c1 UNION ALL SELECT sid FROM c2) AS u'), 2 * $ROWS, "$way->[0]: scans side by side");
	$session->value("SELECT count(flex_enqueue('flex_channel_fetch', jsonb_build_object('sid', '$sid'))) FROM generate_series(1, 20)");
	$session->value('CALL flex_outbox_drain()');
	is($session->value("SELECT count(*) FROM flex_outbox WHERE state = 'succeeded'"), 20, "$way->[0]: the outbox");
	$session->close;
}
done_testing();
