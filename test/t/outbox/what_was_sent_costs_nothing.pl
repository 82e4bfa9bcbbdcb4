# What has been sent costs nothing: while an old snapshot keeps all dead versions of rows and
# index entries, a drain and the worker read as few pages as with an empty outbox.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $COUNT = $ENV{FLEX_SLOW_BUILD} ? 5000 : 20000;
my $MOST = 400; # pages, for one request from its enqueueing to its end
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('horizon', $simulator, "flex_api.rate_limits = 'none'", 'fsync = off', 'autovacuum = off', 'flex_api.concurrency = 50');
my $session = FlexApi::Session->new($node);
$session->value('SET client_min_messages = error');
$simulator->post('settings', { record => JSON::PP::false });

sub enqueue
{
	my ($count, $more) = @_;
	return $session->value("SELECT count(flex_enqueue('flex_webchat_create', jsonb_build_object('address_sid', 'IG' || md5(g::text))"
		. ($more ? ", $more" : '') . ")) FROM generate_series(1, $count) AS g");
}

# Pages of the outbox's tables and indexes that have been read, by all that has told so far.
sub pages
{
	$session->value('SELECT pg_stat_force_next_flush()');
	return $session->value(q{SELECT sum(coalesce(heap_blks_read, 0) + coalesce(heap_blks_hit, 0) + coalesce(idx_blks_read, 0) + coalesce(idx_blks_hit, 0)
		+ coalesce(toast_blks_read, 0) + coalesce(toast_blks_hit, 0)) FROM pg_statio_all_tables WHERE relname LIKE 'flex_outbox%'});
}

# Pages that are read for one request by a session that has told what it read before.
sub pages_of_a_drain
{
	my $drainer = FlexApi::Session->new($node);
	my $before = pages();
	enqueue(1);
	$drainer->value('CALL flex_outbox_drain()');
	$drainer->value('SELECT pg_stat_force_next_flush()');
	$drainer->close;
	return pages() - $before;
}

enqueue(100);
$session->value('CALL flex_outbox_drain()');
my $few = pages_of_a_drain();
cmp_ok($few, '<=', $MOST, "an almost empty outbox: $few pages");

# The plans of a session that has sent with almost empty tables are good for full ones.
my $waiting = $COUNT / 2;
enqueue($waiting);
my $pages_before = pages();
$session->value('CALL flex_outbox_drain()');
my $each_read = (pages() - $pages_before) / $waiting;
cmp_ok($each_read, '<=', 30, sprintf "$waiting requests: %.1f pages each", $each_read);

# Whenever something is claimed, the name of some schema may have changed: nothing is read again for that.
sub read_as_new { return $session->value("SELECT idx_tup_read FROM pg_stat_all_indexes WHERE indexrelname = 'flex_outbox_fresh'"); }
$session->value($_) foreach 'CREATE SCHEMA restless',
	q{CREATE FUNCTION change_schema() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		GRANT USAGE ON SCHEMA restless TO PUBLIC; REVOKE USAGE ON SCHEMA restless FROM PUBLIC; RETURN NULL; END $$},
	'CREATE TRIGGER change_schema AFTER INSERT ON flex_outbox_claims FOR EACH STATEMENT EXECUTE FUNCTION change_schema()';
my $begun = read_as_new();
enqueue(400);
pages_of_a_drain();
cmp_ok(read_as_new() - $begun, '<=', 1200, 'a request is read once or twice, also when schemas change');
$session->value('DROP TRIGGER change_schema ON flex_outbox_claims');

# An old snapshot; then many are sent, some of them after a wait.
my $old = FlexApi::Session->new($node);
$old->value($_) for 'BEGIN ISOLATION LEVEL REPEATABLE READ', 'SELECT count(*) FROM pg_class';
enqueue($COUNT / 2);
enqueue($COUNT / 2, "run_at => now() + interval '1 ms'");
my $undone = $COUNT;
ok(FlexApi::wait_until(sub { $session->value('CALL flex_outbox_drain()'); return $session->value("SELECT count(*) FROM flex_outbox WHERE state <> 'succeeded'") == 0 }),
	'many are sent');
$session->value('CALL flex_outbox_drain()');
my $many = pages_of_a_drain();
cmp_ok($many, '<=', $MOST, "with $COUNT dead versions: $many pages");

# The worker knows even better.
$old->close;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'flex_api'");
$node->restart;
$session = FlexApi::Session->new($node);
$session->value('SET client_min_messages = error');
$old = FlexApi::Session->new($node);
$old->value($_) for 'BEGIN ISOLATION LEVEL REPEATABLE READ', 'SELECT count(*) FROM pg_class';
sub all_sent { return FlexApi::wait_until(sub { $session->value("SELECT count(*) FROM flex_outbox WHERE state <> 'succeeded'") == 0 }, 120); }
my $settled = $session->value("SELECT n_tup_upd FROM pg_stat_all_tables WHERE relname = 'flex_outbox_requests'");
enqueue($COUNT);
ok(all_sent(), 'the worker sends as many');
# What it has read it tells in its own time, with how many it has settled: so more are sent, one by one, until it tells.
sub told { return $session->value("SELECT n_tup_upd FROM pg_stat_all_tables WHERE relname = 'flex_outbox_requests'"); }
sub send_one
{
	my $id = $session->value(q{SELECT flex_enqueue('flex_webchat_create', jsonb_build_object('address_sid', 'IG' || repeat('a', 32)))});
	# From the table, for the view reads all claims each time.
	return FlexApi::wait_until(sub { $session->value("SELECT state FROM flex_outbox_requests WHERE id = $id") eq 'succeeded' });
}
my $all = $settled + $COUNT;
ok(FlexApi::wait_until(sub { send_one(); return told() >= $all; }, 120), '... and tells what it has read');
my ($before, $first) = (pages(), told());
ok(FlexApi::wait_until(sub { send_one(); return told() - $first >= 20; }, 300), '... and more, one by one');
my $each = (pages() - $before) / (told() - $first);
cmp_ok($each, '<=', $MOST, sprintf('... for each of which %.0f pages are read, by this test, too', $each));

# So many have waited for a time, that the sender does not look at them each second.
my $dead = 300_000;
$old->close;
$old = FlexApi::Session->new($node);
$old->value($_) for 'BEGIN ISOLATION LEVEL REPEATABLE READ', 'SELECT count(*) FROM pg_class';
$session->value($_) foreach "INSERT INTO flex_outbox_later SELECT lane, now() - interval '1 day' + n * interval '1 us', -n, 0
		FROM (SELECT min(lane) AS lane FROM flex_outbox_requests) AS r, generate_series(1, $dead) AS n", 'DELETE FROM flex_outbox_later WHERE id < 0';
sub read_later { return $session->value("SELECT idx_tup_read FROM pg_stat_all_indexes WHERE indexrelname = 'flex_outbox_later_pkey'"); }
my $read = read_later();
foreach my $round (1 .. 15)
{
	my $second = time() + 1;
	FlexApi::wait_until(sub { send_one() && time() > $second });
}
cmp_ok(read_later() - $read, '<=', 7 * $dead, '... and seldom what has waited for a time');
my $retried = $session->value("SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', run_at => now() + interval '1 second')");
is($session->value("SELECT state FROM flex_outbox_await($retried)"), 'succeeded', '... but all that does');

$old->close;
$node->stop('fast');
done_testing();
