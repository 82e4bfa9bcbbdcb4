# A clock that is moved and stopped, and lists of thousands of rows.

use strict;
use warnings;

use FlexApi;
use HTTP::Tiny;
use JSON::PP;
use Test::More;

my $simulator = FlexApi::Simulator->new('--setup-ms', 3600000);
my $url = $simulator->url =~ s{//}{//$FlexApi::ACCOUNT:$FlexApi::TOKEN@}r;
my $http = HTTP::Tiny->new;

sub ask
{
	my ($path, $form) = @_;
	my $answer = $form ? $http->post_form("$url$path", $form) : $http->get("$url$path");
	return decode_json($answer->{content});
}
sub complaint
{
	my ($path, $wish) = @_;
	my $answer = $http->post($simulator->url . "/_simulator/$path", { content => encode_json($wish) });
	my $body = decode_json($answer->{content});
	return "$answer->{status} $body->{what}: $body->{problem}";
}
sub clock { my (%wish) = @_; return $simulator->post('clock', \%wish); }

my %flow = (FriendlyName => 'x', ChatServiceSid => 'IS' . '0' x 32, ChannelType => 'web');
is_deeply(clock(now => '2026-06-01T00:00:00Z', stopped => JSON::PP::true), { now => '2026-06-01T00:00:00Z', stopped => JSON::PP::true }, 'a clock that stands');
my $flow = ask('/v1/FlexFlows', \%flow);
is("$flow->{date_created} $flow->{date_updated}", '2026-06-01T00:00:00Z 2026-06-01T00:00:00Z', 'what is made has its date');
my $interaction = ask('/v1/Interactions', { Channel => '{"type":"web"}' });
my $channel = "/v1/Interactions/$interaction->{sid}/Channels/$interaction->{channel}{sid}";
is(ask($channel)->{status}, 'setup', 'a channel that is set up for an hour');
clock(advance_seconds => 3599);
is(ask($channel)->{status}, 'setup', '... is so for an hour');
clock(advance_seconds => 1);
is(ask($channel)->{status}, 'active', '... of the moved clock');
my $changed = ask("/v1/FlexFlows/$flow->{sid}", { FriendlyName => 'y' });
is("$changed->{date_created} $changed->{date_updated}", '2026-06-01T00:00:00Z 2026-06-01T01:00:00Z', 'what is changed has the new date');
clock(advance_seconds => -7200);
is(ask('/v1/FlexFlows', \%flow)->{date_created}, '2026-05-31T23:00:00Z', 'back again');
clock(stopped => JSON::PP::false);
ok(FlexApi::wait_until(sub { ask('/v1/FlexFlows', \%flow)->{date_created} gt '2026-05-31T23:00:00Z' }), 'a clock that goes on from there');
is(complaint('clock', { now => 'noon' }), '400 now: must be a date such as 2026-06-01T00:00:00Z', 'a date that is none');
is(complaint('clock', { advance_seconds => 1e12 }), '400 advance_seconds: leads out of the years 1970 to 9999', 'too far');
is(complaint('clock', { stopped => 'yes' }), '400 stopped: a clock has now, advance_seconds and stopped (true or false)', 'neither stopped nor not');
$simulator->post('reset');
isnt($simulator->get('clock')->{now} =~ s/T.*//r, '2026-05-31', "a reset makes it the machine's");

is_deeply($simulator->post('seed', { channels => 5000, plugins => 2, web_channels => 0 }), { channels => 5000, plugins => 2, web_channels => 0 }, 'a number of rows for each collection');
my ($rows, $pages, $path) = (0, 0, '/v1/Channels?PageSize=1000');
my %seen;
while ($path && $pages < 100)
{
	my $page = ask($path);
	$seen{ $_->{sid} } = 1 foreach @{ $page->{flex_chat_channels} };
	$pages++;
	$path = ($page->{meta}{next_page_url} // '') =~ s{^http://[^/]+}{}r;
}
is("$pages pages, " . scalar(keys %seen) . ' rows', '5 pages, 5000 rows', 'all of them are on the pages of the list');
is_deeply($simulator->post('seed', { '/v1/PluginService/Plugins/{}/Versions' => 300 }), { '/v1/PluginService/Plugins/{}/Versions' => 600 }, 'rows for each resource of a kind');
is_deeply($simulator->post('seed', { plugins => 2 }), { plugins => 4 }, 'further rows');
is(scalar(keys %{ { map { $_->{unique_name} => 1 } @{ ask('/v1/PluginService/Plugins')->{plugins} } } }), 4, '... with names of their own');
$interaction = ask('/v1/Interactions', { Channel => '{"type":"web"}' });
my $participants = "/v1/Interactions/$interaction->{sid}/Channels/$interaction->{channel}{sid}/Participants";
is_deeply($simulator->post('seed', { $participants => 1200 }), { $participants => 1200 }, 'rows for a single resource');
my $page = ask("$participants?PageSize=1000");
is(scalar @{ $page->{participants} }, 1000, '... a page of them');
is($page->{participants}[0]{interaction_sid}, $interaction->{sid}, '... which know whose they are');
is(complaint('seed', { birds => 1 }), '400 birds: no such collection', 'no such collection');
is(complaint('seed', { channels => -1 }), '400 channels: must be a number of rows from 0 to 10000000', 'no such number');
done_testing;
