# A page of another site reads and writes the messages of its conversation with an access
# token, and no others; what is wrong with a token is told by Twilio's codes.

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256);
use FlexApi;
use HTTP::Tiny;
use JSON::PP;
use MIME::Base64 qw(encode_base64url);
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $http = HTTP::Tiny->new;
my $site = 'https://shop.example';

# A token; what is given takes the place of what is usual.
sub token
{
	my (%wish) = @_;
	my %claims = (iss => $FlexApi::KEY, sub => $FlexApi::ACCOUNT, exp => time + 3600, grants => { identity => 'larry', chat => { service_sid => 'IS' . '1' x 32 } }, %{ $wish{claims} // {} });
	my $signed = join '.', map { encode_base64url(encode_json($_)) } { typ => 'JWT', alg => $wish{alg} // 'HS256', cty => 'twilio-fpa;v=1' }, \%claims;
	return "$signed." . encode_base64url(hmac_sha256($signed, $wish{secret} // $FlexApi::SECRET));
}

# Status and body of the answer to a request with a token.
sub ask
{
	my ($token, $path, $form, $site) = @_;
	my %headers = (Authorization => "Bearer $token", $site ? (Origin => $site) : ());
	my $answer = $form ? $http->post_form($simulator->url . $path, $form, { headers => \%headers }) : $http->get($simulator->url . $path, { headers => \%headers });
	return ($answer->{status}, decode_json($answer->{content}), $answer->{headers}{'access-control-allow-origin'});
}
sub open_chat
{
	my ($identity) = @_;
	my $url = $simulator->url =~ s{//}{//$FlexApi::ACCOUNT:$FlexApi::TOKEN@}r;
	return '/conversations/v1/Conversations/'
	  . decode_json($http->post_form("$url/v2/WebChats", { AddressSid => 'IG' . 'a' x 32, Identity => $identity })->{content})->{conversation_sid} . '/Messages';
}
sub code { my ($status, $body) = @_; return "$status $body->{code}"; }

my ($larry, $moe) = map { open_chat($_) } 'larry', 'moe';
my ($status, $message, $origin) = ask(token(), $larry, { Body => 'Hello', Author => 'agent-7' }, $site);
is("$status $message->{author} $message->{body}", '201 larry Hello', 'a customer writes, as nobody else');
is($origin, '*', '... from a page of another site');
is((ask(token(), $larry))[1]{messages}[0]{sid}, $message->{sid}, '... and reads');
is(code(ask(token(), $moe)), '403 20403', 'the conversation of another is none of theirs');
is(code(ask(token(), $moe, { Body => 'Psst' })), '403 20403', '... to write in, either');
is(code(ask(token(), $larry =~ s/CH..../CHffff/r)), '403 20403', '... nor one that is not there');

is(code(ask(token(), '/conversations/v1/Configuration/Addresses')), '403 20403', '... nor anything else');

my %bad = (
	'20107 another secret' => { secret => 'guessed' },
	'20104 it has expired' => { claims => { exp => time - 1 } },
	'20105 not valid yet' => { claims => { nbf => time + 3600 } },
	'20101 no such key' => { claims => { iss => 'SK' . 'f' x 32 } },
	'20101 no key' => { claims => { iss => $FlexApi::ACCOUNT }, secret => $FlexApi::TOKEN },
	'20101 another account' => { claims => { sub => 'AC' . 'f' x 32 } },
	'20101 no identity' => { claims => { grants => { chat => { service_sid => 'IS' . '1' x 32 } } } },
	'20101 no chat' => { claims => { grants => { identity => 'larry' } } },
	'20101 no signature' => { alg => 'none' });
foreach my $name (sort keys %bad)
{
	my ($code) = split / /, $name;
	is(code(ask(token(%{ $bad{$name} }), $larry)), "401 $code", $name);
}
is(code(ask($_, $larry)), '401 20101', "no token: $_") foreach '', '.', '..', 'a.b.c', 'e30.e30.', substr(token(), 5);
my $token = token();
$simulator->post('clock', { advance_seconds => 3601 });
is(code(ask($token, $larry)), '401 20104', 'an hour of the moved clock later it has expired');
is(code(ask(token(), '/v2/WebChats', { AddressSid => 'IG' . 'a' x 32 })), '401 20003', 'a token opens nothing else');

my $preflight = $http->request('OPTIONS', $simulator->url . $larry, { headers => { Origin => $site, 'Access-Control-Request-Method' => 'POST', 'Access-Control-Request-Headers' => 'authorization' } });
is(join(' ', $preflight->{status}, @{ $preflight->{headers} }{map { "access-control-allow-$_" } qw(origin methods headers)}), '204 * GET, POST Authorization', 'a browser may ask first');
$preflight = $http->request('OPTIONS', $simulator->url . '/v1/Channels', { headers => { Origin => $site, 'Access-Control-Request-Method' => 'POST' } });
is($preflight->{headers}{'access-control-allow-origin'}, undef, '... for conversations only');
done_testing;
