# The proxy: it is the one of flex_api.proxy and no other, it learns the name of
# the host and no secret, and its own password is shown to nobody.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::INET;
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $PASSWORD = 'proxy-password-7';
my $BASIC = encode_base64("$FlexApi::ACCOUNT:$FlexApi::TOKEN", '');
my $GET = 'SELECT sid FROM flex_channels_list(max_rows => 1)';

# Record what a client says first, and refuse.
sub refuse
{
	my ($connection, $server) = @_;
	my $request = FlexApi::Server::read_request($connection) or return;

	$server->note($_) foreach split /\r\n/, $request->{head};
	print $connection "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
	return;
}

# A proxy as it should be: record what it is told, connect, and pass bytes on,
# which it also notes as far as they can be read.
sub pass_on
{
	my ($connection, $server) = @_;
	my $request = FlexApi::Server::read_request($connection) or return;

	$server->note($_) foreach split /\r\n/, $request->{head};
	my $peer = IO::Socket::INET->new(PeerAddr => $request->{path}) or return;
	print $connection "HTTP/1.1 200 Connection established\r\n\r\n";
	my $select = IO::Select->new($connection, $peer);
	for (;;)
	{
		# What TLS has read already, no select tells.
		my @ready = $connection->can('pending') && $connection->pending ? $connection : $select->can_read;
		foreach my $from (@ready)
		{
			sysread($from, my $bytes, 65536) or return;
			$server->note("passed $1") if $bytes =~ /(Authorization|$FlexApi::TOKEN|\Q$BASIC\E)/;
			syswrite($from == $peer ? $connection : $peer, $bytes) or return;
		}
	}
}

my $recorder = FlexApi::Server->new(\&refuse);
my $proxy = FlexApi::Server->new(\&pass_on);
my $simulator = FlexApi::Simulator->new;
my $node = PostgreSQL::Test::Cluster->new('proxy');
$node->init;
$node->append_conf('postgresql.conf', <<"CONF");
flex_api.account_sid = '$FlexApi::ACCOUNT'
flex_api.auth_token = '$FlexApi::TOKEN'
flex_api.timeout = '10s'
flex_api.max_retries = 0
CONF
{
	# A proxy of the environment would be asked for all of these.
	local @ENV{qw(http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY)} = ($recorder->url) x 5;
	local @ENV{qw(NO_PROXY no_proxy)} = ('*') x 2;
	$node->start;
}
$node->safe_psql('postgres', 'CREATE EXTENSION flex_api; CREATE ROLE reader LOGIN IN ROLE pg_read_all_settings');
$node->safe_psql('postgres', 'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO reader');

my $session = FlexApi::Session->new($node);

# The environment says one thing, which nobody listens to.
$session->value("SET flex_api.base_url = '" . $simulator->url . "'");
is($session->sqlstate($GET), '00000', 'without flex_api.proxy the simulator is reached');
is(scalar $recorder->notes, 0, 'the proxy of the environment was not asked');
$session->value('CREATE TEMP TABLE environment (value text)');
$session->value("COPY environment FROM PROGRAM 'printenv https_proxy'");
is($session->value('SELECT value FROM environment'), $recorder->url, 'although the server has it in its environment');

# Which host is asked for, as edge and region say.
my @hosts = (
	[ '', '', 'flex-api.twilio.com' ],
	[ 'sydney', '', 'flex-api.sydney.us1.twilio.com' ],
	[ '', 'au1', 'flex-api.sydney.au1.twilio.com' ],
	[ '', 'ie1', 'flex-api.dublin.ie1.twilio.com' ],
	[ '', 'us1', 'flex-api.ashburn.us1.twilio.com' ],
	[ 'tokyo', 'jp1', 'flex-api.tokyo.jp1.twilio.com' ],
);

$session->value("SET flex_api.base_url = ''");
$session->value("SET flex_api.proxy = 'http://127.0.0.1:" . $recorder->port . "'");
foreach my $case (@hosts)
{
	my ($edge, $region, $host) = @$case;

	$recorder->clear_notes;
	$session->value("SET flex_api.edge = '$edge'");
	$session->value("SET flex_api.region = '$region'");
	my $result = $session->query($GET);
	is($result->{error}->{C}, '08001', "edge '$edge', region '$region': the proxy refused, nothing was sent");
	my @notes = $recorder->notes;
	is($notes[0], "CONNECT $host:443 HTTP/1.1", 'the host') or note explain $result;
	is(scalar(grep { /Authorization|\Q$BASIC\E|$FlexApi::TOKEN/i } @notes), 0, 'and no credential');
}
$session->value('RESET flex_api.edge');
$session->value('RESET flex_api.region');

# Plain http, which is for this machine alone, would show a proxy the credentials.
$recorder->clear_notes;
$session->value("SET flex_api.base_url = '" . $simulator->url . "'");
is($session->sqlstate($GET), '00000', 'a base_url with plain http is reached beside the proxy');
is(scalar $recorder->notes, 0, 'which sees nothing');
$session->value("SET flex_api.base_url = ''");

# Through a proxy to a server: the request goes in the tunnel.
SKIP:
{
	skip 'no openssl program', 4 if system('openssl version >/dev/null 2>&1') != 0;
	my $directory = tempdir(CLEANUP => 1);
	FlexApi::make_certificates($directory);
	my $secure = FlexApi::Simulator->new('--tls-cert', "$directory/server.pem", '--tls-key', "$directory/server.key");

	$session->value("SET flex_api.base_url = '" . $secure->url . "'");
	$session->value("SET flex_api.ca_file = '$directory/ca.pem'");
	$session->value("SET flex_api.proxy = 'http://127.0.0.1:" . $proxy->port . "'");
	is($session->sqlstate($GET), '00000', 'through a proxy');
	is($session->sqlstate($GET), '00000', 'and once more');
	is(scalar $proxy->notes(qr/^CONNECT 127\.0\.0\.1:/), 1, 'one tunnel is kept');
	is(scalar $proxy->notes(qr/Authorization:|^passed/), 0, 'the proxy sees no credential');
	check_tinyproxy($secure, $directory);
	check_https_proxy($directory);
	check_decrypting_proxy($directory);
	$session->value('RESET flex_api.ca_file');
}

# A proxy that is spoken to by TLS: flex_api.ca_file says who is trusted there, too.
sub check_https_proxy
{
	my ($folder) = @_;

  SKIP:
	{
		skip 'no IO::Socket::SSL', 10 unless eval { require IO::Socket::SSL; 1 };
		foreach my $case ([ 'server', '00000' ], [ 'expired', '08001' ], [ 'other', '08001' ], [ 'self', '08001' ])
		{
			my ($name, $state) = @$case;
			my $https = FlexApi::Server->new(sub {
				my ($connection, $server) = @_;
				IO::Socket::SSL->start_SSL($connection, SSL_server => 1, SSL_cert_file => "$folder/$name.pem", SSL_key_file => "$folder/$name.key")
				  or return;
				pass_on($connection, $server);
			});

			$session->value("SET flex_api.proxy = 'https://127.0.0.1:" . $https->port . "'");
			my $result = $session->query($GET);
			is($result->{error} ? $result->{error}->{C} : '00000', $state, "a proxy that is spoken to by TLS, with the certificate $name")
			  or note explain $result->{error};
			is(scalar $https->notes(qr/^CONNECT 127\.0\.0\.1:/), $state eq '00000' ? 1 : 0, '... gets as far as that');
		}
		# The system's authorities do not know it.
		my $trusted = $session->value('SHOW flex_api.ca_file');
		$session->value("SET flex_api.ca_file = ''");
		is($session->sqlstate($GET), '08001', 'without flex_api.ca_file the proxy is not trusted');
		$session->value("SET flex_api.ca_file = '$trusted'");
	}
	return;
}

# A proxy that decrypts, as companies have: it shows a certificate of its own authority for the
# service's name, reads what is sent, and sends it on.
sub check_decrypting_proxy
{
	my ($folder) = @_;

  SKIP:
	{
		skip 'no IO::Socket::SSL', 6 unless eval { require IO::Socket::SSL; 1 };
		my $decrypting = FlexApi::Server->new(sub {
			my ($connection, $server) = @_;
			my $request = FlexApi::Server::read_request($connection) or return;

			$server->note("CONNECT $request->{path}");
			print $connection "HTTP/1.1 200 Connection established\r\n\r\n";
			IO::Socket::SSL->start_SSL($connection, SSL_server => 1, SSL_cert_file => "$folder/service.pem", SSL_key_file => "$folder/service.key")
			  or return;
			while ($request = FlexApi::Server::read_request($connection))
			{
				my $service = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $simulator->port) or return;

				$server->note($_) foreach split /\r\n/, $request->{head};
				print $service "$request->{head}\r\nConnection: close\r\n\r\n$request->{body}";
				print $connection do { local $/; <$service> };
			}
		});
		my $authority = $session->value('SHOW flex_api.ca_file');

		$session->value("SET flex_api.base_url = ''");
		$session->value("SET flex_api.proxy = 'http://127.0.0.1:" . $decrypting->port . "'");
		$session->value("SET flex_api.ca_file = ''");
		my $refused = $session->query($GET)->{error};
		is($refused->{C}, '08001', 'a proxy that decrypts is not trusted') or note explain $refused;
		is(scalar $decrypting->notes(qr/^Authorization:/i), 0, '... and sees no credential');
		$session->value("SET flex_api.ca_file = '$authority'");
		is($session->sqlstate($GET), '00000', 'with its authority in flex_api.ca_file it is');
		is($session->sqlstate(q{SELECT conversation_sid FROM flex_webchat_create('IG' || repeat('a', 32))}), '00000', '... for a POST too');
		is(scalar $decrypting->notes(qr/^CONNECT (?!flex-api\.twilio\.com:443$)/), 0, '... to the service and nowhere else');
		cmp_ok(scalar $decrypting->notes(qr/^Authorization: Basic \Q$BASIC\E$/i), '>', 1, '... and it reads the credentials, as OPERATING.md says');
	}
	return;
}

# The same through a proxy that people use.
sub check_tinyproxy
{
	my ($secure, $folder) = @_;

  SKIP:
	{
		skip 'no tinyproxy', 3 if system('tinyproxy -v >/dev/null 2>&1') != 0;
		my $port = PostgreSQL::Test::Cluster::get_free_port();

		open(my $conf, '>', "$folder/tinyproxy.conf") or die $!;
		print $conf "Port $port\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nLogFile \"$folder/tinyproxy.log\"\n"
		  . "LogLevel Info\nBasicAuth flex $PASSWORD\nConnectPort " . $secure->port . "\n";
		close $conf;
		my $pid = fork() // die;
		if ($pid == 0)
		{
			exec('tinyproxy', '-d', '-c', "$folder/tinyproxy.conf") or POSIX::_exit(1);
		}
		FlexApi::wait_until(sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) });
		$session->value("SET flex_api.proxy = 'http://flex:$PASSWORD\@127.0.0.1:$port'");
		is($session->sqlstate($GET), '00000', 'through tinyproxy, with a password');
		$session->value("SET flex_api.proxy = 'http://127.0.0.1:$port'");
		my $refused = $session->query($GET);
		is($refused->{error}->{C}, '08001', 'without the password it refuses');
		like($refused->{error}->{M}, qr/407/, 'and the error says so');
		kill 'TERM', $pid;
		waitpid $pid, 0;
	}
	return;
}

# The proxy's password: not in errors, not to others, not in the log.
$session->value("SET flex_api.base_url = ''");
$recorder->clear_notes;
$session->value("SET flex_api.proxy = 'http://flex:$PASSWORD\@127.0.0.1:" . $recorder->port . "'");
my $refused = $session->query($GET);
my $encoded = encode_base64("flex:$PASSWORD", '');
is($refused->{error}->{C}, '08001', 'a proxy that refuses');
unlike(join(' ', %{ $refused->{error} }), qr/\Q$PASSWORD\E|\Q$encoded\E/, 'its password is not in the error');
like(join("\n", $recorder->notes), qr/^Proxy-Authorization: Basic \Q$encoded\E$/m, 'the proxy got it');
$session->value("SET flex_api.proxy = 'http://flex:$PASSWORD\@127.0.0.1:1'");
$refused = $session->query($GET);
unlike(join(' ', %{ $refused->{error} }), qr/\Q$PASSWORD/, 'nor in that of a proxy that is not there');
$refused = $session->query("SET flex_api.proxy = 'nonsense://flex:$PASSWORD\@127.0.0.1'; $GET");
unlike(join(' ', map { $_ // '' } %{ $refused->{error} // {} }), qr/\Q$PASSWORD/, 'nor in that of one that is no proxy');

$node->append_conf('postgresql.conf', "flex_api.proxy = 'http://flex:$PASSWORD\@127.0.0.1:1'");
$node->reload;
my $reader = FlexApi::Session->new($node, user => 'reader');
$reader->query($GET);    # loads the library
foreach my $look (
	'SHOW flex_api.proxy',
	q{SELECT current_setting('flex_api.proxy')},
	q{SELECT string_agg(concat(setting, boot_val, reset_val), ',') FROM pg_settings WHERE name = 'flex_api.proxy'},
	q{SELECT string_agg(setting, ',') FROM pg_file_settings WHERE name = 'flex_api.proxy'})
{
	my $seen = $reader->query($look);
	unlike(join(' ', map { $_ // '' } %{ $seen->{error} // {} }, map { @$_ } @{ $seen->{rows} }),
		qr/\Q$PASSWORD/, "not shown by $look");
}
is($reader->sqlstate("SET flex_api.proxy = 'http://127.0.0.1:1'"), '42501', 'an ordinary role cannot set a proxy');
my $error = $reader->query($GET)->{error};
is($error->{C}, '08001', 'the role uses the proxy');
unlike(join(' ', %$error), qr/\Q$PASSWORD/, 'and sees nothing of its password');

$_->close foreach $session, $reader;
$node->stop;
done_testing();
