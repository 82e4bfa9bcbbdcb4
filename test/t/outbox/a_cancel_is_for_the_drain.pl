# A cancel of a session that drains ends the drain, also while it runs a callback that catches the cancel, or
# whose time is over at the same moment.  A lock_timeout, which the server tells by the same signal, does not.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use Test::More;

my $simulator = FlexApi::Simulator->new;
# Without a slot callbacks run in the session that drains.
my $node = FlexApi::node('cancels', $simulator, "flex_api.rate_limits = 'none'", 'fsync = off', 'max_worker_processes = 1', 'flex_api.callback_timeout = 1h');
my ($super, $drains) = map { FlexApi::Session->new($node) } 1 .. 2;
my $pid = $drains->pid;
my $in_callback = "SELECT count(*) FROM pg_stat_activity WHERE pid = $pid AND wait_event = 'PgSleep'";

$_->value('SET client_min_messages = error') foreach $super, $drains;
$super->value('CREATE TABLE held (what text)');
sub callback
{
	my ($body) = @_;
	return $super->value("CREATE OR REPLACE FUNCTION called(r flex_outbox) RETURNS void LANGUAGE plpgsql AS \$\$ BEGIN $body END \$\$");
}
sub enqueue
{
	return $super->value(q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}', on_success => 'public.called')});
}
sub sleeps { return FlexApi::wait_until(sub { $super->value($in_callback) }); }
sub error_of { return $super->value("SELECT callback_error FROM flex_outbox WHERE id = $_[0]"); }
# Begin a drain that runs a callback, which sleeps
sub drain_until_callback
{
	my $id = enqueue();
	$drains->send_query('CALL flex_outbox_drain()');
	sleeps() or BAIL_OUT('no callback runs');
	return $id;
}
# How the drain ended, and that nothing of its cancel is left
sub ends
{
	my ($code, $what) = @_;
	my $error = $drains->receive->{error};

	is($error && $error->{C}, $code, "$what: the drain ends") or diag explain $error;
	is($drains->value('SELECT 1'), 1, '... the next statement is not cancelled');
	$super->value('DELETE FROM flex_outbox_requests');
	return;
}

callback('PERFORM pg_sleep(3600);');
drain_until_callback();
$super->value("SELECT pg_cancel_backend($pid)");
ends('57014', 'a callback that is cancelled');

callback('BEGIN PERFORM pg_sleep(3600); EXCEPTION WHEN query_canceled THEN END;');
drain_until_callback();
$super->value("SELECT pg_cancel_backend($pid)");
ends('57014', 'a callback that catches the cancel');

callback(q{BEGIN PERFORM pg_sleep(3600); EXCEPTION WHEN query_canceled THEN RAISE SQLSTATE 'ZZ001'; END;});
drain_until_callback();
$super->value("SELECT pg_cancel_backend($pid)");
ends('57014', 'a callback that makes another error of it');

# The process is stopped while its time is over and the cancel comes, so that both signals are delivered at once.
$drains->value('SET flex_api.callback_timeout = ' . 200 * FlexApi::slowness());
foreach my $body ('PERFORM pg_sleep(3600);', 'BEGIN PERFORM pg_sleep(3600); EXCEPTION WHEN query_canceled THEN END;')
{
	callback($body);
	drain_until_callback();
	kill 'STOP', $pid;
	$super->value('SELECT pg_sleep(' . 0.3 * FlexApi::slowness() . ')');
	$super->value("SELECT pg_cancel_backend($pid)");
	kill 'CONT', $pid;
	ends('57014', 'a callback whose time is over at the same moment');
}

# Alone neither its time nor its lock_timeout ends the drain.
callback('PERFORM pg_sleep(3600);');
my $id = drain_until_callback();
is($drains->receive->{error}, undef, 'a callback whose time is over: the drain goes on');
is(error_of($id), 'callback public.called ran longer than flex_api.callback_timeout', '... and notes that');
$super->value('DELETE FROM flex_outbox_requests');
callback(q{SET LOCAL lock_timeout = '100ms'; LOCK TABLE held;});
$id = enqueue();
my $holds = FlexApi::Session->new($node);
$holds->value('BEGIN; LOCK TABLE held');
$drains->value('SET flex_api.callback_timeout = 3600000');
is($drains->query('CALL flex_outbox_drain()')->{error}, undef, 'a callback that waits for a lock no longer than it wants to: the drain goes on');
is(error_of($id), 'canceling statement due to lock timeout', '... and notes that');

$node->stop('fast');
done_testing();
