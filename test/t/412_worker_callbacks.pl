# Callbacks in the worker: what misbehaves there costs nobody else his request,
# his answer or his callback, and does not change the worker.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('worker_callbacks', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'",
	'flex_api.callback_timeout = ' . (FlexApi::slowness() > 1 ? 2000 : 200), 'fsync = off');
my $super = FlexApi::Session->new($node);
$super->value($_) for ('CREATE ROLE plain LOGIN', 'GRANT EXECUTE ON FUNCTION flex_enqueue, flex_webchat_create, flex_outbox_await TO plain',
	'CREATE SCHEMA plain AUTHORIZATION plain', 'CREATE TABLE done (what text, who name)', 'GRANT INSERT ON done TO plain');
my $plain = FlexApi::Session->new($node, user => 'plain');

sub callback
{
	my ($name, $body) = @_;
	return $plain->value("CREATE OR REPLACE FUNCTION plain.$name(r flex_outbox) RETURNS void LANGUAGE plpgsql AS \$\$ BEGIN $body; END \$\$");
}

sub enqueue
{
	my ($session, $callback, $identity) = @_;
	return $session->value("SELECT flex_enqueue('flex_webchat_create', '{\"address_sid\": \"IG00000000000000000000000000000001\", \"identity\": \"$identity\"}', "
		  . "on_success => '$callback')");
}

sub row { my ($id, $columns) = @_; return join '|', map { $_ // '' } @{ $super->query("SELECT $columns FROM flex_outbox WHERE id = $id")->{rows}->[0] }; }

callback('notes', q{INSERT INTO done VALUES (r.context ->> 0, current_user)});
$super->value('CREATE FUNCTION notes_as_owner(r flex_outbox) RETURNS void LANGUAGE sql AS $$ INSERT INTO done VALUES ($1.arguments ->> $q$identity$q$, current_user) $$');
my $id = enqueue($plain, 'plain.notes', 'first');
is($plain->value("SELECT state FROM flex_outbox_await($id)"), 'succeeded', 'a callback in the worker');
is($super->value('SELECT who FROM done'), 'plain', '... runs as the role that enqueued');

# Each of them while another request is in flight
my %wrong = (
	raises => q{RAISE EXCEPTION 'no'},
	raises_cancel => q{RAISE SQLSTATE '57014'},
	raises_shutdown => q{RAISE SQLSTATE '57P01'},
	loops => 'LOOP NULL; END LOOP',
	commits => 'COMMIT',
	escalates => 'RESET SESSION AUTHORIZATION; DELETE FROM flex_outbox',
	listens => q{EXECUTE 'LISTEN x'},
	kills => 'PERFORM pg_terminate_backend(pg_backend_pid())',
	cancels => 'PERFORM pg_cancel_backend(pg_backend_pid())',
	sets => q{SET default_transaction_read_only = on; SET flex_api.timeout = '1ms'; SET flex_api.concurrency = 1;
		SET search_path = nowhere},
);
my $pid = $super->value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'flex_api outbox worker'");
foreach my $name (sort keys %wrong)
{
	callback($name, $wrong{$name});
	$super->value('DELETE FROM done');
	$simulator->clear_faults;
	$simulator->clear_requests;
	$simulator->post('faults', { delay_ms => 400, path => '/v2/WebChats' });
	my $slow = enqueue($super, 'notes_as_owner', 'slow');
	ok(FlexApi::wait_until(sub { $simulator->requests == 1 }), "$name: another's request is in flight");
	my $bad = enqueue($plain, "plain.$name", 'bad');
	ok(FlexApi::wait_until(sub { row($bad, 'state') eq 'succeeded' }), '... the request has its end');
	is($super->value("SELECT state FROM flex_outbox_await($slow, '20 s')"), 'succeeded', '... the other one is not lost');
	is($super->value("SELECT count(*) FROM done WHERE what = 'slow' AND who = current_user"), 1, '... its callback ran');
	is(scalar($simulator->requests), 2, '... each was sent once');
	if ($name eq 'sets') { is(row($bad, 'callback_error'), '', '... it is no error'); }
	else { isnt(row($bad, 'callback_error'), '', '... the error is noted'); }
	$super->value("UPDATE flex_outbox SET callback_at = NULL WHERE id = $bad");
}
is($super->value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'flex_api outbox worker'"), $pid, 'it is the same worker all the time');
is($super->value('SELECT count(*) FROM flex_outbox'), 1 + 2 * keys %wrong, 'no row was deleted');
is($super->value("SELECT count(*) FROM flex_outbox WHERE state <> 'succeeded'"), 0, 'all have succeeded');

# A hundred that fail do not hold back one that does not
callback('raises', q{RAISE EXCEPTION 'no'});
enqueue($plain, 'plain.raises', "bad$_") for 1 .. 100;
$id = enqueue($super, 'notes_as_owner', 'last');
is($super->value("SELECT state FROM flex_outbox_await($id, '20 s')"), 'succeeded', 'behind a hundred that fail');
ok(FlexApi::wait_until(sub { $super->value("SELECT count(*) FROM done WHERE what = 'last'") == 1 }), '... comes one that does not');
my $attempts = $super->value('SELECT sum(callback_attempts) FROM flex_outbox');
cmp_ok($attempts, '<', 1000, 'they are not tried again without a pause');

$node->stop('fast');
my $log = slurp_file($node->logfile);
is_deeply([ grep { /PANIC|TRAP|terminated by signal|outbox worker.*exit code/ } split /\n/, $log ], [], 'no process has ended badly');
done_testing();
