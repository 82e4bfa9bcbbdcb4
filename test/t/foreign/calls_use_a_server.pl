# With flex_api.server, functions are called at a foreign server's address, with the user
# mapping of the current role, and so are requests of the outbox, with the mapping of the
# role that enqueued them.  A credential of the session's own goes before it, the file after.
use strict;
use warnings;

use lib 'test/perl';
use File::Spec::Functions qw(rel2abs);
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my %ACCOUNTS = (alice => 'AC' . 'a' x 32, bob => 'AC' . 'b' x 32, file => 'AC' . 'f' x 32);
my $directory = rel2abs(PostgreSQL::Test::Utils::tempdir());

PostgreSQL::Test::Utils::append_to_file("$directory/accounts.json", '{"accounts":[' . join(',', map {
	qq({"account_sid":"$ACCOUNTS{$_}","auth_token":"token-$_","keys":[{"sid":"SK) . substr($ACCOUNTS{$_}, 2) . qq(","secret":"key-$_"}]})
} sort keys %ACCOUNTS) . ']}');
PostgreSQL::Test::Utils::append_to_file("$directory/credentials", "$ACCOUNTS{file}:*:$ACCOUNTS{file}:token-file\n");
chmod 0600, "$directory/credentials" or die $!;
my $simulator = FlexApi::Simulator->new('--accounts', "$directory/accounts.json");
my $nowhere = FlexApi::Simulator->new;
my $node = PostgreSQL::Test::Cluster->new('servers');

$node->init;
$node->append_conf('postgresql.conf', "flex_api.base_url = '" . $nowhere->url . "'\nflex_api.credentials_file = '$directory/credentials'\nflex_api.max_retries = 0\nshared_preload_libraries = 'flex_api'\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION flex_api');
my $super = FlexApi::Session->new($node);

$super->value($_) foreach map({ "CREATE ROLE $_ LOGIN" } qw(alice bob carol)),
	"CREATE SERVER twilio FOREIGN DATA WRAPPER flex_api OPTIONS (base_url '" . $simulator->url . "', max_retries '0')",
	'CREATE FOREIGN DATA WRAPPER another', 'CREATE SERVER another FOREIGN DATA WRAPPER another', 'CREATE SCHEMA own AUTHORIZATION alice',
	'GRANT USAGE ON FOREIGN SERVER twilio, another TO alice, bob', 'GRANT SELECT ON flex_outbox_status TO alice, carol', 'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO alice, bob, carol',
	map { "CREATE USER MAPPING FOR $_ SERVER twilio OPTIONS (api_key 'SK" . substr($ACCOUNTS{$_}, 2) . "', api_secret 'key-$_')" } qw(alice bob);
$simulator->post('seed', { flows => 1, account_sid => $ACCOUNTS{$_} }) foreach sort keys %ACCOUNTS;
$super->value("ALTER DATABASE postgres SET flex_api.server = 'twilio'");
# A session has the database's settings from its start, the worker included.
$super->close;
$node->restart;
$super = FlexApi::Session->new($node);
my %session = map { $_ => FlexApi::Session->new($node, user => $_) } qw(alice bob carol);
my $CALL = 'SELECT account_sid FROM flex_flows_list()';

sub outcome { my ($session, $sql) = @_; my $result = $session->query($sql // $CALL); return $result->{error} ? "$result->{error}{C} $result->{error}{M}" : $result->{rows}[0][0]; }

is(outcome($session{$_}), $ACCOUNTS{$_}, "$_ calls with its own mapping") foreach qw(alice bob);
like(outcome($session{carol}), qr/^42501 permission denied for foreign server twilio/, 'without USAGE on the server a call is refused');
$super->value('GRANT USAGE ON FOREIGN SERVER twilio TO carol');
like(outcome($session{carol}), qr/^55000 server "twilio" has no user mapping for "carol"/, 'without a mapping, too');
like($session{carol}->value('SELECT credentials FROM flex_outbox_status'), qr/^none: server "twilio" has no user mapping for "carol"/, '... and the status says so');
like($session{alice}->value('SELECT credentials FROM flex_outbox_status'), qr/^SKa+, from the user mapping for "alice" of server "twilio"$/, 'the status tells whose they are');
$super->value("CREATE USER MAPPING FOR PUBLIC SERVER twilio OPTIONS (auth_token 'token-file')");
like(outcome($session{carol}), qr/^HV00N server "twilio" has no account/, 'a token needs the server\'s account');
$super->value("DROP USER MAPPING FOR PUBLIC SERVER twilio");

# A definer's function, whatever its caller has set
$session{alice}->value($_) foreach q{CREATE FUNCTION own.called() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT account_sid FROM flex_flows_list()'}, 'GRANT USAGE ON SCHEMA own TO bob';
is(outcome($session{bob}, 'SELECT own.called()'), $ACCOUNTS{alice}, 'a function with SECURITY DEFINER calls with its owner\'s mapping');
$session{bob}->value("SET flex_api.server = 'another'");
like(outcome($session{bob}), qr/^55000 there is no server "another" of the foreign-data wrapper flex_api/, 'a server of another wrapper is refused');
is(outcome($session{bob}, 'SELECT own.called()'), $ACCOUNTS{alice}, '... and changes nothing for another\'s function');
$session{bob}->value("SET flex_api.server = 'gone'");
like(outcome($session{bob}), qr/^55000 there is no server "gone"/, 'one that is not there, too');
like(outcome($session{bob}, q{SELECT flex_enqueue('flex_flow_delete', '{"sid": "FO00000000000000000000000000000001"}')}), qr/^55000 there is no server "gone"/,
	'... for the outbox, too');

# Without a server: the file; with a credential of the session: that
$session{bob}->value("SET flex_api.server = ''");
is($session{bob}->sqlstate($CALL), 'TW401', 'without a server the settings count, and the file');
$session{bob}->value($_) foreach 'RESET flex_api.server', "SET flex_api.account_sid = '$FlexApi::ACCOUNT'", "SET flex_api.auth_token = '$FlexApi::TOKEN'";
$nowhere->post('seed', { flows => 1 });
is(outcome($session{bob}), $FlexApi::ACCOUNT, 'a credential of the session goes before the server');
$session{bob}->value('DISCARD ALL');
is(outcome($session{bob}), $ACCOUNTS{bob}, '... and not when it is gone');

# The outbox
my %ids = map { $_ => $session{$_}->value(q{SELECT flex_enqueue('flex_flow_create', '{"friendly_name": "new", "chat_service_sid": "IS00000000000000000000000000000001", "channel_type": "web"}')}) } qw(alice bob carol);
is($session{$_}->value("SELECT state || ' ' || (response ->> 'account_sid') FROM flex_outbox_await($ids{$_}, '60 s')"), "succeeded $ACCOUNTS{$_}", "a request of $_ is sent with the mapping of $_") foreach qw(alice bob);
ok(FlexApi::wait_until(sub { ($session{carol}->value("SELECT error_message FROM flex_outbox WHERE id = $ids{carol}") // '') =~ /no user mapping for "carol"/ }), 'one of a role without a mapping waits, and says why');
is($session{carol}->value("SELECT state FROM flex_outbox WHERE id = $ids{carol}"), 'pending', '... it has not failed');
$super->value("SELECT flex_user_mapping_set('twilio', 'carol', '{\"api_key\": \"SK" . substr($ACCOUNTS{bob}, 2) . "\", \"api_secret\": \"key-bob\"}')");
is($session{carol}->value("SELECT state FROM flex_outbox_await($ids{carol}, '60 s')"), 'succeeded', 'once there is one, it is sent');
$node->stop;
done_testing();
