# measure.pl --bin FOLDER --directory DIRECTORY [SECTION ...]
#
# Measures flex_api beside programs of libcurl and json-c (raw_calls, raw_list)
# that fetch the same with the same headers.  test/bench/run prepares and calls
# it.  Ends with 1 where a goal was missed.
use strict;
use warnings;

use File::Basename qw(dirname);
use Getopt::Long;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

use lib dirname(__FILE__);
use Answers;
use Baseline;
use Rounds;
use Servers;
use Session;

my ($bin, $directory);
GetOptions('bin=s' => \$bin, 'directory=s' => \$directory) or exit 2;
my %wanted = map { $_ => 1 } @ARGV ? @ARGV : qw(calls tls lists answers);

my $ROUNDS = 7;
my $CALLS = 5000;
my $TLS_CALLS = 50;
my $ROWS = 100_000;

my $missed = 0;
my $servers;
$SIG{INT} = $SIG{TERM} = sub { exit 1 };

# A session that talks to a simulator.
sub session
{
	my ($simulator, @settings) = @_;
	my $session = Session->new($servers);

	$session->query("SET flex_api.base_url = '$simulator'; SET client_min_messages = error; " . join('; ', @settings));
	return $session;
}

# So many calls in one statement.  The argument depends on g: PostgreSQL would
# call the function once otherwise, and read its row again and again.
sub lateral
{
	my ($count, $sid) = @_;

	return "SELECT count(c.sid) FROM generate_series(1, $count) g, LATERAL flex_channel_fetch(CASE WHEN g > 0 THEN '$sid' END) c";
}

# A statement so many times, each by itself from psql to the server and back.
sub statements
{
	my ($count, $statement) = @_;

	return "\\o /dev/null\nSELECT \$\$$statement\$\$ FROM generate_series(1, $count) \\gexec\n\\o\nSELECT";
}

# The same calls by pgsql-http, where that is installed, as a contestant; else none.
sub pgsql_http
{
	my ($session, $url, @headers) = @_;

	return () if $session->query("SELECT count(*) FROM pg_available_extensions WHERE name = 'http'") == 0;
	my $list = join(', ', map { /^(.*?): (.*)$/ ? "http_header('$1', '$2')" : () } @headers);
	my $statement = "SELECT count(c.sid) FROM generate_series(1, $CALLS) g, " .
	  "LATERAL http(('GET', CASE WHEN g > 0 THEN '$url' END, ARRAY[$list], NULL, NULL)::http_request) h, " .
	  'LATERAL jsonb_populate_record(NULL::flex_channel, h.content::jsonb) c';
	$session->query("CREATE EXTENSION http; SELECT http_set_curlopt('CURLOPT_TCP_KEEPALIVE', '1')");
	return [ 'pgsql-http, LATERAL' => sub { $session->cost($statement) }, $statement ];
}

sub calls
{
	my $simulator = $servers->simulator;
	$servers->control($simulator, 'POST', 'seed', { channels => 1 });
	my $session = session($simulator);
	my $sid = $session->query('SELECT sid FROM flex_channels_list(max_rows => 1)');
	my $lateral = lateral($CALLS, $sid);
	my $plpgsql = "DO \$\$ DECLARE c flex_channel; BEGIN FOR i IN 1..$CALLS LOOP " .
	  "SELECT * INTO c FROM flex_channel_fetch('$sid'); END LOOP; END \$\$";
	my $single = "SELECT * FROM flex_channel_fetch('$sid')";
	my ($statements, $nothing) = (statements($CALLS, $single), statements($CALLS, 'SELECT 1'));

	$session->query($single);
	my @headers = Baseline::same_headers($servers, $simulator, 'raw_calls', "$simulator/v1/Channels/$sid");
	$servers->control($simulator, 'POST', 'settings', { record => JSON::PP::false });

	my @others = pgsql_http($session, "$simulator/v1/Channels/$sid", @headers);
	my ($requests, $connections) = Baseline::counted($servers, $simulator);
	my $costs = Rounds::measure($ROUNDS, $CALLS,
		[ 'raw libcurl and json-c' => sub { Baseline::raw($servers, 'raw_calls', @headers, "$simulator/v1/Channels/$sid", $CALLS) } ],
		[ 'LATERAL' => sub { $session->cost($lateral) } ],
		[ 'LATERAL, jit = off' => sub { $session->query('SET jit = off'); my $cost = $session->cost($lateral); $session->query('RESET jit'); $cost } ],
		[ 'PL/pgSQL loop' => sub { $session->cost($plpgsql) } ],
		[ 'statements of their own' => sub { $session->cost($statements) } ],
		[ 'statements that call nothing' => sub { $session->cost($nothing) } ],
		@others);
	my ($requests_now, $connections_now) = Baseline::counted($servers, $simulator);
	my ($sent, $opened) = ($requests_now - $requests, $connections_now - $connections);
	my $rounds = Rounds::count($costs);
	my $expected = $rounds * ($CALLS * (5 + @others) + 1);
	$sent == $expected && $opened == $rounds + @others
	  or die "$sent requests on $opened new connections, where $expected on one per round were expected\n";

	Rounds::heading("A call on a kept connection ($CALLS calls per round, " . Rounds::count($costs) . " rounds)", 'us');
	my $baseline = 'raw libcurl and json-c';
	Rounds::line($costs, $baseline);
	$missed += Rounds::line($costs, 'LATERAL', $baseline, wall => 1.3, cpu => 1.6);
	Rounds::line($costs, 'LATERAL, jit = off', $baseline);
	Rounds::line($costs, 'PL/pgSQL loop', $baseline);
	Rounds::line($costs, 'statements of their own', $baseline);
	Rounds::line($costs, 'statements that call nothing', $baseline);
	Rounds::line($costs, $_->[0], $baseline) for @others;
	print "  raw: raw_calls -H ... $simulator/v1/Channels/$sid $CALLS\n";
	print "  LATERAL: $lateral\n  PL/pgSQL: $plpgsql\n  statements: $single; \\gexec $CALLS times\n";
	print "  $_->[0]: $_->[2]\n" for @others;
}

sub tls
{
	my ($key, $certificate, $authorities) = $servers->certificates;
	my $simulator = $servers->simulator('--tls-cert', $certificate, '--tls-key', $key);
	$servers->control($simulator, 'POST', 'seed', { channels => 1 });
	my $session = session($simulator, "SET flex_api.ca_file = '$authorities'");
	my $sid = $session->query('SELECT sid FROM flex_channels_list(max_rows => 1)');
	my $lateral = lateral($TLS_CALLS, $sid);
	my $url = "$simulator/v1/Channels/$sid";

	$servers->control($simulator, 'POST', 'faults', { times => -1, headers => { Connection => 'close' } });
	$session->query("SELECT * FROM flex_channel_fetch('$sid')");
	my @headers = Baseline::same_headers($servers, $simulator, 'raw_calls', $url, '-c', $authorities);
	my ($requests, $connections) = Baseline::counted($servers, $simulator);
	my $baseline = 'raw, no CApath';
	my $costs = Rounds::measure($ROUNDS, $TLS_CALLS,
		[ $baseline => sub { Baseline::raw($servers, 'raw_calls', @headers, '-p', '-c', $authorities, $url, $TLS_CALLS) } ],
		[ 'LATERAL' => sub { $session->cost($lateral) } ],
		[ "raw, libcurl's defaults" => sub { Baseline::raw($servers, 'raw_calls', @headers, '-c', $authorities, $url, $TLS_CALLS) } ]);
	my ($requests_now, $connections_now) = Baseline::counted($servers, $simulator);
	$requests_now - $requests == $connections_now - $connections
	  or die 'connections were kept: ', $requests_now - $requests, ' requests, ', $connections_now - $connections, " connections\n";

	Rounds::heading("A new TLS connection per call ($TLS_CALLS calls per round, " . Rounds::count($costs) . " rounds)", 'us');
	Rounds::line($costs, $baseline);
	Rounds::line($costs, "raw, libcurl's defaults", $baseline);
	$missed += Rounds::line($costs, 'LATERAL', $baseline, cpu_is => 2000);
	print "  raw: raw_calls -H ... [-p] -c authorities.pem $url $TLS_CALLS\n  LATERAL: $lateral\n";
}

sub lists
{
	my $simulator = $servers->simulator;
	$servers->control($simulator, 'POST', 'seed', { channels => $ROWS });
	my $session = session($simulator);
	my $statement = 'SELECT count(*) FROM flex_channels_list()';

	$session->query('SELECT * FROM flex_channels_list(max_rows => 1)');
	my @headers = Baseline::same_headers($servers, $simulator, 'raw_calls', "$simulator/v1/Channels?PageSize=1");
	$servers->control($simulator, 'POST', 'settings', { record => JSON::PP::false });
	my $baseline = 'raw libcurl and json-c';
	my $costs = Rounds::measure($ROUNDS, 1000,
		[ $baseline => sub { Baseline::raw($servers, 'raw_list', @headers, "$simulator/v1/Channels?PageSize=1000", $ROWS) } ],
		[ 'flex_channels_list()' => sub { $session->cost($statement) } ]);
	$session->query($statement) == $ROWS or die "not $ROWS rows\n";

	Rounds::heading("A list of $ROWS rows in pages of 1000 (" . Rounds::count($costs) . " rounds)", 'ms');
	Rounds::line($costs, $baseline);
	$missed += Rounds::line($costs, 'flex_channels_list()', $baseline, wall => 0.8, cpu => 0.6);
	print "  raw: raw_list -H ... '$simulator/v1/Channels?PageSize=1000' $ROWS\n  ours: $statement\n";
	memory($simulator, $statement);
}

# Growth of a backend's memory while it lists, its tuplestore kept on disk by a small work_mem.
sub memory
{
	my ($simulator, $statement) = @_;
	my $session = session($simulator, 'SET work_mem = 64');

	$session->query('SELECT * FROM flex_channels_list(max_rows => 1)');
	my ($resident, $anonymous) = map { $session->status($_) } qw(VmRSS RssAnon);
	$session->reset_peak;
	$session->query($statement);
	my $peak = $session->status('VmHWM') - $resident;
	my $kept = $session->status('RssAnon') - $anonymous;
	$missed += $peak > 16 * 1024;
	printf "%-38s %6.1f MB at the peak, %.1f MB kept after it; goal: peak <= 16 MB %s\n", 'memory beside the tuplestore',
	  $peak / 1024, $kept / 1024, $peak > 16 * 1024 ? 'MISSED' : 'ok';
	print "  VmHWM and RssAnon of /proc/PID/status, SET work_mem = 64: $statement\n";
}

# What a session needs beside what it has, at the peak, to make jsonb of a large answer.
sub answers
{
	my $server = Answers::serve();
	my $number = 0;

	printf "\nflex_request() with an answer of %d MB\n%-38s %12s%12s%12s\n", $Answers::BYTES / 1e6, '', 'jsonb MB', 'peak MB', 'CPU ms';
	for my $name (Answers::names())
	{
		my $session = session($server, "SET flex_api.max_response_size = '16MB'");

		$session->query("CREATE FUNCTION pg_temp.size(path text) RETURNS text LANGUAGE plpgsql AS \$\$ BEGIN " .
			"RETURN (SELECT pg_column_size(body) FROM flex_request('GET', path)); EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END \$\$");
		# What a first call leaves is not what the next one needs.
		$session->query("SELECT pg_temp.size('/none')");
		my ($resident, $cpu) = ($session->status('VmRSS'), $session->cpu);
		$session->reset_peak;
		my $size = $session->query("SELECT pg_temp.size('/$number')");
		$cpu = $session->cpu - $cpu;
		my $peak = ($session->status('VmHWM') - $resident) / 1024;
		$missed += $peak > 200;
		printf "%-38s %12s%12.1f%12.0f   goal: peak <= 200 %s\n", $name, $size =~ /^\d{6}/ ? sprintf('%.1f', $size / 1e6) : $size,
		  $peak, $cpu * 1e3, $peak > 200 ? 'MISSED' : 'ok';
		$number++;
	}
}

my $started = clock_gettime(CLOCK_MONOTONIC);
open(my $load, '<', '/proc/loadavg') or die "loadavg: $!";
my ($others) = <$load> =~ /^(\S+)/;
print "The load average is $others: others are at work, and ratios of the wall clock mean little.\n" if $others > 0.5;
$servers = Servers->new($bin, $directory);
Session->new($servers)->query('CREATE EXTENSION flex_api');
calls() if $wanted{calls};
tls() if $wanted{tls};
lists() if $wanted{lists};
answers() if $wanted{answers};
$servers->stop;
printf "\n%d s; %s\n", clock_gettime(CLOCK_MONOTONIC) - $started, $missed ? "$missed goals missed" : 'all goals reached';
exit($missed ? 1 : 0);
