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
my $ORDERING_KEYS = 3;
my $UNIQUE_KEYS = 8;

# How many of the requests are like this.
my %SHARE = (delete => 0.08, get => 0.07, flow => 0.3, called => 0.5, ordered => 0.5, unique => 0.15, later => 0.03, ticket => 0.1);

# The sessions that enqueue: as whom, how many transactions, and how many requests are enqueued
# by one call of flex_enqueue_many(), which is a share of the statements.
our @WRITERS = ((map { { transactions => 12, many => 4, share => 0.1 } } 1 .. 3), { user => 'loud', transactions => 2, many => 30, share => 1 });

# flows: SIDs that requests may fetch and delete, each once.
sub new
{
	my ($class, %with) = @_;

	return bless { %with, tags => {}, count => 0, errors => [] }, $class;
}

# All tags of the round: tag => { tag, kind, sid, in, told, unique, ordered, later, called }.  told is what
# its session knows: 'committed', 'rolled back', or 'doubt' when the answer did not come; in is
# the transaction: { sent_at, told_at }.
sub tags { return $_[0]->{tags}; }

# Errors that no session should have had.
sub errors { return @{ $_[0]->{errors} }; }

# True for a share of the times it is asked.
sub _happens { my ($what) = @_; return rand() < $SHARE{$what}; }

# A new request, noted in the list.
sub _request
{
	my ($self, $list, $operation) = @_;
	my $tag = "r$self->{round}-" . ++$self->{count};
	my $request = { tag => $tag, kind => 'POST', told => 'doubt', operation => $operation };

	$self->{tags}->{$tag} = $request;
	push @$list, $request;
	return $request;
}

# The arguments of a request's operation, as JSON.
sub _arguments
{
	my ($request) = @_;

	return qq({"sid":"$request->{sid}"}) if $request->{sid};
	return qq({"friendly_name":"$request->{tag}","chat_service_sid":"$SERVICE","channel_type":"web"})
	  if $request->{operation} eq 'flex_flow_create';
	return qq({"address_sid":"$ADDRESS","identity":"$request->{tag}"});
}

# A statement that enqueues another request.
sub _enqueue_one
{
	my ($self, $list) = @_;
	my $request = $self->_request($list, _happens('flow') ? 'flex_flow_create' : 'flex_webchat_create');

	foreach my $operation (grep { @{ $self->{flows} } && !$request->{sid} && _happens($_) } qw(delete get))
	{
		$request->{kind} = uc $operation;
		$request->{sid} = shift @{ $self->{flows} };
		$request->{operation} = $operation eq 'get' ? 'flex_flow_fetch' : 'flex_flow_delete';
	}
	$request->{$_} = _happens($_) foreach qw(called later);
	$request->{unique} = "$self->{round}/" . int(rand $UNIQUE_KEYS) if _happens('unique');
	$request->{ordered} = "$self->{round}/" . int(rand $ORDERING_KEYS) if _happens('ordered');
	# A unique key may lead to another request, which may be gone when the ticket refers to it.
	return sprintf(q{%sSELECT flex_enqueue('%s', '%s', '{"tag":"%s"}', priority => %d%s%s%s%s)},
		!$request->{unique} && _happens('ticket') ? 'INSERT INTO tickets ' : '',
		$request->{operation}, _arguments($request), $request->{tag}, int(rand 2),
		$request->{called} ? ", on_success => 'note_end', on_failure => 'note_end'" : '',
		$request->{later} ? ", run_at => now() + '1 year'" : '',
		$request->{unique} ? ", unique_key => '$request->{unique}'" : '',
		$request->{ordered} ? ", ordering_key => '$request->{ordered}'" : '');
}

# A statement that enqueues many.
sub _enqueue_many
{
	my ($self, $list, $count) = @_;
	my @requests = map { $self->_request($list, 'flex_webchat_create') } 1 .. $count;
	my $called = _happens('called');

	$_->{called} = $called foreach @requests;
	return sprintf(q{SELECT flex_enqueue_many('flex_webchat_create', ARRAY['%s']::jsonb[], ARRAY['%s']::jsonb[]%s)},
		join("','", map { _arguments($_) } @requests), join("','", map { qq({"tag":"$_->{tag}"}) } @requests),
		$called ? ", on_success => 'note_end', on_failure => 'note_end'" : '');
}

sub _statement
{
	my ($self, $writer, $list) = @_;

	return rand() < $writer->{share} ? $self->_enqueue_many($list, $writer->{many}) : $self->_enqueue_one($list);
}

# The next transaction of a session that enqueues, as one query, with the requests that
# become of its end what it says.
sub next_transaction
{
	my ($self, $writer) = @_;
	my (@all, @undone);
	my @sql = map { $self->_statement($writer, \@all) } 1 .. 1 + int(rand($writer->{share} == 1 ? 2 : 4));
	my $dice = rand;
	my $undone = $dice < 0.25;

	push @sql, 'SAVEPOINT s', $self->_statement($writer, \@undone), 'ROLLBACK TO s' if rand() < 0.1;
	push @sql, $dice < 0.15 ? 'ROLLBACK' : $undone ? ('SELECT 1 / 0', 'COMMIT') : 'COMMIT';
	$_->{told} = 'rolled back' foreach @undone, $undone ? @all : ();
	$writer->{transaction} = { requests => $undone ? [] : \@all, sent_at => time() };
	$_->{in} = $writer->{transaction} foreach @all;
	return ($writer->{aborted} ? 'ROLLBACK; ' : '') . join('; ', 'BEGIN', @sql);
}

# The answer to a session's transaction; its end leaves its requests in doubt.  An error
# that comes neither from the division nor from a stop is one too many.
sub note
{
	my ($self, $writer, $result) = @_;
	my $transaction = delete $writer->{transaction};

	my $requests = delete $transaction->{requests};

	$transaction->{told_at} = time();
	if (!$result->{error} && !$result->{closed})
	{
		$_->{told} = 'committed' foreach @$requests;
	}
	$self->note_error($result, '22012');
	$writer->{aborted} = $result->{error};
	return;
}

# An error is one too many, unless it comes from a stop of the server, or is expected.
sub note_error
{
	my ($self, $result, $expected) = @_;
	my $error = $result->{error} or return;

	push @{ $self->{errors} }, "$error->{C} $error->{M}" if $error->{C} !~ /^57P0[123]$/ && $error->{C} ne ($expected // '');
	return;
}

1;
