# Senders that send side by side divide the new requests among them: each is sent once, and that costs
# little more than where one sends all of them.  What falls to a sender that does not claim it is sent
# by another, before a drain ends.

use strict;
use warnings;

use FlexApi;
use List::Util qw(min);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $COUNT = 4000;
my $SESSIONS = 4;
my $MOST = 3; # times as many transactions as one sender needs; without a division it is four times as many
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('side', $simulator, "flex_api.rate_limits = 'none'", 'autovacuum = off', 'flex_api.concurrency = 20');
my $control = FlexApi::Session->new($node);
my @drainers = map { FlexApi::Session->new($node) } 1 .. $SESSIONS;
$_->value('SET client_min_messages = error') for $control, @drainers;
$simulator->post('settings', { record => JSON::PP::false });

sub enqueue
{
	my ($count) = @_;
	return $control->value("SELECT count(flex_enqueue('flex_webchat_create', jsonb_build_object('address_sid', 'IG' || md5(g::text), "
		. "'identity', 'customer ' || g))) FROM generate_series(1, $count) AS g");
}

# How many requests the service has seen.
sub seen { return $simulator->get('counters')->{requests}; }

# Transactions that have been committed, by all that has told so far.
sub transactions
{
	$_->value('SELECT pg_stat_force_next_flush()') for $control, @drainers;
	return $control->value('SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()');
}

# Have so many sessions drain side by side; returns how many transactions that took.
sub drain
{
	my ($sessions) = @_;

	enqueue($COUNT);
	my ($transactions, $seen) = (transactions(), seen());
	$_->send_query('CALL flex_outbox_drain()') for @drainers[ 0 .. $sessions - 1 ];
	is_deeply([ grep { defined } map { $_->receive(180)->{error} } @drainers[ 0 .. $sessions - 1 ] ], [], "$sessions drains end");
	is(seen() - $seen, $COUNT, '... each request was sent once');
	is($control->value(q{SELECT count(*) FROM flex_outbox WHERE state <> 'succeeded' OR attempts <> 1}), 0, '... and succeeded');
	return transactions() - $transactions;
}

drain($SESSIONS); # plans and caches
my $one = drain(1);
my $together = drain($SESSIONS);
# One that is held up for long has others take what falls to it, when it goes on.
$together = min($together, drain($SESSIONS)) for 1 .. ($together > $MOST * $one ? 2 : 0);
cmp_ok($together, '<=', $MOST * $one, "$SESSIONS senders needed $together transactions, one $one");

# A sender that has a claim, and claims no more
{
	my $gate = FlexApi::Server->new(sub {
		my ($connection, $server) = @_;
		FlexApi::Server::read_request($connection) or return;
		$server->note('came');
		FlexApi::wait_until(sub { $server->notes(qr/^open$/) > 0 }, 120);
		print $connection FlexApi::Server::answer('{"sid": "CH1"}', '201 Created');
	});
	my ($slow, $other) = @drainers;
	my $waiting = 200;

	$slow->value("SET flex_api.base_url = '" . $gate->url . "'");
	enqueue(1);
	$slow->send_query('CALL flex_outbox_drain(1)');
	ok(FlexApi::wait_until(sub { $gate->notes(qr/^came$/) > 0 }), 'a sender has one request under way');
	# Of one that has claimed nothing for a while nothing is expected.
	$control->value(q{UPDATE flex_outbox_claims SET claimed_at = 'infinity'});
	enqueue($waiting);
	my $seen = seen();
	is($other->sqlstate('CALL flex_outbox_drain()'), '00000', 'another drains');
	is(seen() - $seen, $waiting, '... and sends also what falls to the first');
	$gate->note('open');
	is($slow->receive(60)->{error}, undef, 'the first ends');
	is($control->value(q{SELECT count(*) FROM flex_outbox WHERE state <> 'succeeded' OR attempts <> 1}), 0, 'each request has succeeded');
}

done_testing();
