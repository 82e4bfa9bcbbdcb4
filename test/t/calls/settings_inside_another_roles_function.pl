# Which value of a setting counts for a call: inside another role's SECURITY DEFINER
# function never what the caller has set, in whatever way; a row of
# the table in sql/OPERATING.md each.  With and without the library preloaded.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use MIME::Base64;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my ($servers, $eves, $supports, $databases) = map { 'AC' . $_ x 32 } qw(0 e 5 d);
my $key = 'SK' . 'e' x 32;

# Notes the credential that comes.  /slow takes a while, /large is 3 kB, and /flaky is
# refused the first two times.
my $server = FlexApi::Server->new(sub {
	my ($connection, $server) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		my ($basic) = $request->{head} =~ /^authorization: *basic (\S+)/mi;
		$server->note($request->{path} eq '/refused' ? 'refused' : decode_base64($basic // ''));
		sleep 0.3 if $request->{path} eq '/slow';
		my $flaky = $request->{path} eq '/flaky' && $server->notes < 3;
		my $json = $request->{path} eq '/large' ? '{"x": "' . 'x' x 3000 . '"}' : $request->{path} eq '/nul' ? '{"x": "\u0000"}' : '{}';
		print $connection FlexApi::Server::answer($json, $flaky ? '503 Service Unavailable' : '200 OK') or return;
	}
});
# Notes which host is asked for, takes a while, and refuses.
my $proxy = FlexApi::Server->new(sub {
	my ($connection, $server) = @_;
	my $request = FlexApi::Server::read_request($connection) or return;
	$server->note($request->{path});
	sleep 0.3;
	print $connection "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
});

my $node = PostgreSQL::Test::Cluster->new('effective');
$node->init;
$node->append_conf('postgresql.conf', <<"CONF");
flex_api.base_url = '@{[ $server->url ]}'
flex_api.account_sid = '$servers'
flex_api.auth_token = 'servers'
flex_api.unrepresentable = 'replace'
CONF
$node->start;
$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION flex_api;
CREATE ROLE support LOGIN;
CREATE ROLE eve LOGIN;
CREATE ROLE friend LOGIN;
GRANT friend TO eve;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO support, eve, friend;
GRANT EXECUTE ON PROCEDURE flex_outbox_drain TO support, eve;
GRANT CREATE ON SCHEMA public TO support, eve;
SET ROLE support;
CREATE FUNCTION support_get(path text DEFAULT '/') RETURNS int LANGUAGE sql SECURITY DEFINER AS
	'SELECT status FROM flex_request(''GET'', path)';
CREATE FUNCTION support_nested(path text DEFAULT '/') RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT support_get(path)';
CREATE FUNCTION support_enqueue() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS
	'SELECT flex_enqueue(''flex_webchat_create'', ''{"address_sid": "IG00000000000000000000000000000001"}'', run_at => ''9999-01-01'')';
CREATE FUNCTION support_with_clause() RETURNS int LANGUAGE sql SECURITY DEFINER
	SET flex_api.account_sid = '$supports' SET flex_api.auth_token = 'supports' AS 'SELECT status FROM flex_request(''GET'', ''/'')';
CREATE FUNCTION support_calls_with_clause() RETURNS int LANGUAGE sql SECURITY DEFINER
	SET flex_api.account_sid = '$supports' SET flex_api.auth_token = 'supports' AS 'SELECT support_get()';
CREATE FUNCTION support_sets() RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS \$\$
BEGIN
	SET LOCAL flex_api.account_sid = '$supports';
	PERFORM set_config('flex_api.auth_token', 'supports', true);
	RETURN support_get();
END \$\$;
CREATE FUNCTION support_calls(name text) RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS
	'DECLARE result int; BEGIN EXECUTE format(''SELECT %I()'', name) INTO result; RETURN result; END';
CREATE PROCEDURE support_drain() LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN CALL flex_outbox_drain(); END';
SET ROLE eve;
CREATE FUNCTION eve_get() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT status FROM flex_request(''GET'', ''/'')';
CREATE FUNCTION eve_invokes() RETURNS int LANGUAGE sql SET flex_api.account_sid = '$eves' SET flex_api.auth_token = 'clauses' AS
	'SELECT status FROM flex_request(''GET'', ''/'')';
SQL

# The credential that the call of a session brings, or its error's SQLSTATE.
sub used
{
	my ($session, $call) = @_;

	$server->clear_notes;
	my $state = $session->sqlstate("SELECT $call");
	return $state eq '00000' ? join(' ', $server->notes) : $state;
}

# Both at once: what the owner's function brings, and what the role's own call does.
sub both { my ($session) = @_; return used($session, 'support_get()') . ' ' . used($session, "status FROM flex_request('GET', '/')"); }
sub session { my ($user, $options) = @_; return FlexApi::Session->new($node, user => $user, options => $options // ''); }

sub check_ways
{
	my ($when) = @_;
	my $theirs = "$servers:servers";
	my $hers = "$eves:eves";
	my $eve = session('eve');

	is(both($eve), "$theirs $theirs", "$when: nothing is set");
	$eve->value("SET flex_api.account_sid = '$eves'");
	$eve->value("SET flex_api.auth_token = 'eves'");
	is(both($eve), "$theirs $hers", "$when: SET counts for the role's own calls alone");
	is(used($eve, 'support_nested()'), $theirs, '... nor in a function that calls another');
	is(used($eve, 'eve_get()'), $hers, '... but in the role\'s own function');
	is(used($eve, q{support_calls('eve_get')}), $hers, '... also when it is called by another\'s');
	is(used($eve, 'support_with_clause()'), "$supports:supports", '... a SET clause counts in its function');
	is(used($eve, 'support_calls_with_clause()'), "$supports:supports", '... and in those of the same role that this calls');
	is(used($eve, 'support_sets()'), "$supports:supports", '... what the function\'s body sets does, too');
	is(used($eve, 'eve_invokes()'), "$eves:clauses", '... the clause of an ordinary function is the caller\'s');
	is(used($eve, q{support_calls('eve_invokes')}), "$eves:clauses", '... which may be another function\'s owner');
	is($eve->value('SELECT account_sid FROM flex_outbox WHERE false UNION ALL SELECT support_enqueue()::text') =~ /^\d+$/, 1, '... a request is enqueued');
	is($node->safe_psql('postgres', 'SELECT account_sid, enqueued_by FROM flex_outbox ORDER BY id DESC LIMIT 1'), "$servers|support",
		'... for the account of the function\'s owner');
	$eve->value('RESET ALL');
	is(both($eve), "$theirs $theirs", "$when: RESET");

	# In other ways
	$eve->value("SELECT set_config('flex_api.account_sid', '$eves', false), set_config('flex_api.auth_token', 'eves', false)");
	is(both($eve), "$theirs $hers", "$when: set_config()");
	$eve->value('DISCARD ALL');
	is(both($eve), "$theirs $theirs", "$when: DISCARD ALL");
	$eve->value("BEGIN; SET LOCAL flex_api.account_sid = '$eves'; SET LOCAL flex_api.auth_token = 'eves'");
	is(both($eve), "$theirs $hers", "$when: SET LOCAL");
	$eve->value("SAVEPOINT s; SET flex_api.auth_token = 'others'");
	is(both($eve), "$theirs $eves:others", '... a SET after a savepoint');
	$eve->value('ROLLBACK TO s');
	is(both($eve), "$theirs $hers", '... which is rolled back to');
	$eve->value('ROLLBACK');
	is(both($eve), "$theirs $theirs", '... and the end of the transaction');
	$eve->value("BEGIN; SET flex_api.auth_token = 'eves'; ROLLBACK");
	is(both($eve), "$theirs $theirs", "$when: SET that is rolled back");
	$eve->value("SET flex_api.auth_token = ''");
	is(used($eve, 'support_get()'), $theirs, "$when: an empty value is one, too");
	$eve->value('RESET ALL');
	$eve->value("SET flex_api.api_key = '$key'; SET flex_api.api_secret = 'eves'; SET flex_api.auth_token = ''");
	is(both($eve), "$theirs $key:eves", "$when: a key and its secret");
	$eve->value('RESET ALL');

	# A key goes before a token, but the session's token before a key of the database's
	$eve->value("SET flex_api.account_sid = '$eves'; SET flex_api.auth_token = 'eves'; SET flex_api.api_key = '$key'; SET flex_api.api_secret = 'keys'");
	is(both($eve), "$theirs $key:keys", "$when: key and token");
	$node->safe_psql('postgres', "SET client_min_messages = error; ALTER DATABASE postgres SET flex_api.api_key = 'SKd'; ALTER DATABASE postgres SET flex_api.api_secret = 'databases'");
	$eve = session('eve');
	is(both($eve), 'SKd:databases SKd:databases', "$when: a key of the database's beside the server's token");
	$eve->value("SET flex_api.account_sid = '$eves'; SET flex_api.auth_token = 'eves'");
	is(both($eve), "SKd:databases $hers", '... and the session\'s token');
	$node->safe_psql('postgres', 'ALTER DATABASE postgres RESET ALL');
	$eve = session('eve');

	# After SET ROLE what was set counts for the role's own calls; inside a function of the one that has set it, as well
	$eve->value("SET flex_api.account_sid = '$eves'; SET flex_api.auth_token = 'eves'; SET ROLE friend");
	is(both($eve), "$theirs $hers", "$when: SET ROLE");
	is(used($eve, 'eve_get()'), $hers, '... and the function of the role that has SET');
	$eve->value("SET flex_api.auth_token = 'friends'");
	is(both($eve), "$theirs $eves:friends", '... SET as the other role');
	is(used($eve, 'eve_get()'), "$eves:servers", '... is not that of the first one');
	$eve->value('RESET ROLE; RESET ALL');

	# Connection options and ALTER ROLE have replaced what counts: no call, and none to the caller's account
	$eve = session('eve', "-c flex_api.account_sid=$eves -c flex_api.auth_token=eves");
	is(both($eve), "55000 $hers", "$when: connection options");
	is(used($eve, 'eve_get()'), $hers, '... count in the role\'s own function');
	is(used($eve, 'support_with_clause()'), "$supports:supports", '... and not where a SET clause does');
	is($eve->sqlstate('SELECT support_enqueue()'), '55000', '... nothing is enqueued');
	my $error = $eve->query('SELECT support_get()')->{error};
	like("$error->{M} $error->{H}", qr/"flex_api\.\w+" for calls of role "support" is not known.*SET clause/, '... the error says what to do')
	  or diag explain $error;
	unlike(join(' ', %$error), qr/eves/, '... and tells no secret');
	$eve->value("SET flex_api.account_sid = '$servers'; SET flex_api.auth_token = 'servers'");
	is(used($eve, 'support_get()'), '55000', '... a SET after it does not help');
	$node->safe_psql('postgres', "ALTER ROLE eve SET flex_api.account_sid = '$eves'; SET client_min_messages = error; ALTER ROLE eve SET flex_api.auth_token = 'eves'");
	is(both(session('eve')), "55000 $hers", "$when: ALTER ROLE ... SET");
	$node->safe_psql('postgres', 'ALTER ROLE eve RESET ALL; SET client_min_messages = error; ' .
		"ALTER ROLE eve IN DATABASE postgres SET flex_api.account_sid = '$eves'; ALTER ROLE eve IN DATABASE postgres SET flex_api.auth_token = 'eves'");
	is(both(session('eve')), "55000 $hers", "$when: ALTER ROLE ... IN DATABASE ... SET");
	$node->safe_psql('postgres', 'ALTER ROLE eve IN DATABASE postgres RESET ALL; SET client_min_messages = error; ' .
		"ALTER DATABASE postgres SET flex_api.account_sid = '$databases'; ALTER DATABASE postgres SET flex_api.auth_token = 'databases'");
	$eve = session('eve');
	is(both($eve), "$databases:databases $databases:databases", "$when: ALTER DATABASE ... SET is for all");
	$eve->value("SET flex_api.account_sid = '$eves'; SET flex_api.auth_token = 'eves'");
	is(both($eve), "$databases:databases $hers", '... and what SET replaces');
	$node->safe_psql('postgres', 'ALTER DATABASE postgres RESET ALL');
	return;
}

# Settings that are no credentials: what the value does to the role's own call, and not to the owner's
sub check_others
{
	my ($when) = @_;
	my @rows = (
		[ 'timeout', '1ms', '/slow', qr/^08/ ],
		[ 'max_retries', '0', '/flaky', qr/^TW503$/ ],
		[ 'unrepresentable', 'error', '/nul', qr/^08P01$/ ],
		[ 'max_response_size', '1kB', '/large', qr/^54000$|^08P01$/ ]);

	foreach my $row (@rows)
	{
		my ($name, $value, $path, $refusal) = @$row;
		my $eve = session('eve');

		$eve->value("SET flex_api.$name = '$value'");
		$server->clear_notes;
		is($eve->sqlstate("SELECT support_get('$path')"), '00000', "$when: $name of the caller's does not count for the owner's call");
		$server->clear_notes;
		like($eve->sqlstate("SELECT flex_request('GET', '$path')"), $refusal, '... but for its own');
		is(session('eve', "-c flex_api.$name=$value")->sqlstate("SELECT support_get('/refused')"), '55000', '... as a connection option it is refused');
	}

	is(scalar($server->notes(qr/refused/)), 0, "$when: what is refused is not sent");

	# Edge, region and connect_timeout are seen by a proxy
	my $super = session(scalar getpwuid($<));
	$super->value("LOAD 'flex_api'");
	$super->value("ALTER SYSTEM SET flex_api.$_") foreach "base_url = ''", "proxy = '" . $proxy->url . "'";
	$super->value('SELECT pg_reload_conf()');
	FlexApi::wait_until(sub { $super->value('SHOW flex_api.base_url') eq '' });
	foreach my $row ([ 'edge', 'dublin', 'flex-api.dublin.us1' ], [ 'region', 'ie1', 'flex-api.dublin.ie1' ])
	{
		my ($name, $value, $host) = @$row;
		my $eve = session('eve');

		$eve->value("SET flex_api.$name = '$value'");
		$proxy->clear_notes;
		$eve->query($_) foreach 'SELECT support_get()', "SELECT flex_request('GET', '/')";
		# a request that was not sent is repeated
		my %hosts = map { $_ => 1 } $proxy->notes;
		is(join(' ', ($proxy->notes)[0], sort keys %hosts), "flex-api.twilio.com:443 $host.twilio.com:443 flex-api.twilio.com:443",
			"$when: $name of the caller's does not count for the owner's call");
		is(session('eve', "-c flex_api.$name=$value")->sqlstate('SELECT support_get()'), '55000', '... as a connection option it is refused');
	}
	my $eve = session('eve');
	$eve->value('SET flex_api.connect_timeout = 1');
	like($eve->query('SELECT support_get()')->{error}->{M}, qr/407/, "$when: connect_timeout of the caller's does not count for the owner's call");
	unlike($eve->query("SELECT flex_request('GET', '/')")->{error}->{M}, qr/407/, '... but for its own');
	is(session('eve', '-c flex_api.connect_timeout=1')->sqlstate('SELECT support_get()'), '55000', '... as a connection option it is refused');
	is(session('eve')->sqlstate('CALL support_drain()'), '25001', "$when: no drain runs inside a function with SECURITY DEFINER");
	$super->value("ALTER SYSTEM RESET flex_api.$_") foreach qw(base_url proxy);
	$super->value('SELECT pg_reload_conf()');
	FlexApi::wait_until(sub { $super->value('SHOW flex_api.base_url') eq $server->url });
	return;
}

# A role gives itself credentials in every way, and in none sees any
sub check_reading
{
	my ($when) = @_;
	my $eve = session('eve');

	$eve->query("SELECT flex_request('GET', '/')");
	foreach my $name (qw(auth_token auth_token_previous api_secret))
	{
		is($eve->value("SELECT set_config('flex_api.$name', 'eves-own', false)"), '********', "$when: set_config() of $name by a plain role");
		is($eve->value("SHOW flex_api.$name"), '********', '... SHOW hides it');
		is($eve->value("SELECT current_setting('flex_api.$name')"), '********', '... current_setting() hides it');
		is($eve->value("SELECT count(*) FROM pg_settings WHERE name = 'flex_api.$name'"), 0, '... pg_settings does not list it');
	}
	is($eve->value(q{SELECT count(*) FROM pg_settings AS s WHERE s::text ~ 'eves-own'}), 0, '... under no name');
	is(scalar(grep { "@$_[0, 1]" =~ /eves-own|auth_token|api_secret/ } @{ $eve->query('SHOW ALL')->{rows} }), 0, '... nor SHOW ALL');
	$eve->value('RESET ALL');
	is($eve->value('SHOW flex_api.auth_token'), '********', '... nor that of the server');
	return;
}

foreach my $preload ('', 'flex_api')
{
	$node->append_conf('postgresql.conf', "shared_preload_libraries = '$preload'");
	$node->restart;
	my $when = $preload ? 'preloaded' : 'loaded when called';

	check_ways($when);
	check_others($when);
	check_reading($when);
}

$node->stop('fast');
done_testing();
