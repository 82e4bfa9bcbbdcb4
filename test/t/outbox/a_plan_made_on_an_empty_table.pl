# A sender plans each statement once, perhaps when flex_outbox_ordered has just been vacuumed and is almost
# empty. With that plan, too, it reads few rows for each portion of requests that wait for others of their key.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('planned', $simulator, "flex_api.rate_limits = 'none'", 'fsync = off', 'autovacuum = off');
my ($session, $drainer) = map { FlexApi::Session->new($node) } 1 .. 2;
my $MANY = 2000;
my $fetch = q{'flex_channel_fetch', jsonb_build_object('sid', 'CH' || repeat('a', 32))};

$_->value('SET client_min_messages = error') foreach $session, $drainer;

# Entries of the index of keys that were read by all that has told so far.
sub entries
{
	$_->value('SELECT pg_stat_force_next_flush()') foreach $session, $drainer;
	return $session->value(q{SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'flex_outbox_ordered_pkey'});
}

# The statements are planned when one request waits for another one.
$session->value("SELECT flex_enqueue($fetch, ordering_key => 'k', run_at => now() + interval '1 day')");
$session->value('VACUUM ANALYZE flex_outbox_ordered');
$session->value("SELECT flex_enqueue($fetch, ordering_key => 'k')");
$drainer->value('CALL flex_outbox_drain()');

$session->value("SELECT count(flex_enqueue($fetch, ordering_key => 'k')) FROM generate_series(1, $MANY)");
my $before = entries();
$drainer->value('CALL flex_outbox_drain()');
my $read = entries() - $before;
cmp_ok($read, '<', 3 * $MANY, "a drain reads $read entries of the index of keys");
is($session->value("SELECT count(*) FROM flex_outbox WHERE state = 'pending' AND waits_for IS NOT NULL"), $MANY + 1, 'all but the first wait');
$node->stop('fast');
done_testing();
