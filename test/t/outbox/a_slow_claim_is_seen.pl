# A sender claims a request in a transaction that takes long, so that the worker, which looks
# again and again, has gone past it; then the worker has to begin anew, after an error.
# It sees the claim all the same.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('claims', $simulator, "flex_api.rate_limits = 'none'", "flex_api.timeout = '20min'", 'fsync = off',
	"shared_preload_libraries = 'flex_api'", 'flex_api.delivery = off');
my ($control, $claims) = map { FlexApi::Session->new($node) } 1 .. 2;
my $pid = $claims->pid;
my $STATUS = '/v1/account/provision/status';

sub came { my ($path) = @_; return scalar grep { $_->{path} eq $path } $simulator->requests; }

# Have the worker send other requests, so many, until some time is over: it looks for each.
sub looks_again
{
	my ($times, $seconds) = @_;
	my $end = time() + $seconds;

	while ($times-- > 0 || time() < $end)
	{
		my $id = $control->value(q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}')});
		return 0 if !FlexApi::wait_until(sub { $control->value("SELECT state FROM flex_outbox WHERE id = $id") eq 'succeeded' });
		sleep(0.02); # the service keeps the last thousand requests
	}
	return 1;
}

$control->value($_) foreach 'SET client_min_messages = error', 'CREATE TABLE failures ()',
	"CREATE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
		IF pg_backend_pid() = $pid THEN PERFORM pg_advisory_xact_lock(1);
		ELSIF EXISTS (SELECT FROM public.failures) THEN RAISE 'it fails'; END IF; RETURN new; END \$\$",
	'CREATE TRIGGER waits BEFORE INSERT ON flex_outbox_claims FOR EACH ROW EXECUTE FUNCTION waits()',
	'SELECT pg_advisory_lock(1)';
$simulator->post('faults', { path => $STATUS, times => -1, delay_ms => 1000 * 600 });

my $id = $control->value("SELECT flex_enqueue('flex_provisioning_status_fetch', '{}')");
$claims->value('SET flex_api.delivery = on');
$claims->send_query('CALL flex_outbox_drain()');
ok(FlexApi::wait_until(sub { $control->value("SELECT count(*) FROM pg_locks WHERE pid = $pid AND NOT granted") > 0 }), 'a sender is about to claim a request');
$control->value($_) foreach 'ALTER SYSTEM SET flex_api.delivery = on', 'SELECT pg_reload_conf()';
ok(looks_again(3, 1), 'the worker tries it, too, and goes past that transaction');
is(came($STATUS), 0, '... without sending what is locked');
$control->value('INSERT INTO failures DEFAULT VALUES');
my $chat = $control->value(q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}')});
ok(FlexApi::wait_until(sub { slurp_file($node->logfile) =~ /it fails/ }), '... has to begin anew');
$control->value('DELETE FROM failures');
is($control->value("SELECT state FROM flex_outbox_await($chat)"), 'succeeded', '... and sends something else');
ok(looks_again(3, 1), '... and goes past that transaction again');
$control->value('SELECT pg_advisory_unlock(1)');
ok(FlexApi::wait_until(sub { came($STATUS) > 0 }), 'the first has claimed it, and sends it');
# What it has found locked it tries again within some seconds.
ok(looks_again(2, 6), 'the worker has looked since');
is(came($STATUS), 1, '... and has not sent it, too');
is($control->value("SELECT sender_pid FROM flex_outbox WHERE id = $id"), $pid, '... it is the first one\'s');
$control->value("SELECT pg_cancel_backend($pid)");
is($claims->receive(60)->{error}->{C}, '57014', 'the drain ends');

$node->stop('fast');
done_testing;
