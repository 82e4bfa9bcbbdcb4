# Requests with the same ordering_key are sent one at a time, in the order of their ids: each
# when the one before it has come to its end and its callback has run, whatever that takes.
# They hold up nobody else, and none is forgotten.

use strict;
use warnings;

use FlexApi;
use FlexScripted;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $service = FlexScripted->new;
my $server = $service->server;
my $node = FlexApi::node('ordered', $server, "flex_api.rate_limits = 'none'", "shared_preload_libraries = 'flex_api'",
	'fsync = off', 'flex_api.delivery = on', 'max_connections = 60', 'max_prepared_transactions = 5', 'restart_after_crash = on');
my $session = FlexApi::Session->new($node);
my $other = FlexApi::Session->new($node);
my $last = 0;

$_->value('SET client_min_messages = error') foreach $session, $other;
$session->value('CREATE TABLE called (number text, at timestamptz DEFAULT clock_timestamp())');
# It waits for the lock of its context's number, and fails if it has "fail" there.
$session->value(q{CREATE FUNCTION called(r flex_outbox) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
	PERFORM pg_advisory_xact_lock((r.context ->> 'lock')::integer);
	IF (SELECT count(*) FROM pg_class WHERE relname = r.context ->> 'until') = 0 THEN RAISE 'not yet'; END IF;
	INSERT INTO called VALUES (r.context ->> 'lock'); END $$});

sub answer { return $service->answer(@_); }
sub open_gate { return $service->open_gate(@_); }

# Enqueue the fetch of a channel of the next number, or another operation; returns that number and the request's id.
sub enqueue
{
	my ($key, %more) = @_;
	my $in = $more{in} // $session;
	my $number = ++$last;
	my $call = $more{create} ? sprintf(q{'flex_webchat_create', '{"address_sid": "IG%s", "identity": "%s"}'}, 'a' x 32, $number)
		: sprintf(q{'flex_channel_fetch', '{"sid": "CH%032d"}'}, $number);

	return ($number, $in->value("SELECT flex_enqueue($call" . (defined $key ? ", ordering_key => '$key'" : '') . ($more{arguments} // '') . ')'));
}

sub state_of { my ($id) = @_; return $session->value("SELECT state FROM flex_outbox WHERE id = $id"); }
sub has_come { return $service->has_come(@_); }
sub came { return $service->came(@_); }
sub has_ended { my ($id) = @_; return FlexApi::wait_until(sub { state_of($id) eq 'succeeded' }, 120); }
# What was noted of some numbers, in order.
sub noted { my (@numbers) = @_; my $any = join('|', @numbers); return join(' ', map { s/ //r } $server->notes(qr/^[+-] (?:$any)$/)); }
# Requests of other keys, and of none, go past what is held back.
sub others_go { my ($what) = @_; my @ids = map { (enqueue($_))[1] } undef, 'other'; return ok(has_ended($ids[0]) && has_ended($ids[1]), "... others go past $what"); }

# One at a time, in order.
my @numbers;
my @ids;
answer($last + 1, 'gate');
foreach (1 .. 4)
{
	my ($number, $id) = enqueue('a');
	push @numbers, $number;
	push @ids, $id;
}
ok(has_come($numbers[0]), 'the first of a key is sent');
others_go('it');
is(noted(@numbers), "+$numbers[0]", '... and no later one of its key');
is($session->value("SELECT string_agg(coalesce(waits_for::text, '-') || ' ' || state, ', ' ORDER BY id) FROM flex_outbox WHERE id IN (" . join(',', @ids) . ')'),
	'- sending, ' . join(', ', map { "$ids[0] pending" } 1 .. 3), '... whose rows say which one they wait for');
is($session->value("SELECT concat_ws(' ', pending, due, sending, held_back) FROM flex_outbox_summary WHERE operation = 'flex_channel_fetch'"), '3 0 1 3',
	'... and the summary says how many are held back');
is($session->value("SELECT concat_ws(' ', due, waiting) FROM flex_outbox_status"), '0 3', '... and the status, that they are not due');
open_gate($numbers[0]);
ok(has_ended($ids[3]), 'they follow when it has been answered');
is(noted(@numbers), join(' ', map { "+$_ -$_" } @numbers), '... one at a time, in their order');

# What has to be sent again holds back what follows: 429, 503, an attempt without an answer.
foreach my $case ([ '429 Too Many Requests', 'a refusal for its rate' ], [ '503 Service Unavailable', 'a service that is down' ])
{
	my ($status, $what) = @$case;
	answer($last + 1, $status, $status, '200 OK');
	@numbers = ();
	foreach (1 .. 3)
	{
		my ($number, $id) = enqueue('a');
		push @numbers, $number;
		$ids[0] = $id;
	}
	ok(has_ended($ids[0]), "after $what");
	is(noted(@numbers), join(' ', map { "+$_ -$_" } @numbers[0, 0, 0, 1, 2]), '... the order is the same');
}

# One that has failed lets the next one go.
answer($last + 1, '400 Bad Request');
my (undef, $failed) = enqueue('a');
my ($next, $after) = enqueue('a');
ok(has_ended($after), 'what follows one that has failed is sent');
is(state_of($failed), 'failed', '... when it has');

# An uncertain one holds back until somebody decides.
foreach my $decision (qw(cancel retry))
{
	answer($last + 1, '502 Bad Gateway', '200 OK');
	(undef, my $uncertain) = enqueue('u', create => 1);
	my ($number, $id) = enqueue('u');
	ok(FlexApi::wait_until(sub { state_of($uncertain) eq 'uncertain' }), 'one has become uncertain');
	others_go('it');
	is(came($number) . ' ' . $session->value("SELECT waits_for FROM flex_outbox WHERE id = $id"), "0 $uncertain", '... the next of its key waits for it');
	$other->value('BEGIN');
	$other->value("SELECT flex_outbox_$decision($uncertain)");
	others_go('a decision that is not committed');
	is(came($number), 0, '... and the next of its key does not yet go');
	$other->value('COMMIT');
	ok(has_ended($id), "... it goes after a $decision");
	is(state_of($uncertain), $decision eq 'cancel' ? 'cancelled' : 'succeeded', '... which has had its effect before');
}

# What waits for its run_at holds back what follows; what is cancelled while it waits does not.
my (undef, $tomorrow) = enqueue('r', arguments => ", run_at => now() + interval '1 day'");
my ($held, $held_id) = enqueue('r');
my (undef, $not_wanted) = enqueue('r');
others_go('one that waits for its time');
is(came($held), 0, '... but for those of its key');
$session->value("SELECT flex_outbox_cancel($not_wanted)");
$session->value("SELECT flex_outbox_cancel($tomorrow)");
ok(has_ended($held_id), '... which go when it is cancelled');
is(state_of($not_wanted), 'cancelled', '... but for one that is cancelled, too');

# A callback is part of it, also one that has to be repeated.
$other->value('SELECT pg_advisory_lock(7)');
(undef, my $first) = enqueue('c', arguments => q{, on_success => 'called', context => '{"lock": 7, "until": "open"}'});
($next, $after) = enqueue('c');
ok(FlexApi::wait_until(sub { $session->value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == 1 }), 'a callback runs');
is(came($next), 0, '... and the next of the key waits for it');
$other->value('SELECT pg_advisory_unlock(7)');
ok(FlexApi::wait_until(sub { defined $session->query("SELECT callback_error FROM flex_outbox WHERE id = $first AND callback_error IS NOT NULL")->{rows}[0] }), 'it fails');
is(came($next), 0, '... and the next of the key waits for the next try');
$session->value('CREATE TABLE open ()');
$session->value("SELECT flex_outbox_retry($first)");
ok(has_ended($after), '... and goes after that');
is($session->value('SELECT count(*) FROM called'), 1, '... which had its effect once');
# A callback that has its own request sent again keeps its place.
$session->value(q{CREATE FUNCTION again(r flex_outbox) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM flex_outbox_retry(r.id); END $$});
answer($last + 1, '400 Bad Request', '200 OK');
my ($repeated, $repeated_id) = enqueue('c', arguments => q{, on_failure => 'again'});
($next, $after) = enqueue('c');
ok(has_ended($after), 'a callback has had its request sent again');
is(noted($repeated, $next), join(' ', map { "+$_ -$_" } $repeated, $repeated, $next), '... before the next of its key');
is(state_of($repeated_id), 'succeeded', '... with success');

# What on_failure decides is decided before the next one goes: to cancel what follows, ...
$session->value(q{CREATE FUNCTION give_up(r flex_outbox) RETURNS void LANGUAGE sql AS $$
	SELECT flex_outbox_cancel(id) FROM flex_outbox WHERE id > r.id AND ordering_key = r.ordering_key AND state = 'pending' $$});
answer($last + 1, 'gate 400 Bad Request');
my ($gives_up, $gives_up_id) = enqueue('g', arguments => q{, on_failure => 'give_up'});
my @follow = map { [ enqueue('g') ] } 1 .. 3;
my (undef, $others) = enqueue('h');
ok(has_come($gives_up), 'one is sent whose on_failure cancels what follows');
open_gate($gives_up);
ok(FlexApi::wait_until(sub { state_of($gives_up_id) eq 'failed' }), '... which fails');
is(join(' ', map { state_of($_->[1]) } @follow), 'cancelled cancelled cancelled', '... and has cancelled what follows');
(undef, $after) = enqueue('g');
ok(has_ended($after) && has_ended($others), '... but neither what is enqueued after that nor what has another key');
is(join(' ', map { came($_->[0]) } @follow), '0 0 0', '... which was not sent');

# ... or, of one that is uncertain, that it holds back nobody.
$session->value(q{CREATE FUNCTION go_on(r flex_outbox) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
	IF r.state = 'uncertain' THEN PERFORM flex_outbox_cancel(r.id); END IF; END $$});
answer($last + 1, '502 Bad Gateway');
my ($doubtful, $doubtful_id) = enqueue('g', create => 1, arguments => q{, on_failure => 'go_on'});
($next, $after) = enqueue('g');
ok(has_ended($after), 'one that is uncertain, and cancelled by its on_failure, holds back nobody');
is(noted($doubtful, $next) . ' ' . state_of($doubtful_id), "+$doubtful -$doubtful +$next -$next cancelled", '... and is not sent again');

# Transactions that enqueue with the same keys wait for nobody, and hold nobody up.
my $third = FlexApi::Session->new($node);
$third->value('SET client_min_messages = error');
foreach my $end (qw(COMMIT ROLLBACK), "PREPARE TRANSACTION 'ordered'")
{
	$_->value('BEGIN') foreach $other, $third;
	my ($one, $one_id) = enqueue('t1', in => $other);
	my ($two, $two_id) = enqueue('t2', in => $third);
	my ($three, $three_id) = enqueue('t2', in => $other);
	my ($four, $four_id) = enqueue('t1', in => $third);
	my ($five, $five_id) = enqueue('t1');
	ok(has_ended($five_id), 'others have enqueued with a key and not committed: what is committed is sent');
	$other->value($end);
	$third->value('COMMIT');
	$other->value("COMMIT PREPARED 'ordered'") if $end =~ /PREPARE/;
	ok(has_ended($_), '... and the rest after their commit') foreach $two_id, $four_id, $end eq 'ROLLBACK' ? () : ($one_id, $three_id);
}

# A process that is killed: what may be repeated is, before the next one; what may not holds back.
foreach my $create (0, 1)
{
	answer($last + 1, 'gate', '200 OK');
	my ($number, $id) = enqueue('k', create => $create);
	($next, $after) = enqueue('k');
	ok(has_come($number), 'one is being sent');
	my $worker = $session->value('SELECT sender_pid FROM flex_outbox WHERE id = ' . $id);
	kill 'KILL', $worker;
	ok(FlexApi::wait_until(sub { !eval { $session->value('SELECT 1') } }), '... and its process is killed');
	ok(FlexApi::wait_until(sub {
		($session, $other, $third) = eval { map { FlexApi::Session->new($node) } 1 .. 3 };
		return defined $third;
	}, 60), '... with all others');
	$_->value('SET client_min_messages = error') foreach $session, $other, $third;
	if ($create)
	{
		ok(FlexApi::wait_until(sub { state_of($id) eq 'uncertain' }, 60), 'it is uncertain');
		others_go('it');
		is(came($next), 0, '... and the next of its key is held back');
		$session->value("SELECT flex_outbox_cancel($id)");
	}
	ok(has_ended($after), 'the next one is sent');
	is(noted($number, $next) =~ s/ -$number//r, $create ? "+$number +$next -$next" : "+$number +$number +$next -$next", '... in its order') unless $create;
	open_gate($number);
}

# A request that is sent again while its callback, which had failed, comes to its end.
answer($last + 1, '400 Bad Request');
my ($again, $again_id) = enqueue('e', arguments => q{, on_failure => 'called', context => '{"lock": 8, "until": "ready"}'});
my (undef, $after_it) = enqueue('e');
ok(FlexApi::wait_until(sub { $session->value("SELECT callback_error IS NOT NULL FROM flex_outbox WHERE id = $again_id") eq 't' }, 60), 'a callback has failed');
$other->value($_) foreach 'BEGIN', 'SELECT pg_advisory_xact_lock(8)';
$session->value('CREATE TABLE ready ()');
ok(FlexApi::wait_until(sub { $session->value(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}) == 1 }, 60), '... and runs again');
my $decides = FlexApi::Session->new($node);
$decides->send_query("SELECT flex_outbox_retry($again_id)");
ok(FlexApi::wait_until(sub { $session->value('SELECT wait_event_type FROM pg_stat_activity WHERE pid = ' . $decides->pid) eq 'Lock' }, 60), '... when its request is to be sent again');
$other->value('COMMIT');
is($decides->receive(60)->{error}, undef, '... which waits for it');
ok(has_ended($again_id) && has_ended($after_it), '... and is sent, and the next one, too');
is(came($again), 2, '... once more');

# A row that a superuser has deleted holds nobody back.
$session->value('ALTER SYSTEM SET flex_api.delivery = off');
$session->value('SELECT pg_reload_conf()');
ok(FlexApi::wait_until(sub { $session->value('SHOW flex_api.delivery') eq 'off' }), 'delivery is off');
(undef, my $deleted) = enqueue('d');
(undef, $after) = enqueue('d');
$session->value("DELETE FROM flex_outbox_requests WHERE id = $deleted");
$session->value('ALTER SYSTEM RESET flex_api.delivery');
$session->value('SELECT pg_reload_conf()');
ok(has_ended($after), 'one whose row was deleted holds back nobody');

# Much that waits of a key makes no request dearer: each reads a few pages of the index of keys, in which
# some of this key have a page to themselves.
my $MANY = 1000;
my $key = $session->value(q{SELECT string_agg(md5(n::text), '') FROM generate_series(1, 30) AS n});
my $pages = sub {
	$session->value($_) foreach 'SELECT pg_stat_force_next_flush()', 'SELECT pg_stat_clear_snapshot()';
	return $session->value(q{SELECT idx_blks_read + idx_blks_hit FROM pg_statio_user_indexes WHERE indexrelname = 'flex_outbox_ordered_pkey'});
};
my (undef, $holder) = enqueue($key, arguments => ", run_at => now() + interval '1 day'");
my $arguments = sprintf q{jsonb_build_object('sid', 'CH%032d')}, $last + 1;
foreach my $case ([ 'flex_enqueue', "SELECT count(flex_enqueue('flex_channel_fetch', $arguments, ordering_key => '$key')) FROM generate_series(1, $MANY)" ],
	[ 'flex_enqueue_many', "SELECT cardinality(flex_enqueue_many('flex_channel_fetch', array_agg($arguments), ordering_keys => array_agg('$key'::text))) FROM generate_series(1, $MANY)" ],
	[ 'flex_outbox_cancel', "SELECT count(flex_outbox_cancel(id)) / 2 FROM flex_outbox WHERE id > $holder AND ordering_key = '$key'" ])
{
	my ($function, $query) = @$case;
	my $pages_before = $pages->();
	is($session->value($query), $MANY, "$function: $MANY of one key");
	cmp_ok($pages->() - $pages_before, '<', $MANY * 30, '... each for a few pages of the index');
}
$session->value("SELECT flex_outbox_cancel($holder)");

# Nothing is left of those that are over.
ok(FlexApi::wait_until(sub { $session->value(q{SELECT count(*) || ' ' || (SELECT count(*) FROM flex_outbox_freed_keys) FROM flex_outbox_ordered}) eq '0 0' }),
	'nothing is left of keys of which all has been sent');

# Another role's key is another key.
$session->value("CREATE ROLE stranger LOGIN");
$session->value('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO stranger');
answer($last + 1, 'gate');
my ($mine, $mine_id) = enqueue('shared');
my $stranger = FlexApi::Session->new($node, user => 'stranger');
$stranger->value('SET client_min_messages = error');
my (undef, $theirs) = enqueue('shared', in => $stranger);
ok(has_come($mine) && has_ended($theirs), 'one role\'s key is not another\'s');
open_gate($mine);
ok(has_ended($mine_id), '... nor waits for it');

# What is refused.
is($session->sqlstate(sprintf(q{SELECT flex_enqueue('flex_channel_fetch', '{"sid": "CH%s"}', ordering_key => repeat('x', 1001))}, 'a' x 32)), '22023', 'a key has a limit');

$node->stop('fast');
done_testing;
