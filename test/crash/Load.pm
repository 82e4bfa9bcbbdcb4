# Load: what is enqueued in a round of the crash test, and what its sessions were told.
#
# Each request carries a tag of its own, by which the service's journal finds it
# again: a name that is sent, or the SID of a flow that no other request names.
package Load;

use strict;
use warnings;

use Time::HiRes qw(time);

my $ADDRESS = 'IG' . 'a' x 32;
my $SERVICE = 'IS' . 'b' x 32;

# flows: SIDs that requests may fetch and delete, each once.
sub new
{
	my ($class, %with) = @_;

	return bless { %with, tags => {}, count => 0, errors => [] }, $class;
}

# All tags of the round: tag => { told, kind, key, later }.  told is what its session
# knows: 'committed', 'rolled back', or 'doubt' when the answer did not come.
sub tags { return $_[0]->{tags}; }

# Errors that no session should have had.
sub errors { return @{ $_[0]->{errors} }; }

# A statement that enqueues another request; notes its tag in the list.
sub _request
{
	my ($self, $list) = @_;
	my $tag = "r$self->{round}-" . ++$self->{count};
	my $dice = rand;
	my $request = { tag => $tag, kind => 'POST', told => 'doubt' };
	my ($operation, $arguments);

	if ($dice < 0.15 && @{ $self->{flows} })
	{
		$request->{kind} = $dice < 0.08 ? 'DELETE' : 'GET';
		$request->{sid} = shift @{ $self->{flows} };
		$operation = $request->{kind} eq 'GET' ? 'flex_flow_fetch' : 'flex_flow_delete';
		$arguments = qq({"sid":"$request->{sid}"});
	}
	elsif ($dice < 0.45)
	{
		$operation = 'flex_flow_create';
		$arguments = qq({"friendly_name":"$tag","chat_service_sid":"$SERVICE","channel_type":"web"});
	}
	else
	{
		$operation = 'flex_webchat_create';
		$arguments = qq({"address_sid":"$ADDRESS","identity":"$tag"});
	}
	$request->{key} = "$self->{round}/" . int(rand 8) if rand() < 0.15;
	$request->{later} = 1 if rand() < 0.03;
	$request->{called} = 1 if rand() < 0.5;
	$self->{tags}->{$tag} = $request;
	push @$list, $request;
	return sprintf(q{SELECT flex_enqueue('%s', '%s', '{"tag":"%s"}'%s%s%s, priority => %d)},
		$operation, $arguments, $tag,
		$request->{called} ? ", on_success => 'note_end', on_failure => 'note_end'" : '',
		$request->{later} ? ", run_at => now() + '1 year'" : '',
		$request->{key} ? ", unique_key => '$request->{key}'" : '',
		int(rand 2));
}

# A transaction as one query, with the requests that become of its end what it says.
sub _transaction
{
	my ($self) = @_;
	my (@all, @undone);
	my @sql = map { $self->_request(\@all) } 1 .. 1 + int(rand 4);
	my $dice = rand;

	push @sql, 'SAVEPOINT s', $self->_request(\@undone), 'ROLLBACK TO s' if rand() < 0.1;
	push @sql, $dice < 0.15 ? 'ROLLBACK' : $dice < 0.25 ? ('SELECT 1 / 0', 'COMMIT') : 'COMMIT';
	$_->{told} = 'rolled back' foreach @undone, $dice < 0.25 ? @all : ();
	return { sql => join('; ', 'BEGIN', @sql), requests => $dice < 0.25 ? [] : \@all };
}

# Give each session that is free its next transaction, if its pause is over.
sub feed
{
	my ($self, $writers) = @_;

	foreach my $writer (grep { !$_->{transaction} && $_->{left} > 0 && $_->{pause} <= time() } @$writers)
	{
		$writer->{transaction} = $self->_transaction;
		$writer->{left}--;
		$writer->{session}->send_query(($writer->{aborted} ? 'ROLLBACK; ' : '') . $writer->{transaction}->{sql});
	}
	return;
}

# The answer to a session's transaction; its end leaves its requests in doubt.  An error
# that comes neither from the division nor from a stop is one too many.
sub note
{
	my ($self, $writer, $result) = @_;
	my $transaction = delete $writer->{transaction};

	if (!$result->{error} && !$result->{closed})
	{
		$_->{told} = 'committed' foreach @{ $transaction->{requests} };
	}
	push @{ $self->{errors} }, "$result->{error}->{C} $result->{error}->{M}"
	  if $result->{error} && $result->{error}->{C} !~ /^(22012|57P0[123])$/;
	$writer->{aborted} = $result->{error};
	$writer->{left} = 0 if $result->{closed};
	$writer->{pause} = time() + rand 0.02;
	return;
}

1;
