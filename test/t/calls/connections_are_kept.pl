# Connections are kept and noticed when dead; a POST goes out once only; what may
# be repeated is, as often, as soon and as late as it should.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use IO::Select;
use IO::Socket::INET;
use POSIX qw(strftime);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket qw(PF_INET SOCK_STREAM SOL_SOCKET SO_LINGER sockaddr_in inet_aton);
use Test::More;
use Time::HiRes qw(sleep time);

my $ADDRESS = 'IG' . 'a' x 32;
my $POST = "SELECT conversation_sid FROM flex_webchat_create('$ADDRESS')";
my $GET = 'SELECT sid FROM flex_channels_list(max_rows => 1)';
my $SLACK = 0.3 * FlexApi::slowness();

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('connections', $simulator);
my $session = FlexApi::Session->new($node);

# The simulator as new, with these faults and nothing recorded.
sub prepare
{
	my (@faults) = @_;

	$simulator->clear_faults;
	$simulator->post('faults', $_) foreach @faults;
	$simulator->clear_requests;
	return;
}

# Run a query; are its SQLSTATE, and the number of requests that it made, as they should be, if that is given?
sub check
{
	my ($sql, $state, $requests, $name) = @_;
	my $result = $session->query($sql);

	is($result->{error} ? $result->{error}->{C} : '00000', $state, $name) || note($result->{error}->{M} // '') if defined $state;
	is(scalar $simulator->requests, $requests, "$name: requests") if defined $requests;
	return $result;
}

# A setting for the time of a function.
sub with
{
	my ($settings, $do) = @_;

	$session->value("SET flex_api.$_ = '$settings->{$_}'") foreach keys %$settings;
	$do->();
	$session->value("RESET flex_api.$_") foreach keys %$settings;
	return;
}

# Kept across statements and transactions, and across errors of the service.
$simulator->post('reset');
$session->value($GET) for 1 .. 5;
$session->value('BEGIN');
$session->value($POST) for 1 .. 5;
$session->value('COMMIT');
is($session->sqlstate("SELECT flex_channel_delete('CH" . '9' x 32 . "')"), 'TW404', 'a refusal');
$session->value($GET);
my $counters = $simulator->get('counters');
is($counters->{requests}, 12, 'twelve requests');
is($counters->{connections}, 1, 'on one connection');

# 429: not carried out, so anything is sent again, after the time asked for.
prepare({ method => 'POST', status => 429, retry_after => '1' });
my $result = check($POST, '00000', 2, 'a POST that was refused with 429 is sent again');
cmp_ok($result->{seconds}, '>=', 1, 'not before Retry-After');
cmp_ok($result->{seconds}, '<', 1 + $SLACK, 'and soon after');

prepare({ method => 'POST', status => 429, retry_after => strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime(time() + 2)) });
$result = check($POST, '00000', 2, 'Retry-After as a date');
cmp_ok($result->{seconds}, '>=', 0.9, 'is waited for');
cmp_ok($result->{seconds}, '<', 2.1 + $SLACK, 'and no longer');

with({ timeout => '30s' }, sub {
	prepare({ status => 429, retry_after => '60', times => -1 });
	my $refused = check($POST, 'TW429', 1, 'a Retry-After beyond the timeout');
	cmp_ok($refused->{seconds}, '<', $SLACK, 'is not waited for');
});

# 5xx: for what is idempotent alone.
prepare({ status => 503 });
check($GET, '00000', 2, 'a GET that got 503 is sent again');
prepare({ status => 503 });
check($POST, 'TW503', 1, 'a POST that got 503 is not');
prepare({ status => 503, retry_after => '0' });
check($POST, 'TW503', 1, 'nor with Retry-After');

foreach my $retries (0 .. 4)
{
	with({ max_retries => $retries }, sub {
		prepare({ status => 500, times => -1 });
		check($GET, 'TW500', $retries + 1, "max_retries $retries");
	});
}

# The wait is random within bounds: a share of 100 ms, then of 200 ms.
my @waits;
with({ max_retries => 2 }, sub {
	foreach (1 .. 12)
	{
		prepare({ status => 500, times => 2 });
		push @waits, $session->query($GET)->{seconds};
	}
});
note('two waits before repeats: ' . join(' ', map { sprintf '%.0f', 1000 * $_ } @waits) . ' ms');
is(scalar(grep { $_ > 0.3 + $SLACK } @waits), 0, 'waits are bounded');
my ($least, $most) = (sort { $a <=> $b } @waits)[ 0, -1 ];
cmp_ok($most - $least, '>', 0.02, 'and differ');

# A DELETE whose answer is lost is sent again, and finds its work done.
$simulator->post('reset');
$simulator->post('seed', { channels => 3 });
my @sids = map { $_->[0] } @{ $session->query('SELECT sid FROM flex_channels_list()')->{rows} };
prepare({ method => 'DELETE', cut_at => 0, after => JSON::PP::true });
check("SELECT flex_channel_delete('$sids[0]')", '00000', 2, 'a DELETE whose answer was lost');
is($session->value('SELECT count(*) FROM flex_channels_list()'), @sids - 1, 'has deleted one');
prepare({ method => 'DELETE', status => 503, after => JSON::PP::true });
check("SELECT flex_channel_delete('$sids[1]')", '00000', 2, 'so has one that got 503 after it was carried out');
prepare();
check("SELECT flex_channel_delete('$sids[1]')", 'TW404', 1, 'a DELETE of what is gone is an error all the same');
prepare({ method => 'DELETE', status => 429 });
check("SELECT flex_channel_delete('$sids[1]')", 'TW404', 2, 'also when it was only asked to wait');
prepare(map { { method => 'DELETE', status => $_, shape => 'html' } } 502, 404);
check("SELECT flex_channel_delete('$sids[2]')", 'TW404', 2, 'a 404 that is not the service\'s does not say that a DELETE was carried out');

# An answer that is lost: never a second POST.
prepare({ method => 'POST', cut_at => 0, after => JSON::PP::true });
$result = check($POST, '08007', 1, 'a POST whose answer is lost');
like($result->{error}->{D}, qr/may or may not have carried it out/, 'says so');
prepare({ method => 'GET', cut_at => 0, times => 2 });
check($GET, '00000', 3, 'a GET whose answer is lost is sent again');

# flex_api.timeout bounds it all.
sub check_bounded
{
	my ($sql, $state, $name) = @_;
	my $bounded = check($sql, $state, undef, $name);

	cmp_ok($bounded->{seconds}, '<', 0.4 + $SLACK, "$name: within the time");
	return $bounded;
}

with({ timeout => '400ms', max_retries => 20 }, sub {
	prepare({ delay_ms => 5000, times => -1 });
	check_bounded($GET, '08006', 'timeout: a slow answer to a GET');
	check_bounded($POST, '08007', 'timeout: a slow answer to a POST');
	prepare({ stall_after => 10, times => -1 });
	check_bounded($GET, '08006', 'timeout: a body that stops');
	prepare({ drip => { bytes => 1, interval_ms => 20 }, times => -1 });
	check_bounded($GET, '08006', 'timeout: a body that drips');
	prepare({ status => 503, times => -1 });
	# The time may be over while a repeat is under way, but not each time.
	my @ended;
	do { push @ended, check_bounded($GET, undef, 'timeout: repeats')->{error}->{C} // '00000' } until $ended[-1] ne '08006' || @ended == 10;
	is($ended[-1], 'TW503', 'timeout: repeats');
	prepare({ cut_at => 0, times => -1 });
	check_bounded($GET, '08006', 'timeout: connections that break');
});
prepare();
check($GET, '00000', 1, 'the next call is well');

# A server that breaks what it keeps, in the way that the path names.
sub serve
{
	my ($connection, $server) = @_;
	my $count = 0;

	$server->note('connection');
	while (my $request = FlexApi::Server::read_request($connection))
	{
		my ($what) = $request->{path} =~ m{^/(\w+)};
		$server->note("$request->{method} $what");
		$count++;
		if ($what eq 'close' && $count > 1) { return; }
		if ($what eq 'reset' && $count > 1)
		{
			setsockopt($connection, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
			return;
		}
		print $connection FlexApi::Server::answer('{}');
		if ($what eq 'idle')
		{
			close $connection;
			$server->note('closed');
			return;
		}
		# Closes upon the request's first byte, without reading it.
		if ($what eq 'unread')
		{
			IO::Select->new($connection)->can_read(30);
			$server->note('unread');
			return;
		}
	}
	return;
}

my $server = FlexApi::Server->new(\&serve);
$session->value("SET flex_api.base_url = '" . $server->url . "'");

# Ask for a path in a way; the SQLSTATE.
sub ask { my ($method, $path) = @_; return $session->sqlstate("SELECT status FROM flex_request('$method', '$path')"); }

foreach my $way ('close', 'reset')
{
	$server->clear_notes;
	is(ask('POST', '/good'), '00000', "$way: a connection is made");
	is(ask('POST', "/$way"), '08007', "$way: a kept connection that breaks under a POST is an error");
	is(scalar $server->notes(qr/^POST $way/), 1, "$way: the POST was sent once");
	is(ask('GET', '/good'), '00000', "$way: the next call");
	is(ask('GET', "/$way"), '00000', "$way: a GET is sent again");
	is(scalar $server->notes(qr/^GET $way/), 2, "$way: it was sent twice");
}

$server->clear_notes;
foreach my $round (1 .. 5)
{
	is(ask('POST', '/idle'), '00000', 'a connection that was closed while idle is noticed') or last;
	FlexApi::wait_until(sub { $server->notes(qr/^closed/) == $round });
}
is(scalar $server->notes(qr/^POST/), 5, 'each POST was sent once');

$server->clear_notes;
is(ask('POST', '/unread'), '00000', 'a connection that will break');
like(ask('POST', '/unread'), qr/^08007$/, 'broken upon the first byte of a POST: unknown');
is(scalar $server->notes(qr/^POST/), 1, 'which is not sent again');

# A list goes on after an answer of its middle was lost.
$session->value('RESET flex_api.base_url');
$simulator->post('reset');
$simulator->post('seed', { channels => 50 });
prepare({ path => '/v1/Channels', skip => 2, cut_at => 300 });
check('SELECT count(*) FROM flex_channels_list(page_size => 10)', '00000', 6, 'a list whose third page is lost once');
prepare({ path => '/v1/Channels', skip => 2, cut_at => 300, times => -1 });
with({ max_retries => 1 }, sub {
	check('SELECT count(*) FROM flex_channels_list(page_size => 10)', '08006', 4, 'a list whose third page never comes');
});

# Nobody to connect to, and one who does not take the connection.
my $closed = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die $!;
my $port = $closed->sockport;
close $closed;
$session->value("SET flex_api.base_url = 'http://127.0.0.1:$port'");
is(ask('POST', '/good'), '08001', 'nobody listens');

my $full = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die $!;
my @held;
for (1 .. 20)
{
	socket(my $socket, PF_INET, SOCK_STREAM, 0) or die $!;
	$socket->blocking(0);
	connect($socket, sockaddr_in($full->sockport, inet_aton('127.0.0.1')));
	push @held, $socket;
	last unless IO::Select->new($socket)->can_write(0.2);
}
$session->value("SET flex_api.base_url = 'http://127.0.0.1:" . $full->sockport . "'");
with({ connect_timeout => '200ms', max_retries => 0 }, sub {
	is(ask('POST', '/good'), '08001', 'connect_timeout: never sent') for 1 .. 3;
	my $late = $session->query("SELECT status FROM flex_request('GET', '/good')");
	cmp_ok($late->{seconds}, '>', 0.15, 'connect_timeout: waited');
	cmp_ok($late->{seconds}, '<', 0.2 + $SLACK, 'connect_timeout: not longer');
});
$session->value('RESET flex_api.base_url');
prepare();
check($POST, '00000', 1, 'and the next call is well');

$session->close;
$node->stop;
done_testing();
