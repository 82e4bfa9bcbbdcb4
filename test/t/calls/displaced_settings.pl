# Connection options that are refused when the library is loaded have replaced what the
# superuser had set: the session's calls are an error, for the default is another service.
# And what has a name that no setting has is told.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $server = FlexApi::Server->new(sub {
	my ($connection, $server) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		$server->note($request->{path});
		print $connection FlexApi::Server::answer('{}') or return;
	}
});
my $node = PostgreSQL::Test::Cluster->new('displaced');
$node->init;
$node->append_conf('postgresql.conf', <<"CONF");
flex_api.base_url = '@{[ $server->url ]}'
flex_api.account_sid = '$FlexApi::ACCOUNT'
flex_api.auth_token = '$FlexApi::TOKEN'
flex_api.rate_limits = 'none'
flex_api.timeout = '1min'
flex_api.proxy = 'http://127.0.0.1:1'  # nothing leaves this machine, whatever base_url is
CONF
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION flex_api;
CREATE ROLE mallory LOGIN;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO mallory;
GRANT EXECUTE ON PROCEDURE flex_outbox_drain TO mallory;
SQL

my %does = (
	'a call' => q{SELECT flex_request('GET', '/')},
	'a list' => 'SELECT FROM flex_channels_list(max_rows => 1)',
	'an enqueue' => q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}')},
	'a drain' => 'CALL flex_outbox_drain()');

sub session { my ($user, $options, %more) = @_; return FlexApi::Session->new($node, user => $user, options => $options, %more); }

sub check
{
	my ($when) = @_;
	my $super = getpwuid($<);

	foreach my $case (
		[ 'mallory', 'base_url', 'https://evil.example' ], [ 'mallory', 'proxy', 'http://127.0.0.1:1' ], [ 'mallory', 'rate_limits', 'flex_webchat_create=1' ],
		[ 'mallory', 'ca_file', 'x' ], [ 'mallory', 'credentials_file', 'x' ], [ 'mallory', 'BASE_URL', 'x' ],
		[ 'mallory', 'timeout', 'never' ], [ 'mallory', 'account_sid', 'AC:x' ], [ $super, 'base_url', 'x' ])
	{
		my ($user, $name, $value) = @$case;
		my $session = session($user, "-c flex_api.$name=$value");

		$server->clear_notes;
		is($session->sqlstate($does{$_}), '55000', "$when: $_ with the option $name=$value of " . ($user eq 'mallory' ? $user : 'a superuser')) foreach sort keys %does;
		$session->value($_) foreach 'SET client_min_messages = error', 'RESET ALL', 'DISCARD ALL';
		my $error = $session->query($does{'a call'})->{error};
		like("$error->{M} $error->{H}", qr/"flex_api\.\L$name\E" is not known.*Connect without/, '... says so, also after RESET');
		is(scalar($server->notes), 0, '... and nothing is sent');
	}
	# However many options there are beside the one that is refused, and whichever comes first.
	my $others = join ' ', map { "-c flex_api.a$_=1 -c flex_api.z$_=1" } 1 .. 100;
	$server->clear_notes;
	is(session('mallory', "$others -c flex_api.timeout=never")->sqlstate($does{'a call'}), '55000', "$when: a refused option among many");
	is(scalar($server->notes), 0, '... and nothing is sent');
	is(session($super, '-c flex_api.base_url=' . $server->url)->sqlstate($does{'a call'}), '00000', "$when: a superuser's option that is good");
	is(session('mallory', '-c flex_api.timeout=2s')->sqlstate($does{'a call'}), '00000', "$when: an option of what everybody may set");
	is(session('mallory', '-c flex_api.tiemout=2s')->sqlstate($does{'a call'}), '00000', "$when: one that does not exist takes nothing's place");
	my $session = session('mallory', '');
	$session->query('SET flex_api.base_url = \'x\'');
	$server->clear_notes;
	is($session->sqlstate($does{'a call'}), '00000', "$when: SET, which is refused");
	is(scalar($server->notes), 1, '... takes nothing away');
	return;
}

check('loaded when called');
$node->append_conf('postgresql.conf', "session_preload_libraries = 'flex_api'");
$node->reload;
FlexApi::wait_until(sub { $node->safe_psql('postgres', 'SHOW session_preload_libraries') eq 'flex_api' });
check('preloaded by the session');
$node->append_conf('postgresql.conf', "session_preload_libraries = ''\nshared_preload_libraries = 'flex_api'");
$node->restart;
foreach my $option ('base_url=x', 'proxy=x', 'rate_limits=none', 'timeout=never')
{
	my $session = session('mallory', "-c flex_api.$option", may_fail => 1);

	like($session->{first}->{error}->{C} // '', qr/^42501|22023$/, "preloaded by the server: no connection with the option $option");
}
is(session('mallory', '')->sqlstate($does{'a call'}), '00000', '... and without one it calls');

# A name that no setting has: the log tells which was meant.
$node->append_conf('postgresql.conf', "flex_api.timout = '1s'");
$node->restart;
like(slurp_file($node->logfile), qr/WARNING: .*"flex_api\.timout", removing it\n.*\n.*HINT:  Perhaps you meant "flex_api\.timeout", not "flex_api\.timout"\./,
	'a misspelt setting of postgresql.conf is told in the log, with the one that was meant');

$node->stop('fast');
done_testing();
