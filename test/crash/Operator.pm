# Operator: decides on requests while others enqueue and send, and at the end of a round on all
# that nobody else ends.
#
# Before an uncertain request is decided on, the service's journal is asked, as a person would look
# whether it was carried out: one that was is never sent again.
package Operator;

use strict;
use warnings;

use Time::HiRes qw(time);

# journal, load, simulator, last_id: requests up to this are of earlier rounds.
sub new
{
	my ($class, %with) = @_;

	return bless { %with, told => {} }, $class;
}

# What may be decided on a request that is in a state: how often while others enqueue, and at the end.
# Those that the service has carried out are decided on if they are uncertain.
my %DECISIONS = (
	'pending' => [ [ 'cancel', 0.02, 0 ] ],
	'pending, later' => [ [ 'cancel', 0.2, 1 ] ],
	'sending' => [ [ 'cancel', 0.1, 0 ] ],
	'failed' => [ [ 'retry', 0.4, 0.5 ], [ 'cancel', 0.2, 0 ] ],
	'cancelled' => [ [ 'retry', 0.3, 0.3 ] ],
	'uncertain' => [ [ 'retry', 0.5, 0.5 ], [ 'cancel', 0.3, 1 ] ],
	'uncertain, done' => [ [ 'confirm', 0.5, 0.5 ], [ 'cancel', 0.3, 1 ] ]);

# The query that shows what may be decided on.
sub look
{
	my ($self) = @_;

	return "SELECT id, context ->> 'tag', state, run_at > now() + '1 day' FROM flex_outbox WHERE id > $self->{last_id} "
	  . "AND state <> 'succeeded' AND callback_at IS NULL";
}

# Statements that decide on some of them; '' for none.
sub decide
{
	my ($self, $rows, $at_end) = @_;
	my @sql;

	# What has been sent to it before is in its journal when it has answered.
	$self->{simulator}->get('health');
	$self->{journal}->read;
	$self->{now} = {};
	foreach my $row (@$rows)
	{
		my ($id, $tag, $state, $is_later) = @$row;
		my $is_done = grep { $_->{carried_out} } $self->{journal}->lines($self->{load}->tags->{$tag});
		my $case = $state . ($is_later eq 't' ? ', later' : '') . ($is_done ? ', done' : '');
		my ($decision) = grep { rand() < $_->[ $at_end ? 2 : 1 ] } @{ $DECISIONS{$case} // [] } or next;

		$self->{now}->{$id} = $decision->[0];
		push @sql, "SELECT decide($id, '$decision->[0]', '$state')";
	}
	return join('; ', @sql);
}

# They have been committed.
sub note
{
	my ($self) = @_;

	$self->{told}->{$_}->{ $self->{now}->{$_} } = time() foreach keys %{ $self->{now} };
	return;
}

# When it was told that its last decision of a kind on a request was committed; undef: it was not.
sub told_at { my ($self, $id, $what) = @_; return $self->{told}->{$id}->{$what}; }

1;
