# EXECUTE on the operation is needed when a request is enqueued, when it is retried and
# when it is sent: what was revoked in between keeps it back, until it is granted again.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('execute', $simulator, "flex_api.rate_limits = 'none'", 'fsync = off', 'client_min_messages = error');
my $super = FlexApi::Session->new($node);
my $CHAT = q{'flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}'};

$super->value($_) foreach 'CREATE ROLE alice LOGIN',
	'GRANT EXECUTE ON FUNCTION flex_enqueue, flex_webchat_create, flex_outbox_retry, flex_outbox_cancel TO alice',
	'CREATE FUNCTION fails(flex_outbox) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION \'no\'; END $$';
my $alice = FlexApi::Session->new($node, user => 'alice');

sub drain { return $super->sqlstate('CALL flex_outbox_drain()'); }
sub row { my ($id, $columns) = @_; return $super->value("SELECT concat_ws('|', $columns) FROM flex_outbox WHERE id = $id"); }
sub revoke { return $super->value('REVOKE EXECUTE ON FUNCTION flex_webchat_create FROM alice'); }
sub grant { return $super->value('GRANT EXECUTE ON FUNCTION flex_webchat_create TO alice'); }
sub make_due { my ($id) = @_; return $super->value("UPDATE flex_outbox_later SET due_at = now() WHERE id = $id"); }

# When it is sent
my $id = $alice->value("SELECT flex_enqueue($CHAT, max_attempts => 1)");
my $others = $super->value("SELECT flex_enqueue($CHAT)");
revoke();
is(drain(), '00000', 'a drain with a request whose role may not call the operation any more');
is(row($id, 'state, error_code, attempts, run_at > now()'), 'pending|42501|0|t', '... which waits, and no attempt is counted');
like(row($id, 'error_message'), qr/permission denied for function flex_webchat_create/, '... and says why');
is(row($others, 'state'), 'succeeded', '... others do not');
is(scalar($simulator->requests), 1, '... which alone are sent');
grant();
make_due($id);
drain();
is(row($id, 'state, attempts, error_message'), 'succeeded|1', '... and is sent when the right is granted again');

# When it is retried
$id = $alice->value("SELECT flex_enqueue($CHAT)");
$super->value("SELECT flex_outbox_cancel($id)");
revoke();
is($alice->sqlstate("SELECT flex_enqueue($CHAT)"), '42501', 'an enqueue without the right');
is($alice->sqlstate("SELECT flex_outbox_retry($id)"), '42501', '... nor a retry of what a superuser has cancelled');
is(row($id, 'state'), 'cancelled', '... which stays so');
is($super->sqlstate("SELECT flex_outbox_retry($id)"), '00000', 'a superuser may');
drain();
is(row($id, 'state, error_code'), 'pending|42501', '... but it waits for the right');
is($alice->sqlstate("SELECT flex_outbox_cancel($id)"), '00000', '... its role may cancel it');
grant();
is($alice->sqlstate("SELECT flex_outbox_retry($id)"), '00000', '... and retry it when the right is granted again');
drain();
is(row($id, 'state'), 'succeeded', '... then it is sent');

# Of an operation that another version had, a retry tells what is wrong with the request, not with a call
$id = $alice->value("SELECT flex_enqueue($CHAT)");
$super->value("UPDATE flex_outbox_requests SET state = 'cancelled', operation = 'flex_nothing_create' WHERE id = $id");
my $refused = $alice->query("SELECT flex_outbox_retry($id)")->{error};
is($refused->{C}, '55000', 'a retry of an operation that is not there');
is($refused->{M}, "request $id cannot be retried", '... names the request');
is($refused->{D}, 'The Flex API has no operation "flex_nothing_create".', '... and the operation');
is(row($id, 'state'), 'cancelled', '... which stays as it was');

# A callback that failed is not a request
$id = $alice->value("SELECT flex_enqueue($CHAT, on_success => 'fails')");
drain();
FlexApi::wait_until(sub { row($id, 'callback_error IS NOT NULL') eq 't' });
revoke();
is($alice->sqlstate("SELECT flex_outbox_retry($id)"), '00000', 'a callback can be repeated without the right');

# A role that cannot connect any more still may
grant();
$id = $alice->value("SELECT flex_enqueue($CHAT)");
$super->value(q{ALTER ROLE alice NOLOGIN VALID UNTIL '2000-01-01'});
drain();
is(row($id, 'state'), 'succeeded', 'LOGIN and VALID UNTIL are not looked at');

$node->stop('fast');
done_testing();
