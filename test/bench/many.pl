# many.pl --bin FOLDER --directory DIRECTORY
#
# Measures flex_call_many(): how close it comes to the time that a slow service needs, what
# it sends in a second to a quick one beside a program of libcurl's multi interface
# (raw_posts), and how much memory a hundred thousand calls in one statement take.
# flex_api.rate_limits is 'none'.  test/bench/run prepares and calls it.  Ends with 1 where a
# goal was missed.
use strict;
use warnings;

use File::Basename qw(dirname);
use Getopt::Long;
use POSIX qw(ceil);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

use lib dirname(__FILE__);
use Baseline;
use Rounds;
use Servers;
use Session;

my ($bin, $directory);
GetOptions('bin=s' => \$bin, 'directory=s' => \$directory) or exit 2;

my $ROUNDS = 5;
my $CONCURRENCY = 64;
my $SLOW_CALLS = 1000;
my $SLOW_MS = 100;
my $CALLS = 100_000;
my $PATH = '/v2/WebChats';
my $MOST_MB = 64;

my $missed = 0;
$SIG{INT} = $SIG{TERM} = sub { exit 1 };

# A session for which the arguments of so many calls stand in the table calls.
sub session
{
	my ($servers, $simulator, $count) = @_;
	my $session = Session->new($servers);

	$session->query("SET flex_api.base_url = '$simulator'; SET flex_api.rate_limits = 'none'; SET client_min_messages = error; " .
		  "DROP TABLE IF EXISTS calls; CREATE TABLE calls AS SELECT array_agg(jsonb_build_object('address_sid', 'IG' || md5(g::text), " .
		  "'identity', 'customer+' || g)) AS list FROM generate_series(1, $count) g");
	return $session;
}

my $statement = "SELECT count(*) FROM calls, flex_call_many('flex_webchat_create', list, $CONCURRENCY) WHERE sqlstate IS NULL";

# Make all calls; returns what that has cost.
sub cost
{
	my ($session, $count) = @_;
	my ($wall, $cpu) = (clock_gettime(CLOCK_MONOTONIC), $session->cpu);

	$session->query($statement) == $count or die "not all of $count calls succeeded\n";
	return [ (clock_gettime(CLOCK_MONOTONIC) - $wall) * 1e6, ($session->cpu - $cpu) * 1e6 ];
}

sub slow_service
{
	my ($servers) = @_;
	my $simulator = $servers->simulator;
	my $ideal = ceil($SLOW_CALLS / $CONCURRENCY) * $SLOW_MS / 1000;
	my $session = session($servers, $simulator, $SLOW_CALLS);

	$servers->control($simulator, 'POST', 'settings', { record => JSON::PP::false });
	cost($session, $SLOW_CALLS);
	$servers->control($simulator, 'POST', 'faults', { path => $PATH, delay_ms => $SLOW_MS, times => -1 });
	my @seconds = map { cost($session, $SLOW_CALLS)->[0] / 1e6 } 1 .. 3;
	my $seconds = Rounds::median(@seconds);
	my $bad = $seconds > 1.1 * $ideal;
	$missed += $bad;
	printf "\n%d calls of %d ms, %d at once: %.2f s, ideal %.2f s; goal: <= 1.1 times the ideal %s\n", $SLOW_CALLS, $SLOW_MS,
	  $CONCURRENCY, $seconds, $ideal, $bad ? 'MISSED' : 'ok';
}

sub quick_service
{
	my ($servers) = @_;
	my $simulator = $servers->simulator;
	my $session = session($servers, $simulator, 1);
	my $bodies = "$directory/bodies";

	$session->query($statement);
	open(my $file, '>', $bodies) or die "$bodies: $!";
	print $file map { sprintf "AddressSid=IG%032x&Identity=customer%%2B%d\n", $_, $_ } 1 .. 1000;
	close($file) or die "$bodies: $!";
	my @headers = Baseline::same_headers($servers, $simulator, 'raw_posts', "$simulator$PATH", '-b', $bodies);
	$servers->control($simulator, 'POST', 'settings', { record => JSON::PP::false });
	$session = session($servers, $simulator, $CALLS);
	# What was created would make the simulator slower from round to round.
	my $anew = sub { $servers->control($simulator, 'POST', 'reset', {}) };
	my $baseline = "raw multi, concurrency $CONCURRENCY";
	my $costs = Rounds::measure($ROUNDS, $CALLS,
		[ $baseline => sub { $anew->(); Baseline::raw($servers, 'raw_posts', @headers, '-b', $bodies, '-n', $CONCURRENCY, "$simulator$PATH", $CALLS) } ],
		[ 'flex_call_many()' => sub { $anew->(); cost($session, $CALLS) } ]);

	Rounds::heading("$CALLS calls in one statement, $CONCURRENCY at once (" . Rounds::count($costs) . " rounds)", 'us');
	Rounds::line($costs, $baseline);
	$missed += Rounds::line($costs, 'flex_call_many()', $baseline, wall => 1.66);
	print "  $statement\n";
	$anew->();
	memory(session($servers, $simulator, $CALLS));
}

sub memory
{
	my ($session) = @_;
	my $resident = $session->status('VmRSS');

	$session->reset_peak;
	$session->query($statement);
	my $peak = ($session->status('VmHWM') - $resident) / 1024;
	$missed += $peak > $MOST_MB;
	printf "%-38s %6.1f MB at the peak; goal: <= %d MB %s\n", 'memory above the idle session', $peak, $MOST_MB, $peak > $MOST_MB ? 'MISSED' : 'ok';
}

my $servers = Servers->new($bin, $directory);
Session->new($servers)->query('CREATE EXTENSION flex_api');
slow_service($servers);
quick_service($servers);
$servers->stop;
printf "\n%s\n", $missed ? "$missed goals missed" : 'all goals reached';
exit($missed ? 1 : 0);
