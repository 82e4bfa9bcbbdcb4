# flex_call_many(): how many requests are under way at once, in which order rows come,
# what is repeated, and that nothing that was created is lost with a statement that
# fails in the middle.

use strict;
use warnings;

use FlexApi;
use IO::Socket::INET;
use List::Util qw(max uniq);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('many', $simulator, "flex_api.rate_limits = 'none'", 'fsync = off', "log_min_messages = 'log'");
my $session = FlexApi::Session->new($node);
my $control = FlexApi::Session->new($node);

sub fresh
{
	$simulator->clear_faults;
	$simulator->post('reset');
	return;
}

# So many chats, each with an identity of its own.
sub chats
{
	my ($count) = @_;
	return "(SELECT array_agg(jsonb_build_object('address_sid', 'IG00000000000000000000000000000001', 'identity', 'i' || g) ORDER BY g) "
	  . "FROM generate_series(1, $count) AS g)";
}

# Requests of any path of a server of ours.
sub paths
{
	my ($method, @paths) = @_;
	return 'ARRAY[' . join(', ', map { qq('{"method": "$method", "path": "$_"}') } @paths) . ']::jsonb[]';
}

# A server that notes what comes, and does what the path says.
my $server = FlexApi::Server->new(sub {
	my ($connection, $server) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		my ($what, $number) = $request->{path} =~ m{^/(\w+)/(\w+)} or die "path $request->{path}";
		$server->note("in $request->{method} $request->{path}");
		if ($what eq 'after')
		{
			# Not before the one of the number below has been answered.
			my $other = $number - 1;
			FlexApi::wait_until(sub { $server->notes(qr{^answered \S+ /\w+/$other$}) }) or die 'the other one does not come';
		}
		if ($what eq 'silent') { sleep 1000; }
		if ($what eq 'slow') { sleep 0.05; }
		if ($what eq 'once' && $server->notes(qr{^in \S+ $request->{path}$}) == 1) { return; }
		if ($what eq 'busy' && $server->notes(qr{^in \S+ $request->{path}$}) == 1)
		{
			print $connection FlexApi::Server::answer('{"code": 20429, "message": "busy"}', '429 Too Many');
			next;
		}
		$server->note("out $request->{method} $request->{path}");
		my $sid = sprintf 'KD%032x', $number =~ /^\d+$/ ? $number : 0;
		print $connection FlexApi::Server::answer(qq({"sid": "$sid", "path": "$request->{path}"}), '201 Created') or return;
		$server->note("answered $request->{method} $request->{path}");
	}
});
my $at_server = "SET flex_api.base_url = '" . $server->url . "'";

# How many are with the server at once at the most.
sub most_at_once
{
	my ($now, $most) = (0, 0);
	foreach my $note ($server->notes(qr/^(in|out) /))
	{
		$now += $note =~ /^in/ ? 1 : -1;
		$most = max($most, $now);
	}
	return $most;
}

# As many at once as the argument says, or the setting
$session->value($at_server);
foreach my $case ([ 7, ', 7' ], [ 1, ', 1' ], [ 12, '' ])
{
	my ($concurrency, $argument) = @$case;
	$server->clear_notes;
	$session->value('SET flex_api.concurrency = 12');
	my $count = $concurrency == 1 ? 10 : 60;
	is($session->value("SELECT count(*) FROM flex_call_many('flex_request', " . paths('POST', map { "/slow/$_" } 1 .. $count) . "$argument) WHERE sqlstate IS NULL"),
		$count, "concurrency $concurrency: all are answered");
	cmp_ok(most_at_once(), '<=', $concurrency, '... no more at once');
	cmp_ok(most_at_once(), '>', $concurrency / 2, '... but ' . most_at_once());
}

# Rows come in the order in which requests end: each of these waits for the one after it
$server->clear_notes;
my $result = $session->query("SELECT number FROM flex_call_many('flex_request', " . paths('GET', '/after/4', '/after/3', '/after/2', '/good/1') . ', 4)');
is_deeply($result->{rows}, [ [4], [3], [2], [1] ], 'rows in the order of the ends');

# A busy service (429), and an answer that is lost: what may be repeated is
$server->clear_notes;
$result = $session->query("SELECT number, sqlstate FROM flex_call_many('flex_request', " . paths('POST', '/busy/1', '/good/2', '/once/3')
	  . ' || ' . paths('GET', '/busy/4', '/once/5') . ') ORDER BY number');
is_deeply($result->{rows}, [ [ 1, undef ], [ 2, undef ], [ 3, '08007' ], [ 4, undef ], [ 5, undef ] ], '429 is repeated, a lost answer of a GET too');
is(scalar($server->notes(qr{^in POST /busy/1$})), 2, '... the POST that was refused');
is(scalar($server->notes(qr{^in POST /once/3$})), 1, '... but not one that may have been carried out');
is(scalar($server->notes(qr{^in GET /once/5$})), 2, '... the GET');
$session->value('RESET flex_api.base_url; RESET flex_api.concurrency');

# Every POST once, and each row has its own answer
fresh();
$result = $session->query("SELECT count(*), count(DISTINCT response ->> 'conversation_sid'), bool_and(response ->> 'identity' = 'i' || number), count(sqlstate) "
	  . 'FROM flex_call_many(\'flex_webchat_create\', ' . chats(2000) . ', 100)');
is_deeply($result->{rows}, [ [ 2000, 2000, 't', 0 ] ], '2,000 chats');
is($simulator->get('counters')->{by_operation}->{flex_webchat_create}, 2000, '... each was asked for once');

# A service that fails at random: rows, and never a second POST
fresh();
$simulator->post('faults', [ map { { operation => 'flex_webchat_create', fault => $_, chance => 0.05, seed => 7 } } qw(503 lost_answer 429 refused_connection) ]);
$session->value("SET flex_api.max_retries = 0");
$result = $session->query("SELECT coalesce(sqlstate, '00000'), count(*) FROM flex_call_many('flex_webchat_create', " . chats(1000) . ', 30) GROUP BY 1');
$session->value('RESET flex_api.max_retries');
my %ends = map { @$_ } @{ $result->{rows} };
note(explain(\%ends));
is(List::Util::sum(values %ends), 1000, 'a service with faults: a row for each');
cmp_ok($ends{'00000'}, '>', 500, '... most succeed');
ok((grep { /^08007$/ } keys %ends) && (grep { /^TW/ } keys %ends), '... refusals and lost answers are told apart');
my %times_sent;
foreach my $request ($simulator->requests)
{
	my %parameters = map { @$_ } @{ $request->{parameters} };
	$times_sent{ $parameters{Identity} }++;
}
is_deeply([ uniq(values %times_sent) ], [1], '... nothing was sent twice');

# A server that is not there, and one that goes in the middle
my $closed = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die $!;
my $nobody = 'http://127.0.0.1:' . $closed->sockport;
close $closed;
$session->value("SET flex_api.max_retries = 0; SET flex_api.timeout = '1s'; SET flex_api.base_url = '$nobody'");
$result = $session->query('SELECT sqlstate, count(*) FROM flex_call_many(\'flex_webchat_create\', ' . chats(50) . ') GROUP BY 1');
$session->value('RESET flex_api.timeout');
is_deeply($result->{rows}, [ [ '08001', 50 ] ], 'a server that is not there: 08001 in each row');

my $mortal = FlexApi::Server->new(sub {
	my ($connection, $server) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		$server->note('in');
		if ($server->notes(qr/^in$/) > 20) { sleep 1000; }
		$server->note('out');
		print $connection FlexApi::Server::answer('{"sid": "KD00000000000000000000000000000001"}') or return;
	}
});
$session->value("SET flex_api.base_url = '" . $mortal->url . "'");
$session->send_query('SELECT coalesce(sqlstate, \'00000\'), count(*) FROM flex_call_many(\'flex_request\', '
	  . paths('POST', ('/v1/Anything') x 40) . ', 10) GROUP BY 1 ORDER BY 1');
# Two that come at once may both be the last one, or the first one, that it answers.
ok(FlexApi::wait_until(sub { $mortal->notes(qr/^out$/) >= 15 && $mortal->notes(qr/^in$/) == $mortal->notes(qr/^out$/) + 10 }),
	'a server answers some twenty, and has ten more');
my $answered = $mortal->notes(qr/^out$/);
$mortal->stop;
%ends = map { @$_ } @{ $session->receive->{rows} };
is($ends{'00000'}, $answered, '... when it is killed, those are there');
# A connection that it accepts in its last moment is one more on which a request was sent.
cmp_ok($ends{'08007'}, '>=', 10, '... those that it had are unknown');
is($ends{'08007'} + ($ends{'08001'} // 0), 40 - $answered, '... the others were never sent');
$session->value('RESET flex_api.max_retries; RESET flex_api.base_url');

# A service that lets nothing through, whatever it says, is not asked for each element: single requests find out
# whether that goes on, and when it has gone on for as long as one call would wait, the rest is not sent
my $hopeless = FlexApi::Server->new(sub {
	my ($connection, $server) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		my ($what) = $request->{path} =~ m{^/(\w+)/} or die "path $request->{path}";
		$server->note("in $what");
		my $passes = $what eq 'later' && $server->notes(qr/^in later$/) > 25;
		print $connection FlexApi::Server::answer($passes ? '{}' : '{"message": "closed"}',
			$passes ? '200 OK' : $what eq 'busy' ? '429 Too Many' : '503 Closed', $what eq 'asks' ? ('Retry-After: 1000') : ()) or return;
	}
});
$session->value("SET flex_api.timeout = '1s'");
foreach my $case ([ 'GET', 'closed', 'TW503' ], [ 'POST', 'closed', 'TW503' ], [ 'POST', 'busy', 'TW429' ], [ 'GET', 'asks', 'TW503' ])
{
	my ($method, $what, $sqlstate) = @$case;
	$hopeless->clear_notes;
	$session->value("SET flex_api.base_url = '" . $hopeless->url . "'; SET flex_api.account_sid = 'AC" . sprintf('%032x', length "$method$what") . "'");
	$result = $session->query("SELECT sqlstate, count(*) FROM flex_call_many('flex_request', "
		  . paths($method, map { "/$what/$_" } 1 .. 1000) . ", 10) GROUP BY sqlstate, error_message LIKE 'request was not sent: %'");
	my %rows = map { @$_ } @{ $result->{rows} };
	cmp_ok($rows{'08001'} // 0, '>', 500, "$method, $what: most were not sent");
	cmp_ok($rows{$sqlstate} // 0, '>', 0, '... others say what the service said');
	is(List::Util::sum(values %rows), 1000, '... a row for each');
	cmp_ok(scalar($hopeless->notes(qr/^in $what$/)), '<', 500, '... few requests were sent: ' . $hopeless->notes(qr/^in $what$/));
}
$hopeless->clear_notes;
$session->value("SET temp_file_limit = '64kB'; SET work_mem = '64kB'; SET flex_api.account_sid = 'AC" . '8' x 32 . "'");
$result = $session->query("SELECT * FROM flex_call_many('flex_request', " . paths('POST', ('/asks/1') x 20, ('/closed/1') x 5000) . ', 2)');
is($result->{error}->{C}, '53400', 'a statement that fails while it gives up');
my ($told_sent) = $result->{error}->{W} =~ /^Flex API requests of flex_request: (\d+) of 5020 sent, \1 answered, 0 under way$/m;
is($told_sent, scalar($hopeless->notes(qr/^in /)), '... says what was sent, and no more');
$session->value('RESET temp_file_limit; RESET work_mem');
$session->value("SET flex_api.timeout = '60s'; SET flex_api.max_retries = 0; SET flex_api.account_sid = 'AC" . '9' x 32 . "'");
is($session->value("SELECT count(*) FILTER (WHERE sqlstate IS NULL) > 900 FROM flex_call_many('flex_request', " . paths('POST', map { "/later/$_" } 1 .. 1000) . ', 20)'),
	't', 'one that comes back is asked for the rest');
$session->value('RESET flex_api.max_retries; RESET flex_api.timeout; RESET flex_api.base_url; RESET flex_api.account_sid');

# Rates hold; one of 0 is a pause
$session->value("SET flex_api.rate_limits = 'flex_webchat_create=0'");
is($session->sqlstate('SELECT FROM flex_call_many(\'flex_webchat_create\', ' . chats(1) . ')'), '55000', 'a paused operation is not called');
fresh();
$session->value("SET flex_api.rate_limits = 'flex_webchat_create=50'");
my $began = time();
is($session->value('SELECT count(*) FROM flex_call_many(\'flex_webchat_create\', ' . chats(60) . ', 64) WHERE sqlstate IS NULL'), 60, 'sixty at fifty a second');
cmp_ok(time() - $began, '>', 0.75 * (60 - 5) / 50, '... take the time that they must');
$session->value('RESET flex_api.rate_limits');

# The end of a statement in the middle: twenty are answered, and five wait
sub interrupted
{
	my ($how, $name, $sqlstate, $setting) = @_;
	my $victim = FlexApi::Session->new($node);

	$server->clear_notes;
	$victim->value($at_server);
	$victim->value($setting) if $setting;
	my $position = -s $node->logfile;
	$victim->send_query("SELECT * FROM flex_call_many('flex_request', " . paths('POST', map { $_ <= 20 ? "/good/$_" : "/silent/$_" } 1 .. 30) . ', 5)');
	ok(FlexApi::wait_until(sub { $server->notes(qr{^in POST /silent}) == 5 }), "$name: five wait for their answers");
	# Those that were answered have been taken when the five have been sent.
	my $then = time();
	$how->($victim);
	my $result = $victim->receive;
	is($result->{error}->{C}, $sqlstate, "... it ends with $sqlstate");
	cmp_ok(time() - $then, '<', 0.2 * FlexApi::slowness(), '... at once') unless $setting;
	like($result->{error}->{W}, qr/^Flex API requests of flex_request: 25 of 30 sent, 20 answered, 5 under way$/m, '... how many were sent, answered and under way');
	my $sids = join ', ', map { sprintf 'KD%032x', $_ } 1 .. 20;
	unless ($result->{closed})
	{
		my ($told, $unknown) = $result->{error}->{D} =~ /The service has carried out: (.*?)\. It is not known whether it has carried out elements: (.*?)\.$/;
		is(join(', ', sort split /, /, $told // ''), $sids, '... the SIDs of what was carried out');
		is($unknown, '21, 22, 23, 24, 25', '... and the elements of which that is not known');
		is($victim->value('SELECT 1'), 1, '... the session goes on');
	}
	my $text;
	ok(FlexApi::wait_until(sub { $text = substr(FlexApi::content($node->logfile), $position); $text =~ /flex_request may have been carried out/ }), '... the log');
	my ($logged) = $text =~ /LOG:  statement failed after flex_request was carried out: (.*)/;
	is(join(', ', sort split /, /, $logged // ''), $sids, '... has all SIDs');
	return;
}
interrupted(sub { $control->value('SELECT pg_cancel_backend(' . $_[0]->pid . ')') }, 'cancel', '57014');
interrupted(sub { $control->value('SELECT pg_terminate_backend(' . $_[0]->pid . ')') }, 'terminate', '57P01');
interrupted(sub { }, 'statement_timeout', '57014', "SET statement_timeout = '" . 300 * FlexApi::slowness() . "ms'");

# More than a hundred: the DETAIL has the first, the log all
fresh();
my $position = -s $node->logfile;
$simulator->post('faults', { path => '/v2/WebChats', stall_after => 0, skip => 250, times => -1 });
$session->send_query('SELECT * FROM flex_call_many(\'flex_webchat_create\', ' . chats(300) . ', 10)');
ok(FlexApi::wait_until(sub { ($simulator->get('counters')->{by_operation}->{flex_webchat_create} // 0) == 260 }), '250 are answered');
$control->value('SELECT pg_cancel_backend(' . $session->pid . ')');
$result = $session->receive;
like($result->{error}->{D}, qr/^The service has carried out: (CH[0-9a-f]{32}, ){99}CH[0-9a-f]{32}, and 150 more in the server's log\. /, 'the DETAIL has a hundred');
like(substr(FlexApi::content($node->logfile), $position), qr/LOG:  .* carried out: (CH[0-9a-f]{32}, ){249}CH[0-9a-f]{32}\n/, '... the log all');

# A disk that is full, or whatever else ends the statement from within: temp_file_limit
fresh();
$control->value('CREATE TABLE thousand AS SELECT ' . chats(1000) . ' AS list');
$session->value("SET temp_file_limit = '64kB'; SET work_mem = '64kB'");
$result = $session->query("SELECT t.* FROM thousand, flex_call_many('flex_webchat_create', list, 10) AS t");
is($result->{error}->{C}, '53400', 'rows that find no room are an error');
my ($told) = $result->{error}->{D} =~ /carried out: (CH.*)\./;
ok($told, '... that tells what was carried out, too');
$session->value('RESET temp_file_limit; RESET work_mem');
my $sent = $simulator->get('counters')->{by_operation}->{flex_webchat_create};
ok($sent > 0 && $sent < 1000, "... after $sent of 1,000");

# Inside another role's function: its credentials, not the caller's
$control->value('CREATE ROLE owner_of_all; CREATE ROLE plain LOGIN; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO owner_of_all; GRANT CREATE ON SCHEMA public TO owner_of_all');
$control->value('SET ROLE owner_of_all; CREATE FUNCTION many_of_owner() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER AS '
	  . '$$ SELECT coalesce(sqlstate, response ->> \'account_sid\') FROM flex_call_many(\'flex_flow_create\', ARRAY[\'{"friendly_name": "x", "chat_service_sid": "IS00000000000000000000000000000001", "channel_type": "web"}\'::jsonb]) $$; RESET ROLE');
my $plain = FlexApi::Session->new($node, user => 'plain');
$plain->value(q{SELECT set_config('flex_api.account_sid', 'AC' || repeat('1', 32), false)});
$plain->value(q{SELECT set_config('flex_api.auth_token', 'wrong', false)});
is($plain->value('SELECT * FROM many_of_owner()'), $FlexApi::ACCOUNT, 'SECURITY DEFINER: the credentials that are the owner\'s');
is($plain->sqlstate("SELECT * FROM flex_call_many('flex_flow_fetch', NULL)"), '42501', '... a role without EXECUTE may not');

# A hundred thousand in one statement: memory is that of what is under way, beside the array
fresh();
$simulator->post('settings', { record => JSON::PP::false });
my $reader = FlexApi::Session->new($node);
$reader->value("SET work_mem = '1MB'");
$reader->value('SELECT count(*) FROM flex_call_many(\'flex_webchat_create\', ' . chats(100) . ', 64)');
$control->value('CREATE TABLE calls AS SELECT ' . chats(100_000) . ' AS list');
# What the array takes, which is read twice before its elements are sent, is in it.
$reader->value('SELECT cardinality(list) FROM calls');
my $before = FlexApi::status_of($reader->pid, 'VmRSS');
sub reset_peak { open(my $file, '>', '/proc/' . $_[0]->pid . '/clear_refs') or die $!; syswrite($file, '5') or die $!; return; }
reset_peak($reader);
is($reader->value("SELECT count(*) FROM calls, flex_call_many('flex_webchat_create', list, 64) WHERE sqlstate IS NULL", 600), 100_000, '100,000 in one statement');
my $peak = FlexApi::status_of($reader->pid, 'VmHWM') - $before;
note("peak $peak kB above idle");
cmp_ok($peak, '<', 64 * 1024, '... at most 64 MB more than before') unless $ENV{FLEX_SLOW_BUILD};

$node->stop('fast');
done_testing();
