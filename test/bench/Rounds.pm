# Rounds: contestants measured in turns, and the table of what came out.
#
# A machine is never as fast twice: so contestants alternate, A B A B, and each
# is compared with the baseline of its own round.
package Rounds;

use strict;
use warnings;

use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my $FEWEST = 3;    # rounds
my $PATIENCE = 16; # seconds that rounds may take

sub median
{
	my @sorted = sort { $a <=> $b } @_;

	return @sorted % 2 ? $sorted[ @sorted / 2 ] : ($sorted[ @sorted / 2 - 1 ] + $sorted[ @sorted / 2 ]) / 2;
}

# Measure contestants, [name, sub that returns [wall, cpu] in microseconds, ...],
# in so many rounds, or in fewer, but three, where others keep the machine busy;
# costs are divided by per.
sub measure
{
	my ($rounds, $per, @contestants) = @_;
	my $started = clock_gettime(CLOCK_MONOTONIC);
	my %costs;

	for my $round (1 .. $rounds)
	{
		last if $round > $FEWEST && clock_gettime(CLOCK_MONOTONIC) - $started > $PATIENCE * ($round - 1) / $round;
		for my $contestant (@contestants)
		{
			my $cost = $contestant->[1]->();
			push @{ $costs{ $contestant->[0] } }, [ map { $_ / $per } @$cost ];
		}
	}
	return \%costs;
}

# How many rounds there were.
sub count
{
	my ($costs) = @_;

	return scalar @{ (values %$costs)[0] };
}

# "1.23 (1.20-1.31)": the ratio in each round, its median and its range.
sub ratio
{
	my ($ours, $baseline, $column) = @_;
	my @ratios = sort { $a <=> $b } map { $ours->[$_][$column] / $baseline->[$_][$column] } 0 .. $#$ours;

	return (median(@ratios), sprintf('%.2f (%.2f-%.2f)', median(@ratios), $ratios[0], $ratios[-1]));
}

sub heading
{
	my ($title, $unit) = @_;

	printf "\n%s\n%-38s %10s %10s   %-18s %-18s %s\n", $title, '', "wall $unit", "CPU $unit", 'wall ratio', 'CPU ratio', 'goal';
}

# A line of the table.  goal has what is wanted at most: wall and cpu as ratios,
# wall_is and cpu_is in the table's unit.  Returns how many are missed.
sub line
{
	my ($costs, $name, $baseline, %goal) = @_;
	my ($wall, $cpu) = map { my $column = $_; median(map { $_->[$column] } @{ $costs->{$name} }) } 0, 1;
	my %is = (wall_is => $wall, cpu_is => $cpu);
	my %shown = (wall => '', cpu => '');

	if (defined $baseline)
	{
		($is{wall}, $shown{wall}) = ratio($costs->{$name}, $costs->{$baseline}, 0);
		($is{cpu}, $shown{cpu}) = ratio($costs->{$name}, $costs->{$baseline}, 1);
	}
	my @missed = grep { $is{$_} > $goal{$_} } sort keys %goal;
	my $verdict = join(', ', map { "$_ <= $goal{$_}" . ($is{$_} > $goal{$_} ? ' MISSED' : ' ok') } reverse sort keys %goal);
	printf "%-38s %10.1f %10.1f   %-18s %-18s %s\n", $name, $wall, $cpu, $shown{wall}, $shown{cpu}, $verdict;
	return scalar @missed;
}

1;
