# A large answer is read in memory that its bytes and its jsonb account for, and
# a cancel, a timeout or the end of the session acts while it is read.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use IO::Select;
use List::Util qw(max min);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

sub many { my ($bytes, $text) = @_; return '[' . ($text x ($bytes / length $text)) =~ s/,$//r . ']'; }

my %BODIES = (
	'numbers' => sub { many($_[0], '1,') },
	'long numbers' => sub { many($_[0], '1.' . '9' x 16_000 . ',') },
	'small objects' => sub { many($_[0], '{"a":1},') },
	'ordinary objects' => sub { many($_[0], '{"sid":"CH0123456789abcdef0123456789abcdef","date_created":"2016-08-01T22:10:40Z","members":3,"attributes":{"tags":["a","b"]},"url":null},') },
	'short strings' => sub { many($_[0], '"a",') },
	'escapes' => sub { '["' . '\u00e9' x ($_[0] / 6) . '"]' },
	'escaped names' => sub { '{' . join(',', ('"\u0061\u0062":1') x ($_[0] / 17)) . '}' },
	'names' => sub { '{' . join(',', map { '"' . ($_ * 7919 % 1_000_003) . "\":$_" } 1 .. $_[0] / 17) . '}' },
	'arrays in each other' => sub { '[' x 100 . many($_[0], '[1],') . ']' x 100 },
	'objects in each other' => sub { '{"a":' x 100 . many($_[0], '{},') . '}' x 100 });
my @NAMES = sort keys %BODIES;
my $LARGE = $ENV{FLEX_SLOW_BUILD} ? 4_000_000 : 16_000_000;

# Sends the body of a number and a size to /NUMBER/BYTES, escaped names as a channel, and the numbers to whatever else is asked for.
my $server = FlexApi::Server->new(sub {
	my ($connection, $server) = @_;
	my $request = FlexApi::Server::read_request($connection) or return;
	my ($number, $bytes) = $request->{path} =~ m{^/(\d+)/(\d+)};
	my $name = defined $number ? $NAMES[$number] : $request->{path} =~ /Channels/ ? 'escaped names' : 'numbers';
	my $body = $BODIES{$name}->($bytes // $LARGE);

	print $connection "HTTP/1.1 200 OK\r\nContent-Length: " . length($body) . "\r\nConnection: close\r\n\r\n";
	print $connection $body;
	$server->note('sent');
});
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('large', $simulator, 'flex_api.max_retries = 0', "flex_api.max_response_size = '20MB'",
	"flex_api.base_url = '" . $server->url . "'", "flex_api.timeout = '120s'");
my $control = FlexApi::Session->new($node);

# How much a session's memory grows at its peak by a query, in kB; and what that returns.
sub growth
{
	my ($session, $statement) = @_;
	my $resident = FlexApi::status_of($session->pid, 'VmRSS');

	open(my $clear, '>', '/proc/' . $session->pid . '/clear_refs') or die "clear_refs: $!";
	print $clear "5\n";
	close $clear;
	my $result = $session->query($statement);
	is($result->{error}->{D}, undef, "$statement ends") or return;
	return (FlexApi::status_of($session->pid, 'VmHWM') - $resident, $result->{rows}->[0]->[0]);
}

# Memory: for 4 MB, in sessions that have called before.  The sanitizers' memory is their own.
my $BYTES = 4_000_000;
my $times = 3.5 * ($ENV{FLEX_SLOW_BUILD} ? 10 : 1);
foreach my $number (0 .. $#NAMES)
{
	my $session = FlexApi::Session->new($node);
	$session->value("SELECT FROM flex_request('GET', '/$number/1000')");
	my ($grown, $size) = growth($session, "SELECT pg_column_size(body) FROM flex_request('GET', '/$number/$BYTES')") or next;

	cmp_ok($grown, '<', $times * ($BYTES + $size) / 1024, "$NAMES[$number]: $grown kB at the peak for jsonb of $size bytes");
	$session->close;
}
my $reader = FlexApi::Session->new($node);
$reader->value("SELECT FROM flex_request('GET', '/0/1000')");
my ($grown) = growth($reader, "SELECT c.sid FROM flex_channel_fetch('CH00000000000000000000000000000000') AS c");
cmp_ok($grown, '<', $times * $LARGE / 1024, "names that no column has: $grown kB at the peak");

# Ask for an answer; returns when the server has sent all of it.
sub ask
{
	my ($session, $statement) = @_;

	$server->clear_notes;
	$session->send_query($statement);
	FlexApi::wait_until(sub { scalar $server->notes('sent') }, 120) or die 'the server sent nothing';
	return;
}

# What a statement takes once all has been sent, in seconds of the session's CPU and of the clock;
# and in all, by the clock.
sub reading_time
{
	my ($session, $statement) = @_;

	ask($session, $statement);
	my ($sent, $used) = (time(), FlexApi::cpu_seconds($session->pid));
	my $result = $session->receive;
	is($result->{error}->{D}, undef, "$statement ends") or return;
	return (FlexApi::cpu_seconds($session->pid) - $used, time() - $sent, $result->{seconds});
}

# Ends a statement in the middle of its reading, when a quarter of the CPU that this takes has been
# used, unless it is through before: how it has ended, and the seconds until then, of CPU (undef: the session has ended) and of the clock.
sub ended_by
{
	my ($session, $statement, $reading, $interrupt) = @_;
	my $pid = $session->pid;

	ask($session, $statement);
	my $used = FlexApi::cpu_seconds($pid);
	FlexApi::wait_until(sub { FlexApi::cpu_seconds($pid) - $used >= $reading / 4 || $control->value("SELECT state FROM pg_stat_activity WHERE pid = $pid") ne 'active' })
	  or die 'nothing is read';
	my ($begin, $used_before) = (time(), FlexApi::cpu_seconds($pid));
	$control->value("SELECT $interrupt($pid)");
	my $result = $session->receive;
	return ($result->{error} ? $result->{error}->{C} : $result->{closed} ? 'closed' : 'ended',
		$interrupt =~ /cancel/ ? FlexApi::cpu_seconds($pid) - $used_before : undef, time() - $begin);
}

# The least of three tries: others may be at work here.
my $session = FlexApi::Session->new($node);
foreach my $number (0 .. $#NAMES)
{
	my $statement = "SELECT FROM flex_request('GET', '/$number/$LARGE')";
	my ($reading) = reading_time($session, $statement) or next;
	my (@seconds, %ends);

	for (1 .. 3)
	{
		my ($end, $seconds) = ended_by($session, $statement, $reading, 'pg_cancel_backend');
		push @seconds, $seconds if $end eq '57014';
		$ends{$end}++;
	}
	ok($ends{57014}, "$NAMES[$number]: cancelled") or diag explain \%ends;
	cmp_ok(min(@seconds, 1000), '<', max($reading / 4, 0.02), sprintf('... after %.3f s of CPU, where reading takes %.3f s', min(@seconds, 1000), $reading));
}

# statement_timeout, in the middle of the reading; a machine that others use less now than before is through by then
my ($number) = grep { $NAMES[$_] eq 'numbers' } 0 .. $#NAMES;
my $statement = "SELECT FROM flex_request('GET', '/$number/$LARGE')";
my ($cpu, $reading, $all) = reading_time($session, $statement);
my @over;
for (1 .. 10)
{
	my $timeout = $all - $reading / 2;

	$session->value('SET statement_timeout = ' . int($timeout * 1000));
	my $result = $session->query($statement);
	push @over, $result->{seconds} - $timeout if $result->{error} && $result->{error}->{C} eq '57014';
	$session->value('RESET statement_timeout');
	last if @over == 3;
	($cpu, $reading, $all) = reading_time($session, $statement) unless @over;
}
cmp_ok(min(@over, 1000), '<', $reading / 4, sprintf('statement_timeout acts %.3f s late, where reading takes %.3f s', min(@over, 1000), $reading));

# The outbox, which reads an answer when it settles, and not once more when it has to end.  The
# least of three tries, as above.
foreach my $interrupt ('pg_cancel_backend', 'pg_terminate_backend')
{
	my (@seconds, %ends);

	for (1 .. 3)
	{
		my $drainer = FlexApi::Session->new($node);

		$control->value("SELECT flex_enqueue('flex_webchat_create', '{\"address_sid\": \"IG00000000000000000000000000000001\"}')");
		my ($end, undef, $seconds) = ended_by($drainer, 'CALL flex_outbox_drain()', $cpu, $interrupt);
		push @seconds, $seconds if $end ne 'ended';
		$ends{$end}++;
	}
	ok($interrupt =~ /cancel/ ? $ends{57014} : $ends{'57P01'} || $ends{closed}, "$interrupt while an answer is settled") or diag explain \%ends;
	cmp_ok(min(@seconds, 1000), '<', $reading / 4, sprintf('... acts after %.3f s, where reading takes %.3f s', min(@seconds, 1000), $reading));
}
$session->value('CALL flex_outbox_drain()');
is($session->value("SELECT string_agg(DISTINCT state, ', ') FROM flex_outbox"), 'uncertain', '... and each request has an end');

$node->stop('fast');
done_testing;
