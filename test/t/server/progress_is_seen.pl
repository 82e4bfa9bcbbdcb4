# flex_stat_progress: what is under way is seen from another session, by whom it should be, and
# nothing is left of what has ended, however it has.  From 17 on pg_stat_activity tells what a
# process waits for.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new('--threads', 4);
my $node = FlexApi::node('progress', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'", 'flex_api.concurrency = 3',
	'flex_api.timeout = 10min', 'fsync = off', 'restart_after_crash = on');
my $session = FlexApi::Session->new($node);
my $watcher = FlexApi::Session->new($node);
my $names_waits = $watcher->value(q{SELECT current_setting('server_version_num')::int >= 170000}) eq 't';
my $CHAT = '{"address_sid": "IG00000000000000000000000000000001"}';
my $LONG_MS = 1000 * 60 * FlexApi::slowness();

$watcher->value('CREATE ROLE nobody LOGIN; CREATE ROLE monitor LOGIN; GRANT pg_monitor TO monitor');

# What is shown, but for a worker that only looks for something to do.
sub progress
{
	my ($what, $who) = @_;
	my $rows = ($who // $watcher)->query("SELECT $what FROM flex_stat_progress WHERE way <> 'outbox' OR done + in_flight > 0 ORDER BY started_at, operation")->{rows};
	return join '; ', map { join ' ', map { $_ // '-' } @$_ } @$rows;
}
sub shows { my ($what, $text, $name) = @_; return ok(FlexApi::wait_until(sub { progress($what) eq $text }), $name) || diag('it shows ' . progress($what)); }
sub waits_for
{
	my ($pid, $event) = @_;
	my $query = "SELECT wait_event FROM pg_stat_activity WHERE pid = $pid";
	$event = 'Extension' unless $names_waits;
	return ok(FlexApi::wait_until(sub { ($watcher->value($query) // '') eq $event }), "... and waits for $event") || diag($watcher->value($query));
}
sub cancel { $watcher->value('SELECT pg_cancel_backend(' . $_[0]->pid . ')'); return $_[0]->receive(120)->{error}->{C}; }

# A list: its third page stalls
$simulator->post('seed', { channels => 1000 });
$simulator->post('faults', { path => '/v1/Channels', skip => 2, delay_ms => $LONG_MS });
$session->send_query('SELECT count(*) FROM flex_channels_list(page_size => 10)');
shows('way, operation, done, total, in_flight, failed, rows', 'list flex_channels_list 2 - 1 0 20', 'a list shows pages and rows');
is(progress('pid, datname, usename, started_at <= now()'), $session->pid . ' postgres postgres t', '... which process, where, whose, and since when');
is(progress('way', FlexApi::Session->new($node, user => 'nobody')), '', 'another role does not see it');
is(progress('way', FlexApi::Session->new($node, user => 'monitor')), 'list', '... but pg_monitor does');
waits_for($session->pid, 'FlexApiAnswer');
is(cancel($session), '57014', 'it is cancelled');
is(progress('*'), '', '... and leaves nothing');
$simulator->clear_faults;

# Several at once
$simulator->post('faults', { path => '/v2/WebChats', skip => 1, times => -1, delay_ms => $LONG_MS });
$session->send_query("SELECT * FROM flex_call_many('flex_webchat_create', ARRAY(SELECT '$CHAT'::jsonb FROM generate_series(1, 9)), concurrency => 4)");
shows('way, operation, done, total, in_flight, failed', 'many flex_webchat_create 1 9 4 0', 'flex_call_many shows how many are done and under way');
is(cancel($session), '57014', 'it is cancelled');
is(progress('*'), '', '... and leaves nothing');
$simulator->clear_faults;
$simulator->post('faults', { path => '/v2/WebChats', skip => 2, delay_ms => $LONG_MS });
$simulator->post('faults', { path => '/v2/WebChats', status => 400, times => 2 });
$session->send_query("SELECT * FROM flex_call_many('flex_webchat_create', ARRAY(SELECT '$CHAT'::jsonb FROM generate_series(1, 3)), concurrency => 1)");
shows('done, failed', '2 2', '... and how many have failed');
cancel($session);
$simulator->clear_faults;

# Foreign tables: pages, keys, and rows that are written
$session->value($_) foreach "CREATE SERVER twilio FOREIGN DATA WRAPPER flex_api OPTIONS (account_sid '$FlexApi::ACCOUNT')",
  "CREATE USER MAPPING FOR PUBLIC SERVER twilio OPTIONS (auth_token '$FlexApi::TOKEN')",
  'IMPORT FOREIGN SCHEMA flex LIMIT TO (channels, webchats) FROM SERVER twilio INTO public',
  'CREATE TABLE keys AS SELECT sid FROM flex_channels_list(max_rows => 5)';
$simulator->post('faults', { path => '/v1/Channels', delay_ms => $LONG_MS });
$session->send_query('SELECT count(*) FROM channels');
shows('way, operation, done, total, in_flight', 'foreign flex_channels_list 0 - 1', 'a scan of a foreign table shows its pages');
is(cancel($session), '57014', '... and is cancelled');
$simulator->clear_faults;
$simulator->post('faults', { operation => 'flex_channel_fetch', skip => 2, times => -1, delay_ms => $LONG_MS });
$session->send_query('SELECT count(*) FROM channels WHERE sid = ANY (ARRAY(SELECT sid FROM keys))');
shows('way, operation, total, in_flight', 'foreign flex_channel_fetch 5 3', 'keys that are looked up are seen');
is(cancel($session), '57014', '... and are cancelled');
$simulator->clear_faults;
$simulator->post('faults', { path => '/v2/WebChats', skip => 1, times => -1, delay_ms => $LONG_MS });
$session->send_query(q{INSERT INTO webchats (address_sid) SELECT 'IG00000000000000000000000000000001' FROM generate_series(1, 6)});
shows('way, operation, done, total, in_flight', 'foreign flex_webchat_create 1 6 3', 'rows that are inserted, too');
is(cancel($session), '57014', '... and are cancelled');
is(progress('*'), '', '... which leaves nothing');
$simulator->clear_faults;

# A list for each row of a list
$simulator->post('faults', { path => '/v1/FlexFlows', delay_ms => $LONG_MS });
$session->value('CREATE FUNCTION flows() RETURNS bigint LANGUAGE sql VOLATILE AS $$SELECT count(*) FROM flex_flows_list()$$');
$session->value('CREATE FUNCTION read_on() RETURNS void LANGUAGE plpgsql AS $$BEGIN PERFORM flows() FROM flex_channels_list(max_rows => 1); END$$');
$session->send_query('SELECT read_on()');
shows('operation, done', 'flex_flows_list 0', 'a list that is stored before the next begins has ended');
cancel($session);
$simulator->clear_faults;

# The worker, and what a repeat waits for
$simulator->post('faults', { path => '/v2/WebChats', times => -1, delay_ms => $LONG_MS });
$session->value("SELECT flex_enqueue('flex_webchat_create', '$CHAT')") foreach 1 .. 5;
shows('way, operation, done, total, in_flight', 'outbox - 0 - 3', 'a worker shows what it has under way');
my $worker = progress('pid');
waits_for($worker, 'FlexApiAnswer');
$session->send_query('CALL flex_outbox_drain()');
shows("pid = " . $session->pid . ", way, in_flight", 'f outbox 3; t outbox 2', 'so does a drain, which has what is left');
is(cancel($session), '57014', '... and is cancelled');
is(progress('pid'), $worker, '... which leaves nothing of it');
$watcher->value("SELECT pg_terminate_backend($worker)");
ok(FlexApi::wait_until(sub { progress('pid') ne $worker }), 'one that is terminated leaves nothing');
$simulator->clear_faults;
$watcher->value('DELETE FROM flex_outbox_requests');
shows('*', '', '... and the next one shows nothing when nothing is left');
$simulator->post('faults', { path => '/v1/FlexFlows', status => 503, retry_after => '300' });
$session->send_query('SELECT * FROM flex_flows_list()');
waits_for($session->pid, 'FlexApiRepeat');
cancel($session);
$session->value("SET flex_api.rate_limits = 'flex_webchat_create=0.001'");
$session->send_query("SELECT * FROM flex_call_many('flex_webchat_create', ARRAY['$CHAT', '$CHAT']::jsonb[])");
waits_for($session->pid, 'FlexApiRate');
cancel($session);
$simulator->clear_faults;

# A crash, and a process that is terminated
$simulator->post('faults', { path => '/v1/Channels', times => -1, delay_ms => $LONG_MS });
$session->send_query('SELECT count(*) FROM flex_channels_list()');
shows('way', 'list', 'a list is under way');
$watcher->value('SELECT pg_terminate_backend(' . $session->pid . ')');
shows('*', '', 'a session that was terminated leaves nothing');
$session = FlexApi::Session->new($node);
$session->send_query('SELECT count(*) FROM flex_channels_list()');
shows('way', 'list', 'a list is under way');
kill 'KILL', $session->pid;
ok(FlexApi::wait_until(sub { !kill(0, $session->pid) && $node->psql('postgres', 'SELECT') == 0 }), 'a backend was killed, and the server has started again');
$watcher = FlexApi::Session->new($node);
is(progress('*'), '', 'one that was killed leaves nothing');

$node->stop;
done_testing();
