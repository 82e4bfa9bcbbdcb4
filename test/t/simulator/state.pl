# What the accounts have survives the simulator by --save and --load; a state that the
# documents' schemas refuse is refused, with the member's path.

use strict;
use warnings;

use File::Temp;
use FlexApi;
use HTTP::Tiny;
use JSON::PP;
use Test::More;

my $directory = File::Temp->newdir;
my $http = HTTP::Tiny->new;
my ($one, $two) = map { 'AC' . $_ x 32 } 1, 2;
my $simulator;

sub file
{
	my ($name, $content) = @_;
	open(my $file, '>', "$directory/$name") or die "$name: $!";
	print $file ref $content ? encode_json($content) : $content;
	close $file or die "$name: $!";
	return "$directory/$name";
}
my $accounts = file('accounts.json', { accounts => [ { account_sid => $one, auth_token => 'x' }, { account_sid => $two, auth_token => 'x' } ] });
my $saved = "$directory/state.json";

sub start { $simulator = FlexApi::Simulator->new('--accounts', $accounts, @_); return; }
sub ask
{
	my ($account, $path, $form) = @_;
	my $url = $simulator->url =~ s{//}{//$account:x@}r;
	my $answer = $form ? $http->post_form("$url$path", $form) : $http->get("$url$path");
	return decode_json($answer->{content});
}
# The state as text, without its blanks and with its members in order.
sub state { return JSON::PP->new->canonical->encode($simulator->get('state')); }

start('--load', $saved, '--save', $saved);
my $flow = ask($one, '/v1/FlexFlows', { FriendlyName => "caf\x{c3}\x{a9}", ChatServiceSid => 'IS' . '0' x 32, ChannelType => 'web' });
my $interaction = ask($one, '/v1/Interactions', { Channel => '{"type":"web"}', Routing => '{"properties":{}}' });
my $channel = "/v1/Interactions/$interaction->{sid}/Channels/$interaction->{channel}{sid}";
my $invite = ask($one, "$channel/Invites", { Routing => '{"properties": {}}' });
ask($two, '/v2/Instances/GO' . '0' x 32 . '/Users/FU' . '5' x 32, {});
my $plugin = ask($two, '/v1/PluginService/Plugins', { UniqueName => 'mine' });
$simulator->post('seed', { channels => 2000 });
ok(FlexApi::wait_until(sub { ask($one, $channel)->{status} eq 'active' }), 'a channel is set up');
my $before = state();
$simulator->stop;

start('--load', $saved);
is(state(), $before, 'everything is there again');
my $again = ask($one, "/v1/FlexFlows/$flow->{sid}");
is($again->{friendly_name}, $flow->{friendly_name}, 'a resource is found by its SID');
is($again->{url}, $simulator->url . "/v1/FlexFlows/$flow->{sid}", '... with the URL of the simulator that is asked');
is(ask($two, '/v1/PluginService/Plugins/mine')->{sid}, $plugin->{sid}, '... and by its other name');
is(ask($one, "$channel/Invites")->{invites}[0]{sid}, $invite->{sid}, '... and what it has');
my $page = ask($one, '/v1/Channels?PageSize=1000');
is(scalar @{ $page->{flex_chat_channels} }, 1000, 'a thousand rows on a page');
ok($page->{meta}{next_page_url}, '... and more');
ask($one, '/v1/FlexFlows', { FriendlyName => 'new', ChatServiceSid => 'IS' . '0' x 32, ChannelType => 'web' });
$simulator->post('reset');
is(state(), $before, 'a reset makes it as it was loaded');
$simulator->stop;

# What a person writes: only what matters, for the first account.
start('--load', file('hand.json', { '/v1/FlexFlows' => [ { friendly_name => 'by hand' } ],
	'/v1/Interactions' => [ { sid => 'KD' . '1' x 32 } ], '/v1/Interactions/KD' . '1' x 32 . '/Channels' => [ { sid => 'UO' . '1' x 32, status => 'setup', type => 'web' } ] }));
my ($written) = @{ ask($one, '/v1/FlexFlows')->{flex_flows} };
like($written->{sid}, qr/^FO[0-9a-f]{32}$/, 'a row without a SID gets one');
is("$written->{account_sid} $written->{friendly_name} $written->{integration_type}", "$one by hand studio", '... and what a new resource has');
ok(FlexApi::wait_until(sub { ask($one, '/v1/Interactions/KD' . '1' x 32 . '/Channels/UO' . '1' x 32)->{status} eq 'active' }), 'a channel that was being set up goes on');

# Each state that is refused, at the start and by a control request.
my $number = 0;
sub refuses
{
	my ($state, $where, $problem) = @_;
	my $file = file('refused' . ++$number . '.json', $state);
	my $program = $ENV{FLEX_SIMULATOR};
	my $said = qx($program --accounts $accounts --load $file --until-stdin-closes </dev/null 2>&1);
	is($said, "flex_simulator: $file: $where: $problem\n", "$where: $problem");
	my $kept = state();
	my $answer = $http->post($simulator->url . '/_simulator/state', { content => encode_json($state) });
	is_deeply([ $answer->{status}, decode_json($answer->{content}) ], [ 400, { problem => $problem, what => $where } ], '... by a control request as well');
	is(state(), $kept, '... which changes nothing');
	return;
}
my $flows = "accounts.$one./v1/FlexFlows";
sub flow { return { accounts => { $one => { '/v1/FlexFlows' => [ {}, {@_} ] } } }; }
refuses(flow(friendly_nam => 'x'), "${flows}[1].friendly_nam", 'the documents have no such member');
refuses(flow(enabled => 'yes'), "${flows}[1].enabled", 'must be a boolean, not string');
refuses(flow(sid => 'FO1'), "${flows}[1].sid", '"FO1" does not fit ^FO[0-9a-fA-F]{32}$');
refuses(flow(channel_type => 'pigeon'), "${flows}[1].channel_type", '"pigeon" is not one of web|sms|facebook|whatsapp|line|custom');
refuses(flow(date_created => 'yesterday'), "${flows}[1].date_created", '"yesterday" is no date and time as in 2016-08-01T22:10:40Z');
refuses({ '/v1/FlexFlows' => [ map { { sid => 'FO' . '1' x 32 } } 1, 2 ] }, '/v1/FlexFlows[1].sid', 'another row is "FO' . '1' x 32 . '", too');
refuses({ '/v1/FlexFlows' => [7] }, '/v1/FlexFlows[0]', 'must be an object');
refuses({ '/v1/FlexFlows' => 7 }, '/v1/FlexFlows', 'must be an array of rows, or an object');
refuses({ '/v1/Birds' => [] }, '/v1/Birds', 'the documents have no such collection');
refuses({ '/v1/Interactions/KD2/Channels' => [] }, '/v1/Interactions/KD2/Channels', 'there is no resource at this path that could have it');
refuses({ '/v1/Configuration' => { call_recording_enabled => 'no' } }, '/v1/Configuration.call_recording_enabled', 'must be a boolean, not string');
refuses({ accounts => { 'AC9' => {} } }, 'accounts.AC9', 'no such account; --accounts says which there are');
refuses({ accounts => [] }, 'accounts', 'must be an object of accounts by their SID');
refuses({ accounts => { $one => [] } }, "accounts.$one", 'must be an object of paths');

is($simulator->control('POST', 'state', { '/v1/FlexFlows' => [] }), undef, 'a state is loaded by a control request');
is(scalar @{ ask($one, '/v1/FlexFlows')->{flex_flows} }, 0, '... in the place of what its paths had');
done_testing;
