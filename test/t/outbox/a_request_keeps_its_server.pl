# A request keeps the name of the foreign server that flex_api.server was when it was enqueued.
# It is sent there, with the user mapping of the role that enqueued it, whatever the sender's
# settings are.  Where server, mapping or USAGE is gone it waits, says for what, and goes on
# when that is mended; requests to other servers do not wait with it.
use strict;
use warnings;

use lib 'test/perl';
use File::Spec::Functions qw(rel2abs);
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my @SERVERS = qw(east west);
my @ROLES = qw(alice bob);
my %ACCOUNTS = (alice => { east => 'AC' . 'a' x 32, west => 'AC' . 'b' x 32 }, bob => { east => 'AC' . 'c' x 32, west => 'AC' . 'd' x 32 });
my $directory = rel2abs(PostgreSQL::Test::Utils::tempdir());
my %simulator;

foreach my $server (@SERVERS)
{
	PostgreSQL::Test::Utils::append_to_file("$directory/$server.json", '{"accounts":[' . join(',', map {
		qq({"account_sid":"$ACCOUNTS{$_}{$server}","auth_token":"token-$_-$server"})
	} @ROLES) . ']}');
	$simulator{$server} = FlexApi::Simulator->new('--accounts', "$directory/$server.json");
}
my $elsewhere = FlexApi::Simulator->new;
PostgreSQL::Test::Utils::append_to_file("$directory/credentials", "# nobody yet\n");
chmod 0600, "$directory/credentials" or die $!;
my $node = PostgreSQL::Test::Cluster->new('servers');

$node->init;
$node->append_conf('postgresql.conf', "flex_api.base_url = '" . $elsewhere->url . "'\nflex_api.credentials_file = '$directory/credentials'\nflex_api.rate_limits = none\nshared_preload_libraries = 'flex_api'\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION flex_api');
my $super = FlexApi::Session->new($node);

$super->value("CREATE ROLE $_ LOGIN") foreach @ROLES;
$super->value('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO alice, bob');
# An auth token goes with the account of the server: each role has servers of its own accounts.
foreach my $server (@SERVERS)
{
	foreach my $role (@ROLES)
	{
		$super->value("CREATE SERVER ${server}_$role FOREIGN DATA WRAPPER flex_api OPTIONS (base_url '" . $simulator{$server}->url . "', account_sid '$ACCOUNTS{$role}{$server}')");
		$super->value("GRANT USAGE ON FOREIGN SERVER ${server}_$role TO $role");
		$super->value("CREATE USER MAPPING FOR $role SERVER ${server}_$role OPTIONS (auth_token 'token-$role-$server')");
	}
}
my %session = map { $_ => FlexApi::Session->new($node, user => $_) } @ROLES;

my $ENQUEUE = q{SELECT flex_enqueue('flex_flow_create', '{"friendly_name": "new", "chat_service_sid": "IS00000000000000000000000000000001", "channel_type": "web"}')};
sub enqueue { my ($role, $server) = @_; $session{$role}->value("SET flex_api.server = '$server'"); my $id = $session{$role}->value($ENQUEUE); $session{$role}->value('RESET flex_api.server'); return $id; }
sub refusal { my ($role, $server) = @_; $session{$role}->value("SET flex_api.server = '$server'"); my $error = $session{$role}->query($ENQUEUE)->{error}; $session{$role}->value('RESET flex_api.server'); return defined $error ? "$error->{C} $error->{M}" : 'none'; }
sub row { my ($id, $columns) = @_; return $super->value("SELECT concat_ws('|', $columns) FROM flex_outbox WHERE id = $id"); }
sub sent { my ($id) = @_; return $super->value("SELECT state || ' ' || coalesce(response ->> 'account_sid', error_message, '') FROM flex_outbox_await($id, '" . 120 * FlexApi::slowness() . " s')"); }
sub wait_for { my ($id, $words) = @_; return FlexApi::wait_until(sub { row($id, 'state, error_message') =~ $words }); }
sub paused { my ($code) = @_; $super->value($_) foreach q{ALTER SYSTEM SET flex_api.delivery = off}, 'SELECT pg_reload_conf()'; FlexApi::wait_until(sub { FlexApi::Session->new($node)->value('SHOW flex_api.delivery') eq 'off' }); my @ids = $code->(); return @ids; }
sub resume { $super->value($_) foreach q{ALTER SYSTEM RESET flex_api.delivery}, 'SELECT pg_reload_conf()'; return; }

# Each to its server, with its role's mapping
my @all = map { my $role = $_; map { [ $role, $_, enqueue($role, "${_}_$role") ] } @SERVERS } @ROLES;
is(sent($_->[2]), "succeeded $ACCOUNTS{$_->[0]}{$_->[1]}", "$_->[0]'s request to $_->[1]") foreach @all;
is(row($all[0][2], 'server, account_sid IS NULL'), 'east_alice|t', 'the row has the server, and no account');
is($super->value('SELECT count(DISTINCT server) FROM flex_outbox_lanes'), 4, 'each server has a lane');
$session{alice}->value("SET flex_api.server = 'east_alice'");
my $both = $session{alice}->value("DO \$\$ BEGIN PERFORM flex_enqueue('flex_flow_delete', '{\"sid\": \"FO00000000000000000000000000000001\"}', unique_key => 'first'); PERFORM set_config('flex_api.server', 'west_alice', true);
	PERFORM flex_enqueue('flex_flow_delete', '{\"sid\": \"FO00000000000000000000000000000001\"}', unique_key => 'second'); END \$\$");
is($super->value(q{SELECT string_agg(server, ' ' ORDER BY id) FROM flex_outbox WHERE unique_key IN ('first', 'second')}), 'east_alice west_alice', 'two of one transaction to two servers');
$session{alice}->value('RESET flex_api.server');

# Refused when it is enqueued
like(refusal('alice', 'east_bob'), qr/^42501 permission denied for foreign server east_bob/, 'without USAGE nothing is enqueued');
like(refusal('alice', 'gone'), qr/^55000 there is no server "gone"/, '... nor to a server that is not there');
$super->value($_) foreach 'CREATE FOREIGN DATA WRAPPER another', 'CREATE SERVER another FOREIGN DATA WRAPPER another', 'GRANT USAGE ON FOREIGN SERVER another TO alice';
like(refusal('alice', 'another'), qr/^55000 there is no server "another" of the foreign-data wrapper flex_api/, '... nor to another wrapper\'s');

# A definer's function names the server of its owner
$super->value($_) foreach 'CREATE SCHEMA own AUTHORIZATION alice', 'GRANT USAGE ON SCHEMA own TO bob';
(my $body = $ENQUEUE) =~ s/'/''/g;
$session{alice}->value("CREATE FUNCTION own.leave() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET flex_api.server = 'west_alice' AS '$body'");
$session{bob}->value("SET flex_api.server = 'east_bob'");
is(sent($session{bob}->value('SELECT own.leave()')), "succeeded $ACCOUNTS{alice}{west}", 'a definer\'s function enqueues to its owner\'s server');
$session{bob}->value('RESET flex_api.server');

# What is gone is waited for
my %mends = (
	'a mapping' => [ "DROP USER MAPPING FOR alice SERVER east_alice", qr/server "east_alice" has no user mapping for "alice"\. Use CREATE USER MAPPING/,
		"CREATE USER MAPPING FOR alice SERVER east_alice OPTIONS (auth_token 'token-alice-east')" ],
	'a secret' => [ "ALTER USER MAPPING FOR alice SERVER east_alice OPTIONS (DROP auth_token)", qr/server "east_alice" has no credentials in the user mapping for "alice"/,
		"SELECT flex_user_mapping_set('east_alice', 'alice', '{\"auth_token\": \"token-alice-east\"}')" ],
	'a name' => [ "ALTER SERVER east_alice RENAME TO moved", qr/there is no server "east_alice".*\. Create it, or cancel/, "ALTER SERVER moved RENAME TO east_alice" ],
	'USAGE' => [ "REVOKE USAGE ON FOREIGN SERVER east_alice FROM alice", qr/permission denied for foreign server east_alice/, "GRANT USAGE ON FOREIGN SERVER east_alice TO alice" ],
);
foreach my $missing (reverse sort keys %mends)
{
	my ($break, $words, $mend) = @{ $mends{$missing} };
	my @ids = paused(sub { map { enqueue('alice', 'east_alice') } 1 .. 3 });

	$super->value($break);
	resume();
	ok(wait_for($ids[0], qr/^pending\|.*$words/), "$missing is gone: the request waits, and says so") or diag row($ids[0], 'state, error_message');
	is(row($ids[0], 'attempts'), 0, '... which is no attempt');
	is(sent(enqueue('alice', 'west_alice')), "succeeded $ACCOUNTS{alice}{west}", '... and no other server waits');
	my $planned = $super->value("SELECT run_at FROM flex_outbox WHERE id = $ids[0]");

	$super->value($mend);
	is(sent($_), "succeeded $ACCOUNTS{alice}{east}", "$missing is there again: it is sent") foreach @ids;
	is($super->value("SELECT finished_at < '$planned' FROM flex_outbox WHERE id = $ids[0]"), 't', '... before it would have been tried again by itself');
}
like(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/WARNING: .*requests of the Flex API outbox wait for an operator\n.*DETAIL: .*server "east_alice" .*\n.*HINT: /, 'the log has the hint');

# A retry keeps the server, the sender's settings change nothing
my ($cancelled) = paused(sub { enqueue('alice', 'west_alice') });
$session{alice}->value("SELECT flex_outbox_cancel($cancelled)");
$session{alice}->value("SELECT flex_outbox_retry($cancelled)");
$super->value($_) foreach "SET flex_api.server = 'east_bob'", "SET flex_api.account_sid = '$FlexApi::ACCOUNT'", "SET flex_api.auth_token = '$FlexApi::TOKEN'", 'SET flex_api.delivery = on';
$super->value('CALL flex_outbox_drain()');
is(sent($cancelled), "succeeded $ACCOUNTS{alice}{west}", 'a retry goes where the request was to go, whatever the drain\'s session has set');
$super->value($_) foreach 'RESET flex_api.server', 'RESET flex_api.account_sid', 'RESET flex_api.auth_token', 'RESET flex_api.delivery';
resume();

# Without a server: the sender's counts; with an empty one of the session's own: none
my $undecided = $session{alice}->value($ENQUEUE);
my $none = enqueue('alice', '');
is(row($undecided, "coalesce(server, 'NULL')") . row($none, "coalesce(server, 'NULL')"), 'NULL', 'no server, and the empty one');
ok(wait_for($_, qr/^pending\|/), 'without credentials it waits') foreach $undecided, $none;
$super->value($_) foreach q{ALTER SYSTEM SET flex_api.server = 'east_alice'}, 'SELECT pg_reload_conf()';
is(sent($undecided), "succeeded $ACCOUNTS{alice}{east}", 'what names no server has the sender\'s');
is(row($none, 'state'), 'pending', '... but not what was to have none');
PostgreSQL::Test::Utils::append_to_file("$directory/credentials", "$FlexApi::ACCOUNT:alice:$FlexApi::ACCOUNT:$FlexApi::TOKEN\n");
is(sent($none), "succeeded $FlexApi::ACCOUNT", '... which has the file\'s line');
$session{alice}->value($_) foreach "SET flex_api.account_sid = '$FlexApi::ACCOUNT'", "SET flex_api.auth_token = '$FlexApi::TOKEN'";
my $own = $session{alice}->value($ENQUEUE);
is(row($own, 'server, account_sid'), "|$FlexApi::ACCOUNT", 'a session with a credential of its own enqueues to its account');
is(sent($own), "succeeded $FlexApi::ACCOUNT", '... where its calls go, too');
$session{alice}->value('DISCARD ALL');
is(sent($session{alice}->value($ENQUEUE)), "succeeded $ACCOUNTS{alice}{east}", 'else to the server of everybody');

# A dump keeps the names
my $before = $super->value(q{SELECT string_agg(id || ' ' || coalesce(server, '-'), ',' ORDER BY id) FROM flex_outbox WHERE finished_at IS NOT NULL});
$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', "$directory/dump.sql" ], 'dumped');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok([ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('copy'), '-f', "$directory/dump.sql" ], 'restored');
is($node->safe_psql('copy', q{SELECT string_agg(id || ' ' || coalesce(server, '-'), ',' ORDER BY id) FROM flex_outbox}), $before, 'with the servers\' names');
$node->stop;
done_testing();
