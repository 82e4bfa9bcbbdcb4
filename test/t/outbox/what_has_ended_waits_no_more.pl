# A request that was to be sent in years, and is cancelled, retried or deleted, leaves nothing
# behind that waits for that time.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('waits', $simulator, "flex_api.rate_limits = 'none'", 'fsync = off');
my ($session, $holder) = map { FlexApi::Session->new($node) } 1 .. 2;

sub reminder { return $session->value(q{SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', run_at => '2100-01-01')}); }
sub waiting { return $session->value(q{SELECT coalesce(string_agg(id || ' ' || turn, ', ' ORDER BY id, turn), '') FROM flex_outbox_later}); }

$session->value('SET client_min_messages = error');
my ($kept, $cancelled, $retried) = map { reminder() } 1 .. 3;
$session->value("SELECT flex_outbox_cancel($cancelled)");
is(waiting(), "$kept 0, $retried 0", 'a cancelled request waits no more');
$session->value('BEGIN');
$session->value("SELECT flex_outbox_retry($retried)");
is(waiting(), "$kept 0, $retried 1", 'one that is retried waits as that');
$session->value('ROLLBACK');
is(waiting(), "$kept 0, $retried 0", '... unless that is rolled back');
$session->value("SELECT flex_outbox_cancel($retried)");

# What cannot be found, or somebody has locked, or what has lost its request, is found by a sender.
my ($moved, $held, $gone) = map { reminder() } 1 .. 3;
$session->value("UPDATE flex_outbox_later SET due_at = '2101-01-01' WHERE id = $moved");
$holder->value('BEGIN');
$holder->value("SELECT id FROM flex_outbox_later WHERE id = $held FOR UPDATE");
is($session->sqlstate("SELECT flex_outbox_cancel($_)", 60), '00000', 'another is cancelled') foreach $moved, $held;
$session->value("DELETE FROM flex_outbox_requests WHERE id = $gone");
is(waiting(), "$kept 0, $moved 0, $held 0, $gone 0", 'three are left');
is($session->sqlstate('CALL flex_outbox_drain()', 60), '00000', 'a drain');
is(waiting(), "$kept 0, $held 0", '... finds those that nobody holds');
$holder->value('ROLLBACK');
is($session->sqlstate('CALL flex_outbox_drain()', 60), '00000', 'another drain');
is(waiting(), "$kept 0", '... finds the last, and the one that waits has stayed');
is($session->value("SELECT state FROM flex_outbox WHERE id = $kept"), 'pending', '... and is pending');

$node->stop('fast');
done_testing;
