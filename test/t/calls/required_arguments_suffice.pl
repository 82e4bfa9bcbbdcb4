# Each function with its required arguments alone passes the simulator's own
# checks, on resources that exist; and what it returns is what the service has:
# for each GET, the row is compared with what another client is answered.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../../perl", "$FindBin::RealBin/../../reference";
use FlexApi;
use FlexCases;
use FlexFacts;
use HTTP::Tiny;
use JSON::PP;
use Test::More;

my $facts = FlexFacts->new;
# A channel stays as it was made: what is asked for twice is the same.
my $simulator = FlexApi::Simulator->new('--setup-ms', 3600000);
my $node = FlexApi::node('minimal', $simulator);
$node->safe_psql('postgres', "CREATE DATABASE facts ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0");
$node->safe_psql('facts', 'CREATE EXTENSION flex_api');
my $session = FlexApi::Session->new($node, database => 'facts');
$session->value("SET TIME ZONE 'UTC'");

# What a later call may stand on, by the path of its collection: the key of a resource that was made.
my %made;
my %called;
my $serial = 0;

# Resources that an argument names which is not in the path.
my ($PLUGINS, $QUALITY) = ('/v1/PluginService', '/v1/Insights/QualityManagement');
my %collection_of = (flex_flow_sid => '/v1/FlexFlows', plugin_sid => "$PLUGINS/Plugins", configuration_id => "$PLUGINS/Configurations",
	category_sid => "$QUALITY/Categories", question_sid => "$QUALITY/Questions", questionnaire_sid => "$QUALITY/Questionnaires");

# Values by argument, where a name alone says what is good.
my %by_name = (
	address_sid => sub { FlexCases::sid('IG') }, unique_name => sub { 'plugin-' . ++$serial }, version => sub { '1.0.' . ++$serial },
	channel => sub { '{"type": "sms", "initiated_by": "customer"}' }, routing => sub { '{"properties": {}}' },
	body => sub { '{"type": "warm", "status": "completed"}' });

# Where the operation says it, too.
my %body_of = (
	flex_configuration_update => sub { qq({"account_sid": "$FlexApi::ACCOUNT"}) },
	flex_user_provision => sub { '{"username": "x", "full_name": "X", "email": "x@example.com", "roles": ["agent"], "worker": {}}' },
	flex_user_deprovision => sub { qq({"flex_user_sid": "$made{'/v4/Instances/{}/Users'}"}) });

# A path without the names in it, which differ between the operations on one resource.
sub nameless { my ($path) = @_; return $path =~ s/\{\w+\}/{}/gr; }

# The operation that makes what is in a collection: a POST to it, where a path leads on from there.  An
# interaction makes its channels itself, and users are provisioned.
my %maker;
my %paths = map { nameless($_->{path}) => 1 } $facts->operations;
foreach my $operation ($facts->operations)
{
	my $collection = nameless($operation->{path});

	$maker{$collection} = $operation if grep { /^\Q$collection\E\/\{\}/ } keys %paths and $operation->{method} eq 'POST' && $collection !~ /\}$/;
}
$maker{'/v4/Instances/{}/Users'} = $facts->operation('flex_user_provision');
$maker{'/v1/Interactions/{}/Channels'} = $facts->operation('flex_interaction_channels_list');

# The collection of the resource that an argument names, where one of the operations makes it.
sub collection_named
{
	my ($operation, $parameter) = @_;
	my ($before) = $parameter->{place} eq 'path' ? $operation->{path} =~ m{^(.*)/\{\Q$parameter->{name}\E\}} : ();
	my ($collection) = grep { defined && $maker{$_} } defined $before ? nameless($before) : undef, $collection_of{ $parameter->{sql} };

	return $collection;
}

# All that is to be made before an operation can be called.
sub needs
{
	my ($operation) = @_;
	return grep { defined } map { collection_named($operation, $_) } grep { $_->{required} eq 't' } $facts->parameters($operation);
}

sub arguments
{
	my ($operation) = @_;
	my $arguments = FlexCases::arguments($facts, $operation, 'minimal');

	foreach my $parameter (grep { exists $arguments->{ $_->{sql} } } $facts->parameters($operation))
	{
		my ($name, $collection) = ($parameter->{sql}, collection_named($operation, $parameter));

		$arguments->{$name} = defined $collection ? $made{$collection} : $by_name{$name} ? $by_name{$name}->() : $arguments->{$name};
	}
	$arguments->{body} = $body_of{ $operation->{function} }->() if $body_of{ $operation->{function} };
	return $arguments;
}

# The answer of the simulator to the same GET of another client.
sub answer_of
{
	my ($path) = @_;
	my $url = $simulator->url;
	$url =~ s{//}{//$FlexApi::ACCOUNT:$FlexApi::TOKEN@};
	return JSON::PP->new->utf8->decode(HTTP::Tiny->new->get("$url$path")->{content});
}

sub check_get
{
	my ($operation, $rows, $request) = @_;
	my $answer = answer_of($request->{path} . ($request->{query} ? "?$request->{query}" : ''));
	my $list = $operation->{list_key} eq '-' ? [$answer] : $answer->{ $operation->{list_key} };
	my $json = JSON::PP->new->utf8->canonical->allow_nonref;
	my @wanted = map { $json->encode(FlexCases::row($facts, $operation->{schema}, $_)) } @$list;

	return is_deeply([ map { $json->encode($json->decode($_->[0])) } @$rows ], \@wanted, "$operation->{function}: the service's rows")
	  && cmp_ok(scalar @wanted, '>', 0, "$operation->{function}: there is one");
}

# Call a function; returns the first row.
sub check
{
	my ($name) = @_;
	my $operation = $facts->operation($name);
	my $columns = $operation->{schema} eq '-' ? 'r::text' : 'to_jsonb(r)';
	my $result;

	$called{$name} = 1;
	$simulator->clear_requests;
	$result = $session->query("SELECT $columns FROM " . $facts->call($operation, arguments($operation)) . ' AS r');
	is($result->{error} ? "$result->{error}->{C} $result->{error}->{M} $result->{error}->{D}" : '', '', "$name succeeds");
	my @requests = $simulator->requests;
	is(scalar @requests, 1, "$name: one request") or return {};
	is($requests[0]{status}, $operation->{success}, "$name: the documents' status");
	check_get($operation, $result->{rows}, $requests[0]) if $operation->{method} eq 'GET';
	return $operation->{schema} eq '-' || $result->{error} ? {} : JSON::PP->new->utf8->decode($result->{rows}[0][0]);
}

# The member of a resource that names it in the path of its own.
sub key_of
{
	my ($collection) = @_;
	my $schema = $maker{$collection}{schema};
	my ($operation) = grep { nameless($_->{path}) =~ /^\Q$collection\E\/\{\}/ } $facts->operations;
	my @words = $operation->{path} =~ /\{(\w+)\}/g;
	my ($parameter) = grep { $_->{name} eq $words[ () = $collection =~ /\{/g ] } $facts->parameters($operation);

	return (grep { $_->{name} eq 'sid' } $facts->members($schema)) ? 'sid' : $parameter->{sql};
}

# A configuration's plugins and an active questionnaire need more than a minimum.
sub make_what_lists_show
{
	my $version = $session->value("SELECT sid FROM flex_plugin_version_create('$made{\"$PLUGINS/Plugins\"}', '2.0', 'https://example.com/x.js')");
	$made{"$PLUGINS/Configurations"} = $session->value("SELECT sid FROM flex_plugin_configuration_create('with a plugin',
		plugins => ARRAY['{\"plugin_version\": \"$version\", \"phase\": 3}'])");
	return $session->value("SELECT questionnaire_sid FROM flex_insights_questionnaire_create('active', active => true)");
}

# True for what deletes or ends a resource.
sub ends
{
	my ($operation) = @_;
	return $operation->{method} eq 'DELETE' || $operation->{path} =~ m{/Archive$} || $operation->{function} eq 'flex_interaction_channel_update';
}

# What others stand on first; then all the others; what deletes or ends comes last, in the reverse order.
my @order;
while (my ($collection) = grep { my $one = $_; !exists $made{$one} && !grep { !exists $made{$_} } needs($maker{$one}) } sort keys %maker)
{
	$made{$collection} = check($maker{$collection}{function})->{ key_of($collection) };
	push @order, $collection;
}
is_deeply([ sort @order ], [ sort keys %maker ], 'what operations make was made');
make_what_lists_show();
my %is_maker = map { $_->{function} => 1 } values %maker;
my @others = grep { !$is_maker{ $_->{function} } } $facts->operations;
check($_->{function}) foreach grep { !ends($_) } @others;
foreach my $collection (reverse @order)
{
	check($_->{function}) foreach grep { ends($_) && nameless($_->{path}) =~ /^\Q$collection\E\/\{\}(\/Archive)?$/ } @others;
}
is_deeply([ grep { !$called{$_} } map { $_->{function} } $facts->operations ], [], 'all operations were called');

$node->stop;
done_testing;
