# The tables in test/facts are what the published documents say: derived anew,
# they come out the same.  The documents are looked for in $FLEX_OPENAPI, then
# beside the source; where they are absent there is nothing to compare with.

use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use Test::More;

my $facts = "$FindBin::RealBin/../../facts";
my ($documents) = grep { defined && glob "$_/*.json" } $ENV{FLEX_OPENAPI}, "$FindBin::RealBin/../../../../shared/flex-openapi";
plan skip_all => 'the published documents are not here' unless $documents;

sub lines
{
	my ($file) = @_;
	open(my $handle, '<:raw', $file) or die "$file: $!";
	return [<$handle>];
}

my $output = tempdir(CLEANUP => 1);
is(system($^X, "$facts/derive.pl", '--output', $output, $documents), 0, 'derive.pl reads the documents');
foreach my $table (qw(operations parameters members))
{
	my ($derived, $kept) = map { lines("$_/$table.tsv") } $output, $facts;
	cmp_ok(scalar @$kept, '>', 50, "$table.tsv has lines");
	is_deeply($kept, $derived, "$table.tsv is what the documents say");
}

done_testing;
