# A worker has the settings of the server and the database, and not those of the role as which it is
# connected, the bootstrap superuser: others' requests are not sent with that role's own credentials.
# It does not end at an error that it catches, whatever exit_on_error is.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('settings', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'",
	"flex_api.max_retries = 7", "work_mem = '5MB'");
my $self = $node->safe_psql('postgres', 'CREATE ROLE admin SUPERUSER LOGIN; SELECT rolname FROM pg_roles WHERE oid = 10');
my $super = FlexApi::Session->new($node, user => 'admin');

$super->value($_) for (
	'SET client_min_messages = error', 'CREATE ROLE alice LOGIN', 'CREATE SCHEMA alice AUTHORIZATION alice',
	'GRANT EXECUTE ON FUNCTION flex_enqueue, flex_webchat_create TO alice', 'GRANT EXECUTE ON PROCEDURE flex_outbox_drain TO alice',
	'SET ROLE alice', 'CREATE TABLE alice.seen (name text, value text)',
	q{CREATE FUNCTION alice.look(r flex_outbox) RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO alice.seen
	  SELECT name, current_setting(name, true) FROM unnest('{app.tenant,app.region,plpgsql.variable_conflict,DateStyle,work_mem,search_path,flex_api.max_retries,flex_api.timeout,flex_api.edge}'::text[]) AS name; END $$},
	q{CREATE FUNCTION alice.fails(r flex_outbox) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$},
	q{CREATE FUNCTION alice.ends(r flex_outbox) RETURNS void LANGUAGE plpgsql AS $$ BEGIN SET exit_on_error = on; RAISE EXCEPTION 'no'; END $$});

# A request of alice's; it is sent by a worker.
sub enqueue
{
	my ($callback) = @_;

	$super->value('SET ROLE alice');
	my $id = $super->value("SELECT flex_enqueue('flex_webchat_create', '{\"address_sid\": \"IG00000000000000000000000000000001\"}', on_success => '$callback')");
	$super->value('RESET ROLE');
	return $id;
}
sub row { my ($id, $columns) = @_; return join '|', map { $_ // '' } @{ $super->query("SELECT $columns FROM flex_outbox WHERE id = $id")->{rows}->[0] }; }
sub await { my ($id) = @_; return $super->value("SELECT state FROM flex_outbox_await($id, '20 s')"); }
sub seen { return $super->value('SELECT string_agg(name || $$: $$ || value, $$; $$ ORDER BY lower(name)) FROM alice.seen') // ''; }

# All workers begin anew.
sub restart
{
	$node->restart;
	$super = FlexApi::Session->new($node, user => 'admin');
	return;
}

# What ALTER ROLE sets for the bootstrap superuser, in all databases or in this one
$super->value($_) for (
	'RESET ROLE', "ALTER ROLE $self SET flex_api.auth_token = 'not that of others'", "ALTER ROLE $self SET flex_api.base_url = 'http://127.0.0.1:1'",
	"ALTER ROLE $self SET flex_api.delivery = off", "ALTER ROLE $self SET flex_api.edge = 'dublin'", "ALTER ROLE $self SET DateStyle = 'German'",
	"ALTER ROLE $self SET search_path = nowhere", "ALTER ROLE $self SET role = alice", "ALTER ROLE $self SET work_mem = '3MB'",
	"ALTER ROLE $self IN DATABASE postgres SET flex_api.max_retries = 3", "ALTER ROLE $self IN DATABASE postgres SET flex_api.timeout = '3s'",
	"ALTER ROLE $self SET app.tenant = 'not that of others'", "ALTER ROLE $self SET app.region = 'dublin'", "ALTER DATABASE postgres SET app.region = 'frankfurt'",
	"ALTER ROLE $self SET plpgsql.variable_conflict = 'use_column'",
	"ALTER DATABASE postgres SET flex_api.timeout = '9s'", "ALTER ROLE ALL SET DateStyle = 'SQL, DMY'");
restart();
is(await(enqueue('alice.look')), 'succeeded', 'a request is sent where the server says, with the credentials that the server has');
is(seen(), 'app.region: frankfurt; app.tenant: ; DateStyle: SQL, DMY; flex_api.edge: ; flex_api.max_retries: 7; flex_api.timeout: 9s; plpgsql.variable_conflict: error; search_path: alice, public, pg_temp; work_mem: 5MB',
	'a callback has the settings of the server, the database and all roles');

# A reload is followed, also of what ALTER ROLE had set
$super->value($_) for ("ALTER SYSTEM SET work_mem = '6MB'", 'ALTER SYSTEM SET flex_api.max_retries = 8', 'SELECT pg_reload_conf()');
ok(FlexApi::wait_until(sub {
	$super->value('DELETE FROM alice.seen');
	await(enqueue('alice.look'));
	return seen() =~ /flex_api.max_retries: 8;.*work_mem: 6MB/;
}, 20), 'a reload is followed') or diag seen();

# The worker of a plain role's drain
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
restart();
$super->value('DELETE FROM alice.seen');
my $id = enqueue('alice.look');
is(FlexApi::Session->new($node, user => 'alice')->sqlstate('CALL flex_outbox_drain()'), '00000', 'a drain by a plain role');
is(row($id, 'state'), 'succeeded', '... sends the request');
like(seen(), qr/flex_api.max_retries: 8; flex_api.timeout: 9s/, '... with the same settings');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'flex_api'");

# An error ends no worker
$super->value($_) for ("ALTER ROLE $self RESET ALL", "ALTER ROLE $self IN DATABASE postgres RESET ALL", 'ALTER DATABASE postgres SET exit_on_error = on');
restart();
$super->value('SET exit_on_error = off');
$id = enqueue('alice.fails');
ok(FlexApi::wait_until(sub { row($id, 'state, callback_error') eq 'succeeded|no' }, 20), 'with exit_on_error the error of a callback is recorded')
  or diag row($id, 'state, callback_attempts, callback_error');

$id = enqueue('alice.ends');
ok(FlexApi::wait_until(sub { row($id, 'state, callback_error') eq 'succeeded|parameter "exit_on_error" cannot be changed now' }, 20), '... and no callback can set it')
  or diag row($id, 'state, callback_attempts, callback_error');

# Strings with backslashes, as in older versions; from 19 on the setting cannot be changed
$super->query('ALTER DATABASE postgres SET standard_conforming_strings = off');
restart();
my $start = -s $node->logfile;
$super->value('SET standard_conforming_strings = on') if $super->value('SHOW standard_conforming_strings') eq 'off';
is(await(enqueue('alice.look')), 'succeeded', 'a request in a database with other strings');
is_deeply([ grep { /WARNING:.*escape/ } split /\n/, slurp_file($node->logfile, $start) ], [], '... of which the log warns of nothing');

$node->stop;
done_testing();
