# TLS: who is trusted, what is spoken, and what a connection costs.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use List::Util qw(min);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);

my $GET = 'SELECT sid FROM flex_channels_list(max_rows => 1)';
my $POST = "SELECT conversation_sid FROM flex_webchat_create('IG" . 'a' x 32 . "')";

plan skip_all => 'no openssl program' if system('openssl version >/dev/null 2>&1') != 0;

my $directory = tempdir(CLEANUP => 1);
FlexApi::make_certificates($directory);

my $node = PostgreSQL::Test::Cluster->new('tls');
$node->init;
$node->append_conf('postgresql.conf', <<"CONF");
flex_api.account_sid = '$FlexApi::ACCOUNT'
flex_api.auth_token = '$FlexApi::TOKEN'
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION flex_api');

# A session that talks to a server, trusting a file.
sub session_for
{
	my ($url, $ca_file) = @_;
	my $session = FlexApi::Session->new($node);

	$session->value("SET flex_api.base_url = '$url'");
	$session->value("SET flex_api.ca_file = '$ca_file'");
	return $session;
}

sub secure_simulator
{
	my ($name) = @_;
	return FlexApi::Simulator->new('--tls-cert', "$directory/$name.pem", '--tls-key', "$directory/$name.key");
}

# A good server, by address and by name.
my $simulator = secure_simulator('server');
my $by_name = $simulator->url =~ s/127\.0\.0\.1/localhost/r;

foreach my $url ($simulator->url, $by_name)
{
	my $session = session_for($url, "$directory/ca.pem");
	is($session->sqlstate($POST), '00000', "$url is trusted by flex_api.ca_file");
	is($session->sqlstate($GET), '00000', 'and again');
	$session->close;
}
is($simulator->get('counters')->{connections}, 2, 'a session keeps its connection');

# Others: refused before anything was said, and not asked again and again.
sub check_mistrust
{
	my ($who, $url, $ca_file, $name) = @_;
	my $session = session_for($url, $ca_file);

	$who->post('reset');
	foreach my $sql ($GET, $POST)
	{
		my $result = $session->query($sql);
		like($result->{error}->{C}, qr/^08/, "$name: refused") or note explain $result;
		note("$name: $result->{error}->{C} $result->{error}->{M}");
		unlike(join(' ', %{ $result->{error} }), qr/\Q$FlexApi::TOKEN/, "$name: no secret in the error");
		cmp_ok($result->{seconds}, '<', 0.5 * FlexApi::slowness(), "$name: without repeats");
	}
	is($who->get('counters')->{requests}, 0, "$name: no request, and so no credential, was sent");
	$session->close;
	return;
}

check_mistrust($simulator, $simulator->url, '', 'a CA that the system does not know');
check_mistrust($simulator, $simulator->url, "$directory/self.pem", 'another CA');
check_mistrust($simulator, $simulator->url, "$directory/nothing.pem", 'a missing ca_file');

# What is no regular file is not opened: that could wait for ever.
POSIX::mkfifo("$directory/fifo.pem", 0600) or die "mkfifo: $!";
is(session_for($simulator->url, "$directory/$_")->sqlstate($POST), '55000', "$_ is refused as a ca_file") foreach 'fifo.pem', '.';
foreach my $bad ('expired', 'other', 'self')
{
	my $imposter = secure_simulator($bad);
	check_mistrust($imposter, $imposter->url, "$directory/ca.pem", "certificate $bad");
	$imposter->stop;
}

# In a session that has a connection, a change of what is trusted counts at once.
my $session = session_for($simulator->url, "$directory/ca.pem");
is($session->sqlstate($GET), '00000', 'trusted');
$session->value("SET flex_api.ca_file = ''");
like($session->sqlstate($GET), qr/^08/, 'no longer trusted, though a connection is open');
$session->close;

# The file of that setting may be replaced under its name: it counts a tenth of a second later, as
# the file that is there then, both ways, and though a connection is open.
my $replaced = "$directory/replaced.pem";
sub replace_file
{
	my ($name) = @_;

	copy("$directory/$name.pem", "$replaced.new") or die $!;
	rename "$replaced.new", $replaced or die $!;
	sleep 0.1;
	return;
}
replace_file('ca');
$session = session_for($simulator->url, $replaced);
is($session->sqlstate($_), '00000', 'a file that is replaced: trusted') foreach $GET, $POST;
foreach my $time (1 .. 2)
{
	replace_file('self');
	like($session->sqlstate($_), qr/^08/, "... no longer, by another file of its name, $time") foreach $GET, $POST;
	replace_file('ca');
	is($session->sqlstate($_), '00000', "... and again, $time") foreach $GET, $POST;
}

# What libcurl keeps of the trusted file is never taken for the present one, however often that changes.
my $accepted = 0;
foreach (1 .. 70)
{
	replace_file('self');
	$accepted++ if $session->sqlstate($GET) !~ /^08/;
}
is($accepted, 0, '... and it is not trusted at any of 70 changes');
$session->close;

# Versions of TLS: openssl's own server offers one and nothing else.
sub check_version
{
	my ($option, $accepted) = @_;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $pid = fork() // die;

	if ($pid == 0)
	{
		open(STDOUT, '>', '/dev/null');
		open(STDERR, '>', '/dev/null');
		open(STDIN, '<', '/dev/null');
		exec('openssl', 's_server', '-accept', "127.0.0.1:$port", '-cert', "$directory/server.pem", '-key',
			"$directory/server.key", $option, '-cipher', 'DEFAULT@SECLEVEL=0', '-www')
		  or POSIX::_exit(1);
	}
	FlexApi::wait_until(sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) });
	my $versioned = session_for("https://127.0.0.1:$port", "$directory/ca.pem");
	my $state = $versioned->sqlstate("SELECT status FROM flex_request('GET', '/')");
	$versioned->close;
	kill 'TERM', $pid;
	waitpid $pid, 0;
	is($state, $accepted ? '08P01' : '08001', "$option is " . ($accepted ? 'spoken: an HTML page came' : 'refused'));
	return;
}

check_version('-tls1', 0);
check_version('-tls1_1', 0);
check_version('-tls1_2', 1);
check_version('-tls1_3', 1);

# HTTP/2 where it is offered.
SKIP:
{
	skip 'no nghttpx', 11 if system('nghttpx --version >/dev/null 2>&1') != 0;
	my $plain = FlexApi::Simulator->new;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $log = "$directory/access.log";
	my $pid = fork() // die;

	if ($pid == 0)
	{
		open(STDERR, '>', '/dev/null');
		exec('nghttpx', '--conf=/dev/null', "--frontend=127.0.0.1,$port", '--backend=127.0.0.1,' . $plain->port, '--workers=1',
			"--accesslog-file=$log", '--accesslog-format=$alpn $status $request', '--errorlog-file=/dev/null',
			"$directory/server.key", "$directory/server.pem")
		  or POSIX::_exit(1);
	}
	FlexApi::wait_until(sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) });
	my $two = session_for("https://127.0.0.1:$port", "$directory/ca.pem");
	is($two->sqlstate($GET), '00000', 'a GET over HTTP/2');
	$plain->post('seed', { channels => 2000 });
	is($two->sqlstate('SELECT count(*) FROM flex_channels_list(max_rows => 800)'), '00000', 'a large answer over HTTP/2');
	# the pages lead to each other by the name that the client knows
	$plain->clear_requests;
	my $pages = $two->query('SELECT count(*), count(DISTINCT sid) FROM flex_channels_list(page_size => 300)');
	is_deeply($pages->{rows}, [ [ 2000, 2000 ] ], 'a list of several pages over HTTP/2') or note explain $pages->{error};
	is(scalar($plain->requests), 7, '... of so many pages');
	is_deeply([ map { $_->{headers}->{host} } $plain->requests ], [ ("127.0.0.1:$port") x 7 ], '... each by way of the proxy');
	is($two->sqlstate("SELECT flex_channel_delete('CH" . '9' x 32 . "')"), 'TW404', 'a refusal over HTTP/2');
	is($two->sqlstate($POST), '00000', 'a POST');
	is($two->sqlstate($GET), '00000', 'a GET after it');
	$two->close;
	FlexApi::wait_until(sub { FlexApi::content($log) =~ /POST.*GET/s });
	my @lines = split /\n/, FlexApi::content($log);
	my @posts = grep { / POST / } @lines;
	is(scalar(grep { / (GET|DELETE) / && !/^h2 / } @lines[ 0 .. 8 ]), 0, 'h2 was negotiated for what may be repeated')
	  or note explain \@lines;
	is(scalar(grep { m{^http/1\.1 } } @posts), 1, 'and never for a POST') or note explain \@posts;
	is(scalar(grep { m{^h2 200 GET /v1/Channels\?.*PageToken=} } @lines), 6, '... for the pages, too');
	kill 'TERM', $pid;
	waitpid $pid, 0;
}

# What a call with a new connection costs in CPU, with a file that is trusted: the best
# of some, for others' work on the machine only ever adds.
sub cost_of_connection
{
	my ($ca_file) = @_;
	my $calls = 50;
	my $rounds = 4;
	my $one = 'SELECT sid FROM flex_channels_list(max_rows => 1)';

	$simulator->post('reset');
	$simulator->post('faults', { headers => { Connection => 'close' }, times => -1 });
	my $cost = session_for($simulator->url, $ca_file);
	is($cost->sqlstate($one), '00000', 'the file is good');
	my $each = min(map {
		my $before = FlexApi::cpu_seconds($cost->pid);
		$cost->value($one) for 1 .. $calls;
		(FlexApi::cpu_seconds($cost->pid) - $before) / $calls;
	} 1 .. $rounds);
	is($simulator->get('counters')->{connections}, $calls * $rounds + 1, 'each call had a new connection');
	cmp_ok($each, '>', 0, 'the CPU time was measured');
	$cost->close;
	return $each;
}

# What a new connection costs a session that had one: a bundle of the system's size must
# not be parsed for each, which would take thirty times as long as with one certificate.
SKIP:
{
	my ($bundle) = grep { -r $_ } ('/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt');
	skip 'no bundle of certificates', 7 unless $bundle;
	my $large = "$directory/bundle.pem";

	open(my $file, '>', $large) or die $!;
	print $file FlexApi::content($bundle), FlexApi::content("$directory/ca.pem");
	close $file;
	my ($with_one, $with_many) = map { cost_of_connection($_) } "$directory/ca.pem", $large;
	my $report = sprintf('a new TLS connection: %.2f ms of CPU with one certificate, %.2f ms with a bundle of %d kB', 1000 * $with_one,
		1000 * $with_many, (-s $large) / 1024);
	cmp_ok($with_many, '<', 5 * $with_one, $report);
}

$node->stop;
done_testing();
