# Answers that are nearly right, by thousands: plain, by TLS whose records are cut or spoilt
# anywhere, and in HTTP/2 frames.  After each case the process lives, the next call is well, and
# no value has been returned that was not sent for the request; in the end memory is what it was.
#
# FLEX_FUZZ_CASES: how many (20,000).  FLEX_FUZZ_SEED: which, a number or "random"; the same ones each
# time without it, so that what has passed passes again.  FLEX_FUZZ_FIRST: the first of them; the output
# says how to repeat one.  What a cut of TLS does depends on a connection's number, and so on the cases before.

use strict;
use warnings;

use FindBin;
use lib 'test/perl', "$FindBin::RealBin/../fuzz";
use FlexApi;
use FlexHttp2;
use File::Temp qw(tempdir);
use FuzzWire qw(seed_case marker markers_in good_answer bad_answer bad_frames pieces one_of);
use IO::Select;
use IO::Socket::SSL;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket qw(AF_UNIX IPPROTO_TCP PF_UNSPEC SOCK_STREAM TCP_NODELAY);
use Test::More;
use Time::HiRes qw(time);

my $CASES = $ENV{FLEX_FUZZ_CASES} // 20_000;
my $SEED = $ENV{FLEX_FUZZ_SEED} // 1;
$SEED = (time() * 1000) % 1_000_000 if $SEED eq 'random';
my $FIRST = $ENV{FLEX_FUZZ_FIRST} // 1;
my $TIMEOUT = 0.15 * FlexApi::slowness();
my $WARM_UP = int($CASES / 4);
note("seed $SEED, $CASES cases; FLEX_FUZZ_SEED=$SEED FLEX_FUZZ_FIRST=n FLEX_FUZZ_CASES=1 repeats case n");

my $directory = tempdir(CLEANUP => 1);
FlexApi::make_certificates($directory);
my %context = (TLS => FlexHttp2::context($directory, 'http/1.1'), cut => FlexHttp2::context($directory, 'http/1.1'), h2 => FlexHttp2::context($directory, 'h2'));

# What the servers are to answer now: "fuzz N" or "good N".
my $order = "$directory/order";

sub command
{
	my ($what, $case) = @_;

	open(my $file, '>', "$order.new") or die $!;
	print $file "$what $case";
	close $file;
	rename("$order.new", $order) or die $!;
	return;
}

sub ordered { return split / /, FlexApi::content($order); }

# Answers of HTTP/1 over a socket.  Where an answer may not end, the connection does, mostly.
sub serve
{
	my ($socket) = @_;

	while (FlexApi::Server::read_request($socket))
	{
		my ($what, $case) = ordered();

		if ($what eq 'good') { syswrite($socket, good_answer(marker($case))); next; }
		seed_case($SEED, $case);
		foreach my $piece (pieces(bad_answer($case))) { defined syswrite($socket, $piece) or return; }
		return if rand() < 0.95;
	}
	return;
}

sub secured { my ($connection, $context) = @_; return IO::Socket::SSL->start_SSL($connection, SSL_server => 1, SSL_reuse_ctx => $context); }

# The same by TLS, of which something is lost on the way: after so many bytes of the server's, and in each way.
sub serve_cut
{
	my ($connection, $server) = @_;

	socketpair(my $near, my $far, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die $!;
	my $pid = fork() // die;
	if ($pid == 0)
	{
		close $near;
		close $connection;
		my $secure = secured($far, $context{cut});
		serve($secure) if $secure;
		POSIX::_exit(0);
	}
	close $far;
	$server->note('connection');
	srand($SEED + scalar $server->notes);
	my ($left, $how) = (int rand 4000, one_of('cut', 'spoilt', 'whole'));
	my $select = IO::Select->new($connection, $near);
	for (;;)
	{
		foreach my $from ($select->can_read)
		{
			sysread($from, my $bytes, 65536) or return;
			if ($from == $near && $how ne 'whole' && $left >= 0)
			{
				my $at = $left;

				$left -= length $bytes;
				if ($left < 0 && $how eq 'cut') { syswrite($connection, substr($bytes, 0, $at)); return; }
				if ($left < 0)
				{
					# And then ends: of a length that is spoilt the rest would be waited for.
					substr($bytes, $at, 1) ^= chr(1 + int rand 255);
					syswrite($connection, $bytes);
					return;
				}
			}
			syswrite($from == $near ? $connection : $near, $bytes);
		}
	}
}

sub serve_frames
{
	my ($connection) = @_;
	my $peer = FlexHttp2->accept($connection, $context{h2}) or return;

	while (my $stream = $peer->next_request)
	{
		my ($what, $case) = ordered();

		if ($what eq 'good') { $peer->answer($stream, good_answer(marker($case)) =~ s/^.*\r\n\r\n//sr); next; }
		seed_case($SEED, $case);
		foreach my $piece (pieces(bad_frames($case, $stream))) { defined syswrite($peer->{socket}, $piece) or return; }
		return if rand() < 0.8;
	}
	return;
}

my %server = (
	plain => \&serve,
	TLS => sub { my $secure = secured($_[0], $context{TLS}) or return; serve($secure) },
	cut => \&serve_cut,
	h2 => \&serve_frames);
foreach my $kind (keys %server)
{
	my $serve = $server{$kind};

	# What is written in pieces must not wait for acknowledgments.
	$server{$kind} = FlexApi::Server->new(sub { setsockopt($_[0], IPPROTO_TCP, TCP_NODELAY, 1); return $serve->(@_); });
}

my $node = PostgreSQL::Test::Cluster->new('fuzz_wire');
$node->init;
$node->append_conf('postgresql.conf', <<"CONF");
flex_api.account_sid = '$FlexApi::ACCOUNT'
flex_api.auth_token = '$FlexApi::TOKEN'
flex_api.ca_file = '$directory/ca.pem'
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION flex_api');
my $session = FlexApi::Session->new($node);
my $pid = $session->pid;

# Settings of a kind of call: for cases a short time and no repeat, for others both.
sub prepare
{
	my ($kind, $ordinary) = @_;
	my $url = $server{$kind}->url;
	my ($timeout, $retries) = $ordinary ? ('20s', 5) : (int(1000 * $TIMEOUT) . 'ms', 0);

	$url =~ s/^http/https/ if $kind ne 'plain';
	$session->value("SET flex_api.base_url = '$url'; SET flex_api.timeout = '$timeout'; SET flex_api.max_retries = $retries");
	return;
}

my @CALLS = (
	"SELECT status, body FROM flex_request('GET', '/x')",
	"SELECT status, headers, body FROM flex_request('POST', '/x')",
	"SELECT c FROM flex_channel_fetch('CH" . '0' x 32 . "') c",
	"SELECT w FROM flex_webchat_create('IG" . '0' x 32 . "') w",
	'SELECT c FROM flex_channels_list(max_rows => 3) c');
my (%states, @wrong, @memory);

sub memory_now
{
	return (FlexApi::status_of($pid, 'RssAnon'), $session->value('SELECT sum(total_bytes) FROM pg_backend_memory_contexts') / 1024,
		FlexApi::open_files($pid), FlexApi::status_of($pid, 'Threads'));
}

# One case, and an ordinary call after it; false when the process is gone.
sub try_case
{
	my ($case) = @_;
	my $note = sub { push @wrong, "case $case: @_"; return 1; };

	seed_case($SEED, -$case);
	my ($kind, $call) = (one_of(('plain') x 7, 'TLS', 'cut', 'h2'), one_of(@CALLS));
	prepare($kind, 0);
	command('fuzz', $case);
	my $result = $session->query($call, 120);
	return !$note->("$kind, $call: the session ended") if $result->{closed};
	my $state = $result->{error} ? $result->{error}->{C} : '00000';
	$states{$state}++;
	$note->("$kind, $call: $state $result->{error}->{M} $result->{error}->{D}") if $state !~ /^(00000|08(000|001|006|007|P01)|22P0[25]|22003|22021|42P\d\d|TW\d\d\d)$/ || $state =~ /^42/;
	$note->("$kind, $call: $state as of a GET") if $state eq '08007' && $call !~ /POST|create/;
	$note->("$kind, $call: $state as of a POST") if $state eq '08006' && $call =~ /POST|create/;
	$note->(sprintf '%s, %s: %.1f s', $kind, $call, $result->{seconds}) if $result->{seconds} > $TIMEOUT + 3 * FlexApi::slowness();
	foreach my $value (map { @$_ } @{ $result->{rows} })
	{
		foreach my $found (markers_in($value // ''))
		{
			$note->("$kind, $call: $found was returned") if $found ne marker($case) && index(sent($kind, $case), $found) < 0;
		}
	}
	command('good', $case);
	prepare($kind, 1);
	$result = $session->query("SELECT body->>'sid' FROM flex_request('GET', '/x')", 120);
	return !$note->("$kind, the next call: the session ended") if $result->{closed};
	$note->("$kind, the next call: " . ($result->{error} ? "$result->{error}->{C} $result->{error}->{M}" : $result->{rows}->[0]->[0] // 'NULL'))
	  if $result->{error} || ($result->{rows}->[0]->[0] // '') ne marker($case);
	return 1;
}

# What was sent for a case: where its own answer is spoilt into an interim one, the other's behind it counts.
sub sent { my ($kind, $case) = @_; seed_case($SEED, $case); return $kind eq 'h2' ? bad_frames($case, 1) : bad_answer($case); }

my $start = time();
my $done = 0;
foreach my $case ($FIRST .. $FIRST + $CASES - 1)
{
	last unless try_case($case);
	@memory = (memory_now()) if ++$done == $WARM_UP;
	last if @wrong > 20;
}
note(sprintf '%d cases in %.1f s: %s', $done, time() - $start, join ', ', map { "$_ $states{$_}" } sort { $states{$b} <=> $states{$a} } keys %states);
is($done, $CASES, 'all cases were tried');
is_deeply(\@wrong, [], 'each gave rows or a clear error in time, and nothing of others; the next call was well');
if ($done == $CASES && $WARM_UP >= 100)
{
	my @after = memory_now();

	note(sprintf 'after %d and %d cases: RssAnon %d and %d kB, contexts %d and %d kB, files %d and %d, threads %d and %d', $WARM_UP, $done,
		map { ($memory[$_], $after[$_]) } 0 .. 3);
	cmp_ok($after[0] - $memory[0], '<', 8192, 'memory is what it was') unless $ENV{FLEX_SLOW_BUILD};
	cmp_ok($after[1] - $memory[1], '<', 1024, 'so are the memory contexts');
	cmp_ok($after[2] - $memory[2], '<=', 8, 'so are the open files');
	cmp_ok($after[3] - $memory[3], '<=', 1, 'so are the threads');
}
is($session->value('SELECT pg_backend_pid()'), $pid, 'the process lives');

$session->close;
$node->stop;
done_testing();
