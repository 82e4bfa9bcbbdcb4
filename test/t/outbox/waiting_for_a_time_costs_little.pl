# Requests that wait for a time cost a sender an index entry or two per lane when it looks for those that are
# due, however many they are; and those that are due are all sent, the earliest of a lane first.

use strict;
use warnings;

use FlexApi;
use Test::More;

my $LANES = 30;
my $FUTURE = 200; # requests of each lane that are due tomorrow
my $WANT = 100;   # requests that a sender wants of each lane in a look

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('later', $simulator, "flex_api.rate_limits = 'none'", "flex_api.concurrency = $WANT", 'autovacuum = off');
my $session = FlexApi::Session->new($node);

# A set of fetches of what does not exist, due at a time.
sub enqueue
{
	my ($count, $run_at, $priority) = @_;

	return $session->value("SELECT flex_enqueue_many('flex_flow_fetch', array_agg(jsonb_build_object('sid', 'FO' || lpad(n::text, 32, '0'))),
		run_at => $run_at, priority => $priority) FROM generate_series(1, $count) AS n");
}

# How many entries of the index of waiting requests a drain reads.
sub drain
{
	my $read = q{SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'flex_outbox_later_pkey'};

	$session->value('SELECT pg_stat_force_next_flush()');
	my $before = $session->value($read);
	$session->value($_) foreach 'CALL flex_outbox_drain()', 'SELECT pg_stat_force_next_flush()';
	return $session->value($read) - $before;
}

sub pending { return $session->value(q{SELECT count(*) FROM flex_outbox WHERE state = 'pending'}); }

enqueue($FUTURE, q{now() + interval '1 day'}, $_) foreach 1 .. $LANES;
my $read = drain();
cmp_ok($read, '>=', $LANES, 'a drain looks at each lane');
cmp_ok($read, '<', 10 * $LANES, "... and reads $read entries, whatever waits");
is(pending(), $LANES * $FUTURE, 'nothing is sent before its time');

# As many as a look wants, one more, and one less become due beside what is due tomorrow
my %due = (1 => $WANT - 1, 2 => $WANT, 3 => $WANT + 1);
foreach my $lane (sort keys %due)
{
	my $ids = enqueue($due{$lane}, q{now() + interval '2 days'}, $lane);

	# the last one first
	$session->value("UPDATE flex_outbox_later SET due_at = now() - id * interval '1 second' WHERE id = ANY ('$ids')");
}
drain();
is(pending(), $LANES * $FUTURE, 'all that is due is sent, and nothing else');
is($session->value(q{SELECT count(*) FROM flex_outbox WHERE state = 'failed' AND http_status = 404}), 3 * $WANT, '... once each');
is($session->value(q{SELECT bool_and(started_at >= before) FROM (SELECT started_at, max(started_at) OVER (PARTITION BY priority ORDER BY id DESC) AS before
	FROM flex_outbox WHERE state = 'failed') AS o}), 't', '... in the order in which they became due');

# The first of the later ones is not missed
enqueue(1, q{clock_timestamp() + interval '300 ms'}, 5);
ok(FlexApi::wait_until(sub { drain(); return pending() == $LANES * $FUTURE }), 'what becomes due is sent');
$node->stop('fast');
done_testing();
