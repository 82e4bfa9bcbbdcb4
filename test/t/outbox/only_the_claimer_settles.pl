# A request is settled by the process that claimed it and by no other, however slow the
# answer is, and whatever becomes of that process meanwhile; and a callback that takes
# longer than flex_api.timeout costs no other request its answer.

use strict;
use warnings;

use FlexApi;
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::INET;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $directory = tempdir(CLEANUP => 1);
my $simulator = FlexApi::Simulator->new;
# no process for callbacks: they run in the sender, which waits for them
my $node = FlexApi::node('settling', $simulator, "flex_api.rate_limits = 'none'", "flex_api.callback_timeout = '5min'",
	'fsync = off', 'deadlock_timeout = 100ms', 'max_worker_processes = 1');
my $control = FlexApi::Session->new($node);

$control->value($_) for (
	'SET client_min_messages = error',
	'CREATE TABLE called (id bigint)',
	# It runs until the lock of its context's number can be had.
	q{CREATE FUNCTION waits(r flex_outbox) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
		PERFORM pg_advisory_xact_lock((r.context #>> '{}')::integer); INSERT INTO called VALUES (r.id); END $$});

# A service that answers a request when its gate is open: a file with the answer's
# status and further headers.  The gate's name is that of the chat, or of the channel.
sub gate_of { my ($request) = @_; return "$request->{path}?$request->{body}" =~ /(?:Identity=|Channels\/CH)(\w+)/ ? $1 : 'other'; }
sub open_gate { my ($name, @lines) = @_; append_to_file("$directory/$name.new", join("\r\n", @lines)); return rename "$directory/$name.new", "$directory/$name"; }

my $gated = FlexApi::Server->new(sub {
	my ($connection, $server) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		my $gate = gate_of($request);
		$server->note("came $gate");
		FlexApi::wait_until(sub { -e "$directory/$gate" }, 120);
		my ($status, @headers) = split /\r\n/, FlexApi::content("$directory/$gate");
		print $connection FlexApi::Server::answer('{"conversation_sid": "CH1", "sid": "CH2"}', $status, @headers) or return;
		$server->note("answered $gate");
	}
});

sub came { my ($name) = @_; return scalar $gated->notes(qr/^came $name$/); }
sub has_come { my ($name) = @_; return FlexApi::wait_until(sub { came($name) > 0 }); }

# Enqueue a chat, or the fetch of a channel, under a name; further arguments may follow.
sub chat
{
	my ($name, $more) = @_;
	return $control->value(sprintf(q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG%s", "identity": "%s"}'%s)},
		'a' x 32, $name, $more ? ", $more" : ''));
}

sub channel
{
	my ($name, $more) = @_;
	return $control->value(sprintf(q{SELECT flex_enqueue('flex_channel_fetch', '{"sid": "CH%s"}'%s)}, $name, $more ? ", $more" : ''));
}

sub row { my ($id, $columns) = @_; return join '|', map { $_ // '' } @{ $control->query("SELECT $columns FROM flex_outbox WHERE id = $id")->{rows}->[0] // [] }; }

# A session that drains from a service.
sub drainer
{
	my ($url, @settings) = @_;
	my $session = FlexApi::Session->new($node);
	$session->value("SET $_") for "flex_api.base_url = '$url'", 'client_min_messages = error', @settings;
	return $session;
}

sub is_waiting_for_lock
{
	my ($session) = @_;
	my $pid = $session->pid;
	return FlexApi::wait_until(sub { $control->value("SELECT count(*) FROM pg_locks WHERE pid = $pid AND NOT granted") > 0 });
}

sub is_waiting_for_answer { my ($session) = @_; return FlexApi::is_at_rest($control, $session->pid); }

# A claim that was taken over is not settled by the process that had it before
{
	my $first = drainer($gated->url);
	my $second = drainer($gated->url);
	my $post = chat('taken');
	chat('early');
	$first->send_query('CALL flex_outbox_drain()');
	ok(has_come('taken') && has_come('early'), 'two requests are in flight');
	# What is claimed later is another claim.
	my $kept = chat('kept');
	open_gate('early', '201 Created');
	ok(has_come('kept'), '... and a third, when one has been answered');
	my $pid = $second->pid;
	$control->value("UPDATE flex_outbox_claims SET (sender_pid, sender_start) =
		(SELECT pid, backend_start FROM pg_stat_activity WHERE pid = $pid) WHERE $post = ANY (requests)");
	open_gate($_, '201 Created') for 'taken', 'kept';
	is($first->receive(60)->{error}, undef, 'the drain that had sent them ends');
	is(row($kept, 'state, http_status'), 'succeeded|201', '... what was still its own is settled');
	is(row($post, "state, sender_pid = $pid, http_status, finished_at, response"), 'sending|t|||', '... what was taken over is not');
	is($first->sqlstate('CALL flex_outbox_drain()'), '00000', 'another drain');
	is(row($post, 'state'), 'sending', '... leaves it to the one who lives');
	$second->close;
	ok(FlexApi::wait_until(sub { $control->value("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid") == 0 }), 'that one ends');
	is($first->sqlstate('CALL flex_outbox_drain(0)'), '00000', 'another drain');
	is(row($post, 'state, error_code, sender_pid'), 'uncertain|08007|', '... says what is not known');
	is(came('taken'), 1, '... and it was sent once');
	$first->close;
	$control->value('DELETE FROM flex_outbox_requests');
}

# An answer is not taken for one to another request that has got the number of its own, as in
# an outbox that was dropped and made anew: not by the row, and not by a session that listens.
{
	my $first = drainer($gated->url, 'flex_api.concurrency = 2');
	my $listener = FlexApi::Session->new($node);
	my ($old, $other) = map { chat($_) } 'older', 'other';
	$listener->value('LISTEN flex_api');
	$first->send_query('CALL flex_outbox_drain()');
	ok(has_come('older') && has_come('other'), 'two requests are in flight');
	$control->value($_) for "DELETE FROM flex_outbox_requests WHERE id = $old", "ALTER TABLE flex_outbox_requests ALTER id RESTART WITH $old";
	is(chat('newer'), $old, 'one goes, and another gets its number');
	$control->value("ALTER TABLE flex_outbox_requests ALTER id RESTART WITH " . ($other + 1));
	open_gate('other', '201 Created');
	ok(has_come('newer'), '... and is sent by the same sender');
	$listener->notifications;
	open_gate('older', '201 Created');
	ok(FlexApi::wait_until(sub { $gated->notes(qr/^answered older$/) > 0 }) && is_waiting_for_answer($first), 'the answer to the first comes');
	is(row($old, 'state, http_status'), 'sending|', '... the second waits for its own');
	is(join(' ', $listener->notifications), '', '... and nobody is told otherwise');
	open_gate('newer', '422 Unprocessable');
	is($first->receive(60)->{error}, undef, 'the drain ends');
	is(row($old, 'state, http_status'), 'failed|422', '... which it gets');
	is(join(' ', $listener->notifications), "$old failed", '... as a session that listens is told');
	$_->close for $first, $listener;
	$control->value('DELETE FROM flex_outbox_requests');
}

# A claim that was undone by an error, and is another one's by now.  One transaction of
# the first settles an answer, claims "undone" and fails at "fails".  After it, on
# its way out, a trigger holds it up, and the second claims "undone".
{
	my $first = drainer($gated->url);
	my $second = drainer($gated->url);
	my $pid = $first->pid;
	$control->value($_) for (
		'CREATE SEQUENCE times_held',
		"CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
			IF pg_backend_pid() = $pid AND EXISTS (SELECT FROM public.flex_outbox_requests WHERE id = ANY (new.requests) AND context = '\"fails\"') THEN RAISE EXCEPTION 'not you'; END IF; RETURN new; END \$\$",
		"CREATE FUNCTION holds_up() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
			IF pg_backend_pid() = $pid AND nextval('public.times_held') = 2 THEN PERFORM pg_advisory_xact_lock(1); END IF; RETURN new; END \$\$",
		'CREATE TRIGGER fails BEFORE INSERT ON flex_outbox_claims FOR EACH ROW EXECUTE FUNCTION fails()',
		'CREATE TRIGGER holds_up BEFORE UPDATE ON flex_outbox_requests FOR EACH ROW WHEN (new.http_status = 429) EXECUTE FUNCTION holds_up()',
		'SELECT pg_advisory_lock(1)');
	my $busy = channel('b' x 32);
	$first->send_query('CALL flex_outbox_drain()');
	ok(has_come('b' x 32) && is_waiting_for_answer($first), 'a request is in flight');
	$control->value('BEGIN');
	my $undone = chat('undone', 'priority => 5');
	my $fails = chat('fails', q{context => '"fails"'});
	$control->value('COMMIT');
	open_gate('b' x 32, '429 Too Many Requests', 'Retry-After: 600');
	ok(is_waiting_for_lock($first), 'its sender has claimed another, failed, and is on its way out');
	is(row($undone, 'state, sender_pid'), 'pending|', '... the claim is undone');
	$second->send_query('CALL flex_outbox_drain(1)');
	ok(has_come('undone'), '... and another sender sends what it was for');
	$control->value('SELECT pg_advisory_unlock(1)');
	is($first->receive(60)->{error}->{M}, 'not you', 'the first ends with its error');
	my $owner = $second->pid;
	is(row($undone, "state, attempts, sender_pid = $owner"), 'sending|1|t', '... and does not touch the other one');
	is(row($busy, 'state, http_status, sender_pid'), 'pending|429|', '... but has settled its own');
	open_gate('undone', '201 Created');
	is($second->receive(60)->{error}, undef, 'the second ends');
	is(row($undone, 'state, http_status'), 'succeeded|201', '... having settled it');
	$control->value('DROP FUNCTION fails, holds_up CASCADE');
	open_gate('fails', '201 Created');
	is($second->sqlstate('CALL flex_outbox_drain()'), '00000', 'a drain of the rest');
	is(row($fails, 'state'), 'succeeded', '... sends it');
	is(came($_), 1, "... $_ was sent once") for 'undone', 'fails';
	$_->close for $first, $second;
	$control->value('DELETE FROM flex_outbox_requests; DELETE FROM flex_outbox_holds');
}

# Two drains, of which one is cancelled again and again: nothing twice, nothing lost
{
	my $wanted = 20;
	my ($count, $cancels) = (0, 0);
	my ($first, $second) = map { drainer($simulator->url, 'flex_api.concurrency = 10') } 1 .. 2;
	my $pid = $first->pid;
	$simulator->clear_requests;
	$simulator->post('faults', { delay_ms => 10, times => -1 });
	# More than both can send while one is being cancelled, however slow this machine is.
	my $more = sub {
		my $last = $count + $_[0];
		$control->value("SELECT count(flex_enqueue('flex_webchat_create', jsonb_build_object('address_sid', 'IG' || repeat('a', 32), 'identity', 'i' || g)))
			FROM generate_series($count + 1, $last) AS g");
		$count = $last;
	};
	$more->(200);
	$second->send_query('CALL flex_outbox_drain()');
	for (my $round = 0; $round < 200 && $cancels < $wanted; $round++)
	{
		$more->(20);
		$first->send_query('CALL flex_outbox_drain()');
		Time::HiRes::sleep(rand(0.02));
		$control->value("SELECT pg_cancel_backend($pid)");
		my $end = $first->receive(60);
		die "$end->{error}->{C} $end->{error}->{M}" if $end->{error} && $end->{error}->{C} ne '57014';
		$cancels++ if $end->{error};
	}
	is($second->receive(60)->{error}, undef, "the other drain ends well, $cancels cancels of the one beside it");
	is($cancels, $wanted, '... which were enough');
	ok(FlexApi::wait_until(sub {
		$control->value("UPDATE flex_outbox_later SET due_at = now()");
		$second->value('CALL flex_outbox_drain()');
		return $control->value("SELECT count(*) FROM flex_outbox WHERE state = 'pending'") == 0;
	}), '... all is sent in the end');
	is($control->value("SELECT count(*) FROM flex_outbox WHERE state IN ('succeeded', 'uncertain') AND sender_pid IS NULL"), $count, 'every request has its end');
	my %times;
	$times{ ($_->{body} =~ /Identity=(\w+)/)[0] }++ foreach $simulator->requests;
	is_deeply([ grep { $times{$_} > 1 } keys %times ], [], '... none was sent twice');
	my @done = map { $_->[0] } @{ $control->query("SELECT arguments ->> 'identity' FROM flex_outbox WHERE state = 'succeeded'")->{rows} };
	is_deeply([ grep { !$times{$_} } @done ], [], '... and what succeeded was sent');
	$simulator->clear_faults;
	$_->close for $first, $second;
	$control->value('DELETE FROM flex_outbox_requests');
}

# The answers of many come while a callback runs for longer than flex_api.timeout; more
# than one look at the sockets can show.
{
	my $count = 200;
	my $drainer = drainer($simulator->url, "flex_api.timeout = '2s'", 'flex_api.concurrency = ' . ($count + 2));
	my $chats = "SELECT count(flex_enqueue('flex_webchat_create', jsonb_build_object('address_sid', 'IG' || repeat('a', 32)))) FROM generate_series(1, $count)";
	$simulator->post('faults', [ { path => '/v2/WebChats', delay_ms => 400, times => -1 }, { path => '/v1/Channels', delay_ms => 600000, times => -1 } ]);
	# with new connections libcurl has timers of its own, which show it all of them
	$control->value($chats);
	$drainer->value('CALL flex_outbox_drain()');
	is($control->value("SELECT count(*) FROM flex_outbox WHERE state = 'succeeded'"), $count, 'many connections');
	$control->value('DELETE FROM flex_outbox_requests; SELECT pg_advisory_lock(2)');
	$simulator->clear_requests;
	$control->value("SELECT flex_enqueue('flex_provisioning_status_fetch', '{}', '2', on_success => 'waits')");
	$control->value($chats);
	my $mute = $control->value("SELECT flex_enqueue('flex_channel_create', jsonb_build_object('flex_flow_sid', 'FO' || repeat('a', 32),
		'identity', 'i', 'chat_user_friendly_name', 'u', 'chat_friendly_name', 'f'))");
	$drainer->send_query('CALL flex_outbox_drain()');
	ok(is_waiting_for_lock($drainer), 'a callback waits');
	is($control->value("SELECT count(*) FROM flex_outbox WHERE state = 'sending' AND outcome IS NULL"), $count + 1, '... all others are in flight');
	ok(FlexApi::wait_until(sub { $control->value("SELECT bool_and(started_at < clock_timestamp() - interval '2500 ms') FROM flex_outbox") eq 't' }), '... for longer than they may');
	is(scalar($simulator->requests), $count + 2, '... and have come');
	$control->value('SELECT pg_advisory_unlock(2)');
	is($drainer->receive(60)->{error}, undef, 'when the callback ends, so does the drain');
	is($control->value("SELECT string_agg(state || n, ' ' ORDER BY state) FROM (SELECT state, count(*) AS n FROM flex_outbox GROUP BY 1) AS s"),
		'succeeded' . ($count + 1) . ' uncertain1', '... what was answered meanwhile has succeeded');
	is(row($mute, 'state, error_code, error_message'), 'uncertain|08007|no answer came within flex_api.timeout', '... what was not is late');
	is($control->value('SELECT count(*) FROM called'), 1, '... the callback ran once');
	$simulator->clear_faults;
	$drainer->close;
	$control->value('DELETE FROM flex_outbox_requests; DELETE FROM called');
}

# A request whose connection is not ready before a callback runs, and which goes out
# only after its time: it is waited for.  What the service says on the second
# connection is kept back until the callback runs.
SKIP:
{
	skip 'no openssl program', 1 if system('openssl version >/dev/null 2>&1') != 0;
	FlexApi::make_certificates($directory);
	my $secure = FlexApi::Simulator->new('--tls-cert', "$directory/server.pem", '--tls-key', "$directory/server.key");
	my $relay = FlexApi::Server->new(sub {
		my ($client, $server) = @_;
		my $service = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $secure->port) or die $!;
		my $name = -e "$directory/warm" ? 'cold' : 'warmed';
		my $select = IO::Select->new($client, $service);
		for (;;)
		{
			foreach my $ready ($select->can_read)
			{
				sysread($ready, my $bytes, 65536) or return;
				FlexApi::wait_until(sub { -e "$directory/$name" }, 120) if $ready == $service && -e "$directory/warm";
				syswrite($ready == $client ? $service : $client, $bytes);
				$server->note(($ready == $client ? 'asks ' : 'says ') . $name);
			}
		}
	});
	my $drainer = drainer($relay->url =~ s/http/https/r, "flex_api.ca_file = '$directory/ca.pem'", "flex_api.timeout = '2s'");
	my $warm = chat('warm');
	$drainer->value('CALL flex_outbox_drain()');
	is(row($warm, 'state'), 'succeeded', 'a connection that is kept');
	open_gate('warm');
	$relay->clear_notes;
	$control->value('SELECT pg_advisory_lock(3)');
	my $slow = chat('slow', "priority => 9, context => '3', on_success => 'waits'");
	my $cold = chat('cold');
	$drainer->send_query('CALL flex_outbox_drain()');
	ok(FlexApi::wait_until(sub { $relay->notes(qr/^asks cold/) && $relay->notes(qr/^asks warmed/) }), 'a request is sent on it; another begins a second one');
	open_gate('warmed');
	ok(is_waiting_for_lock($drainer), '... the callback of the first runs');
	ok(FlexApi::wait_until(sub { row($cold, "started_at < clock_timestamp() - interval '2500 ms'") eq 't' }), '... until the time of the other is over');
	open_gate('cold');
	ok(FlexApi::wait_until(sub { $relay->notes(qr/^says cold/) }), '... and the service greets it');
	$control->value('SELECT pg_advisory_unlock(3)');
	is($drainer->receive(60)->{error}, undef, 'the drain ends');
	is(row($cold, 'state, attempts, error_message'), 'succeeded|1|', '... and has waited for what it sent so late');
	$drainer->close;
	$control->value('DELETE FROM flex_outbox_requests; DELETE FROM called');
}

# A drain that is terminated while a callback runs that catches all cancels
{
	my $drainer = drainer($simulator->url);
	my $pid = $drainer->pid;
	$control->value(q{CREATE FUNCTION stays(r flex_outbox) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO called VALUES (r.id);
		WHILE (r.context #>> '{}')::integer = (SELECT count(*) FROM called) LOOP
			BEGIN PERFORM pg_sleep(1000); EXCEPTION WHEN query_canceled THEN NULL; END;
		END LOOP; END $$});
	$simulator->clear_requests;
	my $id = chat('stays', "context => '1', on_success => 'stays'");
	$drainer->send_query('CALL flex_outbox_drain()');
	my $sleeps = "SELECT count(*) FROM pg_stat_activity WHERE pid = $pid AND wait_event = 'PgSleep'";
	ok(FlexApi::wait_until(sub { $control->value($sleeps) == 1 }), 'a callback runs that catches cancels');
	$control->value("SELECT pg_terminate_backend($pid)");
	ok($drainer->receive(10 * FlexApi::slowness())->{closed}, 'pg_terminate_backend ends its drain');
	$control->value(q{UPDATE flex_outbox_callbacks SET due_at = now(); UPDATE flex_outbox_requests SET context = '0'});
	is($control->sqlstate('CALL flex_outbox_drain()'), '00000', 'the next drain');
	is(row($id, 'state, callback_at') . $control->value('SELECT count(*) FROM called'), 'succeeded|1', '... runs the callback, whose work is there once');
	is(scalar($simulator->requests), 1, '... and the request was sent once');
}

$node->stop('fast');
done_testing();
