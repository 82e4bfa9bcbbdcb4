# A transaction that has made a lane with a smaller number commits after one that has made a
# greater one, and has a greater xid: its request is found all the same.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('late', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'", 'fsync = off');
my ($first, $second) = map { FlexApi::Session->new($node) } 1 .. 2;

# A priority of its own is a lane of its own.
sub enqueue { my ($session, $priority) = @_; return $session->value("SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', priority => $priority)"); }
sub is_sent { my ($id) = @_; return FlexApi::wait_until(sub { $first->value("SELECT state FROM flex_outbox WHERE id = $id") eq 'succeeded' }, 60); }

ok(is_sent(enqueue($first, 0)), 'the worker sends');
foreach my $round (1 .. 5)
{
	$_->value('BEGIN') foreach $first, $second;
	my ($before, $behind) = map { $_->value('SELECT pg_current_xact_id()') } $first, $second;
	my $late = enqueue($second, 10 * $round);
	my $early = enqueue($first, 10 * $round + 1);

	$first->value('COMMIT');
	ok(is_sent($early), "round $round: the request that is committed first is sent");
	$second->value('COMMIT');
	ok(is_sent($late), "... and that of transaction $behind, after $before, is found") or last;
}
# The same of transactions that take so long that senders go past them; one of them has made a lane before the others have.
my @lanes;
foreach my $round (1 .. 3)
{
	$second->value($_) foreach 'BEGIN', 'SELECT pg_current_xact_id()';
	push @lanes, enqueue($second, 100 * $round) if $round != 2;
	foreach my $n (1 .. 4)
	{
		ok(is_sent(enqueue($first, 100 * $round + $n)), "round $round: while a transaction takes long, a request of a new lane is sent");
		$first->value('SELECT pg_sleep(0.2)');
	}
	push @lanes, enqueue($second, 100 * $round + 50) if $round != 1;
	$second->value('COMMIT');
}
ok(is_sent($_), 'what was enqueued meanwhile is found') foreach @lanes;

$node->stop('fast');
done_testing;
