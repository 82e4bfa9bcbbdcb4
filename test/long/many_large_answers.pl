# Many large answers at once: what a sender needs to settle them is bounded, whoever sends;
# no answer is lost while it has to wait; and a cancel does not wait until all are read.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $MB = 1024 * 1024;

# Answers by the name in the identity: one whose tree is a hundred times as large, one that is
# read at little cost, and an ordinary one.
my %ANSWERS = (
	dense => '[' . join(',', ('{"a":1}') x 100_000) . ']',
	long => '{"a":"' . 'x' x (6 * $MB) . '"}',
	small => '{"sid":"CH1"}');
$ANSWERS{stalled} = $ANSWERS{endless} = $ANSWERS{long};
my $TRAILED = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" .
  "d\r\n$ANSWERS{small}\r\n0\r\nX-One: 1\r\nX-Two: 2\r\nX-Three: 3\r\n\r\n";
my $server = FlexApi::Server->new(sub {
	my ($connection, $server) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		my ($name, $number) = $request->{body} =~ /Identity=([a-z]+)(\d+)/;
		$server->note("came $name$number");
		$server->note("asks for $1") if $request->{head} =~ /^accept-encoding: *(\S+)/mi;
		my ($begin, $rest) = $name eq 'trailed' ? ('', $TRAILED) : (FlexApi::Server::answer($ANSWERS{$name}, '201 Created'), '');
		$rest = substr($begin, -1, 1, '') if $name =~ /^(stalled|endless)$/;
		print $connection $begin or return;
		FlexApi::wait_until(sub { $server->notes(qr/^end of $name$/) }) if $rest ne '';
		print $connection $rest or return;
		$server->note("answered $name$number");
	}
});

# A node whose sender's memory is its own: few shared buffers are in it.
sub node
{
	my ($name, @lines) = @_;
	return FlexApi::node($name, $server, "flex_api.rate_limits = 'none'", 'flex_api.concurrency = 60', "shared_buffers = '4MB'",
		"log_min_messages = 'warning'", 'fsync = off', @lines);
}

sub enqueue
{
	my ($session, $name, $count) = @_;
	$session->value("SELECT count(flex_enqueue('flex_webchat_create',
		jsonb_build_object('address_sid', 'IG' || repeat('a', 32), 'identity', '$name' || g))) FROM generate_series(1, $count) AS g");
	return;
}

# What became of the requests, and how often each came to the service.
sub states { my ($session) = @_; return $session->value("SELECT string_agg(concat_ws(' ', state, http_status, n), ', ' ORDER BY state) FROM
	(SELECT state, http_status, count(*) AS n FROM flex_outbox GROUP BY 1, 2) AS s") // ''; }
sub came_twice { my %times; $times{$_}++ foreach $server->notes(qr/^came/); return join ' ', grep { $times{$_} > 1 } sort keys %times; }

# From now on VmHWM is the peak from now on.
sub reset_peak { my ($pid) = @_; append_to_file("/proc/$pid/clear_refs", '5'); return FlexApi::status_of($pid, 'VmRSS'); }

# What is held is bounded, however many answers there are.  Built for a search for errors, memory is not what it is else.
sub is_bounded
{
	my ($pid, $before, $most, $name) = @_;
	my $grown = (FlexApi::status_of($pid, 'VmHWM') - $before) / 1024;
	return note(sprintf '%s: %d MB', $name, $grown) if $ENV{FLEX_SLOW_BUILD};
	return cmp_ok($grown, '<', $most, sprintf('%s: in bounded memory (%d MB)', $name, $grown));
}

my $node = node('answers');
my $control = FlexApi::Session->new($node);
my $drainer = FlexApi::Session->new($node);
my $pid = $drainer->pid;
$_->value('SET client_min_messages = error') foreach $control, $drainer;
enqueue($control, 'small', 50);
$drainer->value('CALL flex_outbox_drain()');
is(states($control), 'succeeded 201 50', 'a drain that has begun to work');
is(scalar($server->notes(qr/^asks for/)), 0, '... and asks for no packed answers, of which a few bytes are many');
$control->value(sprintf(q{SELECT flex_webchat_create('IG%s', identity => 'small0')}, 'a' x 32));
is(scalar($server->notes(qr/^asks for/)), 1, '... as a direct call does');

# By a drain
foreach my $case ([ 'dense', 15 ], [ 'long', 45 ])
{
	my ($name, $count) = @$case;
	$control->value('TRUNCATE flex_outbox_requests');
	$server->clear_notes;
	enqueue($control, $name, $count);
	my $before = reset_peak($pid);
	is($drainer->query('CALL flex_outbox_drain()', 300)->{error}, undef, "a drain of $count answers, $name");
	is_bounded($pid, $before, 300, '... takes them');
	is(states($control), "succeeded 201 $count", '... all of them');
	is(came_twice(), '', '... each once');
	is($control->value("SELECT count(*) FROM flex_outbox WHERE octet_length(response::text) < " . length($ANSWERS{$name})), 0, '... and whole');
}

# While a row cannot be settled the others' answers have to wait, for longer than flex_api.timeout.
{
	my $count = 25;
	my $locker = FlexApi::Session->new($node);
	$control->value('TRUNCATE flex_outbox_requests');
	$server->clear_notes;
	enqueue($control, 'small', 1);
	enqueue($control, 'long', $count);
	$locker->value('BEGIN');
	$drainer->value("SET flex_api.timeout = '3s'");
	$control->value(q{CREATE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF new.turn > old.turn THEN PERFORM pg_advisory_xact_lock(1); END IF; RETURN new; END $$;
		CREATE TRIGGER waits BEFORE UPDATE ON flex_outbox_requests FOR EACH ROW WHEN (old.arguments->>'identity' LIKE 'long%') EXECUTE FUNCTION waits()});
	$locker->value('SELECT pg_advisory_xact_lock(1)');
	$drainer->send_query('CALL flex_outbox_drain()');
	ok(FlexApi::wait_until(sub { $control->value("SELECT count(*) FROM pg_locks WHERE pid = $pid AND NOT granted") > 0 }, 60), 'a drain waits for a lock');
	ok(FlexApi::wait_until(sub { $control->value("SELECT min(started_at) < clock_timestamp() - interval '4 s' FROM flex_outbox WHERE state = 'sending'") eq 't' }),
		'... for longer than flex_api.timeout');
	cmp_ok(scalar($server->notes(qr/^answered long/)), '<', $count, '... and not all has been read');
	$locker->value('COMMIT');
	is($drainer->receive(300)->{error}, undef, '... then it ends');
	is(states($control), 'succeeded 201 ' . ($count + 1), '... and none is late');
	$control->value('DROP FUNCTION waits CASCADE');
	$drainer->value('RESET flex_api.timeout');
	$locker->close;
}

# Answers that come whole while they have to wait, since of others so much has come: with trailers, which libcurl then hands on as one.
{
	my $count = 20;
	$control->value('TRUNCATE flex_outbox_requests');
	$server->clear_notes;
	enqueue($control, $_, $count) for 'stalled', 'trailed';
	$drainer->value("SET flex_api.timeout = '10min'");
	my $before = reset_peak($pid);
	$drainer->send_query('CALL flex_outbox_drain()');
	ok(FlexApi::wait_until(sub { $server->notes(qr/^came/) == 2 * $count && FlexApi::status_of($pid, 'VmRSS') - $before > 48 * 1024 }),
		'a drain has much of many answers, and the whole of none');
	$server->note('end of trailed');
	ok(FlexApi::wait_until(sub { $server->notes(qr/^answered trailed/) == $count }), '... others are answered whole');
	$server->note('end of stalled');
	is($drainer->receive(300)->{error}, undef, '... then it ends');
	is_bounded($pid, $before, 300, '... and takes them');
	is(states($control), 'succeeded 201 ' . 2 * $count, '... all of them')
	  or diag(explain($control->query(q{SELECT arguments->>'identity', error_code, error_message FROM flex_outbox WHERE error_code <> ''})->{rows}));
	$drainer->value('RESET flex_api.timeout');
}

# Answers that never end are given up side by side, and not one after the other; others do not wait for
# all of them.
{
	my $count = 24;
	my $timeout = 2;
	$control->value('TRUNCATE flex_outbox_requests');
	$server->clear_notes;
	enqueue($control, 'endless', $count);
	enqueue($control, 'small', 20);
	$drainer->value("SET flex_api.timeout = '${timeout}s'");
	my $result = $drainer->query('CALL flex_outbox_drain()', 300);
	is($result->{error}, undef, 'a drain of answers that never end');
	is(states($control), "succeeded 201 20, uncertain 201 $count", '... ends: they are uncertain, others have succeeded');
	cmp_ok($result->{seconds}, '<', $count * $timeout / 2, sprintf('... after %.1f s, where each has %d s', $result->{seconds}, $timeout));
	$drainer->value('RESET flex_api.timeout');
	$control->value('TRUNCATE flex_outbox_requests');
}

# A cancel comes while much is unsettled: it ends after what takes no time, and the rest is said to be unknown.
{
	my $count = 25;
	my $locker = FlexApi::Session->new($node);
	$control->value($_) for 'TRUNCATE flex_outbox_requests', 'CREATE SEQUENCE times_held',
		q{CREATE FUNCTION waits_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF nextval('public.times_held') = 1 THEN PERFORM pg_advisory_lock(1); END IF; RETURN new; END $$},
		q{CREATE TRIGGER waits_once BEFORE UPDATE ON flex_outbox_requests FOR EACH ROW
			WHEN (new.turn > old.turn AND old.arguments->>'identity' LIKE 'long%') EXECUTE FUNCTION waits_once()};
	$server->clear_notes;
	enqueue($control, 'long', $count);
	$locker->value('SELECT pg_advisory_lock(1)');
	$drainer->send_query('CALL flex_outbox_drain()');
	ok(FlexApi::wait_until(sub { $control->value("SELECT count(*) FROM pg_locks WHERE pid = $pid AND NOT granted") > 0 }, 60), 'a drain settles large answers');
	$control->value("SELECT pg_cancel_backend($pid)");
	my $result = $drainer->receive(60);
	is($result->{error}->{C}, '57014', '... and is cancelled');
	is($control->value("SELECT count(*) FROM flex_outbox WHERE state = 'uncertain'"), $count, '... what was being answered is not known')
	  or diag(explain($control->query('SELECT DISTINCT state, http_status, error_code, error_message FROM flex_outbox')->{rows}));
	cmp_ok($control->value("SELECT count(*) FROM flex_outbox WHERE error_code = '08007' AND error_message = 'the sender was stopped before it had read the answer'"),
		'>', 0, '... though some answers had come');
	is($control->value('SELECT count(*) FROM flex_outbox WHERE sender_pid IS NOT NULL'), 0, '... nobody has them any more');
	$control->value('DROP FUNCTION waits_once CASCADE');
	$locker->close;
	enqueue($control, 'small', 50);
	is($drainer->sqlstate('CALL flex_outbox_drain()'), '00000', 'the next drain');
	is($control->value("SELECT count(*) FROM flex_outbox WHERE state = 'succeeded' AND response IS NOT NULL"), 50, '... works');
	is(came_twice(), '', '... and nothing was sent twice');
}
$node->stop('fast');

# By the worker, which also stops at once
$node = node('answered', "shared_preload_libraries = 'flex_api'");
$control = FlexApi::Session->new($node);
$server->clear_notes;
enqueue($control, 'small', 50);
sub worker { return $control->value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'flex_api outbox worker'"); }
sub all_sent { return FlexApi::wait_until(sub { $control->value("SELECT count(*) FROM flex_outbox WHERE state IN ('pending', 'sending')") == 0 }, 300); }
ok(all_sent(), 'the worker sends');
$pid = worker();
$control->value('TRUNCATE flex_outbox_requests');
my $before = reset_peak($pid);
enqueue($control, 'long', 45);
ok(all_sent(), 'answers come');
is_bounded($pid, $before, 300, '... the worker takes them');
is(states($control), 'succeeded 201 45', '... all of them');
$control->value('TRUNCATE flex_outbox_requests');
enqueue($control, 'dense', 40);
ok(FlexApi::wait_until(sub { $control->value("SELECT count(*) FROM flex_outbox WHERE state = 'succeeded'") > 0 }, 60), 'some of many are settled');
$control->value("SELECT pg_terminate_backend($pid)");
ok(FlexApi::wait_until(sub { $control->value("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid") == 0 }, 10 * FlexApi::slowness()),
	'terminated, the worker stops');
ok(all_sent(), '... and each has its end, by the next one');
is($control->value("SELECT count(*) FROM flex_outbox WHERE state NOT IN ('succeeded', 'uncertain')"), 0, '... which is a success, or is not known');
is($control->value("SELECT count(*) FROM flex_outbox WHERE state = 'succeeded' AND response IS NULL"), 0, '... with the answer');

$node->stop('fast');
done_testing();
