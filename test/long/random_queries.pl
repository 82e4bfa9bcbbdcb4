# Two thousand random queries over foreign tables, each compared with the same over local
# copies.  FLEX_SEED makes others, FLEX_QUERIES says how many there are.
use strict;
use warnings;

use lib 'test/perl';
use FlexQueries;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

FlexQueries::compare($ENV{FLEX_QUERIES} // 2_000, $ENV{FLEX_SEED} // 20_261_129);
done_testing();
