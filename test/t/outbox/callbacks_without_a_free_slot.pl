# Where max_worker_processes leaves no slot, callbacks run in the sender: one of each role in
# turn, with the sending between them; a warning says once a minute what to raise.  When a
# slot is free they have a process again.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
# the launcher, that of logical replication, and the worker
my $node = FlexApi::node('no_slot', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'", 'fsync = off',
	'max_worker_processes = 3', 'flex_api.callback_timeout = 5min');
my $super = FlexApi::Session->new($node);
my $control = FlexApi::Session->new($node);

$super->value($_) for ('SET client_min_messages = error',
	'CREATE TABLE done (number serial, what text, who text DEFAULT session_user || $$ $$ || current_user || $$ $$ || current_setting($$is_superuser$$), pid integer DEFAULT pg_backend_pid(), at timestamptz DEFAULT clock_timestamp())');
foreach my $role ('many', 'few', 'mallory')
{
	$super->value($_) for ("CREATE ROLE $role", "CREATE SCHEMA $role AUTHORIZATION $role", "GRANT ALL ON done, done_number_seq TO $role",
		"GRANT EXECUTE ON FUNCTION flex_enqueue, flex_webchat_create TO $role",
		"SET ROLE $role", "CREATE FUNCTION $role.notes(r flex_outbox) RETURNS void LANGUAGE plpgsql AS \$\$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); PERFORM pg_sleep(0.1); "
		  . "INSERT INTO done (what) VALUES (r.arguments ->> 'identity'); END \$\$", 'RESET ROLE');
}

sub enqueue
{
	my ($role, $identity, $callback) = @_;
	$super->value("SET ROLE $role") if $role;
	my $id = $super->value("SELECT flex_enqueue('flex_webchat_create', '{\"address_sid\": \"IG00000000000000000000000000000001\", \"identity\": \"$identity\"}'"
		  . ($callback ? ", on_success => '$role.$callback')" : ')'));
	$super->value('RESET ROLE');
	return $id;
}
sub row { my ($id, $columns) = @_; return join '|', map { $_ // '' } @{ $super->query("SELECT $columns FROM flex_outbox WHERE id = $id")->{rows}->[0] }; }
sub ended { my ($id) = @_; return FlexApi::wait_until(sub { row($id, 'state, callback_at') eq 'succeeded|' }); }
sub waits { return $super->value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"); }
sub sender { return $super->value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'flex_api outbox worker'"); }

# One role has many, the other's come later
$control->value('SELECT pg_advisory_lock(1)');
my @many = map { enqueue('many', "many $_", 'notes') } 1 .. 6;
ok(FlexApi::wait_until(sub { waits() == 1 }), 'a callback waits in the sender');
is($super->value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'flex_api callbacks'"), 0, '... there is no process for it');
my @few = map { enqueue('few', "few $_", 'notes') } 1 .. 2;
my $sent = enqueue('', 'sent');
$control->value('SELECT pg_advisory_unlock(1)');
ok(ended($_), 'a request comes to its end') for @many, @few, $sent;
is($super->value('SELECT count(*) FROM done'), 8, 'each callback has run once');
is($super->value('SELECT string_agg(DISTINCT who, $$, $$) FROM done'), 'few few off, many many off', '... in a session of its role');
is($super->value('SELECT DISTINCT pid FROM done'), sender(), '... in the sender');
cmp_ok($super->value("SELECT count(*) FROM done WHERE what LIKE 'many%' AND number < (SELECT max(number) FROM done WHERE what LIKE 'few%')"), '<=', 4,
	'they take turns, by role') or diag $super->value("SELECT string_agg(what, ', ' ORDER BY number) FROM done");
is($super->value("SELECT (SELECT finished_at FROM flex_outbox WHERE id = $sent) < (SELECT max(at) FROM done)"), 't', 'requests are sent between them');
my @warnings = grep { /WARNING/ } split /\n/, slurp_file($node->logfile);
is(scalar(grep { /no background worker slot is free for callbacks/ } @warnings), 1, 'a warning says so, once');
like(slurp_file($node->logfile), qr/HINT:\s+Raise max_worker_processes/, '... and what to raise');

# One that cannot be cancelled takes its time, and the sender with it; the rest is as ever
my $sender = sender();
$super->value($_) for ("ALTER SYSTEM SET flex_api.callback_timeout = '500ms'", 'SELECT pg_reload_conf()', 'DELETE FROM done',
	'SET ROLE mallory', 'CREATE FUNCTION mallory.locks(r flex_outbox) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_lock(4711); END $$', 'RESET ROLE');
ok(ended(enqueue('mallory', 'locks', 'locks')), 'one that locks');
ok(FlexApi::wait_until(sub { $super->value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711") == 0 }), '... its lock goes with it');

# With a free slot
$node->append_conf('postgresql.conf', 'max_worker_processes = 8');
$node->restart;
$super = FlexApi::Session->new($node);
ok(ended(enqueue('many', 'again', 'notes')), 'with a free slot');
isnt($super->value(q{SELECT pid FROM done WHERE what = 'again'}), sender(), '... there is a process');

# A callback in a session that has SET ROLE does not see that role, and the session keeps it
my $drains = FlexApi::node('set_role', $simulator, "flex_api.rate_limits = 'none'", 'fsync = off', 'max_worker_processes = 1');
my $admin = FlexApi::Session->new($drains);
my $me = $admin->value('SELECT current_user');
$admin->value($_) for ('SET client_min_messages = error', 'CREATE ROLE chief SUPERUSER', 'CREATE ROLE plain', 'CREATE SCHEMA plain AUTHORIZATION plain',
	'CREATE TABLE ran (pid integer, who text)', 'GRANT INSERT ON ran TO plain', 'GRANT EXECUTE ON FUNCTION flex_enqueue, flex_webchat_create TO plain', 'SET ROLE plain',
	'CREATE FUNCTION plain.notes(r flex_outbox) RETURNS void LANGUAGE plpgsql AS $$ BEGIN '
	  . q{INSERT INTO ran VALUES (pg_backend_pid(), concat_ws(' ', session_user, current_user, current_setting('role'), current_setting('is_superuser'))); END $$},
	q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}', on_success => 'plain.notes')}, 'RESET ROLE');
my $session = FlexApi::Session->new($drains);
$session->value('SET ROLE chief');
is($session->sqlstate('CALL flex_outbox_drain()'), '00000', 'a superuser that is another by SET ROLE drains');
is($admin->value('SELECT who FROM ran WHERE pid = ' . $session->pid), 'plain plain none off', '... the callback runs there, in a session of its role alone');
is($session->value(q{SELECT concat_ws(' ', session_user, current_user, current_setting('role'), current_setting('is_superuser'))}), "$me chief chief on", '... the session is as it was');
is($session->value('RESET ROLE; SELECT current_user'), $me, '... and can go back');
$drains->stop('fast');

$node->stop('fast');
is_deeply([ grep { /PANIC|TRAP|terminated by signal|outbox worker.*exit code/ } split /\n/, slurp_file($node->logfile) ], [], 'no process has ended badly');
done_testing();
