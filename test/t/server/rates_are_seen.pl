# flex_stat_rates: what may be sent of each account and operation, what was learned from
# refusals, until when nothing is sent and why (as the service has asked, which counts for an hour
# at most, or as it refuses everything); and which roles see it.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $OTHER = 'AC' . '1' x 32;
my $node = FlexApi::node('seen', $simulator, "shared_preload_libraries = 'flex_api'", 'fsync = off');
my $session = FlexApi::Session->new($node);

sub rate
{
	my ($operation, $columns, $as) = @_;
	return ($as // $session)->query("SELECT $columns FROM flex_stat_rates WHERE account = '$FlexApi::ACCOUNT' AND operation = '$operation'")->{rows};
}

# Nothing is known before something was sent; then the published limit, and no more than that
is_deeply(rate('flex_webchat_create', 'operation'), [], 'an operation that was not called has no row');
is($session->value("SELECT count(*) FROM flex_call_many('flex_webchat_create', ARRAY['{\"address_sid\": \"IG00000000000000000000000000000001\"}'::jsonb]) WHERE sqlstate IS NULL"), 1, 'a web chat');
is_deeply(rate('flex_webchat_create', 'configured_rate, learned_rate, tokens BETWEEN 0 AND 1, held_until, held_because, throttled'), [ [ 5, undef, 't', undef, undef, 0 ] ], 'its rate');
$session->value("SET flex_api.rate_limits = 'flex_webchat_create=0'");
is_deeply(rate('flex_webchat_create', 'configured_rate, tokens'), [ [ 0, 0 ] ], '... as this session has it: paused');
$session->value("SET flex_api.rate_limits = 'none'");
is_deeply(rate('flex_webchat_create', 'configured_rate, tokens'), [ [ undef, undef ] ], '... or without a limit');
$session->value('RESET flex_api.rate_limits');

# Refusals: counted, and a rate is learned
$simulator->post('faults', { operation => 'flex_flows_list', status => 429, times => 2 });
is($session->sqlstate('SELECT count(*) FROM flex_flows_list()'), '00000', 'refused twice');
is_deeply(rate('flex_flows_list', 'throttled, learned_rate > 0'), [ [ 2, 't' ] ], '... is counted, and a rate is learned');

# The worker's request is answered with 503 and the wish to be left alone for a day: for an hour that holds, and others see it
$simulator->post('faults', { operation => 'flex_channel_fetch', status => 503, retry_after => '86400' });
my $id = $session->value("SELECT flex_enqueue('flex_channel_fetch', '{\"sid\": \"CH00000000000000000000000000000001\"}')");
ok(FlexApi::wait_until(sub { @{ rate('flex_channel_fetch', '1') } && $session->value("SELECT attempts = 1 AND state = 'pending' FROM flex_outbox WHERE id = $id") eq 't' }), 'a request is to wait for a day');
is_deeply(rate('flex_channel_fetch', "held_until BETWEEN now() + interval '30 minutes' AND now() + interval '1 hour', held_because, tokens"), [ [ 't', 'asked', 0 ] ], '... for an hour, it is seen');
is($session->value("SELECT run_at <= now() + interval '1 hour' FROM flex_outbox WHERE id = $id"), 't', '... and so is it sent again then');
is_deeply(rate('flex_flows_list', 'held_until'), [ [undef] ], '... other operations are not held');

# A service that refuses all, without a word on how long
$simulator->post('faults', { operation => 'flex_flow_fetch', status => 429, times => -1 });
$session->value("SELECT flex_enqueue('flex_flow_fetch', '{\"sid\": \"FO00000000000000000000000000000001\"}')");
ok(FlexApi::wait_until(sub { (rate('flex_flow_fetch', 'held_because')->[0][0] // '') eq 'refused' }), 'everything is refused, and nothing sent for a while');
$simulator->clear_faults;

# Another account
my $other = FlexApi::Session->new($node);
$other->value("SET flex_api.account_sid = '$OTHER'; SET flex_api.auth_token = 'x'");
$other->query('SELECT count(*) FROM flex_flows_list()');
is($session->value("SELECT count(*) FROM flex_stat_rates WHERE account = '$OTHER' AND operation = 'flex_flows_list' AND throttled = 0"), 1, 'another account has a row of its own');

# What each role sees
$session->value('CREATE ROLE plain LOGIN; CREATE ROLE monitors LOGIN IN ROLE pg_monitor');
my $plain = FlexApi::Session->new($node, user => 'plain');
my $monitors = FlexApi::Session->new($node, user => 'monitors');
is($plain->value("SELECT string_agg(DISTINCT account, ' ') FROM flex_stat_rates"), $FlexApi::ACCOUNT, 'a role sees the account as which its calls are made');
is_deeply(rate('flex_flows_list', 'throttled', $plain), [ [2] ], '... with all of it');
$plain->value("SET flex_api.account_sid = '$OTHER'; SET flex_api.auth_token = 'x'");
is($plain->value('SELECT count(*) FROM flex_stat_rates'), 0, '... and none that it names itself');
is($monitors->value("SELECT string_agg(DISTINCT account, ' ' ORDER BY account) FROM flex_stat_rates"), "$FlexApi::ACCOUNT $OTHER", 'pg_read_all_stats sees all');

$node->stop('fast');
done_testing();
