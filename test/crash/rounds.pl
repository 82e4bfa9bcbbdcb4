# rounds.pl [ROUNDS [SEED]]: the crash test at length; see rounds, which runs it.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin, "$FindBin::RealBin/../perl";
use Crashes;
use Test::More;
use Time::HiRes qw(time);

my $rounds = shift // 200;
my $seed = shift // time() % 1000000;
my $begin = time();

my $out = Test::More->builder->output;
$out->autoflush(1);
print $out "$rounds rounds, seed $seed\n";
my $crashes = Crashes->new($seed);
my $ended = eval {
	$crashes->run($rounds, sub {
		my ($number, $name, $figures, @problems) = @_;
		print $out "round $number, $name: $_\n" foreach @problems;
		print $out sprintf("%4d rounds, %d requests, %d s\n", $number, $crashes->total('requests'), time() - $begin)
		  if $number % 25 == 0;
	});
	1;
};
# What the test modules print of an error is in their log alone.
print $out "stopped: $@" unless $ended;
ok($ended, 'all rounds have come to their end');
print $out map { "$_\n" } $crashes->table;
is(join("\n", $crashes->problems), '', 'no round has a problem');
is(join("\n", $crashes->unknown_sids), '', 'the service knows the SIDs in the outbox');
cmp_ok($crashes->total('succeeded'), '>', $rounds * 10, 'enough was sent for all that to mean something');
is($crashes->total($_), 0, "$_: none") foreach 'doubled', 'lost', 'not undone', 'out of order';
cmp_ok($crashes->total($_), '>', $rounds * 2, "enough $_ for that to mean something") foreach 'ordered', 'decided';
cmp_ok($crashes->count('deleted'), '>', $rounds * 10, 'what has ended is deleted');
cmp_ok($crashes->count('flex_outbox_leftovers WHERE tries > 0'), '>', 0, '... but for what something refers to');
print $out sprintf("%.2f s a round\n", (time() - $begin) / $rounds);
$crashes->stop;
done_testing();
