# Callbacks: exactly once, with the row as it then is, in the transaction that
# settles the request; and none that fails, loops or vanishes has a request sent
# again or keeps others from their end.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('callbacks', $simulator, "flex_api.rate_limits = 'none'", 'flex_api.callback_timeout = ' . ($ENV{FLEX_SLOW_BUILD} ? 2000 : 1000), 'fsync = off',
	'track_commit_timestamp = on');
my $session = FlexApi::Session->new($node);

$session->value($_) for (
	'SET client_min_messages = error',
	'CREATE TABLE tickets (id integer PRIMARY KEY, chat text, times integer DEFAULT 0, as_role name, xid xid8, seen jsonb)',
	'CREATE TABLE parents (id integer PRIMARY KEY)',
	'CREATE TABLE children (id integer REFERENCES parents DEFERRABLE INITIALLY DEFERRED)');

# A callback in PL/pgSQL; $1 is the row.
sub callback
{
	my ($name, $body) = @_;
	return $session->value("CREATE OR REPLACE FUNCTION $name(r flex_outbox) RETURNS void LANGUAGE plpgsql AS \$\$ BEGIN $body; END \$\$");
}

sub fresh
{
	$session->value('DELETE FROM flex_outbox_requests; DELETE FROM tickets');
	$simulator->clear_faults;
	$simulator->clear_requests;
	return;
}

# Enqueue a web chat for a ticket.
sub enqueue
{
	my ($ticket, $more) = @_;
	$session->value("INSERT INTO tickets VALUES ($ticket)");
	return $session->value("SELECT flex_enqueue('flex_webchat_create', '{\"address_sid\": \"IG00000000000000000000000000000001\"}', '$ticket', $more)");
}

sub drain { return $session->query('CALL flex_outbox_drain()'); }
sub hurry { return $session->value('UPDATE flex_outbox_callbacks SET due_at = now() WHERE due_at IS NOT NULL'); }
sub row { my ($id, $columns) = @_; return join '|', map { $_ // '' } @{ $session->query("SELECT $columns FROM flex_outbox WHERE id = $id")->{rows}->[0] // [] }; }
sub ticket { my ($id, $columns) = @_; return join '|', map { $_ // '' } @{ $session->query("SELECT $columns FROM tickets WHERE id = $id")->{rows}->[0] // [] }; }
sub came { return scalar $simulator->requests; }

callback('note_chat', q{UPDATE tickets SET chat = r.response ->> 'conversation_sid', times = times + 1, as_role = current_user,
	xid = pg_current_xact_id(), seen = to_jsonb(r) WHERE id = (r.context #>> '{}')::integer});

# Success: once, with the last state, in the transaction that records its end
$session->value('CREATE TABLE ended (id bigint, xid xid8 DEFAULT pg_current_xact_id())');
$session->value('CREATE FUNCTION note_end() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.ended (id) VALUES (OLD.id); RETURN NULL; END $$');
$session->value('CREATE TRIGGER notes_end AFTER DELETE ON flex_outbox_callbacks FOR EACH ROW EXECUTE FUNCTION note_end()');
my $id = enqueue(1, "on_success => 'note_chat'");
is(drain()->{error}, undef, 'the drain ends well');
like(ticket(1, 'chat, times'), qr/^CH[0-9a-f]{32}\|1$/, 'the answer arrives in the ticket');
is(ticket(1, "seen ->> 'state', seen ->> 'http_status', (seen ->> 'finished_at') IS NOT NULL, seen ->> 'outcome', seen ->> 'callback_at', seen -> 'context'"),
	'succeeded|201|t|||1', 'the row that it gets has its last state');
is(row($id, 'state, outcome, callback_at, callback_attempts, callback_error'), 'succeeded|||0|', '... as it then stands');
is($session->value("SELECT (SELECT xid FROM ended WHERE id = $id) = (SELECT xid FROM tickets)"), 't', 'both by one commit');
$session->value('DROP TRIGGER notes_end ON flex_outbox_callbacks');
hurry();
drain();
is(ticket(1, 'times'), 1, 'not a second time');

# Which one is called for which end
callback('note_state', q{UPDATE tickets SET times = times + 1, seen = to_jsonb(r.state) WHERE id = (r.context #>> '{}')::integer});
fresh();
$session->value('SET flex_api.concurrency = 1');
enqueue(1, "on_success => 'note_chat', on_failure => 'note_state'");
enqueue(2, "on_success => 'note_chat', on_failure => 'note_state'");
enqueue(3, "on_success => 'note_chat', on_failure => 'note_state'");
enqueue(4, "on_success => 'note_chat', run_at => now() + interval '1 hour'");
enqueue(5, "on_failure => 'note_state'");
$simulator->post('faults', [ { method => 'POST', status => 400, skip => 0 }, { method => 'POST', cut_at => 0, after => JSON::PP::true },
	{ method => 'POST', status => 429, times => 0 + 1 }, { method => 'POST', status => 503 } ]);
$session->value('CALL flex_outbox_drain(2)');
is(ticket(1, 'times, seen'), '1|"failed"', 'on_failure for one that failed');
is(ticket(2, 'times, seen'), '1|"uncertain"', '... and for one that is uncertain');
$session->value('CALL flex_outbox_drain(1)');
is(ticket(3, 'times'), 0, 'none for one that is to be sent again');
$session->value("UPDATE flex_outbox_later SET due_at = now()");
$simulator->clear_faults;
$session->value("UPDATE flex_outbox_later SET due_at = now() + interval '1 hour' WHERE id IN (SELECT id FROM flex_outbox WHERE context = '4')");
drain();
like(ticket(3, "times, seen ->> 'state'"), qr/^1\|succeeded$/, 'one in the end');
is(ticket(5, 'times'), 0, 'on_failure is not for a success');
$simulator->post('faults', { method => 'POST', status => 400 });
$session->value("UPDATE flex_outbox_later SET due_at = now() WHERE id IN (SELECT id FROM flex_outbox WHERE context = '4')");
drain();
is(ticket(4, 'times'), 0, 'on_success is not for a failure');
$session->value('RESET flex_api.concurrency');
# an uncertain one that is retried has its other end reported, too
$simulator->clear_faults;
$session->value("SELECT flex_outbox_retry(id) FROM flex_outbox WHERE context = '2'");
drain();
is(ticket(2, "times, seen ->> 'state'"), '2|succeeded', 'after retry() the new end is told');
# what is cancelled has none
fresh();
$id = enqueue(1, "on_success => 'note_chat', on_failure => 'note_state'");
$session->value("SELECT flex_outbox_cancel($id)");
drain();
is(ticket(1, 'times'), 0, 'a cancelled one has none');

# Raising: the answer is kept, it is tried again, and the request is not
fresh();
callback('raises', q{UPDATE tickets SET times = times + 1; RAISE EXCEPTION 'not today'});
$id = enqueue(1, "on_success => 'raises'");
$session->value('SET client_min_messages = warning');
my $result = drain();
$session->value('SET client_min_messages = error');
is($result->{error}, undef, 'a callback that raises does not stop the drain');
like($result->{notices}->[0]->{M}, qr/callback of request $id .* failed$/, '... a warning says so, but not what the role\'s function said');
is(row($id, "state, http_status, response ? 'conversation_sid', finished_at IS NOT NULL, callback_attempts, callback_error, callback_at <= now() + interval '1 s'"),
	'succeeded|201|t|t|1|not today|t', '... the answer stands');
is(ticket(1, 'times'), 0, '... what it did is undone');
is($session->value('SELECT callbacks FROM flex_outbox_summary'), 1, '... the summary counts it');
for (2 .. 4) { hurry(); drain(); }
is(row($id, 'callback_attempts >= 4'), 't', 'it is tried again');
callback('raises', q{UPDATE tickets SET times = times + 1});
hurry();
drain();
is(ticket(1, 'times') . row($id, 'state, callback_at, callback_error'), '1succeeded||', '... until it does not');
is(came(), 1, 'the request was sent once');
# up to an end
fresh();
callback('raises', q{RAISE EXCEPTION 'never'});
$id = enqueue(1, "on_success => 'raises'");
$session->value('SET flex_api.outbox_retention = -1');
for (1 .. 25) { drain(); hurry(); }
is(row($id, 'state, callback_at, callback_attempts, callback_error'), 'succeeded||20|never', 'after twenty times it is given up');
is(came(), 1, 'the request was sent once');
# one whose process ended each time, which nobody was left to note
fresh();
callback('raises', q{UPDATE tickets SET times = times + 1});
$id = enqueue(1, "on_success => 'raises'");
$session->value("CREATE FUNCTION wear_out() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.attempts := 20; RETURN NEW; END'");
$session->value("CREATE TRIGGER wears_out BEFORE INSERT ON flex_outbox_callbacks FOR EACH ROW EXECUTE FUNCTION wear_out()");
drain();
$session->value('DROP TRIGGER wears_out ON flex_outbox_callbacks');
like(row($id, 'state, callback_at, callback_error'), qr/^succeeded\|\|.*has never finished/, 'a callback that ended its process twenty times is given up');
is(ticket(1, 'times'), 0, '... without another try');
# one that takes the outbox away
fresh();
callback('raises', q{EXECUTE 'DROP EXTENSION flex_api CASCADE'});
$id = enqueue(1, "on_success => 'raises'");
drain();
like(row($id, 'state, callback_error'), qr/^succeeded\|.*has removed the outbox/, 'a callback that removes the outbox has failed');
# retry() repeats the callback, of one given up as of one that waits, and never the request
callback('raises', q{UPDATE tickets SET times = times + 1, seen = to_jsonb(r.state)});
is($session->sqlstate("SELECT flex_outbox_retry($id)"), '00000', 'retry() of one whose callback was given up');
is(row($id, 'state, callback_attempts, callback_at <= clock_timestamp(), run_at > started_at, attempts'), 'succeeded|0|t|f|1', '... has the callback due at once');
drain();
is(ticket(1, 'times, seen') . row($id, 'state, callback_at, callback_error, attempts'), '1|"succeeded"succeeded|||1', '... and only that is repeated');
is(came(), 1, '... the request was sent once');
is($session->sqlstate("SELECT flex_outbox_retry($id)"), '55000', 'when it has ended well there is nothing to retry');
is($session->sqlstate("SELECT flex_outbox_cancel($id)"), '55000', '... nor to cancel');
drain();
is(ticket(1, 'times') . came(), '11', '... and nothing is');
fresh();
callback('raises', q{RAISE EXCEPTION 'not yet'});
$id = enqueue(1, "on_success => 'raises'");
drain();
$session->value("UPDATE flex_outbox_callbacks SET due_at = now() + interval '1 hour'");
callback('raises', q{UPDATE tickets SET times = times + 1});
drain();
is(ticket(1, 'times'), 0, 'a callback that is to wait waits');
$session->value("SELECT flex_outbox_retry($id)");
drain();
is(ticket(1, 'times') . row($id, 'state, callback_error'), '1succeeded|', '... and after retry() does not');
is(came(), 1, '... the request was sent once');

# All kinds of misbehaviour: each leaves its own request settled, and the next in line is served
my $deep = 'PERFORM endless(r)';
$session->value('CREATE FUNCTION endless(r flex_outbox) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM endless(r); END $$');
my @wrong = (
	[ 'division', 'PERFORM 1 / 0', qr/division by zero/ ],
	[ 'raises_cancel', q{RAISE SQLSTATE '57014'}, qr/./ ],
	[ 'raises_shutdown', q{RAISE SQLSTATE '57P01'}, qr/./ ],
	[ 'raises_settings', q{RAISE SQLSTATE '55000'}, qr/./ ],
	[ 'commits', 'COMMIT', qr/invalid transaction termination/ ],
	[ 'rolls_back', 'ROLLBACK', qr/invalid transaction termination/ ],
	[ 'loops', 'LOOP NULL; END LOOP', qr/callback_timeout/ ],
	[ 'sleeps', 'PERFORM pg_sleep(1000)', qr/callback_timeout/ ],
	[ 'recurses', $deep, qr/stack depth/ ],
	[ 'catches', q{LOOP BEGIN PERFORM pg_sleep(1000); EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP}, qr/callback_timeout/ ],
	[ 'violates', 'INSERT INTO children VALUES (-1)', qr/violates foreign key/ ],
	[ 'serialization', q{RAISE SQLSTATE '40001'}, qr/./ ],
	[ 'drains', 'CALL flex_outbox_drain()', qr/./ ],
	[ 'listens', q{EXECUTE 'LISTEN flex_api'}, qr/./ ],
	[ 'cursor', q{EXECUTE 'DECLARE c CURSOR WITH HOLD FOR SELECT 1'}, qr/./ ],
	[ 'temporary', q{CREATE TEMPORARY TABLE left_behind (i integer)}, qr/./ ],
	[ 'prepares', q{EXECUTE 'PREPARE p AS SELECT 1'}, qr/./ ],
	[ 'two_phase', q{EXECUTE 'PREPARE TRANSACTION ''x'''}, qr/./ ],
);
foreach my $case (@wrong)
{
	my ($name, $body, $error) = @$case;
	fresh();
	callback($name, $body);
	my $bad = enqueue(1, "on_success => '$name', priority => 9");
	my $good = enqueue(2, "on_success => 'note_chat'");
	my $end = drain();
	is($end->{error}, undef, "$name: the drain ends well") or diag explain $end->{error};
	if ($end->{closed}) { $session = FlexApi::Session->new($node); $session->value('SET client_min_messages = error'); }
	like(row($bad, 'state, http_status, callback_attempts > 0, callback_at IS NOT NULL, callback_error'), qr/^succeeded\|201\|t\|t\|.*$error/, '... its request has its end');
	is(row($good, 'state') . ticket(2, 'times'), 'succeeded1', '... and so has the next');
	is(came(), 2, '... each was sent once');
}
is($session->value("SELECT count(*) FROM pg_cursors WHERE is_holdable") + $session->value('SELECT count(*) FROM pg_prepared_statements')
	+ $session->value("SELECT count(*) FROM pg_class WHERE relname = 'left_behind'"), 0, 'none of them left anything behind');
# those that catch the cancel itself, once or for ever
fresh();
callback('obstinate', q{BEGIN PERFORM pg_sleep(1000); EXCEPTION WHEN query_canceled THEN NULL; END; UPDATE tickets SET times = 99 WHERE id = 1});
$id = enqueue(1, "on_success => 'obstinate'");
drain();
is(ticket(1, 'times'), 0, 'one that catches query_canceled and goes on has still had its time');
like(row($id, 'state, callback_error'), qr/^succeeded\|.*callback_timeout/, '... and has failed');
fresh();
callback('obstinate', q{LOOP BEGIN PERFORM pg_sleep(1000); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP});
$id = enqueue(1, "on_success => 'obstinate', priority => 9");
my $stubborn = enqueue(3, "on_success => 'note_chat'");
$result = drain();
is($result->{error}, undef, 'one that catches it for ever does not end the drain');
like(row($id, 'state, http_status, callback_attempts, callback_error'), qr/^succeeded\|201\|[1-9]\|callback .* ran longer than flex_api.callback_timeout, and went on/, '... has failed');
is(row($stubborn, 'state') . ticket(3, 'times'), 'succeeded1', '... and the next of its role has run');
$session->value("UPDATE flex_outbox_callbacks SET due_at = NULL WHERE id = $id");
my $later = enqueue(2, "on_success => 'note_chat'");
drain();
is(row($later, 'state') . ticket(2, 'times'), 'succeeded1', '... and the next one runs');
$session->value('SET flex_api.outbox_retention = -1');

# Deferred constraints are checked while the callback can be blamed
fresh();
callback('good_child', q{INSERT INTO children VALUES (5)});
$session->value('INSERT INTO parents VALUES (5)');
$id = enqueue(1, "on_success => 'good_child'");
drain();
is(row($id, 'state, callback_error') . $session->value('SELECT count(*) FROM children'), 'succeeded|1', 'a deferred constraint that holds');

# Gone: the function, its schema
fresh();
$session->value('CREATE SCHEMA short_lived');
callback('short_lived.gone', 'NULL');
$id = enqueue(1, "on_success => 'short_lived.gone'");
$session->value('DROP SCHEMA short_lived CASCADE');
is(drain()->{error}, undef, 'a function that is gone: the drain ends well');
like(row($id, 'state, callback_error'), qr/^succeeded\|.*does not exist/, '... the answer stands');
# replaced by one that takes something else
callback('replaced', 'NULL');
$id = enqueue(2, "on_success => 'replaced'");
$session->value('DROP FUNCTION replaced(flex_outbox)');
$session->value('CREATE FUNCTION replaced(jsonb) RETURNS void LANGUAGE sql AS $$ $$');
is(drain()->{error}, undef, 'a function that takes something else: the drain ends well');
like(row($id, 'state, callback_error'), qr/^succeeded\|.*does not exist/, '... the answer stands');

# One that enqueues another request, which has a callback
fresh();
callback('goes_on', q{PERFORM flex_enqueue('flex_webchat_create', r.arguments, '2', on_success => 'note_chat')});
$session->value('INSERT INTO tickets VALUES (2)');
enqueue(1, "on_success => 'goes_on'");
drain();
is(ticket(2, 'times'), 1, 'a callback can enqueue; the same drain sends it');
# and what it enqueued is undone with it
fresh();
callback('goes_wrong', q{PERFORM flex_enqueue('flex_webchat_create', r.arguments); PERFORM 1 / 0});
enqueue(1, "on_success => 'goes_wrong'");
drain();
is(came() . $session->value('SELECT count(*) FROM flex_outbox'), '11', 'what a callback that fails has enqueued is not sent');

# One that deletes its own row, or what it is about
fresh();
callback('deletes', q{DELETE FROM flex_outbox_requests WHERE id = r.id; UPDATE tickets SET times = times + 1});
$id = enqueue(1, "on_success => 'deletes'");
is(drain()->{error}, undef, 'one that deletes its row: the drain ends well');
is(row($id, '1') . ticket(1, 'times'), '1', '... the row is gone');
fresh();
$id = enqueue(1, "on_success => 'note_chat'");
$session->value('DELETE FROM tickets');
drain();
is(row($id, 'state, callback_error'), 'succeeded|', 'a ticket that is gone is the callback\'s own affair');
# one that retries or cancels its own request
fresh();
callback('retries', q{PERFORM flex_outbox_retry(r.id); UPDATE tickets SET times = times + 1});
$id = enqueue(1, "on_failure => 'retries'");
$simulator->post('faults', { status => 400, times => 2 });
is(drain()->{error}, undef, 'one that has its own request sent again');
$session->value('UPDATE flex_outbox_later SET due_at = now()');
drain();
is(row($id, 'state') . ticket(1, 'times') . came(), 'succeeded23', '... until it succeeds');

# Many: a commit each, in the order of their ends; a drain cut short loses none
fresh();
$session->value(q{INSERT INTO tickets SELECT g FROM generate_series(1, 500) AS g});
$session->value(q{SELECT count(flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}', to_jsonb(g), on_success => 'note_chat'))
	FROM generate_series(1, 500) AS g});
my @drainers = map { FlexApi::Session->new($node) } 1 .. 3;
$_->send_query('CALL flex_outbox_drain()') for @drainers;
$_->receive(60) for @drainers;
drain();
is($session->value("SELECT count(*) || ' ' || sum(times) || ' ' || count(DISTINCT xid) FROM tickets"), '500 500 500', 'many callbacks by three drains: each once, each its own commit');
is(came(), 500, '... and each request once');

# A cancel of the drain while a callback runs: that one is tried again
fresh();
$session->value("ALTER SYSTEM SET flex_api.callback_timeout = '60s'");
$session->value('SELECT pg_reload_conf()');
callback('slow', q{UPDATE tickets SET times = times + 1; IF (SELECT count(*) FROM parents WHERE id = 77) = 0 THEN PERFORM pg_sleep(60); END IF});
$id = enqueue(1, "on_success => 'slow'");
my $pid = $session->pid;
$session->send_query('CALL flex_outbox_drain()');
my $control = FlexApi::Session->new($node);
ok(FlexApi::wait_until(sub { $control->value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'flex_api callbacks' AND wait_event = 'PgSleep'") == 1 }), 'a callback is under way');
$control->value("SELECT pg_cancel_backend($pid)");
is($session->receive(20)->{error}->{C}, '57014', 'a cancel ends the drain');
is($control->value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'flex_api callbacks'"), 0, '... and its callback\'s process');
$session->value('INSERT INTO parents VALUES (77)');
hurry();
is(drain()->{error}, undef, '... the next one');
is(row($id, 'state') . ticket(1, 'times') . came(), 'succeeded11', '... runs the callback, once');

# A callback's statement_timeout of the session, its own SETs
fresh();
callback('sets', q{SET default_transaction_read_only = on; SET flex_api.outbox_retention = 0; SET search_path = nowhere; SET work_mem = '77MB';
	PERFORM set_config('flex_api.base_url', 'http://127.0.0.1:1', false)});
$id = enqueue(1, "on_success => 'sets'");
my $good = enqueue(2, "on_success => 'note_chat'");
is(drain()->{error}, undef, 'a callback that changes settings: the drain ends well');
is($session->value("SELECT concat_ws(' ', current_setting('default_transaction_read_only'), current_setting('flex_api.outbox_retention'),
	current_setting('search_path'), current_setting('work_mem'), current_setting('flex_api.base_url') <> 'http://127.0.0.1:1')"),
	'off -1 "$user", public 4MB t', '... the session has its own ones after it');
is(row($good, 'state') . ticket(2, 'times'), 'succeeded1', '... and the next one runs');

$node->stop('fast');
done_testing();
