# Random queries over foreign tables give the rows that they give over local copies of them.
# FLEX_SEED repeats a run; test/long/random_queries.pl runs more.
use strict;
use warnings;

use lib 'test/perl';
use FlexQueries;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

FlexQueries::compare(300, $ENV{FLEX_SEED} // (time() * 1000) % 1_000_000);
done_testing();
