# Faults by name, for an operation, and by chance: a seed makes them fall in the same
# places each time.

use strict;
use warnings;

use FlexApi;
use HTTP::Tiny;
use JSON::PP;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $url = $simulator->url =~ s{//}{//$FlexApi::ACCOUNT:$FlexApi::TOKEN@}r;
my $http = HTTP::Tiny->new(timeout => 60);

sub get { my ($path) = @_; return $http->get("$url$path"); }
sub fault { my (%fault) = @_; $simulator->clear_faults; $simulator->post('faults', \%fault); return; }

# One letter for each of so many answers: . for a good one, x for a refusal.
sub pattern { my ($path, $count) = @_; return join '', map { get($path)->{success} ? '.' : 'x' } 1 .. $count; }

fault(fault => '503', operation => 'flex_channels_list', times => 2);
is(pattern('/v1/FlexFlows', 2), '..', 'another operation is spared');
is(get('/v1/Channels')->{status} . ' ' . pattern('/v1/Channels', 2), '503 x.', 'an operation that fails twice');

fault(fault => '500', chance => 0.3, seed => 7);
my $first = pattern('/v1/Channels', 300);
fault(fault => '500', chance => 0.3, seed => 7);
is(pattern('/v1/Channels', 300), $first, 'one seed, one pattern');
fault(fault => '500', chance => 0.3, seed => 8);
isnt(pattern('/v1/Channels', 300), $first, 'another seed, another');
my $refused = ($first =~ tr/x//);
ok($refused > 60 && $refused < 120, "$refused of 300 at a chance of 0.3");
fault(fault => '500', chance => 1);
is(pattern('/v1/Channels', 5), 'xxxxx', 'a chance of 1');
fault(fault => '500', chance => 0);
is(pattern('/v1/Channels', 5), '.....', 'a chance of 0');

fault(fault => '429');
my $answer = get('/v1/Channels');
is("$answer->{status} " . decode_json($answer->{content})->{code}, '429 20429', 'too many requests');
ok(!exists $answer->{headers}{'retry-after'}, '... without Retry-After');
fault(fault => 'html_503');
like(get('/v1/Channels')->{content}, qr/<html>/, "a proxy's page");
# HTTP::Tiny sends a GET again, once.
fault(fault => 'refused_connection', times => 2);
is(get('/v1/Channels')->{status}, 599, 'a connection that breaks');
my %flow = (FriendlyName => 'x', ChatServiceSid => 'IS' . '0' x 32, ChannelType => 'web');
my $flows = @{ decode_json(get('/v1/FlexFlows')->{content})->{flex_flows} };
fault(fault => 'refused_connection', method => 'POST');
$http->post_form("$url/v1/FlexFlows", \%flow);
is(scalar @{ decode_json(get('/v1/FlexFlows')->{content})->{flex_flows} }, $flows, '... before anything is done');
fault(fault => 'lost_answer', method => 'POST');
$http->post_form("$url/v1/FlexFlows", \%flow);
is(scalar @{ decode_json(get('/v1/FlexFlows')->{content})->{flex_flows} }, $flows + 1, '... and one whose answer is lost');
fault(fault => 'cut', times => 2);
is(get('/v1/Channels')->{status}, 599, 'an answer that is cut');
my $true = get('/v1/FlexFlows')->{content};
fault(fault => 'odd_bytes', seed => 3);
my $odd = get('/v1/FlexFlows')->{content};
isnt($odd, $true, 'an answer with odd bytes');
fault(fault => 'odd_bytes', seed => 3);
is(get('/v1/FlexFlows')->{content}, $odd, '... the same for the same seed');
fault(fault => 'slow', delay_ms => 1);
ok(get('/v1/Channels')->{success}, 'a name, and a member that says otherwise');
fault(fault => 'dripping', drip => { bytes => 64, interval_ms => 1 });
is(get('/v1/FlexFlows')->{content}, $true, 'an answer in drops is whole');

# What is no fault.
sub complaint
{
	my ($wish) = @_;
	my $told = $http->post($simulator->url . '/_simulator/faults', { content => encode_json($wish) });
	my $body = decode_json($told->{content});
	return "$told->{status} $body->{what}: $body->{problem}";
}
$simulator->clear_faults;
is(complaint({ fault => 'gremlins' }), '400 fault: no such fault; there are 429, 500, 503, html_503, slow, dripping, stalled, refused_connection, lost_answer, cut, odd_bytes',
	'a name of no fault');
like(complaint({ dealy_ms => 5 }), qr/^400 dealy_ms: a fault has no such member; there are .*\bdelay_ms\b/, 'a member of no fault');
is(complaint({ status => 500, operation => 'flex_fly' }), '400 operation: no such operation', 'no operation');
is(complaint({ status => 500, chance => $_ }), '400 chance: must be a number from 0 to 1', "a chance of $_") foreach -0.1, 1.1, 'often';
is(complaint({ status => 500, seed => 'x' }), '400 seed: must be a whole number', 'no seed');
is(complaint(['x']), '400 : a fault must be an object', 'no object');
is_deeply($simulator->get('faults'), { faults => [] }, 'none of them is there');
done_testing;
