# Webhooks that are registered by the API are told what happens, as long as they are there
# and as they are then; and messages of conversations are told where that is asked for.

use strict;
use warnings;

use Digest::SHA qw(hmac_sha1_base64);
use FlexApi;
use HTTP::Tiny;
use JSON::PP;
use Test::More;

my $simulator = FlexApi::Simulator->new('--setup-ms', 1);
my $two = 'AC' . '2' x 32;
my $url = $simulator->url =~ s{//}{//$FlexApi::ACCOUNT:$FlexApi::TOKEN@}r;
my $http = HTTP::Tiny->new;
my $webhooks = '/v1/Instances/GO' . '1' x 32 . '/InteractionWebhooks';

# A server that takes everything, and notes it.
my $server = FlexApi::Server->new(sub {
	my ($connection, $server) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		$server->note(encode_json({ map { $_ => $request->{$_} } qw(path head body) }));
		print $connection FlexApi::Server::answer('{}') or return;
	}
});

sub ask
{
	my ($path, $form) = @_;
	my $answer = $form ? $http->post_form("$url$path", $form) : $http->get("$url$path");
	return decode_json($answer->{content});
}
sub hook { my ($path, @more) = @_; return ask($webhooks, [ WebhookUrl => $server->url . "/$path", @more ])->{ttid}; }
sub interaction { my (%more) = @_; return ask('/v1/Interactions', { Channel => '{"type":"web"}', Routing => '{"properties":{}}', %more })->{sid}; }
sub came { my ($word) = @_; return grep { $_->{path} =~ m{^/$word\b} } map { decode_json($_) } $server->notes(qr/./); }
sub form { my ($text) = @_; return { map { map { s/\+/ /gr =~ s/%(..)/chr hex $1/ger } split /=/, $_, 2 } split /&/, $text }; }
sub events { my ($word) = @_; return map { form($_->{body})->{EventType} } came($word); }
sub deliveries { my ($ttid) = @_; return grep { $_->{ttid} eq $ttid } @{ $simulator->get('deliveries')->{deliveries} }; }
sub over { my ($ttid, $count) = @_; return ok(FlexApi::wait_until(sub { $count == grep { $_->{over} } deliveries($ttid) }), "$count deliveries are over"); }

my $all = hook('all');
my $some = hook('some', WebhookEvents => 'onInteractionCreated', WebhookEvents => 'onMessageAdded');
my $own = hook('own', Type => 'interaction', WebhookEvents => 'onChannelCreated');
my $away = ask($webhooks, { WebhookUrl => 'https://flex.example/hook', WebhookEvents => 'onChannelCreated' })->{ttid};
is(scalar @{ $simulator->get('webhooks')->{webhooks} }, 4, 'four are registered');
interaction();
interaction(WebhookTtid => $own);
over($all, 6);
over($some, 2);
over($own, 1);
is(join(' ', sort(events('all'))), join(' ', map { ($_, $_) } qw(onChannelCreated onChannelStatusUpdated onInteractionCreated)), 'one without events is told all of interactions');
is(join(' ', events('some')), 'onInteractionCreated onInteractionCreated', 'one with events is told these');
is(join(' ', events('own')), 'onChannelCreated', 'one of an interaction is told what happens to that');
my ($told) = came('own');
my $form = form($told->{body});
my $signature = hmac_sha1_base64(join('', $server->url . '/own', map { $_ . $form->{$_} } sort keys %$form), $FlexApi::TOKEN) . '=';
is(($told->{head} =~ /^X-Twilio-Signature: *(.*?)\r?$/mi)[0], $signature, 'it is signed');
like((deliveries($away))[0]{error}, qr/^leads out of this machine/, 'nothing leaves this machine, which is told');

# As they are then.
ask("$webhooks/$some", { WebhookUrl => $server->url . '/elsewhere' });
ask("$webhooks/$all", { WebhookEvents => 'onChannelCreated' });
$simulator->control('DELETE', 'deliveries');
interaction();
over($some, 1);
over($all, 1);
is(join(' ', events('elsewhere')), 'onInteractionCreated', 'one that has moved is told there');
is((events('all'))[-1], 'onChannelCreated', 'one that wants other events is told them');
is($http->delete("$url$webhooks/$some")->{status}, 204, 'one is deleted');
interaction();
over($all, 2);
is(scalar(deliveries($some)), 1, '... and is told nothing more');
is(scalar @{ $simulator->get('webhooks')->{webhooks} }, 3, '... nor is it listed');

# Another account, and a state.
$simulator->post('accounts', { accounts => [ { account_sid => $two, auth_token => 'two' } ] });
$http->post_form(($url =~ s/$FlexApi::ACCOUNT:$FlexApi::TOKEN/$two:two/r) . '/v1/Interactions', { Channel => '{"type":"web"}' });
is(scalar(deliveries($all)), 2, 'what happens in another account is not told');
my $state = $simulator->get('state');
$simulator->post('reset', {});
is_deeply($simulator->get('webhooks')->{webhooks}, [], 'a reset forgets them');
$simulator->post('state', $state);
interaction();
over($all, 1);
is(scalar(came('all')), 9, 'a state that is loaded has them again');

# Messages, told to a webhook that names them.
my $conversation = ask('/v2/WebChats', { AddressSid => 'IG' . 'a' x 32, Identity => 'larry' })->{conversation_sid};
my $messages = $simulator->post('webhooks', { webhook_url => $server->url . '/messages', webhook_events => ['onMessageAdded'] })->{ttid};
my $silent = $simulator->post('webhooks', { webhook_url => $server->url . '/silent' })->{ttid};
my $message = ask("/conversations/v1/Conversations/$conversation/Messages", { Author => 'agent-7', Body => 'How can I help?' });
over($messages, 1);
$form = form((came('messages'))[0]{body});
is_deeply($form, { EventType => 'onMessageAdded', AccountSid => $FlexApi::ACCOUNT, ChatServiceSid => $form->{ChatServiceSid}, ConversationSid => $conversation,
	MessageSid => $message->{sid}, Index => 0, Body => 'How can I help?', Author => 'agent-7', Attributes => '{}', DateCreated => $message->{date_created},
	Source => 'API', RetryCount => 0 }, 'a message');
like($form->{ChatServiceSid}, qr/^IS[0-9a-f]{32}$/, '... of the chat service');
is(scalar(deliveries($_)), $_ eq $all ? 1 : 0, 'others are not told') foreach $silent, $all;
done_testing;
