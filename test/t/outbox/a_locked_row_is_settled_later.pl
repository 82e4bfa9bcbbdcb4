# The row of a request that is being sent is locked when its answer comes: the sender settles the
# others, sends what is due, and settles that one when it is free.  A sender that has to end
# before does not wait for it.  Very many locked ones that wait to be sent cost no sender its rest.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use File::Temp qw(tempdir);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $directory = tempdir(CLEANUP => 1);
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('held', $simulator, "flex_api.rate_limits = 'none'", 'fsync = off', "flex_api.shutdown_grace = 0");
my ($control, $holder, $drain, $other, $gone) = map { FlexApi::Session->new($node) } 1 .. 5;

# Answers a chat when its gate, a file of its name, is open; a long answer is one of 20 kB.
my $server = FlexApi::Server->new(sub {
	my ($connection, $server) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		my ($name) = $request->{body} =~ /Identity=(\w+)/;
		$server->note("came $name");
		FlexApi::wait_until(sub { -e "$directory/$name" }, 120);
		print $connection FlexApi::Server::answer(sprintf('{"conversation_sid": "CH1", "identity": "%s"}', 'x' x ($name =~ /long/ ? 20000 : 1)), '201 Created') or return;
	}
});

sub came { my ($name) = @_; return scalar $server->notes(qr/^came $name$/); }
sub open_gate { my ($name) = @_; append_to_file("$directory/$name", ''); return; }
sub row { my ($id) = @_; return join ' ', @{ $control->query("SELECT state, attempts FROM flex_outbox WHERE id = $id")->{rows}->[0] }; }
sub reaches { my ($id, $row) = @_; return FlexApi::wait_until(sub { row($id) eq $row }, 60); }
sub chat
{
	my ($name) = @_;
	return $control->value(sprintf(q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG%s", "identity": "%s"}')}, 'a' x 32, $name));
}

$control->value('SET client_min_messages = error');
foreach my $session ($drain, $other, $gone)
{
	$session->value($_) foreach 'SET client_min_messages = error', "SET flex_api.base_url = '" . $server->url . "'";
}
my $drain_pid = $drain->pid;

my %ids = map { $_ => chat($_) } qw(held heldlong free freelong);
$drain->send_query('CALL flex_outbox_drain()');
ok(FlexApi::wait_until(sub { $server->notes(qr/^came/) == 4 }), 'four are sent');
$holder->value('BEGIN');
$holder->value("SELECT count(*) FROM (SELECT FROM flex_outbox_requests WHERE id IN ($ids{held}, $ids{heldlong}) FOR UPDATE) AS r");
open_gate('held');
open_gate('heldlong');
ok(FlexApi::is_at_rest($control, $drain_pid), 'two are answered whose rows are locked, and the sender rests');
is(row($ids{$_}), 'sending 1', "... $_ waits") foreach 'held', 'heldlong';
$ids{new} = chat('new');
open_gate($_) foreach 'new', 'free', 'freelong';
ok(reaches($ids{$_}, 'succeeded 1'), "... $_ is settled") foreach 'free', 'freelong', 'new';
is(row($ids{held}), 'sending 1', '... while the others wait');
$holder->value('ROLLBACK');
is($drain->receive(60)->{error}, undef, 'when they are free, the drain ends');
is(row($ids{$_}), 'succeeded 1', "... $_ has succeeded") foreach 'held', 'heldlong';
is(came($_), 1, "... $_ was sent once") foreach sort keys %ids;
is($control->value('SELECT count(*) FROM flex_outbox_claims'), 0, '... and nothing is claimed');

# A sender that is gone, and one that would settle what it left, and lives on
my $gone_pid = $gone->pid;
$ids{orphan} = chat('orphan');
$gone->send_query('CALL flex_outbox_drain()');
ok(FlexApi::wait_until(sub { came('orphan') == 1 }), 'another is sent');
$control->value("SELECT pg_terminate_backend($gone_pid)");
ok(FlexApi::wait_until(sub { !$control->value("SELECT count(*) FROM pg_stat_activity WHERE pid = $gone_pid") }, 60), '... its sender is gone');
$holder->value('BEGIN');
$holder->value("SELECT id FROM flex_outbox_requests WHERE id = $ids{orphan} FOR UPDATE");
is($other->sqlstate('CALL flex_outbox_drain()', 60), '00000', '... a drain that cannot settle it ends');
is(row($ids{orphan}), 'sending 1', '... without it');
$holder->value('ROLLBACK');
is($control->sqlstate('CALL flex_outbox_drain()', 60), '00000', 'another drain');
is(row($ids{orphan}), 'uncertain 1', '... settles it');
is($control->value('SELECT count(*) FROM flex_outbox_claims'), 0, '... and nothing is claimed');

# A sender that has to end; its session lives on
$ids{last} = chat('last');
$drain->send_query('CALL flex_outbox_drain()');
ok(FlexApi::wait_until(sub { came('last') == 1 }), 'another is sent');
$holder->value('BEGIN');
$holder->value("SELECT id FROM flex_outbox_requests WHERE id = $ids{last} FOR UPDATE");
open_gate('last');
ok(FlexApi::is_at_rest($control, $drain_pid), '... and answered');
$control->value("SELECT pg_cancel_backend($drain_pid)");
is($drain->receive(60)->{error}->{C}, '57014', '... its sender is cancelled, and ends');
$holder->value('ROLLBACK');
is($other->sqlstate('CALL flex_outbox_drain()', 60), '00000', "another session's drain");
is(row($ids{last}), 'uncertain 1', '... tells that it is not known what has become of it');
is(came('last'), 1, '... which was sent once');

# Very many that were not claimed yet: a sender does not try them without end.
$drain->value($_) foreach 'RESET flex_api.base_url', 'SET flex_api.concurrency = 1';
my $many = $control->value(q{SELECT count(flex_enqueue('flex_webchat_create', jsonb_build_object('address_sid', 'IG' || repeat('a', 32), 'identity', 'new'))) FROM generate_series(1, 1000)});
$holder->value('BEGIN');
is($holder->value("SELECT count(flex_outbox_cancel(id)) FROM flex_outbox WHERE state = 'pending'"), $many, 'very many are locked by their role');
is($drain->sqlstate('CALL flex_outbox_drain()', 60), '00000', '... and a drain ends all the same');
is($control->value('SELECT count(*) FROM flex_outbox_marks AS m, flex_outbox_requests AS r WHERE r.lane = m.lane AND r.state = \'pending\' AND (r.enqueued_xid, r.id) <= (m.xid, m.id)'), 0, '... whose mark stays before them');
$_->[0]->value($_->[1]) foreach [ $holder, 'ROLLBACK' ], [ $drain, 'RESET flex_api.concurrency' ];
is($drain->sqlstate('CALL flex_outbox_drain()', 600), '00000', '... and another one');
is($control->value("SELECT count(*) FROM flex_outbox WHERE state = 'succeeded'"), 5 + $many, '... sends them');

$node->stop('fast');
done_testing;
