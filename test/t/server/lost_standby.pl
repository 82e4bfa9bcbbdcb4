# A sender whose claim waits for a synchronous standby that is gone: cancelled or told to stop, it
# does not send the request, which the standby may have as pending; and it holds no shutdown up.

use strict;
use warnings;

use FlexApi;
use IO::Select;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('lost_standby', $simulator, "flex_api.rate_limits = 'none'", 'wal_level = replica', 'max_wal_senders = 3');
my $session = FlexApi::Session->new($node);
my $chat = q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}')};
my $pid_of_worker = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'flex_api outbox worker'};
my $waiting = "$pid_of_worker AND wait_event = 'SyncRep'";

# Have commits wait for a standby, or not any more; back when they do.
sub standby
{
	my ($names) = @_;
	my $other = FlexApi::Session->new($node);

	$node->append_conf('postgresql.conf', "synchronous_standby_names = '$names'");
	$node->reload;
	my $probes = 0;
	my $there = FlexApi::wait_until(sub {
		my $probe = 'SELECT pg_logical_emit_message(true, $$$$, $$' . ++$probes . '$$)';
		my $event;

		$other->send_query($probe);
		FlexApi::wait_until(sub {
			$event = $session->value("SELECT CASE WHEN query <> '$probe' THEN 'none' WHEN state = 'idle' THEN '' ELSE wait_event END
				FROM pg_stat_activity WHERE pid = " . $other->pid) // 'none';
			return $event eq '' || $event eq 'SyncRep';
		});
		$session->value('SELECT pg_cancel_backend(' . $other->pid . ')') if $event eq 'SyncRep';
		$other->receive;
		return ($names ne '') == ($event eq 'SyncRep');
	});
	ok($there, "commits wait for '$names'");
	$other->close;
	return;
}

sub posts { return scalar grep { $_->{method} eq 'POST' } $simulator->requests; }

# Enqueue, and have the worker wait with its claim.
sub claim
{
	$simulator->clear_requests;
	$session->value('SET synchronous_commit = local');
	my $id = $session->value($chat);
	ok(FlexApi::wait_until(sub { defined $session->value($waiting) }), 'the claim waits for the standby');
	return $id;
}

# A drain: its claim waits, and then what puts the request back, each until it is cancelled
{
	my $drainer = FlexApi::Session->new($node);
	my $pid = $drainer->pid;
	my $waits = "SELECT count(*) FROM pg_stat_activity WHERE pid = $pid AND wait_event = 'SyncRep'";

	$session->value('SET client_min_messages = error; SET synchronous_commit = local');
	my $id = $session->value($chat);
	standby('nobody');
	foreach my $level ('on', 'remote_write', 'remote_apply', 'off')
	{
		$drainer->value("SET synchronous_commit = $level; SET client_min_messages = error");
		$drainer->send_query('CALL flex_outbox_drain()');
		my $ended = sub { IO::Select->new($drainer->{socket})->can_read(0) };
		ok(FlexApi::wait_until(sub { $session->value($waits) == 1 }), "$level: the drain's claim waits for the standby");
		FlexApi::wait_until(sub { $session->value("SELECT pg_cancel_backend($pid)") if $session->value($waits) == 1; return $ended->(); });
		is($drainer->receive->{error}->{C}, '57014', '... a cancel ends it');
		is(posts(), 0, '... and nothing is sent');
		is($session->value("SELECT state FROM flex_outbox WHERE id = $id"), 'pending', '... the request waits');
		$session->value("UPDATE flex_outbox_later SET due_at = now() WHERE id = $id");
	}
	standby('');
	is($drainer->query('CALL flex_outbox_drain()')->{error}, undef, 'when nobody needs the standby');
	is($session->value("SELECT state || attempts FROM flex_outbox WHERE id = $id"), 'succeeded1', '... it is sent');
	is(posts(), 1, '... once');
	$drainer->close;
}

# The worker
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'flex_api'");
$node->restart;
$session = FlexApi::Session->new($node);
is($session->value("SELECT state FROM flex_outbox_await(" . $session->value($chat) . ")"), 'succeeded', 'the worker works');
foreach my $how ('pg_cancel_backend', 'pg_terminate_backend')
{
	standby('nobody');
	my $id = claim();
	my $pid = $session->value($waiting);
	my $log_end = -s $node->logfile;

	$session->value("SELECT $how($pid)");
	$node->wait_for_log(qr/\[$pid\].*canceling wait for synchronous replication/, $log_end);
	# It puts the request back, which waits again, or is gone.
	ok(FlexApi::wait_until(sub { ($session->value($waiting) // $pid) != $pid ||
		($session->value("SELECT wait_event FROM pg_stat_activity WHERE pid = $pid") // '') eq 'SyncRep' }), "$how: it ends");
	is(posts(), 0, '... and has sent nothing');
	standby('');
	is($session->value("SELECT state FROM flex_outbox_await($id)"), 'succeeded', '... which is done when nobody needs the standby');
	is(posts(), 1, '... once');
}

standby('nobody');
claim();
is(system('pg_ctl', '-D', $node->data_dir, '-m', 'fast', '-t', 10 * FlexApi::slowness(), '-s', 'stop'), 0, 'a fast shutdown does not wait for the standby');
is(posts(), 0, '... nor is anything sent');
$node->{_pid} = undef;

done_testing;
