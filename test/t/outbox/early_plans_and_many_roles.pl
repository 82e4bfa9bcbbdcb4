# A sender that has planned its statements when one role had used the outbox reads, when many roles
# have done so, a few index entries per role: to keep the roles' names, and to see whose callbacks are due.

use strict;
use warnings;

use FlexApi;
use Test::More;

my $ROLES = 80;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('roles', $simulator, "flex_api.rate_limits = 'none'", 'autovacuum = off');
my $super = FlexApi::Session->new($node);

# Index entries, and rows of scans without an index, that the roles' tables and the callbacks have been read.
sub read_so_far
{
	$super->value('SELECT pg_stat_force_next_flush()');
	return $super->value(q{SELECT sum(seq_tup_read) + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes AS i WHERE i.relname ~ names)
		FROM pg_stat_user_tables, (VALUES ('^flex_outbox_(roles|role_oids|callbacks)$')) AS tables (names) WHERE relname ~ names GROUP BY names});
}

# What a session reads of these tables in a drain.
sub drain
{
	my ($session) = @_;
	my $before = read_so_far();

	$session->value($_) foreach 'CALL flex_outbox_drain()', 'SELECT pg_stat_force_next_flush()';
	return read_so_far() - $before;
}

# A callback that waits for its next try, as a role.
sub leave_a_callback
{
	my ($role) = @_;

	$super->value($_) foreach "SET ROLE $role",
		q{SELECT flex_enqueue('flex_channel_fetch', jsonb_build_object('sid', 'CH' || repeat('a', 32)), on_failure => 'fails')}, 'RESET ROLE';
	return;
}

$super->value($_) foreach 'SET client_min_messages = error', 'GRANT EXECUTE ON FUNCTION flex_enqueue, flex_channel_fetch TO PUBLIC',
	q{CREATE FUNCTION fails(r flex_outbox) RETURNS void LANGUAGE sql AS 'SELECT 1 / 0'}, 'CREATE ROLE r0';
leave_a_callback('r0');
my $early = FlexApi::Session->new($node);
$early->value('SET client_min_messages = error');
$super->value('VACUUM (ANALYZE)');
drain($early);

foreach my $number (1 .. $ROLES)
{
	$super->value("CREATE ROLE r$number");
	leave_a_callback("r$number");
}
drain($early);
is($super->value('SELECT count(*) FROM flex_outbox_callbacks WHERE attempts > 0'), $ROLES + 1, 'each role has a callback that waits for its next try');
$super->value('ALTER ROLE r7 RENAME TO renamed');
$super->value('DELETE FROM flex_outbox_requests WHERE role_id = (SELECT id FROM flex_outbox_roles WHERE name = \'r8\')');
$super->value('DROP ROLE r8');
# As after a restore in another cluster: a number that its role has yet to take
$super->value(q{DELETE FROM flex_outbox_role_oids WHERE role = 'r9'::regrole});
$super->value(q{UPDATE flex_outbox_callbacks SET due_at = now() + interval '1 day'});
my $read = drain($early);

cmp_ok($read, '<', 20 * $ROLES, "a drain reads $read entries and rows, a few per role");
is($super->value(q{SELECT string_agg(name, ' ' ORDER BY name) FROM flex_outbox_roles WHERE name IN ('r7', 'renamed', 'r8', 'r9')}), 'r9 renamed',
	'names follow their roles');
is($super->value('SELECT count(*) FROM flex_outbox_roles WHERE name IS NULL'), 1, '... and that of a dropped role is NULL');
is($super->value(q{SELECT count(*) FROM flex_outbox_role_oids AS m JOIN flex_outbox_roles AS r USING (id) WHERE m.role = 'r9'::regrole AND r.name = 'r9'}), 1,
	'a number is taken by the role of its name');
$node->stop('fast');
done_testing();
