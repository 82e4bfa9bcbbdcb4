# A hundred thousand ordering keys, a hundred thousand requests that one of their key holds back, and
# thousands of one key that an old snapshot keeps: all is sent once and in order, and nothing is left of
# it; beside many keys, and many that are held back, what else is due costs no more than before.
use strict;
use warnings;

use FlexApi;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $MANY = 100_000;
my $TWICE = 10_000;  # keys with a second request
my $ONE_KEY = 3_000; # requests of a key that are sent one after another
my $MORE_PAGES = 3;  # times as many as with little behind it

my $journal = PostgreSQL::Test::Utils::tempdir . '/journal';
my $simulator = FlexApi::Simulator->new('--journal', $journal);
$simulator->post('settings', { record => JSON::PP::false });
my $node = FlexApi::node('keys', $simulator, "flex_api.rate_limits = 'none'", 'fsync = off', 'flex_api.concurrency = 100', 'autovacuum = off',
	'shared_buffers = 512MB', 'max_wal_size = 4GB');
my $session = FlexApi::Session->new($node);
$session->value('SET client_min_messages = error');

# Enqueue requests; expressions of n say their keys and what they are called.
sub enqueue
{
	my ($count, $key, $name, $more) = @_;
	return $session->value((sprintf q{SELECT count(flex_enqueue('flex_webchat_create', jsonb_build_object('address_sid', 'IG' || md5(''), 'identity', %s),
		ordering_key => (%s)::text%s)) FROM generate_series(1, %d) AS n}, $name, $key, $more // "", $count), 1800);
}

sub drain { return $session->value('CALL flex_outbox_drain()', 1800); }

# The names of what the service was sent since it was last asked, in order.
my $read = 0;
sub sent
{
	my $text = substr(FlexApi::content($journal), $read);
	$read += length $text;
	return map { decode_json($_)->{form}->{Identity} } split /\n/, $text;
}

# Pages of the outbox that the drain of one request reads: the least of some.
sub pages
{
	my ($key) = @_;
	my @pages;
	foreach (1 .. 5)
	{
		enqueue(1, $key, "'one'");
		my $count = q{SELECT sum(coalesce(heap_blks_read, 0) + coalesce(heap_blks_hit, 0) + coalesce(idx_blks_read, 0) + coalesce(idx_blks_hit, 0))
			FROM pg_statio_all_tables WHERE relname LIKE 'flex_outbox%'};
		my @counts = map { drain() if $_; $session->value('SELECT pg_stat_force_next_flush()'); $session->value('SELECT pg_stat_clear_snapshot()'); $session->value($count) } 0, 1;
		push @pages, $counts[1] - $counts[0];
	}
	sent();
	return (sort { $a <=> $b } @pages)[0];
}

sub is_cheap
{
	my ($pages, $before, $what) = @_;
	note("$pages pages, $before before");
	return cmp_ok($pages, '<=', $before * $MORE_PAGES, $what);
}

sub nothing_is_left
{
	return is($session->value('SELECT (SELECT count(*) FROM flex_outbox_ordered) + (SELECT count(*) FROM flex_outbox_freed_keys)'), 0, '... and nothing is left of them');
}

enqueue(100, 'n', "'first'");
drain();
my $little = pages("'few'");

# Many keys.
enqueue($MANY, 'n', "'1 of ' || n");
enqueue($TWICE, 'n', "'2 of ' || n");
drain();
my (%times, %before);
my $disorder = 0;
foreach my $name (sent())
{
	my ($which, $key) = $name =~ /(\d) of (\d+)/ or next;
	$times{$name}++;
	$disorder++ if $which != ++$before{$key};
}
is(scalar(keys %times), $MANY + $TWICE, "$MANY keys: all is sent");
is(scalar(grep { $_ > 1 } values %times), 0, '... once');
is($disorder, 0, '... in order');
nothing_is_left();
$session->value('VACUUM ANALYZE');
is_cheap(pages("'few'"), $little, 'a request that comes after them costs no more');

# Many behind one that waits.
my $first = $session->value(q{SELECT max(id) FROM flex_outbox_requests}) + 1;
enqueue(1, "'held'", "'waits'", ", run_at => now() + '1 day'");
enqueue($MANY, "'held'", "'held ' || n");
enqueue(1, "'other'", "'goes'");
drain();
is(join(' ', sent()), 'goes', "$MANY requests behind one of their key: another key's is sent, and nothing else");
is($session->value(q{SELECT held_back FROM flex_outbox_summary}), $MANY, '... and the summary says how many wait');
is_cheap(pages("'few'"), $little, '... beside which a request costs no more');
is($session->value("SELECT count(flex_outbox_cancel(id)) FROM flex_outbox WHERE id > $first + 100 AND ordering_key = 'held'", 1800), $MANY - 100, 'most of them are cancelled');
$session->value("SELECT flex_outbox_cancel($first)");
drain();
is(join(' ', sent()), join(' ', map { "held $_" } 1 .. 100), '... and the others sent, in order');
nothing_is_left();

# One key, of which an old snapshot keeps all that was sent.
my $old = FlexApi::Session->new($node);
$old->value($_) foreach 'BEGIN ISOLATION LEVEL REPEATABLE READ', 'SELECT count(*) FROM flex_outbox';
enqueue($ONE_KEY, "'one'", 'n::text');
drain();
is(join(' ', sent()), join(' ', 1 .. $ONE_KEY), "$ONE_KEY requests of one key, and an old snapshot: all are sent, in order");

$node->stop('fast');
done_testing;
