# Several accounts, each with credentials of its own: none sees what another has; who may
# do what is answered as the service does, 401 and 403.

use strict;
use warnings;

use File::Temp;
use FlexApi;
use HTTP::Tiny;
use JSON::PP;
use Test::More;

my ($one, $two) = map { 'AC' . $_ x 32 } 1, 2;
my ($key, $restricted) = map { 'SK' . $_ x 32 } 1, 2;
my @accounts = (
	{ account_sid => $one, auth_token => 'first', insights_token => 'insight one' },
	{ account_sid => $two, auth_token => 'second', keys => [
		{ sid => $key, secret => 'whole' }, { sid => $restricted, secret => 'part', operations => [ 'flex_channels_list', 'flex_flow_fetch' ] } ] });
my $file = File::Temp->new;
print $file encode_json({ accounts => \@accounts });
close $file;

my $simulator = FlexApi::Simulator->new('--accounts', $file);
my $http = HTTP::Tiny->new;

# The answer to a request with "user:password", decoded.
sub ask
{
	my ($credentials, $path, $form) = @_;
	my $url = $simulator->url =~ s{//}{//$credentials@}r;
	my $answer = $form ? $http->post_form("$url$path", $form) : $http->get("$url$path");
	return { status => $answer->{status}, body => $answer->{status} == 204 ? undef : decode_json($answer->{content}) };
}
sub status { return ask(@_)->{status}; }
sub rows { my ($credentials, $collection, $member) = @_; return scalar @{ ask($credentials, "/v1/$collection")->{body}{$member} }; }

my %flow = (FriendlyName => 'x', ChatServiceSid => 'IS' . '0' x 32, ChannelType => 'web');
my $flow = ask("$one:first", '/v1/FlexFlows', \%flow)->{body};
is($flow->{account_sid}, $one, 'what an account makes is its own');
my $ours = rows("$one:first", 'FlexFlows', 'flex_flows');
is(rows("$two:second", 'FlexFlows', 'flex_flows'), $ours - 1, 'another account does not see it in its list');
is(status("$two:second", "/v1/FlexFlows/$flow->{sid}"), 404, '... nor by its SID');
is(status("$two:second", "/v1/FlexFlows/$flow->{sid}", { FriendlyName => 'mine' }), 404, '... nor can it change it');
my $chat = ask("$two:second", '/v1/Channels', { FlexFlowSid => $flow->{sid}, Identity => 'x', ChatUserFriendlyName => 'x', ChatFriendlyName => 'x' });
is("$chat->{status} $chat->{body}{message}", "400 FlexFlow $flow->{sid} not found", '... nor make something in it');
is(ask("$one:first", "/v1/FlexFlows/$flow->{sid}")->{body}{friendly_name}, 'x', 'it is as it was');
$simulator->post('seed', { channels => 3, account_sid => $two });
is(rows("$one:first", 'Channels', 'flex_chat_channels') . ' ' . rows("$two:second", 'Channels', 'flex_chat_channels'), '0 3', 'rows are seeded into one account');
is(ask("$two:second", '/v1/Configuration')->{body}{account_sid}, $two, 'each has a configuration');
my $change = $http->post($simulator->url =~ s{//}{//$two:second@}r . '/v1/Configuration',
	{ headers => { 'Content-Type' => 'application/json' }, content => encode_json({ account_sid => $one, ui_version => '9' }) });
is($change->{status}, 400, '... which names no other account');

my %refusal = (code => 20003, message => 'Authenticate', more_info => 'https://www.twilio.com/docs/errors/20003', status => 401);
is_deeply(ask($_, '/v1/Channels')->{body}, \%refusal, "401 for $_") foreach "$one:second", "$two:first", "$key:part", "$FlexApi::ACCOUNT:$FlexApi::TOKEN", 'x:y';
is(ask("$key:whole", '/v1/Configuration')->{body}{account_sid}, $two, 'a key opens its account');
is(status("$restricted:part", '/v1/Channels'), 200, 'a restricted key is good for what it names');
my $forbidden = ask("$restricted:part", '/v1/FlexFlows');
is_deeply($forbidden, { status => 403, body => { code => 20403, message => 'Forbidden', more_info => 'https://www.twilio.com/docs/errors/20403', status => 403 } },
	'... and for nothing else');
is(status("$restricted:part", '/v1/Nothing'), 404, '... where there is anything');

my $insights = '/v1/Insights/QualityManagement/Questions';
my %bearer = (headers => { Authorization => 'Bearer insight one' });
is($http->get($simulator->url . $insights, \%bearer)->{status}, 200, "an account's token of Insights");
is($http->get($simulator->url . '/v1/Channels', \%bearer)->{status}, 401, '... is for Insights alone');
is($http->get($simulator->url . $insights, { headers => { Authorization => 'Bearer insights-token' } })->{status}, 401, '... and others are none');

$simulator->post('accounts', { accounts => [ { account_sid => $one, auth_token => 'rotated' } ] });
is(status("$one:first", '/v1/Channels') . ' ' . status("$one:rotated", "/v1/FlexFlows/$flow->{sid}"), '401 200', 'a token is rotated, and nothing else changes');
$simulator->post('accounts', { accounts => [ { account_sid => $one, status => 'suspended' } ] });
is(status("$one:rotated", '/v1/Channels'), 401, 'a suspended account');
$simulator->post('accounts', { accounts => [ { account_sid => $one, status => 'active' } ] });
is(status("$one:rotated", '/v1/Channels'), 200, '... is active again');
my $three = 'AC' . '3' x 32;
$simulator->post('accounts', { accounts => [ { account_sid => $three, auth_token => 'third' } ] });
is(status("$three:third", '/v1/Configuration'), 200, 'an account that came later');
is_deeply([ map { "$_->{account_sid} $_->{status} @{ $_->{keys} }" } @{ $simulator->get('accounts')->{accounts} } ],
	[ "$one active ", "$two active $key $restricted", "$three active " ], 'all accounts are told, without secrets');

$simulator->post('limits', { per_operation => 0.001 });
is(status("$one:rotated", '/v1/Channels') . status("$two:second", '/v1/Channels') . status("$key:whole", '/v1/Channels'), '200200429',
	'a limit is shared by all credentials of an account, and by no other account');
$simulator->post('reset');
is(status("$one:rotated", "/v1/FlexFlows/$flow->{sid}") . status("$three:third", '/v1/Channels'), '404200', 'a reset empties accounts, and they stay');

# Each wrong account, and what is said of it; the list is then as it was.
my $before = $simulator->get('accounts');
sub complaint
{
	my ($wish, $problem, $where) = @_;
	my $answer = $http->post($simulator->url . '/_simulator/accounts', { content => encode_json($wish) });
	is_deeply(decode_json($answer->{content}), { problem => $problem, what => $where }, "$where: $problem");
	return;
}
my %good = (account_sid => 'AC' . '4' x 32, auth_token => 'x');
sub wrong { my ($members, $problem, $where) = @_; return complaint({ accounts => [ \%good, { %good, %$members } ] }, $problem, "accounts[1]$where"); }
complaint({}, 'must be an array of accounts', 'accounts');
complaint({ accounts => ['x'] }, 'an account must be an object', 'accounts[0]');
wrong({ account_sid => 'AC1' }, q(an account's SID is AC and 32 hexadecimal digits), '.account_sid');
complaint({ accounts => [ { account_sid => $good{account_sid} } ] }, 'an account needs an auth token', 'accounts[0].auth_token');
wrong({ status => 'asleep' }, 'must be active or suspended', '.status');
wrong({ token => 'x' }, 'an account has account_sid, auth_token, keys, insights_token and status', '.token');
wrong({ keys => [ { sid => 'SK1', secret => 'x' } ] }, q(a key's SID is SK and 32 hexadecimal digits), '.keys[0].sid');
wrong({ keys => [ { sid => $key, secret => 'x' } ] }, 'another account has this key', '.keys[0].sid');
wrong({ keys => [ { sid => 'SK' . '9' x 32, secret => 'x', operations => ['fly'] } ] }, 'no such operation', '.keys[0].operations[0]');
is_deeply($simulator->get('accounts'), $before, 'where one account is wrong, none is taken');
done_testing;
