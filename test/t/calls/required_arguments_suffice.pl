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
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('minimal', $simulator);
$node->safe_psql('postgres', "CREATE DATABASE facts ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0");
$node->safe_psql('facts', 'CREATE EXTENSION flex_api');
my $session = FlexApi::Session->new($node, database => 'facts');
$session->value("SET TIME ZONE 'UTC'");

# What every later call may stand on: operation => argument => value.
my %sids;
my $serial = 0;

# Values by argument, where a name alone says which resource is meant.
my %by_name = (
	flex_flow_sid => sub { $sids{flow} }, interaction_sid => sub { $sids{interaction} },
	channel_sid => sub { $sids{interaction_channel} }, plugin_sid => sub { $sids{plugin} },
	configuration_sid => sub { $sids{plugin_configuration} }, configuration_id => sub { $sids{plugin_configuration} },
	category_sid => sub { $sids{category} }, question_sid => sub { $sids{question} },
	questionnaire_sid => sub { $sids{questionnaire} }, assessment_sid => sub { $sids{assessment} },
	address_sid => sub { FlexCases::sid('IG') }, unique_name => sub { 'plugin-' . ++$serial }, version => sub { '1.0.' . ++$serial },
	channel => sub { '{"type": "sms", "initiated_by": "customer"}' }, routing => sub { '{"properties": {}}' },
	body => sub { '{"type": "warm", "status": "completed"}' });

# The argument "sid", by what the path ends with.
my %by_path = (
	'Channels/{Sid}' => 'channel', 'FlexFlows/{Sid}' => 'flow', 'WebChannels/{Sid}' => 'web_channel',
	'Interactions/{Sid}' => 'interaction', 'Interactions/{InteractionSid}/Channels/{Sid}' => 'interaction_channel',
	'Participants/{Sid}' => 'participant', 'Transfers/{Sid}' => 'transfer', 'Plugins/{Sid}' => 'plugin',
	'Versions/{Sid}' => 'version', 'Configurations/{Sid}' => 'plugin_configuration', 'Releases/{Sid}' => 'release');

sub own_sid
{
	my ($operation) = @_;
	(my $path = $operation->{path}) =~ s{/Archive$}{};
	my ($longest) = sort { length $b <=> length $a } grep { $path =~ /\Q$_\E$/ } keys %by_path;
	return $sids{ $by_path{$longest} };
}

sub arguments
{
	my ($operation) = @_;
	my $arguments = FlexCases::arguments($facts, $operation, 'minimal');

	$arguments->{body} = '{"account_sid": "' . $FlexApi::ACCOUNT . '"}' if $operation->{function} =~ /^flex_configuration/;
	foreach my $name (keys %$arguments)
	{
		next if $name eq 'body' && $operation->{function} =~ /^flex_configuration/;
		$arguments->{$name} = $name eq 'sid' ? own_sid($operation) : $by_name{$name} ? $by_name{$name}->() : $arguments->{$name};
	}
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

	$simulator->clear_requests;
	$result = $session->query("SELECT $columns FROM " . $facts->call($operation, arguments($operation)) . ' AS r');
	is($result->{error} ? "$result->{error}->{C} $result->{error}->{M} $result->{error}->{D}" : '', '', "$name succeeds");
	my @requests = $simulator->requests;
	is(scalar @requests, 1, "$name: one request") or return {};
	is($requests[0]{status}, $operation->{success}, "$name: the documents' status");
	check_get($operation, $result->{rows}, $requests[0]) if $operation->{method} eq 'GET';
	return $operation->{schema} eq '-' || $result->{error} ? {} : JSON::PP->new->utf8->decode($result->{rows}[0][0]);
}

# Parents first; then all the others; what deletes or ends comes last.
my @makers = (
	[ flex_flow_create => flow => 'sid' ], [ flex_channel_create => channel => 'sid' ], [ flex_web_channel_create => web_channel => 'sid' ],
	[ flex_interaction_create => interaction => 'sid' ], [ flex_interaction_channels_list => interaction_channel => 'sid' ],
	[ flex_interaction_invite_create => invite => 'sid' ], [ flex_interaction_participant_create => participant => 'sid' ],
	[ flex_interaction_transfer_create => transfer => 'sid' ], [ flex_plugin_create => plugin => 'sid' ],
	[ flex_plugin_version_create => version => 'sid' ], [ flex_plugin_configuration_create => plugin_configuration => 'sid' ],
	[ flex_plugin_release_create => release => 'sid' ], [ flex_insights_category_create => category => 'category_sid' ],
	[ flex_insights_question_create => question => 'question_sid' ],
	[ flex_insights_questionnaire_create => questionnaire => 'questionnaire_sid' ],
	[ flex_insights_assessment_create => assessment => 'assessment_sid' ], [ flex_insights_comment_create => comment => 'assessment_sid' ]);
my @last = qw(flex_insights_question_delete flex_insights_questionnaire_delete flex_insights_category_delete flex_interaction_channel_update
  flex_channel_delete flex_web_channel_delete flex_flow_delete flex_plugin_version_archive flex_plugin_configuration_archive flex_plugin_archive);
my %special = map { $_ => 1 } (map { $_->[0] } @makers), @last;

# A configuration's plugins and an active questionnaire need more than a minimum.
sub make_what_lists_show
{
	my $version = $session->value("SELECT sid FROM flex_plugin_version_create('$sids{plugin}', '2.0', 'https://example.com/x.js')");
	$sids{plugin_configuration} = $session->value("SELECT sid FROM flex_plugin_configuration_create('with a plugin',
		plugins => ARRAY['{\"plugin_version\": \"$version\", \"phase\": 3}'])");
	return $session->value("SELECT questionnaire_sid FROM flex_insights_questionnaire_create('active', active => true)");
}

foreach my $maker (@makers) { $sids{ $maker->[1] } = check($maker->[0])->{ $maker->[2] }; }
make_what_lists_show();
check($_) foreach grep { !$special{$_} } map { $_->{function} } $facts->operations;
check($_) foreach @last;
is(scalar(@makers) + @last + (grep { !$special{ $_->{function} } } $facts->operations), 76, 'all 76 were called');

$node->stop;
done_testing;
