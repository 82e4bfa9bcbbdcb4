# The token buckets of shared/rates: there is one for each account and operation (the outbox
# itself has one per operation), and more accounts than there is room for take the place of those that were used least recently.  Nothing
# in SQL names a bucket, hence a library for this test, of the extension's objects.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $library = FlexApi::module('rates');

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('rates', $simulator);
my $session = FlexApi::Session->new($node);

$session->value("CREATE FUNCTION $_ LANGUAGE C STRICT AS '$library'") foreach
	'rates_take(account bigint, operation int, rate float8, wanted int) RETURNS int',
	'rates_give_back(account bigint, operation int, count int) RETURNS void';

# So slow that no token comes while this runs: a bucket has one.
sub take { my ($account, $operation) = @_; return $session->value("SELECT rates_take($account, $operation, 0.001, 5)"); }

is(take(1, 7), 1, 'a new bucket is full');
is(take(1, 7), 0, '... and then empty');
is(take(2, 7), 1, 'another account has its own');
is(take(1, 8), 1, '... and so has another operation');
$session->value('SELECT rates_give_back(1, 7, 1)');
is(take(1, 7), 1, 'what is given back can be taken');
is($session->value('SELECT sum(rates_take(account, 9, 0.001, 5)) FROM generate_series(100, 20099) AS account'), 20000,
	'20,000 accounts: each finds a bucket');
is($session->value('SELECT sum(rates_take(account, 9, 0.001, 5)) FROM generate_series(20090, 20099) AS account'), 0,
	'... and those that came last have kept theirs');

$node->stop;
done_testing();
