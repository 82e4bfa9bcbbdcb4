# Figures: what is counted, how much there may be of it, what is aimed at, and what there was in
# each version.  All of that stands in figures.tsv.
package Figures;

use strict;
use warnings;

use File::Basename qw(dirname);

my $file = dirname(__FILE__) . '/figures.tsv';

# The rows of the file as hashes by column, in their order; the names of the versions.
sub all
{
	my @lines;
	my @figures;

	open(my $handle, '<', $file) or die "$file: $!";
	@lines = map { chomp; [ split /\t/, $_ ] } grep { !/^#/ } <$handle>;
	my @columns = @{ shift @lines };
	for my $line (@lines)
	{
		my %figure;

		@$line == @columns or die "$file: not as many columns as the head has: @$line\n";
		@figure{@columns} = @$line;
		push @figures, \%figure;
	}
	return (\@figures, [ @columns[ 5 .. $#columns ] ]);
}

sub heading { printf "%-42s %-25s %8s %8s %9s %8s %8s\n", '', '', 'now', 'libcurl', 'at most', 'goal', $_[0]; return; }

# Print a figure beside those that it is measured by: raw is that of a program of libcurl alone, undef where there is none.
# True when it is not too high.
sub line
{
	my ($figure, $released, $is, $raw, $what) = @_;
	my $text = sub { return defined $_[0] ? sprintf($_[0] >= 100 ? '%.0f' : $_[0] >= 1 ? '%.1f' : '%.2f', $_[0]) : '-'; };
	my $is_good = $text->($is) <= $figure->{'at most'};

	printf "%-42s %-25s %8s %8s %9s %8s %8s  %s%s\n", @$figure{qw(title unit)}, $text->($is), $text->($raw), $figure->{'at most'},
	  $figure->{goal}, $figure->{$released}, $is_good ? '' : 'TOO HIGH  ', $what // '';
	return $is_good;
}

1;
