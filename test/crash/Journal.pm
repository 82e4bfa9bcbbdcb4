# Journal: what the service did, request by request, joined with what the outbox says.
package Journal;

use strict;
use warnings;

use JSON::PP;

sub new
{
	my ($class, $path) = @_;

	open(my $file, '<', $path) or die "$path: $!";
	return bless { file => $file, lines => {}, rest => '' }, $class;
}

# Read what has been written since the last time.
sub read
{
	my ($self) = @_;

	seek($self->{file}, 0, 1);
	local $/;
	my $text = $self->{rest} . (readline($self->{file}) // '');
	$self->{rest} = $text =~ s/([^\n]*)\z// ? $1 : '';
	foreach my $line (map { decode_json($_) } split /\n/, $text)
	{
		my $mark = $line->{form}->{Identity} // $line->{form}->{FriendlyName} // ($line->{path} =~ m{/(FO\w+)$})[0];
		$line->{at} = $line->{at_us} / 1e6;
		$line->{delay} = ($line->{delay_us} // 0) / 1e6;
		push @{ $self->{lines}->{$mark} }, $line if defined $mark;
	}
	return;
}

# The lines of a request.
sub lines
{
	my ($self, $request) = @_;

	return @{ $self->{lines}->{ $request->{sid} // $request->{tag} } // [] };
}

# What is wrong with a request; row: its row of the outbox, or undef; may_forget: the
# server has crashed and the commit was asynchronous.  Counts into the figures.
sub judge
{
	my ($self, $request, $row, $key_holder, $may_forget, $figures) = @_;
	my @lines = $self->lines($request);
	my ($first) = grep { $lines[$_]->{carried_out} } 0 .. $#lines;
	my $carried_out = defined $first;

	if ($request->{kind} eq 'POST' && $carried_out && $first < $#lines)
	{
		$figures->{doubled}++;
		return 'sent again after it was carried out';
	}
	return _judge_absent($request, \@lines, $key_holder, $may_forget, $figures) unless $row;
	if ($request->{told} eq 'rolled back')
	{
		$figures->{'not undone'}++;
		return 'rolled back, and in the outbox';
	}
	_count($request, $row, $carried_out, $figures);
	return _judge_effects($request, $row) // _judge_row($request, $row, \@lines, $carried_out);
}

sub _count
{
	my ($request, $row, $carried_out, $figures) = @_;
	my $was_uncertain = grep { $_->{was} eq 'uncertain' } @{ $row->{decisions} };

	$figures->{$_}++ foreach 'requests', $row->{state};
	$figures->{ordered}++ if $request->{ordered};
	$figures->{deleted}++ if $row->{is_deleted};
	$figures->{decided} += @{ $row->{decisions} };
	$figures->{uncertain}++ if $was_uncertain;
	$figures->{'of it done'}++ if $was_uncertain && $carried_out;
	return;
}

sub _judge_absent
{
	my ($request, $lines, $key_holder, $may_forget, $figures) = @_;

	if (@$lines)
	{
		$figures->{ $request->{told} eq 'committed' ? 'lost' : 'not undone' }++;
		return "$request->{told}, not in the outbox, and sent";
	}
	return if $request->{told} ne 'committed';
	if ($request->{unique} && $key_holder)
	{
		$figures->{'same key'}++;
		return;
	}
	$figures->{requests}++;
	$figures->{ $may_forget ? 'not durable' : 'lost' }++;
	return if $may_forget;
	return 'committed, and not in the outbox';
}

# A callback runs with each end, but for those that an operator has set.
sub _judge_effects
{
	my ($request, $row) = @_;
	my $ends = grep { /^(?:succeeded|failed|uncertain)$/ } $row->{state}, map { $_->{was} } @{ $row->{decisions} };
	my $expected = $request->{called} ? $ends : 0;

	return if $row->{effects} == $expected;
	return "its callback had an effect $row->{effects} times, not $expected";
}

sub _judge_row
{
	my ($request, $row, $lines, $carried_out) = @_;
	my $state = $row->{state};
	my ($decision) = reverse @{ $row->{decisions} };
	my $was_uncertain = grep { $_->{was} eq 'uncertain' } @{ $row->{decisions} };

	return 'deleted, and something refers to it' if $row->{is_deleted} && $row->{has_ticket};
	return "deleted, and $state" if $row->{is_deleted} && $state !~ /^(?:succeeded|failed|cancelled)$/;
	return 'decided on while it was sent' if grep { $_->{was} eq 'sending' } @{ $row->{decisions} };
	return 'sent before its time' if $request->{later} && @$lines;
	return 'uncertain, and may be repeated' if $was_uncertain && $request->{kind} ne 'POST';
	return 'not finished' if $state =~ /^(?:pending|sending|uncertain)$/;
	if ($state eq 'cancelled')
	{
		return 'cancelled by nobody' if !$decision || $decision->{what} ne 'cancel';
		return 'cancelled, and sent' if grep { $_->{at} > $decision->{at} } @$lines;
		return 'cancelled while it was pending, and carried out' if $carried_out && !$was_uncertain && $request->{kind} eq 'POST';
		return;
	}
	if ($state eq 'failed') { return $carried_out ? 'failed, and carried out' : @$lines ? undef : 'failed, and never sent'; }
	return "state $state" if $state ne 'succeeded';
	return 'succeeded, and not carried out' if !$carried_out;
	return 'has another SID' if $request->{kind} eq 'GET' && ($row->{sid} // '') ne $request->{sid};
	return if $request->{kind} eq 'DELETE' || $decision && $decision->{what} eq 'confirm';
	return 'has an answer that was not given'
	  if !grep { $_->{carried_out} && $_->{request_id} eq ($row->{request_id} // '') } @$lines;
	return;
}

1;
