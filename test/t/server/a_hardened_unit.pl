# The server under what systemd's hardening leaves a unit: a file system that is read-only but for its
# own folders, no memory that is writable and executable, no new privileges, and no sockets but of
# AF_UNIX, AF_INET and AF_INET6.  Behaviour: direct calls, over TLS too, the worker, callbacks in
# processes of their own and the statistics work as without.
use strict;
use warnings;

use Cwd qw(getcwd);
use File::Spec::Functions qw(rel2abs);
use FindBin;
use lib "$FindBin::RealBin/../../perl", "$FindBin::RealBin/../../crash";
use FlexApi;
use Outbox;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'the sanitizers write code' if $ENV{FLEX_SLOW_BUILD};

my $hardened = "$FindBin::RealBin/../../tools/hardened";
my $folder = rel2abs(PostgreSQL::Test::Utils::tempdir);
my ($output, $errors) = ('', '');
IPC::Run::run([ $^X, $hardened, $folder, 'true' ], '>', \$output, '2>', \$errors);
plan skip_all => "not to be had here: $errors" if $? >> 8 == 125;

# What it takes away: each of these works without it.
my %taken = (
	'a folder that is not its own' => [ 'touch', "$FindBin::RealBin/hardened" ],
	'another family of sockets' => [ $^X, '-e', 'use Socket; socket(my $s, 16, SOCK_RAW, 0) or die $!' ],
	'memory that is written and executed' => [ $^X, '-e', 'my $at = syscall(9, 0, 4096, 7, 34, -1, 0); exit($at == -1 ? 1 : 0)' ],
	'rights of a program' => [ 'sh', '-c', '! grep -q "^NoNewPrivs:.*1" /proc/self/status' ]);
foreach my $what (sort keys %taken)
{
	command_ok($taken{$what}, "$what: there without hardening");
	command_fails([ $^X, $hardened, $folder, @{ $taken{$what} } ], '... and not with it');
	unlink "$FindBin::RealBin/hardened";
}

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('hardened', $simulator, "shared_preload_libraries = 'flex_api'", 'jit = off', "flex_api.rate_limits = 'none'");
$node->stop;
command_ok([ $^X, $hardened, join(':', getcwd(), $node->host), 'pg_ctl', '-w', '-D', $node->data_dir, '-l', $node->logfile, 'start' ], 'the server starts');
$node->_update_pid(1);

my $session = FlexApi::Session->new($node);
my $CALL = q{SELECT conversation_sid ~ '^CH' FROM flex_webchat_create('IG' || repeat('a', 32))};
is($session->value($CALL), 't', 'a direct call');
$session->value($_) for 'CREATE TABLE heard (id bigint)',
	'CREATE FUNCTION hear(flex_outbox) RETURNS void LANGUAGE sql AS $$ INSERT INTO heard VALUES ($1.id) $$';
my $id = enqueue($session, 'hardened', q(on_success => 'hear'));
ok(reaches($session, $id, 'succeeded'), 'the worker sends');
is($session->value('SELECT id FROM heard'), $id, '... and the callback has run');

SKIP:
{
	skip 'no openssl program', 1 if system('openssl version >/dev/null 2>&1') != 0;
	FlexApi::make_certificates($folder);
	my $secure = FlexApi::Simulator->new('--tls-cert', "$folder/server.pem", '--tls-key', "$folder/server.key");
	$session->value("SET flex_api.ca_file = '$folder/ca.pem'");
	$session->value("SET flex_api.base_url = '" . ($secure->url =~ s/127\.0\.0\.1/localhost/r) . "'");
	my $result = $session->query($CALL);
	is($result->{rows}[0][0], 't', 'over TLS, to a name that is looked up') or diag(explain($result->{error}));
}
cmp_ok($session->value('SELECT sum(requests) FROM flex_stat_operations'), '>=', 2, 'it is all counted');
$session->close;

# The statistics are written at the end.
$node->stop;
$node->start;
cmp_ok($node->safe_psql('postgres', 'SELECT sum(requests) FROM flex_stat_operations'), '>=', 2, 'and kept');
$node->stop;
done_testing();
