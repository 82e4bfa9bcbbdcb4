# rates.pl --bin FOLDER --directory DIRECTORY [PART ...]
#
# Measures how requests are sent to a service that refuses what is beyond its limit, with 429
# and without Retry-After: how much longer many of them take than the limit demands, and how
# many are refused meanwhile (unknown, where flex_api.rate_limits says nothing; known, where it
# has the limit; many, by flex_call_many()), how fast a limit that falls and rises is followed
# (moving), and how clusters share an account that know nothing of each other (shared).
# test/bench/run prepares and calls it.  Ends with 1 where a goal was missed.
use strict;
use warnings;

use File::Basename qw(dirname);
use Getopt::Long;
use List::Util qw(max min sum);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC sleep time);

use lib dirname(__FILE__);
use Servers;
use Session;

my ($bin, $directory);
GetOptions('bin=s' => \$bin, 'directory=s' => \$directory) or exit 2;

my $OPERATION = 'flex_webchat_create';
my $REQUESTS = 2000;
my $LIMIT = 50;
my $CLUSTERS = 4;
my $SHARING_SECONDS = 60;

my $missed = 0;
$SIG{INT} = $SIG{TERM} = sub { exit 1 };

# A line of the result, with whether its goals, [figure, '<=' or '>=', bound], are reached.
sub line
{
	my ($text, @goals) = @_;
	my @verdicts;

	foreach my $goal (@goals)
	{
		my ($figure, $sense, $bound) = @$goal;
		my $is_good = $sense eq '<=' ? $figure <= $bound : $figure >= $bound;
		$missed += !$is_good;
		push @verdicts, "$sense $bound " . ($is_good ? 'ok' : 'MISSED');
	}
	printf "%-72s goal: %s\n", $text, join(', ', @verdicts);
	return;
}

# A simulator as new, which allows so many requests per second.
sub limited
{
	my ($servers, $limit) = @_;
	my $simulator = $servers->simulator;

	$servers->control($simulator, 'POST', 'settings', { record => JSON::PP::false });
	set_limit($servers, $simulator, $limit);
	return $simulator;
}

sub set_limit
{
	my ($servers, $simulator, $limit) = @_;

	$servers->control($simulator, 'POST', 'limits', { per_operation => $limit });
	return;
}

sub session
{
	my ($servers, $simulator, $rates) = @_;
	my $session = Session->new($servers);

	$session->query("SET client_min_messages = error; SET flex_api.base_url = '$simulator'; SET flex_api.rate_limits = '$rates'");
	return $session;
}

sub enqueue
{
	my ($session, $count) = @_;

	$session->query("SELECT count(flex_enqueue('$OPERATION', jsonb_build_object('address_sid', 'IG' || md5(g::text)))) FROM generate_series(1, $count) g");
	return;
}

# Requests that came to a simulator since second from: [second, accepted, refused] each.
sub seconds
{
	my ($servers, $simulator) = @_;

	return map { [ @$_{qw(second accepted refused)} ] } grep { $_->{operation} eq $OPERATION } @{ $servers->control($simulator, 'GET', 'seconds')->{seconds} };
}

# Send all requests in a way, and tell how long that took and how many there were.
sub at_a_limit
{
	my ($servers, $name, $rates, $most_each, $send) = @_;
	my $simulator = limited($servers, $LIMIT);
	my $session = session($servers, $simulator, $rates);
	my $ideal = $REQUESTS / $LIMIT;
	my $begun = clock_gettime(CLOCK_MONOTONIC);

	my $good = $send->($session, \$begun);
	my $seconds = clock_gettime(CLOCK_MONOTONIC) - $begun;
	my @seconds = seconds($servers, $simulator);
	my $each = (sum(map { $_->[1] + $_->[2] } @seconds)) / $REQUESTS;
	$good == $REQUESTS or die "$good of $REQUESTS requests succeeded\n";
	line(sprintf('%s: %.2f s, %.2f times the ideal, %.3f requests each', $name, $seconds, $seconds / $ideal, $each),
		[ $seconds / $ideal, '<=', 1.1 ], [ $each, '<=', $most_each ]);
	return;
}

sub by_outbox
{
	my ($session, $begun) = @_;

	$session->query('DELETE FROM flex_outbox_requests');
	enqueue($session, $REQUESTS);
	$$begun = clock_gettime(CLOCK_MONOTONIC);
	$session->query('CALL flex_outbox_drain()');
	return $session->query("SELECT count(*) FROM flex_outbox WHERE state = 'succeeded' AND attempts = 1");
}

sub by_many
{
	my ($session) = @_;

	return $session->query("SELECT count(*) FROM flex_call_many('$OPERATION', (SELECT array_agg(jsonb_build_object('address_sid', 'IG' || md5(g::text))) FROM generate_series(1, $REQUESTS) g)) WHERE sqlstate IS NULL");
}

# A limit that falls from 20 to 2 per second, and rises again.
sub moving
{
	my ($servers) = @_;
	my $simulator = limited($servers, 20);
	my $session = session($servers, $simulator, 'none');
	my @changes;

	$session->query('DELETE FROM flex_outbox_requests');
	enqueue($session, 2000);
	$session->send('CALL flex_outbox_drain(1500)');
	foreach my $limit (2, 20)
	{
		sleep 15;
		push @changes, $servers->control($simulator, 'GET', 'seconds')->{now};
		set_limit($servers, $simulator, $limit);
		sleep 10 if $limit == 2;
	}
	sleep 22;
	my %seconds = map { $_->[0] => $_ } seconds($servers, $simulator);
	# The ten seconds that begin so many after a change.
	my $in = sub { my ($change, $after, $which) = @_; return sum(map { ($seconds{ $change + $after + $_ } // [ 0, 0, 0 ])->[$which] } 0 .. 9); };
	my ($fall, $rise) = @changes;
	my ($passed, $refused) = map { $in->($fall, 11, $_) } 1, 2;
	line(sprintf('20, then 2 per second, 10 s later: %.1f sent, %.1f let through', ($passed + $refused) / 10, $passed / 10),
		[ ($passed + $refused) / 10, '<=', 4 ], [ $passed / 10, '>=', 1.2 ]);
	$passed = $in->($rise, 11, 1);
	line(sprintf('20 again, 10 s later: %.1f let through', $passed / 10), [ $passed / 10, '>=', 18 ]);
	# Without the limit the rest is soon sent.
	set_limit($servers, $simulator, undef);
	$session->receive;
	return;
}

# Clusters with an account in common, each with a worker that has requests enough.
sub shared
{
	my ($first) = @_;
	my $simulator = limited($first, $LIMIT);
	my @clusters = map {
		Servers->new($bin, "$directory/cluster$_", "shared_preload_libraries = 'flex_api'", "flex_api.base_url = '$simulator'",
			"flex_api.rate_limits = 'none'", 'shared_buffers = 8MB', 'max_connections = 10')
	} 1 .. $CLUSTERS;
	my @sessions = map { Session->new($_) } @clusters;

	$_->query('CREATE EXTENSION flex_api; ALTER SYSTEM SET flex_api.delivery = off; SELECT pg_reload_conf()') foreach @sessions;
	enqueue($_, $LIMIT * $SHARING_SECONDS) foreach @sessions;
	$_->query('ALTER SYSTEM RESET flex_api.delivery; SELECT pg_reload_conf()') foreach @sessions;
	sleep $SHARING_SECONDS;
	my @sent = map { $_->query("SELECT count(*) FROM flex_outbox WHERE state = 'succeeded'") } @sessions;
	my $ratio = max(@sent) / max(min(@sent), 1);
	line(sprintf('%d clusters, %d s: %s; the most has %.2f times the least', $CLUSTERS, $SHARING_SECONDS, join(', ', @sent), $ratio), [ $ratio, '<=', 2 ]);
	line(sprintf('... together %.2f of the limit', sum(@sent) / $LIMIT / $SHARING_SECONDS), [ sum(@sent) / $LIMIT / $SHARING_SECONDS, '>=', 0.85 ]);
	@sessions = ();
	$_->stop foreach @clusters;
	return;
}

my %parts = (
	unknown => sub { at_a_limit($_[0], 'the outbox, a limit that is not known', 'none', 1.15, \&by_outbox) },
	known => sub { at_a_limit($_[0], 'the outbox, a limit that is known', "$OPERATION=$LIMIT", 1.02, \&by_outbox) },
	many => sub { at_a_limit($_[0], 'flex_call_many(), a limit that is not known', 'none', 1.15, \&by_many) },
	moving => \&moving,
	shared => \&shared);
my $servers = Servers->new($bin, "$directory/first");
Session->new($servers)->query('CREATE EXTENSION flex_api');
print "\n$REQUESTS requests at $LIMIT per second\n";
$parts{$_}->($servers) foreach @ARGV ? @ARGV : qw(unknown known many moving shared);
$servers->stop;
printf "\n%s\n", $missed ? "$missed goals missed" : 'all goals reached';
exit($missed ? 1 : 0);
