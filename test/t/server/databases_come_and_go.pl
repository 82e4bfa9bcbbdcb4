# Extensions and databases come and go under a busy worker.  Behaviour: DROP EXTENSION
# ends the worker without an error in the log; CREATE EXTENSION brings another, at once,
# also in databases made later; DROP DATABASE, ALTER DATABASE and a template's copy work
# at once, and a copy sends nothing of the original's.
use strict;
use warnings;

use File::Spec::Functions qw(rel2abs);
use FindBin;
use lib 'test/perl', "$FindBin::RealBin/../../crash";
use FlexApi;
use Outbox;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('databases', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'",
	'allow_in_place_tablespaces = on');
my $session = FlexApi::Session->new($node);
my $AT_ONCE = 2 * FlexApi::slowness(); # what is not done at once waits for a request of 30 s

# Errors and worse in the log since the last time. A process for callbacks that is neither waiting
# nor in a callback when its worker ends it is ended as any background worker is, which PostgreSQL logs as FATAL.
my $log_seen = 0;
sub complaints
{
	my $log = FlexApi::content($node->logfile);
	my @lines = grep { !/terminating background worker "flex_api callbacks"/ } grep { /(ERROR|FATAL|PANIC|WARNING):/ } split /\n/, substr($log, $log_seen);

	$log_seen = length $log;
	return join("\n", @lines);
}

# A new database with the extension, and a session there.
sub database
{
	my ($name, $template) = @_;

	$session->value("CREATE DATABASE $name" . ($template ? " TEMPLATE $template" : ''));
	my $there = FlexApi::Session->new($node, database => $name);
	$there->value('CREATE EXTENSION flex_api') unless $template;
	return $there;
}

# Is a statement done at once?
sub at_once
{
	my ($sql, $name) = @_;
	my $result = $session->query($sql);

	ok(!$result->{error} && $result->{seconds} < $AT_ONCE, $name)
	  or diag($result->{error}->{M} // '', " $result->{seconds} s");
	return;
}

# One request that the worker waits for, and one that is to wait itself.
sub make_busy
{
	my ($there, $name, $delay_ms) = @_;

	$simulator->post('faults', { path => '/v2/WebChats', delay_ms => $delay_ms // 30000, times => 1 });
	my $busy = enqueue($there, "$name-busy");
	ok(FlexApi::wait_until(sub { sent($simulator, "$name-busy") == 1 }), "the worker of $name is busy");
	return ($busy, enqueue($there, "$name-later", "run_at => now() + '1 hour'"));
}

# DROP EXTENSION.
my $first = database('first');
ok(has_worker($session, 'first'), 'a database made later has a worker once it has the extension');
complaints();
make_busy($first, 'first', 2000);
my ($busy_worker) = workers($session, 'first');
ok(FlexApi::is_at_rest($session, $busy_worker), 'it waits for the answer');
is($session->value("SELECT count(*) FROM pg_locks WHERE pid = $busy_worker AND locktype <> 'virtualxid'"), 0, 'and holds no lock meanwhile');
is($first->sqlstate('DROP EXTENSION flex_api'), '00000', 'so DROP EXTENSION does not wait');
$simulator->clear_faults;
ok(FlexApi::wait_until(sub { !workers($session, 'first') }), 'the worker leaves');
is(complaints(), '', 'quietly');
$first->value('CREATE EXTENSION flex_api');
my $again = enqueue($first, 'first-again');
ok(reaches($first, $again, 'succeeded'), 'CREATE EXTENSION brings a worker again');
is($first->sqlstate('BEGIN; DROP EXTENSION flex_api; ROLLBACK'), '00000', 'a DROP that is rolled back');
$again = enqueue($first, 'first-back');
ok(reaches($first, $again, 'succeeded'), 'changes nothing');
is($first->sqlstate('CREATE SCHEMA elsewhere; DROP EXTENSION flex_api; CREATE EXTENSION flex_api SCHEMA elsewhere'), '00000',
	'it may come back in another schema');
$first->value('SET search_path = elsewhere');
$again = enqueue($first, 'first-elsewhere');
ok(reaches($first, $again, 'succeeded'), 'where it works as well');
is(complaints(), '', 'all that without a complaint');

# DROP EXTENSION comes while the worker waits for one of the tables: both take them in one
# order, so that neither waits for what the other has.
my ($blocker, $dropper) = map { FlexApi::Session->new($node, database => 'first') } 1 .. 2;
$blocker->value('BEGIN; LOCK TABLE elsewhere.flex_outbox_holds');
enqueue($first, 'first-locked');
ok(FlexApi::wait_until(sub { $session->value(
	"SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'flex_api outbox worker' AND datname = 'first' AND wait_event_type = 'Lock'") }),
	'the worker waits for a table');
$dropper->send_query('DROP EXTENSION flex_api');
my $waits_for = q{SELECT string_agg(locktype, ' ') FROM pg_locks WHERE NOT granted AND pid = } . $dropper->pid;
FlexApi::wait_until(sub { $session->value("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = " . $dropper->pid) });
is($session->value($waits_for), 'relation', 'DROP EXTENSION waits for a table');
$blocker->value('ROLLBACK');
is($dropper->receive->{error}, undef, 'and works when the worker is through');
is(complaints(), '', 'quietly');
$first->value('CREATE EXTENSION flex_api SCHEMA elsewhere');
$_->close foreach $blocker, $dropper;

# DROP EXTENSION comes while a callback begins, which has the tables and then reads a view. Here DROP takes the views
# first, as what pg_depend says of them stands where there was room before the tables: neither waits for what the other has.
{
	$session->value('CREATE DATABASE dropped');
	my ($there, $pause, $dropper) = map { FlexApi::Session->new($node, database => 'dropped') } 1 .. 3;
	$there->value($_) foreach 'SET client_min_messages = error', 'CREATE SCHEMA gone',
		q{DO $$ BEGIN FOR i IN 1 .. 1000 LOOP EXECUTE format('CREATE TYPE gone.t%s AS ENUM ()', i); END LOOP; END $$},
		'CREATE EXTENSION flex_api', 'DROP SCHEMA gone CASCADE', 'VACUUM pg_depend',
		(map { ("ALTER EXTENSION flex_api DROP VIEW $_", "ALTER EXTENSION flex_api ADD VIEW $_") } 'flex_outbox_all', 'flex_outbox'),
		'CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NEW; END $$',
		'CREATE TRIGGER pause BEFORE UPDATE ON flex_outbox_callbacks FOR EACH ROW WHEN (NEW.due_at IS NULL) EXECUTE FUNCTION pause()',
		'CREATE FUNCTION nothing(r flex_outbox) RETURNS void LANGUAGE sql AS $$ SELECT $$';
	$pause->value('SELECT pg_advisory_lock(7)');
	enqueue($there, 'dropped', q(on_success => 'nothing', on_failure => 'nothing'));
	ok(FlexApi::wait_until(sub { $session->value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == 1 }), 'a callback begins');
	$dropper->send_query('DROP EXTENSION flex_api CASCADE');
	my $waits = 'SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = ' . $dropper->pid;
	ok(FlexApi::wait_until(sub { $session->value($waits) == 1 }), '... DROP EXTENSION waits for it');
	$pause->value('SELECT pg_advisory_unlock(7)');
	is($dropper->receive->{error}, undef, '... and comes to its end');
	ok(FlexApi::wait_until(sub { !workers($session, 'dropped') }), '... the worker leaves');
	is(complaints(), '', '... both without a complaint');
	$_->close foreach $there, $pause, $dropper;
}

# A worker that looks while DROP and CREATE EXTENSION are being committed: the new extension can
# be seen, and what the worker remembers of the old one has not been called out of date.
my $folder = rel2abs(PostgreSQL::Test::Utils::tempdir);
my $includes = $node->config_data('--includedir-server');
my $compiler = $ENV{CC} // 'gcc';
SKIP:
{
	skip 'no C compiler for a commit that takes its time', 3
	  if system("$compiler -shared -fPIC -I'$includes' -o '$folder/slow_commit.so' '$FindBin::RealBin/../../crash/slow_commit.c' 2>'$folder/cc.log'") != 0;
	# before the outbox does anything in this session, so that the worker is woken first
	my $slow = FlexApi::Session->new($node, database => 'first');

	$slow->value($_) foreach "LOAD '$folder/slow_commit.so'", 'SET slow_commit.ms = 300';
	foreach my $schema ('public', 'elsewhere')
	{
		is($slow->sqlstate("DROP EXTENSION flex_api; CREATE EXTENSION flex_api SCHEMA $schema"), '00000',
			"a worker that looks while the extension comes back in $schema");
		$slow->value("SET search_path = $schema");
		my $found = enqueue($slow, "first-$schema");
		ok(reaches($slow, $found, 'succeeded'), '... finds it there');
	}
	is(complaints(), '', 'without a complaint');
	$slow->close;
}

# A template whose worker is busy, and its copy.
my $origin = database('origin');
my ($busy, $later) = make_busy($origin, 'origin');
my $plenty = enqueue($origin, 'origin-callback', "run_at => now() + '1 hour'");
$origin->close;
at_once('CREATE DATABASE copy TEMPLATE origin', 'a copy of a database whose worker is busy');
$origin = FlexApi::Session->new($node, database => 'origin');
my $copy = FlexApi::Session->new($node, database => 'copy');
is(state_of($origin, $busy), 'uncertain', 'the request that was under way is not known to be done');
is(state_of($origin, $later), 'pending', 'what waited waits');
my $mine = enqueue($copy, 'copy-mine');
ok(reaches($copy, $mine, 'succeeded'), 'the copy sends its own');
$_->value("SET session_replication_role = origin; UPDATE flex_outbox_later SET due_at = now(); SELECT flex_outbox_wake()")
  foreach $copy, $origin;
ok(reaches($origin, $later, 'succeeded'), 'the original sends what waited');
ok(reaches($copy, $later, 'cancelled'), 'the copy cancels it');
is(sent($simulator, 'origin-later'), 1, 'so it is sent once');
$_->close foreach $origin, $copy;

# Renamed, moved, dropped.
at_once('ALTER DATABASE origin RENAME TO renamed', 'RENAME of a database with a worker');
my $renamed = FlexApi::Session->new($node, database => 'renamed');
my $id = enqueue($renamed, 'renamed-new');
ok(reaches($renamed, $id, 'succeeded'), 'which works on under the new name');
($busy) = make_busy($renamed, 'renamed');
$renamed->close;
$session->value(q{CREATE TABLESPACE other LOCATION ''});
at_once('ALTER DATABASE renamed SET TABLESPACE other', 'and while its worker is busy, to another tablespace');
$renamed = FlexApi::Session->new($node, database => 'renamed');
is(state_of($renamed, $busy), 'uncertain', 'the request under way is uncertain');
make_busy($renamed, 'renamed-again');
$renamed->close;
at_once('DROP DATABASE renamed', 'DROP DATABASE while its worker is busy');
at_once('DROP DATABASE copy', 'DROP DATABASE of one whose worker is idle');
is($session->sqlstate('CREATE DATABASE first TEMPLATE first'), '42P04', 'a command that fails');
$first->close;
$first = FlexApi::Session->new($node, database => 'first');
$first->value('SET search_path = elsewhere');
$again = enqueue($first, 'first-after');
ok(reaches($first, $again, 'succeeded'), 'leaves the worker where it was');
is($session->value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'flex_api launcher'"), 1, 'one launcher for all');

# A role that may not drop or copy a database does not end its worker, nor does a command
# that cannot be run where it stands.
$session->value('CREATE ROLE nobody LOGIN; CREATE ROLE creator LOGIN CREATEDB; CREATE ROLE owner LOGIN CREATEDB');
my ($staying) = workers($session, 'first');
my $begun = "SELECT backend_start FROM pg_stat_activity WHERE pid = $staying";
my $since = $session->value($begun);

# Tries a statement as a role, by itself and in a transaction that goes on.
sub in_vain
{
	my ($role, $sql, $code) = @_;
	my $there = FlexApi::Session->new($node, user => $role);

	is($there->sqlstate($sql), $code, "$sql as $role") if $code ne '25001';
	$there->value('BEGIN; SAVEPOINT s');
	is($there->sqlstate($sql), $sql =~ /RENAME/ ? $code : '25001', "$sql as $role in a transaction");
	$there->value('ROLLBACK TO s');
	my $meanwhile = enqueue($first, "first-meanwhile-$role");
	ok(reaches($first, $meanwhile, 'succeeded'), '... meanwhile requests are sent');
	is(join(' ', workers($session, 'first')) . ' ' . ($session->value($begun) // ''), "$staying $since", '... by the same worker');
	$there->close;
	return;
}

foreach my $role ('nobody', 'creator')
{
	in_vain($role, 'DROP DATABASE first', '42501');
	in_vain($role, 'DROP DATABASE first WITH (FORCE)', '42501');
	in_vain($role, 'ALTER DATABASE first RENAME TO other', '42501');
	in_vain($role, 'ALTER DATABASE first SET TABLESPACE pg_default', '42501');
	in_vain($role, 'CREATE DATABASE other TEMPLATE first', '42501');
}
in_vain($session->value('SELECT current_user'), $_, '25001')
  foreach 'DROP DATABASE first', 'ALTER DATABASE first SET TABLESPACE pg_default', 'CREATE DATABASE other TEMPLATE first';
# a failure lets the worker in again though its transaction goes on
$session->value('BEGIN; SAVEPOINT s');
is($session->sqlstate('ALTER DATABASE first RENAME TO postgres'), '42P04', 'a command that fails in a transaction');
$session->value('ROLLBACK TO s');
my $open = enqueue($first, 'first-open');
ok(reaches($first, $open, 'succeeded'), 'keeps no worker away while that is open');
$session->value('ROLLBACK');
# its owner may, and anybody who may create databases may copy a template
$session->value($_) foreach 'ALTER DATABASE first OWNER TO owner';
$first->close;
foreach (['owner', 'CREATE DATABASE copied TEMPLATE first'], ['owner', 'ALTER DATABASE first RENAME TO second'],
	['superuser', 'ALTER DATABASE second IS_TEMPLATE true'], ['creator', 'CREATE DATABASE copied_too TEMPLATE second'],
	['superuser', 'ALTER DATABASE second IS_TEMPLATE false'], ['owner', 'DROP DATABASE copied'], ['owner', 'ALTER DATABASE second RENAME TO first'])
{
	my ($role, $sql) = @$_;
	my $there = $role eq 'superuser' ? $session : FlexApi::Session->new($node, user => $role);
	is($there->sqlstate($sql), '00000', "$sql as $role, in spite of its worker");
}
$session->value('DROP DATABASE copied_too');
$first = FlexApi::Session->new($node, database => 'first');
$first->value('SET search_path = elsewhere');
$again = enqueue($first, 'first-owned');
ok(reaches($first, $again, 'succeeded'), 'which is there again');

# A database that admits nobody is left alone, without an error each time, until it does again.
$session->value('ALTER DATABASE first ALLOW_CONNECTIONS false');
complaints();
my ($last) = workers($session, 'first');
$session->value("SELECT pg_terminate_backend($last)");
ok(FlexApi::wait_until(sub { !workers($session, 'first') }), 'a worker ends');
ok(!FlexApi::wait_until(sub { workers($session, 'first') }, 3), 'none comes where no connections are allowed');
is(complaints(), '', '... nor an error');
$session->value('ALTER DATABASE first ALLOW_CONNECTIONS true');
ok(has_worker($session, 'first'), 'one comes when they are');

# All databases have their worker again after a restart.
$simulator->clear_faults;
$node->restart;
$session = FlexApi::Session->new($node);
ok(has_worker($session, $_), "after a restart $_ has a worker") foreach 'postgres', 'first';
ok(FlexApi::wait_until(sub { workers($session) == 2 }), 'databases without the extension keep none');

$node->stop;
done_testing();
