# failover.pl [--per-second=N] [ROUNDS [TOOL ...]]: ROUNDS (20) times kill -9 of the primary and
# ROUNDS times a switchover, one after the other, under 500 requests per second with callbacks.
#
# Two nodes, synchronous while both stand; what sessions were told is committed must be
# sent, and nothing twice.  The simulator's journal is what was really done.  TOOL:
# AutoFailover or Patroni; both by default, where they are installed.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use AutoFailover;
use FlexApi;
use Getopt::Long;
use JSON::PP;
use List::Util qw(max);
use Neighbour;
use Patroni;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# A session may be gone when it is written to.
$SIG{PIPE} = 'IGNORE';

my $per_second = 500;
GetOptions('per-second=i' => \$per_second) or die "usage: failover [--per-second=N] [ROUNDS [TOOL ...]]\n";
my $rounds = shift // 20;
my @tools = @ARGV ? @ARGV : qw(AutoFailover Patroni);
my %program = (AutoFailover => 'pg_autoctl', Patroni => 'patroni');
my $LOADERS = 4;
my $AT_ONCE = 5;
my $ANSWER_MS = 20;

# What a session needs to know of a node.
package Address { sub host { return $_[0]->{host}; } sub port { return $_[0]->{port}; } }

package main;

# A session on the node that takes writes; undef: there is none now.
sub primary
{
	my ($tool, $directory) = @_;

	foreach my $node ($tool->nodes)
	{
		my $address = bless { host => $directory, port => $node->{port} }, 'Address';
		my $session = eval { FlexApi::Session->new($address) } or next;
		# A manager may keep one that is promoted read-only until it knows that the other one is down.
		my $standby = eval { $session->value(q{SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean}) } // 't';
		return ($session, $node) if $standby eq 'f';
	}
	return;
}

# Enqueue until the parent says that it is enough; each tag whose commit was confirmed goes into a file.
sub load
{
	my ($tool, $directory, $number) = @_;
	my $count = 0;
	my $session;

	open(my $told, '>', "$directory/told.$number") or die;
	$told->autoflush(1);
	until (-e "$directory/enough")
	{
		my $begin = time;

		($session) = primary($tool, $directory) unless $session;
		if ($session)
		{
			my $first = $count + 1;
			my $last = $count += $AT_ONCE;
			local $SIG{ALRM} = sub { die "too late\n" };
			alarm 60;
			my $result = eval { $session->query(
				"WITH t AS (INSERT INTO tickets SELECT 't$number-' || g FROM generate_series($first, $last) AS g RETURNING name) "
				  . "SELECT flex_enqueue('flex_webchat_create', jsonb_build_object('address_sid', 'IG' || repeat('a', 32),"
				  . " 'identity', name), on_success => 'note_done') FROM t") };
			alarm 0;
			if ($result && !$result->{error} && @{ $result->{rows} // [] } == $AT_ONCE) { print $told "t$number-$_\n" foreach $first .. $last; }
			else { undef $session; }
		}
		my $left = $begin + $AT_ONCE * $LOADERS / $per_second - time;
		sleep($left > 0 ? $left : 0.01);
	}
	close $told;
	POSIX::_exit(0);
}

# What the nodes are doing, for a round that does not go on.
sub describe
{
	my ($tool, $directory) = @_;
	my @lines = $tool->describe;

	foreach my $node ($tool->nodes)
	{
		my $session = eval { FlexApi::Session->new(bless { host => $directory, port => $node->{port} }, 'Address') };
		push @lines, "$node->{name}: " . ($session ? '' : "no session: $@");
		next unless $session;
		foreach my $query ('SELECT pg_is_in_recovery(), current_setting(\'synchronous_standby_names\')',
			'SELECT state, count(*), max(error_message) FROM flex_outbox GROUP BY 1', 'SELECT * FROM flex_outbox_status',
			"SELECT backend_type, wait_event, state, count(*), max(left(query, 60)) FROM pg_stat_activity GROUP BY 1, 2, 3")
		{
			my $result = eval { $session->query($query) } // {};
			push @lines, map { '  ' . join(' | ', map { $_ // '' } @$_) } @{ $result->{rows} // [] };
		}
	}
	return join("\n", @lines);
}

# Milliseconds from the primary's last transaction to the promotion of a standby, as its log has both; undef: it has not.
sub gap_ms
{
	my ($node) = @_;
	my $log = join '', map { Neighbour::content($_) // '' } sort(glob "$node->{data}/log/*.log"), "$node->{data}.log";
	my ($promoted, $last) = map { my $pattern = $_; my @found; push @found, $1 * 3600 + $2 * 60 + $3 while $log =~ /$pattern/g; $found[-1] }
	  qr/(\d+):(\d+):([\d.]+) \S+ \[\d+\] LOG:  received promote request/, qr/last completed transaction was at log time \S+ (\d+):(\d+):([\d.]+)\+/;

	return defined $promoted && defined $last ? 1000 * ($promoted - $last) : undef;
}

sub median { my @sorted = sort { $a <=> $b } @_; return @sorted ? $sorted[ @sorted / 2 ] : 0; }

# All rounds with one tool.
sub try_tool
{
	my ($class) = @_;
	my $directory = PostgreSQL::Test::Utils::tempdir_short();
	my $journal = "$directory/journal";
	my $simulator = FlexApi::Simulator->new('--journal', $journal);
	$simulator->post('faults', { path => '/v2/WebChats', delay_ms => $ANSWER_MS, times => -1 });
	my $tool = $class->new($directory, [
		"shared_preload_libraries = 'flex_api'", "flex_api.base_url = '" . $simulator->url . "'",
		"flex_api.account_sid = '$FlexApi::ACCOUNT'", "flex_api.auth_token = '$FlexApi::TOKEN'",
		"flex_api.rate_limits = 'none'", 'flex_api.concurrency = 50', "max_worker_processes = '20'", "wal_log_hints = 'on'",
		# A node that cannot be rewound is copied, which begins with a checkpoint.
		"checkpoint_completion_target = '0'",
		# Processes are killed, not the machine, which keeps what they have written.
		"fsync = 'off'" ]);
	my $name = $tool->name;
	my ($session) = primary($tool, $directory);
	$session->value('CREATE EXTENSION flex_api');
	$session->value('CREATE TABLE done (id bigint)');
	$session->value('CREATE TABLE tickets (name text)');
	$session->value('CREATE FUNCTION note_done(r flex_outbox) RETURNS void LANGUAGE sql AS $$ INSERT INTO done VALUES (r.id) $$');
	my @loaders = map { my $number = $_; my $pid = fork // die; load($tool, $directory, $number) unless $pid; $pid } 1 .. $LOADERS;
	my %uncertain = (kill => 0, switchover => 0, early => 0);
	my $early = 0;
	my %seconds;
	my $loaded = time;

	foreach my $round (1 .. 2 * $rounds)
	{
		my $kind = $round % 2 ? 'kill' : 'switchover';
		my ($before, $old);

		Neighbour::wait_until(sub { $tool->is_whole }, 600) or die "round $round: the nodes do not come together\n" . describe($tool, $directory);
		Neighbour::wait_until(sub { ($before, $old) = primary($tool, $directory) }, 60) or die "round $round: no primary";
		my $uncertain = $before->value("SELECT count(*) FROM flex_outbox WHERE state = 'uncertain'");
		sleep 1 + rand 1;
		# The manager may have let the primary go on alone: a kill would then lose commits, which is not our affair.
		my $sync = q{SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum') AND current_setting('synchronous_standby_names') <> ''};
		Neighbour::wait_until(sub { (eval { $before->value($sync) } // 0) > 0 }, 120) or die "round $round: the standby is not synchronous";
		my $begin = time;
		if ($kind eq 'kill') { $tool->kill_primary($old); }
		else { $tool->switch_over; }
		my ($after, $new);
		Neighbour::wait_until(sub { ($after, $new) = primary($tool, $directory); $new && $new->{port} != $old->{port} }, 120)
		  or die "round $round: nobody was promoted\n" . describe($tool, $directory);
		my $promoted = time;
		my $size = -s $journal;
		Neighbour::wait_until(sub { -s $journal > $size }, 60) or die "round $round: nothing is sent after the promotion\n" . describe($tool, $directory);
		push @{ $seconds{$kind} }, time() - $promoted;
		$tool->bring_back($old) if $kind eq 'kill';
		sleep 1;
		my $now = eval { $after->value("SELECT count(*) FROM flex_outbox WHERE state = 'uncertain'") } // $uncertain;
		my $gap = gap_ms($new);
		# Promoted while the old primary was still at work: no answer that was on its way could be recorded in time.
		my $is_early = $kind eq 'switchover' && defined $gap && $gap < $ANSWER_MS;
		$early += $is_early;
		$uncertain{ $is_early ? 'early' : $kind } += $now - $uncertain;
		note(sprintf '%s, round %d, %s: promoted after %.1f s, %s ms after the last transaction, sent %.2f s after that, %d uncertain',
			$name, $round, $kind, $promoted - $begin, defined $gap ? sprintf('%.0f', $gap) : '?', $seconds{$kind}->[-1], $now - $uncertain);
	}

	open(my $enough, '>', "$directory/enough") or die;
	waitpid $_, 0 foreach @loaders;
	$loaded = time - $loaded;
	my $drained = time;
	Neighbour::wait_until(sub { ($session) = primary($tool, $directory) }, 60);
	my $open = "SELECT count(*) FROM flex_outbox WHERE state IN ('pending', 'sending')";
	ok(Neighbour::wait_until(sub { (eval { $session->value($open) } // 1) == 0 }, 1800), "$name: all requests come to their end");
	$drained = time - $drained;
	my %state = map { @$_ } @{ $session->query("SELECT arguments ->> 'identity', state FROM flex_outbox_requests")->{rows} };
	my %sent;
	$sent{$_}++ foreach map { my $line = decode_json($_); $line->{carried_out} ? $line->{form}->{Identity} // () : () }
	  split /\n/, FlexApi::content($journal);
	my @told = map { split /\n/, FlexApi::content("$directory/told.$_") } 1 .. $LOADERS;
	# What the managers let go, with the ticket of the same transaction, is not for the outbox to keep.
	my %kept = map { $_->[0] => 1 } @{ $session->query('SELECT name FROM tickets')->{rows} };
	my @gone = grep { !$kept{$_} } @told;
	my @lost = grep { ($state{$_} // '') !~ /^(succeeded|uncertain)$/ } keys %kept;
	my @twice = grep { $sent{$_} > 1 } keys %sent;
	my @unsent = grep { $state{$_} eq 'succeeded' && !$sent{$_} } keys %state;
	cmp_ok(scalar @told, '>', $rounds * 200, "$name: $rounds kills and $rounds switchovers, " . @told . ' requests were committed');
	note("$name: " . @gone . ' commits that sessions were told of are gone with all that they wrote');
	is(scalar @lost, 0, '... none is lost whose transaction is there') or diag(join("\n", "@lost[0 .. ($#lost < 9 ? $#lost : 9)]",
		map { join ' | ', map { $_ // '' } @$_ } @{ $session->query(
			'SELECT state, error_message, count(*), min(enqueued_at), max(enqueued_at) FROM flex_outbox GROUP BY 1, 2 LIMIT 10')->{rows} }));
	is(scalar @twice, 0, '... none was sent twice') or diag("@twice[0 .. ($#twice < 9 ? $#twice : 9)]");
	is(scalar @unsent, 0, '... none has succeeded without being sent');
	is($session->value('SELECT count(*) - count(DISTINCT id) FROM done'), 0, '... no callback ran twice');
	is($session->value("SELECT count(*) FROM flex_outbox WHERE state = 'succeeded' AND NOT EXISTS (SELECT FROM done WHERE done.id = flex_outbox.id)"), 0, '... each ran');
	is($uncertain{switchover}, 0, "... no switchover that stops the primary first leaves anything uncertain, at answers of $ANSWER_MS ms");
	my @uncertain = grep { $state{$_} eq 'uncertain' } keys %state;
	note(sprintf '%s: uncertain after kills: %d, after switchovers: %d, and %d after %d that promoted before the primary had stopped; at the end: %d, of which the service has carried out %d',
		$name, @uncertain{qw(kill switchover early)}, $early, scalar @uncertain, scalar grep { $sent{$_} } @uncertain);
	note(sprintf '%s: %s: sent %.2f s after the promotion (median), %.2f s at worst', $name, $_, median(@{ $seconds{$_} }), max(@{ $seconds{$_} }))
	  foreach qw(kill switchover);
	note(sprintf '%s: %.0f requests per second in %.0f s, those without a primary included; all had ended %.0f s later', $name, @told / $loaded, $loaded, $drained);
	$tool->stop;
	$simulator->stop;
	return;
}

foreach my $tool (@tools)
{
	SKIP:
	{
		skip("$program{$tool} is not here", 1) if system("command -v $program{$tool} >/dev/null") != 0;
		my $ended = eval { try_tool($tool); 1 };
		ok($ended, "$tool: all rounds have come to their end") or diag($@);
	}
}
done_testing();
