# flex_stat_operations: what is counted, by whom it is seen, and what it outlasts.  The points are
# those of pg_stat_statements' own tests: counters, reset, roles, databases and roles that are
# dropped, a clean restart, a crash, a file that is none, and counting switched off.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new('--threads', 4);
my $node = FlexApi::node('statistics', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'",
	'flex_api.max_retries = 2', 'fsync = off', 'autovacuum = off', 'restart_after_crash = on');
my $super = FlexApi::Session->new($node);
my $FILE = $node->data_dir . '/pg_stat/flex_api.stat';
my $CHAT = q{flex_webchat_create('IG00000000000000000000000000000001', identity => 'hush')};
my $ABSENT = 'CH' . '9' x 32;

$super->value($_) foreach 'CREATE ROLE alice LOGIN', 'CREATE ROLE watcher LOGIN', 'CREATE ROLE nobody LOGIN', 'GRANT pg_monitor TO watcher',
  'GRANT EXECUTE ON FUNCTION flex_enqueue, flex_webchat_create, flex_channel_fetch, flex_outbox_await TO alice';

# Counters of a row, as a text; of all rows that a condition picks.
sub counted
{
	my ($condition, @columns) = @_;
	my $list = join q{ || ' ' || }, map { "coalesce(sum($_), 0)" } @columns;
	return $super->value("SELECT $list FROM flex_stat_operations WHERE $condition");
}
sub fault { $simulator->post('faults', {@_}); return; }

# Each way
$super->value('SELECT flex_stat_reset()');
$super->value("SELECT * FROM $CHAT");
$simulator->post('seed', { channels => 25 });
my $channels = $super->value('SELECT count(*) FROM flex_channels_list(page_size => 10)');
my $pages = int(($channels + 9) / 10);
$super->value(q{SELECT count(*) FROM flex_request('GET', '/v1/Channels')});
$super->value(q{SELECT count(*) FROM flex_request_list('/v1/Channels?PageSize=10', max_rows => 20)});
$super->value(q{SELECT count(*) FROM flex_call_many('flex_webchat_create', ARRAY(SELECT '{"address_sid": "IG00000000000000000000000000000001"}'::jsonb FROM generate_series(1, 7)))});
$super->value($_) foreach 'CREATE SERVER twilio FOREIGN DATA WRAPPER flex_api OPTIONS (account_sid ' . "'$FlexApi::ACCOUNT')",
  "CREATE USER MAPPING FOR PUBLIC SERVER twilio OPTIONS (auth_token '$FlexApi::TOKEN')",
  'IMPORT FOREIGN SCHEMA flex LIMIT TO (channels, webchats) FROM SERVER twilio INTO public';
$super->value('SELECT count(*) FROM channels');
$super->value('SELECT count(*) FROM channels WHERE sid = ANY (ARRAY(SELECT sid FROM channels LIMIT 3))');
$super->value(q{INSERT INTO webchats (address_sid) SELECT 'IG00000000000000000000000000000001' FROM generate_series(1, 4)});
my $alice = FlexApi::Session->new($node, user => 'alice');
my $id = $alice->value(q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}')});
is($alice->value("SELECT state FROM flex_outbox_await($id, '60 s')"), 'succeeded', 'the worker sends');
my $rows = $super->query(q{SELECT usename, datname, operation, way, requests, succeeded, rows FROM flex_stat_operations ORDER BY way, operation})->{rows};
my $me = $super->value('SELECT current_user');
is_deeply([ map { join ' ', @$_ } @$rows ], [
	"$me postgres flex_webchat_create call 1 1 0",
	"$me postgres flex_channel_fetch foreign 3 3 0",
	"$me postgres flex_channels_list foreign 2 2 " . ($channels + 3),
	"$me postgres flex_webchat_create foreign 4 4 0",
	"$me postgres flex_channels_list list $pages $pages $channels",
	"$me postgres flex_webchat_create many 7 7 0",
	"alice postgres flex_webchat_create outbox 1 1 0",
	"$me postgres flex_request request 1 1 0",
	"$me postgres flex_request_list request 2 2 20" ], 'a row for each role, operation and way; pages and rows')
  or diag(join "\n", map { join ' ', @$_ } @$rows);
is($super->value('SELECT count(DISTINCT usesysid) FROM flex_stat_operations'), 2, 'the outbox counts for the role that has enqueued');
cmp_ok($super->value(q{SELECT bytes_sent FROM flex_stat_operations WHERE way = 'call'}), '>', 20, 'bytes of bodies that were sent');
cmp_ok($super->value(q{SELECT bytes_received FROM flex_stat_operations WHERE way = 'list'}), '>', 1000, '... and received');

# What the service has refused with 429 is sent again by the outbox, too, without having cost an attempt
$super->value('SELECT flex_stat_reset()');
fault(status => 429, retry_after => '0', times => 2);
$id = $alice->value(q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}')});
is($alice->value("SELECT state || ' ' || attempts FROM flex_outbox_await($id, '120 s')"), 'succeeded 1', 'the outbox sends again after 429');
is(counted(q{way = 'outbox'}, 'requests', 'throttled', 'repeats'), '3 2 2', '... which is counted');

# Each end
$super->value('SELECT flex_stat_reset()');
is($super->value('SELECT count(*) FROM flex_stat_operations'), 0, 'a reset leaves nothing');
$simulator->clear_requests;
is($super->sqlstate("SELECT flex_channel_fetch('$ABSENT')"), 'TW404', 'refused');
fault(status => 429, times => 1);
fault(status => 503, times => 1);
is($super->sqlstate("SELECT flex_channel_fetch('$ABSENT')"), 'TW404', '429 and 503 are repeated');
fault(status => 500, method => 'POST');
is($super->sqlstate("SELECT $CHAT"), 'TW500', 'a POST is not');
fault(fault => 'lost_answer', method => 'POST');
is($super->sqlstate("SELECT $CHAT"), '08007', 'lost');
fault(delay_ms => 600_000);
$super->send_query("SELECT flex_channel_fetch('$ABSENT')");
ok(FlexApi::wait_until(sub { $simulator->requests == 7 }), 'one is under way');
my $other = FlexApi::Session->new($node);
$other->value('SELECT pg_cancel_backend(' . $super->pid . ')');
is($super->receive(60)->{error}->{C}, '57014', '... and is cancelled');
my @endings = qw(requests succeeded refused throttled failed lost unsent repeats);
is(counted("operation = 'flex_channel_fetch'", @endings), '5 0 2 1 1 1 0 2', "GET: @endings");
is(counted("operation = 'flex_webchat_create'", @endings), '2 0 0 0 1 1 0 0', "POST: @endings");
is(counted('true', 'requests - unsent'), scalar($simulator->requests), 'as many as the service has received') or diag(explain [ map { "$_->{method} $_->{path} $_->{status}" } $simulator->requests ]);
is($super->value('SELECT bool_and(requests = succeeded + refused + throttled + failed + lost + unsent) FROM flex_stat_operations'), 't', 'the ends add up');
$simulator->clear_faults;
{
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	$super->value("SET flex_api.base_url = 'http://127.0.0.1:$port'; SET flex_api.max_retries = 1");
	is($super->sqlstate("SELECT $CHAT"), '08001', 'nobody listens');
	$super->value('RESET flex_api.base_url; RESET flex_api.max_retries');
	is(counted("operation = 'flex_webchat_create'", qw(requests unsent repeats)), '4 2 1', 'unsent, and sent again');
}

# Times
$super->value('SELECT flex_stat_reset()');
fault(delay_ms => 100, times => 3);
$super->value("SELECT * FROM $CHAT") foreach 1 .. 20;
is($super->value(q{SELECT min_time <= p50_time AND p50_time < 100 AND p95_time >= 95 AND p99_time >= p95_time AND max_time >= p99_time
	AND max_time >= 100 AND abs(mean_time - total_time / requests) < 0.001 AND stddev_time > 10
	AND total_time BETWEEN 300 AND 20 * max_time FROM flex_stat_operations}), 't', 'times: least, most, mean and quantiles')
  or diag(explain $super->query('SELECT min_time, p50_time, p95_time, p99_time, max_time, mean_time, total_time, stddev_time FROM flex_stat_operations')->{rows});
$simulator->clear_faults;

# Roles, and what they see
$alice->sqlstate("SELECT flex_channel_fetch('$ABSENT')");
my %seen = map { $_ => FlexApi::Session->new($node, user => $_)->value('SELECT string_agg(DISTINCT usename, $$ $$ ORDER BY usename) FROM flex_stat_operations') } qw(alice watcher nobody);
is($seen{alice}, 'alice', 'a role sees its own');
is($seen{nobody}, undef, '... and nobody else\'s');
is($seen{watcher}, join(' ', sort 'alice', $me), 'pg_monitor sees all');
{
	my $summary = 'SELECT operation, succeeded, last_error FROM flex_outbox_summary';
	is_deeply(FlexApi::Session->new($node, user => 'watcher')->query($summary)->{rows}, [ [ 'flex_webchat_create', 2, undef ] ], '... in the summary of the outbox, too');
	is_deeply(FlexApi::Session->new($node, user => 'nobody')->query($summary)->{rows}, [], '... where others see nothing');
	is(FlexApi::Session->new($node, user => 'watcher')->value('SELECT count(*) FROM flex_outbox'), 0, '... and pg_monitor reads no request');
}
is($alice->sqlstate('SELECT flex_stat_reset()'), '42501', 'not everybody may reset');
is(FlexApi::Session->new($node, user => 'watcher')->sqlstate('SELECT flex_stat_reset()'), '42501', '... nor may pg_monitor');
is($super->value(q{SELECT count(*) FROM flex_stat_operations AS s WHERE s::text ~ 'hush|AC0000|IG0000|CH9999|test-token'}), 0, 'no argument, account or secret is there');

# Under way while it is reset
fault(delay_ms => 1000 * FlexApi::slowness());
$simulator->clear_requests;
$super->send_query("SELECT FROM $CHAT");
ok(FlexApi::wait_until(sub { $simulator->requests == 1 }), 'one is under way');
$other->value('SELECT flex_stat_reset()');
$super->receive(120);
is(counted('true', 'requests'), 1, 'it is counted after the reset');

# Switched off
$super->value('SET flex_api.track_operations = off');
$super->value("SELECT FROM $CHAT");
$super->value('RESET flex_api.track_operations');
is(counted('true', 'requests'), 1, 'what is not tracked is not counted');
is($alice->sqlstate('SET flex_api.track_operations = off'), '42501', '... for which one has to be a superuser');

# Whatever statement makes a call, and whatever becomes of it: it is counted once
foreach (
	[ 1, 'a transaction that is rolled back', "BEGIN; SELECT FROM $CHAT; ROLLBACK" ],
	[ 1, 'a block whose error is caught', "DO \$\$ BEGIN PERFORM FROM $CHAT; RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN NULL; END \$\$" ],
	[ 2, 'a prepared statement', "PREPARE chat AS SELECT FROM $CHAT; EXECUTE chat; EXECUTE chat; DEALLOCATE chat" ],
	[ 1, 'a cursor', "BEGIN; DECLARE chat CURSOR FOR SELECT FROM $CHAT; FETCH ALL FROM chat; COMMIT" ],
	[ 1, 'CREATE TABLE AS', "CREATE TABLE chat AS SELECT * FROM $CHAT; DROP TABLE chat" ],
	[ 1, 'an SQL function', "CREATE FUNCTION chat() RETURNS bigint LANGUAGE sql VOLATILE SECURITY DEFINER AS \$\$ SELECT count(*) FROM $CHAT \$\$; SELECT chat()" ],
	[ 0, 'EXPLAIN', "EXPLAIN SELECT FROM $CHAT" ])
{
	my ($times, $name, $statements) = @$_;
	$super->value('SELECT flex_stat_reset()');
	is($super->sqlstate($statements), '00000', $name);
	is(counted('true', 'requests'), $times, "... is counted $times times");
}
is($alice->value('SELECT chat()'), 1, 'a function with its owner\'s rights');
is(counted("usename = '$me'", 'requests') . counted("usename = 'alice'", 'requests'), '10', '... counts for its owner');

# Roles and databases that are dropped
$super->value('CREATE DATABASE gone');
{
	my $there = FlexApi::Session->new($node, database => 'gone');
	$there->value('CREATE EXTENSION flex_api');
	$there->value('CREATE ROLE passing; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO passing; SET ROLE passing');
	$there->value("SELECT FROM $CHAT");
	$there->value('RESET ROLE; DROP OWNED BY passing; DROP ROLE passing');
	$there->close;
}
is(counted("datname = 'gone'", 'requests'), 1, 'another database is seen from here');
$super->value('DROP DATABASE gone');
is(counted('datname IS NULL AND usename IS NULL', 'requests'), 1, 'what was counted stays when role and database go');

# A clean restart
my $before = counted('true', qw(requests succeeded rows bytes_received total_time p50_time p99_time));
my $since = $super->value('SELECT min(stats_reset) FROM flex_stat_operations');
$_->close foreach $super, $alice, $other;
$node->stop;
ok(-s $FILE, 'the server has left a file');
$node->start;
$super = FlexApi::Session->new($node);
is(counted('true', qw(requests succeeded rows bytes_received total_time p50_time p99_time)), $before, 'a clean restart loses nothing');
is($super->value('SELECT min(stats_reset) FROM flex_stat_operations'), $since, '... not since when it counts, either');
ok(!-e $FILE, 'the file is gone, so that no crash brings old figures back');
$super->value("SELECT FROM $CHAT");
is($super->value('SELECT max(requests) FROM flex_stat_operations'), 1 + 1, 'it counts on');

# A crash
$super->close;
$node->stop('immediate');
$node->start;
$super = FlexApi::Session->new($node);
is($super->value("SELECT count(*) >= 0 FROM flex_stat_operations"), 't', 'the server starts after an immediate shutdown');
$super->value('SELECT flex_stat_reset()');
$super->value("SELECT FROM $CHAT");
my $victim = FlexApi::Session->new($node);
kill 'KILL', $victim->pid;
ok(FlexApi::wait_until(sub { !kill(0, $victim->pid) && $node->psql('postgres', 'SELECT') == 0 }), 'a backend was killed, and the server has started again');
$super = FlexApi::Session->new($node);
is($super->value('SELECT count(*) FROM flex_stat_operations'), 0, 'after a crash it counts anew');
$super->value("SELECT FROM $CHAT");
is(counted('true', 'requests'), 1, '... and does');
$super->close;

# A file that is none
$node->stop;
truncate $FILE, 100;
my $log = -s $node->logfile;
$node->start;
$super = FlexApi::Session->new($node);
is($super->value('SELECT count(*) FROM flex_stat_operations'), 0, 'a file that is cut off is not taken');
like(substr(slurp_file($node->logfile), $log), qr/ignoring invalid data in file "pg_stat\/flex_api.stat"/, '... and the log says so');
$super->close;

# Without preloading
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
$node->restart;
$super = FlexApi::Session->new($node);
$super->value("SELECT FROM $CHAT");
is(counted('true', 'requests'), 1, 'not preloaded: it counts');
my $is_shared = $super->value(q{SELECT current_setting('server_version_num')::int >= 170000}) eq 't';
is(FlexApi::Session->new($node)->value('SELECT coalesce(sum(requests), 0) FROM flex_stat_operations'), $is_shared ? 1 : 0,
	$is_shared ? 'all sessions together' : 'each session for itself');

$super->close;
$node->stop;
done_testing();
