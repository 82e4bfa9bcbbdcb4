# flex_outbox_summary does not read what has finished, and shows the figures of one that does:
# through refusals, repeats, callbacks, decisions, rollbacks, deletion, the end of a sender, a crash, a dump
# and its restore; to a superuser, to a role with requests of its own, to one that monitors.

use strict;
use warnings;

use FindBin;
use lib 'test/perl', "$FindBin::RealBin/../../crash";
use FlexApi;
use Outbox;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $TABLE = 'flex_outbox_requests';
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('counts', $simulator, "flex_api.rate_limits = 'none'", "flex_api.outbox_retention = '60min'", 'restart_after_crash = on');
my $session;
my @FIGURES = qw(pending due sending succeeded failed uncertain cancelled callbacks finished_last_minute held_back oldest_pending held_until);

# What the summary shows, counted over the requests that one may see.
my $REFERENCE = q{
	count(*) FILTER (WHERE o.state = 'pending') AS pending,
	count(*) FILTER (WHERE o.state = 'pending' AND o.run_at <= now() AND o.waits_for IS NULL) AS due,
	count(*) FILTER (WHERE o.state = 'sending') AS sending,
	count(*) FILTER (WHERE o.state = 'succeeded') AS succeeded,
	count(*) FILTER (WHERE o.state = 'failed') AS failed,
	count(*) FILTER (WHERE o.state = 'uncertain') AS uncertain,
	count(*) FILTER (WHERE o.state = 'cancelled') AS cancelled,
	count(*) FILTER (WHERE o.callback_at IS NOT NULL) AS callbacks,
	count(*) FILTER (WHERE o.finished_at > now() - interval '1 minute') AS finished_last_minute,
	count(o.waits_for) AS held_back,
	now() - min(o.enqueued_at) FILTER (WHERE o.state = 'pending') AS oldest_pending,
	max(o.run_at) FILTER (WHERE o.state = 'pending' AND o.http_status = 429 AND o.run_at > now()) AS held_until};

sub connect_to
{
	my (%options) = @_;

	my $new = FlexApi::Session->new($node, %options);
	$new->value('SET client_min_messages = error');
	return $new;
}

# The two differ in no operation, seen by each who can see them.
sub agrees
{
	my ($where, $by) = @_;
	my $columns = join ', ', 'operation', @FIGURES;
	my @roles = (
		[ 'a superuser', '', 'flex_outbox' ],
		[ 'alice', 'SET ROLE alice', 'flex_outbox' ],
		[ 'one that monitors', 'SET ROLE monitor', 'flex_outbox_all' ]);

	foreach my $role (@roles)
	{
		my ($name, $set, $view) = @$role;

		$session->value($set) if $set;
		my $rows = $session->query("WITH expected AS (SELECT operation, $REFERENCE FROM $view AS o GROUP BY operation),
			shown AS (SELECT $columns FROM flex_outbox_summary)
			(SELECT 'expected', * FROM expected EXCEPT ALL SELECT 'expected', * FROM shown)
			UNION ALL (SELECT 'shown', * FROM shown EXCEPT ALL SELECT 'shown', * FROM expected)");
		is(join("\n", map { join ' ', map { $_ // 'NULL' } @$_ } @{ $rows->{rows} // [ [ $rows->{error}->{M} ] ] }), '', "$where: $name");
		$session->value('RESET ROLE') if $set;
	}
	status_agrees($where);
	return;
}

# Nor does flex_outbox_status differ, which has it for all operations.  A last time stays when what had
# it is tried again, as long as another one of its state is kept.
sub status_agrees
{
	my ($where) = @_;

	foreach my $role ([ 'a superuser', '' ], [ 'alice', 'SET ROLE alice' ])
	{
		my ($name, $set) = @$role;

		$session->value($set) if $set;
		my $waiting = q{ARRAY[due::text, oldest_due::text, waiting::text, waiting_for]::text};
		is($session->value("SELECT $waiting FROM flex_outbox_status"), $session->value(qq{SELECT $waiting FROM (SELECT
			count(*) FILTER (WHERE r.state = 'pending' AND r.run_at <= now() AND r.waits_for IS NULL) AS due,
			min(r.run_at) FILTER (WHERE r.state = 'pending' AND r.run_at <= now() AND r.waits_for IS NULL) AS oldest_due,
			count(*) FILTER (WHERE r.state = 'pending' AND (r.run_at > now() OR r.waits_for IS NOT NULL)) AS waiting,
			(array_agg(r.error_message ORDER BY r.started_at DESC NULLS LAST, r.id DESC)
				FILTER (WHERE r.state = 'pending' AND r.error_message IS NOT NULL))[1] AS waiting_for FROM flex_outbox AS r) AS o}), "$where: what waits, $name");
		is($session->value(q{SELECT coalesce(s.last_success >= o.last_success, s.last_success IS NULL AND o.last_success IS NULL)
			AND coalesce(s.last_failure >= o.last_failure, s.last_failure IS NULL AND o.last_failure IS NULL) FROM flex_outbox_status AS s, (SELECT
				max(r.finished_at) FILTER (WHERE coalesce(r.outcome, r.state) = 'succeeded') AS last_success,
				max(r.finished_at) FILTER (WHERE coalesce(r.outcome, r.state) IN ('failed', 'uncertain')) AS last_failure FROM (
					SELECT v.state, v.outcome, coalesce(v.finished_at, v.started_at) AS finished_at FROM flex_outbox AS v) AS r) AS o}), 't', "$where: what was last, $name");
		$session->value('RESET ROLE') if $set;
	}
	return;
}

sub drain { return is($session->sqlstate('CALL flex_outbox_drain()', 120), '00000', $_[0] // 'a drain'); }
sub figures { my ($columns) = @_; return join ' ', @{ $session->query("SELECT $columns FROM flex_outbox_summary")->{rows}->[0] // [] }; }

$session = connect_to();
$session->value($_) foreach 'CREATE ROLE alice LOGIN', 'CREATE ROLE monitor', 'GRANT pg_read_all_stats TO monitor', 'GRANT SELECT ON flex_outbox_all TO monitor',
	'GRANT SELECT ON flex_outbox_status TO alice',
	'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO alice', 'GRANT CREATE ON SCHEMA public TO alice',
	'CREATE FUNCTION fails(r flex_outbox) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION \'no\'; END $$',
	'CREATE FUNCTION works(r flex_outbox) RETURNS void LANGUAGE sql AS $$ $$';
my $alice = connect_to(user => 'alice');
agrees('an empty outbox');

# Both have some that wait, in several ways.
foreach my $who ($session, $alice)
{
	enqueue($who, "due$_") foreach 1 .. 5;
	enqueue($who, "called$_", "on_success => 'works'") foreach 1 .. 3;
	enqueue($who, "ordered$_", "ordering_key => 'one', run_at => now() + interval '1 hour' * " . (2 - $_)) foreach 1 .. 2;
	enqueue($who, "later$_", "run_at => now() + interval '1 hour'") foreach 1 .. 3;
	$who->value(q{SELECT flex_enqueue('flex_flow_fetch', '{"sid": "FO00000000000000000000000000000bad"}', priority => 5)});
}
agrees('some wait');
$session->value('BEGIN');
enqueue($session, 'back');
agrees('in a transaction that enqueues');
$session->value('ROLLBACK');
agrees('... and is rolled back');

# Refused, failed, repeated
$simulator->post('faults', { path => '/v2/WebChats', status => 429, retry_after => '600', times => 1 });
$simulator->post('faults', { path => '/v2/WebChats', status => 503, retry_after => '600', times => 2 });
$simulator->post('faults', { path => '/v2/WebChats', status => 400, times => 3 });
drain();
agrees('sent, and refused');
$simulator->clear_faults;
$session->value("UPDATE flex_outbox_later SET due_at = now() WHERE id IN (SELECT id FROM $TABLE WHERE http_status = 503)");
drain();
agrees('repeated');
is($session->value('SELECT sum(succeeded + failed) FROM flex_outbox_summary'), 17, '... all but the one that is held back');
isnt($session->value('SELECT max(held_until) FROM flex_outbox_summary'), undef, '... which is said');

# Callbacks that fail, and that have not run
$session->value($_) foreach 'BEGIN', 'LOCK flex_outbox_callbacks IN SHARE MODE', 'ROLLBACK';
my $called = enqueue($session, 'calls', "on_success => 'fails'");
drain();
agrees('a callback fails');
my $waits = $session->value("INSERT INTO flex_outbox_callbacks (id, role_id, due_at) SELECT id, role_id, 'infinity' FROM $TABLE WHERE state = 'succeeded' AND id <> $called LIMIT 1 RETURNING id");
agrees('one waits');
is(state_of($session, $waits), 'sending', '... and its request counts as being sent');
$session->value("DELETE FROM flex_outbox_callbacks WHERE id = $waits");
agrees('it has run');

# The last error, when the request that had it is to be sent again.  Those that one statement settled are told of by one
# of them: here each has failed by itself.
$session->value($_) foreach 'BEGIN', "INSERT INTO flex_outbox_counts (role_id, operation, state, at, requests, error_id)
	SELECT role_id, operation, state, finished_at, 0, id FROM $TABLE WHERE state = 'failed' AND error_message IS NOT NULL",
	q{SELECT count(flex_outbox_retry(id)) FROM (SELECT DISTINCT ON (role_id) error_id AS id FROM flex_outbox_counts
	WHERE operation = 'flex_webchat_create' AND error_id IS NOT NULL ORDER BY role_id, at DESC, error_id DESC) AS last},
	"UPDATE $TABLE SET error_message = NULL WHERE state = 'pending'";
isnt($session->value(q{SELECT last_error FROM flex_outbox_summary WHERE operation = 'flex_webchat_create'}), undef, 'another error is the last one');
$session->value('ROLLBACK');

# Decisions
my ($failed) = map { $session->value("SELECT min(id) FROM $TABLE WHERE state = '$_'") } 'failed';
my $pending = $session->value("SELECT min(id) FROM flex_outbox WHERE state = 'pending'");
foreach my $decision ("flex_outbox_retry($failed)", "flex_outbox_cancel($failed)", "flex_outbox_cancel($pending)")
{
	$session->value($_) foreach 'BEGIN', "SELECT $decision";
	agrees("$decision, not committed");
	$session->value('ROLLBACK');
	agrees("$decision, rolled back");
	$session->value("SELECT $decision");
	agrees($decision);
}
$session->value("SELECT flex_outbox_retry($_)") foreach $failed, $pending;
drain();
agrees('decided, and sent');

# From 17 on all sessions know how long the service has asked them to wait: until the server ends.
if ($session->value('SHOW server_version_num') >= 170000)
{
	$node->restart;
	$session = connect_to();
	agrees('after a restart');
}

# A sender that is killed while requests are under way, and the server's crash with it
$simulator->post('faults', { path => '/v2/WebChats', times => 3, delay_ms => 1000 * 60 * FlexApi::slowness() });
enqueue($session, "killed$_") foreach 1 .. 4;
my $drainer = FlexApi::Session->new($node);
my $pid = $drainer->pid;
$drainer->send_query('CALL flex_outbox_drain()');
ok(FlexApi::wait_until(sub { $session->value("SELECT sum(sending) FROM flex_outbox_summary") == 3 }), 'three are under way');
agrees('under way');
kill 'KILL', $pid;
ok(FlexApi::wait_until(sub { $session->query('SELECT')->{closed} || $node->psql('postgres', 'SELECT') != 0 }), 'their sender is killed');
$node->poll_query_until('postgres', 'SELECT true') or die 'the server does not come back';
$session = connect_to();
agrees('after the crash');
$simulator->clear_faults;
drain('another drain');
agrees('... and all are settled');
is($session->value('SELECT sum(uncertain) FROM flex_outbox_summary'), 3, '... three as uncertain');

# Added up after a minute
my $rows = $session->value('SELECT count(*) FROM flex_outbox_counts');
$session->value("UPDATE $TABLE SET finished_at = finished_at - interval '2 minutes'");
$session->value("UPDATE flex_outbox_counts SET at = at - interval '2 minutes'");
$session->value("INSERT INTO flex_outbox_counts SELECT c.role_id, c.operation, c.state, c.at, 0 FROM (SELECT * FROM flex_outbox_counts LIMIT 1) AS c, generate_series(1, 200)");
agrees('after two minutes');
drain();
cmp_ok($session->value('SELECT count(*) FROM flex_outbox_counts'), '<', $rows, 'they are added up');
agrees('... to the same');
is($session->value('SELECT count(*) FROM flex_outbox_counts WHERE at > now() - interval \'1 hour\''), 0, '... all of them');
my $xid = $session->value('SELECT pg_snapshot_xmax(pg_current_snapshot())');
drain();
is($session->value('SELECT count(*) FROM flex_outbox_counts WHERE xmin::text::bigint >= ' . $xid), 0, '... once');

# A dump, and its restore: there all finished requests are finished.
$node->command_ok([ 'pg_dump', '-f', 'counts.sql', $node->connstr('postgres') ], 'it is dumped');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', 'counts.sql', $node->connstr('restored') ], '... and restored');
my $original = $session;
$session = connect_to(database => 'restored');
agrees('restored');
is($session->value('SELECT sum(succeeded) FROM flex_outbox_summary'), $original->value('SELECT sum(succeeded) FROM flex_outbox_summary'), '... as many as there were');
$session->value("DELETE FROM $TABLE WHERE id = $failed");
agrees('deleted by hand');
$session->value("UPDATE $TABLE SET state = 'failed' WHERE state = 'uncertain'");
agrees('changed by hand');
$session->value("TRUNCATE $TABLE CASCADE");
agrees('emptied');
$session->close;
$session = $original;

# Forgotten
$session->value("UPDATE $TABLE SET enqueued_at = now() - interval '2 hours', finished_at = finished_at - interval '2 hours'");
drain();
agrees('forgotten');
is($session->value("SELECT count(*) FROM $TABLE WHERE state = 'succeeded'"), 0, '... none of those that have succeeded is left');
is($session->value("SELECT string_agg(uncertain::text, ' ') FROM flex_outbox_summary WHERE uncertain > 0"), 3, '... the uncertain ones are');

# An error that was the last one
$session->value("DELETE FROM $TABLE");
$simulator->post('faults', { path => '/v2/WebChats', status => 400, times => 1 });
enqueue($session, 'bad');
drain();
like(figures('last_error'), qr/./, 'the last error is shown');
is($session->value('SELECT last_error FROM flex_outbox_summary'), $session->value("SELECT error_message FROM $TABLE"), '... which is the request\'s');
$session->value("DELETE FROM $TABLE");
is(figures('last_error'), '', '... and gone with it');

unlink 'counts.sql';
$node->stop('fast');
done_testing;
