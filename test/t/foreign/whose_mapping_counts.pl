# A foreign table is read with the user mapping of the current role, or the one for PUBLIC;
# through a view with that of its owner, or of the one who asks where the view is
# security_invoker; in a function with SECURITY DEFINER with that of its owner.  The
# session's settings and the credentials file are nothing to it, and no secret is shown.
use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $SECRET = 'hush';
my %ACCOUNTS = (alice => 'AC' . 'a' x 32, bob => 'AC' . 'b' x 32, public => 'AC' . 'c' x 32);
my $accounts = PostgreSQL::Test::Utils::tempdir() . '/accounts.json';

PostgreSQL::Test::Utils::append_to_file($accounts, '{"accounts":[' . join(',', map {
	qq({"account_sid":"$ACCOUNTS{$_}","auth_token":"$SECRET-$_","keys":[{"sid":"SK) . substr($ACCOUNTS{$_}, 2) . qq(","secret":"$SECRET-key-$_"}]})
} sort keys %ACCOUNTS) . ']}');
my $simulator = FlexApi::Simulator->new('--accounts', $accounts);
my $node = FlexApi::node('mappings', $simulator, 'flex_api.max_retries = 0', 'log_statement = none', 'log_min_messages = debug1');
my $super = FlexApi::Session->new($node);

$super->value($_) foreach map({ "CREATE ROLE $_ LOGIN" } qw(alice bob carol)),
	'CREATE SERVER twilio FOREIGN DATA WRAPPER flex_api', 'GRANT USAGE ON FOREIGN SERVER twilio TO alice, bob, carol',
	'CREATE SCHEMA twilio', 'IMPORT FOREIGN SCHEMA flex FROM SERVER twilio INTO twilio', 'GRANT USAGE, CREATE ON SCHEMA twilio TO alice, bob, carol',
	'GRANT SELECT ON ALL TABLES IN SCHEMA twilio TO alice, bob, carol', 'GRANT EXECUTE ON FUNCTION flex_user_mapping_set TO alice, bob';
sub key { my ($role) = @_; return 'SK' . substr($ACCOUNTS{$role}, 2); }
sub account { my ($session, $sql) = @_; my $result = $session->query($sql // 'SELECT DISTINCT account_sid FROM twilio.flows'); return $result->{error} ? $result->{error}{C} : $result->{rows}[0][0]; }

foreach my $role (sort keys %ACCOUNTS)
{
	$simulator->post('seed', { flows => 2, account_sid => $ACCOUNTS{$role} });
}
my %session = map { $_ => FlexApi::Session->new($node, user => $_) } qw(alice bob carol);

# None, of all, of one's own
is(account($session{alice}), '42704', 'without a mapping a table cannot be read');
$super->value('CREATE USER MAPPING FOR PUBLIC SERVER twilio OPTIONS (api_key \'' . key('public') . "', api_secret '$SECRET-key-public')");
is(account($session{alice}), $ACCOUNTS{public}, 'the mapping for PUBLIC counts at once');
my $result = $session{alice}->query_with('SELECT flex_user_mapping_set($1, $2, $3)', 'twilio', 'alice', qq({"api_key":"${\ key('alice')}","api_secret":"$SECRET-key-alice"}));
ok(!$result->{error}, 'a role with USAGE on the server sets its own, by a parameter') or diag($result->{error}{M});
is(account($session{alice}), $ACCOUNTS{alice}, '... which goes before that for PUBLIC');
is(account($session{bob}), $ACCOUNTS{public}, '... and is no other role\'s');
is($session{alice}->query_with('SELECT flex_user_mapping_set($1, $2, $3)', 'twilio', 'bob', '{"api_key":"SK","api_secret":"x"}')->{error}{C}, '42501', 'a role sets no other\'s');
$result = $session{bob}->query_with('SELECT flex_user_mapping_set($1, $2, $3)', 'twilio', 'bob', qq({"api_key":"${\ key('bob')}","api_secret":"$SECRET-key-bob"}));
is(account($session{bob}), $ACCOUNTS{bob}, 'the other sets its own');

# What a session has set is not used
$session{alice}->value("SET flex_api.auth_token = 'wrong'");
$session{alice}->value("SET flex_api.api_key = 'SK00000000000000000000000000000000'");
is(account($session{alice}), $ACCOUNTS{alice}, 'the session\'s settings are not used');
$session{alice}->value('DISCARD ALL');

# Views and functions
$session{alice}->value($_) foreach 'CREATE VIEW twilio.of_owner AS SELECT account_sid FROM twilio.flows',
	'CREATE VIEW twilio.of_invoker WITH (security_invoker) AS SELECT account_sid FROM twilio.flows',
	'CREATE VIEW twilio.of_both AS SELECT * FROM twilio.of_invoker',
	q{CREATE FUNCTION twilio.of_definer() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT account_sid FROM twilio.flows LIMIT 1'},
	q{CREATE FUNCTION twilio.of_caller() RETURNS text LANGUAGE sql AS 'SELECT account_sid FROM twilio.flows LIMIT 1'},
	'GRANT SELECT ON twilio.of_owner, twilio.of_invoker, twilio.of_both TO bob, carol';
is(account($session{bob}, 'SELECT * FROM twilio.of_owner LIMIT 1'), $ACCOUNTS{alice}, 'a view reads as its owner');
is(account($session{bob}, 'SELECT * FROM twilio.of_invoker LIMIT 1'), $ACCOUNTS{bob}, 'one with security_invoker as the one who asks');
is(account($session{bob}, 'SELECT * FROM twilio.of_both LIMIT 1'), $ACCOUNTS{bob}, '... below another view, too');
is(account($session{bob}, 'SELECT twilio.of_definer()'), $ACCOUNTS{alice}, 'a function with SECURITY DEFINER reads as its owner');
is(account($session{bob}, 'SELECT twilio.of_caller()'), $ACCOUNTS{bob}, 'any other as its caller');
$super->value('SET ROLE bob');
is(account($super), $ACCOUNTS{bob}, 'SET ROLE counts');
$super->value('RESET ROLE');

# Prepared statements, and a mapping that goes
$session{bob}->value('PREPARE p AS SELECT account_sid FROM twilio.flows LIMIT 1');
is(account($session{bob}, 'EXECUTE p'), $ACCOUNTS{bob}, 'a prepared statement');
$super->value('DROP USER MAPPING FOR bob SERVER twilio');
is(account($session{bob}, 'EXECUTE p'), $ACCOUNTS{public}, '... sees a mapping go');
$super->value('REVOKE SELECT ON twilio.flows FROM carol');
is(account($session{carol}), '42501', 'a table needs SELECT');

# The address is a superuser's
$super->value('ALTER SERVER twilio OWNER TO carol');
$super->value('GRANT USAGE ON FOREIGN DATA WRAPPER flex_api TO carol');
foreach my $option ("base_url 'https://evil.example'", "proxy 'http://evil.example:1'", "ca_file '/tmp/x'")
{
	is($session{carol}->sqlstate("ALTER SERVER twilio OPTIONS (ADD $option)"), '42501', "a server's owner cannot set $option");
	is($session{carol}->sqlstate("CREATE SERVER mine FOREIGN DATA WRAPPER flex_api OPTIONS ($option)"), '42501', '... nor for a new one');
}
is($session{carol}->sqlstate("ALTER SERVER twilio OPTIONS (ADD timeout '5s')"), '00000', 'but what leads nowhere');
is($session{carol}->sqlstate("ALTER SERVER twilio OPTIONS (ADD region 'nowhere')"), '00000', 'a region');
is($session{alice}->query('SELECT * FROM twilio.flows')->{error}{C}, 'HV00N', 'one whose edge is not known is an error');
$session{carol}->value('ALTER SERVER twilio OPTIONS (DROP region)');

# No secret is shown
my $shown = '';
foreach my $role (qw(alice bob carol))
{
	foreach my $sql ('SELECT * FROM pg_user_mappings', 'SELECT * FROM information_schema.user_mapping_options WHERE authorization_identifier <> current_user',
		'SELECT * FROM pg_foreign_server', 'EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM twilio.flows', 'SELECT * FROM pg_stat_activity',
		"ALTER USER MAPPING FOR alice SERVER twilio OPTIONS (ADD password '$SECRET')")
	{
		$result = $session{$role}->query($sql);
		$shown .= join ' ', "$role $sql", map({ $_ // '' } %{ $result->{error} // {} }), map { map { $_ // '' } @$_ } @{ $result->{rows} };
	}
}
# A role's own mapping is shown to it, and the one for PUBLIC to the server's owner: PostgreSQL's rule.
$shown =~ s/$SECRET-key-(?:alice|public)//g;
unlike($shown =~ s/\Q(ADD password '$SECRET')\E//gr, qr/$SECRET/, 'no secret in views, plans and errors');
$super->value("ALTER USER MAPPING FOR PUBLIC SERVER twilio OPTIONS (SET api_secret 'wrong')");
is(account($session{bob}), 'TW401', 'a wrong secret is refused by the service');
$result = $session{bob}->query('SELECT * FROM twilio.flows');
like($result->{error}{D}, qr/It was made as SK\w+, from the user mapping for "public" of server "twilio"\./, '... and the error says whose it was');
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile) =~ s/[^\n]*(?:STATEMENT|OPTIONS|execute)[^\n]*//gr, qr/$SECRET/, 'no secret in the log');
$node->stop;
done_testing();
