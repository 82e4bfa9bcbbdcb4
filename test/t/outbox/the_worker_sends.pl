# The background worker: at work right after the commit, in every database that
# has the extension, seen in pg_stat_activity, in nobody's way, and gone at once
# when the server stops.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('worker', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'",
	'log_min_messages = warning');
my $session = FlexApi::Session->new($node);
my $chat = q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}')};
my $status = q{SELECT flex_enqueue('flex_provisioning_status_fetch', '{}')};

sub worker { return $session->value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'flex_api outbox worker' AND datname = 'postgres'"); }

ok(FlexApi::wait_until(sub { defined worker() }), 'the worker starts when the extension comes');
my $pid = worker();
is($session->value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'flex_api launcher'"), 1, 'there is one launcher');

# From commit to answer
my $id = $session->value($chat);
is($session->value("SELECT state FROM flex_outbox_await($id)"), 'succeeded', 'a request is sent by itself');
my @waits;
foreach (1 .. 20)
{
	$id = $session->value($chat);
	$session->value("SELECT FROM flex_outbox_await($id, '10 s')");
	push @waits, $session->value("SELECT extract(epoch FROM finished_at - enqueued_at) * 1000 FROM flex_outbox WHERE id = $id");
	# let it fall asleep again
	FlexApi::wait_until(sub { $session->value("SELECT state FROM pg_stat_activity WHERE pid = $pid") eq 'idle' });
}
@waits = sort { $a <=> $b } @waits;
cmp_ok($waits[10], '<', 50 * FlexApi::slowness(), sprintf('from enqueue to answer: %.1f ms (median)', $waits[10]));

# A request that comes alone has the worker look once for what is new
{
	my $looks = sub { return $session->value(q{SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'flex_outbox_fresh'}) };
	my ($before, $sent) = ($looks->(), 0);
	# It tells what it has read once a second.
	my $has_told = sub { my $single = $session->value($chat); $session->value("SELECT FROM flex_outbox_await($single, '10 s')"); $sent++; return $looks->() > $before; };
	ok(FlexApi::wait_until($has_told), 'the worker tells how often it looked');
	($before, $sent) = ($looks->(), 0);
	$simulator->post('faults', { delay_ms => 5, times => -1 });
	ok(FlexApi::wait_until(sub { $has_told->() && $sent >= 10 }), '... and again, later');
	$simulator->clear_faults;
	my $each = ($looks->() - $before) / $sent;
	cmp_ok($each, '<=', 2, sprintf('... %.1f times for each of %d requests', $each, $sent));
}

# Not before the commit, and never when it is rolled back
$simulator->clear_requests;
$session->query("BEGIN");
$id = $session->value($chat);
my $other = FlexApi::Session->new($node);
my $next = $other->value($status);
is($other->value("SELECT state FROM flex_outbox_await($next)"), 'succeeded', 'the worker does not wait for a session that has not committed');
is(scalar(grep { $_->{method} eq 'POST' } $simulator->requests), 0, '... nor send what is not committed');
$session->query('ROLLBACK');
$session->query('BEGIN');
$session->query("SAVEPOINT s; $chat; ROLLBACK TO s");
$next = $session->value($status);
$session->query('COMMIT');
is($session->value("SELECT state FROM flex_outbox_await($next)"), 'succeeded', 'after a savepoint is undone');
is(scalar(grep { $_->{method} eq 'POST' } $simulator->requests), 0, '... what was in it is not sent');

# retry() wakes it
$simulator->post('faults', { method => 'POST', status => 400 });
$id = $session->value($chat);
is($session->value("SELECT state FROM flex_outbox_await($id)"), 'failed', 'a refusal');
$session->value("SELECT flex_outbox_retry($id)");
is($session->value("SELECT state FROM flex_outbox_await($id, '5 s')"), 'succeeded', 'retry() wakes the worker');

# ... for one that waits for its time, too
$id = $session->value("SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', run_at => clock_timestamp() + interval '1 day')");
foreach my $level ('repeatable read', 'serializable')
{
	$session->value("SET default_transaction_isolation = '$level'");
	is($session->value("SELECT state FROM flex_outbox_await($id, '0 s')"), 'pending', "$level: a request is looked at");
	is($session->sqlstate("SELECT flex_outbox_await($id, '1 s')"), '55000', '... but not waited for: it would never be seen to end');
}
$session->value('RESET default_transaction_isolation');
$session->value("SELECT flex_outbox_retry($id)");
is($session->value("SELECT state FROM flex_outbox_await($id)"), 'succeeded', 'retry() of a request for tomorrow sends it now');

# Credentials that come with a reload, before the minute is over after which it would be looked again
$session->query("ALTER SYSTEM SET flex_api.account_sid = ''");
$node->reload;
ok(FlexApi::wait_until(sub { FlexApi::Session->new($node)->value('SHOW flex_api.account_sid') eq '' }), 'the credentials are gone');
$id = $session->value($status);
ok(FlexApi::wait_until(sub { ($session->value("SELECT error_message ~ 'without its account' FROM flex_outbox WHERE id = $id") // '') eq 't' }), 'a request waits for them')
  or diag(explain($session->query("SELECT state, error_message FROM flex_outbox WHERE id = $id")->{rows}));
$session->query('ALTER SYSTEM RESET flex_api.account_sid');
$node->reload;
is($session->value("SELECT state FROM flex_outbox_await($id, '20 s')"), 'succeeded', 'it is sent when they have come');

# A time to come
$id = $session->value("SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', run_at => clock_timestamp() + interval '600 ms')");
is($session->value("SELECT state FROM flex_outbox_await($id, '10 s')"), 'succeeded', 'a request for later is sent without being woken');
my $late = $session->value("SELECT extract(epoch FROM started_at - run_at) * 1000 FROM flex_outbox WHERE id = $id");
cmp_ok($late, '>=', 0, '... not before its time');
cmp_ok($late, '<', 100 * FlexApi::slowness(), sprintf('... and %.0f ms after it', $late));

# While requests are in flight it holds back nobody
$simulator->post('faults', { path => '/v2/WebChats', delay_ms => 60000, times => -1 });
$session->value($chat) for 1 .. 3;
$simulator->clear_requests;
ok(FlexApi::wait_until(sub { $session->value("SELECT count(*) FROM flex_outbox WHERE state = 'sending'") == 3 }), 'requests are in flight');
my $activity = sub {
	return join '|', map { $_ // '' } @{ $session->query(
		"SELECT backend_xmin, backend_xid, xact_start, (SELECT count(*) FROM pg_locks WHERE pg_locks.pid = a.pid) FROM pg_stat_activity AS a WHERE pid = $pid")->{rows}->[0] };
};
ok(FlexApi::wait_until(sub { $activity->() eq '|||0' }, 30), 'in flight: no snapshot, no transaction, no lock') or diag $activity->();
is($session->value("SELECT query FROM pg_stat_activity WHERE pid = $pid") ne '', 1, '... pg_stat_activity says what it does');
ok(FlexApi::wait_until(sub { ($session->value("SELECT wait_event_type FROM pg_stat_activity WHERE pid = $pid") // '') eq 'Extension' }, 30), '... and that it waits');
is($session->value("SELECT worker_pid FROM flex_outbox_summary LIMIT 1"), $pid, '... the summary has its number');
$next = $session->value($status);
is($session->value("SELECT state FROM flex_outbox_await($next, '5 s')"), 'succeeded', '... others are sent and settled meanwhile');
is($session->sqlstate('VACUUM FULL flex_outbox_requests'), '00000', '... the table can be locked');

# A cancel of the worker: it settles what it has, and goes on
$session->value("SELECT pg_cancel_backend($pid)");
ok(FlexApi::wait_until(sub { $session->value("SELECT count(*) FROM flex_outbox WHERE state = 'uncertain'") == 3 }), 'after a cancel the POSTs are uncertain');
$simulator->clear_faults;
$next = $session->value($status);
is($session->value("SELECT state FROM flex_outbox_await($next, '10 s')"), 'succeeded', '... and a worker goes on');

# Terminated: another one comes
ok(FlexApi::wait_until(sub { defined worker() }), 'there is a worker');
$pid = worker();
$session->value("SELECT pg_terminate_backend($pid)");
$next = $session->value($status);
is($session->value("SELECT state FROM flex_outbox_await($next, '20 s')"), 'succeeded', 'after pg_terminate_backend another one sends');
ok((worker() // 0) != $pid, '... a new one');

# One bad request stops nobody, nor do bad settings of the database and its roles
$session->value($_) for
	'ALTER DATABASE postgres SET default_transaction_isolation = serializable',
	'ALTER DATABASE postgres SET default_transaction_read_only = on',
	'ALTER DATABASE postgres SET statement_timeout = 1',
	'ALTER DATABASE postgres SET search_path = nowhere',
	'ALTER DATABASE postgres SET session_replication_role = replica';
$pid = worker();
$session->value("SELECT pg_terminate_backend($pid)");
ok(FlexApi::wait_until(sub { my $new = worker(); defined $new && $new != $pid }, 20), 'a worker with odd settings of the database');
my $bad = $session->value(q{SELECT flex_enqueue('flex_channel_fetch', '{"sid": "CH00000000000000000000000000000000"}', priority => 9)});
$session->value(qq{UPDATE flex_outbox_requests SET arguments = '[]' WHERE id = $bad});
$next = $session->value($chat);
is($session->value("SELECT state FROM flex_outbox_await($next, '10 s')"), 'succeeded', '... sends as ever');
$session->value("ALTER DATABASE postgres RESET ALL");

# Another database, now and at once
$session->value('CREATE DATABASE elsewhere');
my $elsewhere = FlexApi::Session->new($node, database => 'elsewhere');
$elsewhere->value('CREATE SCHEMA "Other"');
$elsewhere->value('CREATE EXTENSION flex_api SCHEMA "Other"');
$id = $elsewhere->value(q{SELECT "Other".flex_enqueue('flex_provisioning_status_fetch', '{}')});
is($elsewhere->value(qq{SELECT state FROM "Other".flex_outbox_await($id, '20 s')}), 'succeeded', 'a database of later has a worker, too; in any schema');
$elsewhere->value('DROP EXTENSION flex_api');
$elsewhere->close;
$session->value('DROP DATABASE elsewhere');
is($session->value("SELECT count(*) FROM pg_database WHERE datname = 'elsewhere'"), 0, '... and does not keep its database from being dropped');

# New settings by a reload
my $server = FlexApi::Simulator->new;
$node->append_conf('postgresql.conf', "flex_api.base_url = '" . $server->url . "'");
$node->reload;
ok(FlexApi::wait_until(sub {
	my $one = $session->value($status);
	$session->value("SELECT state FROM flex_outbox_await($one, '5 s')");
	return scalar($server->requests) > 0;
}, 10), 'a reload reaches the worker');

# The server stops at once though the service hangs, and goes on where it was
$server->post('faults', { delay_ms => 60000, times => -1 });
my $post = $session->value($chat);
my $get = $session->value($status);
ok(FlexApi::wait_until(sub { (grep { $_->{method} eq 'POST' } $server->requests) > 0 }), 'a request hangs');
ok(FlexApi::wait_until(sub { $session->value("SELECT count(*) FROM flex_outbox WHERE state = 'sending'") == 2 }), '... and another');
my $begin = time();
$node->stop('fast');
cmp_ok(time() - $begin, '<', 3 * FlexApi::slowness(), 'stop -m fast does not wait for it');
$server->clear_faults;
$node->start;
$session = FlexApi::Session->new($node);
is($session->value("SELECT state FROM flex_outbox_await($get, '20 s')"), 'succeeded', 'after the start the GET is sent again');
is($session->value("SELECT state FROM flex_outbox WHERE id = $post"), 'uncertain', '... the POST is not');
is(scalar(grep { $_->{method} eq 'POST' } $server->requests), 1, '... it came once');

# Nothing in the log that is not to be expected
$node->stop('fast');
my @lines = grep { /(PANIC|FATAL|ERROR|WARNING):/ && !/terminating|canceling|cannot be|shutting down|wait for an operator|needs transactions of/ } split /\n/, slurp_file($node->logfile);
is_deeply(\@lines, [], 'the log has no errors');
done_testing();
