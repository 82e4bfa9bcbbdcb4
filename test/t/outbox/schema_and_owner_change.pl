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
my $later = $session->value($chat =~ s/\)$/, run_at => now() + interval '1 day')/r);
is($session->sqlstate("SELECT flex_outbox_cancel($later)"), '00000', '... and one is cancelled');
is($session->sqlstate("DELETE FROM flex_outbox_requests WHERE id = $later"), '00000', '... and deleted');
is($session->value("SELECT string_agg(succeeded || ' ' || cancelled, '') FROM flex_outbox_summary"), $session->value("SELECT count(*) || ' 0' FROM flex_outbox"), '... and counted');
my $sent = $session->value('SELECT max(id) FROM flex_outbox');
is($session->sqlstate("SELECT state FROM flex_outbox_await($sent)"), '00000', '... and waited for');
is($session->sqlstate(q{SELECT flex_configuration_merge('{"ui_attributes": {"theme": 1}}')}), '00000', '... and the configuration is merged');
$session->value($_) foreach 'CREATE TEMP TABLE dumped AS SELECT * FROM flex_outbox', 'DELETE FROM flex_outbox_requests';
is($session->sqlstate('INSERT INTO flex_outbox SELECT * FROM dumped'), '00000', '... and the rows of a dump are taken');
my $rows = q{SELECT string_agg(concat_ws(' ', id, state, enqueued_role, finished_at, response), ', ' ORDER BY id) FROM };
is($session->value("$rows flex_outbox"), $session->value("$rows dumped"), '... as they were');
is($session->value(q{SELECT string_agg(proname, ' ') FROM pg_proc WHERE pronamespace = 'two'::regnamespace AND prosrc ~ '\m(one|two)\.'}), undef,
	'... and no function has the name of its schema in its body');
$session->value('ALTER SCHEMA two RENAME TO one');
works('... and renamed back');
$session->value('DISCARD ALL');
$session->value('SET client_min_messages = error');
works('after DISCARD ALL');

# Another outbox takes the place of the one that the session knows, while it waits to enqueue
my $other = FlexApi::Session->new($node);
$other->value($_) foreach 'SET client_min_messages = error', 'CREATE ROLE stranger', 'GRANT USAGE ON SCHEMA one TO stranger';
is($session->sqlstate($chat), '00000', 'the session knows an outbox');
$other->value($_) foreach 'BEGIN', 'DROP EXTENSION flex_api', 'CREATE EXTENSION flex_api SCHEMA one', 'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA one TO stranger',
  'SET LOCAL ROLE stranger', $chat;
$session->send_query($chat);
my $waits = sprintf q{SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid = %d}, $session->pid;
ok(FlexApi::wait_until(sub { $node->safe_psql('postgres', $waits) }), '... and waits while somebody makes another, and is the first there');
$other->value('COMMIT');
is($session->receive(60)->{error}, undef, '... then it enqueues');
is($session->value('SELECT string_agg(enqueued_role::regrole::text, $$ $$ ORDER BY id) FROM flex_outbox'),
	'stranger ' . $session->value('SELECT current_user::regrole'), '... as its own role');
works('another outbox');
$session->value($_) foreach 'REVOKE ALL ON ALL FUNCTIONS IN SCHEMA one FROM stranger', 'REVOKE ALL ON SCHEMA one FROM stranger';

# The tables' owner is a plain role, the drainers are others
$session->value($_) for 'CREATE ROLE owner', 'GRANT ALL ON SCHEMA one TO owner', map { "ALTER TABLE $_ OWNER TO owner" }
  qw(flex_outbox_requests flex_outbox_roles flex_outbox_role_oids flex_outbox_callbacks flex_outbox_counts flex_outbox_forgetting flex_outbox_leftovers
	flex_outbox_lanes flex_outbox_marks flex_outbox_later flex_outbox_claims flex_outbox_ordered flex_outbox_freed_keys flex_outbox_expiring
	flex_outbox_holds flex_outbox_activity);
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
