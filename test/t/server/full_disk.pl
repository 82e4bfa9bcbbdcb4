# A disk that is full.  Behaviour: where the tables cannot grow, an enqueue is an error
# and the server stays; where the log cannot, the server ends.  When there is space again,
# every committed request comes to an end by itself, none is sent twice, and none that
# failed to be enqueued is sent.
use strict;
use warnings;

use File::Spec::Functions qw(rel2abs);
use FindBin;
use lib 'test/perl', "$FindBin::RealBin/../../crash";
use FlexApi;
use Outbox;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = rel2abs(PostgreSQL::Test::Utils::tempdir);
my $library = "$folder/full_disk.so";
my $compiler = $ENV{CC} // 'gcc';

plan skip_all => 'no C compiler for a library that plays the full disk'
  if system("$compiler -shared -fPIC -o '$library' '$FindBin::RealBin/../../crash/full_disk.c' -ldl 2>'$folder/cc.log'") != 0;
$ENV{FULL_DISK} = "$folder/full";

# The disk under these files is full; none is.
sub fill { append_to_file($ENV{FULL_DISK}, $_[0]); return; }
sub make_room { unlink $ENV{FULL_DISK}; return; }

sub start
{
	my ($node) = @_;

	local $ENV{LD_PRELOAD} = join(':', $library, $ENV{LD_PRELOAD} // ());
	$node->start;
	return FlexApi::Session->new($node);
}

# How many of the requests that are named so have been sent more than once.
sub doubled
{
	my ($simulator) = @_;
	my %times;

	$times{$_}++ foreach map { ($_->{body} // '') =~ /Identity=(\w+)/ } $simulator->requests;
	return join ' ', grep { $times{$_} > 1 } sort keys %times;
}

my $simulator = FlexApi::Simulator->new;
my $node = PostgreSQL::Test::Cluster->new('full');
$node->init(extra => ['--wal-segsize=1']);
$node->append_conf('postgresql.conf', join("\n", "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'",
	"flex_api.base_url = '" . $simulator->url . "'", "flex_api.account_sid = '$FlexApi::ACCOUNT'",
	"flex_api.auth_token = '$FlexApi::TOKEN'", 'autovacuum = off', 'min_wal_size = 2MB', 'wal_recycle = off', ''));
my $session = start($node);
$session->value('CREATE EXTENSION flex_api');
# So that what is settled needs another page.
$session->value('ALTER TABLE flex_outbox_requests SET (fillfactor = 100)');

# The disk of the tables.
my $MANY = q{SELECT count(flex_enqueue('flex_webchat_create',
	jsonb_build_object('address_sid', 'IG' || repeat('a', 32), 'identity', '%s' || g))) FROM generate_series(1, %d) AS g};
$simulator->post('faults', { delay_ms => 200, times => -1 });
$session->value(sprintf $MANY, 'early', 200);
ok(FlexApi::wait_until(sub { $simulator->get('counters')->{requests} > 20 }), 'requests are under way');
my ($worker) = workers($session);
fill('/base/');
my $result = $session->query(sprintf $MANY, 'late', 5000);
is($result->{error}->{C} // '', '53100', 'an enqueue on a full disk is an error');
ok(FlexApi::wait_until(sub { FlexApi::content($node->logfile) =~ /could not extend file.*could not extend file/s }, 10),
	'the worker meets it as well');
is($session->sqlstate('SELECT 1'), '00000', 'the server stays');
ok(FlexApi::wait_until(sub { FlexApi::content($node->logfile) =~ /WARNING:  requests of the Flex API outbox wait for an operator\n.*DETAIL:  could not extend file.*\n.*HINT:  Free space on the disk/ }, 10),
	'... and says so');
ok(!FlexApi::wait_until(sub { 1 < (() = FlexApi::content($node->logfile) =~ /WARNING:  requests of the Flex API outbox wait for an operator/g) }, 3), '... once a minute');
is((workers($session))[0], $worker, '... it goes on waiting');
make_room();
ok(FlexApi::wait_until(sub { $session->value("SELECT count(*) FROM flex_outbox WHERE state IN ('pending', 'sending')") == 0 }, 60),
	'when there is space again, all come to an end');
is($session->value("SELECT count(*) FROM flex_outbox WHERE state NOT IN ('succeeded', 'uncertain')"), 0, 'as sent or as uncertain');
is($session->value('SELECT count(*) FROM flex_outbox'), 200, 'none is lost');
is(doubled($simulator), '', 'none was sent twice');
is(scalar(grep { ($_->{body} // '') =~ /Identity=late/ } $simulator->requests), 0, 'none was sent whose transaction failed');

# The disk of the log.
$simulator->clear_requests;
$session->value(sprintf $MANY, 'logged', 200);
fill('pg_wal/xlogtemp');
my $committed = 200;
for my $i (1 .. 50)
{
	my $outcome = eval { $session->query(sprintf $MANY, "more${i}x", 10) } // { closed => 1 };
	last if $outcome->{closed} || $outcome->{error};
	$committed += 10;
	eval { $session->query('SELECT pg_switch_wal()') };
}
ok(FlexApi::wait_until(sub { !eval { FlexApi::Session->new($node)->value('SELECT 1') } }, 20), 'without space for its log the server ends');
make_room();
ok(FlexApi::wait_until(sub { !-e $node->data_dir . '/postmaster.pid' }), 'all of it');
$node->{_pid} = undef;
$simulator->clear_faults;
$session = start($node);
ok(FlexApi::wait_until(sub { $session->value("SELECT count(*) FROM flex_outbox WHERE state IN ('pending', 'sending')") == 0 }, 60),
	'started again, it brings all to an end');
cmp_ok($session->value("SELECT count(*) FROM flex_outbox WHERE arguments->>'identity' ~ '^(logged|more)'"), '>=', $committed, 'none is lost');
is($session->value("SELECT count(*) FROM flex_outbox WHERE state NOT IN ('succeeded', 'uncertain')"), 0, 'they are sent or uncertain');
is(doubled($simulator), '', 'none twice');

$node->stop;
done_testing();
