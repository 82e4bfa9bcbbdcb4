# Round: one round of the crash test.  Sessions enqueue, senders send, somebody is
# killed, and at the end the outbox is compared with the service's journal.
package Round;

use strict;
use warnings;

use FlexApi;
use IO::Select;
use List::Util qw(any);
use Load;
use Operator;
use Order;
use Time::HiRes qw(sleep time);

my $PATIENCE = 60;

# node, simulator, journal, kind (of Kinds), number, flows, snapshot: a session of this node that keeps one over
# some rounds, in a hash, as session.
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
		{ status => 503, method => 'POST', times => 2 },
		{ stall_after => 0, times => 1 });

	$_->{skip} = int rand 40 foreach @faults;
	$self->{simulator}->post('faults', [ grep { rand() < 0.4 } @faults ]);
	$self->{simulator}->post('faults', { delay_ms => $delay, times => -1 }) if $delay;
	return;
}

# A session with a setting of its own, which need not load the library while the clock runs.
sub _session
{
	my ($self, $user, @settings) = @_;
	my $session = FlexApi::Session->new($self->{node}, $user ? (user => $user) : ());

	$session->value($_) foreach 'SELECT count(*) FROM flex_operations()', map { "SET $_" } @settings;
	return $session;
}

# Have a session hold an old snapshot, or hold one no longer.
sub _hold_snapshot
{
	my ($self) = @_;
	my $held = $self->{snapshot};

	delete $held->{session} if rand() < 0.3;
	if (!$held->{session} && rand() < 0.4)
	{
		$held->{session} = $self->_session;
		$held->{session}->value($_) foreach 'BEGIN ISOLATION LEVEL REPEATABLE READ', 'SELECT count(*) FROM flex_outbox';
	}
	$self->{figures}->{snapshot}++ if $held->{session};
	return;
}

# The sessions: each is given what its function next returns, if that is something, when it has answered
# and its pause is over.  note is told what it has answered.  Both get the client, which no function
# refers to: so its session ends with the round.
sub _open_sessions
{
	my ($self) = @_;
	my $commit = 'synchronous_commit = ' . ($self->{asynchronous} ? 'off' : 'on');

	$self->{control} = $self->_session;
	$self->{last_id} = $self->{control}->value('SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM flex_outbox_id_seq');
	$self->{operator} = Operator->new(map { $_ => $self->{$_} } qw(journal load simulator last_id));
	$self->{drainers} = [ map { $self->_drainer($commit) } 1 .. $self->{drainers_wanted} ];
	$self->{clients} = [ (map { $self->_writer($_, $commit) } @Load::WRITERS), @{ $self->{drainers} }, $self->_decider($commit) ];
	return;
}

sub _writer
{
	my ($self, $kind, $commit) = @_;
	my $load = $self->{load};

	return {
		%$kind, session => $self->_session($kind->{user}, $commit), pause => 0.02, left => $kind->{transactions},
		next => sub { my ($writer) = @_; return $writer->{left}-- > 0 ? $load->next_transaction($writer) : undef; },
		note => sub { $load->note(@_); } };
}

# It drains again and again, but not so that nobody else gets a processor.
sub _drainer
{
	my ($self, $commit) = @_;
	my $session = $self->_session(undef, $commit);

	return { session => $session, pid => $session->pid, pause => 0.02, next => sub { return 'CALL flex_outbox_drain()'; }, note => sub { } };
}

# It looks, and decides on what it has seen.
sub _decider
{
	my ($self, $commit) = @_;
	my ($load, $operator) = @$self{qw(load operator)};
	my $decisions;

	return {
		session => $self->_session(undef, $commit), pause => 0.04,
		next => sub { return $decisions || $operator->look; },
		note => sub {
			my (undef, $result) = @_;
			$load->note_error($result);
			return if $result->{error} || $result->{closed};
			$operator->note if $decisions;
			$decisions = $decisions ? undef : $operator->decide($result->{rows}, 0);
		} };
}

# Give each session that is free what it does next.
sub _feed
{
	my ($self) = @_;

	foreach my $client (grep { !$_->{busy} && !$_->{closed} && ($_->{rests_until} // 0) <= time() } @{ $self->{clients} })
	{
		my $sql = $client->{next}->($client) // next;
		$client->{busy} = 1;
		$client->{session}->send_query($sql);
	}
	return;
}

# Take the answers that have come.
sub _take_answers
{
	my ($self) = @_;
	my %by_socket = map { $_->{session}->{socket} => $_ } grep { $_->{busy} } @{ $self->{clients} };

	foreach my $socket (IO::Select->new(map { $_->{session}->{socket} } values %by_socket)->can_read(0.002))
	{
		my $client = $by_socket{$socket};
		my $result = $client->{session}->receive;

		@$client{qw(busy closed rests_until)} = (0, $result->{closed}, time() + rand $client->{pause});
		$client->{note}->($client, $result);
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
	my $kill_after = rand 120; # requests
	my $kill_at;
	my $end = time() + $PATIENCE;

	for (;;)
	{
		die 'the load does not end' if time() > $end;
		$self->_feed;
		$kill_at //= time() + rand 0.1 if keys %{ $self->{load}->tags } >= $kill_after || !$self->_is_writing;
		last if defined $kill_at && time() >= $kill_at;
		$self->_take_answers;
	}
	$self->{act}->($self);
	$_->{next} = sub { } foreach @{ $self->{drainers} };
	while ($self->_is_writing)
	{
		die 'the load does not end' if time() > $end;
		$self->_feed;
		$self->_take_answers;
	}
	return;
}

# True as long as a session has something to enqueue.
sub _is_writing { return any { !$_->{closed} && ($_->{busy} || $_->{left} > 0) } grep { exists $_->{left} } @{ $_[0]->{clients} }; }

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
		}, $PATIENCE) or die "the server does not come up: $@" . substr(FlexApi::content($self->{node}->logfile), -2000);
	return $session;
}

# Send all that may be sent.  Back-off and holds are waited for by nobody: they
# are set to now, as whoever watches the clock might.
sub _send_all
{
	my ($self, $session) = @_;
	my $begin = time();

	for (;;)
	{
		my $left = $session->value("SELECT count(*) FROM flex_outbox WHERE id > $self->{last_id} AND (state = 'sending' "
			. "OR callback_at IS NOT NULL OR state = 'pending' AND waits_for IS NULL AND run_at < now() + '1 day')");
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

# Have all come to an end: what is sent no more without a decision gets one.
sub _finish
{
	my ($self, $session) = @_;

	for (;;)
	{
		$self->_send_all($session);
		my $decisions = $self->{operator}->decide($session->query($self->{operator}->look)->{rows}, 1) or return;
		$session->value($decisions);
		$self->{operator}->note;
	}
}

# The outbox's rows of this round: tag => row.
sub _rows
{
	my ($self, $session) = @_;
	my @columns = qw(id tag state request_id sid key finished_at is_deleted has_ticket effects effect_at decisions);
	my $result = $session->query('SELECT ' . join(', ', @columns) . " FROM judged WHERE id > $self->{last_id}");
	my %rows;

	die $result->{error}->{M} if $result->{error};
	foreach (@{ $result->{rows} })
	{
		my %row;
		@row{@columns} = @$_;
		$row{$_} = $row{$_} eq 't' foreach qw(is_deleted has_ticket);
		$row{decisions} = [ map { my %decision; @decision{qw(what was at)} = split / /; \%decision } split /,/, $row{decisions} // '' ];
		$rows{ $row{tag} } = \%row;
	}
	return %rows;
}

# What is wrong with requests that have an ordering key.
sub _judge_order
{
	my ($self, %rows) = @_;
	my %by_key;

	foreach my $request (grep { $_->{ordered} && $rows{ $_->{tag} } } values %{ $self->{load}->tags })
	{
		my $row = $rows{ $request->{tag} };
		push @{ $by_key{ $request->{ordered} } }, {
			request => $request, row => $row, lines => [ $self->{journal}->lines($request) ],
			retried_at => $self->{operator}->told_at($row->{id}, 'retry') };
	}
	return map { Order::problems(@$_) } values %by_key;
}

# Run it.  Returns its figures; those of problems are texts in a list.
sub run
{
	my ($self) = @_;
	my $figures = $self->{figures} = {};
	my %keys;

	$self->{asynchronous} = rand() < 0.5;
	$self->_set_faults;
	$self->_hold_snapshot;
	$self->_open_sessions;
	$self->_run_load;
	$self->{simulator}->clear_faults;
	my $session = $self->_recover;
	delete $self->{snapshot}->{session} if !eval { $self->{snapshot}->{session}->value('SELECT 1') };
	$self->_finish($session);
	$self->{journal}->read;
	my %rows = $self->_rows($session);
	$keys{ $_->{key} } = 1 foreach grep { $_->{key} } values %rows;
	my @problems = $self->_judge_order(%rows);
	$figures->{'out of order'} = @problems;
	push @problems, $self->{load}->errors;
	foreach my $request (values %{ $self->{load}->tags })
	{
		my $problem = $self->{journal}->judge($request, $rows{ $request->{tag} },
			$request->{unique} && $keys{ $request->{unique} }, $self->{asynchronous} && $self->{crashes}, $figures);
		push @problems, "$request->{tag} ($request->{kind}): $problem" if $problem;
	}
	return ($figures, @problems);
}

1;
