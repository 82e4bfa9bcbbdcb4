# What is written for a request from its enqueueing to its end: one new version of its row,
# which no index learns of, and at most 1.2 kB of WAL without page images, for 110 bytes of
# arguments and 90 of answer.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $COUNT = 4000;
my $TABLE = 'flex_outbox_requests';

my $server = FlexApi::Server->new(sub {
	my ($connection) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		print $connection FlexApi::Server::answer('{"conversation_sid": "CH' . 'a' x 32 . '", "identity": "' . 'i' x 29 . '"}', '201 Created') or return;
	}
});
my $node = FlexApi::node('writes', $server, 'full_page_writes = off', 'autovacuum = off', 'fsync = off', "flex_api.rate_limits = 'none'");
my $session = FlexApi::Session->new($node);
$session->value($_) for 'SET flex_api.concurrency = 50', 'SET client_min_messages = error';

sub lsn { return $session->value('SELECT pg_current_wal_insert_lsn()'); }
sub bytes_since { my ($lsn) = @_; return $session->value("SELECT pg_current_wal_insert_lsn() - '$lsn'::pg_lsn"); }

# Enqueue so many; WAL per request.
sub enqueue
{
	my ($count) = @_;
	my $lsn = lsn();
	$session->value("SELECT count(flex_enqueue('flex_webchat_create', jsonb_build_object('address_sid', 'IG' || md5(g::text), 'identity', 'customer ' || g,
		'pre_engagement_data', 'x')))
		FROM generate_series(1, $count) AS g");
	return bytes_since($lsn) / $count;
}

sub drain
{
	my ($count) = @_;
	my $lsn = lsn();
	$session->value('CALL flex_outbox_drain()');
	return bytes_since($lsn) / $count;
}

sub updates { return $session->query("SELECT pg_stat_force_next_flush(), n_tup_upd, n_tup_hot_upd FROM pg_stat_all_tables WHERE relid = '$TABLE'::regclass")->{rows}->[0]; }

enqueue(10);
drain(10);
my $before;
ok(FlexApi::wait_until(sub { $before = updates(); return $before->[1] >= 10; }), 'the server counts');
my $enqueued = enqueue($COUNT);
my $sent = drain($COUNT);
is($session->value("SELECT count(*) FROM flex_outbox WHERE state = 'succeeded' AND attempts = 1"), $COUNT + 10, 'all are sent');
my ($updates, $hot);
ok(FlexApi::wait_until(sub {
	my $after = updates();
	($updates, $hot) = ($after->[1] - $before->[1], $after->[2] - $before->[2]);
	return $updates >= $COUNT;
}), 'the server has counted');
is($updates, $COUNT, 'each was updated once');
is($hot, $COUNT, '... and no index was told');
cmp_ok($enqueued + $sent, '<=', 1200, sprintf('%d bytes of WAL to enqueue a request, %d to send it', $enqueued, $sent));

$node->stop('fast');
done_testing();
