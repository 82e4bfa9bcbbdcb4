# Order: whether the requests with an ordering key were sent as the outbox promises.
#
# A request here is a hash: request (of Load), row (of the outbox, or undef), lines (of the
# service's journal), retried_at (when a session was told that it had been put back; undef: not).
# Times are the wall clock's, which the service and the server have in common.
package Order;

use strict;
use warnings;

# What is wrong with the requests of one key, as texts.
sub problems
{
	my (@all) = grep { $_->{row} } @_;

	return (_beside_another(@all), _before_an_end(@all), _out_of_place(@all));
}

sub _tag { return $_[0]->{request}->{tag}; }
sub _begun_at { my ($one) = @_; return @{ $one->{lines} } ? $one->{lines}->[0]->{at} : undef; }

# Two that the service had at once.  An answer that a fault delays is not given before that time.
# What somebody has decided on since is nobody's any more: its sender has gone, and may have left it under way.
sub _beside_another
{
	my (@all) = @_;
	my @lines = sort { $a->{line}->{n} <=> $b->{line}->{n} }
	  map { my $one = $_; map { { of => $one, line => $_ } } @{ $one->{lines} } } @all;
	my @problems;

	foreach my $i (1 .. $#lines)
	{
		my ($before, $after) = @lines[ $i - 1, $i ];
		next if $before->{of} == $after->{of} || grep { $_->{at} >= $before->{line}->{at} } @{ $before->{of}->{row}->{decisions} };
		push @problems, _tag($after->{of}) . ' was sent while ' . _tag($before->{of}) . ' was under way'
		  if $after->{line}->{at} < $before->{line}->{at} + $before->{line}->{delay};
	}
	return @problems;
}

# True when one was committed, or enqueued, before another was enqueued.
sub _is_before
{
	my ($one, $other) = @_;
	my ($first, $second) = map { $_->{request} } $one, $other;

	return 0 if $one->{row}->{id} > $other->{row}->{id};
	return 1 if $first->{in} == $second->{in};
	return $first->{told} eq 'committed' && $first->{in}->{told_at} < $second->{in}->{sent_at};
}

# When a request came to its first end, with its callback; if that was put back since, when it was sent
# for the last time before.
sub _ended_at
{
	my ($one) = @_;
	my $row = $one->{row};
	my ($decision) = grep { "$_->{what} $_->{was}" !~ /^retry (?:uncertain|pending)$/ } @{ $row->{decisions} };
	my @known;

	if ($decision && $decision->{was} =~ /^(?:failed|cancelled)$/)
	{
		@known = map { $_->{at} } grep { $_->{at} < $decision->{at} } @{ $one->{lines} };
	}
	elsif ($decision && $decision->{what} eq 'cancel') { @known = ($decision->{at}); }
	else { @known = grep { defined } ($decision ? $decision->{at} : $row->{finished_at}), $row->{effect_at}; }
	return (sort { $b <=> $a } @known)[0];
}

# Those that were sent before one before them had come to its end.
sub _before_an_end
{
	my (@all) = @_;
	my @problems;

	foreach my $one (@all)
	{
		my $ended_at = _ended_at($one) // next;
		push @problems, map { _tag($_) . ' was sent before the end of ' . _tag($one) }
		  grep { $_ != $one && @{ $_->{lines} } && _is_before($one, $_) && _begun_at($_) < $ended_at } @all;
	}
	return @problems;
}

# One that had ended and was put back goes before those of higher ids that have not been sent: only one can
# have been claimed before.
sub _out_of_place
{
	my (@all) = @_;
	my @problems;

	foreach my $one (grep { $_->{retried_at} } @all)
	{
		my ($decision) = grep { $_->{what} eq 'retry' } reverse @{ $one->{row}->{decisions} };
		my ($again) = grep { $_->{at} > $decision->{at} } @{ $one->{lines} };
		next if !$again || $decision->{was} !~ /^(?:failed|cancelled)$/;
		my @between = grep {
			my $begun_at = _begun_at($_);
			$_->{row}->{id} > $one->{row}->{id} && $begun_at && $begun_at > $one->{retried_at} && $begun_at < $again->{at}
		} @all;
		push @problems, _tag($one) . ' was put back, and sent after ' . join(', ', map { _tag($_) } @between) if @between > 1;
	}
	return @problems;
}

1;
