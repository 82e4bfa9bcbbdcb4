# A sender plans each statement once, perhaps when the outbox's tables have just been vacuumed and are almost
# empty.  With these plans it reads about as many rows as with plans that are made when many requests wait, and
# with neither does it read all that waits, again and again, to find a few rows.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $MUCH = 600;  # requests of each kind that wait
my $ROUNDS = 12; # in each of which a little is done
# What lets requests be claimed and settled by SQL statements, as in every_end_by_statements.pl
my $ALTERED = 'ALTER TABLE flex_outbox_requests ADD CONSTRAINT nothing CHECK (true)';

# What has to be read in each round, or else the work has not been done
my @NECESSARY = map { "flex_outbox_$_" } qw(callbacks_due callbacks_pkey claims_pkey expiring_pkey freed_keys_pkey fresh later_pkey leftovers_again
	marks_pkey ordered_pkey requests_pkey);
# What may be read as a whole from time to time: to count, to add up, to sweep, to look back
my %MAY_BE_READ = map { ("flex_outbox_$_" => 1) } qw(counts later later_pkey ordered_pkey requests_pkey);

my $simulator = FlexApi::Simulator->new('--threads', 4);
my $reader;            # a session that only looks and prepares
my %read;              # what was read by all that is counted: entries of indexes, and rows of scans without an index
my $quota = 1_000_000; # each time another one

sub open_session
{
	my ($node) = @_;
	my $session = FlexApi::Session->new($node);

	$session->value('SET client_min_messages = error');
	return $session;
}

# What is read so far; what the reader itself has read is shown first, so that it counts for nobody.
sub read_so_far
{
	$reader->value('SELECT pg_stat_force_next_flush()');
	return { map { @$_ } @{ $reader->query(q{SELECT indexrelname, idx_tup_read FROM pg_stat_user_indexes WHERE relname LIKE 'flex_outbox%'
		UNION ALL SELECT relname, seq_tup_read FROM pg_stat_user_tables WHERE relname LIKE 'flex_outbox%'})->{rows} } };
}

# Execute a statement in a session that sends, and count what it reads.
sub execute
{
	my ($session, $statement) = @_;
	my $before = read_so_far();

	$session->value($_) foreach $statement, 'SELECT pg_stat_force_next_flush()';
	my $after = read_so_far();
	$read{$_} += $after->{$_} - $before->{$_} foreach keys %$after;
	return;
}

# Enqueue fetches of what does not exist, with the given further arguments, in which n is the number of each.
sub enqueue
{
	my ($session, $count, $more) = @_;
	my $fetch = q{'flex_channel_fetch', jsonb_build_object('sid', 'CH' || repeat('a', 32))};

	execute($session, "SELECT count(flex_enqueue($fetch, $more)) FROM generate_series(1, $count) AS n");
	return;
}

# What waits and stays: for a time, for another request of its key, for its expiry, for its callback, for its deletion.
sub enqueue_what_stays
{
	my ($session, $count) = @_;

	enqueue($session, $count, q{run_at => now() + interval '2 days', expires_at => now() + interval '3 days'});
	enqueue($session, $count, q{run_at => now() + interval '2 days', ordering_key => 'first ' || n});
	enqueue($session, 1, q{run_at => now() + interval '2 days', ordering_key => 'one'});
	enqueue($session, $count, q{ordering_key => 'one'});
	enqueue($session, $count, q{on_failure => 'fails'});
	enqueue($session, 1, q{on_failure => 'fails', ordering_key => 'held'});
	enqueue($session, $count, q{expires_at => now() + interval '3 days'});
	enqueue($session, $count, q{run_at => now() + interval '2 days', priority => n::integer % 60});
	return;
}

# What a drain brings to its end.
sub enqueue_what_ends
{
	my ($session, $count) = @_;

	enqueue($session, $count, q{ordering_key => 'a'});
	enqueue($session, 1, q{ordering_key => 'held'});
	enqueue($session, $count, q{ordering_key => 'b' || n, on_failure => 'called'});
	enqueue($session, $count, q{ordering_key => 'b' || n});
	enqueue($session, $count, q{ordering_key => 'c' || n, expires_at => '2020-01-01'});
	enqueue($session, $count, q{expires_at => '2020-01-01', on_failure => 'called'});
	enqueue($session, $count, q{run_at => clock_timestamp() + interval '1 ms'});
	enqueue($session, 2 * $count, q{run_at => now() + interval '1 day'});
	return;
}

# Requests that senders had claimed which no longer exist, one each.
sub enqueue_orphans
{
	my ($session, $count) = @_;

	foreach (1 .. $count)
	{
		enqueue($session, 1, 'priority => 2');
		$reader->value(q{INSERT INTO flex_outbox_claims (id, sender_pid, sender_start, claimed_at, requests, turns, enqueued_xids)
			SELECT pg_current_xact_id(), 0, '2020-01-01', now(), ARRAY[id], ARRAY[1], ARRAY[enqueued_xid]
			FROM flex_outbox_requests ORDER BY id DESC LIMIT 1});
	}
	return;
}

# Make some of what waits for tomorrow due, and cancel some of it.
sub decide
{
	my ($session, $count) = @_;

	foreach my $decision (qw(retry cancel))
	{
		my $ids = $reader->value("SELECT coalesce(array_agg(id), '{}') FROM (SELECT id FROM flex_outbox_requests WHERE state = 'pending'
			AND run_at > now() + interval '1 hour' AND run_at < now() + interval '2 days' - interval '1 hour' LIMIT ($count + 1) / 2) AS r");

		execute($session, "SELECT count(flex_outbox_$decision(id)) FROM unnest('$ids'::bigint[]) AS id");
	}
	return;
}

# Make all that has ended old enough to be deleted, and some of what was set aside due.
sub grow_old
{
	$reader->value($_) foreach q{UPDATE flex_outbox_requests SET finished_at = finished_at - interval '10 days',
			enqueued_at = enqueued_at - interval '10 days' WHERE enqueued_at > now() - interval '1 day'},
		'UPDATE flex_outbox_leftovers SET again_at = now() WHERE id IN (SELECT id FROM flex_outbox_leftovers ORDER BY id LIMIT 5)';
	return;
}

# A little of all that senders and sessions do.  A new quota lets the waiting requests be counted.
sub work
{
	my ($session, $count) = @_;
	my $drain = 'CALL flex_outbox_drain()';

	$simulator->post('faults', { path => '/v1/Channels/*', status => 503, retry_after => '0', times => 2 });
	enqueue_what_ends($session, $count);
	enqueue_orphans($session, $count);
	execute($session, $drain);
	decide($session, $count);
	grow_old();
	execute($session, $drain);
	$session->value('SET flex_api.outbox_quota = ' . ++$quota);
	enqueue($session, 1, 'priority => 1');
	return;
}

# What is read in some rounds of work.
sub measure
{
	my ($session) = @_;

	%read = ();
	work($session, 4) foreach 1 .. $ROUNDS;
	return {%read};
}

# What waits for its callback waits on, and does not fail again meanwhile.
sub put_callbacks_off { $reader->value(q{UPDATE flex_outbox_callbacks SET due_at = now() + interval '1 day'}); return; }

# Compare plans that are made when there are few requests of each kind with those that are made when there are many.
sub compare
{
	my ($name, $few, $alteration) = @_;

	local $FlexApi::ALTERATION = $alteration // '';
	my $node = FlexApi::node($name, $simulator, "flex_api.rate_limits = 'none'", "flex_api.outbox_keep = 'identifiers'",
		"flex_api.outbox_retention = '5d'", 'flex_api.concurrency = 20', 'fsync = off', 'autovacuum = off');

	$reader = open_session($node);
	$reader->value($_) foreach 'CREATE TABLE called (id bigint)',
		'CREATE FUNCTION called(r flex_outbox) RETURNS void LANGUAGE sql AS $$ INSERT INTO public.called VALUES (r.id) $$',
		'CREATE FUNCTION fails(r flex_outbox) RETURNS void LANGUAGE sql AS $$ SELECT 1 / 0 $$';
	my $early = open_session($node);
	work($early, $few);
	enqueue_what_stays($early, $few);
	$reader->value('VACUUM (ANALYZE)');
	work($early, $few);
	enqueue_what_stays($early, $MUCH);
	execute($early, 'CALL flex_outbox_drain()');
	put_callbacks_off();
	work($early, 1);
	my $by_early = measure($early);

	$reader->value('VACUUM (ANALYZE)');
	my $by_late = measure(open_session($node));

	cmp_ok($by_early->{$_}, '>=', $ROUNDS, "$name: $_ was read") foreach @NECESSARY;
	foreach my $what (sort keys %$by_early)
	{
		my ($early_read, $late_read) = ($by_early->{$what}, $by_late->{$what});

		cmp_ok($early_read, '<', 3 * $late_read + $MUCH, "$name: of $what the early plans read $early_read, the late ones $late_read");
		cmp_ok($late_read, '<', 3 * $early_read + $MUCH, '... nor the other way round much more');
		next if $MAY_BE_READ{$what};
		cmp_ok($_, '<', $ROUNDS * $MUCH, '... and not all of it in each round') foreach $early_read, $late_read;
	}
	$node->stop('fast');
	return;
}

compare('one', 1);
compare('five', 5);
compare('altered', 1, $ALTERED);
done_testing();
