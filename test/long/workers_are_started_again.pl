# Workers that are killed, that find no free slot, and that are told new settings.  Behaviour:
# a worker or a launcher that was terminated is back within seconds; without a free slot
# a warning stands in the log, and a worker comes when one is free; it needs none of
# max_connections; without file descriptors requests wait; a reload reaches a busy worker;
# where there is nothing to do, nothing is done.
use strict;
use warnings;

use FindBin;
use lib 'test/perl', "$FindBin::RealBin/../crash";
use FlexApi;
use Outbox;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new('--threads', 2);
my $node = FlexApi::node('workers', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'",
	'max_connections = 8', 'superuser_reserved_connections = 0', 'max_worker_processes = 3', 'max_wal_senders = 0',
	'max_files_per_process = 64', 'flex_api.concurrency = 300');
my $session = FlexApi::Session->new($node);

sub launcher { return $session->value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'flex_api launcher'"); }

# Terminated: the worker while it is idle, while it is busy, and the launcher.
my $id = enqueue($session, 'first');
ok(reaches($session, $id, 'succeeded'), 'the worker works');
my ($worker) = workers($session);
$session->value("SELECT pg_terminate_backend($worker)");
ok(FlexApi::wait_until(sub { my ($new) = workers($session); $new && $new != $worker }, 10), 'a terminated worker is replaced');
$id = enqueue($session, 'second');
ok(reaches($session, $id, 'succeeded'), 'by one that works');
$simulator->post('faults', { delay_ms => 30000, times => 1 });
$id = enqueue($session, 'third');
ok(FlexApi::wait_until(sub { sent($simulator, 'third') == 1 }), 'while it is busy');
($worker) = workers($session);
$session->value("SELECT pg_terminate_backend($worker)");
ok(reaches($session, $id, 'uncertain', 10), 'it says what it does not know');
$simulator->clear_faults;
$id = enqueue($session, 'fourth');
ok(reaches($session, $id, 'succeeded', 10), 'and the next one works');
my $launcher = launcher();
$session->value("SELECT pg_terminate_backend($launcher)");
ok(FlexApi::wait_until(sub { my $new = launcher(); $new && $new != $launcher }, 10), 'a terminated launcher comes back');
# An idle worker may have made place in the meantime.
$session->value("SELECT pg_cancel_backend($_)") foreach workers($session);
$id = enqueue($session, 'fifth');
ok(reaches($session, $id, 'succeeded', 10), 'a cancel does not end the sending');

# All connections taken: a worker has a slot of its own.
my @others = grep { !$_->{first}->{error} } map { FlexApi::Session->new($node, may_fail => 1) } 1 .. 10;
is(FlexApi::Session->new($node, may_fail => 1)->{first}->{error}->{C}, '53300', 'no connection is left');
$id = enqueue($session, 'sixth');
ok(reaches($session, $id, 'succeeded'), 'requests are sent all the same');
$session->value('SELECT pg_terminate_backend(' . (workers($session))[0] . ')');
$id = enqueue($session, 'seventh');
ok(reaches($session, $id, 'succeeded', 10), 'also by a worker that must start first');
$_->close foreach @others;

# Few file descriptors: no more is under way than there are sockets for.
$simulator->post('faults', { delay_ms => 200, times => -1 });
$session->value(q{SELECT count(flex_enqueue('flex_webchat_create',
	jsonb_build_object('address_sid', 'IG' || repeat('a', 32), 'identity', 'few' || g))) FROM generate_series(1, 100) AS g});
my $few = "FROM flex_outbox WHERE arguments->>'identity' LIKE 'few%'";
ok(FlexApi::wait_until(sub { $session->value("SELECT count(*) $few AND state = 'succeeded'") == 100 }, 60),
	'with 64 files a process, 100 requests at once all succeed')
  or diag(explain($session->query('SELECT state, error_code, error_message, count(*) FROM flex_outbox GROUP BY 1, 2, 3')->{rows}));
is($session->value("SELECT max(attempts) $few"), 1, 'at the first attempt');
is($session->value("SELECT count(*) $few AND run_at > enqueued_at + interval '0.5 s'"), 0, 'and none was put off');
$simulator->clear_faults;

# A reload reaches a worker that is busy with a long queue.
$session->value("ALTER SYSTEM SET flex_api.rate_limits = 'flex_webchat_create=1'");
$session->value('SELECT pg_reload_conf()');
ok(FlexApi::wait_until(sub { $session->value('SHOW flex_api.rate_limits') ne 'none' }), 'slow');
enqueue($session, "slow$_") foreach 1 .. 120;
ok(FlexApi::wait_until(sub { sent($simulator, 'slow1') == 1 }), 'a long queue');
$session->value("ALTER SYSTEM SET flex_api.rate_limits = 'none'");
$session->value('SELECT pg_reload_conf()');
ok(FlexApi::wait_until(sub { $session->value("SELECT count(*) FROM flex_outbox WHERE state = 'pending'") == 0 }, 15),
	'a reload lets the worker send it at once');
my $other = FlexApi::Simulator->new;
$session->value("ALTER SYSTEM SET flex_api.base_url = '" . $other->url . "'");
$session->value('SELECT pg_reload_conf()');
ok(FlexApi::wait_until(sub { $session->value('SHOW flex_api.base_url') eq $other->url }), 'another address');
$id = enqueue($session, 'moved');
ok(reaches($session, $id, 'succeeded', 15), 'reaches the worker')
  or diag(explain($session->query("SELECT state, attempts, run_at, error_code, error_message FROM flex_outbox WHERE id = $id")->{rows}));
is(sent($other, 'moved'), 1, 'which uses it');

# No slot: the launcher has one, logical replication one, the first database's worker the third.
my $log = -s $node->logfile;
$session->value('CREATE DATABASE second');
my $second = FlexApi::Session->new($node, database => 'second');
$second->value('CREATE EXTENSION flex_api');
my $waiting = enqueue($second, 'waiting');
ok(FlexApi::wait_until(sub { substr(FlexApi::content($node->logfile), $log) =~ /no background worker slot is free/ }),
	'without a free slot there is a warning');
ok(reaches($second, $waiting, 'succeeded', 30), '... and the first worker, which has nothing to do, makes place');
$waiting = enqueue($second, 'waiting again');
my $direct = $second->query('CALL flex_outbox_drain(0)');
ok(!$direct->{error}, 'a drain is possible');
$session->value('DROP EXTENSION flex_api CASCADE');
$session->value('SELECT pg_reload_conf()'); # an idle worker would look around within half a minute
ok(reaches($second, $waiting, 'succeeded', 30), 'when the first database needs none any more the worker comes');

# Databases without the extension: a worker looks once into each, and that is all.
my $bare = PostgreSQL::Test::Cluster->new('bare');
$bare->init;
$bare->append_conf('postgresql.conf', "shared_preload_libraries = 'flex_api'\nlog_min_messages = debug1\nautovacuum = off");
$bare->start;
my $idle = FlexApi::Session->new($bare);
my $started = sub { return scalar(() = FlexApi::content($bare->logfile) =~ /starting background worker process "flex_api outbox worker"/g); };
ok(FlexApi::wait_until(sub { $started->() >= 2 && !workers($idle) }), 'a worker has looked into each database');
my $first = $started->();
is($first, $idle->value('SELECT count(*) FROM pg_database WHERE datallowconn'), '... one for each');
$launcher = $idle->value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'flex_api launcher'");
my $cpu = FlexApi::cpu_seconds($launcher);
# a worker that ended is started again after a second, if at all
ok(!FlexApi::wait_until(sub { $started->() > $first }, 3.5), '... and no other one comes');
$cpu = FlexApi::cpu_seconds($launcher) - $cpu;
cmp_ok($cpu, '<', 0.02 * FlexApi::slowness(), sprintf('... the launcher sleeps: %.1f ms of CPU', 1000 * $cpu));
$idle->value('CREATE EXTENSION flex_api');
ok(has_worker($idle, 'postgres'), 'with the extension one comes');
my ($lone) = workers($idle);
my $lone_cpu = FlexApi::cpu_seconds($lone);
ok(!FlexApi::wait_until(sub { $started->() > $first + 1 }, 1.5), '... once');
$cpu = FlexApi::cpu_seconds($lone) - $lone_cpu;
cmp_ok($cpu, '<', 0.1 * FlexApi::slowness(), sprintf('... and sleeps, too: %.1f ms of CPU', 1000 * $cpu));
$idle->value($_) for 'DROP EXTENSION flex_api', 'SELECT pg_reload_conf()'; # which wakes it
ok(FlexApi::wait_until(sub { !workers($idle) }), 'without it, it goes');
ok(!FlexApi::wait_until(sub { $started->() > $first + 2 }, 2.5), '... and does not come again and again');
$bare->stop;

$node->stop;
done_testing();
