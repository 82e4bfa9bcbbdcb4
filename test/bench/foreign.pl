# foreign.pl --bin FOLDER --directory DIRECTORY
#
# Measures foreign tables: a whole list beside flex_channels_list() and a program of libcurl
# and json-c (raw_list), and its memory; how many requests LIMIT and a cursor send; keys that
# are looked up together; planning.  test/bench/run prepares and calls it.  Ends with 1 where
# a goal was missed.
use strict;
use warnings;

use File::Basename qw(dirname);
use Getopt::Long;
use JSON::PP;
use POSIX qw(ceil);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

use lib dirname(__FILE__);
use Baseline;
use Rounds;
use Servers;
use Session;

my ($bin, $directory);
GetOptions('bin=s' => \$bin, 'directory=s' => \$directory) or exit 2;

my $ROUNDS = 7;
my $ROWS = 100_000;
my $PAGE_KB = 420;
my $KEYS = 100;
my $KEYS_AT_ONCE = 50;
my $KEY_MS = 50;
my $NEW_ROWS = 1000;
my $NEW_ROWS_AT_ONCE = 100;
my $NEW_ROW_MS = 100;
my @COLUMNS = qw(account_sid flex_flow_sid sid user_sid task_sid url date_created date_updated);

my $missed = 0;
$SIG{INT} = $SIG{TERM} = sub { exit 1 };

# A session with the foreign tables of a simulator.
sub session
{
	my ($servers, $simulator) = @_;
	my $session = Session->new($servers);

	$session->query("SET flex_api.base_url = '$simulator'; SET flex_api.rate_limits = 'none'; SET client_min_messages = error; DROP SERVER IF EXISTS bench CASCADE; " .
		"CREATE SERVER bench FOREIGN DATA WRAPPER flex_api OPTIONS (account_sid 'AC00000000000000000000000000000000', base_url '$simulator', concurrency '$KEYS_AT_ONCE'); " .
		"CREATE USER MAPPING FOR PUBLIC SERVER bench OPTIONS (auth_token 'test-token'); " .
		'IMPORT FOREIGN SCHEMA flex LIMIT TO (channels, webchats) FROM SERVER bench INTO public; ' .
		"ALTER FOREIGN TABLE webchats OPTIONS (concurrency '$NEW_ROWS_AT_ONCE')");
	return $session;
}

# Tell whether a goal is reached.
sub judge
{
	my ($what, $is, $most, $unit) = @_;
	my $bad = $is > $most;

	$missed += $bad;
	printf "%-52s %8.2f %s; goal: <= %s %s\n", $what, $is, $unit, $most, $bad ? 'MISSED' : 'ok';
	return;
}

sub whole_list
{
	my ($servers, $simulator, $session) = @_;
	my $counts = join ', ', map { "count($_)" } @COLUMNS;
	my %statements = (
		'flex_channels_list()' => "SELECT $counts FROM flex_channels_list()",
		'foreign table, all columns' => "SELECT $counts FROM channels",
		'foreign table, one column' => 'SELECT count(sid) FROM channels');
	my $baseline = 'flex_channels_list()';

	$session->query('SELECT sid FROM channels LIMIT 1');
	my @headers = Baseline::same_headers($servers, $simulator, 'raw_calls', "$simulator/v1/Channels?PageSize=1");
	$servers->control($simulator, 'POST', 'settings', { record => JSON::PP::false });
	my $costs = Rounds::measure($ROUNDS, 1000,
		[ 'raw libcurl and json-c' => sub { Baseline::raw($servers, 'raw_list', @headers, "$simulator/v1/Channels?PageSize=1000", $ROWS) } ],
		map { my $name = $_; [ $name => sub { $session->cost($statements{$name}) } ] } sort keys %statements);
	Rounds::heading("A list of $ROWS rows in pages of 1000 (" . Rounds::count($costs) . " rounds)", 'ms');
	Rounds::line($costs, 'raw libcurl and json-c');
	$missed += Rounds::line($costs, 'foreign table, all columns', 'raw libcurl and json-c', wall => 1.0);
	Rounds::line($costs, $baseline);
	$missed += Rounds::line($costs, 'foreign table, all columns', $baseline, wall => 0.9);
	Rounds::line($costs, 'foreign table, one column', $baseline);
	print map { "  $statements{$_}\n" } sort keys %statements;
	my $reader = session($servers, $simulator);
	$reader->query('SELECT sid FROM channels LIMIT 1500');
	my $resident = $reader->status('VmRSS');
	$reader->reset_peak;
	$reader->query($statements{'foreign table, all columns'});
	judge('memory at the peak, beside what two pages had taken', ($reader->status('VmHWM') - $resident) / 1024, sprintf("%.1f", (2 * $PAGE_KB + 1024) / 1024), 'MB');
	return;
}

# How many requests a statement sends.
sub requests_of
{
	my ($servers, $simulator, $session, @statements) = @_;
	my ($before) = Baseline::counted($servers, $simulator);

	$session->query($_) for @statements;
	my ($after) = Baseline::counted($servers, $simulator);
	return $after - $before;
}

sub few_rows
{
	my ($servers, $simulator, $session) = @_;

	judge('SELECT ... LIMIT 10: requests', requests_of($servers, $simulator, $session, 'SELECT * FROM channels LIMIT 10'), 1, '');
	judge('FETCH 10 of a cursor: requests', requests_of($servers, $simulator, $session, 'BEGIN', 'DECLARE c CURSOR FOR SELECT * FROM channels', 'FETCH 10 FROM c', 'COMMIT'), 2, '');
	judge('EXPLAIN: requests', requests_of($servers, $simulator, $session, 'EXPLAIN SELECT * FROM channels'), 0, '');
	my @times = map { $session->query('EXPLAIN (SUMMARY) SELECT * FROM channels AS a JOIN channels AS b ON a.sid = b.sid WHERE a.flex_flow_sid = \'x\'') =~ /Planning Time: ([0-9.]+)/ ? $1 : die 'no time' } 1 .. 20;
	judge('planning of a join of two tables, after the first', Rounds::median(@times[ 1 .. $#times ]), 1, 'ms');
	return;
}

# The milliseconds that a statement takes, the median of seven, while the simulator's answers are late.
sub median_ms
{
	my ($servers, $simulator, $session, $statement, $late) = @_;
	my @times;

	$servers->control($simulator, 'POST', 'faults', { %$late, times => -1 });
	for (1 .. 7)
	{
		my $began = clock_gettime(CLOCK_MONOTONIC);
		$session->query($statement);
		push @times, (clock_gettime(CLOCK_MONOTONIC) - $began) * 1000;
	}
	$servers->control($simulator, 'DELETE', 'faults');
	return Rounds::median(@times);
}

sub keys_together
{
	my ($servers, $simulator, $session) = @_;
	my $ideal = ceil($KEYS / $KEYS_AT_ONCE) * $KEY_MS;
	my $keys = $session->query("SELECT array_agg(sid) FROM (SELECT sid FROM channels LIMIT $KEYS) AS c");
	my $statement = "SELECT count(url) FROM channels WHERE sid = ANY ('$keys')";

	$session->query($statement) == $KEYS or die "not $KEYS rows\n";
	my $median = median_ms($servers, $simulator, $session, $statement, { path => '/v1/Channels/*', delay_ms => $KEY_MS });
	judge("$KEYS keys of $KEY_MS ms by = ANY, $KEYS_AT_ONCE at once, of the ideal $ideal ms", $median / $ideal, 1.2, 'times');
	return;
}

sub rows_together
{
	my ($servers, $simulator, $session) = @_;
	my $ideal = ceil($NEW_ROWS / $NEW_ROWS_AT_ONCE) * $NEW_ROW_MS;
	my $statement = "INSERT INTO webchats (address_sid, identity) SELECT 'IG' || md5(n::text), 'customer+' || n FROM generate_series(1, $NEW_ROWS) AS n";

	$session->query($statement);
	my $median = median_ms($servers, $simulator, $session, $statement, { path => '/v2/WebChats', delay_ms => $NEW_ROW_MS });
	judge("INSERT of $NEW_ROWS rows of $NEW_ROW_MS ms, $NEW_ROWS_AT_ONCE at once, of the ideal $ideal ms", $median / $ideal, 1.15, 'times');
	return;
}

my $servers = Servers->new($bin, $directory);
Session->new($servers)->query('CREATE EXTENSION flex_api');
my $simulator = $servers->simulator;
$servers->control($simulator, 'POST', 'seed', { channels => $ROWS });
my $session = session($servers, $simulator);
whole_list($servers, $simulator, $session);
few_rows($servers, $simulator, $session);
keys_together($servers, $simulator, $session);
rows_together($servers, $simulator, $session);
$servers->stop;
printf "\n%s\n", $missed ? "$missed goals missed" : 'all goals reached';
exit($missed ? 1 : 0);
