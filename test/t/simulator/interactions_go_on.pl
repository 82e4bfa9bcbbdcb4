# Interactions that go on, by a control request or by a script, and the webhooks that are
# told: signed as Twilio signs, and sent again as its page on connection overrides says.

use strict;
use warnings;

use Digest::SHA qw(hmac_sha1_base64 sha256_hex);
use FlexApi;
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use Test::More;

my $simulator = FlexApi::Simulator->new('--setup-ms', 1);
my $url = $simulator->url =~ s{//}{//$FlexApi::ACCOUNT:$FlexApi::TOKEN@}r;
my $http = HTTP::Tiny->new;

sub ask
{
	my ($path, $form) = @_;
	my $answer = $form ? $http->post_form("$url$path", $form) : $http->get("$url$path");
	return decode_json($answer->{content});
}
sub control { my ($path, $wish) = @_; return $http->post($simulator->url . "/_simulator/$path", { content => encode_json($wish) }); }
sub complaint
{
	my ($path, $wish) = @_;
	my $answer = control($path, $wish);
	my $body = decode_json($answer->{content});
	return "$answer->{status} $body->{what}: $body->{problem}";
}

# A customer's interaction whose channel is active: its SID, and the channel's path.
sub interaction
{
	my (%more) = @_;
	my $interaction = ask('/v1/Interactions', { Channel => '{"type":"web","initiated_by":"customer"}', Routing => '{"properties":{}}', %more });
	my $path = "/v1/Interactions/$interaction->{sid}/Channels/$interaction->{channel}{sid}";
	ok(FlexApi::wait_until(sub { ask($path)->{status} eq 'active' }), 'a channel is active');
	return ($interaction->{sid}, $path);
}
sub step { my ($sid, $step, %more) = @_; return $simulator->post('step', { interaction_sid => $sid, step => $step, %more }); }
sub statuses { my ($step) = @_; return "$step->{status} $step->{assignment_status}"; }
sub agents { my ($path) = @_; return map { $_->{routing_properties}{worker_sid} } @{ ask("$path/Participants")->{participants} }; }

# Steps by a control request.
my ($sid, $path) = interaction();
my ($first, $second) = map { 'WK' . $_ x 32 } 1, 2;
is(ask("/v1/Interactions/$sid")->{routing}{properties}{assignment_status}, 'pending', 'nobody has taken it');
is(statuses(step($sid, 'join', worker_sid => $first)), 'active assigned', 'an agent joins');
is_deeply([ agents($path) ], [$first], '... and is a participant');
is(statuses(step($sid, 'transfer', to => $second, type => 'warm')), 'transfer assigned', 'the agent offers it to another');
is(complaint('step', { interaction_sid => $sid, step => 'wrapup' }), q(400 step: the channel's status does not allow it now), '... meanwhile there is nothing to wrap up');
step($sid, 'refuse_transfer');
is_deeply([ agents($path) ], [$first], 'who does not take it');
step($sid, 'transfer', to => $second);
is(statuses(step($sid, 'accept_transfer')), 'active assigned', 'another offer is accepted');
is_deeply([ agents($path) ], [$second], '... and the first agent has left');
is(statuses(step($sid, 'wrapup')), 'active wrapping', 'the agent wraps up');
is(statuses(step($sid, 'close')), 'closed completed', 'and closes');
is(ask($path)->{status}, 'closed', '... which the API shows');
is(complaint('step', { interaction_sid => $sid, step => 'join' }), q(400 step: the channel's status does not allow it now), 'it is over');
is(complaint('step', { interaction_sid => $sid, step => 'dance' }), '400 step: there are join, leave, transfer, accept_transfer, refuse_transfer, wrapup, close', 'no such step');
is(complaint('step', { interaction_sid => 'KD0', step => 'join' }), '400 interaction_sid: no such interaction, or it has no such channel', 'no such interaction');

# A server that takes webhooks: it answers what %answer says for the path's first word.
my $server = FlexApi::Server->new(sub {
	my ($connection, $server) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		$server->note(encode_json({ map { $_ => $request->{$_} } qw(method path head body) }));
		return if $request->{path} =~ /silent/;
		print $connection $request->{path} =~ /fails/ ? "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n" : FlexApi::Server::answer('{}') or return;
	}
});
sub webhook { my (%wish) = @_; my $path = delete $wish{path}; return $simulator->post('webhooks', { webhook_url => $server->url . "/$path", %wish })->{ttid}; }

# What has come to a path.
sub came { my ($word) = @_; return grep { $_->{path} =~ m{^/$word\b} } map { decode_json($_) } $server->notes(qr/./); }
sub header { my ($request, $name) = @_; return ($request->{head} =~ /^\Q$name\E: *(.*?)\r?$/mi)[0]; }
sub form { my ($text) = @_; return { map { map { s/\+/ /gr =~ s/%(..)/chr hex $1/ger } split /=/, $_, 2 } split /&/, $text }; }
sub events { my ($word) = @_; return map { form($_->{body})->{EventType} } came($word); }
sub signature
{
	my ($signed, $form) = @_;
	return hmac_sha1_base64(join('', $server->url . $signed, map { $_ . $form->{$_} } sort keys %$form), $FlexApi::TOKEN) . '=';
}
sub deliveries { my ($ttid) = @_; return grep { $_->{ttid} eq $ttid } @{ $simulator->get('deliveries')->{deliveries} }; }
sub over { my ($ttid, $count) = @_; return ok(FlexApi::wait_until(sub { $count == grep { $_->{over} } deliveries($ttid) }), "$count deliveries are over"); }

my $all = webhook(path => 'all');
my $some = webhook(path => 'some?x=1', webhook_method => 'GET', webhook_events => ['onParticipantJoined']);
my $json = webhook(path => 'json', body => 'json', webhook_events => ['onInteractionCreated']);
my $own = webhook(path => 'own', type => 'interaction');
($sid, $path) = interaction(WebhookTtid => $own);
step($sid, 'join', worker_sid => $first);
step($sid, 'wrapup');
step($sid, 'close');
my @sequence = qw(onInteractionCreated onChannelCreated onChannelStatusUpdated onParticipantJoined onParticipantUpdated onParticipantLeft onChannelStatusUpdated);
over($all, scalar @sequence);
over($own, scalar @sequence);
over($some, 1);
over($json, 1);
is_deeply([ events('all') ], \@sequence, 'a webhook is told everything, in order');
is_deeply([ events('own') ], \@sequence, '... and so is one of the interaction that names it');
my ($request) = grep { form($_->{body})->{EventType} eq 'onParticipantJoined' } came('all');
my $form = form($request->{body});
my ($channel) = $path =~ /(UO\w+)/;
is_deeply([ @$form{qw(AccountSid InteractionSid ChannelSid ParticipantType MediaChannelType)} ], [ $FlexApi::ACCOUNT, $sid, $channel, 'agent', 'web' ], 'its parameters');
is_deeply([ map { /^([A-Z]{2})[0-9a-f]{32}$/ } @$form{qw(ParticipantSid TaskSid MediaChannelSid)} ], [qw(UT WT CH)], '... and its SIDs');
is(header($request, 'X-Twilio-Signature'), signature('/all', $form), 'it is signed');
my ($get) = came('some');
is($get->{method} . ($get->{path} =~ s/&.*//r), 'GET/some?x=1', 'a webhook by GET');
is(header($get, 'X-Twilio-Signature'), signature($get->{path}, {}), '... is signed by its URL');
my ($body) = came('json');
is($body->{path}, '/json?bodySHA256=' . sha256_hex($body->{body}), 'a body in JSON is told by its hash');
is(header($body, 'X-Twilio-Signature'), signature($body->{path}, {}), '... which is signed');
is(decode_json($body->{body})->{EventType}, 'onInteractionCreated', '... and it says the same');
interaction();
over($all, @sequence + 3);
is(scalar(events('own')), scalar @sequence, 'an interaction that does not name it is not told to it');

# The API's own doings are told as well.
$simulator->control('DELETE', $_) foreach 'webhooks', 'deliveries';
my $api = webhook(path => 'api', webhook_events => [ grep { !/Created/ } @sequence ]);
($sid, $path) = interaction();
my $participant = ask("$path/Participants", { Type => 'supervisor', MediaProperties => '{}' });
ask("$path/Participants/$participant->{sid}", { Status => 'wrapup' });
ask("$path/Participants/$participant->{sid}", { Status => 'closed' });
ask($path, { Status => 'closed' });
over($api, 5);
is_deeply([ events('api') ], [ @sequence[2 .. 6] ], 'participants and channels that the API changes');
my $failing = ask('/v1/Interactions', { Channel => '{"type":"web","properties":{"fail":true}}' });
$simulator->control('DELETE', 'webhooks');
my $fails = webhook(path => 'failure', webhook_events => ['onChannelCreateFailed']);
ask('/v1/Interactions', { Channel => '{"type":"web","properties":{"fail":true}}' });
over($fails, 1);
is(form((came('failure'))[0]{body})->{ErrorCode}, 19025, 'a channel that fails');

# What is not answered.
$simulator->control('DELETE', $_) foreach 'webhooks', 'deliveries';
my $closed = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "$!";
my $nobody = 'http://127.0.0.1:' . $closed->sockport;
close $closed;
my %created = (webhook_events => ['onInteractionCreated']);
my %ttids = (
	unreachable => $simulator->post('webhooks', { webhook_url => $nobody, %created })->{ttid},
	patient => $simulator->post('webhooks', { webhook_url => "$nobody#rc=3", %created })->{ttid},
	never => $simulator->post('webhooks', { webhook_url => "$nobody#rc=0", %created })->{ttid},
	fails => webhook(path => 'fails', %created),
	fails_again => webhook(path => 'fails_again#rc=2&rp=5xx', %created),
	silent => webhook(path => 'silent', %created),
	silent_again => webhook(path => 'silent_again#rc=2&rp=ct,rt', %created));
interaction();
my %attempts;
foreach my $name (sort keys %ttids)
{
	over($ttids{$name}, 1);
	my ($delivery) = deliveries($ttids{$name});
	$attempts{$name} = "$delivery->{attempts} $delivery->{status}";
}
is_deeply(\%attempts, { unreachable => '2 0', patient => '4 0', never => '1 0', fails => '1 503', fails_again => '3 503', silent => '1 0', silent_again => '3 0' },
	'what has no connection is sent again once; what is asked for otherwise, as often');
my @again = came('fails_again');
is(scalar(@again), 3, 'three came');
is(scalar(keys %{ { map { header($_, 'I-Twilio-Idempotency-Token') // '' => 1 } @again } }), 1, '... with one idempotency token');
like(header($again[0], 'I-Twilio-Idempotency-Token'), qr/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, '... which looks like one');

# Scripts.
$simulator->control('DELETE', $_) foreach 'webhooks', 'deliveries';
$simulator->post('scripts', { scripts => [
	{ channel_type => 'sms', steps => [] },
	{ steps => [ { step => 'join', after_ms => 1 }, { step => 'transfer', after_ms => 1, to => $second }, { step => 'accept_transfer', after_ms => 1 },
		{ step => 'wrapup', after_ms => 3600000 }, { step => 'close', after_ms => 1 } ] } ] });
my $scripted = ask('/v1/Interactions', { Channel => '{"type":"web"}', Routing => '{"properties":{}}' });
$path = "/v1/Interactions/$scripted->{sid}/Channels/$scripted->{channel}{sid}";
ok(FlexApi::wait_until(sub { join(' ', agents($path)) eq $second }), 'a script has agents join and transfer');
is(ask("/v1/Interactions/$scripted->{sid}")->{routing}{properties}{assignment_status}, 'assigned', '... an hour before the next step');
$simulator->post('clock', { advance_seconds => 3601 });
ok(FlexApi::wait_until(sub { ask($path)->{status} eq 'closed' }), 'an hour of the moved clock later it is over');

sub refuses { my ($path, $wish, $said) = @_; return is(complaint($path, $wish), "400 $said", $said); }
refuses('scripts', { scripts => [ { steps => [ { step => 'join' }, { step => 'fly' } ] } ] }, 'scripts[0].steps[1].step: there are join, leave, transfer, accept_transfer, refuse_transfer, wrapup, close');
refuses('scripts', { scripts => [ { steps => [ { step => 'join', after_ms => 'soon' } ] } ] }, 'scripts[0].steps[0].after_ms: must be a number of milliseconds');
my @hook = (webhook_url => 'http://127.0.0.1:1/');
refuses('webhooks', { webhook_url => 'http://192.0.2.1/' }, 'webhook_url: leads out of this machine, which the simulator does only with --webhooks-anywhere');
refuses('webhooks', { webhook_url => 'ftp://127.0.0.1/' }, 'webhook_url: must be a URL, http or https');
refuses('webhooks', {}, 'webhook_url: must be a URL, http or https');
refuses('webhooks', { webhook_url => 'http://127.0.0.1:1/#rc=9' }, 'webhook_url: #rc takes a number from 0 to 5, not "9"');
refuses('webhooks', { webhook_url => 'http://127.0.0.1:1/#rp=6xx' }, 'webhook_url: #rp takes ct, rt, 4xx, 5xx or all, not "6xx"');
refuses('webhooks', { @hook, webhook_events => ['onSunset'] }, 'webhook_events[0]: no such event; there are onInteractionCreated, onChannelCreated, onChannelCreateFailed, '
	  . 'onChannelStatusUpdated, onParticipantJoined, onParticipantLeft, onParticipantUpdated, onMessageAdded');
refuses('webhooks', { @hook, webhook_method => 'PUT' }, 'webhook_method: must be POST or GET');
done_testing;
