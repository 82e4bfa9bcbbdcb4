# Logical replication of all tables between two servers that both send.  Behaviour: the
# subscriber never sends the publisher's requests, keeps its own as they are, and its
# subscription does not stumble over the outbox's tables.
use strict;
use warnings;

use FindBin;
use lib 'test/perl', "$FindBin::RealBin/../../crash";
use FlexApi;
use Outbox;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my @lines = ("shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'", 'wal_level = logical',
	'max_wal_senders = 4', 'max_replication_slots = 4', 'wal_retrieve_retry_interval = 100ms');
my $publisher = FlexApi::node('publisher', $simulator, @lines);
my $subscriber = FlexApi::node('subscriber', $simulator, @lines);
my $here = FlexApi::Session->new($publisher);
my $there = FlexApi::Session->new($subscriber);

# What stands there before the subscription.
$_->value('CREATE TABLE tickets (id integer PRIMARY KEY)') foreach $here, $there;
my $mine = enqueue($there, 'mine', "run_at => now() + '1 hour'");
my $mine_too = enqueue($there, 'mine-too');
ok(reaches($there, $mine_too, 'succeeded'), 'the subscriber sends its own requests');
my $later = enqueue($here, 'later', "run_at => now() + '1 hour'");
my $settled = enqueue($here, 'settled');
ok(reaches($here, $settled, 'succeeded'), 'the publisher sends its own');
is("$later $settled", "$mine $mine_too", 'they have the same numbers');

$here->value('CREATE PUBLICATION everything FOR ALL TABLES');
$there->value("CREATE SUBSCRIPTION all_of_it CONNECTION '" . ($publisher->connstr . ' dbname=postgres') . "' PUBLICATION everything");
$here->value('INSERT INTO tickets VALUES (1)');
ok($subscriber->poll_query_until('postgres', 'SELECT count(*) = 1 FROM tickets'), 'other tables are replicated');
ok(FlexApi::wait_until(sub {
	$there->value("SELECT count(*) FROM pg_subscription_rel WHERE srsubstate NOT IN ('r', 's')") == 0 }),
	'all tables get through their first copy');

# New requests, sent here while that runs there.
my @ids = map { enqueue($here, "here$_") } 1 .. 5;
ok(reaches($here, $ids[4], 'succeeded'), 'the publisher goes on');
$here->value("UPDATE flex_outbox_later SET due_at = now() WHERE id = $later");
$here->value('SELECT flex_outbox_wake()');
ok(reaches($here, $later, 'succeeded'), 'and sends what waited');
$here->value('INSERT INTO tickets VALUES (2)');
$publisher->wait_for_catchup('all_of_it');
is(state_of($there, $mine), 'pending', 'the subscriber\'s request is still its own');
is($there->value("SELECT arguments->>'identity' FROM flex_outbox WHERE id = $mine"), 'mine', 'with its arguments');
is($there->value("SELECT count(*) FROM flex_outbox WHERE state IN ('pending', 'sending') AND arguments->>'identity' <> 'mine'"), 0,
	'it has none of the publisher\'s that wait');
$there->value("UPDATE flex_outbox_later SET due_at = now() WHERE id = $mine");
$there->value('SELECT flex_outbox_wake()');
ok(reaches($there, $mine, 'succeeded'), 'and sends its own when it is due');
is_deeply([ map { sent($simulator, $_) } qw(mine later here1 here5) ], [ 1, 1, 1, 1 ], 'each was sent once');
ok($subscriber->poll_query_until('postgres', 'SELECT max(id) = 2 FROM tickets'), 'replication goes on');
is($there->value('SELECT worker_pid FROM flex_outbox_activity') // '', (workers($there))[0], 'each server knows its own worker');

# What senders delete, they can delete under such a publication: all tables have an identity, and what was counted is added up.
is($here->value(q{SELECT string_agg(c.relname, ' ') FROM pg_class AS c JOIN pg_depend AS d ON d.objid = c.oid AND d.deptype = 'e' AND d.classid = 'pg_class'::regclass
	WHERE c.relkind = 'r' AND c.relreplident <> 'f' AND NOT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisprimary)}) // '', '', 'each table has an identity');
my $counted = $there->value('SELECT sum(requests) FROM flex_outbox_counts');
$here->value(q{INSERT INTO flex_outbox_counts (role_id, operation, state, at, requests) SELECT (SELECT min(id) FROM flex_outbox_roles), 'flex_flow_fetch', 'failed',
	now() - interval '2 minutes', n FROM generate_series(1, 500), unnest(ARRAY[1, -1]) AS n});
is($here->sqlstate('CALL flex_outbox_drain()'), '00000', 'a drain ends well');
cmp_ok($here->value('SELECT count(*) FROM flex_outbox_counts'), '<', 200, '... and has added up what was counted');
$here->value('INSERT INTO tickets VALUES (3)');
$publisher->wait_for_catchup('all_of_it');
is($there->value('SELECT sum(requests) FROM flex_outbox_counts'), $counted, '... which the subscriber does not notice');

$there->value('DROP SUBSCRIPTION all_of_it');
$_->stop foreach $subscriber, $publisher;
done_testing();
