# The postmaster is killed while a worker and a callback process have more to do than they will
# do for a minute, and wait for nothing: they end all the same, so that nothing goes on in a
# server that is dead, and the next one can start.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('killed', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'", 'fsync = off');
my $session = FlexApi::Session->new($node);
# One that waits would learn of it.
$session->value('CREATE FUNCTION works(r flex_outbox) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM count(*) FROM generate_series(1, 200000); END $$');
$session->value("SELECT count(flex_enqueue('flex_webchat_create', jsonb_build_object('address_sid', 'IG' || repeat('a', 32)), on_success => 'works')) FROM generate_series(1, 3000)");
my $left = 'SELECT count(*) FROM flex_outbox_callbacks';
ok(FlexApi::wait_until(sub { $session->value($left) > 1000 }, 60), 'there are many callbacks to run');
my @pids = map { $_->[0] } @{ $session->query("SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'flex_api%'")->{rows} };
cmp_ok(scalar(@pids), '>=', 3, 'the launcher, the worker, a process for callbacks');
my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
kill 'KILL', $postmaster;
ok(FlexApi::wait_until(sub { 0 == grep { kill 0, $_ } @pids }, 20), 'when the postmaster is killed, all end');
$node->{_pid} = undef;
ok($node->start(fail_ok => 1), 'and the server starts again');
$session = FlexApi::Session->new($node);
cmp_ok($session->value($left), '>', 0, '... with callbacks that have not run');
$node->stop('immediate');
done_testing();
