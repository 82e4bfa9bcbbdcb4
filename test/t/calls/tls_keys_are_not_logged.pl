# SSLKEYLOGFILE in the server's environment: libcurl would write there what decrypts its
# connections, and the credentials with them.  Nothing is written, also where something else
# in the process has initialised libcurl before.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use File::Temp qw(tempdir);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $GET = 'SELECT sid FROM flex_channels_list(max_rows => 1)';
my $POST = "SELECT conversation_sid FROM flex_webchat_create('IG" . 'a' x 32 . "')";

plan skip_all => 'no openssl program' if system('openssl version >/dev/null 2>&1') != 0;

my $directory = tempdir(CLEANUP => 1);
my $key_log = "$directory/keys";
FlexApi::make_certificates($directory);
my $simulator = FlexApi::Simulator->new('--tls-cert', "$directory/server.pem", '--tls-key', "$directory/server.key");

# A library that initialises libcurl as soon as it is loaded.
sub build_first_user
{
	my $compiler = $ENV{CC} // 'gcc';

	open(my $source, '>', "$directory/first.c") or die $!;
	print $source "extern int curl_global_init(long);\n__attribute__((constructor)) static void first(void) { (void) curl_global_init(3); }\n";
	close $source;
	return system("$compiler -shared -fPIC -o '$directory/first.so' '$directory/first.c' -Wl,--no-as-needed -lcurl 2>'$directory/cc.log'") == 0;
}

# A server with that in its environment, and a session.
sub session_of
{
	my ($name, @preload) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init;
	$node->append_conf('postgresql.conf', join("\n", "flex_api.base_url = '" . $simulator->url . "'", "flex_api.ca_file = '$directory/ca.pem'",
		"flex_api.account_sid = '$FlexApi::ACCOUNT'", "flex_api.auth_token = '$FlexApi::TOKEN'", ''));
	local $ENV{SSLKEYLOGFILE} = $key_log;
	local $ENV{LD_PRELOAD} = join(':', grep { length } $ENV{LD_PRELOAD} // '', @preload) if @preload;
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION flex_api');
	my $session = FlexApi::Session->new($node);
	$session->value('CREATE TEMP TABLE environment (value text)');
	$session->value("COPY environment FROM PROGRAM 'printenv SSLKEYLOGFILE'");
	is($session->value('SELECT value FROM environment'), $key_log, "$name: it is in the environment");
	return ($node, $session);
}

my ($node, $session) = session_of('key_log');
is($session->sqlstate($_), '00000', 'a call over TLS') foreach $GET, $POST;
ok(!-e $key_log, 'no file was made');
$node->stop;

SKIP:
{
	skip 'no C compiler with libcurl', 6 unless build_first_user();
	my ($with_first, $other) = session_of('key_log_of_another', "$directory/first.so");

	ok(-e $key_log, 'another has initialised libcurl, which has opened the file');
	is(-s $key_log, 0, 'and has written nothing');
	foreach my $sql ($POST, $GET)
	{
		$simulator->post('faults', { headers => { Connection => 'close' } });
		is($other->sqlstate($sql), '00000', 'a call over TLS');
	}
	is(-s $key_log, 0, 'no key was written') or note FlexApi::content($key_log);
	$with_first->stop;
}
done_testing;
