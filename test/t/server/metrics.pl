# The queries for exporters in sql/monitoring: a role in pg_monitor can run each, the columns are
# those that the file describes, and what they count is there.  Where Debian's
# prometheus-postgres-exporter and promtool are installed, these judge the metrics and the alerts,
# and each alert fires when it should and not otherwise.

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

# Series that have each alert fire, and those of an ordinary day, a value a minute.
my @ALERTS = (
	[ 'FlexApiWorkerDown', [ flex_worker_up => '0x30' ], [ flex_worker_up => '1x30' ] ],
	[ 'FlexApiOutboxBehind', [ flex_outbox_due => '7x30', flex_outbox_oldest_pending_seconds => '0+60x30' ], [ flex_outbox_due => '0x30', flex_outbox_oldest_pending_seconds => '0+60x30' ] ],
	[ 'FlexApiUncertain', [ flex_outbox_uncertain => '1x30' ], [ flex_outbox_uncertain => '0x30' ] ],
	[ 'FlexApiFailures', [ ends(failed => 4, lost => 4, succeeded => 50) ], [ ends(failed => 0.1, lost => 0.1, succeeded => 50) ] ],
	[ 'FlexApiRefused', [ ends(refused => 1) ], [ ends(refused => 0.1) ] ],
	[ 'FlexApiThrottled', [ ends(throttled => 9, succeeded => 50) ], [ ends(throttled => 3, succeeded => 50) ] ],
	[ 'FlexApiHeld', [ flex_rates_held_seconds => '600x30' ], [ flex_rates_held_seconds => '1x30' ] ],
	[ 'FlexApiUnreachable', [ ends(unsent => 3) ], [ ends(unsent => 0.2) ] ],
	[ 'FlexApiCallbacksWait', [ flex_outbox_callbacks => '2x30' ], [ flex_outbox_callbacks => '0x30' ] ]);
sub ends { my %per_minute = @_; return map { ("flex_operations_${_}_total" => "0+$per_minute{$_}x30") } sort keys %per_minute; }

SKIP:
{
	skip 'no promtool here', 2 if system('command -v promtool >/dev/null');
	my $rules = slurp_file("$folder/alerts.yml");
	my $file = PostgreSQL::Test::Utils::tempdir() . '/alerts_test.yml';
	my $text = "rule_files: ['$folder/alerts.yml']\nevaluation_interval: 1m\ntests:\n";

	is(join(' ', sort $rules =~ /- alert: (\w+)/g), join(' ', sort map { $_->[0] } @ALERTS), 'there are series for each alert');
	foreach (@ALERTS)
	{
		my ($alert, @cases) = @$_;
		my ($severity, $annotations) = $rules =~ /- alert: $alert\n.*?labels: \{severity: (\w+)\}\n\s+annotations: (\{.*?\})\n/s;

		foreach my $number (0, 1)
		{
			my %series = @{ $cases[$number] };

			$text .= "  - interval: 1m\n    input_series:\n" . join '', map { qq(      - {series: '$_\{way="outbox"}', values: '$series{$_}'}\n) } sort keys %series;
			$text .= "    alert_rule_test:\n      - eval_time: 25m\n        alertname: $alert\n        exp_alerts:\n";
			$text .= "          - {exp_labels: {severity: $severity, way: outbox}, exp_annotations: $annotations}\n" if $number == 0;
		}
	}
	append_to_file($file, $text);
	like(scalar(qx(promtool test rules $file 2>&1)), qr/^\s+SUCCESS\s*\z/m, 'each fires when it should, and on an ordinary day none does');
}

$node->stop;
done_testing();
