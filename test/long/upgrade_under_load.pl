# The extension is updated while sessions enqueue.  Behaviour: no session sees an error, neither
# while library and tables are of different versions nor while the update runs; what was enqueued
# before, meanwhile and after is sent, each request once; ten thousand requests of each state are as
# they were.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl", "$FindBin::RealBin/../upgrade";
use FlexApi;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Rows;
use Test::More;

my $FIRST = '1.0.0';
my $OF_EACH_STATE = 10_000;
my $WAITING = 2000;
my $CLIENTS = 4;
my $EACH = 300;
my $folder = PostgreSQL::Test::Utils::tempdir;
my $simulator = FlexApi::Simulator->new('--journal', "$folder/journal");
my $node = FlexApi::node('load', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'",
	'flex_api.concurrency = 50', 'max_worker_processes = 20');

$node->safe_psql('postgres', 'CREATE DATABASE old');
my $session = FlexApi::Session->new($node, database => 'old');
$session->value("CREATE EXTENSION flex_api VERSION '$FIRST'");
Rows::insert($session, $OF_EACH_STATE);

sub enqueue_statement
{
	my ($identity) = @_;

	return "SELECT flex_enqueue('flex_webchat_create', jsonb_build_object('address_sid', 'IG00000000000000000000000000000001', 'identity', $identity))";
}

# Some wait already: the worker sends nothing while the tables are older than it.
$session->value(enqueue_statement("'waiting-' || n") . " FROM generate_series(1, $WAITING) AS n");
PostgreSQL::Test::Utils::append_to_file("$folder/load.sql",
	"\\set n random(1, 1000000000)\n" . enqueue_statement("'load-' || :client_id || '-' || txid_current()") . ";\n");
my ($output, $errors) = ('', '');
my $load = IPC::Run::start([ 'pgbench', '-n', '-c', $CLIENTS, '-t', $EACH, '-f', "$folder/load.sql", $node->connstr('old') ],
	'>', \$output, '2>', \$errors);
my $enqueued = "SELECT count(*) FROM flex_outbox WHERE context IS NULL";
ok(FlexApi::wait_until(sub { $session->value($enqueued) > $WAITING + $EACH / 4 }), 'sessions enqueue with the new library and the old tables');
is($session->value("SELECT count(*) FROM flex_outbox WHERE state <> 'pending' AND context IS NULL"), 0, 'nothing has been sent');
is($session->sqlstate('BEGIN; ALTER EXTENSION flex_api UPDATE'), '00000', 'the update is made meanwhile');
is(Rows::changed($session), 0, 'no request of any state is another');
$session->value('COMMIT');
my $before = $session->value($enqueued);
note('enqueued when the update was made: ', $before - $WAITING, ' of ', $CLIENTS * $EACH);
$load->finish;
is($load->result(0), 0, 'no session saw an error') or diag($errors);
like($output, qr{number of transactions actually processed: (\d+)/\1\b}, 'each made all its transactions') or diag($output, $errors);

# Each once.
my $all = $WAITING + $CLIENTS * $EACH;
is($session->value($enqueued), $all, 'all is in the outbox');
ok(FlexApi::wait_until(sub { $session->value("SELECT count(*) FROM flex_outbox WHERE state = 'succeeded' AND context IS NULL") == $all }), 'all is sent')
  or diag(explain($session->query('SELECT state, error_code, count(*) FROM flex_outbox WHERE context IS NULL GROUP BY 1, 2')->{rows}));
my %times;
$times{ decode_json($_)->{form}{Identity} }++ for split /\n/, slurp_file("$folder/journal");
is(scalar keys %times, $all, 'the service has heard of each');
is_deeply([ grep { $times{$_} != 1 } sort keys %times ], [], 'once');

$node->stop;
done_testing();
