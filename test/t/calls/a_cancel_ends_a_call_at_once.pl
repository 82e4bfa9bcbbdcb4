# A call ends at once, at whatever stage it is, when it is cancelled, when its
# statement's time is over, when its session is terminated, and when the
# postmaster dies; and the session that lives on makes its next call as if
# nothing had been.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::INET;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket qw(PF_INET SOCK_STREAM sockaddr_in inet_aton);
use Test::More;
use Time::HiRes qw(sleep time);

my $LIMIT = 0.050 * FlexApi::slowness();
my $TRIES = 3;
my $compiler = $ENV{CC} // 'cc';

# A look-up of slow.invalid that never ends: the resolver's thread is not to be
# woken by anything, as with a name server that does not answer.  Its name tells
# that it is there: a thread that has only just been started blocks all signals.
sub build_slow_resolver
{
	my $directory = tempdir(CLEANUP => 1);

	open(my $source, '>', "$directory/slow.c") or die $!;
	print $source <<'C';
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");
	if (node && strcmp(node, "slow.invalid") == 0)
		for (pthread_setname_np(pthread_self(), "looking up");;)
			sleep(1000);
	return real(node, service, hints, result);
}
C
	close $source;
	chmod 0755, $directory;
	return system("$compiler -shared -fPIC -o $directory/slow.so $directory/slow.c -ldl >$directory/log 2>&1") == 0
	  ? "$directory/slow.so"
	  : undef;
}

# Answer as the path says; what is held back is held for ever.
sub serve
{
	my ($connection, $server) = @_;

	while (my $request = FlexApi::Server::read_request($connection))
	{
		my ($what, $number) = $request->{path} =~ m{^/(\w+)(?:/(\w+))?} or die "path $request->{path}";
		$server->note("$what $request->{method}");
		if ($what eq 'good') { print $connection FlexApi::Server::answer("{\"number\":$number}"); }
		elsif ($what eq 'once') { print $connection FlexApi::Server::answer("{\"number\":$number}", '200 OK', 'Connection: close'); return; }
		elsif ($what eq 'silent') { sleep 1000; }
		elsif ($what eq 'head') { drip($connection, "HTTP/1.1 200 OK\r\n" . join('', map { "X-$_: y\r\n" } 1 .. 9999)); }
		elsif ($what eq 'body') { drip($connection, FlexApi::Server::answer('[' . '1,' x 100_000 . '1]')); }
		elsif ($what eq 'later') { print $connection FlexApi::Server::answer('{}', '429 Too Many', 'Retry-After: 20'); }
		elsif ($what eq 'v1') { print $connection page($server, $request) or return; }
	}
	return;
}

# Send text a byte at a time; the first 100 at once, so that it is well under way.
sub drip
{
	my ($connection, $text) = @_;

	print $connection substr($text, 0, 100);
	foreach my $byte (split //, substr($text, 100))
	{
		sleep 0.005;
		syswrite($connection, $byte) or return;
	}
	return;
}

# A page of channels; the second one does not come.
sub page
{
	my ($server, $request) = @_;

	sleep 1000 if $request->{path} =~ /Page=1/;
	return large_page() if $request->{path} =~ /PageSize=999/;
	return FlexApi::Server::answer(
		'{"meta":{"key":"flex_chat_channels","next_page_url":"' . $server->url . '/v1/Channels?Page=1"},'
		  . '"flex_chat_channels":[{"sid":"CH00000000000000000000000000000001"}]}');
}

# A page of so many channels that they take some time to decode.
sub large_page
{
	my $row = '{"sid":"CH00000000000000000000000000000001","links":{"webhooks":"https://example.com"}}';

	return FlexApi::Server::answer(
		'{"meta":{"key":"flex_chat_channels","next_page_url":null},"flex_chat_channels":[' . join(',', ($row) x 150_000) . ']}');
}

# A listening socket that takes no connection any more.
sub full_listener
{
	my $listener = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die $!;
	my @waiting;

	for (1 .. 20)
	{
		socket(my $socket, PF_INET, SOCK_STREAM, 0) or die $!;
		$socket->blocking(0);
		connect($socket, sockaddr_in($listener->sockport, inet_aton('127.0.0.1')));
		push @waiting, $socket;
		last unless IO::Select->new($socket)->can_write(0.2);
	}
	return ($listener, @waiting);
}

my $shim = build_slow_resolver();
my $server = FlexApi::Server->new(\&serve);
my $mute = FlexApi::Server->new(sub { $_[1]->note('accepted'); sleep 1000; });
my ($full, @held) = full_listener();

my $node = PostgreSQL::Test::Cluster->new('cancel');
$node->init;
$node->append_conf('postgresql.conf', <<"CONF");
flex_api.base_url = '@{[ $server->url ]}'
flex_api.account_sid = '$FlexApi::ACCOUNT'
flex_api.auth_token = '$FlexApi::TOKEN'
flex_api.timeout = '100s'
flex_api.connect_timeout = '100s'
max_files_per_process = 100
CONF

sub start_node
{
	local $ENV{LD_PRELOAD} = join(':', grep { $_ } $ENV{LD_PRELOAD}, $shim) if $shim;
	$node->start;
	return;
}

start_node();
$node->safe_psql('postgres', 'CREATE EXTENSION flex_api');

my $control = FlexApi::Session->new($node);

# The backend waits for the network, as others can see.
sub is_waiting
{
	my ($pid) = @_;

	return $control->value(
		"SELECT state = 'active' AND wait_event_type IS NOT DISTINCT FROM 'Extension' FROM pg_stat_activity WHERE pid = $pid") eq 't';
}

# How /proc shows a process: S asleep, Z or nothing gone.
sub state_of { my ($pid) = @_; return (FlexApi::content("/proc/$pid/status") =~ /^State:\s*(\w)/m)[0] // ''; }

# Waits for a note of the server beyond those that were there.
sub noted { my ($where, $pattern) = @_; return sub { $where->notes($pattern) > 0 }; }

# How many threads of a process look up slow.invalid.
sub count_look_ups { my ($pid) = @_; return scalar grep { FlexApi::content("$_/comm") eq "looking up\n" } glob("/proc/$pid/task/*"); }

# Each stage: what is asked for, where, how one sees that it is reached, and
# whether a POST may have been carried out by then.
my @stages = (
	{
		name => 'resolving',
		base => 'https://slow.invalid',
		sql => q{SELECT * FROM flex_request('POST', '/silent')},
		reached => sub { my ($pid, $before) = @_; count_look_ups($pid) > $before },
		skip => defined $shim ? undef : "no C compiler: $compiler",
	},
	{
		name => 'connecting',
		base => 'http://127.0.0.1:' . $full->sockport,
		sql => q{SELECT * FROM flex_request('POST', '/silent')},
		reached => sub { 1 },
	},
	{
		name => 'TLS handshake',
		base => $mute->url =~ s/^http/https/r,
		sql => q{SELECT * FROM flex_request('POST', '/silent')},
		reached => noted($mute, qr/accepted/),
	},
	{
		name => 'waiting for the answer to a GET',
		sql => q{SELECT * FROM flex_request('GET', '/silent')},
		reached => noted($server, qr/^silent/),
	},
	{
		name => 'waiting for the answer to a POST',
		sql => q{SELECT * FROM flex_request('POST', '/silent')},
		reached => noted($server, qr/^silent/),
		unknown => 1,
	},
	{
		name => 'headers that drip',
		sql => q{SELECT * FROM flex_request('POST', '/head')},
		reached => noted($server, qr/^head/),
		unknown => 1,
	},
	{
		name => 'a body that drips',
		sql => q{SELECT * FROM flex_request('GET', '/body')},
		reached => noted($server, qr/^body/),
	},
	{
		name => 'the wait between repeats',
		sql => q{SELECT * FROM flex_request('POST', '/later')},
		reached => noted($server, qr/^later/),
	},
	{
		name => 'a list in the middle',
		sql => q{SELECT count(*) FROM flex_channels_list()},
		reached => sub { $server->notes(qr/^v1/) >= 2 },
	},
);

# A session at a stage, in the middle of the call.
sub session_at
{
	my ($stage) = @_;
	my $session = FlexApi::Session->new($node);

	begin_call($session, $stage);
	return $session;
}

# Begin the stage's call in a session, and wait until it is there.
sub begin_call
{
	my ($session, $stage) = @_;
	my $look_ups = count_look_ups($session->pid);

	$session->value("SET flex_api.base_url = '" . ($stage->{base} // $server->url) . "'");
	$server->clear_notes;
	$mute->clear_notes;
	$session->send_query($stage->{sql});
	FlexApi::wait_until(sub { $stage->{reached}->($session->pid, $look_ups) && is_waiting($session->pid) })
	  or die "$stage->{name} was not reached";
	return;
}

my $number = 0;

# The session goes on as if nothing had been: it gets its own answer, at once.
sub check_next_call
{
	my ($session, $name) = @_;
	my $wanted = ++$number;

	$session->value("SET flex_api.base_url = '" . $server->url . "'");
	my $result = $session->query("SELECT body->>'number' FROM flex_request('GET', '/good/$wanted')");
	is($result->{error} ? $result->{error}->{M} : $result->{rows}->[0]->[0], $wanted, "$name: the next call has its own answer");
	cmp_ok($result->{seconds}, '<', 1 * FlexApi::slowness(), "$name: at once");
	return;
}

# The least of several measured times; the machine may have been busy once.
sub least { my $least = shift; foreach (@_) { $least = $_ if $_ < $least; } return $least; }

sub check_context
{
	my ($stage, $error, $name) = @_;

	like($error->{W}, qr/^Flex API request \w+ \/\w+/m, "$name: the context names the request");
	if ($stage->{unknown})
	{
		like($error->{W}, qr/not known whether the service carried it out/, "$name: the outcome is said to be unknown");
	}
	else
	{
		unlike($error->{W}, qr/not known/, "$name: nothing is said to be unknown");
	}
	return;
}

foreach my $stage (@stages)
{
  SKIP:
	{
		skip $stage->{skip}, 1 if $stage->{skip};
		my $session = FlexApi::Session->new($node);
		my (@cancelled, @timed_out, @terminated, $result);

		for (1 .. $TRIES)
		{
			begin_call($session, $stage);
			my $start = time();
			$control->value('SELECT pg_cancel_backend(' . $session->pid . ')');
			$result = $session->receive;
			push @cancelled, time() - $start;
		}
		is($result->{error}->{C}, '57014', "$stage->{name}: SQLSTATE of a cancel");
		check_context($stage, $result->{error}, $stage->{name});
		check_next_call($session, $stage->{name});

		for (1 .. $TRIES)
		{
			$session->value("SET flex_api.base_url = '" . ($stage->{base} // $server->url) . "'");
			$session->value('SET statement_timeout = 120');
			$result = $session->query($stage->{sql});
			push @timed_out, $result->{seconds} - 0.120;
			$session->value('RESET statement_timeout');
		}
		is($result->{error}->{C}, '57014', "$stage->{name}: SQLSTATE of statement_timeout");
		like($result->{error}->{M}, qr/statement timeout/, "$stage->{name}: and its message");
		check_next_call($session, $stage->{name});

		for (1 .. $TRIES)
		{
			my $victim = session_at($stage);
			my $start = time();
			$control->value('SELECT pg_terminate_backend(' . $victim->pid . ')');
			$result = $victim->receive;
			push @terminated, time() - $start;
		}
		is($result->{error}->{C}, '57P01', "$stage->{name}: SQLSTATE of a termination");
		ok($result->{closed}, "$stage->{name}: the session ended");

		note(sprintf('%s: cancel %s ms, statement_timeout %s ms, terminate %s ms',
			$stage->{name}, map { join('/', map { sprintf '%.1f', 1000 * $_ } @$_) } \@cancelled, \@timed_out, \@terminated));
		cmp_ok(least(@cancelled), '<', $LIMIT, "$stage->{name}: a cancel acts at once");
		cmp_ok(least(@timed_out), '<', $LIMIT, "$stage->{name}: so does statement_timeout");
		cmp_ok(least(@terminated), '<', $LIMIT, "$stage->{name}: so does a termination");
		$session->close;
	}
}

# Threads of libcurl leave the backend's signals to it: else one could be
# delivered to a thread that never looks at the latch.
SKIP:
{
	skip "no C compiler: $compiler", 1 unless $shim;
	my $session = session_at($stages[0]);
	my @open;

	foreach my $task (glob('/proc/' . $session->pid . '/task/*'))
	{
		next if $task =~ m{/\Q@{[ $session->pid ]}\E$};
		my ($blocked) = FlexApi::content("$task/status") =~ /^SigBlk:\s*(\w+)/m;
		# HUP, INT, QUIT, USR1, USR2, ALRM, TERM, CHLD as bits from 1 on.
		my @seen = grep { !(hex(substr($blocked, -8)) & (1 << ($_ - 1))) } (1, 2, 3, 10, 12, 14, 15, 17);
		push @open, "$task: @seen" if @seen;
	}
	is_deeply(\@open, [], 'threads of libcurl take none of the signals');
	$control->value('SELECT pg_cancel_backend(' . $session->pid . ')');
	is($session->receive->{error}->{C}, '57014', 'and the backend took the cancel');
	$session->close;
}

# Cancels at random moments, more of them than the session may have sockets: the
# call after each has its own answer on a connection of its own, and no count of
# sockets runs full.
my $storm = FlexApi::Session->new($node);
my %outcomes;
my @slow;

# Cancel a call of the stage after some milliseconds, and wait for its end.
sub cancel_somewhen
{
	my ($stage) = @_;

	$storm->value("SET flex_api.base_url = '" . ($stage->{base} // $server->url) . "'");
	$storm->send_query($stage->{sql});
	sleep rand(0.003);
	do
	{
		$control->value('SELECT pg_cancel_backend(' . $storm->pid . ')');
	} until IO::Select->new($storm->{socket})->can_read(0.02);
	$outcomes{ $storm->receive->{error}->{C} }++;
	# A last cancel may have come too late for the call, and end this.
	until ($storm->sqlstate("SET flex_api.base_url = '" . $server->url . "'") eq '00000') { }
	return;
}

foreach my $round (1 .. 60)
{
	cancel_somewhen($stages[ $round % 3 ? 1 : 1 + $round % 4 ]);
	my $result = $storm->query("SELECT body->>'number' FROM flex_request('GET', '/once/$round')");
	my $error = $result->{error};
	$outcomes{ $error ? "$error->{C} $error->{M}" : $result->{rows}->[0]->[0] == $round ? 'own' : 'other' }++;
	push @slow, $result->{seconds} if $result->{seconds} > 0.15 * FlexApi::slowness();
}
is_deeply(\%outcomes, { 57014 => 60, own => 60 }, 'after a cancel at any moment the next call has its own answer')
  or note explain \%outcomes;
cmp_ok(scalar @slow, '<', 5, 'and none waits for what is there');
note('cancels at random moments: ' . join(', ', map { "$_ $outcomes{$_}" } sort keys %outcomes) . "; slow afterwards: " . @slow);
$storm->close;

# While a page is decoded nothing is waited for.  The cancel comes when a third of that is done,
# measured in what the backend has worked: of rows that are made, and of such as are only read.
# The backend is stopped meanwhile, so that the cancel cannot come too late on a busy machine.

# Begin a query and stop the backend when it has worked for some seconds, but not for twice as
# many.  If this process got no CPU in time, it begins again.
sub stop_at_work
{
	my ($session, $query, $seconds) = @_;

	for (1 .. 100)
	{
		my $before = FlexApi::cpu_seconds($session->pid);
		my $worked = sub { FlexApi::cpu_seconds($session->pid) - $before };

		$session->send_query($query);
		FlexApi::wait_until(sub { $worked->() > $seconds });
		kill 'STOP', $session->pid;
		FlexApi::wait_until(sub { state_of($session->pid) eq 'T' });
		return if $worked->() < 2 * $seconds && !IO::Select->new($session->{socket})->can_read(0);
		kill 'CONT', $session->pid;
		$session->receive;
	}
	die 'the backend was never stopped at work';
}

foreach my $rows (150_000, 1)
{
	my $session = FlexApi::Session->new($node);
	my $list = "SELECT count(*) FROM flex_channels_list(page_size => 999, max_rows => $rows)";
	my $name = "a large page, $rows rows";
	my @cancelled;

	$session->value($list); # whose first costs are others
	my $before = FlexApi::cpu_seconds($session->pid);
	is($session->value($list), $rows, $name);
	my $all = FlexApi::cpu_seconds($session->pid) - $before;
	for (1 .. $TRIES)
	{
		stop_at_work($session, $list, $all / 3);
		$control->value('SELECT pg_cancel_backend(' . $session->pid . ')');
		my $start = time();
		kill 'CONT', $session->pid;
		my $result = $session->receive;
		is($result->{error} ? $result->{error}->{C} : 'none', '57014', "$name: a cancel while it is decoded");
		push @cancelled, time() - $start;
	}
	note(sprintf '%s: %.0f ms of work, cancelled within %s ms', $name, 1000 * $all, join('/', map { sprintf '%.1f', 1000 * $_ } @cancelled));
	cmp_ok(least(@cancelled), '<', $LIMIT, "$name: it acts at once");
	check_next_call($session, $name);
	$session->close;
}

# The postmaster's death ends all of them.
my @left = grep { !$_->{skip} } @stages;
my @sessions = map { session_at($_) } @left;
my %gone;
my $postmaster = (split /\n/, FlexApi::content($node->data_dir . '/postmaster.pid'))[0];
my $start = time();

kill 'KILL', $postmaster;
FlexApi::wait_until(
	sub {
		foreach my $session (@sessions)
		{
			$gone{ $session->pid } //= time() - $start if state_of($session->pid) =~ /^[ZX]?$/;
		}
		return keys %gone == @sessions;
	},
	5 * FlexApi::slowness());
foreach my $i (0 .. $#left)
{
	my $seconds = $gone{ $sessions[$i]->pid };
	ok(defined $seconds, "$left[$i]->{name}: the backend exits when the postmaster dies");
}
my @times = map { $gone{ $_->pid } // 99 } @sessions;
note('exit after the death of the postmaster: ' . join(', ', map { sprintf '%.1f ms', 1000 * $_ } @times));
cmp_ok(least(@times), '<', $LIMIT, 'it acts at once');
cmp_ok((sort { $a <=> $b } @times)[-1], '<', $LIMIT * 10, 'for all of them');

$node->kill9;
kill 'KILL', grep { !defined $gone{$_} } map { $_->pid } @sessions;
done_testing();
