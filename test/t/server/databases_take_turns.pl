# More databases than background worker slots: they take turns, a quiet one is served soon though
# the others never have nothing to do, nothing is lost or sent twice in that, and the log and the
# status say which setting to raise.  With slots enough, each has its worker again.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $ANSWER_MS = 300;
my @busy = map { "busy$_" } 1 .. 3;
my $simulator = FlexApi::Simulator->new;
my $node = PostgreSQL::Test::Cluster->new('turns');
$node->init;
# the launcher, that of logical replication, and one worker
$node->append_conf('postgresql.conf', join("\n", "shared_preload_libraries = 'flex_api'", "flex_api.base_url = '" . $simulator->url . "'",
	"flex_api.account_sid = '$FlexApi::ACCOUNT'", "flex_api.auth_token = '$FlexApi::TOKEN'", "flex_api.rate_limits = 'none'",
	'flex_api.concurrency = 2', 'max_worker_processes = 3', 'fsync = off', 'log_statement = none', ''));
$node->start;
my $super = FlexApi::Session->new($node);
$super->value("CREATE DATABASE $_") foreach @busy, 'quiet';
my %session = map { $_ => FlexApi::Session->new($node, database => $_) } @busy, 'quiet';
$session{$_}->value('CREATE EXTENSION flex_api') foreach @busy, 'quiet';

sub enqueue
{
	my ($database, $count) = @_;
	return $session{$database}->value("SELECT count(flex_enqueue('flex_webchat_create', jsonb_build_object('address_sid', 'IG' || repeat('a', 32), "
		  . "'identity', '$database-' || txid_current() || '-' || g))) FROM generate_series(1, $count) AS g");
}
sub left { my ($database) = @_; return $session{$database}->value("SELECT count(*) FROM flex_outbox WHERE state IN ('pending', 'sending')"); }

$simulator->post('faults', { path => '/v2/WebChats', delay_ms => $ANSWER_MS, times => -1 });
enqueue($_, 400) foreach @busy;
ok(FlexApi::wait_until(sub { 3 == grep { left($_) < 400 } @busy }, 60), 'each database has its turn') or diag join ' ', map { left($_) } @busy;
my @took;
foreach my $time (1 .. 3)
{
	my $begin = time;
	enqueue('quiet', 1);
	ok(FlexApi::wait_until(sub { left('quiet') == 0 }, 30), 'a quiet one is served, too');
	push @took, time() - $begin;
}
note(sprintf 'a quiet database is served after %s s', join ', ', map { sprintf '%.1f', $_ } @took);
ok(3 == (grep { left($_) > 0 } @busy), '... while the others have more to do');
cmp_ok($_, '<', 5 + $ANSWER_MS / 1000 + 0.5 * FlexApi::slowness(), '... within seconds') foreach @took;
my $log = slurp_file($node->logfile);
is(scalar(() = $log =~ /WARNING:  no background worker slot is free for the Flex API outbox\n.*DETAIL: .*take turns.*\n.*HINT:  Raise max_worker_processes/g), 1, 'the log says so, once a minute');
ok(FlexApi::wait_until(sub { 0 < grep { ($session{$_}->value('SELECT explanation FROM flex_outbox_status') // '') =~ /take turns.*max_worker_processes/ } @busy, 'quiet' }), '... and so does the status');

# None at all: that is said, too, and a drain is a way out
$simulator->clear_faults;
$node->append_conf('postgresql.conf', 'max_worker_processes = 2');
$node->stop;
my $start = -s $node->logfile;
$node->start;
%session = map { $_ => FlexApi::Session->new($node, database => $_) } @busy, 'quiet';
enqueue('quiet', 1);
ok(FlexApi::wait_until(sub { slurp_file($node->logfile, $start) =~ /WARNING:  no background worker slot is free for the Flex API outbox\n.*DETAIL: .*\n.*HINT:  Raise max_worker_processes/ }),
	'a slot that never comes is said');
ok(FlexApi::wait_until(sub { ($session{quiet}->value('SELECT explanation FROM flex_outbox_status') // '') =~ /No background worker slot is free.*max_worker_processes/ }), '... in the status, too');
is(left('quiet'), 1, '... the request waits');
is($session{quiet}->sqlstate('CALL flex_outbox_drain()'), '00000', '... a drain');
is(left('quiet'), 0, '... sends it');

# Enough of them
$node->append_conf('postgresql.conf', 'max_worker_processes = 12');
$node->restart;
%session = map { $_ => FlexApi::Session->new($node, database => $_) } @busy, 'quiet';
ok(FlexApi::wait_until(sub { 0 == grep { left($_) > 0 } @busy, 'quiet' }, 60), 'with slots enough, all are sent');
is($session{$_}->value("SELECT count(*) FROM flex_outbox WHERE state <> 'succeeded'"), 0, "... none of $_ is uncertain") foreach @busy, 'quiet';
my %times;
$times{$_}++ foreach map { ($_->{body} // '') =~ /Identity=([\w-]+)/ } $simulator->requests;
is(scalar(grep { $_ > 1 } values %times), 0, '... none was sent twice');
$log = slurp_file($node->logfile);
is_deeply([ grep { /PANIC|TRAP|terminated by signal|outbox worker.*exit code/ } split /\n/, $log ], [], 'no process has ended badly');
$node->stop('fast');
done_testing();
