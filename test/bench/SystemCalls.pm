# SystemCalls: how many system calls something takes, as strace counts them.
#
# What is counted is done a few times, and many times; the difference is what so many
# more have taken, without what comes once.
package SystemCalls;

use strict;
use warnings;

use POSIX ();

my $PATIENCE = 1000;    # hundredths of a second, for strace to be there

sub _wait_for
{
	my ($what, $is_there) = @_;

	for (1 .. $PATIENCE)
	{
		return if $is_there->();
		select(undef, undef, undef, 0.01);
	}
	die "$what\n";
}

# What a file of strace's has, by name.
sub _read
{
	my ($file) = @_;
	my %counts;

	open(my $trace, '<', $file) or die "$file: $!";
	while (my $line = <$trace>)
	{
		$counts{$1}++ if $line =~ /^\d+\s+(\w+)\(/;
	}
	unlink $file;
	return \%counts;
}

# The system calls of a process while something is done.
sub of_process
{
	my ($servers, $pid, $do) = @_;
	my $file = "$servers->{directory}/trace";
	my $tracer = fork() // die "fork: $!";

	if ($tracer == 0)
	{
		exec(qw(strace -qq -f -e signal=none -o), $file, '-p', $pid);
		warn "strace: $!\n";
		POSIX::_exit(1);
	}
	_wait_for("strace could not be attached to process $pid", sub {
		open(my $status, '<', "/proc/$pid/status") or die "status: $!";
		return join('', <$status>) =~ /^TracerPid:\s+[1-9]/m;
	});
	$do->();
	kill 'INT', $tracer;
	waitpid $tracer, 0;
	return _read($file);
}

# Those of a program from its beginning to its end.
sub of_program
{
	my ($servers, @command) = @_;
	my $file = "$servers->{directory}/trace";

	$servers->command(qw(strace -qq -f -e signal=none -o), $file, @command);
	return _read($file);
}

# How many each of so many more takes, given what few and what many have taken: the sum, and a text that names the most frequent.
sub per_each
{
	my ($counts, $more) = @_;
	my ($few, $many) = @$counts;
	my %each = map { $_ => (($many->{$_} // 0) - ($few->{$_} // 0)) / $more } keys %$few, keys %$many;
	my $sum = 0;

	$sum += $_ foreach values %each;
	my @named = sort { $each{$b} <=> $each{$a} || $a cmp $b } grep { $each{$_} >= 0.05 } keys %each;
	return ($sum, join(', ', map { sprintf '%s %.1f', $_, $each{$_} } @named));
}

1;
