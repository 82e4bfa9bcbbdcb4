# A member of the wrong type is an error that names it, for every member of every
# resource; an answer that is no object, and a page without rows, are errors too.
# After a POST that error has the resource's own SID, and no other's.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../../perl", "$FindBin::RealBin/../../reference";
use FlexApi;
use FlexCases;
use FlexFacts qw(json_text);
use Test::More;

my $facts = FlexFacts->new;
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('members', $simulator);
my $session = FlexApi::Session->new($node);

# What a member of a type cannot be; jsonb takes whatever there is.
my %WRONG = (
	text => [qw(1 -1.5 true [] {} ["x"])],
	timestamptz => [qw(1 true [] {} "" "yesterday" "2016-13-01T00:00:00Z" "2016-02-30T00:00:00Z" "2016-08-01")],
	boolean => [qw(1 0 "true" "" [] {})],
	integer => [qw("1" true 1.5 2147483648 -2147483649 [] {} "")]);

sub sql_type
{
	my ($member) = @_;

	return 'jsonb' if $member->{type} =~ /^(any|array|object)$/;
	return $member->{type} if $member->{type} ne 'string';
	return $member->{format} eq 'date-time' ? 'timestamptz' : 'text';
}

# The error of a call that is answered with a text.
sub answered
{
	my ($operation, $text) = @_;

	$simulator->clear_faults;
	$simulator->post('faults', { status => $operation->{success} + 0, body => $text });
	return $session->query('SELECT FROM ' . $facts->call($operation, FlexCases::arguments($facts, $operation, 'minimal')))->{error};
}

sub whole
{
	my ($operation, $body) = @_;

	return json_text($body) if $operation->{list_key} eq '-';
	return json_text({ $operation->{list_key} => [ {}, $body ], meta => { key => $operation->{list_key} } });
}

sub check_member
{
	my ($operation, $member) = @_;

	foreach my $value (@{ $WRONG{ sql_type($member) } // [] })
	{
		my $body = FlexCases::body($facts, $operation->{schema}, 'full');
		$body->{ $member->{name} } = \$value;
		my $error = answered($operation, whole($operation, $body));
		my $name = "$member->{name} $value";
		is($error ? $error->{C} : 'accepted', '08P01', $name) or next;
		like("$error->{M} $error->{D}", qr/"\Q$member->{name}\E"/, "$name: the error names it");
	}
	return;
}

# The operation whose answer a schema is: a list and another one in turns.
my %operation_of;
foreach my $operation ($facts->operations)
{
	my $schema = $operation->{schema};
	next if $schema eq '-';
	$operation_of{$schema} = $operation
	  if !$operation_of{$schema} || ($operation->{list_key} ne '-' && length($schema) % 2);
}

foreach my $schema ($facts->schemas)
{
	my $operation = $operation_of{$schema};
	subtest "$schema, by $operation->{function}" => sub {
		check_member($operation, $_) foreach $facts->members($schema);
		foreach my $text ('', 'null', '[]', '"x"', '1', '{', '<html>')
		{
			my $error = answered($operation, $text);
			is($error ? $error->{C} : 'accepted', '08P01', "answer '$text'");
		}
		done_testing;
	};
}

# The member that names what a schema is of: sid, else the one behind the account's; or as it is here.
my %KEY = ('v2.flex_user' => 'flex_user_sid', map { $_ => undef } qw(v1.configuration v1.insights_assessments_comment v1.insights_session));

sub key_of
{
	my ($schema) = @_;
	my @names = grep { $_ ne 'account_sid' } map { $_->{name} } $facts->members($schema);

	return $KEY{$schema} if exists $KEY{$schema};
	return (grep { $_ eq 'sid' } @names) ? 'sid' : $names[0];
}

foreach my $operation (grep { $_->{method} eq 'POST' && $_->{schema} ne '-' } $facts->operations)
{
	my $schema = $operation->{schema};
	my $key = key_of($schema);
	my ($wrong) = grep { sql_type($_) eq 'text' && $_->{name} ne ($key // '') } $facts->members($schema);
	my $number = 0;
	# Every SID is another, so that one cannot be taken for the other.
	my %body = map { $_->{name} => sprintf($_->{name} eq 'ttid' ? 'flex_interactionwebhook_%026x' : 'XX%032x', ++$number) } $facts->members($schema);
	my $error = answered($operation, json_text({ %body, $wrong->{name} => \'[]' }));
	my ($told) = $error->{D} =~ /, SID (\S+): the service has carried it out\.$/;

	is($told, defined $key ? $body{$key} : undef, "$operation->{function}: the error has the SID of " . ($key // 'nothing')) or diag explain $error;
}

$node->stop;
done_testing;
