# The pages, in a real browser: what they show is what there is, buttons work, what comes
# from requests is no markup, and the console says nothing.  FLEX_SCREENSHOTS names a
# folder for pictures of them.

use strict;
use warnings;

use FindBin;
use FlexApi;
use FlexBrowser;
use HTTP::Tiny;
use JSON::PP;
use Test::More;

plan skip_all => 'there is no Chromium here' unless FlexBrowser::program();

my $two = 'AC' . '2' x 32;
my $simulator = FlexApi::Simulator->new('--setup-ms', 1);
my $url = $simulator->url =~ s{//}{//$FlexApi::ACCOUNT:$FlexApi::TOKEN@}r;
my $http = HTTP::Tiny->new;
my $browser = FlexBrowser->new;

sub picture { my ($name) = @_; $browser->screenshot("$ENV{FLEX_SCREENSHOTS}/$name.png") if $ENV{FLEX_SCREENSHOTS}; return; }

# The text of a part of the page.
sub text { my ($selector) = @_; return $browser->evaluate("document.querySelector('$selector').innerText"); }
sub shows { my ($selector, $pattern, $name) = @_; return ok(FlexApi::wait_until(sub { text($selector) =~ $pattern }), $name) || diag(text($selector)); }

$browser->open($simulator->url . '/simulator');
shows('#state', qr/^live$/, 'the page is live');
shows('#requests', qr/none yet/, '... before there is any request');

$simulator->post('seed', { channels => 1234, flows => 3 });
$simulator->post('accounts', { accounts => [ { account_sid => $two, auth_token => 'x', status => 'suspended' } ] });
$simulator->post('webhooks', { webhook_url => 'http://127.0.0.1:9/#rc=0' });
my $made = decode_json($http->post_form("$url/v1/Interactions", { Channel => '{"type":"web"}', Routing => '{"properties":{}}' })->{content});
$http->get("$url/v1/Channels?PageSize=3") foreach 1 .. 30;
$simulator->post('faults', [ { fault => '503', operation => 'flex_flows_list', times => 5 }, { fault => 'slow', operation => 'flex_flow_fetch', times => -1 } ]);
$http->get("$url/v1/FlexFlows") foreach 1 .. 4;
$simulator->post('limits', { per_operation => 0.001 });
$http->get("$url/v1/WebChannels") foreach 1 .. 9;
my $markup = '%3Cimg%20src=x%20onerror=document.title=1%3E<img/src=x/onerror=document.title=1>';
$http->get($simulator->url . "/v1/Channels/$markup");

shows('#accounts', qr{/v1/Channels\s+1234}, 'it shows how many rows there are');
shows('#accounts', qr/\Q$FlexApi::ACCOUNT\E/, '... of which account');
shows('#interactions', qr/\Q$made->{sid}\E\s+web\s+active\s+pending/, '... how an interaction is');
shows('#requests', qr{GET /v1/FlexFlows\s+503}, '... the last requests');
shows('#faults', qr/"503".*\s1\n/, '... what is left of a fault');
shows('#faults', qr/for ever/, '... or that it is for ever');
shows('#limits', qr/^0\.001 per second of each operation$/, '... the limits');
shows('#deliveries', qr/onChannelCreated\s+1/, '... what became of webhooks');
shows('#requests', qr/\Q<img\E/, '... and markup as text');
isnt($browser->evaluate('document.title'), '1', '... which does nothing');
cmp_ok($browser->evaluate('document.querySelectorAll("#traffic rect").length'), '>=', 3, 'bars for each kind of answer');
picture('live');

$browser->evaluate('[...document.querySelectorAll("#interactions button")].find(button => button.textContent === "join").click()');
shows('#interactions', qr/active\s+assigned/, 'a button has an agent join');
$browser->evaluate('[...document.querySelectorAll("#interactions button")].find(button => button.textContent === "close").click()');
shows('#interactions', qr/closed\s+completed/, '... and close');

$browser->open($simulator->url . '/simulator/openapi');
# All tables of facts, without their head lines.
my $all = -3 + scalar map { split /\n/, FlexApi::content($_) } map { glob "$FindBin::RealBin/../../facts/$_" } 'operations.tsv', '*/operations.tsv';
shows('#count', qr/^$all of $all$/, 'the page of operations has them all');
$browser->evaluate('(filter => { filter.value = "post interactions"; filter.dispatchEvent(new Event("input")) })(document.getElementById("filter"))');
shows('#count', qr/^8 of $all$/, '... or those with some words');
$browser->evaluate('document.querySelector("details:not([hidden])").open = true');
like(text('details:not([hidden])'), qr{POST\s*/v1/Interactions/\{InteractionSid\}/Channels/\{Sid\} flex_interaction_channel_update.*Status\s+form\s+yes}s, '... with their parameters');
picture('operations');

is_deeply([ $browser->console ], [], 'the console says nothing');
done_testing;
