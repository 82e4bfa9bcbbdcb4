# counts.pl --bin FOLDER --directory DIRECTORY
#
# Counts what calls, lists and the outbox take of what does not depend on the machine: system
# calls, allocations, buffers, bytes of WAL, fsyncs.  Beside each stands what a program of
# libcurl alone takes for the same; what there may be at most: with more this ends with 1; what
# is aimed at; and what the last release took.  All of these but the first two stand in
# figures.tsv.  test/bench/run prepares and calls it.  strace must be there, and be allowed to
# look at other processes of the same user.
use strict;
use warnings;

use File::Basename qw(dirname);
use Getopt::Long;
use JSON::PP;

use lib dirname(__FILE__);
use Baseline;
use Figures;
use Servers;
use Session;
use SystemCalls;

my ($bin, $directory);
GetOptions('bin=s' => \$bin, 'directory=s' => \$directory) or exit 2;

# What is counted is done a few times, and many times: the difference is what so many more have taken.
my ($FEW, $MANY) = (10, 210);                # calls
my ($FEW_MANY, $MANY_MANY) = (200, 2200);    # in one flex_call_many()
my ($FEW_PAGES, $MANY_PAGES) = (5, 45);
my ($FEW_SENT, $MANY_SENT) = (500, 2500);    # from the outbox, under strace
my ($FEW_ALONE, $MANY_ALONE) = (50, 250);    # one at once
my $PAGE = 1000;                             # rows
my $REQUESTS = 5000;                         # in the outbox
my $AT_ONCE = 100;
my ($TOGETHER, $EACH_AT_ONCE) = (4, 20);     # sessions that drain side by side

my $here = dirname(__FILE__);
my %counted;    # by name of the figure: ours, the raw program's, what it consists of
$SIG{INT} = $SIG{TERM} = sub { exit 1 };

# The system calls of a session for each of what a statement, made for a number, does.  before: makes one that goes before, uncounted.
sub of_session
{
	my ($servers, $session, $few, $many, $statement, $before) = @_;
	my @counts;

	$session->query($statement->($few)) unless defined $before;
	for my $count ($few, $many)
	{
		$session->query($before->($count)) if defined $before;
		push @counts, SystemCalls::of_process($servers, $session->{backend}, sub { $session->query($statement->($count)) });
	}
	return (\@counts, $many - $few);
}

# A session that talks to a simulator.
sub session
{
	my ($servers, $simulator, $authorities) = @_;
	my $session = Session->new($servers);

	$session->query("SET flex_api.base_url = '$simulator'; SET client_min_messages = error; SET work_mem = '1GB'; " .
		  "SET flex_api.rate_limits = 'none'; SET flex_api.concurrency = $AT_ONCE" .
		  (defined $authorities ? "; SET flex_api.ca_file = '$authorities'" : ''));
	return $session;
}

# A simulator that has so many channels.
sub simulator
{
	my ($servers, $channels, @options) = @_;
	my $simulator = $servers->simulator(@options);

	$servers->control($simulator, 'POST', 'seed', { channels => $channels });
	return $simulator;
}

# So many calls in one statement.  The argument depends on g: PostgreSQL would call the function once otherwise.
sub lateral
{
	my ($sid, $count) = @_;

	return "SELECT count(c.sid) FROM generate_series(1, $count) g, LATERAL flex_channel_fetch(CASE WHEN g > 0 THEN '$sid' END) c";
}

# Allocations of a program from its beginning to its end; its standard input is what is given.
sub allocations
{
	my ($servers, $input, @command) = @_;
	my ($number, $statements) = map { "$directory/$_" } qw(allocations statements);

	open(my $file, '>', $statements) or die "$statements: $!";
	print $file $input;
	close($file) or die "$statements: $!";
	$servers->command('sh', '-c', "exec \"\$0\" \"\$@\" <'$statements'", 'env', "LD_PRELOAD=$here/allocations.so", "ALLOCATIONS=$number", @command);
	open($file, '<', $number) or die "$number: $!";
	my $allocations = <$file>;
	unlink $number;
	return $allocations;
}

# The calls of a session, and the first one of a session.
sub calls
{
	my ($servers, $suffix, $authorities, @options) = @_;
	my $simulator = simulator($servers, 1, @options);
	my $session = session($servers, $simulator, $authorities);
	my $sid = $session->query('SELECT sid FROM flex_channels_list(max_rows => 1)');
	my ($url, @trust) = ("$simulator/v1/Channels/$sid", defined $authorities ? ('-c', $authorities) : ());

	$session->query("SELECT flex_channel_fetch('$sid')");
	my @headers = Baseline::same_headers($servers, $simulator, 'raw_calls', $url, @trust);
	my ($raw) = SystemCalls::per_each([ map { SystemCalls::of_program($servers, "$here/raw_calls", @headers, @trust, $url, $_) } $FEW, $MANY ], $MANY - $FEW);
	my ($each, $what) = SystemCalls::per_each(of_session($servers, $session, $FEW, $MANY, sub { lateral($sid, $_[0]) }));
	$counted{"call$suffix"} = [ $each, $raw, $what ];

	# Where nothing has loaded the library before, trusting the system's authorities.
	local $ENV{PGOPTIONS} = "-c flex_api.base_url=$simulator";
	my $first = Session->new($servers);
	my $faults = $first->faults;
	my ($sum, $of) = SystemCalls::per_each([ {}, SystemCalls::of_process($servers, $first->{backend}, sub { $first->query("SELECT sid FROM flex_channel_fetch('$sid')") }) ], 1);
	$counted{"first_call$suffix"} = [ $sum, undef, $of ];
	$counted{"first_call_faults$suffix"} = [ $first->faults - $faults ];
	return ($url, $sid, @headers);
}

# How often a call asks for memory, of a server process without a postmaster.
sub call_allocations
{
	my ($servers, $url, $sid, @headers) = @_;
	my ($origin) = $url =~ m{^(\w+://[^/]+)};

	$servers->command("$bin/pg_ctl", '-D', "$directory/data", qw(-m fast -w stop));
	$servers->{running} = 0;
	my ($few, $many) = map { allocations($servers, "SET flex_api.base_url = '$origin'\n" . lateral($sid, $_) . "\n",
			"$bin/postgres", '--single', '-D', "$directory/data", 'postgres') } $FEW, $MANY;
	my ($few_raw, $many_raw) = map { allocations($servers, '', "$here/raw_calls", @headers, $url, $_) } $FEW, $MANY;
	$counted{call_allocations} = [ map { $_ / ($MANY - $FEW) } $many - $few, $many_raw - $few_raw ];
	$servers->start;
	return;
}

sub many
{
	my ($servers) = @_;
	my $session = session($servers, simulator($servers, 1));
	my $sid = $session->query('SELECT sid FROM flex_channels_list(max_rows => 1)');
	my ($each, $what) = SystemCalls::per_each(of_session($servers, $session, $FEW_MANY, $MANY_MANY, sub {
		"SELECT count(*) FROM flex_call_many('flex_channel_fetch', " .
		  "(SELECT array_agg(jsonb_build_object('sid', '$sid')) FROM generate_series(1, $_[0])), 20)";
	}));

	$counted{many} = [ $each, undef, $what ];
	return;
}

sub pages
{
	my ($servers, $suffix, $authorities, @options) = @_;
	my $simulator = simulator($servers, $PAGE * ($MANY_PAGES + 1), @options);
	my $session = session($servers, $simulator, $authorities);
	my @trust = defined $authorities ? ('-c', $authorities) : ();
	my $url = "$simulator/v1/Channels?PageSize=$PAGE";

	$session->query('SELECT * FROM flex_channels_list(max_rows => 1)');
	my @headers = Baseline::same_headers($servers, $simulator, 'raw_calls', "$simulator/v1/Channels?PageSize=1", @trust);
	$servers->control($simulator, 'POST', 'settings', { record => JSON::PP::false });
	my ($raw) = SystemCalls::per_each([ map { SystemCalls::of_program($servers, "$here/raw_calls", @headers, @trust, $url, $_) } $FEW_PAGES, $MANY_PAGES ], $MANY_PAGES - $FEW_PAGES);
	my ($each, $what) = SystemCalls::per_each(of_session($servers, $session, $FEW_PAGES, $MANY_PAGES,
		sub { 'SELECT count(*) FROM flex_channels_list(max_rows => ' . $_[0] * $PAGE . ", page_size => $PAGE)" }));
	$counted{"page$suffix"} = [ $each, $raw, $what ];
	return;
}

# What the server has counted in this database, and how much WAL there is.
sub counters
{
	my ($session) = @_;

	$session->query('SELECT pg_stat_force_next_flush()');
	my @counters = split /\|/, $session->query("SELECT (SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = current_database()), " .
		  "pg_current_wal_insert_lsn() - '0/0', sum(n_tup_upd), sum(n_tup_hot_upd) FROM pg_stat_user_tables WHERE relname LIKE 'flex_outbox%'");
	return \@counters;
}

# System calls, and fsyncs among them, of a drain of each request.
sub sent
{
	my ($servers, $session, $enqueue, $few, $many) = @_;
	my ($counts, $more) = of_session($servers, $session, $few, $many, sub { 'CALL flex_outbox_drain()' }, $enqueue);
	my ($each, $what) = SystemCalls::per_each($counts, $more);

	return ($each, $what, ($counts->[1]{fdatasync} - $counts->[0]{fdatasync}) / $more);
}

# Transactions of sessions that drain side by side, for each request.
sub transactions_together
{
	my ($servers, $session, $simulator, $enqueue) = @_;
	my @sessions = map { session($servers, $simulator) } 1 .. $TOGETHER;
	my $transactions = sub {
		$_->query('SELECT pg_stat_force_next_flush()') for @sessions;
		return $session->query('SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()');
	};

	$_->query("SET flex_api.concurrency = $EACH_AT_ONCE; CALL flex_outbox_drain()") for @sessions;
	$session->query($enqueue->($REQUESTS));
	my $before = $transactions->();
	$_->send('CALL flex_outbox_drain()') for @sessions;
	$_->receive for @sessions;
	return ($transactions->() - $before) / $REQUESTS;
}

sub outbox
{
	my ($servers) = @_;
	my $simulator = simulator($servers, 0);
	my $session = session($servers, $simulator);
	my $enqueue = sub {
		"SELECT count(flex_enqueue('flex_webchat_create', jsonb_build_object('address_sid', 'IG' || md5(g::text), " .
		  "'identity', 'customer+' || g))) FROM generate_series(1, $_[0]) g";
	};
	my @counters;

	# What caches and new relations need once is not a request's.
	$session->query($enqueue->(100) . '; CALL flex_outbox_drain(); CHECKPOINT');
	push @counters, counters($session);
	$session->query($enqueue->($REQUESTS));
	push @counters, counters($session);
	$session->query('CALL flex_outbox_drain()');
	push @counters, counters($session);
	my @enqueued = map { ($counters[1][$_] - $counters[0][$_]) / $REQUESTS } 0 .. 3;
	my @sent = map { ($counters[2][$_] - $counters[1][$_]) / $REQUESTS } 0 .. 3;
	@counted{qw(enqueue_buffers enqueue_wal send_buffers send_wal outbox_wal send_not_hot)} =
	  map { [$_] } @enqueued[ 0, 1 ], @sent[ 0, 1 ], $enqueued[1] + $sent[1], $sent[2] - $sent[3];

	my ($each, $what, $fsyncs) = sent($servers, $session, $enqueue, $FEW_SENT, $MANY_SENT);
	$counted{send_calls} = [ $each, undef, $what ];
	$counted{send_fsyncs} = [$fsyncs];
	$counted{send_transactions} = [ transactions_together($servers, $session, $simulator, $enqueue) ];
	$session->query('SET flex_api.concurrency = 1');
	(undef, undef, $fsyncs) = sent($servers, $session, $enqueue, $FEW_ALONE, $MANY_ALONE);
	$counted{send_fsyncs_one} = [$fsyncs];
	my $left = $session->query("SELECT count(*) FROM flex_outbox WHERE state <> 'succeeded'");
	die "$left requests of the outbox did not succeed\n" if $left;
	return;
}

my $started = time;
# Without images of whole pages, which depend on checkpoints; with what keeps a commit.
my $servers = Servers->new($bin, $directory, 'full_page_writes = off', 'fsync = on', 'max_wal_size = 4GB', 'checkpoint_timeout = 1h');

Session->new($servers)->query('CREATE EXTENSION flex_api');
my ($key, $certificate, $authorities) = $servers->certificates;
calls($servers, '_tls', $authorities, '--tls-cert', $certificate, '--tls-key', $key);
call_allocations($servers, calls($servers, '', undef));
many($servers);
pages($servers, '');
pages($servers, '_tls', $authorities, '--tls-cert', $certificate, '--tls-key', $key);
outbox($servers);
$servers->stop;

my ($figures, $versions) = Figures::all();
my $released = $versions->[-2];
my $too_high = 0;
Figures::heading($released);
foreach my $figure (@$figures)
{
	my $count = delete $counted{ $figure->{figure} } // die "$figure->{figure} was not counted\n";

	$too_high += !Figures::line($figure, $released, @$count);
}
die 'figures.tsv lacks: ', join(', ', sort keys %counted), "\n" if %counted;
printf "\n%d s; %s\n", time - $started, $too_high ? "$too_high counts are too high" : 'no count is too high';
exit($too_high ? 1 : 0);
