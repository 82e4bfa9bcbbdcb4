# Without flex_api.ca_file the system's authorities are trusted: those in its directory, of which
# one is read, and where the directory is not made for that, or does not have the one that is
# needed, those in its file.  What changes there counts, also in sessions with a connection.
#
# libcurl is told of another directory and another file than the system's by a library that is put
# before it.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use File::Copy qw(copy);
use File::Path qw(make_path remove_tree);
use File::Spec::Functions qw(rel2abs);
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $GET = 'SELECT sid FROM flex_channels_list(max_rows => 1)';
my $POST = "SELECT conversation_sid FROM flex_webchat_create('IG" . 'a' x 32 . "')";
my $source = rel2abs("$FindBin::RealBin/../../..");
my $compiler = $ENV{CC} // 'cc';
my $directory = rel2abs(PostgreSQL::Test::Utils::tempdir);
my ($library, $certs, $bundle) = map { "$directory/$_" } qw(authorities.so certs bundle.pem);

plan skip_all => 'no openssl program' if system('openssl version >/dev/null 2>&1') != 0;

sub write_file { my ($path, $content) = @_; open(my $file, '>', $path) or die "$path: $!"; print $file $content; close $file or die $!; return; }

plan skip_all => 'no C compiler'
  if system("$compiler \$(pkg-config --cflags libcurl) -shared -fPIC -o '$library' '$source/test/modules/system_authorities.c' -ldl >'$directory/log' 2>&1") != 0;

FlexApi::make_certificates($directory);
my $simulator = FlexApi::Simulator->new('--tls-cert', "$directory/server.pem", '--tls-key', "$directory/server.key");
my $node = PostgreSQL::Test::Cluster->new('authorities');
$node->init;
$node->append_conf('postgresql.conf', join("\n", "flex_api.base_url = '" . $simulator->url . "'", "flex_api.account_sid = '$FlexApi::ACCOUNT'",
	"flex_api.auth_token = '$FlexApi::TOKEN'", ''));

# Start the server, whose libcurl was built with these; '': without.
sub start_with
{
	my ($its_directory, $its_file) = @_;

	local $ENV{SYSTEM_AUTHORITIES_DIRECTORY} = $its_directory;
	local $ENV{SYSTEM_AUTHORITIES_FILE} = $its_file;
	local $ENV{LD_PRELOAD} = join(':', $library, grep { length } $ENV{LD_PRELOAD} // '');
	$node->start;
	return;
}

# The name under which OpenSSL looks for the authority of a certificate.
sub hash_of { my ($name) = @_; chomp(my $hash = qx(openssl x509 -hash -noout -in '$directory/$name.pem')); return "$hash.0"; }

# Have these certificates in the directory, by their hashes or by their names alone, and those in the file.
sub put
{
	my ($hashed, $named, $filed) = @_;

	remove_tree($certs);
	make_path($certs);
	copy("$directory/$_.pem", "$certs/$_.pem") or die $! foreach @$hashed, @$named;
	symlink("$_.pem", "$certs/" . hash_of($_)) or die $! foreach @$hashed;
	write_file($bundle, join('', map { FlexApi::content("$directory/$_.pem") } @$filed));
	return;
}

# What becomes of a POST and of a GET after it, in a session that has had no connection: the states, and how many
# requests and connections the service saw.
sub outcome
{
	my $session = FlexApi::Session->new($node);

	$simulator->post('reset');
	my @states = map { $session->sqlstate($_) } $POST, $GET;
	$session->close;
	my $seen = $simulator->get('counters');
	return "@states, $seen->{requests} on $seen->{connections}";
}

start_with($certs, $bundle);
$node->safe_psql('postgres', 'CREATE EXTENSION flex_api');
my $trusted = '00000 00000, 2 on 1';
my $trusted_later = '00000 00000, 2 on 2';

put(['ca'], [], ['self']);
is(outcome(), $trusted, 'by the directory');
put([ 'ca', 'self' ], [], []);
is(outcome(), $trusted, '... among others');
unlink $bundle or die $!;
is(outcome(), $trusted, '... without the file');
put([], ['ca'], ['ca']);
is(outcome(), $trusted, 'by the file, where the directory has no hashes');
remove_tree($certs);
is(outcome(), $trusted, '... and where it is not there');
put(['self'], [], [ 'ca', 'self' ]);
is(outcome(), $trusted_later, 'by the file, where the directory has others: each request is sent once, the first on a second connection');
put(['self'], [], ['self']);
like(outcome(), qr/^08001 08001, 0 on 3$/, 'by neither: no request is sent, and the directory is not asked again');
put(['ca'], [], []);
SKIP:
{
	skip 'root can read all', 1 if $> == 0;
	chmod 0111, $certs or die $!;
	write_file($bundle, FlexApi::content("$directory/ca.pem"));
	is(outcome(), $trusted, 'by the file, where the directory cannot be listed');
}

# In a session with a connection.
put(['ca'], [], ['self']);
my $session = FlexApi::Session->new($node);
my ($link, $away) = map { "$certs/$_" } hash_of('ca'), 'away';
is($session->sqlstate($POST), '00000', 'trusted by the directory');
foreach my $time (1 .. 2)
{
	rename $link, $away or die $!;
	ok(FlexApi::wait_until(sub { $session->sqlstate($POST) eq '08001' }), "no longer, when the authority is gone from there, $time");
	is($session->sqlstate($GET), '08001', '... nor for another request');
	rename $away, $link or die $!;
	ok(FlexApi::wait_until(sub { $session->sqlstate($POST) eq '00000' }), "... and again, $time");
}
$session->close;
$node->stop;

start_with('', $bundle);
put(['ca'], [], ['self']);
like(outcome(), qr/^08001 08001/, 'a libcurl without a directory: its file alone counts');
put([], [], ['ca']);
is(outcome(), $trusted, '... by which the server is trusted');
$node->stop;

start_with($certs, '');
put(['ca'], [], []);
is(outcome(), $trusted, 'a libcurl without a file: its directory counts');
put(['self'], [], []);
like(outcome(), qr/^08001 08001, 0 on 2$/, '... alone');
$node->stop;

done_testing();
