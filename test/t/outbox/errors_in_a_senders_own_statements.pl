# What a sender's own statements may fail with.  A hold on an operation, which the
# service asked for, is not lost with the transaction that was to record it.  Where the
# extension has gone meanwhile and left its table behind, the error says so.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('own_statements', $simulator, "flex_api.rate_limits = 'none'", 'client_min_messages = error');
my $session = FlexApi::Session->new($node);
my $PAUSE = 3000;
my $HELD = "SELECT operation FROM flex_outbox_holds WHERE held_until > now() + interval '1 minute'";

# The first hold meets errors: in the transaction that settles its request, and in the one that settles it
# after that error.  A sequence counts, which no rollback takes back.
$session->value($_) foreach 'CREATE SEQUENCE tried',
	q{CREATE FUNCTION fail_twice() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN IF nextval('public.tried') <= 2 THEN RAISE EXCEPTION USING ERRCODE = 'XX001'; END IF; RETURN NEW; END $$},
	'CREATE TRIGGER fails BEFORE INSERT ON flex_outbox_holds FOR EACH ROW EXECUTE FUNCTION fail_twice()';
$simulator->post('faults', { status => 503, retry_after => $PAUSE });
$session->value("SELECT flex_enqueue('flex_provisioning_status_fetch', '{}')");
is($session->sqlstate('CALL flex_outbox_drain()'), 'XX001', 'a hold cannot be written');
is($session->value('SELECT last_value || state FROM tried, flex_outbox'), '2sending', '... nor after the error: nothing is recorded');
is($session->sqlstate('CALL flex_outbox_drain()'), '00000', 'the next drain');
is($session->value($HELD), 'flex_provisioning_status_fetch', '... holds the operation back');
is(scalar($simulator->requests), 1, '... and does not send its request again');
is($session->value('SELECT state FROM flex_outbox'), 'pending', '... which waits');

# One that cannot be written at all does not stop what else is to be recorded for longer than it lasts.
$session->value($_) foreach 'TRUNCATE flex_outbox_requests, flex_outbox_holds', 'ALTER SEQUENCE tried MINVALUE -1000000 RESTART -1000000';
$simulator->post('faults', { status => 503, retry_after => 1 });
$session->value("SELECT flex_enqueue('flex_provisioning_status_fetch', '{}')");
is($session->sqlstate('CALL flex_outbox_drain()'), 'XX001', 'a hold that no attempt can write');
ok(FlexApi::wait_until(sub { $session->sqlstate('CALL flex_outbox_drain()') eq '00000' }), '... is given up when it is over');
$session->value('DROP TRIGGER fails ON flex_outbox_holds');
$session->value('UPDATE flex_outbox_requests SET run_at = now()');
is($session->sqlstate('CALL flex_outbox_drain()'), '00000', 'a drain');
is($session->value('SELECT state FROM flex_outbox'), 'succeeded', '... sends the request');

# A table that the extension has left behind: what is prepared for it meets other columns.
$session->value(q{CREATE FUNCTION retry(bigint) RETURNS void LANGUAGE C AS 'flex_api', 'flex_api_outbox_retry'});
my $late = FlexApi::Session->new($node);
is($late->sqlstate("SELECT flex_enqueue('flex_provisioning_status_fetch', '{}')"), '00000', 'a session that knows the outbox');
$session->value($_) foreach 'ALTER EXTENSION flex_api DROP TABLE flex_outbox_requests', 'DROP EXTENSION flex_api CASCADE',
	'ALTER TABLE flex_outbox_requests RENAME COLUMN finished_at TO otherwise';
my $error = $late->query('SELECT retry(1)')->{error};
is("$error->{C} $error->{M}", '55000 the outbox of extension flex_api is not in this database', 'the extension is gone: told as that');
is($error->{H}, 'Use CREATE EXTENSION, or ALTER EXTENSION flex_api UPDATE.', '... with what to do');

$node->stop;
done_testing;
