# What test/bench counts, and its chart.  Behaviour: the table has a column for this version, and
# what it says of it is not more than may be; the chart is the one that the table gives.
#
# A stale chart is mended by `test/bench/chart >test/bench/figures.svg`.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../../bench";
use Figures;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = "$FindBin::RealBin/../../..";
my ($version) = slurp_file("$root/flex_api.control") =~ /^default_version = '(.*)'$/m;
my ($figures, $versions) = Figures::all();

cmp_ok(scalar @$figures, '>', 10, 'there are figures');
is($versions->[-1], $version, 'the last column is for this version');
is(join("\n", map { $_->{figure} } grep { $_->{$version} eq '-' || $_->{$version} > $_->{'at most'} } @$figures), '',
	'each figure was counted, and is not more than may be');
is(scalar qx($^X '$root/test/bench/chart'), slurp_file("$root/test/bench/figures.svg"), 'the chart is not stale');
done_testing();
