# A sender claims a request in a transaction that takes long, so that another one, which looks
# again and again, has gone past it; then the other has to begin anew, for a schema was made.
# It sees the claim all the same.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('claims', $simulator, "flex_api.rate_limits = 'none'", "flex_api.timeout = '20min'", 'fsync = off');
my ($control, $looks, $claims) = map { FlexApi::Session->new($node) } 1 .. 3;
my $pid = $claims->pid;
my $STATUS = '/v1/account/provision/status';

sub came { my ($path) = @_; return scalar grep { $_->{path} eq $path } $simulator->requests; }

# Wait until the sender that looks has begun so many transactions, and some time is over.
sub looks_again
{
	my ($times, $seconds) = @_;
	my $end = time() + $seconds;
	my %begun;

	return FlexApi::wait_until(sub {
		my $begun = $control->value('SELECT xact_start FROM pg_stat_activity WHERE pid = ' . $looks->pid);
		$begun{$begun} = 1 if defined $begun;
		return time() > $end && keys %begun >= $times;
	});
}

$control->value($_) foreach 'SET client_min_messages = error',
	"CREATE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
		IF pg_backend_pid() = $pid THEN PERFORM pg_advisory_xact_lock(1); END IF; RETURN new; END \$\$",
	'CREATE TRIGGER waits BEFORE INSERT ON flex_outbox_claims FOR EACH ROW EXECUTE FUNCTION waits()',
	'SELECT pg_advisory_lock(1)';
$simulator->post('faults', [ map { { path => $_, times => -1, delay_ms => 1000 * 600 } } '/v2/WebChats', $STATUS ]);

my $id = $control->value("SELECT flex_enqueue('flex_provisioning_status_fetch', '{}')");
$claims->send_query('CALL flex_outbox_drain()');
ok(FlexApi::wait_until(sub { $control->value("SELECT count(*) FROM pg_locks WHERE pid = $pid AND NOT granted") > 0 }), 'a sender is about to claim a request');
# Another has something under way, and so stays; it tries the locked one again and again.
$control->value(q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}')});
$looks->send_query('CALL flex_outbox_drain()');
ok(FlexApi::wait_until(sub { came('/v2/WebChats') == 1 }), 'another has sent something');
ok(looks_again(5, 1), '... and goes past that transaction');
is(came($STATUS), 0, '... without sending what is locked');
$control->value('CREATE SCHEMA anew');
$control->value('SELECT pg_advisory_unlock(1)');
ok(FlexApi::wait_until(sub { came($STATUS) > 0 }), 'the first has claimed it, and sends it');
my $end = time() + 1;
ok(FlexApi::wait_until(sub { time() > $end }) && FlexApi::is_at_rest($control, $looks->pid), 'the other, which looks each tenth of a second, has seen that');
is(came($STATUS), 1, '... and has not sent it, too');
is($control->value("SELECT sender_pid FROM flex_outbox WHERE id = $id"), $pid, '... it is the first one\'s');
foreach my $drain ($looks, $claims)
{
	$control->value('SELECT pg_cancel_backend(' . $drain->pid . ')');
	is($drain->receive(60)->{error}->{C}, '57014', 'a drain ends');
}

$node->stop('fast');
done_testing;
