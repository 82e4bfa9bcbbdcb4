# A request that was to be sent in years, and is cancelled, retried or deleted, leaves nothing
# behind that waits for that time.  When the table is truncated, nothing is left that a later
# request with the same id would get, and it is deleted in time, as any other.

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

# A request whose number was that of others, which waited for a time, for a callback, for their end
my $RESTART = 'TRUNCATE flex_outbox_requests RESTART IDENTITY';
my @LEFT = map { "flex_outbox_$_" } 'callbacks', 'later', 'ordered', 'expiring', 'counts';
$session->value($_) foreach $RESTART, 'DELETE FROM flex_outbox_later', 'CREATE TABLE called (id bigint, state text)',
	'CREATE FUNCTION fails(r flex_outbox) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE division_by_zero; END $$',
	'CREATE FUNCTION notes(r flex_outbox) RETURNS void LANGUAGE sql AS $$ INSERT INTO called VALUES ($1.id, $1.state) $$';
$session->value(q{SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', on_success => 'fails')});
is($session->sqlstate('CALL flex_outbox_drain()', 60), '00000', 'a drain that leaves a callback for another time');
$session->value($_) foreach q{UPDATE flex_outbox_callbacks SET due_at = now()}, 'ALTER SEQUENCE flex_outbox_id_seq RESTART',
	'DELETE FROM flex_outbox_requests', q{SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', run_at => now() + '1 minute', }
	. q{expires_at => now() + '1 hour', ordering_key => 'k')}, q{UPDATE flex_outbox_later SET due_at = now()};
is(join(' ', map { $session->value("SELECT count(*) > 0 FROM $_") } @LEFT), 't t t t t', 'each table has something of a request');
$session->value($RESTART);
is(join(' ', map { $session->value("SELECT count(*) > 0 FROM $_") } @LEFT), 'f f f f f', '... and of none when the table is truncated');
my $again = $session->value(q{SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', on_failure => 'notes', run_at => '2100-01-01')});
is($again, 1, 'a request has a number that others had');
is($session->sqlstate('CALL flex_outbox_drain()', 60), '00000', 'another drain');
is($session->value("SELECT state FROM flex_outbox WHERE id = $again"), 'pending', '... does not send it');
is($session->value('SELECT count(*) FROM called'), 0, '... nor call its callback');

# Requests that finished long ago are deleted, also those whose numbers others had when they were deleted
my $OLD = "UPDATE flex_outbox_requests SET enqueued_at = now() - interval '2 hours', finished_at = now() - interval '2 hours'";
sub some_are_forgotten
{
	my ($count) = @_;

	$session->value(q{SELECT flex_enqueue('flex_provisioning_status_fetch', '{}')}) foreach 1 .. $count;
	$session->value($_) foreach 'CALL flex_outbox_drain()', $OLD, 'CALL flex_outbox_drain()';
	return $session->value('SELECT count(*) FROM flex_outbox_requests') == 0;
}
$session->value($_) foreach $RESTART, "SET flex_api.outbox_retention = '60min'";
ok(some_are_forgotten(3), 'old requests are deleted') foreach 1 .. 3;
$session->value($RESTART);
ok(some_are_forgotten(12), '... and others after the table was truncated');

# A sender that has read requests, which wait for their rate, does not take later ones with their numbers for them
my $WEBCHATS = q{SELECT count(flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}'};
$holder->value($_) foreach 'SET client_min_messages = error', "SET flex_api.rate_limits = 'flex_webchat_create=2'";
foreach my $time ('NULL', "now() + '1 second'")
{
	$session->value($_) foreach $RESTART, "$WEBCHATS, run_at => $time)) FROM generate_series(1, 10)";
	ok(FlexApi::wait_until(sub { $session->value('SELECT coalesce(max(due_at) < now(), true) FROM flex_outbox_later') eq 't' }), "run_at => $time: requests are due");
	$holder->send_query('CALL flex_outbox_drain()');
	ok(FlexApi::wait_until(sub { $session->value(q{SELECT count(*) FROM flex_outbox WHERE state = 'succeeded'}) > 0 }), '... a drain sends them slowly');
	$session->value($_) foreach 'BEGIN', $RESTART, "$WEBCHATS, run_at => '2100-01-01')) FROM generate_series(1, 10)", 'COMMIT';
	is($holder->receive->{error}, undef, '... and ends after the table was truncated');
	is($session->value(q{SELECT count(*) FROM flex_outbox WHERE state = 'pending' AND attempts = 0}), 10, '... without the new requests, whose time has not come');
}

$node->stop('fast');
done_testing;
