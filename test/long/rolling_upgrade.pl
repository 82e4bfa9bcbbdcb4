# A rolling upgrade of a primary and its standby.  Behaviour: the library is replaced first, on one
# server after the other, and the tables last, while sessions enqueue; a standby gets the update by
# replication, with sessions that read there, and sends when it is promoted; ten thousand requests of
# each state are as they were; what was enqueued on either server is sent, each request once.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl", "$FindBin::RealBin/../crash", "$FindBin::RealBin/../upgrade";
use FlexApi;
use IPC::Run;
use JSON::PP;
use Outbox;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Rows;
use Test::More;

my $FIRST = '1.0.0';
my $OF_EACH_STATE = 10_000;
my $CLIENTS = 4;
my $EACH = 150;
my $OURS = 'FROM flex_outbox WHERE context IS NULL';
my $folder = PostgreSQL::Test::Utils::tempdir;
my $simulator = FlexApi::Simulator->new('--journal', "$folder/journal");
my $first = FlexApi::node('first', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'",
	'flex_api.concurrency = 50', 'max_worker_processes = 20', 'wal_level = replica', 'max_wal_senders = 4', 'wal_keep_size = 1GB');

# A load of sessions that enqueue, each client under a name of its own.
sub load
{
	my ($node, $name) = @_;
	my $load = { output => '', errors => '' };

	PostgreSQL::Test::Utils::append_to_file("$folder/$name.sql", "SELECT flex_enqueue('flex_webchat_create', jsonb_build_object('address_sid',
		'IG00000000000000000000000000000001', 'identity', '$name-' || :client_id || '-' || txid_current()));\n" =~ s/\n\s+/ /r);
	$load->{run} = IPC::Run::start([ 'pgbench', '-n', '-c', $CLIENTS, '-t', $EACH, '-f', "$folder/$name.sql", $node->connstr('old') ],
		'>', \$load->{output}, '2>', \$load->{errors});
	return $load;
}

# Its end: no session has seen an error.
sub check_load
{
	my ($load, $name) = @_;

	$load->{run}->finish;
	is($load->{run}->result(0), 0, "$name: no session saw an error") or diag($load->{errors});
	like($load->{output}, qr{number of transactions actually processed: (\d+)/\1\b}, '... each made all its transactions');
	return;
}

# The primary stops, its standby is promoted, and the old primary follows it.
sub switch_over
{
	my ($from, $to) = @_;

	$from->wait_for_catchup($to);
	$from->stop('fast');
	$to->promote;
	$from->enable_streaming($to);
	$from->append_conf('postgresql.conf', "recovery_target_timeline = 'latest'");
	$from->start;
	return FlexApi::Session->new($to, database => 'old');
}

# The tables of the first release; the library is this one already, on both servers.
$first->safe_psql('postgres', 'CREATE DATABASE old');
my $session = FlexApi::Session->new($first, database => 'old');
$session->value("CREATE EXTENSION flex_api VERSION '$FIRST'");
Rows::insert($session, $OF_EACH_STATE);
$first->backup('base');
my $second = PostgreSQL::Test::Cluster->new('second');
$second->init_from_backup($first, 'base', has_streaming => 1);
$second->start;
check_load(load($first, 'one'), 'on the first server');
$first->wait_for_catchup($second);
my $reader = FlexApi::Session->new($second, database => 'old');
is($reader->value("SELECT count(*) $OURS"), $CLIENTS * $EACH, 'the standby shows the old tables');
is($reader->sqlstate('SELECT FROM flex_flows_list(max_rows => 1)'), '00000', '... and a direct call works there');
$session->close;
$reader->close;

# The standby takes over, with the old tables, which are updated while sessions enqueue.
$session = switch_over($first, $second);
$reader = FlexApi::Session->new($first, database => 'old');
is($reader->value("SELECT count(*) $OURS"), $CLIENTS * $EACH, 'the old primary is a standby');
my $load = load($second, 'two');
ok(FlexApi::wait_until(sub { $session->value("SELECT count(*) $OURS") > $CLIENTS * $EACH }), 'sessions enqueue on the promoted server');
is($session->value("SELECT count(*) $OURS AND state <> 'pending'"), 0, 'nothing has been sent');
is($session->sqlstate('BEGIN; ALTER EXTENSION flex_api UPDATE'), '00000', 'the update is made meanwhile');
is(Rows::changed($session), 0, '... no request of any state is another');
$session->value('COMMIT');
check_load($load, 'on the second server');
my $all = 2 * $CLIENTS * $EACH;
ok(FlexApi::wait_until(sub { $session->value("SELECT count(*) $OURS AND state = 'succeeded'") == $all }), 'all is sent')
  or diag(explain($session->query("SELECT state, error_code, count(*) $OURS GROUP BY 1, 2")->{rows}));

# The standby has the update by replication: a session that has read the old tables reads the new ones.
$second->wait_for_catchup($first);
is($reader->value("SELECT count(*) $OURS AND state = 'succeeded'"), $all, 'the standby has all of it');
is($reader->value("SELECT extversion FROM pg_extension WHERE extname = 'flex_api'"),
	$session->value("SELECT extversion FROM pg_extension WHERE extname = 'flex_api'"), '... and the version');
is($reader->sqlstate('SELECT FROM flex_flows_list(max_rows => 1)'), '00000', '... and its calls are those of the new tables');
$reader->close;
$session->close;

# And back.
$session = switch_over($second, $first);
my $id = enqueue($session, 'back');
ok(reaches($session, $id, 'succeeded'), 'the first server sends again, with tables that it has by replication');
is($session->value('SELECT count(*) FROM before'), $session->value("SELECT count(*) FROM flex_outbox WHERE context ? 'n'"), 'no request was lost');
ok(FlexApi::wait_until(sub { $session->value("SELECT string_agg(state || ' ' || n, ', ' ORDER BY state)
	FROM (SELECT state, count(*) AS n FROM flex_outbox WHERE context ? 'n' GROUP BY state) AS states")
	eq join(', ', "cancelled $OF_EACH_STATE", "failed $OF_EACH_STATE", "pending $OF_EACH_STATE", 'sending ' . $OF_EACH_STATE / 2,
		"succeeded $OF_EACH_STATE", 'uncertain ' . $OF_EACH_STATE * 3 / 2) }),
	'what nobody sends any more is uncertain, all else has the state that it had')
  or diag(explain($session->query("SELECT state, count(*) FROM flex_outbox WHERE context ? 'n' GROUP BY state")->{rows}));
my %times;
$times{ decode_json($_)->{form}{Identity} // '' }++ for grep { /Identity/ } split /\n/, slurp_file("$folder/journal");
is(scalar keys %times, $all + 1, 'the service has heard of each');
is_deeply([ grep { $times{$_} != 1 } sort keys %times ], [], 'once');

$_->stop for $second, $first;
done_testing();
