# memory.pl --bin FOLDER --directory DIRECTORY
#
# Measures how much memory a drain and the worker take to settle large answers,
# many of which come at once: the peak of the process's resident memory, in MB
# above what it has when idle.  The service is a process for each connection that
# sends the answer as fast as it is read.  test/bench/run prepares and calls it.
# Ends with 1 where a goal was missed.
use strict;
use warnings;

use File::Basename qw(dirname);
use Getopt::Long;
use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

use lib dirname(__FILE__);
use Servers;
use Session;

my ($bin, $directory);
GetOptions('bin=s' => \$bin, 'directory=s' => \$directory) or exit 2;

my $MB = 1024 * 1024;

# Title, JSON of an answer, how many of it come, how many are asked for at once, goal in MB.
sub dense { my ($bytes) = @_; return '[' . join(',', ('{"a":1}') x int($bytes / 8)) . ']'; }
my @CASES = (
	[ 'dense, 2.4 MB each', dense(2.4 * $MB), 200, 200, 300 ],
	[ 'dense, 16 MB', dense(15.9 * $MB), 1, 1, 200 ],
	[ 'one string each, 8 MB', '{"a":"' . ('x' x (8 * $MB)) . '"}', 40, 40, 300 ],
	[ 'small, 1 kB each', '{"a":"' . ('x' x 1000) . '"}', 1000, 1000, 50 ]);

my $missed = 0;
$SIG{INT} = $SIG{TERM} = sub { exit 1 };

# Start a service that answers everything with the file "answer"; returns its URL and process.
sub service
{
	my $listener = IO::Socket::INET->new(Listen => 1024, LocalAddr => '127.0.0.1') or die "could not listen: $!";

	pipe(my $life_read, my $life_write) or die "pipe: $!";
	my $pid = fork() // die "fork: $!";
	return ('http://127.0.0.1:' . $listener->sockport, $pid, $life_write) if $pid;
	close($life_write);
	$SIG{CHLD} = 'IGNORE';
	$SIG{INT} = $SIG{TERM} = 'DEFAULT';
	for (;;)
	{
		my $readable = '';
		vec($readable, fileno($_), 1) = 1 for $listener, $life_read;
		select($readable, undef, undef, undef);
		POSIX::_exit(0) if vec($readable, fileno($life_read), 1);
		my $connection = $listener->accept or next;
		next if fork();
		answer($connection);
		POSIX::_exit(0);
	}
}

# Answer the requests that come on a connection, which have no body of more than a packet.
sub answer
{
	my ($connection) = @_;

	while (sysread($connection, my $request, 65536))
	{
		open(my $file, '<:raw', "$directory/answer") or return;
		my $body = do { local $/; <$file> };
		my $rest = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
		while (length($rest))
		{
			substr($rest, 0, syswrite($connection, $rest) || return) = '';
		}
	}
}

# A figure of /proc/PID/status, in kB.
sub status_of
{
	my ($pid, $name) = @_;

	open(my $file, '<', "/proc/$pid/status") or die "status of $pid: $!";
	return (join('', <$file>) =~ /^$name:\s+(\d+)/m)[0];
}

# The peak of a process's memory while something is done, in MB above what it had before.
sub peak
{
	my ($pid, $action) = @_;
	my $before = status_of($pid, 'VmRSS');

	open(my $file, '>', "/proc/$pid/clear_refs") or die "clear_refs: $!";
	syswrite($file, '5') or die "clear_refs: $!";
	close($file);
	$action->();
	return (status_of($pid, 'VmHWM') - $before) / 1024;
}

sub enqueue
{
	my ($session, $count) = @_;

	$session->query("SELECT count(flex_enqueue('flex_webchat_create', jsonb_build_object('address_sid', 'IG' || md5(g::text)), " .
		  "max_attempts => 1)) FROM generate_series(1, $count) g");
}

sub check
{
	my ($session, $count) = @_;
	my $states = $session->query("SELECT string_agg(state || ' ' || n, ', ') FROM " .
		  '(SELECT state, count(*) AS n FROM flex_outbox GROUP BY state) AS s');

	$states eq "succeeded $count" or print "  not all succeeded: $states\n";
}

# By a drain in a session of its own.
sub drained
{
	my ($servers, $url, $count, $concurrency) = @_;
	my ($control, $drain) = map { Session->new($servers) } 1 .. 2;

	$control->query('TRUNCATE flex_outbox_requests');
	$drain->query("SET flex_api.base_url = '$url'; SET flex_api.concurrency = $concurrency; SET client_min_messages = error");
	enqueue($drain, 1);
	$drain->query('CALL flex_outbox_drain(0); TRUNCATE flex_outbox_requests');
	enqueue($control, $count);
	my $peak = peak($drain->query('SELECT pg_backend_pid()'), sub { $drain->query('CALL flex_outbox_drain()') });
	check($control, $count);
	return $peak;
}

# By the worker, which has been started with these settings.
sub worked
{
	my ($servers, $url, $count, $concurrency) = @_;

	$servers->restart('shared_preload_libraries=flex_api', "flex_api.base_url=$url", "flex_api.concurrency=$concurrency");
	my $control = Session->new($servers);
	$control->query('TRUNCATE flex_outbox_requests');
	my $worker = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'flex_api outbox worker' AND state = 'idle'";
	my $pid;
	for (1 .. 1000)
	{
		last if $pid = $control->query($worker);
		select(undef, undef, undef, 0.01);
	}
	my $peak = peak($pid || die("there is no worker\n"), sub {
		enqueue($control, $count);
		select(undef, undef, undef, 0.05)
		  while $control->query("SELECT count(*) FROM flex_outbox WHERE state IN ('pending', 'sending')") > 0;
	});
	check($control, $count);
	undef $control;
	$servers->restart;
	return $peak;
}

my $started = clock_gettime(CLOCK_MONOTONIC);
my $servers = Servers->new($bin, $directory, "shared_buffers = '16MB'", "flex_api.rate_limits = 'none'", "flex_api.timeout = '10min'",
	'max_files_per_process = 4000', 'max_wal_size = 4GB');
my ($url, $pid, $life) = service();
Session->new($servers)->query('CREATE EXTENSION flex_api');

printf "\n%-38s %9s %9s %9s   %s\n", 'Peak memory above the idle process', 'answers', 'drain MB', 'worker MB', 'goal';
for my $case (@CASES)
{
	my ($title, $body, $count, $concurrency, $goal) = @$case;

	open(my $file, '>:raw', "$directory/answer") or die "answer: $!";
	print $file $body;
	close($file) or die "answer: $!";
	my @peaks = map { $_->($servers, $url, $count, $concurrency) } \&drained, \&worked;
	my $reached = !grep { $_ >= $goal } @peaks;
	$missed++ unless $reached;
	printf "%-38s %9d %9.0f %9.0f   < %d MB %s\n", $title, $count, @peaks, $goal, $reached ? 'ok' : 'MISSED';
}
close($life);
waitpid($pid, 0);
$servers->stop;
printf "\n%d s; %s\n", clock_gettime(CLOCK_MONOTONIC) - $started, $missed ? "$missed goals missed" : 'all goals reached';
exit($missed ? 1 : 0);
