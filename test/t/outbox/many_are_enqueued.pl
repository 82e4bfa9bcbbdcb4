# flex_enqueue_many(): a set of requests in one call.  Each is what flex_enqueue() would have left, the
# ids are in the order of the arguments, and none is left where one is wrong.

use strict;
use warnings;

use FindBin;
use lib 'test/perl', "$FindBin::RealBin/../../crash";
use FlexApi;
use Outbox;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
# Shared memory that a session touches counts as its own.
my $node = FlexApi::node('many', $simulator, "flex_api.rate_limits = 'none'", "shared_buffers = '8MB'");
my $session = FlexApi::Session->new($node);
my $ADDRESS = 'IG' . 'a' x 32;
my $COLUMNS = 'operation, arguments, context, state, priority, attempts, max_attempts, unique_key, on_success, on_failure, account_sid,
	enqueued_by, enqueued_role, enqueued_in, may_be_done, role_id, enqueued_xid, on_success_owner, on_failure_owner, lane, turn';

sub arguments { my (@names) = @_; return 'ARRAY[' . join(', ', map { qq{'{"address_sid": "$ADDRESS", "identity": "$_"}'} } @names) . ']::jsonb[]'; }
sub many { my ($arguments, $more) = @_; return "flex_enqueue_many('flex_webchat_create', $arguments" . ($more ? ", $more" : '') . ')'; }
sub ids { my ($what) = @_; return join ' ', map { $_ // 'NULL' } map { @$_ } @{ $session->query("SELECT unnest($what)")->{rows} }; }
sub count { return $session->value('SELECT count(*) FROM flex_outbox_requests'); }

$session->value($_) foreach 'SET client_min_messages = error', 'CREATE ROLE alice', 'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO alice',
	'CREATE FUNCTION tell(r flex_outbox) RETURNS void LANGUAGE sql AS $$ $$';

# As by flex_enqueue()
my $more = "on_success => 'tell', priority => 7, max_attempts => 3";
$session->value('BEGIN');
my $one = $session->value('SELECT ' . chat('same', "to_jsonb(1), unique_key => 'one', $more"));
my $ids = $session->value('SELECT (' . many(arguments('same'), "ARRAY['1']::jsonb[], unique_keys => ARRAY['many'], $more") . ')[1]');
$session->value('COMMIT');
my $rows = $session->query("SELECT $COLUMNS FROM flex_outbox_requests ORDER BY id")->{rows};
$rows->[1]->[7] = 'one';
is_deeply($rows->[1], $rows->[0], 'the row is that of flex_enqueue()');
cmp_ok($ids, '>', $one, '... but for its id');

# Order, and what is NULL
$session->value('TRUNCATE flex_outbox_requests');
my @names = map { "name$_" } 1 .. 500;
my @ids = split / /, ids(many(arguments(@names)));
is(join(' ', map { $session->value("SELECT arguments ->> 'identity' FROM flex_outbox WHERE id = $_") } @ids[ 0, 1, 250, 499 ]), 'name1 name2 name251 name500', 'ids are in order');
is(count(), 500, '... all are there');
is(ids(many("'{}'")), '', 'none is none');
is($session->value('SELECT ' . many('(SELECT array_agg(x) FROM (SELECT \'{}\'::jsonb WHERE false) AS t(x))')), '{}', '... as is what array_agg makes of no rows');
is(ids(many(arguments('a', 'b'), "ARRAY[NULL, '{\"n\": 1}']::jsonb[]")), join(' ', $ids[-1] + 1, $ids[-1] + 2), 'a context may be NULL');
is($session->value('SELECT string_agg(coalesce(context::text, \'-\'), \' \' ORDER BY id) FROM flex_outbox WHERE id > ' . $ids[-1]), '- {"n": 1}', '... each has its own');

# Unique keys: those that are there, also in the call itself
$session->value('TRUNCATE flex_outbox_requests');
my $there = enqueue($session, 'there', "unique_key => 'k2'");
my @keyed = split / /, ids(many(arguments('a', 'b', 'c', 'd'), "unique_keys => ARRAY['k1', 'k2', NULL, 'k1']"));
is($keyed[1], $there, 'a key that is there: its id');
is($keyed[3], $keyed[0], '... also one of the same call');
is(count(), 3, '... none is there twice');

# Ordering keys: one for each, or none
$session->value('TRUNCATE flex_outbox_requests, flex_outbox_ordered');
my @ordered = split / /, ids(many(arguments('a1', 'b1', 'a2', 'free', 'b2'), "ordering_keys => ARRAY['a', 'b', 'a', NULL, 'b']"));
is($session->value("SELECT string_agg(coalesce(ordering_key, '-'), ' ' ORDER BY id) FROM flex_outbox"), 'a b a - b', 'each has its own ordering key');
is($session->value("SELECT string_agg(coalesce(waits_for::text, '-'), ' ' ORDER BY id) FROM flex_outbox"), "- - $ordered[0] - $ordered[1]", '... and waits for the one before of that key');
my ($again) = split / /, ids(many(arguments('c'), "unique_keys => ARRAY['c'], ordering_keys => ARRAY['c']"));
is(ids(many(arguments('c'), "unique_keys => ARRAY['c'], ordering_keys => ARRAY['c']")), $again, 'a request that is there by its unique key');
is($session->value('SELECT count(*) FROM flex_outbox_ordered'), 5, '... has its place once');
$simulator->clear_requests;
$session->value("CALL flex_outbox_drain()");
my %place;
my @sent = map { $_->{body} =~ /Identity=(\w+)/ } $simulator->requests;
@place{@sent} = 0 .. $#sent;
is(scalar @sent, 6, 'all are sent');
ok($place{a1} < $place{a2} && $place{b1} < $place{b2}, '... those of a key in their order');
is(scalar(my @lots = split / /, ids(many("(SELECT array_agg('{\"address_sid\": \"$ADDRESS\", \"identity\": \"x\"}'::jsonb) FROM generate_series(1, 2500))",
	"ordering_keys => (SELECT array_agg((g % 7)::text) FROM generate_series(1, 2500) AS g)"))), 2500, 'very many with keys');
is($session->value('SELECT count(*) FROM flex_outbox_ordered'), 2500, '... each has its place');

# One without a unique key before very many that have one: no more memory than for these alone
my $peak = sub {
	my ($first) = @_;

	$session->value("SELECT cardinality(flex_enqueue_many('flex_provisioning_status_fetch', (SELECT array_agg('{}'::jsonb) FROM generate_series(1, 100000)),
		unique_keys => (SELECT array_agg(CASE WHEN g >= $first THEN 'u' || g END ORDER BY g) FROM generate_series(1, 100000) AS g)))");
	$session->value('TRUNCATE flex_outbox_requests');
	return FlexApi::status_of($session->pid, 'VmHWM');
};
my $keyed_peak = $peak->(1);
my $more_memory = $peak->(2) - $keyed_peak;
cmp_ok($more_memory, '<', 20_000, "very many with unique keys behind one without: little more memory ($more_memory kB)") unless $ENV{FLEX_SLOW_BUILD};

# What is wrong with one is wrong with all
$session->value('TRUNCATE flex_outbox_requests');
my @wrong = (
	[ many(q{ARRAY['{"address_sid": "x"}']::jsonb[]}), '22023', 'an argument that is wrong' ],
	[ many("array_append(" . arguments('good') . ", '{}')"), '22004', 'one that is missing' ],
	[ many("array_append(" . arguments('good') . ", NULL)"), '22004', 'NULL for arguments' ],
	[ many(arguments('a', 'b'), "ARRAY['1']::jsonb[]"), '22023', 'too few contexts' ],
	[ many(arguments('a'), "unique_keys => ARRAY['1', '2']"), '22023', 'too many keys' ],
	[ many(arguments('a'), "unique_keys => ARRAY[repeat('x', 2000)]"), '22023', 'a key that is too long' ],
	[ many(arguments('a'), "ordering_keys => ARRAY['1', '2']"), '22023', 'too many ordering keys' ],
	[ many(arguments('a'), "ordering_keys => ARRAY[repeat('x', 2000)]"), '22023', 'an ordering key that is too long' ],
	[ many('ARRAY[' . arguments('a') . ', ' . arguments('b') . ']'), '22023', 'two dimensions' ],
	[ many(arguments('a'), "priority => 5000"), '22023', 'a priority that is none' ],
	[ many(arguments('a'), "on_success => 'nothing'"), '42883', 'a callback that is not there' ],
	[ "flex_enqueue_many('flex_channels_list', ARRAY['{}']::jsonb[])", '0A000', 'a list' ],
	[ "flex_enqueue_many('nothing', ARRAY['{}']::jsonb[])", '22023', 'an operation that is not there' ]);
foreach my $case (@wrong)
{
	my $error = $session->query("SELECT $case->[0]")->{error} // { C => '00000' };
	is($error->{C}, $case->[1], $case->[2]);
}
is(count(), 0, 'nothing is left of them');
foreach my $wrong ("array_append(" . arguments('a', 'b') . q{, '{"address_sid": "x"}')}, "array_append(" . arguments('a', 'b') . ', NULL)', arguments('a', 'b', 'c') . ", unique_keys => ARRAY['1', '2', repeat('x', 2000)]")
{
	like($session->query('SELECT ' . many($wrong))->{error}->{W} // '', qr/^element 3 of the arrays/, 'an error says of which one');
}
$session->value('REVOKE EXECUTE ON FUNCTION flex_webchat_create FROM alice');
$session->value('SET ROLE alice');
is($session->sqlstate('SELECT ' . many(arguments('a'))), '42501', 'the operation is not the role\'s to call');
$session->value('RESET ROLE');
is($session->sqlstate('BEGIN READ ONLY; SELECT ' . many(arguments('a'))), '25006', 'not in a read-only transaction');
$session->value('ROLLBACK');

# A table with a trigger of somebody's: by a statement each
$session->value($_) foreach 'CREATE FUNCTION mark() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.context := \'"marked"\'; RETURN NEW; END $$',
	'CREATE TRIGGER mark BEFORE INSERT ON flex_outbox_requests FOR EACH ROW EXECUTE FUNCTION mark()';
is(scalar(my @marked = split / /, ids(many(arguments('a', 'b'), "unique_keys => ARRAY['k', NULL]"))), 2, 'with a trigger of somebody\'s');
is($session->value("SELECT count(*) FROM flex_outbox WHERE context = '\"marked\"'"), 2, '... which is called for each');
$session->value('DROP TRIGGER mark ON flex_outbox_requests; TRUNCATE flex_outbox_requests');

# They are sent, now and later; a rollback takes all back.
$session->value('BEGIN; SELECT ' . many(arguments('back')) . '; ROLLBACK');
$simulator->clear_requests;
$session->value('SELECT ' . many(arguments('now1', 'now2')));
$session->value('SELECT ' . many(arguments('later1', 'later2'), "run_at => now() + interval '1 hour'"));
$session->value('CALL flex_outbox_drain()');
is(join(' ', sort map { $_->{body} =~ /Identity=(\w+)/ } $simulator->requests), 'now1 now2', 'what is due is sent');
$session->value('UPDATE flex_outbox_later SET due_at = now()');
$session->value('CALL flex_outbox_drain()');
is($session->value("SELECT count(*) FROM flex_outbox WHERE state = 'succeeded'"), 4, '... and the others at their time');

$node->stop('fast');
done_testing;
