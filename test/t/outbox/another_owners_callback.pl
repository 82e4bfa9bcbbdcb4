# A callback is the function that was named when the request was enqueued: its qualified
# name, its argument, its owner.  Behaviour: a function that another role makes in a name
# that has become free is not called, and the row says why; what its owner makes anew is,
# and so is a superuser's, or the enqueuing role's own.
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
my $node = FlexApi::node('owners', $simulator, "flex_api.rate_limits = 'none'");
my $super = FlexApi::Session->new($node);

$super->value($_) foreach 'SET client_min_messages = error', 'CREATE ROLE alice LOGIN; CREATE ROLE app LOGIN; CREATE ROLE mallory LOGIN',
	'GRANT EXECUTE ON FUNCTION flex_enqueue, flex_webchat_create, flex_outbox_retry TO alice', 'GRANT CREATE ON DATABASE postgres TO app, mallory',
	'CREATE TABLE told (what text, who name); GRANT INSERT ON told TO PUBLIC';
my %of = map { $_ => FlexApi::Session->new($node, user => $_) } 'alice', 'app', 'mallory';

# Make app.cb as a role, which notes something.
sub make
{
	my ($role, $what, $argument) = @_;
	my $session = $of{$role} // $super;

	$session->value($_) foreach 'CREATE SCHEMA IF NOT EXISTS app', 'GRANT USAGE ON SCHEMA app TO PUBLIC',
		'CREATE FUNCTION app.cb(r ' . ($argument // 'public.flex_outbox') . ") RETURNS void LANGUAGE sql AS \$\$ INSERT INTO public.told VALUES ('$what', current_user) \$\$";
	return;
}

# Take app.cb away, by a role.
sub drop { $super->value('DROP SCHEMA IF EXISTS app CASCADE; TRUNCATE told'); return; }

# What is noted of a request that is enqueued, before somebody does something, and sent after it; and how its callback failed.
sub told
{
	my ($session, $between) = @_;
	$super->value('DELETE FROM flex_outbox_callbacks; TRUNCATE told');
	my $id = enqueue($session, 'told', "on_success => 'app.cb'");

	$between->();
	$super->value('CALL flex_outbox_drain()');
	return ($super->value("SELECT string_agg(what || ' ' || who, ', ') FROM told"), $super->value("SELECT callback_error FROM flex_outbox WHERE id = $id"),
		$super->value("SELECT state FROM flex_outbox WHERE id = $id"), $id);
}

foreach my $victim ('alice', 'postgres')
{
	my $session = $of{$victim} // $super;

	foreach my $argument ('public.flex_outbox', 'record', 'anyelement', 'public.flex_outbox_requests')
	{
		drop();
		make('app', 'first');
		my ($noted, $error, $state, $id) = told($session, sub { drop(); make('mallory', 'stolen', $argument) if $argument ne 'record'; make('mallory', 'stolen', 'public.flex_outbox') if $argument eq 'record'; });
		is($noted, undef, "$victim: a function of mallory's, of $argument, is not called");
		like($error, qr/callback app\.cb belongs to role "mallory"|function app\.cb\(.*flex_outbox\) does not exist/, '... and the row says why');
		is($state, 'succeeded', '... its request has succeeded');
	}
}
drop();
make('app', 'first');
is_deeply([ (told($of{alice}, sub { }))[0, 1] ], [ 'first alice', undef ], 'its owner\'s is called');
is_deeply([ (told($of{alice}, sub { drop(); make('app', 'anew') }))[0, 1] ], [ 'anew alice', undef ], '... made anew, too');
is_deeply([ (told($of{alice}, sub { $super->value('TRUNCATE told; ALTER FUNCTION app.cb OWNER TO postgres') }))[0, 1] ], [ 'anew alice', undef ], '... and a superuser\'s');
drop();
make('app', 'first');
$super->value('GRANT CREATE ON DATABASE postgres TO alice');
is_deeply([ (told($of{alice}, sub { drop(); make('alice', 'own') }))[0, 1] ], [ 'own alice', undef ], '... and the role\'s own');
drop();
make('app', 'first');
is_deeply([ (told($of{alice}, sub { $super->value('ALTER ROLE app RENAME TO application') }))[0, 1] ], [ 'first alice', undef ], '... and one whose owner has another name');

# One that was given to another on purpose is another's, too, also for who retries in good faith; a superuser may say otherwise.
$super->value('TRUNCATE told');
my ($noted, $error, $state, $id) = told($of{alice}, sub { $super->value('REASSIGN OWNED BY application TO mallory') });
is($noted, undef, 'a function that was given to another is not called');
like($error, qr/belongs to role "mallory"/, '... and the row says why');
$of{alice}->value("SELECT flex_outbox_retry($id)");
$super->value('CALL flex_outbox_drain()');
is($super->value('SELECT what FROM told'), undef, '... nor by flex_outbox_retry()');
$super->value("UPDATE flex_outbox_requests SET on_success_owner = 'mallory'::regrole WHERE id = $id");
$of{alice}->value("SELECT flex_outbox_retry($id)");
$super->value('CALL flex_outbox_drain()');
is($super->value('SELECT what FROM told'), 'first', '... until a superuser says that it is the one');

$node->stop('fast');
done_testing;
