# Requests in transactions that are prepared: COMMIT PREPARED has them sent as COMMIT does,
# by whichever session, after a restart, as the first that the database ever had, and where
# a subscription applies it.  A drain does not wait for what is only prepared.
use strict;
use warnings;

use FindBin;
use lib 'test/perl', "$FindBin::RealBin/../../crash";
use FlexApi;
use Outbox;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my @lines = ("flex_api.rate_limits = 'none'", 'max_prepared_transactions = 10', 'wal_level = logical',
	'max_wal_senders = 4', 'max_replication_slots = 4', 'fsync = off');
my $preload = "shared_preload_libraries = 'flex_api'";
my $node = FlexApi::node('prepared', $simulator, @lines, $preload);
my $session = FlexApi::Session->new($node);
# Without a wake a worker looks around each half minute: what comes sooner was told.
my $SOON = 20;

# Prepare a transaction that enqueues.
sub prepare
{
	my ($of, $name, $first) = @_;

	$of->value($_) for 'BEGIN', $first // (), 'SELECT ' . chat($name), "PREPARE TRANSACTION '$name'";
	return;
}

sub is_sent { my ($name, $seconds) = @_; return FlexApi::wait_until(sub { sent($simulator, $name) == 1 }, $seconds); }

ok(has_worker($session, 'postgres'), 'there is a worker');
prepare($session, 'same');
is(sent($simulator, 'same'), 0, 'what is prepared is not sent');
$session->value("COMMIT PREPARED 'same'");
ok(is_sent('same', $SOON), 'COMMIT PREPARED in the same session sends it');
prepare($session, 'other');
FlexApi::Session->new($node)->value("COMMIT PREPARED 'other'");
ok(is_sent('other', $SOON), '... and in another');
prepare($session, 'undone');
$session->value("ROLLBACK PREPARED 'undone'");

# The extension itself is prepared, with the first request.
$session->value('CREATE DATABASE fresh');
my $fresh = FlexApi::Session->new($node, database => 'fresh');
prepare($fresh, 'created', 'CREATE EXTENSION flex_api');
ok(FlexApi::wait_until(sub { !workers($session, 'fresh') }), 'a database without the extension has no worker');
FlexApi::Session->new($node, database => 'fresh')->value("COMMIT PREPARED 'created'");
ok(is_sent('created', $SOON), 'the first request that a database ever had is sent, prepared with the extension');
$session->value('CREATE DATABASE bare');
my $bare = FlexApi::Session->new($node, database => 'bare');
$bare->value($_) for 'BEGIN', 'CREATE TABLE t ()', "PREPARE TRANSACTION 'bare'", "COMMIT PREPARED 'bare'";
ok(!workers($session, 'bare'), 'a database without it gets no worker');

# Nobody says that it is committed: the worker looks each second, also while it is busy.
# The subscriber's trigger enqueues.
my $subscriber = FlexApi::node('subscriber', $simulator, @lines, $preload, 'wal_retrieve_retry_interval = 100ms');
my $there = FlexApi::Session->new($subscriber);
$_->value('CREATE TABLE tickets (name text PRIMARY KEY)') foreach $session, $there;
$there->value($_) for
	"CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS \$\$ BEGIN PERFORM "
	. chat("' || NEW.name || '") =~ s/'\{/('{/r =~ s/\}'/}')::jsonb/r . '; RETURN NULL; END $$',
	'CREATE TRIGGER tell AFTER INSERT ON tickets FOR EACH ROW EXECUTE FUNCTION tell()',
	'ALTER TABLE tickets ENABLE ALWAYS TRIGGER tell';
$session->value('CREATE PUBLICATION tickets FOR TABLE tickets');
$there->value("CREATE SUBSCRIPTION tickets CONNECTION '" . $node->connstr . " dbname=postgres' PUBLICATION tickets WITH (two_phase = true)");
ok(FlexApi::wait_until(sub { $there->value("SELECT subtwophasestate FROM pg_subscription") eq 'e' }), 'a subscription with two phases');
ok(has_worker($there, 'postgres'), 'whose worker is idle');
my $prepared_there = sub { my ($count) = @_;
	return FlexApi::wait_until(sub { $there->value('SELECT count(*) FROM pg_prepared_xacts') == $count }); };
foreach my $way ('idle', 'busy', 'restarted')
{
	$session->value($_) for 'BEGIN', "INSERT INTO tickets VALUES ('$way')", "PREPARE TRANSACTION '$way'";
	ok($prepared_there->(1), "$way: a transaction is prepared by the subscription");
	if ($way eq 'busy')
	{
		$simulator->post('faults', { delay_ms => 60000, times => 1 });
		enqueue($there, 'slow');
		ok(is_sent('slow'), '... and a request takes long');
	}
	if ($way eq 'restarted')
	{
		$there->close;
		$subscriber->stop('immediate');
		$subscriber->start;
		$there = FlexApi::Session->new($subscriber);
		ok(has_worker($there, 'postgres'), '... and survives a crash');
		ok($prepared_there->(1), '... as it was');
	}
	$session->value("COMMIT PREPARED '$way'");
	ok(is_sent($way, $SOON), '... and sent when that is committed');
	ok($prepared_there->(0), '... of which nothing is left');
}
$there->value('DROP SUBSCRIPTION tickets');
$subscriber->stop;

# A restart, and no wake but COMMIT PREPARED.
prepare($session, 'kept');
$session->close;
$node->restart;
$session = FlexApi::Session->new($node);
ok(has_worker($session, 'postgres'), 'a worker after a restart');
$session->value("COMMIT PREPARED 'kept'");
ok(is_sent('kept', $SOON), 'what was prepared before the restart is sent');
is(sent($simulator, 'undone'), 0, 'what was rolled back never is');

# Without preloading: a drain finds it, and does not wait for another.
$session->close;
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
$node->restart;
$session = FlexApi::Session->new($node);
prepare($session, $_) foreach 'committed', 'open';
$session->value("COMMIT PREPARED 'committed'");
$session->value('CALL flex_outbox_drain()');
is_deeply([ map { sent($simulator, $_) } 'committed', 'open' ], [ 1, 0 ], 'a drain sends what is committed, and waits for nothing else');
$session->value($_) for "COMMIT PREPARED 'open'", 'CALL flex_outbox_drain()';
is(sent($simulator, 'open'), 1, '... and the rest when that is');
$node->stop;
done_testing();
