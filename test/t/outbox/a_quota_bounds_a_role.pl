# flex_api.outbox_quota: how many requests of a role may wait.  Whatever they wait for they count; what has
# been sent, or was rolled back, does not.  It is for superusers to raise, binds all of a role's sessions
# together, and costs an enqueue no look at the rows.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $QUOTA = 100;
my $simulator = FlexApi::Simulator->new;
my $CALL = q{flex_enqueue('flex_provisioning_status_fetch', '{}'};

foreach my $preloaded (1, 0)
{
	my $where = $preloaded ? 'preloaded' : 'not preloaded';
	my $node = FlexApi::node("quota$preloaded", $simulator, "flex_api.rate_limits = 'none'", 'fsync = off', 'autovacuum = off', 'flex_api.delivery = off',
		'max_prepared_transactions = 5', $preloaded ? "shared_preload_libraries = 'flex_api'" : ());
	my $admin = FlexApi::Session->new($node);

	$admin->value($_) foreach 'SET client_min_messages = error', 'SET flex_api.delivery = on', (map { "CREATE ROLE $_ LOGIN" } qw(alice bob carol dave one two three five)),
		'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO alice, bob, carol, dave, one, two, three, five', "ALTER ROLE alice SET flex_api.outbox_quota = $QUOTA";
	my $session = sub {
		my ($user) = @_;
		my $new = FlexApi::Session->new($node, user => $user);

		# Loads the library.
		$new->value($_) foreach 'SET client_min_messages = error', 'SELECT count(*) FROM flex_operations()';
		return $new;
	};
	my $alice = $session->('alice');
	my $enqueue = sub { my ($in, $count, $more) = @_; return $in->sqlstate("SELECT count($CALL" . ($more // '') . ")) FROM generate_series(1, $count)"); };
	my $pending = sub { return $admin->value("SELECT count(*) FROM flex_outbox WHERE state = 'pending' AND enqueued_by = 'alice'"); };
	# All that waits is sent; what was refused for being at the quota is not for long.
	my $drain = sub {
		$admin->value('CALL flex_outbox_drain()', 300);
		return FlexApi::wait_until(sub { $enqueue->($alice, 1) eq '00000' }) && $admin->sqlstate('CALL flex_outbox_drain()') eq '00000';
	};

	# Whose it is to set
	is($alice->sqlstate($_), '42501', "$where: a role may not: $_")
		foreach 'SET flex_api.outbox_quota = 1000', 'RESET flex_api.outbox_quota', 'ALTER ROLE alice SET flex_api.outbox_quota = 1000';
	is($alice->value('SHOW flex_api.outbox_quota'), $QUOTA, '... and has what it was given');
	my $early = FlexApi::Session->new($node, user => 'alice');
	$early->query($_) foreach 'SET client_min_messages = error', 'SET flex_api.outbox_quota = 1000', 'SELECT count(*) FROM flex_operations()';
	is($early->value('SHOW flex_api.outbox_quota'), $QUOTA, '... also where it was set before the library was loaded');

	# Each kind counts, once
	my $far = q{, run_at => now() + interval '1 day'};
	is($enqueue->($alice, 20, $_), '00000', 'some are enqueued') foreach '', $far, q{, ordering_key => 'k'}, qq{, ordering_key => 'later'$far};
	is($enqueue->($session->('alice'), 19, ', priority => 7'), '00000', 'others by another session');
	my $last = $session->('alice');
	is($last->value("SELECT $CALL, unique_key => 'u') > 0"), 't', 'the last one may still be');
	is($pending->(), $QUOTA, '... as many as may wait');
	my $error = $last->query("SELECT $CALL)")->{error};
	is("$error->{C} $error->{M}", '53400 role "alice" has too many requests in the Flex API outbox', '... one more is refused');
	is($error->{D}, "It would have @{[ $QUOTA + 1 ]} that wait to be sent; flex_api.outbox_quota is $QUOTA.", '... with how many there are');
	my $lowered = FlexApi::Session->new($node);
	$lowered->value($_) foreach 'SET client_min_messages = error', 'SET flex_api.outbox_quota = 10', 'SET ROLE alice';
	like($lowered->query("SELECT $CALL)")->{error}->{D}, qr/^(More than 10 of its requests|It would have 101 that) wait to be sent; flex_api\.outbox_quota is 10\.$/,
		'... or, where no more are counted than may be, that there are more');
	$lowered->close;
	like($error->{H}, qr/ALTER ROLE \.\.\. SET flex_api\.outbox_quota/, '... and what can be done');
	is($_->sqlstate(q{SELECT flex_enqueue_many('flex_provisioning_status_fetch', ARRAY['{}', '{}']::jsonb[])}), '53400', '... and many') foreach $alice, $last, $session->('alice');
	is($enqueue->($session->('alice'), 1), '53400', '... by a new session, too');
	is($last->value("SELECT count($CALL, unique_key => 'u'))"), 1, '... one that is there already is found');
	is($pending->(), $QUOTA, '... none is left of them');
	is($enqueue->($session->($_), 2), '00000', "$_ may enqueue") foreach 'bob', 'carol';

	# What is to be sent again counts as what is new does; what has been sent, or is cancelled, does not
	$simulator->post('faults', { times => 100_000, status => 503 });
	$admin->value('CALL flex_outbox_drain()', 300);
	$simulator->clear_faults;
	is($pending->(), $QUOTA, 'nothing could be sent');
	is($enqueue->($session->('alice'), 1), '53400', '... all of it counts');
	$admin->value($_) foreach 'UPDATE flex_outbox_later SET due_at = now() WHERE due_at > now()', q{UPDATE flex_outbox_requests SET run_at = now() WHERE state = 'pending'};
	ok($drain->(), '... when it has been sent it does not');
	is($pending->(), 0, '... for nothing waits');
	ok(FlexApi::wait_until(sub { $enqueue->($session->('alice'), $QUOTA) eq '00000' }), 'others are enqueued');
	is($enqueue->($session->('alice'), 1), '53400', '... as many as may be');
	$admin->value(q{SELECT count(flex_outbox_cancel(id)) FROM flex_outbox WHERE state = 'pending' AND enqueued_by = 'alice'});
	ok($drain->(), '... what is cancelled does not count');

	# What is retried waits again.
	ok(FlexApi::wait_until(sub { $enqueue->($alice, 60) eq '00000' }), 'some are enqueued');
	my $cancelled = $alice->value(q{SELECT array_agg(id) FROM flex_outbox WHERE state = 'pending'});
	$alice->value("SELECT count(flex_outbox_cancel(id)) FROM unnest('$cancelled'::bigint[]) AS id");
	ok(FlexApi::wait_until(sub { $enqueue->($alice, 60) eq '00000' }), '... cancelled, they make place for others');
	is($alice->value("SELECT count(flex_outbox_retry(id)) FROM unnest('$cancelled'::bigint[]) AS id"), 60, '... and are retried');
	is($enqueue->($alice, 30), '53400', '... so that there is place for no more');
	ok($drain->(), '... they are sent');

	# Transactions: one that is rolled back, one that commits late, savepoints, a prepared one
	my $begin = sub {
		my ($in, $count) = @_;

		return FlexApi::wait_until(sub {
			$in->value('BEGIN');
			return 1 if $enqueue->($in, $count) eq '00000';
			$in->value('ROLLBACK');
			return 0;
		});
	};
	ok($begin->($alice, $QUOTA), 'a transaction enqueues what it may');
	is($enqueue->($alice, 1), '53400', '... and no more');
	$alice->value('ROLLBACK');
	ok(FlexApi::wait_until(sub { $enqueue->($alice, 60) eq '00000' }), '... rolled back it counts for nothing');
	ok($drain->(), '... they are sent');
	foreach my $end ('COMMIT', "PREPARE TRANSACTION 'p'")
	{
		my $open = $session->('alice');
		ok($begin->($open, 40), 'a transaction enqueues some');
		is($enqueue->($session->('alice'), 40), '00000', '... another, others');
		my $third = $session->('alice');
		is(scalar(grep { !FlexApi::wait_until(sub { $enqueue->($third, 1) eq '00000' }) } 1 .. 25), 0, '... and a third, that counts and does not see the first');
		$open->value($end);
		$admin->value("COMMIT PREPARED 'p'") if $end ne 'COMMIT';
		is($enqueue->($session->('alice'), 1), '53400', "... all count after $end");
		ok($drain->(), '... they are sent');
	}

	# Many sessions at once
	my @sessions = map { $session->('alice') } 1 .. 6;
	is($enqueue->($_, 1), '00000', 'a session') foreach @sessions;
	$_->send_query("DO \$\$ BEGIN FOR i IN 1 .. $QUOTA LOOP PERFORM $CALL); COMMIT; END LOOP; END \$\$") foreach @sessions;
	is(join(' ', map { ($_->receive(120)->{error} // { C => 'none' })->{C} } @sessions), join(' ', ('53400') x @sessions), 'all are refused some');
	# A count sees none of what others have under way, and each of them has one by then, and one that it begins meanwhile.
	cmp_ok($pending->(), '<=', $QUOTA + 2 * @sessions, '... together they have not many more than they may');
	cmp_ok($pending->(), '>=', $QUOTA / 2, '... and what they may');
	ok($drain->(), '... they are sent');

	# One that commits while another counts, which does not see it.  The count has its snapshot before it waits for a table.
	if ($preloaded)
	{
		my ($open, $locker) = ($session->('alice'), FlexApi::Session->new($node));
		ok($begin->($open, 80), 'a transaction enqueues some');
		# A quota that nobody has counted up to: it is counted at once.
		$admin->value("ALTER ROLE alice SET flex_api.outbox_quota = @{[ $QUOTA + 1 ]}");
		my $counting = $session->('alice');
		my $pid = $counting->value('SELECT pg_backend_pid()');
		$locker->value('BEGIN; LOCK TABLE flex_outbox_marks IN ACCESS EXCLUSIVE MODE');
		$counting->send_query("SELECT $CALL)");
		ok($node->poll_query_until('postgres', qq{SELECT count(*) = 1 FROM pg_locks WHERE relation = 'flex_outbox_marks'::regclass AND NOT granted AND pid = $pid}),
			'another counts, and waits');
		$open->value('COMMIT');
		$locker->value('ROLLBACK');
		is($counting->receive->{error}, undef, '... and goes on when it has been committed');
		is($enqueue->($session->('alice'), 30), '53400', '... what was committed counts all the same');
		is($pending->(), 81, '... so that no more are there than may be');
		$admin->value("ALTER ROLE alice SET flex_api.outbox_quota = $QUOTA");
		ok($drain->(), '... they are sent');

		# The same, of a transaction that has enqueued as several roles
		my $several = FlexApi::Session->new($node);
		$several->value($_) foreach 'SET client_min_messages = error', "SET flex_api.outbox_quota = $QUOTA", 'BEGIN', map { ("SET ROLE $_", "SELECT count($CALL)) FROM generate_series(1, 60)") } qw(one two three alice five);
		$admin->value("ALTER ROLE alice SET flex_api.outbox_quota = @{[ $QUOTA + 2 ]}");
		is($enqueue->($session->('alice'), 30), '00000', 'one that does not see what several roles have enqueued counts');
		$several->value('COMMIT');
		is($enqueue->($session->('alice'), 30), '53400', '... it is counted when it has been committed');
		$admin->value("ALTER ROLE alice SET flex_api.outbox_quota = $QUOTA");
		ok($drain->(), '... they are sent');
	}

	# What is parked in a mixed lane, because its operation is paused, counts once, also while the lane's mark is before it.
	$admin->value($_) foreach "SET flex_api.rate_limits = 'flex_flow_fetch=0'", 'SET ROLE dave', "SELECT count($CALL, priority => g - 1000)) FROM generate_series(1, 1000) AS g",
		q{SELECT count(flex_enqueue('flex_flow_fetch', '{"sid": "FO00000000000000000000000000000001"}')) FROM generate_series(1, 60)}, 'RESET ROLE', 'CALL flex_outbox_drain()';
	my $parked = q{FROM flex_outbox_later AS w JOIN flex_outbox_lanes AS l ON l.id = w.lane WHERE l.operation = ''};
	is($admin->value("SELECT count(*) $parked"), 60, 'some are parked');
	foreach my $mark ("xid = '0', id = 0", q{xid = '18446744073709551614'}, "xid = pg_current_xact_id(), holes = (SELECT array_agg(DISTINCT enqueued_xid) FROM flex_outbox_requests)")
	{
		$admin->value("UPDATE flex_outbox_marks SET $mark WHERE lane IN (SELECT w.lane $parked)");
		$admin->value("ALTER ROLE dave SET flex_api.outbox_quota = $_") foreach $QUOTA - 1, $QUOTA;
		my $dave = $session->('dave');
		is($enqueue->($dave, 41), '53400', '... no more may wait with them than may be');
		$dave->value('BEGIN');
		ok(FlexApi::wait_until(sub { $dave->value('ROLLBACK; BEGIN'); return $enqueue->($dave, 40) eq '00000'; }, 5 * FlexApi::slowness()), "... but as many ($mark)");
		$dave->value('ROLLBACK');
		$dave->close;
	}
	$admin->value($_) foreach 'RESET flex_api.rate_limits', q{SELECT count(flex_outbox_cancel(id)) FROM flex_outbox WHERE state = 'pending' AND enqueued_by = 'dave'};

	# Other values, and superusers
	$admin->value('ALTER ROLE alice SET flex_api.outbox_quota = 0');
	is($enqueue->($session->('alice'), 1), '53400', 'with 0 it may enqueue none');
	$admin->value('ALTER ROLE alice SET flex_api.outbox_quota = -1');
	is($enqueue->($session->('alice'), 2 * $QUOTA), '00000', 'with -1 as many as it likes');
	$admin->value("ALTER ROLE alice SET flex_api.outbox_quota = @{[ 2 * $QUOTA + 1 ]}");
	is($enqueue->($session->('alice'), 1), '00000', 'with a higher one some');
	is($enqueue->($session->('alice'), 1), '53400', '... up to that');
	$admin->value('SET flex_api.outbox_quota = 3');
	is($enqueue->($admin, 4), '53400', 'a superuser is bound by it');
	$admin->value('SET flex_api.outbox_quota = 5');
	is($enqueue->($admin, 4), '00000', '... and may raise it');

	# No look at the rows for each
	my $carol = $session->('carol');
	is($enqueue->($carol, 1), '00000', 'a session has enqueued one');
	my $scans = sub {
		$carol->value('SELECT pg_stat_force_next_flush()');
		return $carol->value(q{SELECT seq_scan + idx_scan FROM pg_stat_all_tables WHERE relid = 'flex_outbox_marks'::regclass});
	};
	my $before = $scans->();
	is($enqueue->($carol, 500), '00000', '... and many more');
	is($scans->() - $before, 0, '... without a look at what waits');
	$node->stop('fast');
}

done_testing;
