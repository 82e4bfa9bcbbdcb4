# storage.pl --bin FOLDER --directory DIRECTORY
#
# Measures what the outbox writes and reads for a request: WAL without page images, versions
# of rows, and the pages and the time of a drain of one request, with few requests behind it
# and with many that an old snapshot keeps all versions of; and how fast requests with ordering
# keys are sent.  test/bench/run prepares and calls it.  Ends with 1 where a goal was missed.
use strict;
use warnings;

use File::Basename qw(dirname);
use Getopt::Long;
use JSON::PP;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

use lib dirname(__FILE__);
use Rounds;
use Servers;
use Session;

my ($bin, $directory);
GetOptions('bin=s' => \$bin, 'directory=s' => \$directory) or exit 2;
$SIG{INT} = $SIG{TERM} = sub { exit 1 };

my $REQUESTS = 20_000;
my $MANY = 200_000;
my $DRAINS = 20;
my $CONCURRENCY = 100;
my $KEYS = 10_000;
my $KEYS_MANY = 100_000;
my $DELAY_MS = 100;
my $missed = 0;
my $servers = Servers->new($bin, $directory, 'full_page_writes = off', "flex_api.rate_limits = 'none'", 'shared_buffers = 1GB', 'max_wal_size = 10GB');
my $simulator = $servers->simulator;
$servers->control($simulator, 'POST', 'settings', { record => JSON::PP::false });
my $session = session();
$session->query('CREATE EXTENSION flex_api');

sub session
{
	my $new = Session->new($servers);
	$new->query("SET flex_api.base_url = '$simulator'; SET client_min_messages = error; SET flex_api.concurrency = $CONCURRENCY");
	return $new;
}

# Leave so many requests, of 110 bytes of arguments.
sub fill
{
	my ($count) = @_;
	$session->query("SELECT count(flex_enqueue('flex_webchat_create', jsonb_build_object('address_sid', 'IG' || md5(g::text), " .
		  "'identity', 'customer ' || g, 'pre_engagement_data', 'x'))) FROM generate_series(1, $count) g");
}

# Bytes of WAL that something writes.
sub wal
{
	my ($what) = @_;
	my $before = $session->query('SELECT pg_current_wal_insert_lsn()');
	$what->();
	return $session->query("SELECT pg_current_wal_insert_lsn() - '$before'::pg_lsn");
}

# A counter of the table of requests, when the sessions have told what they did.
sub counter
{
	my ($expression) = @_;
	return $session->query("SELECT pg_stat_force_next_flush(); SELECT pg_sleep(0.1); SELECT $expression FROM pg_stat_all_tables WHERE relname = 'flex_outbox_requests'") =~ s/\s//gr;
}

sub line
{
	my ($what, $is, $goal, $reached) = @_;
	$missed++ unless $reached;
	printf "%-58s %10s   %-12s %s\n", $what, $is, $goal, $reached ? 'ok' : 'MISSED';
}

# Pages and milliseconds of a drain of one request, medians.
sub drains
{
	my (@pages, @ms);
	foreach (1 .. $DRAINS)
	{
		fill(1);
		my $pages = "SELECT pg_stat_force_next_flush(); SELECT sum(coalesce(heap_blks_read, 0) + coalesce(heap_blks_hit, 0) + coalesce(idx_blks_read, 0) " .
		  "+ coalesce(idx_blks_hit, 0)) FROM pg_statio_all_tables WHERE relname LIKE 'flex_outbox%'";
		my $before = $session->query($pages) =~ s/\s//gr;
		my $begin = clock_gettime(CLOCK_MONOTONIC);
		$session->query('CALL flex_outbox_drain()');
		push @ms, (clock_gettime(CLOCK_MONOTONIC) - $begin) * 1000;
		push @pages, ($session->query($pages) =~ s/\s//gr) - $before;
	}
	return (Rounds::median(@pages), Rounds::median(@ms));
}

fill(100);
$session->query('CALL flex_outbox_drain()');
my ($updates, $hot) = (counter('n_tup_upd'), counter('n_tup_hot_upd'));
my $enqueued = wal(sub { fill($REQUESTS) });
my $sent = wal(sub { $session->query('CALL flex_outbox_drain()') });
print "\nWhat $REQUESTS requests write\n";
line('bytes of WAL, enqueued and sent, per request', sprintf('%.0f', ($enqueued + $sent) / $REQUESTS), '<= 1200', ($enqueued + $sent) / $REQUESTS <= 1200);
line('updates per request', sprintf('%.2f', (counter('n_tup_upd') - $updates) / $REQUESTS), '<= 1', counter('n_tup_upd') - $updates <= $REQUESTS);
line('of them HOT', sprintf('%.1f %%', 100 * (counter('n_tup_hot_upd') - $hot) / $REQUESTS), '100 %', counter('n_tup_hot_upd') - $hot >= $REQUESTS);

my ($few_pages, $few_ms) = drains();
my $old = Session->new($servers);
$old->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class');
fill($MANY);
$session->query('CALL flex_outbox_drain()');
my ($many_pages, $many_ms) = drains();
print "\nA drain of one request, medians of $DRAINS\n";
line('pages read, little behind it', $few_pages, '', 1);
line("pages read, $MANY requests and an old snapshot behind it", $many_pages, '<= 400', $many_pages <= 400);
line('ms, little behind it', sprintf('%.2f', $few_ms), '', 1);
line("ms, $MANY requests and an old snapshot behind it", sprintf('%.2f', $many_ms), '<= 3 x', $many_ms <= 3 * $few_ms);
$_->query('SELECT 1') for $old;

# Leave requests of so many ordering keys, so many of each, those of one key far from each other.
sub fill_keys
{
	my ($keys, $each) = @_;
	$session->query("SELECT count(flex_enqueue('flex_webchat_create', jsonb_build_object('address_sid', 'IG' || md5(g::text), 'identity', 'customer ' || g, " .
		  "'pre_engagement_data', 'x'), ordering_key => 'key ' || k)) FROM generate_series(1, $each) AS g, generate_series(1, $keys) AS k");
}

# Seconds that a drain takes.
sub drain
{
	my $begin = clock_gettime(CLOCK_MONOTONIC);
	$session->query('CALL flex_outbox_drain()');
	return clock_gettime(CLOCK_MONOTONIC) - $begin;
}

print "\nRequests with ordering keys\n";
$enqueued = wal(sub { fill_keys($REQUESTS, 1) });
$sent = wal(sub { $session->query('CALL flex_outbox_drain()') });
line('bytes of WAL, enqueued and sent, per request', sprintf('%.0f', ($enqueued + $sent) / $REQUESTS), '', 1);
fill($KEYS_MANY);
my $without = drain();
fill_keys($KEYS_MANY, 1);
my $with = drain();
line("$KEYS_MANY requests without a key, per second", sprintf('%.0f', $KEYS_MANY / $without), '', 1);
line("$KEYS_MANY requests, each with another key, per second", sprintf('%.0f', $KEYS_MANY / $with), '', 1);
fill_keys($KEYS_MANY / 2, 2);
$with = drain();
line("$KEYS_MANY requests, two of a key, per second", sprintf('%.0f', $KEYS_MANY / $with), '', 1);
$servers->control($simulator, 'POST', 'faults', { path => '/v2/WebChats', delay_ms => $DELAY_MS, times => -1 });
fill_keys($KEYS, 2);
my $ideal = 2 * $KEYS * $DELAY_MS / 1000 / $CONCURRENCY;
my $share = $ideal / drain();
line("$KEYS keys, two requests of each, answers after $DELAY_MS ms: of what $CONCURRENCY at once allow", sprintf('%.2f', $share), '>= 0.9', $share >= 0.9);
$servers->stop;
exit($missed ? 1 : 0);
