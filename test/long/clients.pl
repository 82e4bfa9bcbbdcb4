# The clients that people use: each example of sql/CLIENTS.md is a file of test/clients (which
# test/tools/check-documents compares), is run here, and prints what the page says.  SIDs and random parts of names may differ.
# And what pgbouncer's modes mean for credentials that a session sets.
#
# Each client is from the distribution, and what is absent is skipped; node-postgres comes
# from its registry in the version of test/clients/package-lock.json.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FlexApi;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $clients = "$FindBin::RealBin/../clients";
my $page = PostgreSQL::Test::Utils::slurp_file("$FindBin::RealBin/../../sql/CLIENTS.md");
my $DRIVER = '/usr/share/java/postgresql.jar';

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('clients', $simulator, "listen_addresses = '127.0.0.1'");
my $session = FlexApi::Session->new($node);

# What is long enough to be cancelled.
$simulator->post('faults', { path => '/v1/account/provision/status', delay_ms => 600000, times => -1 });
$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
$ENV{PGDATABASE} = 'postgres';
$ENV{PGUSER} = getpwuid($<);

# Of an output, what is the same each time.
sub lasting
{
	my ($text) = @_;

	return $text =~ s/\b([A-Z]{2})[0-9a-f]{32}/$1.../gr =~ s/psql:\S+:\d+: //gr =~ s/[ \t]+$//gmr =~ s/^-+\+-+$/-/gmr =~ s/ +/ /gr;
}

# Run an example; it prints what the page says, and ends with the server's session at rest.
sub example
{
	my ($file, @command) = @_;
	my ($out, $err) = ('', '');
	my ($expected) = $page =~ /^<!-- file: test\/clients\/\Q$file\E -->\n```\w+\n.*?^```\n```text\n(.*?)^```\n/ms;

	$simulator->post('reset', {});
	$simulator->post('faults', { path => '/v1/account/provision/status', delay_ms => 600000, times => -1 });
	# What psql says of errors stands among its rows.
	IPC::Run::run([ @command ], '>', \$out, $file =~ /\.sql$/ ? '2>&1' : ('2>', \$err), IPC::Run::timeout(60 * FlexApi::slowness()));
	is(lasting($out), lasting($expected // ''), "$file prints what the page says") or diag("$out\n$err");
	ok(FlexApi::wait_until(sub { $session->value("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query ~ 'provisioning' AND pid <> pg_backend_pid()") == 0 }),
		"$file: the call has ended in the server");
	return;
}

# True when a command ends well.
sub works { my ($command) = @_; return system("{ $command; } >/dev/null 2>&1") == 0; }

example('psql.sql', 'psql', '-X', '-q', '-f', "$clients/psql.sql");

# Ctrl-C.
my ($out, $err) = ('', '');
my $psql = IPC::Run::start([ 'psql', '-X', '-c', 'SELECT * FROM flex_provisioning_status_fetch()' ], '>', \$out, '2>', \$err);
ok(FlexApi::wait_until(sub { $session->value("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query ~ '^SELECT . FROM flex_provisioning'") == 1 }), 'psql: a call is under way');
$psql->signal('INT');
$psql->finish;
like($err, qr/canceling statement due to user request/, '... Ctrl-C ends it');

# A client that has gone: the server looks for it if it is told to.
my $gone = FlexApi::Session->new($node, options => '-c client_connection_check_interval=100ms');
my $pid = $gone->value('SELECT pg_backend_pid()');
$gone->send_query('SELECT * FROM flex_provisioning_status_fetch()');
ok(FlexApi::wait_until(sub { $session->value("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid AND state = 'active'") == 1 }), 'a call is under way');
$gone->{socket}->close;
ok(FlexApi::wait_until(sub { $session->value("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid") == 0 }, 20), '... and ends when its client has gone');

SKIP:
{
	skip 'psycopg 3 is not here', 2 unless works("python3 -c 'import psycopg'");
	example('psycopg_3.py', 'python3', "$clients/psycopg_3.py");
}
SKIP:
{
	skip 'asyncpg is not here', 2 unless works("python3 -c 'import asyncpg'");
	example('asyncpg_example.py', 'python3', "$clients/asyncpg_example.py");
}
SKIP:
{
	skip 'Node is not here', 3 unless works('node --version && npm --version');
	my $log = qx(cd '$clients' && npm ci --ignore-scripts --no-audit --no-fund 2>&1);
	is($?, 0, 'node-postgres is installed, as the lock file says') or diag($log);
	example('node_postgres.js', 'node', "$clients/node_postgres.js");
}
SKIP:
{
	skip 'JDBC is not here', 2 unless -e $DRIVER && works('javac -version');
	example('Jdbc.java', 'java', '-cp', $DRIVER, "$clients/Jdbc.java", "jdbc:postgresql://127.0.0.1:" . $node->port . "/postgres?user=$ENV{PGUSER}");
}

# As PostgREST does it: the role and what came with the request are set for a transaction.
$node->safe_psql('postgres', PostgreSQL::Test::Utils::slurp_file("$clients/postgrest.sql"));
my $request = sub {
	my ($origin) = @_;

	return $session->query("BEGIN; SET LOCAL ROLE web_anon; SELECT set_config('request.headers', '{\"origin\": \"$origin\"}', true);"
		. "SELECT conversation FROM api.open_chat(topic => 'billing'); COMMIT");
};
like($request->('https://shop.example')->{rows}[-1][0], qr/^CH/, 'PostgREST: the button opens a chat');
$session->query('ROLLBACK');
is($request->('https://elsewhere.example')->{error}{C}, 'PT403', '... for this page alone');
$session->query('ROLLBACK');
is($session->sqlstate('SET ROLE web_anon; SELECT * FROM flex_webchat_create(NULL)'), '42501', '... and no other function can be called');
$session->query('RESET ROLE');

# A dashboard reads, and makes no request.
$node->safe_psql('postgres', PostgreSQL::Test::Utils::slurp_file("$clients/dashboard.sql"));
$simulator->post('seed', { channels => 3 });
$node->safe_psql('postgres', 'CALL read_channels()');
$simulator->clear_requests;
my $dashboard = FlexApi::Session->new($node, user => 'dashboard');
cmp_ok($dashboard->value('SELECT count(*) FROM channels_now'), '>', 0, 'a dashboard: there are channels');
is($dashboard->value('SELECT count(*) FROM flex_outbox_status'), 1, '... and the outbox\'s status');
is($dashboard->sqlstate('SELECT * FROM flex_channels_list()'), '42501', '... it calls nothing');
is(scalar($simulator->requests), 0, '... nothing was sent');

SKIP:
{
	skip 'pgbouncer is not here', 10 unless works('pgbouncer --version || /usr/sbin/pgbouncer --version');
	foreach my $mode (qw(session transaction))
	{
		my $pool = Pool->new($node, $mode, PostgreSQL::Test::Utils::slurp_file("$clients/pgbouncer.ini"));
		my $one = FlexApi::Session->new($pool);
		my $show = 'SHOW flex_api.account_sid';

		$one->value('SELECT FROM flex_channels_list(max_rows => 1)');
		my $servers = $one->value($show);
		$one->value('BEGIN');
		$one->value("SET LOCAL flex_api.account_sid = 'AC11111111111111111111111111111111'");
		$one->value('COMMIT');
		is($one->value($show), $servers, "pgbouncer, $mode: SET LOCAL ends with its transaction");
		$one->value("SET flex_api.account_sid = 'AC11111111111111111111111111111111'");
		$one->close if $mode eq 'session';
		my $two = FlexApi::Session->new($pool);
		is($two->value($show), $mode eq 'session' ? $servers : 'AC11111111111111111111111111111111',
			"pgbouncer, $mode: " . ($mode eq 'session' ? 'what a client has SET ends with it' : 'what a client has SET is the next one\'s, too'));
		$two->value('RESET flex_api.account_sid');
		# A cancel goes through.
		$two->send_query('SELECT * FROM flex_provisioning_status_fetch()');
		ok(FlexApi::wait_until(sub { $session->value("SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE state = 'active' AND query ~ '^SELECT . FROM flex_provisioning'") == 1 }), "pgbouncer, $mode: a call is under way");
		is($two->receive->{error}{C}, '57014', '... and cancelled');
		is($two->sqlstate('CALL flex_outbox_drain()'), '00000', "pgbouncer, $mode: a drain");
		$two->close;
		$pool->stop;
	}
}

$node->stop;
done_testing;

# A pgbouncer of its own, between us and a server.
package Pool;

sub new
{
	my ($class, $node, $mode, $configuration) = @_;
	my $directory = PostgreSQL::Test::Utils::tempdir_short();
	my $user = getpwuid($<);
	my $self = bless { host => $directory, port => 6432 }, $class;
	my $place = sprintf('host=%s port=%d', $node->host, $node->port);

	$configuration =~ s{host=\S+ port=\d+}{$place};
	$configuration =~ s{^unix_socket_dir = .*}{unix_socket_dir = $directory}m;
	$configuration =~ s{^pool_mode = .*}{pool_mode = $mode}m;
	$configuration =~ s{^auth_type = .*}{auth_type = trust}m;
	$configuration =~ s{^auth_file = .*}{auth_file = $directory/users.txt}m;
	PostgreSQL::Test::Utils::append_to_file("$directory/pgbouncer.ini", "$configuration\nlogfile = $directory/log\n");
	PostgreSQL::Test::Utils::append_to_file("$directory/users.txt", qq{"$user" ""\n});
	local $ENV{PATH} = "$ENV{PATH}:/usr/sbin";
	$self->{process} = IPC::Run::start([ 'pgbouncer', '-q', "$directory/pgbouncer.ini" ], '>', '/dev/null', '2>', '/dev/null');
	FlexApi::wait_until(sub { -S "$directory/.s.PGSQL.6432" }) or die 'pgbouncer did not start: ' . PostgreSQL::Test::Utils::slurp_file("$directory/log");
	return $self;
}

sub host { return $_[0]->{host}; }
sub port { return $_[0]->{port}; }
sub stop { my ($self) = @_; $self->{process}->kill_kill; return; }
