# The pace of shared/pace, which finds a limit that nobody tells, in a time of its own: how much
# of the limit it uses, how many requests are refused meanwhile, how fast it follows when the
# limit changes, how senders that know nothing of each other share it, and how it probes.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $library = FlexApi::module('pace');
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('pace', $simulator, 'fsync = off');
my $session = FlexApi::Session->new($node);

$session->value("CREATE FUNCTION $_ LANGUAGE C STRICT AS '$library'") foreach
	'pace_run(limits float8[], senders int, latency_ms int) RETURNS TABLE (second int, sender int, passed int, refused int)',
	'pace_probes(count int) RETURNS SETOF float8';

# A limit that is one after the other, each for so many seconds, as an array in SQL.
sub limits
{
	my @parts;
	while (my ($limit, $seconds) = splice @_, 0, 2) { push @parts, "array_fill($limit\::float8, ARRAY[$seconds])"; }
	return join ' || ', @parts;
}

sub run { my ($what, $rest, @arguments) = @_; return $session->value("SELECT $what FROM pace_run(" . join(', ', @arguments) . ") $rest"); }

# One sender, at one limit
foreach my $limit (2, 5, 50, 500)
{
	foreach my $latency (2, 50)
	{
		next if $limit == 500 && $latency == 50; # twenty at once cannot use it
		my $limits = limits($limit => 60);
		my $name = "$limit per second, answered in $latency ms";
		my $share = run('sum(passed)', 'WHERE second >= 5', $limits, 1, $latency) / $limit / 55;
		my $refused = run('sum(refused)::float8 / sum(passed)', '', $limits, 1, $latency);
		cmp_ok($share, '>=', $limit < 10 ? 0.65 : 0.91, sprintf "$name: it uses %.2f of it", $share);
		cmp_ok($share, '<=', 1.001, '... and no more');
		cmp_ok($refused, '<=', $limit < 10 ? 0.65 : 0.1, sprintf '... %.3f of its requests are refused', $refused);
	}
}

# A limit that falls and rises
my $moving = limits(20 => 20, 2 => 30, 20 => 30);
cmp_ok(run('sum(refused)', 'WHERE second BETWEEN 20 AND 29', $moving, 1, 5), '<=', 25, '20, then 2 per second: few are refused');
cmp_ok(run('sum(passed)', 'WHERE second BETWEEN 30 AND 49', $moving, 1, 5), '>=', 0.65 * 40, '... it uses those');
cmp_ok(run('sum(passed)', 'WHERE second BETWEEN 55 AND 64', $moving, 1, 5), '>=', 0.9 * 200, '... then 20 again: it has found them after 5 seconds');
my $outage = limits(50 => 20, 0 => 20, 50 => 30);
cmp_ok(run('sum(refused)', 'WHERE second BETWEEN 20 AND 39', $outage, 1, 5), '<=', 20, 'nothing gets through for 20 seconds: few try');
cmp_ok(run('sum(passed)', 'WHERE second BETWEEN 50 AND 59', $outage, 1, 5), '>=', 0.9 * 500, '... all of it is used 10 seconds after that');

# Four senders that know nothing of each other
my $shared = limits(50 => 60);
my $least = $session->value("SELECT min(passed)::float8 / max(passed) FROM (
	SELECT sum(passed) AS passed FROM pace_run($shared, 4, 5) WHERE second >= 10 GROUP BY sender) AS s");
cmp_ok($least, '>=', 0.5, sprintf 'four senders share a limit: the least has %.2f of what the most has', $least);
cmp_ok(run('sum(passed)', 'WHERE second >= 5', $shared, 4, 5), '>=', 0.91 * 50 * 55, '... and use it together');

# While everything is refused
my @probes = map { $_->[0] } @{ $session->query('SELECT pace_probes(16)')->{rows} };
is($probes[0], 0.125, 'everything is refused: it probes');
is_deeply([ @probes[ 14, 15 ] ], [ 5, 5 ], '... every five seconds in the end');
is(scalar(grep { $probes[$_] < $probes[ $_ - 1 ] } 1 .. $#probes), 0, '... ever more seldom');

$node->stop;
done_testing();
