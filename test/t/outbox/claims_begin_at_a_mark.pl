# From where on claims are live is kept, so that a new sender does not read all that an old
# snapshot keeps of earlier ones; and what a sender that is gone has claimed is found all the same,
# also in a transaction that the mark has passed.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('claims', $simulator, 'fsync = off', "flex_api.rate_limits = 'none'");
my $session = FlexApi::Session->new($node);
my $OPERATION = 'flex_provisioning_status_fetch';
$session->value('SET client_min_messages = error');

sub enqueue { my ($count, $more) = @_; return $session->value("SELECT max(flex_enqueue('$OPERATION', '{}'$more)) FROM generate_series(1, $count)"); }
sub mark { my ($what) = @_; return $session->value("SELECT $what FROM flex_outbox_marks WHERE lane = 0"); }

# Pages of claims that have been read.
sub pages
{
	return $session->value(q{SELECT heap_blks_read + heap_blks_hit + coalesce(idx_blks_read + idx_blks_hit, 0)
		FROM pg_statio_all_tables WHERE relname = 'flex_outbox_claims'});
}

# Drain in a session that knows no mark yet, some at a time; returns the pages of claims that it has read.
sub drain
{
	my ($concurrency) = @_;
	my $drain = FlexApi::Session->new($node);
	my $before = pages();

	$drain->value("SET client_min_messages = error; SET flex_api.concurrency = $concurrency");
	$drain->value('CALL flex_outbox_drain()');
	$drain->value('SELECT pg_stat_force_next_flush()');
	$drain->close;
	return pages() - $before;
}

is(mark('xid::text || holes::text'), '0{}', 'at first nothing is known');
enqueue(1, '');
my $few = drain(1);
my $old = FlexApi::Session->new($node);
$old->value($_) foreach 'BEGIN ISOLATION LEVEL REPEATABLE READ', 'SELECT count(*) FROM pg_class';
enqueue(1000, '');
drain(1);
cmp_ok(mark('xid::text'), '>', 0, '... writes where claims begin');
enqueue(1, '');
cmp_ok(drain(1), '<=', $few + 10, 'a new one does not read a thousand claims that an old snapshot keeps');
$old->value('ROLLBACK');

# A sender that takes long to commit its claim, and is gone then.
my $id = enqueue(1, ", run_at => now() + interval '1 day'");
my $slow = FlexApi::Session->new($node);
$slow->value('BEGIN');
my $xid = $slow->value('SELECT pg_current_xact_id()');
ok(FlexApi::wait_until(sub {
	$simulator->post('faults', { delay_ms => 20, times => 30 });
	enqueue(30, '');
	drain(1);
	return mark("xid > '$xid' AND holes = '{$xid}'") eq 't';
}), 'the mark goes past its transaction, which is a hole');
$slow->value("DELETE FROM flex_outbox_later WHERE id = $id");
$slow->value("INSERT INTO flex_outbox_claims (id, sender_pid, sender_start, requests, turns, enqueued_xids)
	SELECT pg_current_xact_id(), 0, '-infinity', ARRAY[id], ARRAY[1], ARRAY[enqueued_xid] FROM flex_outbox_requests WHERE id = $id");
$slow->value('COMMIT');
is($session->value("SELECT state FROM flex_outbox WHERE id = $id"), 'sending', 'nothing but the claim tells of a request');
ok(FlexApi::wait_until(sub { drain(1); return $session->value("SELECT state FROM flex_outbox WHERE id = $id") ne 'sending' }),
	'... which the next sender takes over');
is($session->value('SELECT count(*) FROM flex_outbox_claims'), 0, 'no claim is left');
enqueue(30, '');
drain(1);
is(mark("xid > '$xid' AND holes = '{}'"), 't', 'the hole is gone');

$node->stop('fast');
done_testing;
