# An answer that nobody asked for is nobody's answer: not on a kept connection, not on a
# new one, not by TLS; and it costs the request that finds it neither a repeat nor a wait.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use File::Temp qw(tempdir);
use IO::Socket::SSL;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket qw(IPPROTO_TCP);
use Test::More;

my $OTHER = FlexApi::Server::answer('{"n":666,"conversation_sid":"CH' . '6' x 32 . '"}');

my $directory = tempdir(CLEANUP => 1);
FlexApi::make_certificates($directory);
# Made before the servers fork, so that all their processes know each other's tickets.
my $context = IO::Socket::SSL::SSL_Context->new(
	SSL_server => 1,
	SSL_cert_file => "$directory/server.pem",
	SSL_key_file => "$directory/server.key",
	SSL_session_id_context => 'flex') or die $IO::Socket::SSL::SSL_ERROR;

sub secured
{
	my ($connection) = @_;

	return IO::Socket::SSL->start_SSL($connection, SSL_server => 1, SSL_reuse_ctx => $context) || die $IO::Socket::SSL::SSL_ERROR;
}

# Own answers, and around them what the path names.
sub serve
{
	my ($connection, $server) = @_;

	while (my $request = FlexApi::Server::read_request($connection))
	{
		my ($what, $number) = $request->{path} =~ m{^/(\w+)/(\d+)} or return;
		my $own = FlexApi::Server::answer("{\"n\":$number}");

		$server->note("$request->{method} $number");
		# The body and the other answer in one TLS record, the headers in another.
		if ($what eq 'split')
		{
			my ($head, $body) = $own =~ /^(.*\r\n\r\n)(.*)$/s;
			syswrite($connection, $head);
			select(undef, undef, undef, 0.05);
			syswrite($connection, "$body$OTHER");
			$server->note("other $number");
			next;
		}
		syswrite($connection, $what eq 'double' ? "$own$OTHER" : $own);
		if ($what eq 'ended')
		{
			close $connection;
			return $server->note("ended $number");
		}
		next unless $what eq 'late';
		syswrite($connection, $OTHER);
		$server->note("other $number");
	}
	return;
}

sub serve_plain { my ($connection, $server) = @_; $server->note('connection'); return serve($connection, $server); }

sub serve_secure
{
	my ($connection, $server) = @_;
	my $secure = secured($connection);

	$server->note('connection ' . ($secure->get_session_reused ? 'resumed' : 'new'));
	return serve($secure, $server);
}

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('unasked', $simulator, "flex_api.timeout = '5s'", 'flex_api.max_retries = 0',
	"flex_api.ca_file = '$directory/ca.pem'");
my $asked = 0;

# The answer's number, or the SQLSTATE.
sub ask
{
	my ($session, $method, $what) = @_;

	$asked++;
	my $result = $session->query("SELECT body->>'n' FROM flex_request('$method', '/$what/$asked')", 20);
	return $result->{error} ? $result->{error}->{C} : $result->{rows}->[0]->[0];
}

my %servers = (
	plain => FlexApi::Server->new(\&serve_plain),
	TLS => FlexApi::Server->new(\&serve_secure));

foreach my $way (sort keys %servers)
{
	my $server = $servers{$way};
	my $session = FlexApi::Session->new($node);

	$session->value("SET flex_api.base_url = '" . ($way eq 'TLS' ? $server->url =~ s/^http/https/r : $server->url) . "'");
	foreach my $method ('GET', 'POST')
	{
		is(ask($session, $method, 'good'), $asked, "$way, $method: a connection");
		foreach my $what ('late', 'double', 'ended', $way eq 'TLS' ? 'split' : ())
		{
			foreach my $next ('GET', 'POST')
			{
				$server->clear_notes;
				is(ask($session, $method, $what), $asked, "$way, $method $what: its own answer");
				my ($sign) = $what eq 'late' || $what eq 'split' ? qr/^other $asked/ : $what eq 'ended' ? qr/^ended $asked/ : qr/ $asked/;
				ok(FlexApi::wait_until(sub { $server->notes($sign) }), "$way, $method $what: the server has done it");
				is(ask($session, $next, 'good'), $asked, "$way, $next after $method $what: its own answer");
				is(scalar $server->notes(qr/^$next $asked/), 1, "$way, $next after $method $what: sent once");
				is(scalar $server->notes(qr/^connection/), 1, "$way, $next after $method $what: on a new connection");
				is(ask($session, $next, 'good'), $asked, "$way, $next after $method $what: and the one after that");
				is(scalar $server->notes(qr/^connection/), 1, "$way, $next after $method $what: on the same");
			}
		}
	}
	my @connections = $server->notes(qr/^connection/);
	is_deeply([ grep { /new/ } @connections ], [], "$way: sessions are resumed") if $way eq 'TLS';
	$session->close;
}

# A server that answers before it has the request: its answer comes with the end of the handshake, and so
# before its host can have acknowledged the request (unless this process is so slow that the host does that
# by itself, after 40 ms).
my ($TCP_CORK, $TCP_QUICKACK) = (3, 12);
my $eager_context = IO::Socket::SSL::SSL_Context->new(
	SSL_server => 1,
	SSL_cert_file => "$directory/server.pem",
	SSL_key_file => "$directory/server.key",
	SSL_session_cache_size => -1,
	SSL_version => 'TLSv1_2') or die $IO::Socket::SSL::SSL_ERROR;
my $eager = FlexApi::Server->new(sub {
	my ($connection, $server) = @_;

	setsockopt($connection, IPPROTO_TCP, $TCP_CORK, 1);
	my $secure = IO::Socket::SSL->start_SSL($connection, SSL_server => 1, SSL_reuse_ctx => $eager_context) or return;
	syswrite($secure, $OTHER);
	setsockopt($connection, IPPROTO_TCP, $TCP_QUICKACK, 0);
	setsockopt($connection, IPPROTO_TCP, $TCP_CORK, 0);
	$server->note('answered');
	# Until the client has gone.
	sysread($connection, my $bytes, 65536);
	sysread($connection, $bytes, 65536);
});
my $session = FlexApi::Session->new($node);
$session->value("SET flex_api.base_url = '" . $eager->url =~ s/^http/https/r . "'");
foreach my $method ('GET', 'POST')
{
	my $rounds = 10;
	my %seen;

	$seen{ ask($session, $method, 'good') }++ for 1 .. $rounds;
	note("a server that answers before it has the request, $method: " . join ', ', map { "$_ $seen{$_}" } sort keys %seen);
	is_deeply([ grep { !/^(666|0800[67])$/ } keys %seen ], [], "$method: an answer before the request is as good as lost");
	cmp_ok($seen{666} // 0, '<', $rounds, "$method: it is seen");
}

# The outbox's requests are settled with their own answers.
sub serve_chats
{
	my ($connection, $server) = @_;

	while (my $request = FlexApi::Server::read_request($connection))
	{
		my ($identity) = $request->{body} =~ /(?:^|&)Identity=(\d+)/;

		$server->note("identity $identity");
		syswrite($connection, FlexApi::Server::answer(sprintf '{"conversation_sid":"CH%032d"}', $identity));
		syswrite($connection, $OTHER);
	}
	return;
}

my $chats = FlexApi::Server->new(\&serve_chats);
$session->value("SET flex_api.base_url = '" . $chats->url . "'; SET flex_api.concurrency = 3");
$session->value(<<"SQL");
SELECT count(flex_enqueue('flex_webchat_create',
	jsonb_build_object('address_sid', 'IG' || repeat('a', 32), 'identity', i::text))) FROM generate_series(1, 60) i
SQL
$session->value('CALL flex_outbox_drain()', 60);
is($session->value(<<'SQL'), 60, 'the outbox: each request has its own answer');
SELECT count(*) FROM flex_outbox
WHERE state = 'succeeded' AND response->>'conversation_sid' = 'CH' || lpad(arguments->>'identity', 32, '0')
SQL
is_deeply($session->query('SELECT state, count(*) FROM flex_outbox GROUP BY state')->{rows}, [ [ 'succeeded', 60 ] ],
	'... and none is uncertain');
is(scalar $chats->notes(qr/^identity/), 60, '... and none was sent twice');
$session->close;

$node->stop;
done_testing();
