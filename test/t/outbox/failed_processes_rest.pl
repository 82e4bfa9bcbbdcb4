# Where the processes of more roles fail than there can be processes, a drain ends with the first error, and
# tries each role once.  A worker tries each again once in a second, and goes on when the cause is gone.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $ROLES = 12;
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('rests', $simulator, "flex_api.rate_limits = 'none'", 'fsync = off', 'max_worker_processes = 20', "shared_preload_libraries = 'flex_api'", 'flex_api.delivery = off');
my ($super, $drains) = map { FlexApi::Session->new($node) } 1 .. 2;

# A callback is claimed by an update, which a trigger refuses: that is no error of the callback.
$super->value($_) foreach 'SET client_min_messages = error', 'CREATE TABLE called (who name)', 'CREATE SEQUENCE tries', 'GRANT ALL ON called, tries TO PUBLIC',
	'CREATE FUNCTION called(r flex_outbox) RETURNS void LANGUAGE sql AS $$ INSERT INTO public.called VALUES (session_user) $$',
	q{CREATE FUNCTION refuses() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('public.tries'); RAISE SQLSTATE 'ZZ001' USING MESSAGE = 'no claims'; END $$},
	'CREATE TRIGGER refuses BEFORE UPDATE ON flex_outbox_callbacks FOR EACH ROW EXECUTE FUNCTION refuses()';
foreach my $role (map { "role$_" } 1 .. $ROLES)
{
	$super->value($_) foreach "CREATE ROLE $role", "GRANT EXECUTE ON FUNCTION flex_enqueue, flex_webchat_create, called TO $role", "SET ROLE $role",
		q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}', on_success => 'public.called')}, 'RESET ROLE';
}
sub tries { return $super->value('SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM tries'); }

$drains->value($_) foreach 'SET client_min_messages = error', 'SET flex_api.delivery = on';
$drains->send_query('CALL flex_outbox_drain()');
my $result = eval { $drains->receive(60) };
ok($result, 'a drain ends') or $super->value("SELECT pg_terminate_backend(@{[ $drains->pid ]})");
is($result && $result->{error} && "$result->{error}->{C} $result->{error}->{M}", 'ZZ001 no claims', '... with the error of a process');
cmp_ok(tries(), '<=', $ROLES, '... it has tried each role once');
is($super->value(q{SELECT count(*) FROM flex_outbox WHERE state = 'sending' AND http_status = 201}), $ROLES, '... all requests are sent');

# The worker
my $before = tries();
my $began = time;
$super->value($_) foreach 'ALTER SYSTEM SET flex_api.delivery = on', 'SELECT pg_reload_conf()';
ok(FlexApi::wait_until(sub { tries() >= $before + 3 * $ROLES }), 'the worker tries again');
my $tried = tries() - $before;
cmp_ok($tried, '<=', $ROLES * (time() - $began + 2), '... each role once in a second');
$super->value('DROP TRIGGER refuses ON flex_outbox_callbacks');
ok(FlexApi::wait_until(sub { $super->value('SELECT count(DISTINCT who) FROM called') == $ROLES }), '... when nothing refuses any more all callbacks are called');
is($super->value('SELECT count(*) FROM called'), $ROLES, '... once');

$node->stop('fast');
done_testing();
