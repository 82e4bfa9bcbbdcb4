# Whichever process is killed, and whenever: what is committed is sent once or accounted for,
# and what is rolled back is not sent.  Each kind of kill once; for more
# rounds run test/crash/rounds.
use strict;
use warnings;

use FindBin;
use lib 'test/perl', "$FindBin::RealBin/../../crash";
use Crashes;
use PostgreSQL::Test::Utils;
use Test::More;

my $rounds = @Kinds::ALL;
my $seed = $ENV{FLEX_SEED} // time() % 1000000;
my $crashes = Crashes->new($seed);

note("seed $seed");
$crashes->run($rounds, sub {
	my ($number, $name, $figures, @problems) = @_;
	is(join("\n", @problems), '', "round $number, seed $seed: $name");
});
note($_) foreach $crashes->table;
is(join("\n", $crashes->unknown_sids), '', 'the service knows the SIDs in the outbox');
is($crashes->total($_), 0, "$_: none") foreach 'doubled', 'lost', 'not undone', 'out of order';
cmp_ok($crashes->total('succeeded'), '>', $rounds * 10, 'enough was sent for that to mean something');
$crashes->stop;
done_testing();
