# What an operator has to mend is not the requests' fault: they wait, one at a time finds out
# whether it is mended, the log says once a minute which setting it has to do with, and when it
# is mended they go on within seconds, without a restart and with all their attempts.

use strict;
use warnings;

use FlexApi;
use File::Copy qw(copy);
use MIME::Base64;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'no openssl program' if system('openssl version >/dev/null 2>&1') != 0;

my $MANY = 30;
my $directory = PostgreSQL::Test::Utils::tempdir_short();
FlexApi::make_certificates($directory);
sub secure { return FlexApi::Simulator->new('--tls-cert', "$directory/$_[0].pem", '--tls-key', "$directory/$_[0].key"); }
my $simulator = secure('server');
my $ca = "$directory/authorities.pem";
copy("$directory/self.pem", $ca) or die;

my $node = PostgreSQL::Test::Cluster->new('mend');
$node->init;
$node->append_conf('postgresql.conf', join("\n", "shared_preload_libraries = 'flex_api'", "flex_api.base_url = '" . $simulator->url . "'",
	"flex_api.ca_file = '$ca'", "flex_api.account_sid = '$FlexApi::ACCOUNT'", "flex_api.auth_token = '$FlexApi::TOKEN'",
	"flex_api.rate_limits = 'none'", 'flex_api.concurrency = 10', 'fsync = off', 'log_statement = none', ''));
$node->start;
my $session = FlexApi::Session->new($node);
$session->value('CREATE EXTENSION flex_api');

sub enqueue
{
	my ($count, $operation, $arguments) = @_;
	$operation //= 'flex_webchat_create';
	$arguments //= q({"address_sid": "IG00000000000000000000000000000001"});
	return $session->value("SELECT count(flex_enqueue('$operation', '$arguments', max_attempts => 1)) FROM generate_series(1, $count)");
}
sub counts { return join ' ', map { "$_->[0]=$_->[1]" } @{ $session->query('SELECT state, count(*) FROM flex_outbox GROUP BY 1 ORDER BY 1')->{rows} }; }
sub held { return $session->query('SELECT cause, requests, since, message FROM flex_stat_holds')->{rows}->[0] // []; }
sub set { my ($name, $value) = @_; $session->value($_) for ("ALTER SYSTEM SET $name = '$value'", 'SELECT pg_reload_conf()'); return; }
# The same, and a worker that has read it.
sub set_before
{
	my ($name, $value) = @_;
	my $worker = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'flex_api outbox worker'};
	my $pid = $session->value($worker);
	set($name, $value);
	$session->value("SELECT pg_terminate_backend($pid)");
	FlexApi::wait_until(sub { my $other = $session->value($worker); $other && $other != $pid }) or die 'no worker';
	return;
}
my $read = 0;
sub new_log { my $log = slurp_file($node->logfile, $read); $read += length $log; return $log; }
sub warnings_of { return scalar(() = $_[0] =~ /WARNING: .*requests of the Flex API outbox wait for an operator/g); }

# Requests meet something that is wrong: they wait, but for some that may go on, and few try; when it is mended they are sent.
sub check
{
	my ($name, $cause, $complaint, $hint, $tries, $mend, $go_on) = @_;
	my $before = $tries->();
	my $begin = time;

	$session->value('DELETE FROM flex_outbox_requests');
	new_log();
	enqueue($MANY);
	ok(FlexApi::wait_until(sub { (held()->[0] // '') eq $cause }), "$name: it is seen, with its cause") or diag counts();
	my $since = held()->[2];
	like(held()->[3] // '', $complaint, '... and what is wrong');
	# at least one probe
	my $seen = $session->value('SELECT max(started_at) FROM flex_outbox');
	ok(FlexApi::wait_until(sub { $session->value("SELECT max(started_at) > '$seen' FROM flex_outbox") eq 't' }), '... one finds out');
	# It ends, and begins anew, with each one that goes on.
	ok($go_on || FlexApi::wait_until(sub { (held()->[2] // '') eq $since }), '... since when, is what it was') or diag "$since, now " . (held()->[2] // '');
	cmp_ok($session->value("SELECT count(*) FROM flex_outbox WHERE state IN ('pending', 'sending')"), '>=', $MANY - ($go_on // 0), '... all wait') or diag counts();
	is($session->value(q{SELECT max(attempts) FROM flex_outbox WHERE state = 'pending'}), 0, '... without an attempt');
	is($session->value("SELECT (held >= 1) || ' ' || (held_since = '$since') FROM flex_outbox_status"), 'true true', '... as the status says') unless $go_on;
	my $elapsed = time() - $begin;
	# those of the first moment, and then one at a time
	cmp_ok($tries->() - $before, '<=', 10 + 1 + $elapsed, sprintf '... few have tried it in %.1f s', $elapsed) if defined $before;
	my $log = new_log();
	is(warnings_of($log), 1, '... the log says so, once') or diag $log;
	like($log, qr/requests of the Flex API outbox wait for an operator\n.*DETAIL: .*\n.*HINT: .*$hint/, '... with what to look at') or diag $log;
	my $mended = time;
	$mend->();
	ok(FlexApi::wait_until(sub { counts() eq "succeeded=$MANY" }, 15 * FlexApi::slowness()), sprintf '... mended, all are sent: %.1f s', time() - $mended) or diag counts();
	is($session->value('SELECT max(attempts) FROM flex_outbox'), 1, '... by their only attempt');
	my $took = time() - $mended;
	cmp_ok($took, '<', 5 + FlexApi::slowness(), '... within seconds');
	is_deeply(held(), [], '... nothing waits any more');
	return;
}

# So many of one process's files may be open: no more than there are, or the limit that it had.
my %files_of;
sub limit_files
{
	my ($pid, $bound) = @_;
	my $open = () = glob "/proc/$pid/fd/*";

	$files_of{$pid} //= (slurp_file("/proc/$pid/limits") =~ /^Max open files\s+(\d+)/m)[0];
	return system('prlimit', '--pid', $pid, '--nofile=' . ($bound ? $open : $files_of{$pid}) . ':') == 0;
}

# An authority that is not known; the file is replaced under its name
my $connections = sub { return $simulator->get('counters')->{connections}; };
check('an unknown authority', '08001', qr/certificate/, 'flex_api\.ca_file', $connections, sub {
	copy("$directory/ca.pem", "$ca.new") or die;
	rename "$ca.new", $ca or die;
});

# One that is taken away counts no more a tenth of a second later
copy("$directory/self.pem", "$ca.new") or die;
rename "$ca.new", $ca or die;
sleep 0.1;
check('an authority that is taken away', '08001', qr/certificate/, 'flex_api\.ca_file', $connections, sub {
	copy("$directory/ca.pem", "$ca.new") or die;
	rename "$ca.new", $ca or die;
});

# A certificate that has expired; the service has another one at the same address
my $port = $simulator->port;
$simulator->stop;
my $expired = FlexApi::Simulator->new('--tls-cert', "$directory/expired.pem", '--tls-key', "$directory/expired.key", '--port', $port);
check('a certificate that has expired', '08001', qr/expired|certificate/, 'flex_api\.ca_file', sub { return $expired->get('counters')->{connections}; }, sub {
	$expired->stop;
	$simulator = FlexApi::Simulator->new('--tls-cert', "$directory/server.pem", '--tls-key', "$directory/server.key", '--port', $port);
});

# A name without an address
set_before('flex_api.base_url', 'https://no-such-host.invalid');
check('a name that is not resolved', '08001', qr/resolve/i, 'flex_api\.base_url', sub { return undef; }, sub { set('flex_api.base_url', $simulator->url); });

# A proxy that refuses, and one that is not there
my $proxy = FlexApi::Server->new(sub {
	my ($connection, $server) = @_;
	FlexApi::Server::read_request($connection) or return;
	$server->note('asked');
	print $connection "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
	return;
});
set_before('flex_api.proxy', $proxy->url);
check('a proxy that refuses', '08001', qr/407/, 'flex_api\.proxy', sub { return scalar $proxy->notes; }, sub { set('flex_api.proxy', ''); });
set_before('flex_api.proxy', 'http://127.0.0.1:1');
check('a proxy that is not there', '08001', qr/connect/i, 'flex_api\.proxy', sub { return undef; }, sub { set('flex_api.proxy', ''); });

# The hold is of its cause: who goes another way goes on
set_before('flex_api.base_url', 'https://no-such-host.invalid');
$session->value('DELETE FROM flex_outbox_requests');
enqueue(1);
ok(FlexApi::wait_until(sub { (held()->[0] // '') eq '08001' }), 'requests wait for a name');
$session->value($_) foreach "CREATE SERVER reached FOREIGN DATA WRAPPER flex_api OPTIONS (base_url '" . $simulator->url . "', ca_file '$ca', account_sid '$FlexApi::ACCOUNT')",
	"CREATE USER MAPPING FOR CURRENT_USER SERVER reached OPTIONS (auth_token '$FlexApi::TOKEN')", "SET flex_api.server = 'reached'";
enqueue($MANY);
$session->value('RESET flex_api.server');
ok(FlexApi::wait_until(sub { counts() eq "pending=1 succeeded=$MANY" }, 60), '... those to another server do not') or diag counts();
set('flex_api.base_url', $simulator->url);
ok(FlexApi::wait_until(sub { counts() eq 'succeeded=' . ($MANY + 1) }), '... and those go on, too, when it is mended') or diag counts();

# No file descriptor is left
SKIP:
{
	skip('there is no prlimit here', 1) unless -d "/proc/$$/fd" && system('prlimit --version >/dev/null 2>&1') == 0;
	set_before('flex_api.rate_limits', 'none');
	my $worker = $session->value(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'flex_api outbox worker'});
	$session->value('DELETE FROM flex_outbox_requests');
	$simulator->post('faults', { headers => { Connection => 'close' }, times => 1 });
	enqueue(1, 'flex_channel_delete', q({"sid": "CH00000000000000000000000000000001"}));
	ok(FlexApi::wait_until(sub { counts() =~ /^(succeeded|failed)=1$/ }), 'a worker has read what it needs');
	ok(FlexApi::is_at_rest($session, $worker), '... and rests');
	# It has kept no connection.
	limit_files($worker, 1);
	# Some find one that was let go of.
	check('no file descriptor', '08001', qr/no file descriptor is left/, 'limit of open files', sub { return undef; }, sub { limit_files($worker, 0); }, 10);
}

# Credentials that are refused, until the configuration has others
set_before('flex_api.auth_token', 'rotated');
my $requests = sub { return $simulator->get('counters')->{requests}; };
check('credentials that are refused', 'TW401', qr/Authenticate.*made as $FlexApi::ACCOUNT/, 'credentials', $requests, sub { set('flex_api.auth_token', $FlexApi::TOKEN); });

# ... until the credentials file has others
my $file = "$directory/credentials";
sub write_credentials { unlink $file; append_to_file($file, "$FlexApi::ACCOUNT:*:$FlexApi::ACCOUNT:$_[0]\n"); chmod 0600, $file; return; }
write_credentials('wrong');
$session->value("ALTER SYSTEM SET $_ = ''") foreach 'flex_api.account_sid', 'flex_api.auth_token';
set_before('flex_api.credentials_file', $file);
check('a line of the credentials file that is refused', 'TW401', qr/Authenticate.*credentials_file/, 'credentials', $requests, sub { write_credentials($FlexApi::TOKEN); });
$session->value("ALTER SYSTEM RESET flex_api.credentials_file");
set('flex_api.account_sid', $FlexApi::ACCOUNT);
set_before('flex_api.auth_token', $FlexApi::TOKEN);

# A server without a user mapping, and one whose secret is wrong
$session->value("CREATE SERVER twilio FOREIGN DATA WRAPPER flex_api OPTIONS (account_sid '$FlexApi::ACCOUNT')");
set_before('flex_api.server', 'twilio');
check('a user mapping that is missing', '55000', qr/no user mapping/, 'CREATE USER MAPPING', sub { return undef; },
	sub { $session->value("CREATE USER MAPPING FOR CURRENT_USER SERVER twilio OPTIONS (auth_token '$FlexApi::TOKEN')"); });
$session->value("ALTER USER MAPPING FOR CURRENT_USER SERVER twilio OPTIONS (SET auth_token 'wrong')");
check('a user mapping that is refused', 'TW401', qr/Authenticate.*user mapping/, 'credentials', $requests,
	sub { $session->value("ALTER USER MAPPING FOR CURRENT_USER SERVER twilio OPTIONS (SET auth_token '$FlexApi::TOKEN')"); });

# One that is refused although others get through is refused by itself, and holds up the others no further
my $picky = FlexApi::Server->new(sub {
	my ($connection, $server) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		my $is_bad = $request->{body} =~ /Identity=bad/;
		$server->note($is_bad ? 'bad' : 'good');
		print $connection $is_bad ? FlexApi::Server::answer('{"message": "Authenticate", "code": 20003}', '401 Unauthorized')
		  : FlexApi::Server::answer('{"identity": "x", "conversation_sid": "CH00000000000000000000000000000001"}', '201 Created') or return;
	}
});
$session->value('ALTER SYSTEM RESET flex_api.server');
set_before('flex_api.base_url', $picky->url);
$session->value('DELETE FROM flex_outbox_requests');
enqueue(1, undef, q({"address_sid": "IG00000000000000000000000000000001", "identity": "bad"}));
ok(FlexApi::wait_until(sub { (held()->[0] // '') eq 'TW401' }), 'one that is refused');
enqueue($MANY);
ok(FlexApi::wait_until(sub { counts() eq "failed=1 succeeded=$MANY" }, 10 * FlexApi::slowness()), '... has failed when others were not, and they are sent') or diag counts();
cmp_ok(scalar($picky->notes(qr/bad/)), '<=', 10, '... it was not tried many times');
is($session->value('SELECT count(*) FROM flex_stat_holds'), 0, '... and nothing waits');

# 403 is the request's own
set_before('flex_api.base_url', $simulator->url);
$simulator->post('faults', { path => '/v2/WebChats', status => 403, times => 1 });
$session->value('DELETE FROM flex_outbox_requests');
enqueue(1);
ok(FlexApi::wait_until(sub { counts() eq 'failed=1' }), '403 is the request\'s own: it has failed') or diag counts();
enqueue($MANY);
ok(FlexApi::wait_until(sub { counts() eq "failed=1 succeeded=$MANY" }), '... and others go on') or diag counts();

$node->stop('fast');
is_deeply([ grep { /PANIC|TRAP|terminated by signal|outbox worker.*exit code/ } split /\n/, slurp_file($node->logfile) ], [], 'no process has ended badly');
unlike(join("\n", grep { /DETAIL|HINT|WARNING/ } split /\n/, slurp_file($node->logfile)), qr/$FlexApi::TOKEN|rotated|wrong/, 'no secret in what is said');
done_testing();
