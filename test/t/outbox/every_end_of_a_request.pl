# What a drain makes of each end that a request can have: the state, what is
# kept of the answer, and how many times the service got it.

use strict;
use warnings;

use FlexApi;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('delivery', $simulator, "flex_api.rate_limits = 'none'", "flex_api.timeout = '1s'");
my $session = FlexApi::Session->new($node);

# For each kind of method an operation: its arguments, its path.
my %operations = (
	POST => [ 'flex_webchat_create', { address_sid => 'IG' . '0' x 32 }, '/v2/WebChats' ],
	GET => [ 'flex_provisioning_status_fetch', {}, '/v1/account/provision/status' ],
	DELETE => [ 'flex_channel_delete', undef, '/v1/Channels/*' ]);

$session->query('SET client_min_messages = error');

sub fresh
{
	$session->value('TRUNCATE flex_outbox_requests; DELETE FROM flex_outbox_holds');
	$simulator->clear_faults;
	$simulator->clear_requests;
	return;
}

# Enqueue a request of a method, with further arguments of flex_enqueue(); its id.
sub enqueue
{
	my ($method, $more, %arguments) = @_;
	my ($operation, $usual) = @{ $operations{$method} };

	%arguments = %{ $usual // { sid => channel() } } unless %arguments;
	my $json = JSON::PP->new->canonical->encode(\%arguments);
	return $session->value("SELECT flex_enqueue('$operation', '$json'" . ($more ? ", $more" : '') . ')');
}

# A channel that exists.
sub channel
{
	$simulator->post('seed', { channels => 1 });
	return $session->value('SELECT sid FROM flex_channels_list(max_rows => 1)');
}

# Columns of a request.
sub row
{
	my ($id, $columns) = @_;
	return join('|', map { $_ // '' } @{ $session->query("SELECT $columns FROM flex_outbox WHERE id = $id")->{rows}->[0] });
}

sub drain { my ($arguments) = @_; return $session->query('CALL flex_outbox_drain(' . ($arguments // '') . ')'); }

# Have what waits for its back-off sent at once.
sub hurry { return $session->value("UPDATE flex_outbox_later SET due_at = now(); DELETE FROM flex_outbox_holds"); }

# How many requests of a method came.
sub came { my ($method) = @_; return scalar grep { $_->{method} eq $method && $_->{path} !~ m{/v1/Channels\?} } $simulator->requests; }

# One try of a request that meets a fault: state, status, code, how often it came.
sub outcome
{
	my ($method, $fault, $more) = @_;

	fresh();
	my $id = enqueue($method, $more);
	$simulator->clear_requests;
	$simulator->post('faults', { path => $operations{$method}->[2], method => $method, %$fault }) if $fault;
	my $result = drain();
	is($result->{error}, undef, '... the drain ends well') or diag explain $result->{error};
	return row($id, "state, http_status, error_code, finished_at IS NOT NULL, attempts, sender_pid")
	  . '|' . came($method);
}

#       method, fault, what follows
my @cases = (
	[ 'POST', undef, 'succeeded|201||t|1||1', 'a POST' ],
	[ 'GET', undef, 'succeeded|200||t|1||1', 'a GET' ],
	[ 'DELETE', undef, 'succeeded|204||t|1||1', 'a DELETE' ],
	[ 'POST', { status => 400, code => 20001 }, 'failed|400|20001|t|1||1', 'refused: 400' ],
	[ 'POST', { status => 401 }, 'pending|401|20003|f|0||1', 'refused: 401, which the operator mends', 'again' ],
	[ 'POST', { status => 403, code => 20403 }, 'failed|403|20403|t|1||1', 'refused: 403' ],
	[ 'GET', { status => 404 }, 'failed|404|20404|t|1||1', 'refused: a GET with 404' ],
	[ 'DELETE', { status => 404 }, 'failed|404|20404|t|1||1', 'refused: a first DELETE with 404' ],
	[ 'POST', { status => 409 }, 'failed|409|20409|t|1||1', 'refused: 409' ],
	[ 'GET', { status => 500 }, 'pending|500|20500|f|1||1', 'GET 500', 'again' ],
	[ 'GET', { status => 503 }, 'pending|503|20503|f|1||1', 'GET 503', 'again' ],
	[ 'DELETE', { status => 503 }, 'pending|503|20503|f|1||1', 'DELETE 503', 'again' ],
	[ 'POST', { status => 500 }, 'failed|500|20500|t|1||1', 'POST 500' ],
	[ 'POST', { status => 503 }, 'failed|503|20503|t|1||1', 'POST 503' ],
	[ 'POST', { status => 502, shape => 'html', after => JSON::PP::true }, 'uncertain|502||t|1||1', 'POST 502 of a gateway' ],
	[ 'POST', { status => 504, shape => 'empty', after => JSON::PP::true }, 'uncertain|504||t|1||1', 'POST 504 of a gateway' ],
	[ 'POST', { cut_at => 0, after => JSON::PP::true }, 'uncertain||08007|t|1||1', 'POST without an answer' ],
	[ 'POST', { cut_at => 0 }, 'uncertain||08007|t|1||1', 'POST that was perhaps not carried out' ],
	[ 'POST', { cut_at => 30 }, 'uncertain|201|08007|t|1||1', 'POST with half an answer' ],
	[ 'GET', { cut_at => 0 }, 'pending||08006|f|1||1', 'GET without an answer', 'again' ],
	[ 'DELETE', { cut_at => 0 }, 'pending||08006|f|1||1', 'DELETE without an answer', 'again' ],
	[ 'POST', { delay_ms => 2000 }, 'uncertain||08007|t|1||1', 'POST that takes too long' ],
	[ 'POST', { body => '{"identity": ', status => 201 }, 'uncertain|201|08P01|t|1||1', 'POST with an answer that is not JSON' ],
	[ 'GET', { body => 'nonsense' }, 'pending|200|08P01|f|1||1', 'GET with an answer that is not JSON', 'again' ],
	[ 'POST', { status => 302, headers => { Location => '/v1/Channels' } }, 'failed|302|20001|t|1||1', 'a redirect' ],
);

foreach my $case (@cases)
{
	my ($method, $fault, $expected, $name, $again) = @$case;
	my $got = outcome($method, $fault);

	# a random back-off can be no time at all, and the code of a redirect is the simulator's affair
	if ($again && $got =~ /^succeeded/) { pass("$name (at once)"); next; }
	s/^failed\|302\|[^|]*/failed|302|/ for $expected, $got;
	is($got, $expected, $name);
	hurry();
	drain();
	if ($again)
	{
		is(row('(SELECT max(id) FROM flex_outbox)', 'state, error_code, error_message'), 'succeeded||', "$name, sent again");
		is(came($method), 2, '... once');
	}
	else
	{
		is(came($method), 1, "$name is not sent again");
	}
}

# What is kept of a good answer and of a refusal
fresh();
my $id = enqueue('POST', undef, address_sid => 'IG' . '0' x 32, identity => 'larry');
drain();
is(row($id, "response ->> 'identity', response ? 'conversation_sid', request_id ~ '^RQ', started_at <= finished_at"),
	'larry|t|t|t', 'the answer is kept');
my ($sent) = $simulator->requests;
is($sent->{body}, 'AddressSid=IG' . '0' x 32 . '&Identity=larry', 'it was sent as a call sends it');
$simulator->post('faults', { status => 400, code => 12345, message => "it's no good" });
$id = enqueue('POST');
drain();
is(row($id, "error_code, error_message, response, request_id IS NOT NULL"), "12345|it's no good||t", 'the refusal is kept');
is($session->value(qq{SELECT count(*) FROM flex_outbox AS o WHERE o::text LIKE '%test-token%'}), 0, 'no secret is');

# A DELETE that was carried out without our knowing finds nothing the second time.  One attempt
# at a time: its repeat may be due at once.
foreach my $fault ({ cut_at => 0, after => JSON::PP::true }, { status => 503, after => JSON::PP::true })
{
	fresh();
	$id = enqueue('DELETE');
	$simulator->post('faults', { method => 'DELETE', %$fault });
	drain(1);
	hurry();
	drain(1);
	is(row($id, 'state, http_status, attempts'), 'succeeded|404|2', 'a DELETE whose answer was lost');
	# ... also when it is refused in between
	fresh();
	$id = enqueue('DELETE');
	$simulator->post('faults', { method => 'DELETE', %$fault });
	drain(1);
	$simulator->post('faults', { method => 'DELETE', status => 429 });
	hurry();
	drain(1);
	is(row($id, 'state, http_status, may_be_done'), 'pending|429|t', 'then refused');
	hurry();
	drain(1);
	is(row($id, 'state, http_status, attempts'), 'succeeded|404|2', 'a DELETE whose answer was lost, then refused, which was no attempt');
}
# a gateway's 404 does not say that it was carried out
fresh();
$id = enqueue('DELETE');
$simulator->post('faults', { method => 'DELETE', status => $_, shape => 'html' }) foreach 502, 404;
drain(1);
hurry();
drain(1);
is(row($id, 'state, http_status, attempts'), 'failed|404|2', 'a DELETE whose gateway gave up, and then had no route');
# one that was known not to be carried out was not
fresh();
$id = enqueue('DELETE', undef, sid => 'CH' . 'f' x 32);
$simulator->post('faults', { method => 'DELETE', status => 429 });
drain();
is(row($id, 'state, http_status, attempts'), 'failed|404|1', 'a DELETE of nothing that was refused with 429 before');

# 429 is no attempt, whatever the method: the same drain sends it again.  What a session has
# learned of the service is its own here.
my $first_session = $session;
$session = FlexApi::Session->new($node);
$session->query("SET client_min_messages = error; SET flex_api.timeout = '60s'");
foreach my $method (sort keys %operations)
{
	fresh();
	$id = enqueue($method, 'max_attempts => 1');
	$simulator->clear_requests;
	$simulator->post('faults', { method => $method, path => $operations{$method}->[2], status => 429, times => 2 });
	drain();
	is(row($id, 'state, attempts, error_code'), 'succeeded|1|', "$method, refused twice with 429: one attempt");
	is(came($method), 3, '... which was sent three times');
}
fresh();
$id = enqueue('POST');
$simulator->post('faults', { path => '/v2/WebChats', status => 429 });
drain(1);
is(row($id, 'state, http_status, error_code, attempts, started_at IS NOT NULL'), 'pending|429|20429|0|t', 'the row says that it was refused');

# Retry-After holds the operation back, and no other one: here one that is not used elsewhere,
# for from PostgreSQL 17 on all sessions know of it
fresh();
$session->close;
$session = FlexApi::Session->new($node);
$session->query('SET client_min_messages = error');
$simulator->post('faults', { path => '/v1/Channels/*', method => 'GET', status => 429, retry_after => '30' });
$session->query("SET flex_api.concurrency = 1");
my @fetches = map { $session->value("SELECT flex_enqueue('flex_channel_fetch', '{\"sid\": \"CH" . $_ x 32 . "\"}')") } 1 .. 3;
my $fetched = sub { return scalar grep { $_->{path} =~ m{^/v1/Channels/CH} } $simulator->requests; };
my $status = enqueue('GET');
drain();
is($fetched->(), 1, 'after Retry-After the operation is left alone');
is(row($status, 'state'), 'succeeded', '... others are not');
is(row($fetches[0], "state, run_at BETWEEN now() + interval '25 s' AND now() + interval '30 s'"), 'pending|t', '... for so long');
is($session->value("SELECT count(*) FROM flex_outbox WHERE state = 'pending' AND started_at IS NULL"), 2, '... nor are they claimed');
is($session->value("SELECT held_until BETWEEN now() + interval '25 s' AND now() + interval '30 s' FROM flex_outbox_summary WHERE operation = 'flex_channel_fetch'"),
	't', '... the summary says until when');
drain();
is($fetched->(), 1, '... nor by the next drain');
$session->close;
$session = $first_session;
SKIP:
{
	skip 'from 17 on all sessions know of it', 2 if $session->value('SHOW server_version_num') >= 170000;
	drain();
	is($fetched->(), 3, 'a session that does not know of it sends them');
	is(row($fetches[0], 'state'), 'pending', '... the one that was refused is due by its own time');
}
# There what was learnt of the refusals ends with the server.
if ($session->value('SHOW server_version_num') >= 170000)
{
	$session->close;
	$node->restart;
	$session = FlexApi::Session->new($node);
	$session->query('SET client_min_messages = error');
}

# Refused connections
fresh();
my $url = $simulator->url;
$session->query("SET flex_api.base_url = 'http://127.0.0.1:1'");
$id = enqueue('POST', 'max_attempts => 2');
drain(1);
like(row($id, 'state, http_status, error_code, error_message'), qr/^pending\|\|08001\|.*connect/i, 'nobody listens: a POST is kept');
hurry();
drain(1);
like(row($id, 'state, attempts, error_code, finished_at IS NOT NULL'), qr/^failed\|2\|08001\|t$/, 'max_attempts is the end');
$session->query("SET flex_api.base_url = '$url'");
hurry();
drain();
is(came('POST'), 0, '... and stays so');
is($session->sqlstate("SELECT flex_outbox_retry($id)"), '00000', 'retry()');
is(row($id, 'state, attempts, finished_at IS NULL'), 'pending|0|t', '... makes it new');
drain();
is(row($id, 'state, attempts, error_code, error_message'), 'succeeded|1||', '... and it is sent');
is($session->sqlstate("SELECT flex_outbox_retry($id)"), '55000', 'what succeeded is not repeated');
is($session->sqlstate("SELECT flex_outbox_cancel($id)"), '55000', '... nor cancelled');

# The back-off grows, is random, and is not beyond ten minutes
fresh();
$id = enqueue('GET', 'max_attempts => 1000');
$simulator->post('faults', { status => 503, times => -1 });
my @waits;
foreach my $attempts (1, 3, 6, 15)
{
	my @some;
	foreach (1 .. 8)
	{
		$session->value("UPDATE flex_outbox_requests SET attempts = $attempts - 1 WHERE id = $id; UPDATE flex_outbox_later SET due_at = now()");
		drain(1);
		push @some, row($id, 'extract(epoch FROM run_at - clock_timestamp())');
	}
	push @waits, [ sort { $a <=> $b } @some ];
}
cmp_ok($waits[0]->[-1], '<=', 1, 'the first wait is within a second');
cmp_ok($waits[1]->[-1], '<=', 4, 'the third within four');
cmp_ok($waits[2]->[-1], '>', 2, 'the sixth is longer');
cmp_ok($waits[3]->[-1], '>', 60, 'the fifteenth much longer');
cmp_ok($waits[3]->[-1], '<=', 600, '... but within ten minutes');
cmp_ok($waits[3]->[-1] - $waits[3]->[0], '>', 10, '... and never the same');

# An uncertain one: by a decision alone
fresh();
$simulator->post('faults', { cut_at => 0, after => JSON::PP::true, times => 2 });
$id = enqueue('POST');
my $other = enqueue('POST');
drain();
is(row($_, 'state'), 'uncertain', 'the answer is lost') for $id, $other;
hurry();
drain();
is(came('POST'), 2, 'nothing is sent again by itself');
$session->value("SELECT flex_outbox_retry($id)");
$session->value("SELECT flex_outbox_cancel($other)");
drain();
is(row($id, 'state') . row($other, 'state'), 'succeededcancelled', 'retry() and cancel() decide');
is(came('POST'), 3, '... and only the one is sent');

# Priorities, times, and so many as are wanted
fresh();
$session->query('SET flex_api.concurrency = 1');
my %sid = map { $_ => enqueue('POST', "priority => $_", address_sid => 'IG' . '0' x 32, identity => "p$_") } 0, 5, -3, 7;
enqueue('GET', 'priority => 6');
my $later = enqueue('POST', "run_at => now() + interval '1 hour', priority => 100");
drain(2);
is(join(' ', map { $_->{body} =~ /Identity=(\S+)/ ? $1 : $_->{method} } $simulator->requests), 'p7 GET', 'the most urgent first, no more than max_requests');
drain(0);
is(scalar($simulator->requests), 2, 'max_requests of 0 sends nothing');
drain();
is(join(' ', map { $_->{body} =~ /Identity=(\S+)/ ? $1 : $_->{method} } $simulator->requests), 'p7 GET p5 p0 p-3', '... then the others');
is(row($later, 'state, attempts'), 'pending|0', 'what is for later waits');
is($session->sqlstate('CALL flex_outbox_drain(-1)'), '22023', 'less than none');
$session->query('RESET flex_api.concurrency');

# Where a drain cannot be
is($session->sqlstate('BEGIN; CALL flex_outbox_drain(); COMMIT'), '25001', 'not in a transaction block');
$session->query('ROLLBACK');
is($session->sqlstate('DO $$ BEGIN PERFORM 1; CALL flex_outbox_drain(); END $$'), '00000', 'in a DO block of its own');
$session->query('SET default_transaction_isolation = serializable');
is($session->sqlstate('CALL flex_outbox_drain()'), '55000', 'not in an isolation level that does not see others');
$session->query('RESET default_transaction_isolation');

# A rolled back one, and one whose operation is gone
fresh();
$session->query("BEGIN; SELECT flex_enqueue('flex_provisioning_status_fetch', '{}'); ROLLBACK");
$id = enqueue('GET');
$other = enqueue('POST');
$session->value("UPDATE flex_outbox_requests SET operation = 'flex_of_old' WHERE id = $id");
drain();
is(row($id, 'state, error_code'), 'failed|42883', 'an operation that is not there fails');
is(row($other, 'state'), 'succeeded', '... alone');
is(came('GET'), 0, 'what was rolled back is not sent');
$id = enqueue('POST');
$session->value(qq{UPDATE flex_outbox_requests SET arguments = '{"address_sid": 5}' WHERE id = $id});
drain();
is(row($id, 'state, error_code'), 'failed|22023', 'arguments that the operation does not take any more fail');

# A copy of the database: nothing of it is sent
fresh();
$id = enqueue('POST');
$session->value("UPDATE flex_outbox_requests SET enqueued_in = 1 WHERE id = $id");
drain();
is(row($id, 'state, finished_at IS NOT NULL') . came('POST'), 'cancelled|t0', 'what another database enqueued is cancelled');

# Retention
fresh();
my @ended = qw(succeeded failed uncertain cancelled);
my %old = (pending => enqueue('GET', "run_at => now() + interval '1 hour'"), map { $_ => enqueue('GET') } @ended);
$session->value("UPDATE flex_outbox_requests SET state = '$_', enqueued_at = now() - interval '62 min', finished_at = now() - interval '61 min' WHERE id = $old{$_}") for @ended;
$session->value("UPDATE flex_outbox_requests SET enqueued_at = now() - interval '62 min' WHERE id = $old{pending}");
my $new = $session->value("INSERT INTO flex_outbox_requests (operation, arguments, state, max_attempts, run_at, finished_at, enqueued_by, role_id, enqueued_xid, enqueued_in)
	SELECT operation, arguments, 'succeeded', 1, now(), now() - interval '59 min', enqueued_by, role_id, enqueued_xid, enqueued_in FROM flex_outbox LIMIT 1 RETURNING id");
FlexApi::Session->new($node)->query("SET flex_api.outbox_retention = -1; CALL flex_outbox_drain()");
is($session->value('SELECT count(*) FROM flex_outbox'), 6, 'retention -1 keeps all');
my $cleaner = FlexApi::Session->new($node);
$cleaner->query("SET flex_api.outbox_retention = '60min'");
$cleaner->query('CALL flex_outbox_drain()');
is($session->value("SELECT string_agg(state, ' ' ORDER BY id) FROM flex_outbox WHERE id <> $new"),
	join(' ', map { $_->[0] } sort { $a->[1] <=> $b->[1] } map { [ $_, $old{$_} ] } qw(uncertain pending)), 'old ones go, but not those to decide on');
is(row($new, 'state'), 'succeeded', '... nor younger ones');

# To be seen
fresh();
my $listener = FlexApi::Session->new($node);
$listener->query('LISTEN flex_api');
$simulator->post('faults', [ { path => '/v2/WebChats', status => 400, message => 'first' }, { path => '/v2/WebChats', cut_at => 0, skip => 1 } ]);
$session->query('SET flex_api.concurrency = 1');
my @three = map { enqueue('POST') } 1 .. 3;
my $cancelled = enqueue('GET', "run_at => now() + interval '1 hour'");
$session->value("SELECT flex_outbox_cancel($cancelled)");
my $due = enqueue('GET', "run_at => now() + interval '1 hour'");
drain();
is_deeply([ map { join ' ', @$_ } @{ $session->query('SELECT operation, pending, due, sending, succeeded, failed, uncertain, cancelled, callbacks, finished_last_minute FROM flex_outbox_summary ORDER BY 1')->{rows} } ],
	[ 'flex_provisioning_status_fetch 1 0 0 0 0 0 1 0 1', 'flex_webchat_create 0 0 0 1 1 1 0 0 3' ], 'flex_outbox_summary');
is($session->value("SELECT oldest_pending BETWEEN '0 s' AND '1 min' FROM flex_outbox_summary WHERE pending > 0"), 't', '... its oldest age');
like($session->value("SELECT last_error FROM flex_outbox_summary WHERE failed > 0"), qr/\w/, '... its last error');
my %told;
$listener->{socket}->syswrite('Q' . pack('N', 14) . "SELECT 1;\0");
while (my ($type, $content) = $listener->_message(time() + 10))
{
	$told{$2} = $3 if $type eq 'A' && $content =~ /^.{4}(flex_api)\0(\d+) (\w+)\0/s;
	last if $type eq 'Z';
}
is_deeply(\%told, { $three[0] => 'failed', $three[1] => 'succeeded', $three[2] => 'uncertain' }, 'NOTIFY tells a session that listens') or diag explain \%told;

# flex_outbox_await
is($session->value("SELECT state FROM flex_outbox_await($three[0])"), 'failed', 'await gives what is over at once');
my $result = $session->query("SELECT state FROM flex_outbox_await($due, '200 ms')");
is($result->{rows}->[0]->[0], 'pending', '... and what is not after the timeout');
cmp_ok($result->{seconds}, '>=', 0.2, '... not before');
is($session->sqlstate('SELECT flex_outbox_await(0)'), 'P0002', '... and says when there is none');
is($session->sqlstate("BEGIN; SELECT flex_outbox_await(flex_enqueue('flex_provisioning_status_fetch', '{}'))"), '55000', '... or when it waits in vain');
$session->query('ROLLBACK');
is($session->sqlstate(q{DO $$ DECLARE request bigint; BEGIN
	BEGIN request := flex_enqueue('flex_provisioning_status_fetch', '{}'); EXCEPTION WHEN OTHERS THEN NULL; END;
	PERFORM flex_outbox_await(request); END $$}), '55000', '... also when it was enqueued in a block of its own');
my $waiter = FlexApi::Session->new($node);
$id = enqueue('POST');
$waiter->send_query("SELECT state FROM flex_outbox_await($id)");
drain();
is($waiter->receive(10)->{rows}->[0]->[0], 'succeeded', '... and what becomes of it meanwhile');

$node->stop('fast');
done_testing();
