# Roles go and change their names, while requests wait.  Behaviour: requests of a role that
# is gone fail and say so; a role that has another name keeps its own.
use strict;
use warnings;

use FindBin;
use lib 'test/perl', "$FindBin::RealBin/../../crash";
use FlexApi;
use Outbox;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('changes', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'");
my $session = FlexApi::Session->new($node);

# Make waiting requests due.
sub due_now
{
	$session->value("UPDATE flex_outbox_later SET due_at = now()");
	$session->value('SELECT flex_outbox_wake()');
	return;
}

# Roles.  A callback runs as the role, whatever its name is then.
$session->value(q{
	CREATE TABLE called (who name, name text);
	GRANT INSERT ON called TO PUBLIC;
	GRANT CREATE ON SCHEMA public TO PUBLIC;
	CREATE FUNCTION tell(request flex_outbox) RETURNS void LANGUAGE sql
		AS 'INSERT INTO public.called VALUES (current_user, request.arguments->>''identity'')';
	CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN; CREATE ROLE carol LOGIN;
	GRANT EXECUTE ON FUNCTION flex_enqueue, flex_webchat_create TO alice, bob, carol;
});
my %id;
foreach my $role (qw(alice bob carol))
{
	my $there = FlexApi::Session->new($node, user => $role);
	$id{$role} = enqueue($there, $role, "run_at => now() + '1 hour', on_success => 'tell', on_failure => 'tell'");
	$there->close;
}
is($session->sqlstate('DROP ROLE bob'), '2BP01', 'a role that has rights cannot be dropped');
is($session->sqlstate('DROP OWNED BY bob; DROP ROLE bob'), '00000', 'without rights it can, in spite of its request');
$session->value('ALTER ROLE carol RENAME TO caroline');
due_now();
ok(reaches($session, $id{alice}, 'succeeded'), 'the request of a role that stayed is sent');
ok(reaches($session, $id{carol}, 'succeeded'), 'and that of one with a new name');
ok(reaches($session, $id{bob}, 'failed'), 'that of a role that is gone fails');
is($session->value("SELECT error_message FROM flex_outbox WHERE id = $id{bob}"), 'the role that enqueued the request does not exist', 'and says why');
is(sent($simulator, 'bob'), 0, 'it was not sent');
is($session->value("SELECT string_agg(who || ' ' || name, ', ' ORDER BY name) FROM called"), 'alice alice, caroline carol',
	'callbacks ran as the roles that are there');
my $there = FlexApi::Session->new($node, user => 'caroline');
my $again = enqueue($there, 'caroline', "on_success => 'tell'");
ok(reaches($there, $again, 'succeeded'), 'the new name enqueues and sees its request');

# A role's name taken by another one shows it nothing of the first's.
$session->value('CREATE ROLE carol LOGIN; GRANT EXECUTE ON FUNCTION flex_enqueue, flex_webchat_create, flex_outbox_retry TO carol');
my $other = FlexApi::Session->new($node, user => 'carol');
is($other->value('SELECT count(*) FROM flex_outbox'), 0, 'a new role of the old name sees nothing');
is($other->sqlstate("SELECT flex_outbox_retry($id{carol})"), 'P0002', 'and decides on nothing');

# A role that loses its right after it has enqueued: the check was made then.
my $before = enqueue($other, 'carol2', "run_at => now() + '1 hour'");
$session->value('REVOKE EXECUTE ON FUNCTION flex_webchat_create FROM carol');
is($other->sqlstate('SELECT ' . chat('carol3')), '42501', 'without the right nothing is enqueued');
is(state_of($session, $before), 'pending', 'what was enqueued with it waits on');

$node->stop;
done_testing();
