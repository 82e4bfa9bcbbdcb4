# The table of the statistics, apart from requests: quantiles come from a histogram and are at
# most 5 % wrong, from a microsecond to a day; the table is of a fixed size, and a role that
# makes more entries than fit displaces its own, and no other's.  Nothing in SQL reaches as far,
# hence a library for this test, of the extension's objects.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $library = FlexApi::module('statistics');
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('statistics', $simulator);
my $session = FlexApi::Session->new($node);

$session->value("CREATE FUNCTION $_ LANGUAGE C STRICT AS '$library'") foreach
	'statistics_quantile(us bigint[], quantile float8) RETURNS float8',
	'statistics_count(role oid, operation text) RETURNS void',
	'statistics_entries(role oid) RETURNS bigint';

# The largest error of the quantiles, against those of all values, for values between two limits.
sub worst_error
{
	my ($least, $most, $distribution) = @_;
	return $session->value(<<"SQL");
		WITH v AS (SELECT array_agg(($distribution)::bigint) AS us FROM
			(SELECT ${least}::float8 AS least, ${most}::float8 AS most, n / 10000.0 AS x FROM generate_series(0, 10000) AS n) AS s)
		SELECT max(abs(statistics_quantile(us, q) / (SELECT percentile_disc(q) WITHIN GROUP (ORDER BY e) FROM unnest(us) AS e) - 1))
		FROM v, unnest(ARRAY[0.01, 0.5, 0.9, 0.95, 0.99, 1]) AS q
SQL
}

# Microseconds, or hours.
foreach my $case ([ 1, 100 ], [ 100, 20_000 ], [ 1_000, 1_000_000 ], [ 1_000_000, 86_400_000_000 ])
{
	my ($least, $most) = @$case;
	cmp_ok(worst_error($least, $most, 'least + (most - least) * x'), '<=', 0.05, "$least to $most us, evenly: at most 5 % wrong");
	cmp_ok(worst_error($least, $most, 'least * (most / least) ^ x'), '<=', 0.05, '... and by powers');
	cmp_ok(worst_error($most, $most, 'least'), '<=', 0.05, '... and all the same');
}
is($session->value("SELECT statistics_quantile('{}', 0.5)"), 0, 'of nothing: 0');
cmp_ok(abs($session->value("SELECT statistics_quantile('{0}', 0.5)") - 1), '<=', 0.05, 'nothing is shorter than a microsecond');

# Roles 1 to 9 come first; role 10 makes ten times as many entries as there are.
is($session->value("SELECT count(statistics_count(role::oid, 'o' || n)) FROM generate_series(1, 9) AS role, generate_series(1, 5) AS n"), 45, 'roles count');
$session->value("SELECT count(statistics_count(10, 'o' || n)) FROM generate_series(1, 10000) AS n");
is($session->value('SELECT sum(statistics_entries(role::oid)) FROM generate_series(1, 9) AS role'), 45, 'another, with many more, displaces none of theirs');
my $its = $session->value('SELECT statistics_entries(10)');
cmp_ok($its, '>', 10, "... and keeps $its of its own");
$session->value("SELECT statistics_count(10, 'last'), statistics_count(11, 'first')");
is($session->value('SELECT statistics_entries(11)'), 1, 'a new role finds room');

$node->stop;
done_testing();
