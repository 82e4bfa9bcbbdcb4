# outbox.pl --bin FOLDER --directory DIRECTORY [PART ...]
#
# Measures the outbox: what drains send in a second beside a program of libcurl's
# multi interface (raw_posts), how soon the worker answers, and what it costs to
# enqueue.  The cluster keeps what it commits (fsync, synchronous_commit), and
# flex_api.rate_limits is 'none'.  test/bench/run prepares and calls it.  Parts:
# drain, latency, worker, tls, waiting, sessions, enqueue, pg_net.  Ends with 1
# where a goal was missed.
#
# pg_net compares the worker with that of pg_net, where the server that PG_CONFIG
# names has it; to have it there without touching the system, from its source:
#	bin=$(test/tools/private-server /tmp/tree)
#	make -C /path/to/pg_net PG_CONFIG=$bin/pg_config with_llvm=no
#	make -C /path/to/pg_net PG_CONFIG=$bin/pg_config with_llvm=no install
#	PG_CONFIG=$bin/pg_config test/bench/run outbox/pg_net
use strict;
use warnings;

use File::Basename qw(dirname);
use Getopt::Long;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

use lib dirname(__FILE__);
use Baseline;
use PgNet;
use Rounds;
use Servers;
use Session;

my ($bin, $directory);
GetOptions('bin=s' => \$bin, 'directory=s' => \$directory) or exit 2;
my %PARTS = (drain => \&drain, latency => \&latency, tls => \&tls, waiting => \&waiting, sessions => \&sessions,
	enqueue => \&enqueue, worker => \&worker, pg_net => \&pg_net);
my @ORDER = qw(drain latency tls waiting sessions enqueue worker pg_net);
my %wanted = map { $_ => 1 } @ARGV ? @ARGV : @ORDER;
$PARTS{$_} or die "there is no part \"$_\"\n" for keys %wanted;

my $ROUNDS = 5;
my $REQUESTS = 10_000;
my $WAITING = 1_000_000;
my $OPERATION = 'flex_webchat_create';
my $PATH = '/v2/WebChats';

my $missed = 0;
my $servers;
my $settings = ''; # statements that a session begins with
$SIG{INT} = $SIG{TERM} = sub { exit 1 };

# A verdict on a goal, for the end of a line.
sub verdict
{
	my ($goal, $reached) = @_;

	$missed++ unless $reached;
	return "$goal " . ($reached ? 'ok' : 'MISSED');
}

# The head of a table; of: what the ratios are to.
sub heading
{
	my ($costs, $title, $of) = @_;

	printf "\n%s (%d rounds)\n%-38s %9s %16s   %-18s %s\n", $title, Rounds::count($costs), '', 'a second', '', "of $of", 'goal';
}

# Values of a column that Rounds::measure() returned, as requests per second.
sub rates
{
	my ($costs) = @_;

	return map { 1e6 / $_->[0] } @$costs;
}

# A line of the table of rates.  With a baseline, its rate in the same round is what
# ours is compared with.  goal: what to say, and a sub of (rate, ratio, baseline's rate).
sub line
{
	my ($costs, $name, $baseline, @goal) = @_;
	my @rates = rates($costs->{$name});
	my @ratios = defined $baseline ? map { $costs->{$baseline}[$_][0] / $costs->{$name}[$_][0] } 0 .. $#rates : ();
	my ($slowest, $fastest) = (sort { $a <=> $b } @rates)[ 0, -1 ];
	my $ratio = '';
	my $verdict = '';

	$ratio = sprintf '%.2f (%.2f-%.2f)', Rounds::median(@ratios), (sort { $a <=> $b } @ratios)[ 0, -1 ] if @ratios;
	$verdict = verdict($goal[0], $goal[1]->(Rounds::median(@rates), @ratios ? Rounds::median(@ratios) : undef)) if @goal;
	printf "%-38s %9.0f %16s   %-18s %s\n", $name, Rounds::median(@rates), sprintf('(%.0f-%.0f)', $slowest, $fastest),
	  $ratio, $verdict;
}

# The goal of a drain beside raw.
my @DRAIN_GOAL = ('>= 10000 or 0.25 of raw', sub { $_[0] >= 10_000 || $_[1] >= 0.25 });

# A session that talks to a simulator, with so many requests at once.
sub session
{
	my ($simulator, $concurrency, %where) = @_;
	my $session = Session->new($servers, $where{database}, $where{anywhere});

	$session->query("SET flex_api.base_url = '$simulator'; SET client_min_messages = error; " .
		  "SET flex_api.concurrency = $concurrency; $settings");
	return $session;
}

# Leave so many requests in the outbox, that are due.
sub fill
{
	my ($session, $count) = @_;

	$session->query("SELECT count(flex_enqueue('$OPERATION', jsonb_build_object('address_sid', 'IG' || md5(g::text), " .
		  "'identity', 'customer ' || g))) FROM generate_series(1, $count) g");
}

# An outbox that has so many requests and nothing else.
sub fill_anew
{
	my ($session, $count) = @_;

	$session->query('TRUNCATE flex_outbox_requests');
	fill($session, $count);
}

# The bodies that such requests have, for raw programs: the name of a file.
sub bodies
{
	my ($session, $count) = @_;
	my $file = "$servers->{directory}/bodies";

	open(my $out, '>', $file) or die "$file: $!";
	print $out $session->query("SELECT 'AddressSid=IG' || md5(g::text) || '&Identity=customer+' || g " .
		  "FROM generate_series(1, $count) g"), "\n";
	close($out) or die "$file: $!";
	return $file;
}

# Arguments of raw_posts but concurrency and count, once it is seen that it asks as ours does.
sub raw_arguments
{
	my ($session, $simulator, @options) = @_;
	my $file = bodies($session, $REQUESTS);

	fill_anew($session, 1);
	$session->query('CALL flex_outbox_drain()');
	my @headers = Baseline::same_headers($servers, $simulator, 'raw_posts', "$simulator$PATH", '-b', $file, @options);
	$servers->control($simulator, 'POST', 'settings', { record => JSON::PP::false });
	return (@headers, '-b', $file, @options);
}

# Dies unless each of the newest requests has had its own answer, at its first attempt.
sub check_answers
{
	my ($session, $count) = @_;
	my $good = $session->query("SELECT count(*) FROM flex_outbox WHERE state = 'succeeded' AND attempts = 1 " .
		  "AND response->>'identity' = arguments->>'identity'");

	$good == $count or die "$good of $count requests had their own answers\n";
}

# The cost of draining requests that have just been left; those and no others reach the simulator.
sub drain_cost
{
	my ($session, $simulator, $count) = @_;

	fill_anew($session, $count);
	my ($before) = Baseline::counted($servers, $simulator);
	my $cost = $session->cost('CALL flex_outbox_drain()');
	my ($after) = Baseline::counted($servers, $simulator);
	$after - $before == $count or die $after - $before, " requests were sent, not $count\n";
	check_answers($session, $count);
	return $cost;
}

# Contestants: raw_posts and drains with so many requests at once.
sub raw_and_drain
{
	my ($simulator, $arguments, $concurrency, $count) = @_;
	my $session = session($simulator, $concurrency);

	drain_cost($session, $simulator, 2 * $concurrency);
	return (
		[ "raw multi, concurrency $concurrency" =>
			  sub { Baseline::raw($servers, 'raw_posts', @$arguments, '-n', $concurrency, "$simulator$PATH", $count) } ],
		[ "drain, concurrency $concurrency" => sub { drain_cost($session, $simulator, $count) } ]);
}

# The CPU that backends and raw programs used, a request.
sub cpu_line
{
	my ($costs, @names) = @_;

	print '  CPU us a request: ', join(', ', map { my $name = $_; sprintf '%s %.0f', $name,
		Rounds::median(map { $_->[1] } @{ $costs->{$name} }) } @names), "\n";
}

sub drain
{
	my $simulator = $servers->simulator;
	my @arguments = raw_arguments(session($simulator, 1), $simulator);
	my @contestants = map { raw_and_drain($simulator, \@arguments, $_, $REQUESTS) } 100, 20;
	my $costs = Rounds::measure($ROUNDS, $REQUESTS, @contestants);

	heading($costs, "Draining $REQUESTS requests, no latency, all durable", 'raw');
	for my $concurrency (100, 20)
	{
		line($costs, "raw multi, concurrency $concurrency");
		line($costs, "drain, concurrency $concurrency", "raw multi, concurrency $concurrency", @DRAIN_GOAL);
	}
	cpu_line($costs, map { $_->[0] } @contestants);
	print "  raw: raw_posts -H ... -b bodies -n 100 $simulator$PATH $REQUESTS\n  drain: CALL flex_outbox_drain()\n";
}

sub latency
{
	my ($rounds, $requests, $ms, $concurrency) = (3, 2000, 100, 100);
	my $ideal = $concurrency * 1000 / $ms;
	my $simulator = $servers->simulator;
	my @arguments = raw_arguments(session($simulator, 1), $simulator);
	my @contestants = raw_and_drain($simulator, \@arguments, $concurrency, $requests);

	$servers->control($simulator, 'POST', 'faults', { delay_ms => $ms, times => -1 });
	my $costs = Rounds::measure($rounds, $requests, @contestants);
	heading($costs, "Draining $requests requests that take $ms ms each", 'raw');
	line($costs, $contestants[0][0]);
	line($costs, $contestants[1][0], $contestants[0][0], ">= 0.9 of the ideal $ideal, or of raw",
		sub { $_[0] >= 0.9 * $ideal || $_[1] >= 0.9 });
}

sub tls
{
	my ($key, $certificate, $authorities) = $servers->certificates;
	my $simulator = $servers->simulator('--tls-cert', $certificate, '--tls-key', $key);

	$settings = "SET flex_api.ca_file = '$authorities'";
	my @arguments = raw_arguments(session($simulator, 1), $simulator, '-p', '-c', $authorities);
	my @contestants = raw_and_drain($simulator, \@arguments, 100, $REQUESTS);
	my $costs = Rounds::measure(3, $REQUESTS, @contestants);

	heading($costs, "Draining $REQUESTS requests over https, connections kept", 'raw');
	line($costs, $contestants[0][0]);
	line($costs, $contestants[1][0], $contestants[0][0], @DRAIN_GOAL);
	cpu_line($costs, map { $_->[0] } @contestants);
	$settings = '';
}

# Put so many requests in as one that is there, as they would stand after as many
# calls of flex_enqueue(): due after so long, in that lane.
sub multiply
{
	my ($session, $count, $after, $operation) = @_;

	$session->query("WITH one AS MATERIALIZED (SELECT * FROM flex_outbox_requests ORDER BY id LIMIT 1), " .
		  "lane AS (INSERT INTO flex_outbox_lanes (role_id, account_sid, operation, priority) SELECT DISTINCT role_id, account_sid, " .
		  "$operation, priority FROM one, generate_series(1, least($count, 70)) g RETURNING id, operation), " .
		  'mark AS (INSERT INTO flex_outbox_marks (lane) SELECT id FROM lane), ' .
		  'put AS (INSERT INTO flex_outbox_requests (operation, arguments, max_attempts, run_at, account_sid, enqueued_by, role_id, ' .
		  "enqueued_xid, enqueued_in, lane) SELECT l.operation, arguments, max_attempts, clock_timestamp() + interval '$after', " .
		  'account_sid, enqueued_by, role_id, pg_current_xact_id(), enqueued_in, ' .
		  "CASE WHEN interval '$after' = interval '0' THEN l.id END FROM one, generate_series(1, $count) g " .
		  "JOIN lane AS l ON l.operation = $operation RETURNING id, run_at, operation, lane) " .
		  'INSERT INTO flex_outbox_later (lane, due_at, id, turn) SELECT l.id, p.run_at, p.id, 0 ' .
		  'FROM put AS p JOIN lane AS l USING (operation) WHERE p.lane IS NULL');
}

# A database for one case of waiting: an outbox with what multiply() puts into it.
sub waiting_session
{
	my ($simulator, $name, @multiply) = @_;

	Session->new($servers)->query("CREATE DATABASE $name");
	my $session = session($simulator, 100, database => $name);
	$session->query('CREATE EXTENSION flex_api');
	fill($session, 200);
	multiply($session, @$_) for @multiply;
	$session->query('CALL flex_outbox_drain(200); VACUUM ANALYZE flex_outbox_requests; CHECKPOINT');
	return $session;
}

sub waiting
{
	my $rounds = 3;
	my $simulator = $servers->simulator;
	my $others = "(SELECT array_agg(name) FROM flex_operations())";
	my ($few, $many, $due) =
	  ('nothing else waiting', 'a million later, another in others', "a million due, of which $REQUESTS");
	my %sessions = (
		$few => waiting_session($simulator, 'few'),
		$many => waiting_session($simulator, 'many', [ $WAITING, '1 year', "'$OPERATION'" ],
			[ $WAITING, '1 year', "($others)[1 + g % 70]" ]),
		$due => waiting_session($simulator, 'due', [ $WAITING, '0', "'$OPERATION'" ]));

	$servers->control($simulator, 'POST', 'settings', { record => JSON::PP::false });
	my $costs = Rounds::measure($rounds, $REQUESTS, map { my $name = $_; [ $name => sub {
		# All that is due, so that the last claims find fewer than they ask for.
		fill($sessions{$name}, $REQUESTS) unless $name eq $due;
		my ($before) = Baseline::counted($servers, $simulator);
		my $cost = $sessions{$name}->cost('CALL flex_outbox_drain(' . ($name eq $due ? $REQUESTS : '') . ')');
		my ($after) = Baseline::counted($servers, $simulator);
		$after - $before == $REQUESTS or die $after - $before, " requests were sent, not $REQUESTS\n";
		return $cost;
	} ] } $few, $many, $due);

	heading($costs, "Draining $REQUESTS requests while others wait, concurrency 100", 'the first');
	line($costs, $few);
	line($costs, $_, $few, '>= 0.9', sub { $_[1] >= 0.9 }) for $many, $due;
	cpu_line($costs, $few, $many, $due);
	for my $name ($many, $due)
	{
		my ($ratio, $shown) = Rounds::ratio($costs->{$name}, $costs->{$few}, 1);
		printf "%-38s %26s   %-18s %s\n", "  CPU, $name", '', $shown, verdict('<= 1.15', $ratio <= 1.15);
	}
	%sessions = ();
	Session->new($servers)->query("DROP DATABASE $_") for qw(few many due);
}

# The cost of draining by so many sessions at once.
sub cost_together
{
	my ($sessions, $count, $simulator, $requests) = @_;

	fill_anew($sessions->[0], $requests);
	my ($before) = Baseline::counted($servers, $simulator);
	my ($wall, $cpu) = (clock_gettime(CLOCK_MONOTONIC), 0);
	$cpu -= $_->cpu for @$sessions;
	$_->send('CALL flex_outbox_drain()') for @$sessions[ 0 .. $count - 1 ];
	$_->receive for @$sessions[ 0 .. $count - 1 ];
	$wall = clock_gettime(CLOCK_MONOTONIC) - $wall;
	$cpu += $_->cpu for @$sessions;
	my ($after) = Baseline::counted($servers, $simulator);
	$after - $before == $requests or die $after - $before, " requests were sent, not $requests\n";
	check_answers($sessions->[0], $requests);
	return [ $wall * 1e6, $cpu * 1e6 ];
}

# One, two and four sessions in turns.
sub sessions_at
{
	my ($simulator, $requests, $title, $goal) = @_;
	my $rounds = 3;
	my @sessions = map { session($simulator, 20, anywhere => 1) } 1 .. 4;
	my %names = (1 => 'one session', 2 => 'two sessions', 4 => 'four sessions');

	$servers->control($simulator, 'POST', 'settings', { record => JSON::PP::false });
	cost_together(\@sessions, 4, $simulator, 400);
	my $costs = Rounds::measure($rounds, $requests, map { my $count = $_; [ $names{$count} =>
		sub { cost_together(\@sessions, $count, $simulator, $requests) } ] } 1, 2, 4);
	heading($costs, "$title, concurrency 20 each: each request sent once", 'one');
	line($costs, $names{1});
	for my $count (2, 4)
	{
		my $least = 0.75 * $count;
		line($costs, $names{$count}, $names{1}, $goal ? (">= $least", sub { $_[1] >= $least }) : ());
	}
	cpu_line($costs, map { $names{$_} } 1, 2, 4);
}

sub sessions
{
	my $simulator = $servers->simulator;

	sessions_at($simulator, $REQUESTS, "Sessions that drain $REQUESTS requests together, no latency", 0);
	$servers->control($simulator, 'POST', 'faults', { delay_ms => 40, times => -1 });
	sessions_at($simulator, 1600, 'Sessions that drain 1600 requests together, 40 ms each', 1);
}

# flex_enqueue() and flex_enqueue_many() beside an INSERT of the same row into a table with the same
# indexes, in the ways they are called.
sub enqueue
{
	my ($rounds, $singles, $bulk, $triggered) = (5, 5000, 20_000, 100_000);
	my $session = session('http://127.0.0.1:1', 20);
	my $arguments = "jsonb_build_object('address_sid', 'IG' || md5(g::text), 'identity', 'customer ' || g)";
	my ($role, $database) = split /\|/,
	  $session->query("SELECT 1, oid FROM pg_database WHERE datname = current_database()");
	my $row = "'$OPERATION', %s, 20, clock_timestamp(), '$Servers::ACCOUNT', 'postgres', $role, pg_current_xact_id(), 1, $database";
	my $insert = 'INSERT INTO plain (operation, arguments, max_attempts, run_at, account_sid, enqueued_by, ' .
	  'role_id, enqueued_xid, lane, enqueued_in)';
	my $variable = "jsonb_build_object('address_sid', 'IG00000000000000000000000000000000', 'identity', 'customer ' || i)";

	$session->query('CREATE TABLE plain (LIKE flex_outbox_requests INCLUDING ALL) WITH (fillfactor = 40); ' .
		  'CREATE TABLE changed (number integer, arguments jsonb)');
	$session->query("PREPARE inserts(jsonb) AS $insert VALUES (" . sprintf($row, '$1') . ') RETURNING id; ' .
		  "PREPARE enqueues(jsonb) AS SELECT flex_enqueue('$OPERATION', \$1)");
	$session->query("CREATE FUNCTION $_->[0]() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN $_->[1]; RETURN NULL; END \$\$")
	  for [ 'insert_one', "$insert VALUES (" . sprintf($row, 'NEW.arguments') . ')' ],
	  [ 'enqueue_one', "PERFORM flex_enqueue('$OPERATION', NEW.arguments)" ];
	my $one = "('{\"address_sid\": \"IG00000000000000000000000000000000\", \"identity\": \"customer\"}')";
	my $insert_bulk = "$insert SELECT " . sprintf($row, $arguments) . " FROM generate_series(1, $bulk) g";
	my $fire = sub { my ($function) = @_; return 'TRUNCATE changed; DROP TRIGGER IF EXISTS changes ON changed; ' .
		  "CREATE TRIGGER changes AFTER INSERT ON changed FOR EACH ROW EXECUTE FUNCTION $function(); " .
		  "INSERT INTO changed SELECT g, $arguments FROM generate_series(1, $triggered) g" };
	# What is called, how often, the INSERT and ours, and the ratio that is aimed at.
	my @ways = (
		[ 'flex_enqueue, prepared, one by one', $singles, (map { "BEGIN;\n\\o /dev/null\nSELECT \$\$EXECUTE $_$one\$\$ " .
			  "FROM generate_series(1, $singles) \\gexec\n\\o\nCOMMIT" } qw(inserts enqueues)), 3 ],
		[ 'flex_enqueue, PL/pgSQL loop', $singles, (map { "DO \$\$ BEGIN FOR i IN 1..$singles LOOP $_; END LOOP; END \$\$" }
			"$insert VALUES (" . sprintf($row, $variable) . ')', "PERFORM flex_enqueue('$OPERATION', $variable)"), 3 ],
		[ 'flex_enqueue, in bulk', $bulk, $insert_bulk,
			"SELECT count(flex_enqueue('$OPERATION', $arguments)) FROM generate_series(1, $bulk) g", 1.3 ],
		[ "flex_enqueue, trigger on $triggered rows", $triggered, $fire->('insert_one'), $fire->('enqueue_one'), 1.3 ],
		[ 'flex_enqueue_many', $bulk, $insert_bulk,
			"SELECT cardinality(flex_enqueue_many('$OPERATION', (SELECT array_agg($arguments) FROM generate_series(1, $bulk) g)))", 1 ]);

	Rounds::heading('Enqueueing beside an INSERT of the same rows into a table with the same indexes', 'us');
	for my $way (@ways)
	{
		my ($ours, $count, $inserts, $enqueues, $goal) = @$way;
		my $baseline = '  INSERT of the same';
		my $costs = Rounds::measure($rounds, $count,
			map { my ($name, $statement) = @$_; [ $name => sub { $session->query('TRUNCATE flex_outbox_requests, plain'); $session->cost($statement) } ] }
			  [ $baseline, $inserts ], [ $ours, $enqueues ]);
		$missed += Rounds::line($costs, $ours, $baseline, wall => $goal);
		Rounds::line($costs, $baseline);
	}
}

# Medians and 95th percentiles of what raw_commits and raw_posts say.
sub percentile
{
	my ($share, @values) = @_;

	return (sort { $a <=> $b } @values)[ int($share * $#values) ];
}

# Milliseconds from commits to answers, with these settings of the server: the answers', and the commits'.
sub answer_times
{
	my ($simulator, $count, @settings) = @_;

	$servers->restart('shared_preload_libraries=flex_api', "flex_api.base_url=$simulator", @settings);
	my $output = $servers->command(dirname(__FILE__) . '/raw_commits',
		"host=$servers->{directory} user=postgres dbname=postgres", $count);
	my @lines = map { [split] } split /\n/, $output;
	splice(@lines, 0, 10); # until plans and connections are there
	return ([ map { $_->[0] / 1000 } @lines ], [ map { $_->[1] / 1000 } @lines ]);
}

sub worker
{
	my $count = 300;
	my $simulator = $servers->simulator;
	my $session = session($simulator, 1);
	my @arguments = raw_arguments($session, $simulator);
	undef $session;
	my @latencies = map { Baseline::raw($servers, 'raw_posts', @arguments, '-n', 1, "$simulator$PATH", 500)->[0] / 500 } 1 .. 3;
	my $latency = Rounds::median(@latencies) / 1000;

	printf "\nFrom sending COMMIT to the answer in the row, told by NOTIFY, on an idle worker ($count requests)\n" .
	  "%-38s %9s %9s   %s\n", '', 'median ms', 'p95', 'goal: the median is within 1 ms of the latency';
	printf "%-38s %9.2f\n", 'latency of a raw request', $latency;
	for my $fsync ('off', 'on')
	{
		my ($answers, $commits) = answer_times($simulator, $count, "fsync=$fsync");
		my $median = Rounds::median(@$answers);
		# Three commits one after the other are in it: the request's, its claim's, and its answer's.
		printf "%-38s %9.2f %9.2f   %s\n", "fsync $fsync", $median, percentile(0.95, @$answers),
		  $fsync eq 'off' ? verdict('within 1 ms', $median - $latency <= 1) : 'three flushes of the disk are in it';
		printf "%-38s %9.2f %9.2f\n", '  of which the COMMIT itself', Rounds::median(@$commits), percentile(0.95, @$commits);
	}
}

# A table of our worker and pg_net's: cases are how many each has under way at once, of how many requests.
sub beside_pg_net
{
	my ($workers, $title, $count) = @_;
	my @cases = ([ 'flex_api', 100, $count ], [ 'flex_api', 1000, 10_000 ],
		[ 'pg_net', 200, 1000 ], [ 'pg_net', 2000, 10_000 ], [ 'pg_net', 2000, 2000 ]);
	my @names = map { "$_->[0], $_->[1] at once, of $_->[2]" } @cases;
	my $costs = Rounds::measure(3, 1,
		map { my $case = $cases[$_]; [ $names[$_] => sub { $workers->cost(@$case) } ] } 0 .. $#cases);

	printf "\n%s (%d rounds)\n%-38s %9s\n", $title, Rounds::count($costs), 'under way at once, of so many', 'a second';
	line($costs, $_) for @names[ 0, 1 ];
	for my $name (@names[ 2 .. 4 ])
	{
		line($costs, $name);
		print '  ours to theirs: ', join(', ', map { (Rounds::ratio($costs->{$name}, $costs->{ $names[$_] }, 0))[1] .
			" with $cases[$_][1] at once" } 0, 1), "\n";
	}
	cpu_line($costs, @names[ 0, 1 ]);
	cpu_line($costs, @names[ 2 .. 4 ]);
}

# Our worker and pg_net's in one server; then what becomes of their queues when it is killed.
sub pg_net
{
	my $version = Session->new($servers)->query("SELECT default_version FROM pg_available_extensions WHERE name = 'pg_net'");
	my ($requests, $journal) = (2000, "$servers->{directory}/journal");

	return print "\npg_net: skipped, this server does not have it\n" if $version eq '';
	# pg_net has a connection for each request of a batch, 200 as installed; the simulator takes 4096.
	$servers->command('prlimit', '--pid', $$, '--nofile=8192:');
	my $workers = PgNet->new($servers, 1000);
	beside_pg_net($workers, "GET requests from their commit to all answers, by our worker and pg_net's ($version)", 10_000);
	$servers->control($workers->{simulator}, 'POST', 'faults', { delay_ms => 100, times => -1 });
	beside_pg_net($workers, 'The same, where each takes 100 ms', 2000);
	print "  at once: flex_api.concurrency, for 1000 with max_files_per_process = 4000; pg_net.batch_size, 200 as installed\n" .
	  "  flex_api: SELECT flex_enqueue('flex_channel_fetch', ...); pg_net: SELECT net.http_get(...)\n";
	undef $workers;

	print "\nThe postmaster is killed when 200 of $requests requests have been sent, 100 ms each, and started again\n";
	for my $case ([ 'flex_api', 100 ], [ 'pg_net', 200 ])
	{
		$workers = PgNet->new($servers, $requests, '--journal', $journal);
		$servers->control($workers->{simulator}, 'POST', 'faults', { delay_ms => 100, times => -1 });
		my ($sent, $twice, $answers) = $workers->crash(@$case, 200, $journal);
		my $lost = $requests - $sent;
		printf "%-38s sent %d (%d of them twice), never sent %d, answers in the table %d   %s\n", $case->[0], $sent, $twice,
		  $lost, $answers, $case->[0] eq 'flex_api' ? verdict('all answered', $lost == 0 && $answers == $requests) : '';
		undef $workers;
	}
}

my $started = clock_gettime(CLOCK_MONOTONIC);
$servers = Servers->new($bin, $directory, 'fsync = on', 'synchronous_commit = on', "flex_api.rate_limits = 'none'",
	'max_wal_size = 4GB');
Session->new($servers)->query('CREATE EXTENSION flex_api');
$PARTS{$_}->() for grep { $wanted{$_} } @ORDER;
$servers->stop;
printf "\n%d s; %s\n", clock_gettime(CLOCK_MONOTONIC) - $started, $missed ? "$missed goals missed" : 'all goals reached';
exit($missed ? 1 : 0);
