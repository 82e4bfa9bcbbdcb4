# What one role or one trigger does is nobody else's trouble: a request that no server would
# take is refused, or fails alone; a trigger on the outbox may call the service; and a table
# that takes the outbox's name when the extension is gone is none.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('neighbours', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'");
my $session = FlexApi::Session->new($node);
my $chat = q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}')};
my $workers = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'flex_api outbox worker'};

sub state_of { my ($id) = @_; return $session->value("SELECT state FROM flex_outbox_await($id)"); }

# A URL that is too long
my $long = q{jsonb_build_object('sid', repeat('x', 2000000))};
is($session->sqlstate("SELECT flex_enqueue('flex_plugin_fetch', $long)"), '54000', 'a URL that is too long is refused');
is($session->sqlstate(q{SELECT flex_plugin_fetch(repeat('x', 2000000))}), '54000', '... by a direct call as well');
my $large = q{jsonb_build_object('body', jsonb_build_object('note', repeat('x', 5000000)))};
is($session->sqlstate("SELECT flex_enqueue('flex_configuration_update', $large)"), '54000', '... so is a body that is too large');
$session->value('BEGIN');
my $id = $session->value(q{SELECT flex_enqueue('flex_plugin_fetch', '{"sid": "x"}')});
$session->value("UPDATE flex_outbox_requests SET arguments = $long WHERE id = $id");
my $other = $session->value($chat);
$session->value('COMMIT');
is(state_of($id), 'failed', 'one that is in the outbox already fails');
is($session->value("SELECT error_code FROM flex_outbox WHERE id = $id"), '54000', '... for that reason');
is(state_of($other), 'succeeded', '... and the next one is sent');

# A trigger that calls the service while answers come
$session->value(q{CREATE FUNCTION mirror() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	PERFORM public.flex_provisioning_status_fetch(); RETURN NULL; END $$});
$session->value(q{CREATE TRIGGER mirror AFTER UPDATE ON flex_outbox_requests FOR EACH ROW
	WHEN (OLD.state = 'pending' AND NEW.state = 'succeeded') EXECUTE FUNCTION mirror()});
$simulator->post('faults', { path => '/v2/WebChats', delay_ms => 500, skip => 1, times => 1 });
$simulator->post('faults', { path => '/v1/account/provision/status', delay_ms => 1500, times => 1 });
$session->value('BEGIN');
my @ids = map { $session->value($chat) } 1 .. 2;
$session->value('COMMIT');
is(join(' ', map { state_of($_) } @ids), 'succeeded succeeded', 'an answer that comes while a trigger calls the service');
$session->value('DROP TRIGGER mirror ON flex_outbox_requests');

# The extension goes, and somebody's table takes the outbox's name before the worker looks.  Sessions
# that have fallen behind keep the server from waking it.
$session->value('CREATE ROLE mallory LOGIN');
$session->value('GRANT CREATE ON SCHEMA public TO mallory');
my $mallory = FlexApi::Session->new($node, user => 'mallory');
my @tables = qw(flex_outbox_requests flex_outbox_role_oids flex_outbox_roles flex_outbox_callbacks flex_outbox_counts flex_outbox_forgetting flex_outbox_leftovers flex_outbox_holds flex_outbox_activity);
$session->value("CREATE TABLE my_$_ (LIKE $_ INCLUDING ALL); ALTER TABLE my_$_ OWNER TO mallory") foreach @tables;
$mallory->value($_) foreach 'CREATE TABLE seen (who name)', 'GRANT ALL ON seen TO PUBLIC',
	'CREATE FUNCTION called(my_flex_outbox_requests) RETURNS void LANGUAGE sql AS $$ INSERT INTO public.seen VALUES (current_user) $$',
	'INSERT INTO my_flex_outbox_activity VALUES (true)', 'INSERT INTO my_flex_outbox_role_oids VALUES (10, 1)',
	q{INSERT INTO my_flex_outbox_requests (operation, arguments, state, max_attempts, run_at, on_success, enqueued_by, role_id, enqueued_xid,
		enqueued_in) SELECT 'flex_provisioning_status_fetch', '{}', 'succeeded', 20, now(), 'public.called',
		'postgres', 1, '3', oid FROM pg_database WHERE datname = current_database()},
	'INSERT INTO my_flex_outbox_callbacks (id, role_id, due_at) SELECT id, 1, now() FROM my_flex_outbox_requests';
my @behind = map { FlexApi::Session->new($node, user => 'mallory') } 1 .. 15;
$_->send_query('SELECT pg_sleep(600)') foreach @behind;
$mallory->value('CREATE TABLE unrelated (n integer)');
is(state_of($session->value($chat)), 'succeeded', 'the worker has seen all that');
my $pid = $session->value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'flex_api outbox worker'");
ok(FlexApi::is_at_rest($session, $pid), '... and sleeps');
$session->value('SET client_min_messages = error');
$session->value('DROP EXTENSION flex_api CASCADE');
$mallory->value("ALTER TABLE my_$_ RENAME TO $_") foreach @tables;
# which wakes it
$session->value('SELECT pg_reload_conf()');
ok(FlexApi::wait_until(sub { $session->value($workers) == 0 }), 'the worker leaves when only a look-alike is there');
is($session->value('SELECT string_agg(who, $$ $$) FROM seen'), undef, '... and has called nothing of it');

done_testing;
