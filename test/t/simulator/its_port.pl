# The simulator's port: one that is served already is refused, in words; one that
# was just left is not.  And --help.

use strict;
use warnings;

use FlexApi;
use IO::Socket::INET;
use Test::More;

# What a further simulator on a port says, and its exit status.
sub start_beside
{
	my ($port, @options) = @_;
	my $program = $ENV{FLEX_SIMULATOR};
	my $said = qx($program --port $port @options --until-stdin-closes </dev/null 2>&1);
	return ($? >> 8, $said);
}

# Ask it something; the connection is closed by the simulator, so that its end of it lingers on.
sub ask
{
	my ($port) = @_;
	my $connection = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 10) or return "$!";
	print $connection "GET /_simulator/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	local $/;
	return <$connection> =~ s/\r\n.*//sr;
}

# Whether a connection of a port lingers on, by the kernel's table (state 06 is TIME_WAIT).
sub lingers
{
	my ($port) = @_;
	my $hex = sprintf('%04X', $port);
	return FlexApi::content('/proc/net/tcp') =~ /^ *\d+: [0-9A-F]{8}:$hex \S+ 06 /m;
}

my $simulator = FlexApi::Simulator->new;
my $port = $simulator->port;

foreach my $options ([], [ '--threads', 2 ])
{
	my ($status, $said) = start_beside($port, @$options);
	is($status, 1, "another simulator on the port, @$options: ends at once");
	is($said, "flex_simulator: could not serve on port $port: Address already in use\n", '... and says why');
}
is(ask($port), 'HTTP/1.1 204 No Content', 'the first one serves on');

ok(FlexApi::wait_until(sub { lingers($port) }), 'one of its connections lingers on');
$simulator->stop;
my $again = FlexApi::Simulator->new('--port', $port);
is($again->port, $port, 'a simulator on the port that was just left');
is(ask($port), 'HTTP/1.1 204 No Content', '... serves');

my ($status, $said) = start_beside($port, '--help');
is("$status $said" =~ s/\n.*//sr, '0 usage: flex_simulator [OPTION ...]', '--help: the usage, and no error');
done_testing();
