# Round: one round of the crash test.  Sessions enqueue, senders send, somebody is
# killed, and at the end the outbox is compared with the service's journal.
package Round;

use strict;
use warnings;

use FlexApi;
use IO::Select;
use List::Util qw(any);
use Load;
use Time::HiRes qw(sleep time);

my $WRITERS = 3;
my $TRANSACTIONS = 12;
my $PATIENCE = 60;

# node, simulator, journal, kind (of Kinds), number, flows.
sub new
{
	my ($class, %with) = @_;
	my $self = bless {%with}, $class;

	@$self{qw(name node_name drainers_wanted crashes act)} = @{ $with{kind} };
	$self->{load} = Load->new(round => $with{number}, flows => $with{flows});
	return $self;
}

# What goes wrong with the service: each fault or none.
sub _set_faults
{
	my ($self) = @_;
	my $delay = rand() < 0.7 ? 5 + int rand 150 : 0;
	my @faults = (
		{ status => 429, times => 3 },
		{ status => 429, retry_after => '1', path => '/v1/FlexFlows' },
		{ cut_at => 0, times => 2 },
		{ cut_at => 0, after => JSON::PP::true, times => 2 },
		{ cut_at => 20, times => 2 },
		{ status => 400, method => 'POST', times => 2 },
		{ status => 502, after => JSON::PP::true, shape => 'html', times => 2 },
		{ status => 503, method => 'GET', times => 2 },
		{ stall_after => 0, times => 1 });

	$_->{skip} = int rand 40 foreach @faults;
	$self->{simulator}->post('faults', [ grep { rand() < 0.4 } @faults ]);
	$self->{simulator}->post('faults', { delay_ms => $delay, times => -1 }) if $delay;
	return;
}

# A session with a setting of its own, which need not load the library while the clock runs.
sub _session
{
	my ($self, @settings) = @_;
	my $session = FlexApi::Session->new($self->{node});

	$session->value($_) foreach "LOAD 'flex_api'", map { "SET $_" } @settings;
	return $session;
}

sub _open_sessions
{
	my ($self) = @_;
	my $commit = 'synchronous_commit = ' . ($self->{asynchronous} ? 'off' : 'on');

	$self->{last_id} = $self->_session->value('SELECT coalesce(max(id), 0) FROM flex_outbox');
	$self->{writers} = [ map { { session => $self->_session($commit), left => $TRANSACTIONS, pause => 0 } } 1 .. $WRITERS ];
	$self->{drainers} = [ map { { session => $self->_session($commit), pause => 0 } } 1 .. $self->{drainers_wanted} ];
	$_->{pid} = $_->{session}->pid foreach @{ $self->{drainers} };
	return;
}

# Let draining sessions drain again and again, but not so that nobody else gets a processor.
sub _drain
{
	my ($self) = @_;

	foreach my $drainer (grep { !$_->{busy} && !$_->{closed} && $_->{pause} <= time() } @{ $self->{drainers} })
	{
		$drainer->{busy} = 1;
		$drainer->{session}->send_query('CALL flex_outbox_drain()');
	}
	return;
}

# Take the answers that have come.
sub _take_answers
{
	my ($self) = @_;
	my %by_socket = map { $_->{session}->{socket} => $_ } @{ $self->{drainers} },
	  grep { $_->{transaction} } @{ $self->{writers} };
	my @open = grep { !$_->{closed} } values %by_socket;

	foreach my $socket (IO::Select->new(map { $_->{session}->{socket} } @open)->can_read(0.002))
	{
		my $client = $by_socket{$socket};
		my $result = $client->{session}->receive;

		$self->{load}->note($client, $result) if $client->{transaction};
		$client->{closed} = 1 if $result->{closed};
		@$client{qw(busy pause)} = (0, time() + rand 0.02) if !exists $client->{left};
	}
	return;
}

# What kinds do: tell a process, ...
sub signal { my ($self, $signal, $pid) = @_; kill $signal, $pid or die "kill $pid: $!" if $pid; return; }
sub drainer { return $_[0]->{drainers}->[0]->{pid}; }

sub worker { return $_[0]->_process('flex_api outbox worker'); }
sub callbacks { return $_[0]->_process('flex_api callbacks'); }

# (after a round that ended its worker, the next one is only there after a second)
sub _process
{
	my ($self, $type) = @_;
	my $pid;

	FlexApi::wait_until(sub {
		$pid = $self->{control}->value("SELECT pid FROM pg_stat_activity WHERE backend_type = '$type'");
	}) or die "there is no $type";
	return $pid;
}

# ... or end the server.
sub stop { my ($self, $mode) = @_; $self->{node}->stop($mode); return; }

sub kill_postmaster
{
	my ($self) = @_;
	my $postmaster = $self->{node}->{_pid};
	my @children = map { $_->[0] } @{ $self->{control}->query('SELECT pid FROM pg_stat_activity')->{rows} };

	$self->{node}->kill9;
	FlexApi::wait_until(sub { !any { kill 0, $_ } @children }, 20)
	  or die "a process outlives its postmaster: @children";
	return;
}

sub _run_load
{
	my ($self) = @_;
	my $kill_after = rand 80; # requests
	my $kill_at;
	my $killed = 0;
	my $end = time() + $PATIENCE;

	until ($killed && !$self->_is_writing)
	{
		die 'the load does not end' if time() > $end;
		$kill_at //= time() + rand 0.1 if keys %{ $self->{load}->tags } >= $kill_after || !$self->_is_writing;
		if (!$killed && defined $kill_at && time() >= $kill_at)
		{
			$self->{act}->($self);
			$killed = 1;
		}
		$self->{load}->feed($self->{writers});
		$self->_drain if !$killed;
		$self->_take_answers;
	}
	return;
}

# True as long as a session has something to enqueue.
sub _is_writing { return any { $_->{transaction} || $_->{left} > 0 } @{ $_[0]->{writers} }; }

# Have the server up, whatever has been done to it.  One that crashes ends all its sessions first.
sub _recover
{
	my ($self) = @_;
	my $session;

	if ($self->{crashes} && !FlexApi::wait_until(sub { !eval { $self->{control}->value('SELECT 1') } }, $PATIENCE))
	{
		die 'the server has not crashed';
	}
	$self->{node}->start if !defined $self->{node}->{_pid};
	FlexApi::wait_until(
		sub {
			$session = eval { FlexApi::Session->new($self->{node}) };
			return $session && !$session->{first}->{closed} && eval { $session->value('SELECT 1') };
		}, $PATIENCE) or die 'the server does not come up';
	return $session;
}

# Send all that may be sent.  Back-off and holds are waited for by nobody: they
# are set to now, as whoever watches the clock might.
sub _finish
{
	my ($self, $session) = @_;
	my $begin = time();

	for (;;)
	{
		my $left = $session->value("SELECT count(*) FROM flex_outbox WHERE id > $self->{last_id} "
			. "AND (state = 'sending' OR callback_at IS NOT NULL OR state = 'pending' AND run_at < now() + '1 day')");
		return if !$left || time() > $begin + $PATIENCE;
		$session->value('DELETE FROM flex_outbox_holds');
		$session->value("UPDATE flex_outbox_later SET due_at = now() WHERE due_at > now() AND due_at < now() + '1 day'");
		# A worker that did not see the sender die finds its requests after half a minute; a drain at once.
		if ($self->{node_name} eq 'plain' || $self->{drainers_wanted} || time() > $begin + 5)
		{
			$session->value('CALL flex_outbox_drain()');
		}
		else
		{
			$session->value('SELECT flex_outbox_wake()');
			sleep 0.01;
		}
	}
}

# The outbox's rows of this round: tag => row.
sub _rows
{
	my ($self, $session) = @_;
	my $result = $session->query(
		"SELECT context->>'tag', state, request_id, response->>'sid', coalesce(runs, 0), unique_key "
		. "FROM flex_outbox LEFT JOIN effects USING (id) WHERE id > $self->{last_id}");

	die $result->{error}->{M} if $result->{error};
	return map { my %row; @row{qw(tag state request_id sid effects key)} = @$_; $row{tag} => \%row } @{ $result->{rows} };
}

# Run it.  Returns its figures; those of problems are texts in a list.
sub run
{
	my ($self) = @_;
	my (%figures, %keys, @problems);

	$self->{asynchronous} = rand() < 0.5;
	$self->_set_faults;
	$self->_open_sessions;
	$self->{control} = $self->_session;
	$self->_run_load;
	$self->{simulator}->clear_faults;
	my $session = $self->_recover;
	$self->_finish($session);
	$self->{journal}->read;
	my %rows = $self->_rows($session);
	$keys{ $_->{key} } = 1 foreach grep { $_->{key} } values %rows;
	push @problems, $self->{load}->errors;
	foreach my $request (values %{ $self->{load}->tags })
	{
		my $problem = $self->{journal}->judge($request, $rows{ $request->{tag} },
			$request->{key} && $keys{ $request->{key} }, $self->{asynchronous} && $self->{crashes}, \%figures);
		push @problems, "$request->{tag} ($request->{kind}): $problem" if $problem;
	}
	return (\%figures, @problems);
}

1;
