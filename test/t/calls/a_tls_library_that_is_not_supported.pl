# A libcurl whose TLS library is not OpenSSL.  Behaviour: the first request over TLS of a session
# says by a warning what is missing, and the request is carried out all the same; later ones, and
# those without TLS, say nothing.  With OpenSSL nobody is warned.
use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec::Functions qw(rel2abs);
use FindBin;
use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $GET = 'SELECT count(*) FROM flex_channels_list(max_rows => 1)';
my $source = rel2abs("$FindBin::RealBin/../../..");
my @objects = (glob("$source/src/*.o"), glob("$source/src/*/*.o"));
my $compiler = $ENV{CC} // 'gcc';

plan skip_all => 'no openssl program' if system('openssl version >/dev/null 2>&1') != 0;
plan skip_all => 'no objects of the extension to link with' unless @objects;

my $directory = rel2abs(PostgreSQL::Test::Utils::tempdir);
FlexApi::make_certificates($directory);
my $plain = FlexApi::Simulator->new;
my $secure = FlexApi::Simulator->new('--tls-cert', "$directory/server.pem", '--tls-key', "$directory/server.key");

# The extension's objects, with the libcurl that Debian builds with GnuTLS.
my $coverage = FlexApi::content($objects[0]) =~ /__gcov_init/ ? '--coverage' : '';
my $linked = system("$compiler -shared -fPIC $coverage -o '$directory/flex_api.so' @objects -l:libcurl-gnutls.so.4 >'$directory/link.log' 2>&1") == 0;

my $node = FlexApi::node('tls_library', $plain, "flex_api.ca_file = '$directory/ca.pem'");

# The texts of the warnings of requests: to the simulator that speaks TLS, or to the other.
sub warnings_of
{
	my ($session, @simulators) = @_;
	my @texts;

	foreach my $simulator (@simulators)
	{
		$session->value("SET flex_api.base_url = '" . $simulator->url . "'");
		my $result = $session->query($GET);
		ok(!$result->{error}, 'the request is carried out') or note explain $result->{error};
		push @texts, map { { severity => $_->{S}, code => $_->{C}, message => $_->{M}, detail => $_->{D}, hint => $_->{H} } } @{ $result->{notices} };
	}
	return \@texts;
}

is_deeply(warnings_of(FlexApi::Session->new($node), $secure, $plain), [], 'with OpenSSL there is no warning');

SKIP:
{
	skip 'no libcurl with GnuTLS, or no compiler', 12 unless $linked;
	$node->safe_psql('postgres', qq{UPDATE pg_proc SET probin = '$directory/flex_api' WHERE probin = '\$libdir/flex_api'});
	my $session = FlexApi::Session->new($node);

	is_deeply(warnings_of($session, $plain), [], 'without TLS there is no warning');
	my $first = warnings_of($session, $secure);
	is(scalar @$first, 1, 'the first request over TLS warns') or note explain $first;
	is("$first->[0]{severity} $first->[0]{code}", 'WARNING 0A000', '... that something is not supported');
	like($first->[0]{message}, qr/^libcurl's TLS library is not supported: GnuTLS\//, '... and what');
	like($first->[0]{detail}, qr/unrequested answer/, '... with what that means');
	like($first->[0]{hint}, qr/OpenSSL/, '... and what to do');
	is_deeply(warnings_of($session, $secure), [], 'the second does not');
	is(scalar @{ warnings_of(FlexApi::Session->new($node), $secure) }, 1, 'another session is warned, too');
}

$node->stop;
done_testing();
