# The queries for exporters in sql/monitoring: a role in pg_monitor can run each, the columns are
# those that the file describes, and what they count is there.  Where Debian's
# prometheus-postgres-exporter and promtool are installed, these judge the metrics and the alerts.

use strict;
use warnings;

use FindBin;
use FlexApi;
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = "$FindBin::RealBin/../../../sql/monitoring";
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('metrics', $simulator, "shared_preload_libraries = 'flex_api'", 'fsync = off');
my $session = FlexApi::Session->new($node);

$session->value('CREATE ROLE exporter LOGIN; GRANT pg_monitor TO exporter; CREATE ROLE alice LOGIN; GRANT EXECUTE ON FUNCTION flex_enqueue, flex_webchat_create, flex_flow_fetch, flex_outbox_await TO alice');
my $alice = FlexApi::Session->new($node, user => 'alice');
my $id = $alice->value(q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}')});
is($alice->value("SELECT state FROM flex_outbox_await($id, '60 s')"), 'succeeded', 'there is something to count');
$simulator->post('faults', { operation => 'flex_flow_fetch', status => 404, code => 20404 });
$id = $alice->value(q{SELECT flex_enqueue('flex_flow_fetch', '{"sid": "FO00000000000000000000000000000001"}')});
is($alice->value("SELECT state FROM flex_outbox_await($id, '60 s')"), 'failed', '... also of what has failed');
$alice->value(q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}', run_at => now() + interval '1 day')});

# Namespaces of the file: the query and the columns that are described.
my %queries;
my $name;
foreach my $line (split /\n/, slurp_file("$folder/postgres_exporter.yml"))
{
	$name = $1 if $line =~ /^(\w+):$/;
	push @{ $queries{$name}{columns} }, $1 if $line =~ /^    - (\w+): \{usage: (?:LABEL|GAUGE|COUNTER), description: ".+"\}$/;
	$queries{$name}{query} .= "$line\n" if defined $name && $line =~ /^    (?!- )/;
}
my $exporter = FlexApi::Session->new($node, user => 'exporter');
my %values;
foreach (sort keys %queries)
{
	my $result = $exporter->query("SELECT to_jsonb(q) FROM ($queries{$_}{query}) AS q");
	my @rows = map { JSON::PP->new->decode($_->[0]) } @{ $result->{rows} };

	ok(@rows > 0, "$_: it has rows");
	is(join(' ', sort keys %{ $rows[0] }), join(' ', sort @{ $queries{$_}{columns} }), '... of the columns that are described');
	$values{$_} = \@rows;
}
is($values{flex_worker}[0]{up}, 1, 'the worker is up');
sub shown { my ($space, @columns) = @_; return join '; ', sort map { my $row = $_; join ' ', map { $row->{$_} } @columns } @{ $values{$space} }; }
is(shown('flex_outbox', qw(operation pending succeeded failed)), 'flex_flow_fetch 0 0 1; flex_webchat_create 1 1 0', 'the outbox of another role is counted');
is(shown('flex_outbox_causes', qw(operation state cause requests)), 'flex_flow_fetch failed 20404 1', 'what has kept a request from success');
is(shown('flex_rates', qw(account operation configured_rate)), "$FlexApi::ACCOUNT flex_flow_fetch Infinity; $FlexApi::ACCOUNT flex_webchat_create 5", 'its rate');
is(shown('flex_operations', qw(usename operation way succeeded_total refused_total)), 'alice flex_flow_fetch outbox 0 1; alice flex_webchat_create outbox 1 0', 'and its requests');

# The queries for pgwatch, which stand below their versions.
my @others = map { s/^ {8}//mgr } slurp_file("$folder/pgwatch.yml") =~ /^      15: \|\n((?: {8}.*\n)+)/mg;
is(scalar(@others), 6, 'there are queries for pgwatch');
is(join(' ', map { $exporter->sqlstate($_) } @others), join(' ', ('00000') x @others), '... that a role in pg_monitor can run');

# What the alerts ask for is exported.
my %exported = map { my $space = $_; map { ("${space}_$_" => 1) } @{ $queries{$space}{columns} } } keys %queries;
is(join(' ', grep { !$exported{$_} } join("\n", slurp_file("$folder/alerts.yml") =~ /expr: (.*)/g) =~ /\b(flex_\w+)/g), '', 'the alerts are on what is exported');

SKIP:
{
	skip 'no prometheus-postgres-exporter and promtool here', 3 if grep { system("command -v $_ >/dev/null") } qw(prometheus-postgres-exporter promtool);
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $log = PostgreSQL::Test::Utils::tempdir() . '/exporter.log';
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		open(STDOUT, '>', $log) && open(STDERR, '>&', \*STDOUT) or die;
		$ENV{DATA_SOURCE_NAME} = 'user=exporter dbname=postgres sslmode=disable host=' . $node->host . ' port=' . $node->port;
		exec('prometheus-postgres-exporter', "--web.listen-address=127.0.0.1:$port", "--extend.query-path=$folder/postgres_exporter.yml",
			'--disable-default-metrics', '--disable-settings-metrics') or die;
	}
	my $answer;
	ok(FlexApi::wait_until(sub { $answer = HTTP::Tiny->new->get("http://127.0.0.1:$port/metrics"); ($answer->{content} // '') =~ /^flex_worker_up/m }),
		'the exporter serves them') or diag(FlexApi::content($log));
	my $metrics = join "\n", grep { /^(?:# (?:HELP|TYPE) )?flex_/ } split /\n/, $answer->{content};
	kill 'TERM', $pid;
	waitpid $pid, 0;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/metrics';
	append_to_file($file, "$metrics\n");
	is(scalar(qx(promtool check metrics <$file 2>&1)), '', 'promtool has nothing against them');
	like(scalar(qx(promtool check rules $folder/alerts.yml 2>&1)), qr/SUCCESS/, '... nor against the alerts');
}

$node->stop;
done_testing();
