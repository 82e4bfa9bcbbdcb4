# A request that waits for a time is read by the worker, which cannot send it yet, and is then
# retried by its role: the row of the turn that the worker knows goes, and that of the newer one
# stays, although both have the same time.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $OPERATION = 'flex_provisioning_status_fetch';
my $node = FlexApi::node('turns', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = '$OPERATION=0'", 'fsync = off');
my $session = FlexApi::Session->new($node);

sub state_of { my ($id) = @_; return $session->value("SELECT state FROM flex_outbox WHERE id = $id"); }
sub rows_of { my ($id) = @_; return $session->value("SELECT string_agg(turn::text, ' ' ORDER BY turn) || ' of ' || count(DISTINCT due_at) FROM flex_outbox_later WHERE id = $id"); }

ok(FlexApi::wait_until(sub { ($session->value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'flex_api outbox worker' AND datname = 'postgres'")) == 1 }), 'a worker is there');
my $worker = $session->value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'flex_api outbox worker' AND datname = 'postgres'");
my @ids = map { $_->[0] } @{ $session->query("SELECT flex_enqueue('$OPERATION', '{}', run_at => now() + interval '1 s') FROM generate_series(1, 3)")->{rows} };
ok(FlexApi::wait_until(sub { $session->value('SELECT max(due_at) < clock_timestamp() FROM flex_outbox_later') eq 't' }), 'three wait for a time, which comes');
# Another wakes the worker, so that it reads what is due.
push @ids, $session->value("SELECT flex_enqueue('$OPERATION', '{}')");
ok(FlexApi::is_at_rest($session, $worker), 'the worker has read them, and may send none');
is(state_of($ids[0]), 'pending', '... nor does it');
# Somebody holds the row of the old turn, which so is not deleted.
my $holder = FlexApi::Session->new($node);
$holder->value('BEGIN');
$holder->value("SELECT turn FROM flex_outbox_later WHERE id = $ids[1] FOR UPDATE");
$session->value("SELECT flex_outbox_retry($ids[1])");
$holder->value('ROLLBACK');
is(rows_of($ids[1]), '0 1 of 1', 'one is retried: it has a row of each turn, both of the same time');
$session->value($_) foreach "ALTER SYSTEM SET flex_api.rate_limits = 'none'", 'SELECT pg_reload_conf()';
foreach my $id (@ids)
{
	ok(FlexApi::wait_until(sub { state_of($id) eq 'succeeded' }), "request $id is sent when it may be");
}
is(scalar $simulator->requests, 4, '... each once');
ok(FlexApi::wait_until(sub { $session->value('SELECT count(*) FROM flex_outbox_later') == 0 }), '... and none waits any more');
is($session->value('SELECT count(*) FROM flex_outbox_claims'), 0, '... nor is claimed');

$node->stop('fast');
done_testing;
