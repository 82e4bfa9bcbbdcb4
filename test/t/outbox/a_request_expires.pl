# expires_at: what has not been sent by then fails, with error_code expired, whatever it waits for, and
# its on_failure is called.  What is being sent, or is uncertain, does not expire; a repeat after that
# time does.  Nobody else waits for it, nor pays for it.

use strict;
use warnings;

use FlexApi;
use FlexScripted;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $service = FlexScripted->new(body => '{"sid": "CH2", "conversation_sid": "CH2", "message": "busy"}');
my $server = $service->server;
my $node = FlexApi::node('expires', $server, "flex_api.rate_limits = 'flex_flow_fetch=0'", "shared_preload_libraries = 'flex_api'", 'fsync = off',
	'max_prepared_transactions = 5', 'autovacuum = off', 'flex_api.timeout = 10min');
my ($session, $other) = map { FlexApi::Session->new($node) } 1 .. 2;
my $last = 0;
my $PAST = q{expires_at => '2020-01-01'};

$_->value('SET client_min_messages = error') foreach $session, $other;
$session->value($_) foreach 'CREATE TABLE called (id bigint, state text, code text)', 'LISTEN flex_api',
	q{CREATE FUNCTION called(r flex_outbox) RETURNS void LANGUAGE sql AS $$ INSERT INTO public.called VALUES (r.id, r.state, r.error_code) $$};

sub answer { return $service->answer(@_); }
sub open_gate { return $service->open_gate(@_); }
sub came { return $service->came(@_); }
sub has_come { return $service->has_come(@_); }

# Enqueue the fetch of a channel of the next number, or, create => 1, what must not be repeated; returns that number and the request's id.
sub enqueue
{
	my ($more, %other) = @_;
	my $number = ++$last;
	my $call = $other{create} ? sprintf(q{'flex_webchat_create', '{"address_sid": "IG%s", "identity": "%s"}'}, 'a' x 32, $number)
		: sprintf(q{'flex_%s_fetch', '{"sid": "%s%032d"}'}, $other{paused} ? ('flow', 'FO') : ('channel', 'CH'), $number);

	return ($number, ($other{in} // $session)->value("SELECT flex_enqueue($call, on_failure => 'called', $more)"));
}
sub in { my ($ms) = @_; return "expires_at => clock_timestamp() + interval '$ms ms'"; }
sub row { my ($id, $columns) = @_; return join '|', map { $_ // '' } @{ $session->query("SELECT $columns FROM flex_outbox WHERE id = $id")->{rows}->[0] }; }
sub state_of { my ($id) = @_; return row($id, 'state'); }
sub has_state { my ($id, $state) = @_; return FlexApi::wait_until(sub { state_of($id) eq $state }); }
sub is_past { my ($id) = @_; return FlexApi::wait_until(sub { row($id, 'expires_at < clock_timestamp()') eq 't' }); }
sub called { my ($id) = @_; return join ' ', map { join ' ', @$_ } @{ $session->query("SELECT state, code FROM called WHERE id = $id")->{rows} }; }
sub expiring { return $session->value('SELECT count(*) FROM flex_outbox_expiring'); }
# It has failed as it has expired, which its callback was told, once, and is no longer kept.
sub has_expired
{
	my ($id, $what, $message) = @_;

	ok(has_state($id, 'failed'), "$what has failed");
	is(row($id, 'error_code, http_status, error_message, expires_at <= finished_at'), 'expired||' . ($message // 'the request expired before it was sent') . '|t',
		'... as it has expired');
	is(called($id), 'failed expired', '... and its callback was called');
	return;
}

# Do something with more and more time, until it has been done in time.
sub in_time
{
	my ($try) = @_;

	for (my $ms = 500; $ms < 300_000; $ms *= 2)
	{
		return if $try->($ms);
	}
	die "there is never enough time\n";
}
# Enqueue a request that is being sent when its time comes.
sub enqueue_sent
{
	my ($answers, %other) = @_;
	my @enqueued;

	in_time(sub {
		answer($last + 1, @$answers);
		@enqueued = enqueue(in($_[0]), %other);
		FlexApi::wait_until(sub { came($enqueued[0]) || state_of($enqueued[1]) eq 'failed' });
		return came($enqueued[0]) && is_past($enqueued[1]);
	});
	return @enqueued;
}

# What cannot be meant
foreach my $case (
	[ "now() - interval '1 s', run_at => now()", 'before run_at' ], [ "'2100-01-01', run_at => '2100-01-01'", 'at run_at' ], [ q{'-infinity'}, 'of no time' ])
{
	my ($when, $what) = @$case;
	is($session->sqlstate("SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', expires_at => $when)"), '22023', "one $what is refused");
	is($session->sqlstate("SELECT flex_enqueue_many('flex_provisioning_status_fetch', ARRAY['{}']::jsonb[], expires_at => $when)"), '22023', '... of many, too');
}

# At once, and never
my ($number, $id);
# The second is the time from which the server counts.
foreach my $past ($PAST, q{expires_at => '2000-01-01 00:00:00+00'})
{
	($number, $id) = enqueue($past);
	has_expired($id, 'one that was past when it was enqueued');
	is(came($number), 0, '... unsent');
	is(row($id, 'attempts, sid, response, may_be_done'), '0|||f', '... without an attempt');
}
(undef, $id) = enqueue(q{expires_at => 'infinity'});
ok(has_state($id, 'succeeded'), 'one that never expires is sent');
is(row($id, 'expires_at'), '', '... and has no such time');
(undef, $id) = enqueue(in(3600_000));
ok(has_state($id, 'succeeded'), 'one that expires in an hour is sent');
is(row($id, "expires_at > now() + interval '50 minutes'"), 't', '... whose row says when');

# What waits: for its time, for its rate, for another of its key, for an operator
(undef, $id) = enqueue(in(3600_000) . q{, run_at => now() + interval '1 ms'});
ok(has_state($id, 'succeeded'), 'one whose time comes before is sent');
(undef, $id) = enqueue(in(300), paused => 1);
has_expired($id, 'one whose operation is paused');
$session->value('BEGIN');
(undef, $id) = enqueue(in(300), paused => 1);
$session->value("UPDATE flex_outbox_later SET due_at = 'infinity' WHERE id = $id");
$session->value('COMMIT');
has_expired($id, 'one that waits for ever');
# With the worker at rest nobody else wakes it.
is($session->value(q{SELECT count(*) FROM called WHERE code = 'expired'}), 4, 'each callback was called once');

answer($last + 1, 'gate 200 OK');
my ($first, $first_id) = enqueue(q{ordering_key => 'k'});
ok(has_come($first), 'the first of a key is being sent');
my ($second, $second_id) = enqueue(in(300) . q{, ordering_key => 'k'});
my ($third, $third_id) = enqueue(q{ordering_key => 'k'});
has_expired($second_id, 'the second');
is(state_of($first_id) . ' ' . row($third_id, 'state, waits_for'), "sending pending|$first_id", '... the third still waits for the first');
open_gate($first);
ok(has_state($third_id, 'succeeded'), '... and goes when that has been answered');
is(came($second), 0, '... the second does not');
# ... also where it is itself the first
(undef, $id) = enqueue(in(600) . q{, ordering_key => 'p'}, paused => 1);
(undef, my $next) = enqueue(q{ordering_key => 'p'});
has_expired($id, 'the first of a key');
ok(has_state($next, 'succeeded'), '... which lets the next one go');

my $server_down = FlexApi::Session->new($node);
$server_down->value($_) foreach 'SET client_min_messages = error',
	q{CREATE SERVER mine FOREIGN DATA WRAPPER flex_api}, q{SET flex_api.server = 'mine'};
my $why;
in_time(sub {
	(undef, $id) = enqueue(in($_[0]), in => $server_down);
	FlexApi::wait_until(sub { $why = row($id, 'error_message') });
	return $why !~ /expired/;
});
isnt($why, '', 'one waits for an operator');
has_expired($id, '... it', "the request expired before it was sent again; the last attempt: $why");

# On the wire it does not expire; a repeat after that does, and says what the last attempt met.
($number, $id) = enqueue_sent([ 'gate 200 OK' ]);
(undef, $next) = enqueue($PAST);
has_expired($next, '... another');
is(state_of($id), 'sending', '... it is still being sent');
open_gate($number);
ok(has_state($id, 'succeeded'), '... and succeeds');
foreach my $status ('503 Service Unavailable', '429 Too Many Requests')
{
	($number, $id) = enqueue_sent([ "gate $status" ]);
	open_gate($number);
	has_expired($id, "one that is answered with $status when its time has come", 'the request expired before it was sent again; the last attempt: busy');
	is(came($number), 1, '... and is not sent again');
}
in_time(sub {
	answer($last + 1, ('503 Service Unavailable') x 20);
	($number, $id) = enqueue(in($_[0]));
	FlexApi::wait_until(sub { came($number) || state_of($id) eq 'failed' });
	return came($number);
});
has_expired($id, 'one that is repeated until it expires', 'the request expired before it was sent again; the last attempt: busy');
my $attempts = row($id, 'attempts');
is(came($number), $attempts, '... with all its attempts counted');

# Decisions
($number, $id) = enqueue_sent([ 'gate 502 Bad Gateway', '200 OK' ], create => 1);
open_gate($number);
ok(has_state($id, 'uncertain'), 'one is being sent when its time comes, and then uncertain');
is(called($id), 'uncertain ' . row($id, 'error_code'), '... as if it did not expire');
$session->value("SELECT flex_outbox_retry($id)");
ok(has_state($id, 'succeeded'), '... a retry sends it');
(undef, $id) = enqueue($PAST);
ok(has_state($id, 'failed'), 'one has expired');
$session->value("SELECT flex_outbox_retry($id)");
ok(has_state($id, 'succeeded'), '... a retry sends it');
is(row($id, 'expires_at, error_code, error_message'), '||', '... it has no such time any more');
answer($last + 1, '400 Bad Request');
(undef, $id) = enqueue(in(3600_000));
ok(has_state($id, 'failed'), 'one has failed before its time');
$session->value("SELECT flex_outbox_cancel($id)");
$session->value("UPDATE flex_outbox_requests SET operation = 'flex_flow_fetch', arguments = '{\"sid\": \"FO@{[ 'a' x 32 ]}\"}' WHERE id = $id");
$session->value("TRUNCATE called");
$session->value('BEGIN');
$session->value("UPDATE flex_outbox_requests SET expires_at = now() + interval '1 hour' WHERE id = $id");
is($session->sqlstate("SELECT flex_outbox_retry($id)"), '00000', '... a retry has it wait');
is(row($id, 'state, expires_at IS NOT NULL'), 'pending|t', '... until then');
$session->value("UPDATE flex_outbox_$_ SET expires_at = now() WHERE id = $id") foreach 'requests', 'expiring';
$session->value('COMMIT');
has_expired($id, '... when it', 'the request expired before it was sent again; the last attempt: busy');
(undef, $id) = enqueue(in(300), paused => 1);
$session->value("SELECT flex_outbox_cancel($id)");
ok(is_past($id) && FlexApi::wait_until(sub { !$session->value("SELECT count(*) FROM flex_outbox_expiring WHERE id = $id") }), 'one that was cancelled');
is(state_of($id) . called($id), 'cancelled', '... does not expire');

# What somebody has locked holds up nobody else, and a decision that is rolled back changes nothing.
my $locked;
in_time(sub {
	(undef, $locked) = enqueue(in($_[0]), paused => 1);
	(undef, $next) = enqueue(in($_[0] + 1), paused => 1);
	$other->value($_) foreach 'BEGIN', "SELECT flex_outbox_cancel($locked)";
	return 1 if state_of($locked) eq 'pending';
	$other->value('ROLLBACK');
	return 0;
});
has_expired($next, 'one beside another that is locked');
ok(FlexApi::wait_until(sub { row($locked, "expires_at < clock_timestamp() - interval '1 s'") eq 't' }), 'the other one is late');
is(state_of($locked), 'pending', '... it waits');
$other->value('ROLLBACK');
has_expired($locked, '... then it');

# A transaction that commits late, and one that is prepared
$other->value('BEGIN');
(undef, $id) = enqueue(in(300), in => $other, paused => 1);
(undef, $next) = enqueue(in(600), paused => 1);
has_expired($next, 'what was enqueued later and committed before');
$other->value('COMMIT');
has_expired($id, '... and what was committed late');

# One that commits late, just after many have expired. As these took long, the next look at earlier times is put off, and
# nobody wakes the sender for it, which waits for an answer.
answer($last + 1, 'gate 200 OK');
my ($awaited, $awaited_id) = enqueue(q{expires_at => 'infinity'});
ok(has_come($awaited), 'the sender waits for an answer');
$other->value('BEGIN');
(undef, $id) = enqueue(in(1), in => $other, paused => 1);
my $many = $session->value(q{SELECT flex_enqueue_many('flex_flow_fetch', array_agg(jsonb_build_object('sid', 'FO' || md5(g::text))), } . in(1)
	. q{) FROM generate_series(1, 1500) AS g});
ok(FlexApi::wait_until(sub { $session->value("SELECT count(*) FROM flex_outbox WHERE id = ANY ('$many') AND state = 'failed'") == 1500 }), 'many expire');
$other->value('COMMIT');
ok(FlexApi::wait_until(sub { state_of($id) eq 'failed' }, 300), 'what is committed just after that is found');
has_expired($id, '... it');
open_gate($awaited);
ok(has_state($awaited_id, 'succeeded'), 'the answer comes');

$other->value('BEGIN');
(undef, $id) = enqueue(in(300), in => $other, paused => 1);
$other->value($_) foreach "PREPARE TRANSACTION 'p'", "COMMIT PREPARED 'p'";
has_expired($id, 'what was prepared');

# Many, while nothing is sent at all
$session->value($_) foreach 'ALTER SYSTEM SET flex_api.delivery = off', 'SELECT pg_reload_conf()';
ok(FlexApi::wait_until(sub { $other->value('SHOW flex_api.delivery') eq 'off' }), 'nothing is sent');
my $ids = $session->value(q{SELECT flex_enqueue_many('flex_channel_fetch', array_agg(jsonb_build_object('sid', 'CH' || md5(g::text))), on_failure => 'called',
	unique_keys => array_agg('u' || g), } . in(1) . q{) FROM generate_series(1, 2500) AS g});
ok(FlexApi::wait_until(sub { $session->value("SELECT count(*) FROM called WHERE id = ANY ('$ids') AND code = 'expired'") == 2500 }, 240), 'many expire, paused or not');
is($session->value("SELECT string_agg(DISTINCT concat_ws(' ', state, error_code), ', ') FROM flex_outbox WHERE id = ANY ('$ids')"), 'failed expired', '... all of them');
is($session->value(q{SELECT flex_enqueue_many('flex_channel_fetch', array_agg(jsonb_build_object('sid', 'CH' || md5(g::text))), on_failure => 'called',
	unique_keys => array_agg('u' || g), } . in(1) . q{) FROM generate_series(1, 2500) AS g}), $ids, '... those that are there already are not enqueued again');
$session->value($_) foreach 'ALTER SYSTEM RESET flex_api.delivery', 'SELECT pg_reload_conf()';
is($session->value(q{SELECT failed - (SELECT count(*) FROM flex_outbox WHERE state = 'failed' AND operation = 'flex_channel_fetch') FROM flex_outbox_summary
	WHERE operation = 'flex_channel_fetch'}), 0, 'the summary counts them as failed');
ok(FlexApi::wait_until(sub { expiring() == 2 }), 'nothing is left but those of an hour');

# At once, however late the service asks for the repeat; nothing of this operation is sent any more.
($number, $id) = enqueue_sent([ 'gate 503 Service Unavailable|Retry-After: 3600' ]);
open_gate($number);
has_expired($id, 'one that is to be repeated in an hour', 'the request expired before it was sent again; the last attempt: busy');
$node->stop('fast');

# Without a worker: at the next drain, which needs no time for those that expire later, nor for what is dead.
my $plain = FlexApi::node('drained', $server, "flex_api.rate_limits = 'flex_flow_fetch=0'", 'fsync = off', 'autovacuum = off');
($session, $other) = map { FlexApi::Session->new($plain) } 1 .. 2;
$_->value('SET client_min_messages = error') foreach $session, $other;
$session->value(q{CREATE FUNCTION called(r flex_outbox) RETURNS void LANGUAGE sql AS 'SELECT'});
(undef, $id) = enqueue(in(1), paused => 1);
is(state_of($id), 'pending', 'without a worker it waits');
$session->value('CALL flex_outbox_drain()');
is(row($id, 'state, error_code'), 'failed|expired', '... for a drain');
my $COUNT = 20000;
sub enqueue_many { my ($when) = @_; return $session->value(qq{SELECT cardinality(flex_enqueue_many('flex_flow_fetch', ARRAY(SELECT jsonb_build_object('sid', 'FO' || md5(g::text))
	FROM generate_series(1, $COUNT) AS g), $when))}, 300); }
# Pages of the table that have been read.
sub read_pages
{
	$session->value('SELECT pg_stat_force_next_flush()');
	return $session->value(q{SELECT heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit FROM pg_statio_all_tables WHERE relid = 'flex_outbox_expiring'::regclass});
}
is(enqueue_many("expires_at => now() + interval '1 hour'"), $COUNT, 'many expire in an hour');
my $before = read_pages();
cmp_ok($before, '>', $COUNT, '... whose pages are counted');
$session->value('CALL flex_outbox_drain()');
cmp_ok(read_pages() - $before, '<', 20, '... and are not read by a drain');

# A time that never comes is kept no longer than the request.
$session->value('TRUNCATE flex_outbox_requests, flex_outbox_expiring');
my ($far, $kept) = map { (enqueue("expires_at => '9999-12-31'"))[1] } 1 .. 2;
$session->value('CALL flex_outbox_drain()');
is(expiring(), 2, 'what has been sent keeps its time');
$session->value("UPDATE flex_outbox_requests SET finished_at = now() - interval '30 days', enqueued_at = now() - interval '30 days' WHERE id = $far");
$session->value('CALL flex_outbox_drain()');
is($session->value('SELECT string_agg(id::text, $$ $$) FROM flex_outbox_requests'), $kept, '... and loses it when it is deleted');
is($session->value('SELECT string_agg(id::text, $$ $$) FROM flex_outbox_expiring'), $kept, '... and nothing else does');

# One whose sender looks at its time just before it comes, and records just after it that it is to be repeated in an hour:
# with it two others are settled, one before, so that their answers have come, and one behind it, whose large answer is written alone.
my $large = FlexScripted->new(body => '{"sid": "CH2", "conversation_sid": "CH2", "filler": "' . 'x' x 20000 . '"}');
$session->value($_) foreach q{CREATE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock((OLD.context)::int); RETURN NEW; END $$},
	'CREATE TRIGGER waits BEFORE UPDATE ON flex_outbox_requests FOR EACH ROW WHEN (OLD.context IS NOT NULL) EXECUTE FUNCTION waits()';
# The lock that the drain waits for, first.
sub waits_for
{
	my $lock;

	return FlexApi::wait_until(sub { $lock = $session->value(q{SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}) }) ? $lock : 0;
}
my @ids;
in_time(sub {
	my ($ms) = @_;
	my $drains = FlexApi::Session->new($plain);
	$drains->value("SET flex_api.base_url = '" . $large->server->url . "'");
	$large->answer($last + 2, '503 Service Unavailable|Retry-After: 3600');
	$other->value('SELECT pg_advisory_lock(1), pg_advisory_lock(2)');
	my @three = ([ enqueue(q{context => '1'}) ], [ enqueue(in($ms)) ], [ enqueue(q{context => '2'}) ]);
	@ids = map { $_->[1] } @three;
	$drains->send_query('CALL flex_outbox_drain()');
	# The third one is settled before the first if its answer has come before.
	my $waits = waits_for() == 1 && $large->has_come($three[2]->[0]);
	FlexApi::wait_until(sub { $large->came($three[1]->[0]) || state_of($ids[1]) eq 'failed' });
	$waits &&= $large->came($three[1]->[0]);
	$other->value('SELECT pg_advisory_unlock(1)');
	$waits &&= FlexApi::wait_until(sub { waits_for() == 2 });
	my $was_early = $waits && row($ids[1], 'expires_at > clock_timestamp()') eq 't';
	# Another drain, when its time has come
	if ($was_early && is_past($ids[1])) { $session->value('CALL flex_outbox_drain()'); }
	$other->value('SELECT pg_advisory_unlock_all()');
	$drains->receive(300);
	# After that answer nothing is sent for an hour: from 17 on by no session, until the server is started again.
	$_->close foreach $drains, $session, $other;
	$plain->restart;
	($session, $other) = map { FlexApi::Session->new($plain) } 1 .. 2;
	return $was_early;
});
$session->value('DROP TRIGGER waits ON flex_outbox_requests');
$session->value('CALL flex_outbox_drain()');
is(row($ids[1], 'state, error_code'), 'failed|expired', 'one that is to be repeated after its time expires');
like(row($ids[1], 'error_message'), qr/before it was sent again/, '... and was sent once');
is(row($_, 'state'), 'succeeded', '... and others do not') foreach @ids[ 0, 2 ];

# What is on the wire when its time has come is looked at less and less often.
sub looks
{
	$session->value('SELECT pg_stat_force_next_flush()');
	return $session->value(q{SELECT idx_scan FROM pg_stat_user_tables WHERE relid = 'flex_outbox_expiring'::regclass});
}
my $sends = FlexApi::Session->new($plain);
$sends->value('SET flex_api.timeout = 120000');
$before = looks();
in_time(sub {
	my ($ms) = @_;
	answer($last + 1, 'gate 200 OK');
	($number, $id) = enqueue(in($ms));
	$sends->send_query('CALL flex_outbox_drain()');
	return 1 if FlexApi::wait_until(sub { came($number) || state_of($id) eq 'failed' }) && came($number);
	$sends->receive(300);
	$before = looks();
	return 0;
});
ok(FlexApi::wait_until(sub { row($id, "expires_at < clock_timestamp() - interval '7 s'") eq 't' }), 'one is on the wire long after its time');
open_gate($number);
is($sends->receive(300)->{error}, undef, '... until it is answered');
is(state_of($id), 'succeeded', '... as it is sent');
# Each look reads the index twice: at the beginning, at its time, and after half a second, one, two and four; each half second would be 30.
cmp_ok(looks() - $before, '<=', 20, '... others look at it seldom');
$sends->close;

# However large: what is not sent is not read
$session->value(q{SELECT count(flex_enqueue('flex_request', '{"method": "POST", "path": "/v1/x"}' || jsonb_build_object('body', repeat('x', 4000000)), '{}', expires_at => '2020-01-01'))
	FROM generate_series(1, 60)}, 300);
my $drainer = FlexApi::Session->new($plain);
my $resident = FlexApi::status_of($drainer->pid, 'VmHWM');
$drainer->value('CALL flex_outbox_drain()', 300);
my $grown = FlexApi::status_of($drainer->pid, 'VmHWM') - $resident;
is($session->value(q{SELECT count(*) FROM flex_outbox WHERE operation = 'flex_request' AND error_code = 'expired'}), 60, 'large ones expire');
cmp_ok($grown, '<', 100_000, "... which takes little memory ($grown kB)") unless $ENV{FLEX_SLOW_BUILD};
$drainer->close;

$session->close;
$other->close;
$plain->stop('fast');
done_testing;
