# soak.pl --bin FOLDER --directory DIRECTORY
#
# Sends very many requests at full speed, 100,000 at a time, while those that have had their time are
# deleted: prints the speed of each 100,000, and how large the outbox's tables are then.  So many
# are sent as SOAK says, two million where it does not; they are kept for a minute.  test/bench/run
# prepares and calls it, where the section is named.  Ends with 1 where a goal was missed.
use strict;
use warnings;

use File::Basename qw(dirname);
use Getopt::Long;
use JSON::PP;
use List::Util qw(max);

use lib dirname(__FILE__);
use Servers;
use Session;

my ($bin, $directory);
GetOptions('bin=s' => \$bin, 'directory=s' => \$directory) or exit 2;
$SIG{INT} = $SIG{TERM} = sub { exit 1 };
$| = 1; # it takes minutes, and each line tells

my $REQUESTS = $ENV{SOAK} // 2_000_000;
my $AT_ONCE = 100_000;
my $missed = 0;
my $servers = Servers->new($bin, $directory, "flex_api.rate_limits = 'none'", "flex_api.outbox_retention = '1min'",
	'shared_buffers = 1GB', 'max_wal_size = 10GB', 'autovacuum = on', 'autovacuum_naptime = 5s');
my $simulator = $servers->simulator;
$servers->control($simulator, 'POST', 'settings', { record => JSON::PP::false });
my $session = Session->new($servers);
$session->query('CREATE EXTENSION flex_api');
$session->query("SET flex_api.base_url = '$simulator'; SET client_min_messages = error; SET flex_api.concurrency = 100");

sub line
{
	my ($what, $is, $goal, $reached) = @_;
	$missed++ unless $reached;
	printf "%-58s %10s   %-12s %s\n", $what, $is, $goal, $reached ? 'ok' : 'MISSED';
}

sub megabytes
{
	my ($like) = @_;
	return $session->query("SELECT round(sum(pg_total_relation_size(oid)) / 1048576) FROM pg_class WHERE relname LIKE '$like' AND relkind = 'r'");
}

my (@rates, @sizes, @rows);
printf "\n%d requests, kept for a minute\n%12s %10s %10s %10s %12s %12s\n", $REQUESTS, 'sent', 'a second', 'CPU us', 'rows', 'requests MB', 'others MB';
for (my $sent = $AT_ONCE; $sent <= $REQUESTS; $sent += $AT_ONCE)
{
	$session->query("SELECT count(flex_enqueue('flex_webchat_create', jsonb_build_object('address_sid', 'IG' || md5(g::text), " .
		  "'identity', 'customer ' || g))) FROM generate_series(1, $AT_ONCE) g");
	my $cost = $session->cost('CALL flex_outbox_drain()');
	my $requests = megabytes('flex_outbox_requests');
	my $all = megabytes('flex_outbox%');
	push @rates, $AT_ONCE * 1e6 / $cost->[0];
	push @rows, $session->query('SELECT count(*) FROM flex_outbox_requests');
	push @sizes, $all;
	printf "%12d %10.0f %10.1f %10d %12d %12d\n", $sent, $rates[-1], $cost->[1] / $AT_ONCE, $rows[-1], $requests, $all - $requests;
}
line('speed of the last 100000, of the first', sprintf('%.2f', $rates[-1] / $rates[0]), '>= 0.9', $rates[-1] >= 0.9 * $rates[0]);
my $old = $session->query("SELECT count(*) FROM flex_outbox_requests WHERE finished_at < now() - interval '3 minutes'");
line('rows that are kept too long', $old, '0', $old == 0);
# What is kept at most takes as much as the first requests did, and once more until autovacuum has been there.
my $kept = max(@rows) * $sizes[0] / $rows[0];
line('size at the end, MB', $sizes[-1], sprintf('<= 2 x %d', $kept), $sizes[-1] <= 2 * $kept);
$servers->stop;
exit($missed ? 1 : 0);
