# Baseline: the raw programs, and that they ask as ours does.
package Baseline;

use strict;
use warnings;

use File::Basename qw(dirname);

my $here = dirname(__FILE__);

# Run a raw program; returns its cost, [wall, cpu] in microseconds.
sub raw
{
	my ($servers, $program, @arguments) = @_;
	my $output = $servers->command($servers->placed('client'), "$here/$program", @arguments);

	return [ $output =~ /^(\d+) (\d+)$/m ];
}

# The headers of the last request, as options of a raw program.  Those that
# libcurl makes by itself from the same options are left to it.
sub headers_of_last
{
	my ($servers, $simulator) = @_;
	my $headers = $servers->control($simulator, 'GET', 'requests')->{requests}[-1]{headers};

	return map { $_ =~ /^(host|accept-encoding|content-length)$/ ? () : ('-H', "$_: $headers->{$_}") } sort keys %$headers;
}

# The headers with which ours asked last, once it is seen that a raw program which
# is given them asks with the very same.
sub same_headers
{
	my ($servers, $simulator, $program, $url, @options) = @_;
	my @ours = headers_of_last($servers, $simulator);

	raw($servers, $program, @ours, @options, $url, 1);
	my @theirs = headers_of_last($servers, $simulator);
	"@ours" eq "@theirs" or die "the raw program's headers are others:\n@ours\n@theirs\n";
	return @ours;
}

# Requests and connections that a simulator has seen since the last reset of its counters.
sub counted
{
	my ($servers, $simulator) = @_;
	my $counters = $servers->control($simulator, 'GET', 'counters');

	return ($counters->{requests}, $counters->{connections});
}

1;
