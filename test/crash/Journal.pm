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

	$figures->{requests}++ if $row;
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
	$figures->{ $row->{state} }++;
	$figures->{'of it done'}++ if $row->{state} eq 'uncertain' && $carried_out;
	return _judge_row($request, $row, \@lines, $carried_out);
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
	if ($request->{key} && $key_holder)
	{
		$figures->{'same key'}++;
		return;
	}
	$figures->{requests}++;
	$figures->{ $may_forget ? 'forgotten' : 'lost' }++;
	return if $may_forget;
	return 'committed, and not in the outbox';
}

sub _judge_row
{
	my ($request, $row, $lines, $carried_out) = @_;
	my $state = $row->{state};
	my $called = $request->{called} && $state ne 'pending' ? 1 : 0;

	return "its callback had an effect $row->{effects} times, not $called" if $row->{effects} != $called;
	if ($state eq 'pending') { return $request->{later} ? @$lines ? 'sent before its time' : undef : 'not finished'; }
	if ($state eq 'sending') { return 'not finished'; }
	if ($state eq 'uncertain') { return $request->{kind} eq 'POST' ? undef : 'uncertain, and may be repeated'; }
	if ($state eq 'failed') { return $carried_out ? 'failed, and carried out' : @$lines ? undef : 'failed, and never sent'; }
	return "state $state" if $state ne 'succeeded';
	return 'succeeded, and not carried out' if !$carried_out;
	return 'has another SID' if $request->{kind} eq 'GET' && ($row->{sid} // '') ne $request->{sid};
	return if $request->{kind} eq 'DELETE';
	return 'has an answer that was not given'
	  if !grep { $_->{carried_out} && $_->{request_id} eq ($row->{request_id} // '') } @$lines;
	return;
}

1;
