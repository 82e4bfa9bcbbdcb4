# All transactions of a drain are like the one of its CALL, whatever the session's defaults are: with snapshots
# that are as old as their transactions, it would send what another drain has claimed meanwhile.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# A service that answers a request, which has a word as its identity, when there is a file of that name
my $folder = PostgreSQL::Test::Utils::tempdir();
my $server = FlexApi::Server->new(sub {
	my ($connection, $server) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		my ($identity) = $request->{body} =~ /Identity=(\w+)/;
		$server->note($identity);
		FlexApi::wait_until(sub { -e "$folder/$identity" });
		print $connection FlexApi::Server::answer('{"identity": "x"}', '201 Created') or return;
	}
});
sub answer { my ($identity) = @_; return append_to_file("$folder/$identity", 'now'); }
sub came { my ($identity) = @_; return scalar($server->notes(qr/^$identity$/)); }

my $node = FlexApi::node('transactions', $server, "flex_api.rate_limits = 'none'");
my $session = FlexApi::Session->new($node);
$session->value($_) for (
	'SET client_min_messages = error',
	q{CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END $$},
	q{CREATE TRIGGER wait BEFORE UPDATE ON flex_outbox_requests FOR EACH ROW WHEN (OLD.arguments ->> 'identity' = 'first') EXECUTE FUNCTION wait()});

sub enqueue
{
	my ($identity) = @_;
	return $session->value(qq{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001", "identity": "$identity"}')});
}
sub state_of { my ($id) = @_; return $session->value("SELECT state FROM flex_outbox WHERE id = $id"); }

# A session with a default, in which one request is sent after the other, and how its drains begin
sub drainer
{
	my ($default) = @_;
	my $drainer = FlexApi::Session->new($node);
	$drainer->value($_) for ('SET client_min_messages = error', "SET default_transaction_$default", 'SET flex_api.concurrency = 1');
	return $drainer;
}
sub drain_as { my ($characteristics) = @_; return "DO 'BEGIN COMMIT; SET TRANSACTION $characteristics; CALL flex_outbox_drain(); END'"; }

# One drain waits in a transaction that has begun before another drain has claimed a request
my $slow = drainer("isolation = 'repeatable read'");
my $fast = FlexApi::Session->new($node);
my $first = enqueue('first');
$session->value('SELECT pg_advisory_lock(1)');
$slow->send_query(drain_as('ISOLATION LEVEL READ COMMITTED'));
ok(FlexApi::wait_until(sub { came('first') == 1 }), 'a drain sends a request');
my $second = enqueue('second');
answer('first');
ok(FlexApi::wait_until(sub { $session->value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == 1 }),
	'... and waits in the transaction that settles it');
$fast->send_query('CALL flex_outbox_drain()');
ok(FlexApi::wait_until(sub { came('second') == 1 }), 'another drain sends another request');
$session->value('SELECT pg_advisory_unlock(1)');
ok(FlexApi::wait_until(sub { came('second') == 2 || state_of($first) eq 'succeeded' }), 'the first drain goes on');
FlexApi::wait_until(sub { came('second') == 2 || $session->value('SELECT state FROM pg_stat_activity WHERE pid = ' . $slow->pid) eq 'idle' });
answer('second');
is($_->receive->{error}, undef, 'a drain ends well') foreach $slow, $fast;
is(came('second'), 1, 'the other request was sent once');
is(state_of($second), 'succeeded', '... and has its result');

# Transactions that must not write
my $reader = drainer('read_only = on');
answer('third');
my $third = enqueue('third');
my $error = $reader->query('CALL flex_outbox_drain()')->{error};
is("$error->{C} $error->{M}", '25006 cannot execute flex_outbox_drain() in a read-only transaction', 'a drain that must not write');
is(came('third'), 0, '... sends nothing');
is($reader->query(drain_as('READ WRITE'))->{error}, undef, 'one that may, in a session whose transactions otherwise must not');
is(state_of($third) . came('third'), 'succeeded1', '... records what it has sent');

$node->stop;
done_testing();
