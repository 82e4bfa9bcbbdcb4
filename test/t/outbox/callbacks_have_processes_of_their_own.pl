# Callbacks run in background workers, one per role: neither a slow callback nor one that
# cannot be cancelled holds up the sending or another role's callbacks; a callback is in a
# session of its role, and leaves nothing to the next; more roles than processes take turns.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('processes', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'",
	'flex_api.callback_timeout = 5min', 'fsync = off', 'restart_after_crash = on');
my $super = FlexApi::Session->new($node);
my $control = FlexApi::Session->new($node);
my @quick = map { "quick$_" } 1 .. 5;
my @slow = map { "slow$_" } 1 .. 3;

$super->value($_) for (
	'SET client_min_messages = error', 'CREATE TABLE done (what text, who name, pid integer DEFAULT pg_backend_pid(), at timestamptz DEFAULT clock_timestamp())',
	'CREATE TABLE others (owner name)', "INSERT INTO others VALUES ('quick1'), ('postgres'), (session_user)", 'ALTER TABLE others ENABLE ROW LEVEL SECURITY',
	'CREATE POLICY own ON others USING (owner = session_user)');
foreach my $role ('mallory', @quick, @slow)
{
	# none has LOGIN
	$super->value($_) for ("CREATE ROLE $role", "CREATE SCHEMA $role AUTHORIZATION $role", "GRANT ALL ON done TO $role", "GRANT SELECT ON others TO $role",
		"GRANT EXECUTE ON FUNCTION flex_enqueue, flex_webchat_create TO $role");
}

sub callback
{
	my ($role, $name, $body) = @_;
	$super->value("SET ROLE $role");
	$super->value("CREATE OR REPLACE FUNCTION $role.$name(r flex_outbox) RETURNS void LANGUAGE plpgsql AS \$\$ BEGIN $body; "
		  . "INSERT INTO done (what, who) VALUES (r.arguments ->> 'identity', current_user); END \$\$");
	return $super->value('RESET ROLE');
}

sub enqueue
{
	my ($role, $name, $identity) = @_;
	$super->value("SET ROLE $role");
	my $id = $super->value("SELECT flex_enqueue('flex_webchat_create', '{\"address_sid\": \"IG00000000000000000000000000000001\", \"identity\": \"$identity\"}'"
		  . ($name ? ", on_success => '$role.$name')" : ')'));
	$super->value('RESET ROLE');
	return $id;
}

sub row { my ($id, $columns) = @_; return join '|', map { $_ // '' } @{ $super->query("SELECT $columns FROM flex_outbox WHERE id = $id")->{rows}->[0] }; }
sub done { my ($what) = @_; return $super->value("SELECT count(*) FROM done WHERE what LIKE '$what'"); }
sub ended { my ($id) = @_; return FlexApi::wait_until(sub { row($id, 'state, callback_at') eq 'succeeded|' }); }
sub sender { return $super->value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'flex_api outbox worker'"); }
sub processes { return $super->value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'flex_api callbacks'"); }

# As whom, in the eyes of everything that asks
my $who = q{INSERT INTO done (what, who) SELECT concat_ws(' ', 'who', session_user, current_user, current_setting('is_superuser'),
	(SELECT count(*) FROM others)), current_user};
callback($_, 'asks', $who) for 'mallory', 'quick1';
ok(ended(enqueue('quick1', 'asks', 'asked')), 'a callback of a role without LOGIN');
ok(ended(enqueue('mallory', 'asks', 'asked')), '... and of another');
is($super->value("SELECT string_agg(what, ', ' ORDER BY what) FROM done WHERE what LIKE 'who%'"), 'who mallory mallory off 0, who quick1 quick1 off 1',
	'each is in a session of its role, and a policy on session_user shows it no other\'s rows');
is($super->value("SELECT count(DISTINCT pid) FROM done WHERE what LIKE 'who%'"), 2, '... each in a process of its own');
my $me = $super->value('SELECT current_user');
$super->value("CREATE FUNCTION asks(r flex_outbox) RETURNS void LANGUAGE plpgsql AS \$\$ BEGIN $who; END \$\$");
$super->value('DELETE FROM done');
my $id = $super->value("SELECT flex_enqueue('flex_webchat_create', '{\"address_sid\": \"IG00000000000000000000000000000001\"}', on_success => 'asks')");
ok(ended($id), 'one of a superuser\'s');
is($super->value('SELECT what FROM done'), "who $me $me on 3", '... is in a superuser\'s');
callback('mallory', 'escapes', 'RESET SESSION AUTHORIZATION');
$id = enqueue('mallory', 'escapes', 'escapes');
ok(FlexApi::wait_until(sub { row($id, 'callback_error') ne '' }), 'a callback cannot leave it');

# What it leaves, in one process and the next
my @leaves = (
	[ 'session locks', 'PERFORM pg_advisory_lock(4711)', q{(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')}, 0 ],
	[ 'settings', q{PERFORM set_config('mallory.left', 'x', false), set_config('work_mem', '77MB', false)},
		q{coalesce(nullif(current_setting('mallory.left', true), ''), 'nothing') || current_setting('work_mem')}, 'nothing4MB' ],
	[ 'sequences', q{CREATE SEQUENCE IF NOT EXISTS mallory.s; PERFORM nextval('mallory.s')}, q{CASE WHEN has_sequence() THEN 'a value' ELSE 'none' END}, 'none' ],
);
$super->value(q{CREATE FUNCTION has_sequence() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM lastval(); RETURN true; EXCEPTION WHEN OTHERS THEN RETURN false; END $$});
if ($super->query('CREATE EXTENSION dblink')->{error}) { diag('dblink is not there: its connections are not looked at'); }
else
{
	$super->value('GRANT EXECUTE ON FUNCTION dblink_connect_u(text, text) TO mallory');
	my $there = 'host=' . $node->host . ' port=' . $node->port . ' dbname=postgres user=' . $me;
	push @leaves, [ 'connections of dblink', "PERFORM dblink_connect_u('left', '$there')", q{coalesce(array_length(dblink_get_connections(), 1), 0)}, 0 ];
}
foreach my $case (@leaves)
{
	my ($name, $leave, $look, $expected) = @$case;
	callback('mallory', 'leaves', $leave);
	callback('mallory', 'looks', "INSERT INTO done (what, who) SELECT 'found ' || ($look)::text, current_user");
	$super->value('DELETE FROM done; UPDATE flex_outbox_callbacks SET due_at = NULL');
	my @ids = (enqueue('mallory', 'leaves', 'leaves'), enqueue('mallory', 'looks', 'looks'));
	ok(ended($_), "$name: a callback has ended") for @ids;
	is(done('leaves'), 1, '... the first well');
	$super->value("INSERT INTO flex_outbox_callbacks (id, role_id, due_at, error) SELECT id, role_id, now() - interval '1 s' + (id - $ids[0]) * interval '1 ms', 'again' "
		. 'FROM flex_outbox_requests WHERE id IN (' . join(', ', @ids) . '); SELECT flex_outbox_wake()');
	ok(ended($_), '... and again, one right after the other') for @ids;
	is($super->value("SELECT string_agg(DISTINCT what, ', ') FROM done WHERE what LIKE 'found%'"), "found $expected", '... the next finds nothing of it');
}
is($super->value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"), 1, 'no connection of theirs is left')
  if @leaves > 3;

# Twelve slow ones of one role: it waits for a lock in the first
$control->value('SELECT pg_advisory_lock(1)');
callback($_, 'waits', 'PERFORM pg_advisory_xact_lock(1)') for @slow;
callback($_, 'notes', 'NULL') for @quick;
my @waiting = map { enqueue('slow1', 'waits', "slow $_") } 1 .. 12;
ok(FlexApi::wait_until(sub { $super->value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == 1 }), 'a slow callback runs');
my $sender = sender();
my $begin = time;
ok(ended(enqueue('quick1', undef, 'sent')), 'meanwhile others\' requests are sent');
ok(ended(enqueue('quick1', 'notes', 'quick')), '... and their callbacks run');
cmp_ok(time - $begin, '<', 2 * FlexApi::slowness(), sprintf '... %.1f s for both', time - $begin);
is(done('slow%'), 0, '... while the slow ones wait');
# as many slow roles as there are processes but one, and more quick roles than processes
push @waiting, enqueue($_, 'waits', 'slow') for @slow[1, 2];
ok(FlexApi::wait_until(sub { $super->value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == 3 }), 'three slow roles');
my @ids = map { my $role = $_; map { enqueue($role, 'notes', "$role $_") } 1 .. 3 } @quick;
ok(ended($_), '... a callback of a quick one') for @ids;
is(done('slow%'), 0, '... while the slow ones wait');
cmp_ok(processes(), '<=', 4, 'the last free slot of max_worker_processes is left');
is(sender(), $sender, 'the sender is the same');
$control->value('SELECT pg_advisory_unlock(1)');
ok(ended($_), 'a slow one comes to its end') for @waiting;
is(done('slow%'), 14, '... each once');
is($super->value("SELECT count(*) FROM done WHERE what = who || ' ' || right(what, 1) AND who LIKE 'quick%'"), 15, '... as did the quick ones');

# An operator's cancel is an error of the callback.  If the callback catches it, its process ends and it runs again
my $waits = "SELECT coalesce(min(pid), 0) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
$control->value('SELECT pg_advisory_lock(3)');
callback('quick4', 'waits', 'PERFORM pg_advisory_xact_lock(3)');
$id = enqueue('quick4', 'waits', 'cancelled');
ok(FlexApi::wait_until(sub { $super->value($waits) }), 'a callback that waits');
$super->value("SELECT pg_cancel_backend(($waits))");
ok(FlexApi::wait_until(sub { row($id, 'callback_error') eq 'canceling statement due to user request' }), '... and is cancelled has failed');
$super->value("DELETE FROM flex_outbox_requests WHERE id = $id");
ok(FlexApi::wait_until(sub { $super->value($waits) == 0 }), '... and does not wait any more');
callback('quick4', 'catches', q{BEGIN PERFORM pg_advisory_xact_lock(3); EXCEPTION WHEN query_canceled THEN
	INSERT INTO done (what, who) VALUES ('caught', current_user); END});
$id = enqueue('quick4', 'catches', 'catches');
ok(FlexApi::wait_until(sub { $super->value($waits) }), 'one that catches a cancel');
my $first = $super->value($waits);
$super->value("SELECT pg_cancel_backend($first)");
ok(FlexApi::wait_until(sub { my $pid = $super->value($waits); return $pid != 0 && $pid != $first }), '... runs again in another process');
is(row($id, 'state, callback_attempts, callback_error'), 'sending|2|', '... which counts, and is no error');
$control->value('SELECT pg_advisory_unlock(3)');
ok(ended($id), '... it comes to its end');
is(done('caught') . done('catches'), '01', '... and nothing is left of the first time');

# One that cannot be cancelled
$super->value($_) for ("ALTER SYSTEM SET flex_api.callback_timeout = '" . ($ENV{FLEX_SLOW_BUILD} ? 2000 : 500) . "ms'", 'SELECT pg_reload_conf()');
ok(FlexApi::wait_until(sub { $super->value('SHOW flex_api.callback_timeout') ne '5min' }), 'callbacks may not take long');
callback('mallory', 'stubborn', 'LOOP BEGIN PERFORM pg_sleep(1000); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP');
$super->value('DELETE FROM done');
$simulator->clear_requests;
$id = enqueue('mallory', 'stubborn', 'stubborn');
ok(FlexApi::wait_until(sub { $super->value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'flex_api callbacks' AND wait_event = 'PgSleep'") == 1 }),
	'a callback that cannot be cancelled');
$simulator->post('faults', { delay_ms => 60000, path => '/v2/WebChats', times => 1 });
my $flying = enqueue('quick1', undef, 'flying');
ok(FlexApi::wait_until(sub { grep { $_->{body} =~ /flying/ } $simulator->requests }), 'another\'s POST is under way');
ok(ended(enqueue('quick2', 'notes', 'beside')), 'another role\'s callback runs');
ok(FlexApi::wait_until(sub { row($id, 'callback_error') ne '' }), 'it is ended');
like(row($id, 'state, http_status, callback_attempts, callback_error'), qr/^succeeded\|201\|1\|callback mallory.stubborn ran longer than .*, and went on/, '... has failed, and that is said');
is(sender(), $sender, 'the sender is the same');
is(row($flying, 'state'), 'sending', 'the other\'s POST is under way');
callback('mallory', 'stubborn', 'NULL');
$super->value("SELECT flex_outbox_retry($id)");
ok(ended($id), 'when it has been mended, it ends well');
is(done('stubborn'), 1, '... once');
is(scalar(grep { $_->{body} =~ /stubborn/ } $simulator->requests), 1, '... and its request was sent once');

# Idle ones go by themselves, and hold up nobody who drops what they are for
ok(FlexApi::wait_until(sub { processes() == 0 }), 'without callbacks there is no process');
ok(ended(enqueue('quick3', 'notes', 'last')), 'one that is idle');
is(processes(), 1, '... is there');
$super->value('DELETE FROM flex_outbox_requests WHERE enqueued_by = $$quick3$$; DROP OWNED BY quick3 CASCADE; DROP ROLE quick3');
$super->value('CREATE DATABASE other TEMPLATE template0');
my $other = FlexApi::Session->new($node, database => 'other');
$other->value($_) for ('CREATE EXTENSION flex_api', 'CREATE FUNCTION nothing(r flex_outbox) RETURNS void LANGUAGE sql AS $$ $$');
$id = $other->value("SELECT flex_enqueue('flex_webchat_create', '{\"address_sid\": \"IG00000000000000000000000000000001\"}', on_success => 'nothing')");
ok(FlexApi::wait_until(sub { $other->value("SELECT state FROM flex_outbox WHERE id = $id") eq 'succeeded' }), 'a callback in another database');
is($super->value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'flex_api callbacks' AND datname = 'other'"), 1, '... has a process there');
$other->close;
is($super->sqlstate('DROP DATABASE other'), '00000', '... which does not keep it from being dropped');

# Killed: the server starts anew, and the callback runs in the end
$super->value($_) for ('DELETE FROM done', 'ALTER SYSTEM RESET flex_api.callback_timeout', 'SELECT pg_reload_conf()');
ok(FlexApi::wait_until(sub { $super->value('SHOW flex_api.callback_timeout') eq '5min' }), 'callbacks may take long again');
callback('mallory', 'first', 'PERFORM pg_advisory_xact_lock(2)');
$control->value('SELECT pg_advisory_lock(2)');
$id = enqueue('mallory', 'first', 'killed');
ok(FlexApi::wait_until(sub { $super->value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == 1 }), 'a callback runs');
kill 'KILL', $super->value("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted");
ok(FlexApi::wait_until(sub { !eval { $super->value('SELECT 1'); 1 } }), 'its process is killed');
ok(FlexApi::wait_until(sub { my $new = eval { FlexApi::Session->new($node) }; $new }), '... the server comes up again');
$super = FlexApi::Session->new($node);
ok(ended($id), '... and the callback to its end');
is($super->value("SELECT count(*) FROM done WHERE what = 'killed'"), 1, '... once');
is(scalar(grep { $_->{body} =~ /killed/ } $simulator->requests), 1, '... its request was sent once');

# The server stops at once while one waits for a lock, and another catches all cancels
$control = FlexApi::Session->new($node);
$control->value('SELECT pg_advisory_lock(2)');
$id = enqueue('mallory', 'first', 'stopped');
ok(FlexApi::wait_until(sub { $super->value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == 1 }), 'a callback waits');
$node->stop('fast');
pass('the server stops');
my @log = split /\n/, slurp_file($node->logfile);
is_deeply([ grep { /PANIC|TRAP|outbox worker.*exit code|terminated by signal (?!9)/ } @log ], [], 'no process has ended badly');
done_testing();
