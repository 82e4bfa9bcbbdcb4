# Nothing of a request is so large that sending it, or telling why it was not sent, is everybody's trouble.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = PostgreSQL::Test::Cluster->new('sizes');
$node->init;
$node->append_conf('postgresql.conf', join("\n", "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'",
	"flex_api.base_url = '" . $simulator->url . "'", "flex_api.credentials_file = 'credentials'", ''));
my $file = $node->data_dir . '/credentials';
append_to_file($file, "AC00000000000000000000000000000000:*:AC00000000000000000000000000000000:test-token\n");
chmod 0600, $file;
$node->start;
my $session = FlexApi::Session->new($node);
$session->value($_) foreach 'CREATE EXTENSION flex_api', 'CREATE ROLE mallory LOGIN',
	'GRANT EXECUTE ON FUNCTION flex_enqueue, flex_webchat_create, flex_request TO mallory';
my $mallory = FlexApi::Session->new($node, user => 'mallory');

my $chat = q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}')};
sub state_of { my ($id) = @_; return $session->value("SELECT state FROM flex_outbox_await($id)"); }
is(state_of($session->value($chat)), 'succeeded', 'the worker sends');

# An account's name of 540 MB, which the error of each of its requests would tell
my $refused = $mallory->sqlstate(q{SELECT set_config('flex_api.account_sid', repeat('A', 540000000), false)});
is($refused, '22023', 'an account that is no SID is refused');
if ($refused eq '00000')
{
	$mallory->value("SELECT count(*) FROM (SELECT (flex_enqueue('flex_webchat_create', '{\"address_sid\": \"IG00000000000000000000000000000001\"}')) FROM generate_series(1, 2)) AS s");
}
is(state_of($session->value($chat)), 'succeeded', '... and others send');
$session->value('BEGIN');
my $id = $session->value($chat);
$session->value("UPDATE flex_outbox_requests SET account_sid = repeat('A', 100000) WHERE id = $id");
my $other = $session->value($chat);
$session->value('COMMIT');
is(state_of($other), 'succeeded', 'beside one that is in the outbox already, another is sent');
is($session->value("SELECT concat_ws(' ', state, error_code, length(error_message)) FROM flex_outbox WHERE id = $id"),
	'pending 55000 4000', '... and the message of the one is cut off');
$session->value("SELECT flex_outbox_cancel($id)");

# A header that is too long
my $long = q{jsonb_build_object('address_sid', 'IG00000000000000000000000000000001', 'ui_version', repeat('x', 100000))};
is($session->sqlstate("SELECT flex_enqueue('flex_webchat_create', $long)"), '54000', 'a header that is too long is refused');
is($session->sqlstate(q{SELECT flex_webchat_create('IG00000000000000000000000000000001', repeat('x', 100000))}), '54000', '... by a direct call as well');
$session->value('BEGIN');
$id = $session->value($chat);
$session->value("UPDATE flex_outbox_requests SET arguments = $long WHERE id = $id");
$other = $session->value($chat);
$session->value('COMMIT');
is(state_of($id), 'failed', 'one that is in the outbox already fails');
is($session->value("SELECT error_code FROM flex_outbox WHERE id = $id"), '54000', '... for that reason');
is(state_of($other), 'succeeded', '... and the next one is sent');

# Answers that are small on the wire, and as trees would be hundreds of times as large
my $objects = '[' . '{},' x 5_000_000 . '{}]';
my %ANSWERS = (
	'/objects' => [ 200, '', $objects ],
	'/v1/Channels' => [ 200, '', '{"meta": {"key": "flex_chat_channels", "next_page_url": null}, "flex_chat_channels": [{"sid": null, "x": ' . $objects . '}]}' ],
	'/refusal' => [ 400, '', '{"message": "no", "details": ' . $objects . '}' ],
	'/headers' => [ 200, "a: 1\r\n" x 2000, '{}' ],
	'/numbers' => [ 200, '', '[' . '1,' x 1_000_000 . '1]' ]);
my $server = FlexApi::Server->new(sub {
	my ($connection) = @_;
	my $asked = '';

	sysread($connection, $asked, 65536, length $asked) or return while $asked !~ /\r\n\r\n/;
	my ($status, $headers, $body) = @{ $ANSWERS{ ($asked =~ m{^GET ([^ ?]+)})[0] } };
	print $connection "HTTP/1.1 $status X\r\nContent-Length: " . length($body) . "\r\nConnection: close\r\n$headers\r\n$body";
	});
$session->value("SET flex_api.base_url = '" . $server->url . "'");
$session->value('SET flex_api.max_retries = 0');
my $before = FlexApi::status_of($session->pid, 'VmHWM');
sub answer { my ($path) = @_; return $session->sqlstate("SELECT jsonb_array_length(body) FROM flex_request('GET', '$path')"); }
is(answer('/objects'), '00000', 'an answer of nothing but objects is taken');
is($session->sqlstate('SELECT count(*) FROM flex_channels_list()'), '00000', '... so is a row of a list');
is(answer('/refusal'), 'TW400', 'a refusal need not be read');
is(answer('/headers'), '08006', 'an answer of thousands of headers is refused');
my $grown = FlexApi::status_of($session->pid, 'VmHWM') - $before;
cmp_ok($grown, '<', 400_000 * ($ENV{FLEX_SLOW_BUILD} ? 2 : 1), "... and all that takes little memory ($grown kB)");
is(answer('/numbers'), '00000', 'a million numbers are taken');

done_testing;
