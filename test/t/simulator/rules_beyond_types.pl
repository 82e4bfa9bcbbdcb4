# What the simulator knows of the service beyond its parameters' types: members that it
# answers otherwise than they were sent, and what it refuses for what it says.

use strict;
use warnings;

use FlexApi;
use HTTP::Tiny;
use JSON::PP;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $url = $simulator->url =~ s{//}{//$FlexApi::ACCOUNT:$FlexApi::TOKEN@}r;
my $http = HTTP::Tiny->new;

# Status and decoded body of the answer to a form, or to a GET without one.
sub ask
{
	my ($path, $form) = @_;
	my $answer = $form ? $http->post_form("$url$path", $form) : $http->get("$url$path");
	return ($answer->{status}, decode_json($answer->{content}));
}

sub refuses
{
	my ($path, $form, $message, $name) = @_;
	my ($status, $body) = ask($path, $form);
	return is("$status $body->{message}", "400 $message", $name);
}

my $conversation = 'CH' . 'a' x 32;
my %routing = (worker_sid => 'WK' . 'b' x 32, attributes => { ticket => 17, channelType => 'mine' });
my ($status, $interaction) = ask('/v1/Interactions', {
	Channel => encode_json({ type => 'sms', initiated_by => 'customer', properties => { media_channel_sid => $conversation } }),
	Routing => encode_json({ properties => \%routing }) });
my $channel = $interaction->{channel}{sid};
my $properties = $interaction->{routing}{properties};
my $attributes = decode_json($properties->{attributes});

like(delete $attributes->{flexChannelInviteSid}, qr/^KG[0-9a-f]{32}$/, 'an interaction has an invite');
is_deeply($attributes, { ticket => 17, channelType => 'sms', conversationSid => $conversation, flexInteractionSid => $interaction->{sid},
	flexInteractionChannelSid => $channel, initiatedBy => 'customer', direction => 'inbound' },
	'its attributes are a string that holds what was sent and what the service adds');
is_deeply([ @$properties{qw(worker_sid routing_target)} ], [ undef, $routing{worker_sid} ], 'the worker that was asked for has another name');

my $channel_path = "/v1/Interactions/$interaction->{sid}/Channels/$channel";
my (undef, $invite) = ask("$channel_path/Invites", { Routing => '{"properties": {}}' });
is_deeply(decode_json($invite->{routing}{properties}{attributes}), { channelType => 'sms', conversationSid => $conversation,
	flexInteractionSid => $interaction->{sid}, flexInteractionChannelSid => $channel, flexChannelInviteSid => $invite->{sid} },
	"an invite's attributes are of the same conversation");

my $text = encode_json(['x']);
my $held = JSON::PP->new->allow_nonref->encode('{"type":"web"}');
refuses('/v1/Interactions', { Channel => $_ }, 'Invalid value for parameter Channel: it must be a JSON object', "Channel $_")
  foreach $held, $text, 'null', '1';
refuses('/v1/Interactions', { Channel => '{"type":"web"}', Routing => $held },
	'Invalid value for parameter Routing: it must be a JSON object', "Routing $held");

my $needs = 'Routing status closed is required when Status is inactive';
refuses($channel_path, { Status => 'inactive', %$_ }, $needs, 'inactive with ' . encode_json($_)) foreach {}, { Routing => '{}' }, { Routing => '{"status":"open"}' };
($status, my $inactive) = ask($channel_path, { Status => 'inactive', Routing => '{"status":"closed"}' });
is("$status $inactive->{status}", '200 inactive', "a channel becomes inactive with its tasks' end");

my %flow = (FriendlyName => 'x', ChatServiceSid => 'IS' . '0' x 32, ChannelType => 'web');
my %task = (IntegrationType => 'task', 'Integration.WorkspaceSid' => 'WS' . '0' x 32, 'Integration.WorkflowSid' => 'WW' . '0' x 32);
refuses('/v1/FlexFlows', { %flow, IntegrationType => $_->[0] }, "$_->[1] is required when IntegrationType is $_->[0]", "a flow of type $_->[0]")
  foreach [ studio => 'Integration.FlowSid' ], [ external => 'Integration.Url' ], [ task => 'Integration.WorkspaceSid' ];
refuses('/v1/FlexFlows', { %flow, 'Integration.RetryCount' => $_ },
	'Invalid value for parameter Integration.RetryCount: it must be from 0 to 3', "$_ retries") foreach -1, 4;

foreach my $kind ([ {}, 'studio' ], [ \%task, 'task' ])
{
	my (undef, $made) = ask('/v1/FlexFlows', { %flow, %{ $kind->[0] } });
	my (undef, $chat) = ask('/v1/Channels', { FlexFlowSid => $made->{sid}, Identity => 'x', ChatUserFriendlyName => 'x', ChatFriendlyName => 'x' });
	is($made->{integration_type}, $kind->[1], "a flow of type $kind->[1]");
	is(defined $chat->{task_sid} ? 'a task' : 'none', $kind->[1] eq 'task' ? 'a task' : 'none', '... and the task of its chat');
}

$simulator->post('settings', { public_urls => JSON::PP::true });
my (undef, $page) = ask('/v1/FlexFlows?PageSize=1');
like($page->{meta}{next_page_url}, qr{^https://flex-api\.twilio\.com/v1/FlexFlows\?PageSize=1&Page=1&PageToken=}, "URLs name the service's plain host");

done_testing;
