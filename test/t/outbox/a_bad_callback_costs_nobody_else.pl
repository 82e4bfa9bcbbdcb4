# Callbacks in the worker: one that misbehaves costs no other role a request, an answer
# or a callback, and does not change the worker.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('worker_callbacks', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'",
	'flex_api.callback_timeout = ' . ($ENV{FLEX_SLOW_BUILD} ? 2000 : 1000), 'fsync = off');
my $super = FlexApi::Session->new($node);
$super->value($_) for ('CREATE ROLE plain LOGIN', 'GRANT EXECUTE ON FUNCTION flex_enqueue, flex_webchat_create, flex_outbox_await TO plain',
	'CREATE SCHEMA plain AUTHORIZATION plain', 'CREATE TABLE done (what text, who name)', 'GRANT INSERT ON done TO plain');
my $plain = FlexApi::Session->new($node, user => 'plain');

sub callback
{
	my ($name, $body) = @_;
	return $plain->value("CREATE OR REPLACE FUNCTION plain.$name(r flex_outbox) RETURNS void LANGUAGE plpgsql AS \$\$ BEGIN $body; END \$\$");
}

sub enqueue
{
	my ($session, $callback, $identity) = @_;
	return $session->value("SELECT flex_enqueue('flex_webchat_create', '{\"address_sid\": \"IG00000000000000000000000000000001\", \"identity\": \"$identity\"}', "
		  . "on_success => '$callback')");
}

sub row { my ($id, $columns) = @_; return join '|', map { $_ // '' } @{ $super->query("SELECT $columns FROM flex_outbox WHERE id = $id")->{rows}->[0] }; }

callback('notes', q{INSERT INTO done VALUES (r.context ->> 0, current_user)});
$super->value('CREATE FUNCTION notes_as_owner(r flex_outbox) RETURNS void LANGUAGE sql AS $$ INSERT INTO done VALUES ($1.arguments ->> $q$identity$q$, current_user) $$');
my $id = enqueue($plain, 'plain.notes', 'first');
is($plain->value("SELECT state FROM flex_outbox_await($id)"), 'succeeded', 'a callback in the worker');
is($super->value('SELECT who FROM done'), 'plain', '... runs as the role that enqueued');

# Each of them while another request is in flight
my %wrong = (
	raises => q{RAISE EXCEPTION 'no'},
	raises_cancel => q{RAISE SQLSTATE '57014'},
	raises_shutdown => q{RAISE SQLSTATE '57P01'},
	loops => 'LOOP NULL; END LOOP',
	commits => 'COMMIT',
	escalates => 'RESET SESSION AUTHORIZATION; DELETE FROM flex_outbox_requests',
	listens => q{EXECUTE 'LISTEN x'},
	kills => 'PERFORM pg_terminate_backend(pg_backend_pid())',
	cancels => 'PERFORM pg_cancel_backend(pg_backend_pid())',
	sets => q{SET default_transaction_read_only = on; SET flex_api.timeout = '1ms'; SET flex_api.concurrency = 1;
		SET search_path = nowhere},
);
my $pid = $super->value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'flex_api outbox worker'");
foreach my $name (sort keys %wrong)
{
	callback($name, $wrong{$name});
	$super->value('DELETE FROM done');
	$simulator->clear_faults;
	$simulator->clear_requests;
	$simulator->post('faults', { delay_ms => 400, path => '/v2/WebChats' });
	my $slow = enqueue($super, 'notes_as_owner', 'slow');
	ok(FlexApi::wait_until(sub { $simulator->requests == 1 }), "$name: another's request is in flight");
	my $bad = enqueue($plain, "plain.$name", 'bad');
	ok(FlexApi::wait_until(sub { row($bad, 'state') eq 'succeeded' }), '... the request has its end');
	is($super->value("SELECT state FROM flex_outbox_await($slow, '20 s')"), 'succeeded', '... the other one is not lost');
	is($super->value("SELECT count(*) FROM done WHERE what = 'slow' AND who = current_user"), 1, '... its callback ran');
	is(scalar($simulator->requests), 2, '... each was sent once');
	if ($name eq 'sets') { is(row($bad, 'callback_error'), '', '... it is no error'); }
	else { isnt(row($bad, 'callback_error'), '', '... the error is noted'); }
	$super->value("UPDATE flex_outbox_callbacks SET due_at = NULL WHERE id = $bad");
}
is($super->value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'flex_api outbox worker'"), $pid, 'it is the same worker all the time');
is($super->value('SELECT count(*) FROM flex_outbox'), 1 + 2 * keys %wrong, 'no row was deleted');
is($super->value("SELECT count(*) FROM flex_outbox WHERE state <> 'succeeded'"), 0, 'all have succeeded');

# A hundred that fail do not hold back one that does not
callback('raises', q{RAISE EXCEPTION 'no'});
enqueue($plain, 'plain.raises', "bad$_") for 1 .. 100;
$id = enqueue($super, 'notes_as_owner', 'last');
is($super->value("SELECT state FROM flex_outbox_await($id, '20 s')"), 'succeeded', 'behind a hundred that fail');
ok(FlexApi::wait_until(sub { $super->value("SELECT count(*) FROM done WHERE what = 'last'") == 1 }), '... comes one that does not');
my $attempts = $super->value('SELECT sum(callback_attempts) FROM flex_outbox');
cmp_ok($attempts, '<', 1000, 'they are not tried again without a pause');

# retry() has the worker try a callback again at once that has failed, however long it was to wait
foreach my $again_at ("now() + interval '1 hour'", 'NULL')
{
	callback('raises', q{RAISE EXCEPTION 'no'});
	$super->value('DELETE FROM done');
	$id = enqueue($plain, 'plain.raises', 'again');
	ok(FlexApi::wait_until(sub { row($id, 'callback_error') eq 'no' }), 'a callback fails');
	$super->value("UPDATE flex_outbox_callbacks SET due_at = $again_at WHERE due_at IS NOT NULL");
	# the worker has looked, and sleeps
	my $look = enqueue($super, 'notes_as_owner', 'look');
	ok(FlexApi::wait_until(sub { row($look, 'state') eq 'succeeded' }), '... and is put off');
	ok(FlexApi::wait_until(sub { $super->value("SELECT state FROM pg_stat_activity WHERE pid = $pid") eq 'idle' }), '... the worker sleeps');
	callback('raises', q{INSERT INTO done VALUES ('again', current_user)});
	$simulator->clear_requests;
	$super->value("SELECT flex_outbox_retry($id)");
	ok(FlexApi::wait_until(sub { $super->value("SELECT count(*) FROM done WHERE what = 'again'") == 1 }, 10), '... retry() has it run at once');
	is(row($id, 'state, callback_at, callback_error'), 'succeeded||', '... which ends well');
	is(scalar($simulator->requests), 0, '... and sends nothing');
}

# Advisory locks of the session, which a transaction's end does not release
callback('locks', q{PERFORM pg_advisory_lock(4711); PERFORM pg_advisory_lock_shared(4712); PERFORM pg_advisory_lock(47, 11);
	INSERT INTO done SELECT 'locks', current_user WHERE EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())});
callback('locks_and_raises', q{PERFORM pg_advisory_lock(4713); RAISE EXCEPTION 'no'});
callback('counts_locks', q{INSERT INTO done SELECT 'left: ' || count(*), current_user FROM pg_locks WHERE locktype = 'advisory'});
$super->value('UPDATE flex_outbox_callbacks SET due_at = NULL');
$super->value('DELETE FROM done');
foreach my $name ('locks', 'locks_and_raises')
{
	my $locking = enqueue($plain, "plain.$name", 'locks');
	ok(FlexApi::wait_until(sub { row($locking, 'state') eq 'succeeded' }), "$name: a callback takes advisory locks");
	ok(FlexApi::wait_until(sub { $super->value(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'}) == 0 }, 5), '... which go with it')
	  or diag explain $super->query(q{SELECT pid, objid FROM pg_locks WHERE locktype = 'advisory'})->{rows};
	$super->value("UPDATE flex_outbox_callbacks SET due_at = NULL WHERE id = $locking");
}
is($super->value("SELECT count(*) FROM done WHERE what = 'locks'"), 1, 'it did hold them');
# the next callback of the same turn does not find them either
my @in_order = (enqueue($plain, 'plain.locks', 'first'), map { enqueue($plain, 'plain.counts_locks', "then$_") } 1 .. 3);
ok(FlexApi::wait_until(sub { row($_, 'state') eq 'succeeded' }), 'a request with a callback') for @in_order;
$super->value('DELETE FROM done');
$super->value("INSERT INTO flex_outbox_callbacks (id, role_id, due_at) SELECT id, role_id, now() - interval '1 s' + (id - $in_order[0]) * interval '1 ms' "
	. 'FROM flex_outbox_requests WHERE id IN (' . join(', ', @in_order) . ') ON CONFLICT (id) DO UPDATE SET due_at = excluded.due_at; SELECT flex_outbox_wake()');
ok(FlexApi::wait_until(sub { $super->value("SELECT count(*) FROM done WHERE what LIKE 'left: %'") == 3 }), 'callbacks right after one that locks');
is($super->value("SELECT string_agg(DISTINCT what, ', ') FROM done WHERE what LIKE 'left: %'"), 'left: 0', '... find none of its locks');
is($super->value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'flex_api outbox worker'"), $pid, '... in the same worker');

# A search_path that the worker's database gives it is none of the callbacks'
$super->value($_) for (
	'CREATE SCHEMA lure', 'GRANT USAGE ON SCHEMA lure TO PUBLIC',
	q{CREATE FUNCTION lure.which() RETURNS text LANGUAGE sql AS $$ SELECT 'lure' $$},
	q{CREATE FUNCTION public.which() RETURNS text LANGUAGE sql AS $$ SELECT 'public' $$},
	'CREATE TABLE lure.done (LIKE public.done)', 'GRANT ALL ON lure.done TO PUBLIC',
	'ALTER DATABASE postgres SET search_path = lure, pg_catalog, public', 'DELETE FROM done', "SELECT pg_terminate_backend($pid)");
callback('finds', q{INSERT INTO done VALUES (which() || ' ' || current_setting('search_path'), current_user)});
$id = enqueue($plain, 'plain.finds', 'finds');
ok(FlexApi::wait_until(sub { row($id, 'state') eq 'succeeded' }), 'a worker that begins with a search_path');
isnt($super->value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'flex_api outbox worker'"), $pid, '... a new one');
is($super->value('SELECT what FROM done'), 'public plain, public, pg_temp', '... does not give it to callbacks');
is($super->value('SELECT count(*) FROM lure.done'), 0, '... nor tables that stand there');
$super->value('ALTER DATABASE postgres RESET search_path');

# Told to stop while a callback runs that catches every cancel, as that of the signal is:
# the worker ends soon, and nothing is doubled by the next one
$super->value($_) for ("UPDATE flex_outbox_callbacks SET due_at = NULL", "ALTER SYSTEM SET flex_api.callback_timeout = '5min'", 'SELECT pg_reload_conf()',
	'CREATE SEQUENCE begun', 'GRANT USAGE ON begun TO plain', 'DELETE FROM done');
callback('stays', q{INSERT INTO done VALUES (r.arguments ->> 'identity', current_user);
	IF nextval('public.begun') < 3 THEN LOOP BEGIN PERFORM pg_sleep(1000); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END IF});
sub sleeper { return $super->value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'flex_api callbacks' AND wait_event = 'PgSleep'"); }
ok(FlexApi::wait_until(sub { $super->value('SHOW flex_api.callback_timeout') eq '5min' }), 'callbacks may take long');
$simulator->clear_faults;
$simulator->clear_requests;
$simulator->post('faults', { delay_ms => 600000, path => '/v1/Channels' });
my $hangs = $super->value("SELECT flex_enqueue('flex_channel_create', jsonb_build_object('flex_flow_sid', 'FO' || repeat('a', 32),
	'identity', 'hangs', 'chat_user_friendly_name', 'u', 'chat_friendly_name', 'f'))");
ok(FlexApi::wait_until(sub { $simulator->requests == 1 }), 'a request is in flight');
my $stays = enqueue($plain, 'plain.stays', 'stays');
ok(FlexApi::wait_until(sub { sleeper() }), 'a callback runs that catches cancels');
my $sleeper = sleeper();
$pid = $super->value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'flex_api outbox worker'");
$super->value("SELECT pg_terminate_backend($pid)");
ok(FlexApi::wait_until(sub { $super->value("SELECT count(*) FROM pg_stat_activity WHERE pid IN ($pid, $sleeper)") == 0 }, 5 * FlexApi::slowness()),
	'pg_terminate_backend ends the worker soon, and the callback\'s process with it');
ok(FlexApi::wait_until(sub { row($hangs, 'state') eq 'uncertain' }, 5 * FlexApi::slowness()), '... what was in flight is uncertain');
is(row($stays, 'state, http_status'), 'sending|201', '... the callback is still to be run');
ok(FlexApi::wait_until(sub { my $new = sleeper(); $new && $new != $sleeper }), '... a process of the next worker\'s runs it again');
my $begin = time();
$node->stop('fast');
cmp_ok(time() - $begin, '<', 5 * FlexApi::slowness(), 'the server stops soon, too');
$node->start;
$super = FlexApi::Session->new($node);
ok(FlexApi::wait_until(sub { row($stays, 'state, callback_at') eq 'succeeded|' }), 'after the start it comes to its end');
is($super->value('SELECT count(*) FROM done'), 1, '... its work is there once');
is($super->value('SELECT last_value FROM begun'), 3, '... of three times that it began');
is(scalar($simulator->requests), 2, '... each request was sent once');

$node->stop('fast');
my $log = slurp_file($node->logfile);
is_deeply([ grep { /PANIC|TRAP|terminated by signal|outbox worker.*exit code/ } split /\n/, $log ], [], 'no process has ended badly');
done_testing();
