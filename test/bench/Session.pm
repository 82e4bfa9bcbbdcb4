# Session: one backend, driven through psql, and what it costs.
package Session;

use strict;
use warnings;

use IO::Handle;
use IPC::Open2;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

# A session in a database, postgres where none is named; anywhere: on any CPU.
sub new
{
	my ($class, $servers, $database, $anywhere) = @_;
	my $self = bless { owner => $$ }, $class;

	$self->{psql} = open2(my $out, my $in, "$servers->{bin}/psql", qw(-X -q -A -t -v ON_ERROR_STOP=1 -U postgres -h),
		$servers->{directory}, $database // 'postgres');
	$in->autoflush(1);
	@$self{ 'in', 'out' } = ($in, $out);
	$self->{backend} = $self->query('SELECT pg_backend_pid()');
	$servers->command('taskset', '-cp', $servers->{client_cpu}, $self->{backend})
	  if defined $servers->{client_cpu} && !$anywhere;
	return $self;
}

# Run statements; returns what they print.
sub query
{
	my ($self, $statements) = @_;

	$self->send($statements);
	return $self->receive;
}

# Have statements run, and do not wait.
sub send
{
	my ($self, $statements) = @_;

	$self->{statements} = $statements;
	print { $self->{in} } "$statements;\n\\echo ---\n";
}

# Wait for the end of what send() has sent; returns what it printed.
sub receive
{
	my ($self) = @_;
	my $answer = '';

	while (my $line = readline($self->{out}))
	{
		if ($line eq "---\n")
		{
			chomp $answer;
			return $answer;
		}
		$answer .= $line;
	}
	die "psql has gone; its statement was: $self->{statements}\n";
}

# CPU that the backend has used, in seconds: Linux makes the clock of a process
# from its number, which reads finer than the hundredths in /proc.
sub cpu
{
	my ($self) = @_;

	return clock_gettime((-$self->{backend} - 1) * 8 + 2);
}

# Run statements; returns their cost in microseconds, of wall clock and of the
# backend's CPU.
sub cost
{
	my ($self, $statements) = @_;
	my ($wall, $cpu) = (clock_gettime(CLOCK_MONOTONIC), $self->cpu);

	$self->query($statements);
	return [ (clock_gettime(CLOCK_MONOTONIC) - $wall) * 1e6, ($self->cpu - $cpu) * 1e6 ];
}

# Page faults of the backend for which nothing had to be read, as /proc/PID/stat has them.
sub faults
{
	my ($self) = @_;

	open(my $stat, '<', "/proc/$self->{backend}/stat") or die "stat: $!";
	return (split ' ', <$stat> =~ s/.*\)//r)[7];
}

# A figure of /proc/PID/status, in kB.
sub status
{
	my ($self, $name) = @_;

	open(my $status, '<', "/proc/$self->{backend}/status") or die "status: $!";
	my ($kilobytes) = join('', <$status>) =~ /^$name:\s+(\d+) kB/m or die "no $name";
	return $kilobytes;
}

# Let the peak of memory (VmHWM) begin anew from what is used now.
sub reset_peak
{
	my ($self) = @_;

	open(my $clear, '>', "/proc/$self->{backend}/clear_refs") or die "clear_refs: $!";
	print $clear "5\n";
	close($clear) or die "clear_refs: $!";
}

sub DESTROY
{
	my ($self) = @_;

	local $?;
	return unless $self->{owner} == $$;
	close($self->{in});
	waitpid $self->{psql}, 0;
}

1;
