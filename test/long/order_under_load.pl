# Many sessions enqueue with few and with many ordering keys, and many sessions send at once: no
# two requests of a key are under way at the same time, each follows those before it, and
# none is left behind.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $SESSIONS = 20;
my $EACH = 25; # requests of a session
my $MANY = $ENV{FLEX_SLOW_BUILD} ? 200 : 1000; # keys
my $FAILS = 7; # one in so many has to be sent again

# Notes the number in a channel's SID, when it comes and when it is answered.
my $server = FlexApi::Server->new(sub {
	my ($connection, $server) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		my ($key, $number) = $request->{path} =~ /CH(\d{16})(\d{16})/;
		$server->note(sprintf '+ %d %d', $key, $number);
		my $status = rand() * $FAILS < 1 ? '503 Service Unavailable' : '200 OK';
		$server->note(sprintf '- %d %d %s', $key, $number, $status);
		print $connection FlexApi::Server::answer('{"sid": "CH2"}', $status) or return;
	}
});
my $node = FlexApi::node('load', $server, "flex_api.rate_limits = 'none'", 'fsync = off', 'max_connections = 60', 'max_prepared_transactions = 5',
	'flex_api.concurrency = 10');
my $session = FlexApi::Session->new($node);
my @sessions = map { my $new = FlexApi::Session->new($node); $new->value('SET client_min_messages = error'); $new } 1 .. $SESSIONS;
$session->value('SET client_min_messages = error');

# What was wrong in the order in which requests came: of each key (its number is the first one noted) one at a time,
# numbers that were enqueued one after another in that order.
sub disorder
{
	my ($order_of) = @_;
	my (%under_way, %last, @wrong);
	foreach ($server->notes)
	{
		my ($sign, $key, $number, $status) = /^([+-]) (\d+) (\d+) ?(\d*)/ or next;
		push @wrong, "$number beside $under_way{$key}" if $sign eq '+' && exists $under_way{$key};
		my $order = $order_of->($key, $number);
		push @wrong, "$number after $last{$order}" if $sign eq '+' && $number < ($last{$order} // -1);
		$last{$order} = $number;
		$under_way{$key} = $number if $sign eq '+';
		delete $under_way{$key} if $sign eq '-';
	}
	return join(', ', @wrong[0 .. ($#wrong < 4 ? $#wrong : 4)]);
}

# Have all sessions do something at once.
sub at_once
{
	my ($query) = @_;
	$sessions[$_]->send_query($query->($_)) foreach 0 .. $#sessions;
	foreach my $one (@sessions)
	{
		my $error = $one->receive(600)->{error};
		return $error->{M} if $error;
	}
	return 'none';
}

# A request whose number says its key and its place.
sub enqueued { my ($key, $number) = @_; return "flex_enqueue('flex_channel_fetch', jsonb_build_object('sid', 'CH' || lpad(($key)::text, 16, '0') || lpad(($number)::text, 16, '0')), ordering_key => 'key ' || $key)"; }

# Drain until nothing is left that waits for its next attempt.
sub drain_all
{
	for (my $rounds = 0; $rounds < 200; $rounds++)
	{
		my $error = at_once(sub { 'CALL flex_outbox_drain()' });
		return $error if $error ne 'none';
		$session->value("UPDATE flex_outbox_later SET due_at = now()");
		return 'none' if $session->value("SELECT count(*) FROM flex_outbox WHERE state IN ('pending', 'sending')") == 0;
	}
	return 'requests are left: ' . $session->value("SELECT string_agg(concat_ws(' ', id, state, waits_for), ', ') FROM flex_outbox WHERE state IN ('pending', 'sending')");
}

# Enqueued before: by their ids, whoever has enqueued.
is(at_once(sub { my ($own) = @_; sprintf 'DO $$ BEGIN FOR n IN 1..%d LOOP PERFORM %s; COMMIT; END LOOP; END $$', $EACH, enqueued('n % 5', "$own") }), 'none',
	"$SESSIONS sessions enqueue with 5 keys");
is(drain_all(), 'none', '... and all of them send');
# The number is the session's: the order is seen in the rows.
is($session->value(q{SELECT count(*) FROM flex_outbox WHERE state <> 'succeeded'}), 0, '... all of it');
is($session->value(q{SELECT count(*) FROM (SELECT started_at, lag(started_at) OVER (PARTITION BY ordering_key ORDER BY id) AS before,
	lag(finished_at) OVER (PARTITION BY ordering_key ORDER BY id) AS ended FROM flex_outbox) AS o WHERE started_at < before OR started_at < ended}), 0, '... in the order of their ids');
is(disorder(sub { join(' ', @_) }), '', '... one of a key at a time');

# Enqueued meanwhile: those of a session in its order.
$server->clear_notes;
my @drains = map { FlexApi::Session->new($node) } 1 .. 3;
$_->send_query('SET client_min_messages = error; CALL flex_outbox_drain()') foreach @drains;
$sessions[$_]->send_query(sprintf 'DO $$ BEGIN FOR n IN 1..%d LOOP PERFORM %s; COMMIT; END LOOP; END $$', $EACH, enqueued('n % 3', "n * 100 + $_")) foreach 0 .. $#sessions;
foreach my $one (@sessions)
{
	my $error = $one->receive(600)->{error};
	fail($error->{M}) if $error;
}
$_->receive(600) foreach @drains;
is(drain_all(), 'none', 'enqueued while others send: all is sent');
is(disorder(sub { my ($key, $number) = @_; return $key . ' of ' . $number % 100 }), '', '... one of a key at a time, each session\'s in its order');

# Many keys, in one transaction.
$server->clear_notes;
$session->value(sprintf 'SELECT count(%s) FROM generate_series(1, 3) AS n, generate_series(1, %d) AS k', enqueued('k', 'n'), $MANY);
is(drain_all(), 'none', "$MANY keys: all is sent");
is(disorder(sub { $_[0] }), '', '... one of a key at a time, in order');
is($session->value('SELECT count(*) FROM flex_outbox_lanes'), 1, '... in one lane');
is($session->value('SELECT (SELECT count(*) FROM flex_outbox_ordered) + (SELECT count(*) FROM flex_outbox_freed_keys)'), 0, '... and nothing is left of them');

$node->stop('fast');
done_testing;
