# HTTP/2: for what may be repeated alone, and whatever a server does with its frames, a lost
# answer is one, in time; and the request that comes next is well.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use FlexHttp2;
use File::Temp qw(tempdir);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $BODY = '{"n":1}';
my $TIMEOUT = 2;

my $directory = tempdir(CLEANUP => 1);
FlexApi::make_certificates($directory);
my $context = FlexHttp2::context($directory);

# Read until the client has gone.
sub linger { my ($peer) = @_; while ($peer->next_frame) { } return; }

# Send frames of these bytes until the client has gone.
sub flood { my ($peer, $bytes) = @_; while (defined syswrite($peer->{socket}, $bytes)) { } return; }

# Name, SQLSTATE of a GET that always gets that, and what is done with a request's stream.
# Where it returns a true value the connection goes on, else it is closed.
my @FAULTS = (
	[ 'a body shorter than its length', '08006', sub { my ($p, $s) = @_; $p->send_headers($s, 100); $p->send('DATA', 1, $s, $BODY) } ],
	[ 'a body longer than its length', '08006', sub { my ($p, $s) = @_; $p->send_headers($s, 2); $p->send('DATA', 1, $s, $BODY) } ],
	[ 'a body that ends with the headers', '08006', sub { my ($p, $s) = @_; $p->send_headers($s, 7, 1) } ],
	[ 'RST_STREAM', '08006', sub { my ($p, $s) = @_; $p->reset($s, 'INTERNAL_ERROR') } ],
	[ 'RST_STREAM that refuses', '08006', sub { my ($p, $s) = @_; $p->reset($s, 'REFUSED_STREAM') } ],
	[ 'RST_STREAM without an error', '08006', sub { my ($p, $s) = @_; $p->reset($s, 'NO_ERROR') } ],
	[ 'RST_STREAM after the headers', '08006', sub { my ($p, $s) = @_; $p->send_headers($s, 7); $p->reset($s, 'INTERNAL_ERROR') } ],
	[ 'RST_STREAM after the headers, without an error', '08006', sub { my ($p, $s) = @_; $p->send_headers($s, 7); $p->reset($s, 'NO_ERROR') } ],
	[ 'RST_STREAM in the body', '08006', sub { my ($p, $s) = @_; $p->send_headers($s, 7); $p->send('DATA', 0, $s, '{"n'); $p->reset($s, 'CANCEL') } ],
	[ 'RST_STREAM in a body without a length', '08006', sub { my ($p, $s) = @_; $p->send_headers($s); $p->send('DATA', 0, $s, '{"n":12}'); $p->reset($s, 'CANCEL') } ],
	# As with HTTP/1.1 where the connection's end is the answer's.
	[ 'RST_STREAM in a body without a length, without an error', '08P01', sub { my ($p, $s) = @_; $p->send_headers($s); $p->send('DATA', 0, $s, '{"n":12'); $p->reset($s, 'NO_ERROR') } ],
	[ 'RST_STREAM that wants HTTP/1.1', '08006', sub { my ($p, $s) = @_; $p->reset($s, 'HTTP_1_1_REQUIRED') } ],
	[ 'the end of the connection', '08006', sub { return 0 } ],
	[ 'the end of the connection after the headers', '08006', sub { my ($p, $s) = @_; $p->send_headers($s, 7); return 0 } ],
	[ 'the end of the connection in the body', '08006', sub { my ($p, $s) = @_; $p->send_headers($s, 7); $p->send('DATA', 0, $s, '{"n'); return 0 } ],
	[ 'the end of the connection in a body without a length', '08006', sub { my ($p, $s) = @_; $p->send_headers($s); $p->send('DATA', 0, $s, '{"n":12}'); return 0 } ],
	[ 'GOAWAY that covers the request, and its answer', '00000', sub { my ($p, $s) = @_; $p->goaway($s); $p->answer($s, $BODY) } ],
	[ 'GOAWAY that covers the request, and the end', '08006', sub { my ($p, $s) = @_; $p->goaway($s); return 0 } ],
	[ 'GOAWAY that does not cover the request, and the end', '08006', sub { my ($p, $s) = @_; $p->goaway(0); return 0 } ],
	[ 'GOAWAY that does not cover the request, and nothing', '08006', sub { my ($p, $s) = @_; $p->goaway(0) } ],
	[ 'GOAWAY with an error', '08006', sub { my ($p, $s) = @_; $p->goaway($s, 'INTERNAL_ERROR'); return 0 } ],
	[ 'nothing', '08006', sub { return 1 } ],
	[ 'headers, and nothing', '08006', sub { my ($p, $s) = @_; $p->send_headers($s, 7) } ],
	[ 'a flood of empty DATA', '08006', sub { my ($p, $s) = @_; $p->send_headers($s); flood($p, FlexHttp2::frame('DATA', 0, $s, '') x 1000) } ],
	[ 'a flood of PING', '08006', sub { my ($p, $s) = @_; flood($p, FlexHttp2::frame('PING', 0, 0, 'x' x 8) x 1000) } ],
	[ 'a flood of SETTINGS', '08006', sub { my ($p, $s) = @_; flood($p, FlexHttp2::frame('SETTINGS', 0, 0, '') x 1000) } ],
	[ 'a flood of WINDOW_UPDATE', '08006', sub { my ($p, $s) = @_; flood($p, FlexHttp2::frame('WINDOW_UPDATE', 0, $s, pack 'N', 1) x 1000) } ],
	[ 'a flood of unknown frames', '08006', sub { my ($p, $s) = @_; flood($p, FlexHttp2::frame(99, 0, $s, 'x') x 1000) } ],
	[ 'a flood of informational headers', '08006', sub { my ($p, $s) = @_; flood($p, FlexHttp2::frame('HEADERS', 4, $s, FlexHttp2::headers([ ':status', '103' ])) x 100) } ],
	[ 'headers without an end', '08006', sub { my ($p, $s) = @_; $p->send('HEADERS', 0, $s, FlexHttp2::headers([ ':status', '200' ]));
		flood($p, FlexHttp2::frame('CONTINUATION', 0, $s, FlexHttp2::headers([ 'x', 'y' ])) x 1000) } ],
	[ 'headers without a status', '08006', sub { my ($p, $s) = @_; $p->send('HEADERS', 4, $s, FlexHttp2::headers([ 'x', 'y' ])); $p->send('DATA', 1, $s, $BODY) } ],
	[ 'two lengths', '08006', sub { my ($p, $s) = @_; $p->send('HEADERS', 4, $s, FlexHttp2::headers([ ':status', '200' ], [ 'content-length', 7 ], [ 'content-length', 8 ])); $p->send('DATA', 1, $s, $BODY) } ],
	# The frames say where such a header ends: a library that leaves it out has the right answer.
	[ 'a line feed in a header', '08006 or 1', sub { my ($p, $s) = @_; $p->send('HEADERS', 4, $s, FlexHttp2::headers([ ':status', '200' ], [ 'x', "a\r\nb: c" ])); $p->send('DATA', 1, $s, $BODY) } ],
	[ 'headers that cannot be unpacked', '08006', sub { my ($p, $s) = @_; $p->send('HEADERS', 4, $s, "\xff\xff\xff\xff\xff\xff\xff") } ],
	[ 'an answer to another stream', '08006', sub { my ($p, $s) = @_; $p->answer($s + 2, '{"n":666}') } ],
	[ 'a promise', '08006', sub { my ($p, $s) = @_; $p->send('PUSH_PROMISE', 4, $s, pack('N', 2) . FlexHttp2::headers([ ':path', '/' ])); $p->answer(2, '{"n":666}') } ],
	[ 'bytes that are no frames', '08006', sub { my ($p, $s) = @_; syswrite($p->{socket}, 'HTTP/1.1 200 OK' . "\r\n\r\n" . $BODY x 10) } ],
	[ 'informational headers and trailers', '00000', sub { my ($p, $s) = @_; $p->send('HEADERS', 4, $s, FlexHttp2::headers([ ':status', '103' ])); $p->send_headers($s);
		$p->send('DATA', 0, $s, $BODY); $p->send('HEADERS', 5, $s, FlexHttp2::headers([ 'x', 'y' ])) } ],
	[ 'an answer in small pieces, and PINGs', '00000', sub { my ($p, $s) = @_; $p->send_headers($s, 7);
		foreach my $c (split //, $BODY) { $p->send('DATA', 0, $s, $c); $p->send('PING', 0, 0, 'x' x 8) } $p->send('DATA', 1, $s, '') } ]);

my $node = PostgreSQL::Test::Cluster->new('http2');
$node->init;
$node->append_conf('postgresql.conf', <<"CONF");
flex_api.account_sid = '$FlexApi::ACCOUNT'
flex_api.auth_token = '$FlexApi::TOKEN'
flex_api.ca_file = '$directory/ca.pem'
flex_api.timeout = '${TIMEOUT}s'
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION flex_api');
my $session = FlexApi::Session->new($node);
my $pid = $session->pid;

# A server; what it does with a stream is decided by a function, of the stream and how many came before.
sub server_of
{
	my ($do, %settings) = @_;

	return FlexApi::Server->new(sub {
		my ($connection, $server) = @_;
		my $peer = FlexHttp2->accept($connection, $context, %settings);

		if (!$peer)
		{
			return unless $connection->can('alpn_selected') && ($connection->alpn_selected // '') eq 'http/1.1';
			while (my $request = FlexApi::Server::read_request($connection))
			{
				$server->note("1.1 $request->{method}");
				syswrite($connection, FlexApi::Server::answer('{"n":11}'));
			}
			return;
		}
		while (my $stream = $peer->next_request)
		{
			my $before = $server->notes(qr/^2/);
			$server->note("2 $stream");
			$do->($peer, $stream, $before) or return;
		}
	});
}

sub talk_to { my ($server) = @_; $session->value("SET flex_api.base_url = '" . $server->url =~ s/^http/https/r . "'"); return; }

# The answer's number, or the SQLSTATE; and whether it came in time.
sub ask
{
	my ($method) = @_;
	my $result = $session->query("SELECT body->>'n' FROM flex_request('$method', '/x')", 60);
	my $in_time = $result->{seconds} < ($TIMEOUT + 2) * FlexApi::slowness();

	note("$result->{error}->{C} $result->{error}->{M} " . sprintf('(%.2f s)', $result->{seconds})) if $result->{error};
	return ($result->{error} ? $result->{error}->{C} : $result->{closed} ? 'closed' : $result->{rows}->[0]->[0], $in_time);
}

foreach my $fault (@FAULTS)
{
	my ($name, $state, $do) = @$fault;
	my $always = server_of($do);

	$session->value('SET flex_api.max_retries = 0');
	talk_to($always);
	my ($seen, $in_time) = ask('GET');
	my @good = $state eq '00000' ? (1) : split(/ or /, $state);
	ok((grep { $seen eq $_ } @good), "$name: what a GET comes to") or diag "$seen, not $state";
	ok($in_time, "$name: in time");
	is((ask('POST'))[0], 11, "$name: a POST goes by HTTP/1.1");
	$always->stop;

	# A repeat, where there is time for one, finds a good answer.
	next unless $seen eq '08006';
	$session->value('SET flex_api.max_retries = 3');
	my $once = server_of(sub { my ($peer, $stream, $before) = @_; return $before ? $peer->answer($stream, '{"n":2}') : $do->($peer, $stream) });
	talk_to($once);
	($seen, $in_time) = ask('GET');
	ok($seen eq '2' || $seen eq '08006', "$name: the next try: $seen");
	ok($in_time, "$name: the next try in time");
	is((ask('GET'))[0], 2, "$name: the next request");
	$once->stop;
}

# A flood does not hold up an interrupt.
my $flood = server_of(sub { my ($p, $s) = @_; flood($p, FlexHttp2::frame('PING', 0, 0, 'x' x 8) x 1000) });
talk_to($flood);
$session->value("SET flex_api.timeout = '60s'; SET flex_api.max_retries = 20; SET statement_timeout = '1s'");
my $cancelled = $session->query("SELECT * FROM flex_request('GET', '/x')");
is($cancelled->{error}->{C}, '57014', 'a flood of PING: statement_timeout');
cmp_ok($cancelled->{seconds}, '<', 3 * FlexApi::slowness(), '... soon');
$session->value("RESET flex_api.timeout; RESET statement_timeout");
$flood->stop;

# A server that takes no request, and one that takes one at a time.
$session->value('SET flex_api.max_retries = 0');
my $none = server_of(sub { my ($p, $s) = @_; $p->answer($s, $BODY) }, $FlexHttp2::MAX_CONCURRENT_STREAMS => 0);
talk_to($none);
my ($seen, $in_time) = ask('GET');
like($seen, qr/^(08001|08006|1)$/, "SETTINGS_MAX_CONCURRENT_STREAMS 0: $seen");
ok($in_time, '... in time');
($seen, $in_time) = ask('GET');
like($seen, qr/^(08001|08006|1)$/, "... and again: $seen");
ok($in_time, '... in time');
$none->stop;

my $one = server_of(sub { my ($p, $s) = @_; $p->answer($s, '{"sid":"CH1"}') }, $FlexHttp2::MAX_CONCURRENT_STREAMS => 1);
talk_to($one);
$session->value("SELECT flex_enqueue('flex_channel_fetch', jsonb_build_object('sid', 'CH' || lpad(i::text, 32, '0'))) FROM generate_series(1, 40) i");
$session->value('CALL flex_outbox_drain()', 60);
is_deeply($session->query('SELECT state, count(*) FROM flex_outbox GROUP BY state')->{rows}, [ [ 'succeeded', 40 ] ],
	'SETTINGS_MAX_CONCURRENT_STREAMS 1: all requests of an outbox are answered');
is($session->value('SELECT pg_backend_pid()'), $pid, 'the process lives');

$session->close;
$node->stop;
done_testing();
