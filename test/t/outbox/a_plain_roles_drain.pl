# A drain by a role that is no superuser runs in a background worker: what its session has
# set changes nothing for the requests that it sends, its errors come back, a cancel and an
# end of the session end it without a loss, and without a free slot it says what to raise.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('plain_drain', $simulator, "flex_api.rate_limits = 'none'", 'fsync = off');
my $super = FlexApi::Session->new($node);

$super->value($_) for (
	'SET client_min_messages = error', 'CREATE ROLE drainer LOGIN', 'CREATE ROLE plain',
	'GRANT EXECUTE ON FUNCTION flex_enqueue, flex_webchat_create, flex_provisioning_status_fetch TO plain, drainer',
	'GRANT EXECUTE ON PROCEDURE flex_outbox_drain TO drainer', 'CREATE TABLE done (what text, who name)', 'GRANT INSERT ON done TO plain',
	'CREATE SCHEMA plain AUTHORIZATION plain');
sub callback
{
	my ($name, $body) = @_;
	return $super->value("SET ROLE plain; CREATE OR REPLACE FUNCTION plain.$name(r flex_outbox) RETURNS void LANGUAGE plpgsql AS \$\$ BEGIN $body; END \$\$; RESET ROLE");
}
sub enqueue
{
	my ($operation, $more) = @_;
	$super->value('SET ROLE plain');
	my $id = $super->value("SELECT flex_enqueue('$operation'" . ($operation eq 'flex_webchat_create' ? q{, '{"address_sid": "IG00000000000000000000000000000001"}'} : q{, '{}'}) . ($more // '') . ')');
	$super->value('RESET ROLE');
	return $id;
}
sub states { return $super->value("SELECT string_agg(concat_ws(' ', state, error_code), ', ' ORDER BY id) FROM flex_outbox"); }
sub workers { return $super->value("SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('flex_api drain', 'flex_api callbacks')"); }
sub worker { return $super->value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'flex_api drain'"); }
sub fresh { $super->value('DELETE FROM flex_outbox_requests; DELETE FROM done'); $simulator->clear_faults; $simulator->clear_requests; return; }
sub in_flight
{
	my ($drainer) = @_;
	fresh();
	$simulator->post('faults', { delay_ms => 60000, times => -1 });
	enqueue('flex_webchat_create');
	enqueue('flex_provisioning_status_fetch');
	$drainer->send_query('CALL flex_outbox_drain()');
	return ok(FlexApi::wait_until(sub { $simulator->requests == 2 }), 'two requests are in flight');
}
sub check
{
	my ($name) = @_;
	like(states(), qr/^uncertain 08007, pending 0800[67]$/, "$name: what was sent is uncertain, or waits");
	$simulator->clear_faults;
	$super->value("UPDATE flex_outbox_later SET due_at = now()");
	my $drainer = FlexApi::Session->new($node, user => 'drainer');
	is($drainer->sqlstate('CALL flex_outbox_drain()'), '00000', '... the next drain works');
	is($super->value("SELECT string_agg(state, ', ' ORDER BY id) FROM flex_outbox"), 'uncertain, succeeded', '... and sends what may be sent again');
	is(scalar(grep { $_->{method} eq 'POST' } $simulator->requests), 1, '... and nothing else');
	return;
}

# Settings of the session: by SET, by the connection's options, by ALTER ROLE
callback('notes', 'INSERT INTO done VALUES (session_user, current_user)');
my %values = (timeout => '1ms', connect_timeout => '1ms', max_response_size => '1kB', unrepresentable => 'replace', concurrency => 1, account_sid => 'AC' . 'e' x 32,
	auth_token => 'eves', edge => 'dublin', region => 'ie1');
sub drains_well
{
	my ($drainer, $how) = @_;
	fresh();
	$simulator->post('faults', { delay_ms => 200, times => -1 });
	enqueue('flex_webchat_create', ", on_success => 'plain.notes'") for 1 .. 5;
	my $result = $drainer->query('CALL flex_outbox_drain()');
	is($result->{error}, undef, "$how: the drain ends well") or diag explain $result->{error};
	is(states(), join(', ', ('succeeded') x 5), '... and so do the requests');
	is($super->value("SELECT count(*) FROM done WHERE what = 'plain' AND who = 'plain'"), 5, '... and the callbacks, as their role');
	cmp_ok($super->value('SELECT max(started_at) < min(finished_at) FROM flex_outbox'), 'eq', 't', '... all were under way at once');
	is(workers(), 0, '... no worker is left');
	return;
}
my $drainer = FlexApi::Session->new($node, user => 'drainer');
drains_well($drainer, 'as it is');
$drainer->value("SET flex_api.$_ = '$values{$_}'") foreach sort keys %values;
drains_well($drainer, 'SET');
is($drainer->value('SHOW flex_api.timeout'), '1ms', '... the session has its own after it');
drains_well(FlexApi::Session->new($node, user => 'drainer', options => join(' ', map { "-c flex_api.$_=$values{$_}" } sort keys %values)), 'options');
$super->value("ALTER ROLE drainer SET flex_api.$_ = '$values{$_}'") foreach sort keys %values;
drains_well(FlexApi::Session->new($node, user => 'drainer'), 'ALTER ROLE');
$super->value('ALTER ROLE drainer RESET ALL');
# those of server and database count
fresh();
$super->value(q{ALTER DATABASE postgres SET flex_api.account_sid = 'ACffffffffffffffffffffffffffffffff'});
enqueue('flex_webchat_create');
$drainer = FlexApi::Session->new($node, user => 'drainer');
$drainer->value('CALL flex_outbox_drain()');
is(states(), 'pending 55000', 'the account of the database counts, which is not that of the one who has enqueued');
$super->value('ALTER DATABASE postgres RESET flex_api.account_sid');

# a role that the database has set for all sessions is not seen by callbacks
fresh();
$super->value('CREATE ROLE everybodys; ALTER DATABASE postgres SET role = everybodys');
callback('role', q{INSERT INTO done VALUES (current_setting('role') || ' ' || current_setting('is_superuser'), current_user)});
enqueue('flex_webchat_create', ", on_success => 'plain.role'");
is($drainer->sqlstate('CALL flex_outbox_drain()'), '00000', 'a role of the database: the drain ends well');
is($super->value('SELECT what || who FROM done'), 'none offplain', '... the callback is in a session of its role alone');
$super->value('ALTER DATABASE postgres RESET role');

# max_requests, and what is refused before a worker is started
fresh();
enqueue('flex_webchat_create') for 1 .. 3;
is($drainer->sqlstate('CALL flex_outbox_drain(2)'), '00000', 'a drain of two');
is($super->value("SELECT count(*) FROM flex_outbox WHERE state = 'succeeded'"), 2, '... sends two');
is($drainer->sqlstate('CALL flex_outbox_drain(-1)'), '22023', 'a negative number');
is($drainer->sqlstate('BEGIN; CALL flex_outbox_drain()'), '25001', 'in a transaction block');
$drainer->value('ROLLBACK');
# a role without LOGIN drains, too
$super->value('GRANT EXECUTE ON PROCEDURE flex_outbox_drain TO plain; SET ROLE plain');
is($super->sqlstate('CALL flex_outbox_drain()'), '00000', 'a role without LOGIN drains');
is($super->value('RESET ROLE; SELECT count(*) FROM flex_outbox WHERE state = $$succeeded$$'), 3, '... what is due');
$super->value('REVOKE EXECUTE ON PROCEDURE flex_outbox_drain FROM plain');
$super->value('SET ROLE plain');
is($super->sqlstate('CALL flex_outbox_drain()'), '42501', '... nor EXECUTE');
$super->value('RESET ROLE');

# While it waits it holds nothing
in_flight($drainer);
my $pid = $drainer->pid;
ok(FlexApi::is_at_rest($super, $pid), 'the session waits');
ok(FlexApi::is_at_rest($super, worker()), '... and so does the worker');
is($super->value("SELECT count(*) FROM pg_locks WHERE pid IN ($pid, " . worker() . ") AND locktype <> 'virtualxid'"), 0, '... neither it nor the worker holds a lock');
is($super->value("SELECT bool_and(backend_xmin IS NULL AND backend_xid IS NULL) FROM pg_stat_activity WHERE pid IN ($pid, " . worker() . ')'), 't', '... nor a snapshot');

# Cancelled, timed out, terminated; the worker terminated
$super->value("SELECT pg_cancel_backend($pid)");
is($drainer->receive(20 * FlexApi::slowness())->{error}->{C}, '57014', 'a cancel ends it');
is(workers(), 0, '... and its worker');
check('cancelled');
in_flight($drainer);
$super->value('SELECT pg_cancel_backend(' . worker() . ')');
is($drainer->receive(20 * FlexApi::slowness())->{error}->{C}, '57014', 'a cancel of the worker ends it');
check('worker cancelled');
in_flight($drainer);
$super->value('SELECT pg_terminate_backend(' . worker() . ')');
is($drainer->receive(20 * FlexApi::slowness())->{error}->{C}, '57014', 'an end of the worker ends it');
check('worker terminated');
in_flight($drainer);
$super->value("SELECT pg_terminate_backend($pid)");
ok($drainer->receive(20 * FlexApi::slowness())->{closed}, 'an end of the session ends it');
ok(FlexApi::wait_until(sub { workers() == 0 }, 20 * FlexApi::slowness()), '... and its worker');
check('terminated');
$drainer = FlexApi::Session->new($node, user => 'drainer');
in_flight($drainer);
$drainer->close;
$super->value('SELECT pg_cancel_backend(' . $drainer->pid . ')');
ok(FlexApi::wait_until(sub { workers() == 0 }, 20 * FlexApi::slowness()), 'a client that has gone');
check('gone');
$drainer = FlexApi::Session->new($node, user => 'drainer');
$drainer->value("SET statement_timeout = '" . 300 * FlexApi::slowness() . "ms'");
in_flight($drainer);
is($drainer->receive(20 * FlexApi::slowness())->{error}->{C}, '57014', 'statement_timeout of the session ends it');
check('timed out');
$drainer->value('RESET statement_timeout');

# Errors that stop a drain come with their SQLSTATE
fresh();
enqueue('flex_webchat_create');
$super->value($_) for ("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE SQLSTATE ''ZZ001'' USING MESSAGE = ''no'', HINT = ''not so''; END'",
	'CREATE TRIGGER refuses BEFORE UPDATE ON flex_outbox_requests FOR EACH ROW EXECUTE FUNCTION refuse()');
my $error = $drainer->query('CALL flex_outbox_drain()')->{error};
like("$error->{C} $error->{M} $error->{H}", qr/^55000 could not record the results of requests .* Look at its triggers/,
	'an error of the worker is the drain\'s');
$super->value('DROP TRIGGER refuses ON flex_outbox_requests');
is($drainer->sqlstate('CALL flex_outbox_drain()'), '00000', '... and the next one is good');
# a warning of a callback's process, too, without the role's words
callback('raises', q{RAISE WARNING 'own words'; RAISE EXCEPTION 'own words'});
my $id = enqueue('flex_webchat_create', ", on_success => 'plain.raises'");
my $result = $drainer->query('CALL flex_outbox_drain()');
my @told = grep { $_->{M} =~ /^callback of request $id .* failed$/ } @{ $result->{notices} };
is(scalar @told, 1, 'a callback that fails is told to the session that drains');
unlike(join(' ', map { "$_->{M} $_->{D}" } @{ $result->{notices} }), qr/own words/, '... but not what it said');
# one that ends its process is its own affair
$super->value('ALTER ROLE plain SUPERUSER');
callback('ends', 'PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1000)');
fresh();
enqueue('flex_webchat_create', ", on_success => 'plain.ends', priority => 9");
enqueue('flex_webchat_create', ", on_success => 'plain.notes'");
is($drainer->sqlstate('CALL flex_outbox_drain()'), '00000', 'a callback that ends its process does not end the drain');
is($super->value('SELECT what || who FROM done'), 'plainplain', '... and the next has run');
is($super->value('SELECT state || (callback_attempts > 0) FROM flex_outbox WHERE priority = 9'), 'sendingtrue', '... that one is counted, and will be tried again');
$super->value('ALTER ROLE plain NOSUPERUSER');

# No slot
fresh();
$node->append_conf('postgresql.conf', "max_worker_processes = 1\nmax_logical_replication_workers = 1");
$node->restart;
$super = FlexApi::Session->new($node);
$drainer = FlexApi::Session->new($node, user => 'drainer');
enqueue('flex_webchat_create', ", on_success => 'plain.notes'");
$error = $drainer->query('CALL flex_outbox_drain()')->{error};
is($error->{C}, '53400', 'without a free slot it is an error');
like($error->{H}, qr/max_worker_processes/, '... that names the setting');
$result = $super->query('CALL flex_outbox_drain()');
is($result->{error}, undef, 'a superuser\'s drain ends well');
is(join('; ', map { "$_->{M} $_->{H}" } grep { $_->{V} eq 'WARNING' } @{ $result->{notices} }), 'no background worker slot is free for callbacks of the Flex API outbox Raise max_worker_processes.', '... with a warning');
is($super->value('SELECT what || who FROM done'), 'plainplain', '... its callback has run, in a session of the role all the same');
is($super->value('SELECT session_user = current_user AND current_setting($$is_superuser$$) = $$on$$'), 't', '... and the superuser is who he was');

# The server stops
$node->append_conf('postgresql.conf', 'max_worker_processes = 8');
$node->restart;
$drainer = FlexApi::Session->new($node, user => 'drainer');
$super = FlexApi::Session->new($node);
in_flight($drainer);
$node->stop('fast');
$node->start;
$super = FlexApi::Session->new($node);
FlexApi::Session->new($node, user => 'drainer')->value('CALL flex_outbox_drain(0)');
check('server stopped');

$node->stop('fast');
is_deeply([ grep { /PANIC|TRAP|terminated by signal/ } split /\n/, slurp_file($node->logfile) ], [], 'no process has ended badly');
done_testing();
