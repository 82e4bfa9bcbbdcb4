# Limits that a test sets: what is beyond is refused with 429 and no Retry-After; they
# change while the simulator runs, and each second's accepted and refused are told.

use strict;
use warnings;

use FlexApi;
use HTTP::Tiny;
use JSON::PP;
use List::Util qw(sum0);
use Test::More;
use Time::HiRes qw(time);

my $simulator = FlexApi::Simulator->new;
my $url = $simulator->url =~ s{//}{//$FlexApi::ACCOUNT:$FlexApi::TOKEN@}r;
my $http = HTTP::Tiny->new;

sub list { my ($collection) = @_; return $http->get("$url/v1/$collection"); }
sub statuses { my ($collection, $count) = @_; return join ' ', map { list($collection)->{status} } 1 .. $count; }
sub limit { my (%wish) = @_; return $simulator->post('limits', \%wish); }

# What a control request that is wrong is told.
sub complaint
{
	my ($path, $wish) = @_;
	my $answer = $http->post($simulator->url . "/_simulator/$path", { content => encode_json($wish) });
	my $body = decode_json($answer->{content});
	return "$answer->{status} $body->{problem}: $body->{what}";
}

# What all seconds together counted for an operation, accepted and refused.
sub counted
{
	my ($operation) = @_;
	my @seconds = grep { $_->{operation} eq $operation } @{ $simulator->get('seconds')->{seconds} };
	return sum0(map { $_->{accepted} } @seconds) . ' ' . sum0(map { $_->{refused} } @seconds);
}

is_deeply($simulator->get('limits'), { per_account => undef, per_operation => undef, operations => {} }, 'no limit at the start');
is(statuses('Channels', 3), '200 200 200', '... and nothing is refused');

# One in a thousand seconds, so that it does not matter how slow the machine is.
is_deeply(limit(per_operation => 0.001), { per_account => undef, per_operation => 0.001, operations => {} }, 'a limit for each operation');
is(statuses('Channels', 3), '200 429 429', '... refuses what is beyond');
is(statuses('FlexFlows', 2), '200 429', '... of each operation by itself');
my $refused = list('Channels');
is_deeply(decode_json($refused->{content}), { code => 20429, message => 'Too Many Requests', status => 429,
	more_info => 'https://www.twilio.com/docs/errors/20429' }, 'what is refused has the documented body');
ok(!exists $refused->{headers}{'retry-after'}, '... and no Retry-After');
is(counted('flex_channels_list'), '4 3', 'each second counts what was accepted and refused');

limit(operations => { flex_channels_list => 1000, flex_flows_list => 0 });
is(statuses('Channels', 3), '200 200 200', 'an operation with a limit of its own, raised while requests come');
limit(operations => { flex_flows_list => 1000 });
is(statuses('FlexFlows', 2), '200 200', '... and from none at all');
limit(operations => { flex_flows_list => 0 });
is(statuses('FlexFlows', 2), '429 429', 'a limit of 0 refuses everything');

limit(per_account => 0.001, per_operation => undef, operations => { flex_channels_list => undef, flex_flows_list => undef });
is(statuses('Channels', 2) . ' ' . statuses('FlexFlows', 1), '200 429 429', 'a limit for all operations of an account together');
$simulator->control('DELETE', 'limits');
is(statuses('FlexFlows', 3), '200 200 200', 'without limits again');

limit(per_operation => 20);
my $start = time;
my $passed = 0;
my $sent = 0;
until ($passed > 40 || time > $start + 60)
{
	$sent++;
	$passed += list('WebChannels')->{status} == 200;
}
my $elapsed = time - $start;
cmp_ok($passed, '<=', 20 * (int($elapsed) + 1), sprintf('20 a second: %d of %d passed in %.2f s', $passed, $sent, $elapsed));
cmp_ok($passed, '>', 40, '... and each second as many pass again');
is(counted('flex_web_channels_list'), $passed . ' ' . ($sent - $passed), '... which the seconds tell');
$simulator->control('DELETE', 'seconds');
is(counted('flex_web_channels_list'), '0 0', '... until they are forgotten');

my $number = 'a limit is a number of requests a second from 0 to 1000000, or null for none';
is(complaint('limits', { per_hour => 1 }), '400 no such limit: there are per_account, per_operation and operations: per_hour', 'a limit of no such kind');
is(complaint('limits', { per_account => $_ }), "400 $number: per_account", 'a limit of ' . encode_json([$_])) foreach -1, 'many', 1e7, [1];
is(complaint('limits', { operations => { flex_fly => 1 } }), '400 no such operation: flex_fly', 'a limit of no operation');
is(complaint('limits', { operations => 1 }), '400 must be an object of limits by operation: operations', 'operations that are none');
$simulator->post('reset');
is_deeply($simulator->get('limits'), { per_account => undef, per_operation => undef, operations => {} }, 'a reset ends all limits');
done_testing;
