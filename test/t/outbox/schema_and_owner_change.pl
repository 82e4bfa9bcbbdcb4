# The outbox where its surroundings change: another schema's name, another owner
# of its tables, the extension gone and come again, all under sessions that have
# used it before.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('surroundings', $simulator, "flex_api.rate_limits = 'none'", 'fsync = off', "search_path = 'one, two, public'");
my $session = FlexApi::Session->new($node);
my $chat = q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}')};

# Enqueue, drain and see what becomes of it, all in the session.
sub works
{
	my ($name) = @_;

	is($session->sqlstate($chat), '00000', "$name: enqueue");
	is($session->sqlstate('CALL flex_outbox_drain()'), '00000', "$name: drain");
	is($session->value('SELECT string_agg(DISTINCT state, $$ $$) FROM flex_outbox'), 'succeeded', "$name: sent");
	return;
}

$session->value('SET client_min_messages = error');
works('at first');
$session->value('DROP EXTENSION flex_api');
is($session->sqlstate($chat), '42883', 'without the extension');
$session->value('CREATE SCHEMA one');
$session->value('CREATE EXTENSION flex_api SCHEMA one');
works('in another schema');
$session->value('ALTER SCHEMA one RENAME TO two');
works('the schema renamed');
$session->value('ALTER SCHEMA two RENAME TO one');
works('... and renamed back');
$session->value('DISCARD ALL');
$session->value('SET client_min_messages = error');
works('after DISCARD ALL');

# The tables' owner is a plain role, the drainers are others
$session->value($_) for 'CREATE ROLE owner', 'GRANT ALL ON SCHEMA one TO owner', map { "ALTER TABLE $_ OWNER TO owner" }
  qw(flex_outbox_requests flex_outbox_roles flex_outbox_role_oids flex_outbox_callbacks flex_outbox_forgetting flex_outbox_leftovers
	flex_outbox_lanes flex_outbox_marks flex_outbox_later flex_outbox_claims flex_outbox_holds flex_outbox_activity);
works('another owner');
$session->value('DELETE FROM flex_outbox_requests');
$simulator->clear_requests;
$simulator->post('faults', { delay_ms => 700, times => 2 });
my ($first, $second) = map { FlexApi::Session->new($node) } 1 .. 2;
$session->value($chat);
$session->value(q{SELECT flex_enqueue('flex_provisioning_status_fetch', '{}')});
$first->send_query('CALL flex_outbox_drain()');
ok(FlexApi::wait_until(sub { $simulator->requests == 2 }), 'requests are in flight');
is($second->sqlstate('CALL flex_outbox_drain()'), '00000', 'another drain');
is($first->receive(20)->{error}, undef, '... and the first one end well');
is($session->value('SELECT string_agg(state, $$ $$) FROM flex_outbox'), 'succeeded succeeded', 'nobody took them for left behind');
is(scalar($simulator->requests), 2, '... nor sent them twice');

$node->stop('fast');
done_testing();
