# More databases than there are places for workers, most of them without the extension.  Behaviour: after a
# restart of the server, what waits in the last one is sent without another commit there.
use strict;
use warnings;

use FindBin;
use lib 'test/perl', "$FindBin::RealBin/../crash";
use FlexApi;
use Outbox;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $PLACES = 256;
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('crowd', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'", 'fsync = off');
my $session = FlexApi::Session->new($node);

$session->value("CREATE DATABASE d$_") foreach 1 .. $PLACES;
$session->value('CREATE DATABASE last');
my $last = FlexApi::Session->new($node, database => 'last');
$last->value('CREATE EXTENSION flex_api');
my $id = enqueue($last, 'late', "run_at => now() + '5 s'");
$node->restart;
$last = FlexApi::Session->new($node, database => 'last');
ok(reaches($last, $id, 'succeeded', 120), 'a request that waited when the server was stopped is sent');
is(sent($simulator, 'late'), 1, '... once');
$session = FlexApi::Session->new($node);
ok(FlexApi::wait_until(sub { $session->value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'flex_api outbox worker'") == 2 }),
	'workers stay in the two databases that have an outbox');

$node->stop;
done_testing();
