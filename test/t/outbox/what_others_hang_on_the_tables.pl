# What others hang on the outbox's tables: foreign keys, triggers, rules, checks, indexes,
# publications, event triggers.  Behaviour: requests are sent and settled, and their callbacks
# run; only the finished requests that these keep stay, which the log says once, with the
# relation and what to do; and they go when they can.
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
my $node = FlexApi::node('hung', $simulator, "flex_api.rate_limits = 'none'", "flex_api.outbox_retention = '60min'");
my $session = FlexApi::Session->new($node);
my $TABLE = 'flex_outbox_requests';

$session->value($_) foreach 'SET client_min_messages = error', 'CREATE TABLE told (id bigint)', 'CREATE TABLE refers (request bigint)',
	'CREATE FUNCTION tell(r flex_outbox) RETURNS void LANGUAGE sql AS $$ INSERT INTO public.told VALUES (r.id) $$',
	q{CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'it is needed here'; END $$},
	'CREATE FUNCTION ignore() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$',
	'CREATE FUNCTION forbid() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION \'no\'; END $$';

# What is hung on the tables, and how it is taken away; how many of five requests it keeps, and what is said of that.
my $REFER = 'INSERT INTO refers SELECT min(id) FROM flex_outbox';
my @hung = (
	[ 'a foreign key', "$REFER; ALTER TABLE refers ADD CONSTRAINT k FOREIGN KEY (request) REFERENCES $TABLE (id)",
		'ALTER TABLE refers DROP CONSTRAINT k; TRUNCATE refers', 1, qr/Table "refers": .*HINT:  Delete the rows of "refers" that refer to them/s ],
	[ 'a deferred foreign key', "$REFER; ALTER TABLE refers ADD CONSTRAINT k FOREIGN KEY (request) REFERENCES $TABLE (id) DEFERRABLE INITIALLY DEFERRED",
		'ALTER TABLE refers DROP CONSTRAINT k; TRUNCATE refers', 1, qr/Table "refers": .*HINT:  Delete the rows of "refers" that refer to them/s ],
	[ 'a trigger that raises', "CREATE TRIGGER t BEFORE DELETE ON $TABLE FOR EACH ROW EXECUTE FUNCTION refuse()", "DROP TRIGGER t ON $TABLE",
		5, qr/Table "$TABLE": it is needed here.*HINT:  Look at the triggers/s ],
	[ 'a trigger that ignores', "CREATE TRIGGER t BEFORE DELETE ON $TABLE FOR EACH ROW WHEN (OLD.id % 2 = 0) EXECUTE FUNCTION ignore()", "DROP TRIGGER t ON $TABLE",
		qr/^[23]$/, qr/Table "$TABLE": a trigger or a rule has kept them/ ],
	[ 'a deferred constraint trigger', "CREATE CONSTRAINT TRIGGER t AFTER DELETE ON $TABLE DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()",
		"DROP TRIGGER t ON $TABLE", 5, qr/Table "$TABLE": it is needed here/ ],
	[ 'a rule', "CREATE RULE r AS ON DELETE TO $TABLE DO INSTEAD NOTHING", "DROP RULE r ON $TABLE", 5, qr/Table "$TABLE": a trigger or a rule has kept them/ ],
	[ 'a publication without an identity', "ALTER TABLE $TABLE REPLICA IDENTITY NOTHING; CREATE PUBLICATION p FOR TABLE $TABLE WITH (publish = 'delete')",
		"DROP PUBLICATION p; ALTER TABLE $TABLE REPLICA IDENTITY DEFAULT", 5, qr/Table "$TABLE": cannot delete from table.*HINT:  .*publications/s ],
	[ 'a check', "ALTER TABLE $TABLE ADD CONSTRAINT c CHECK (priority < 1000)", "ALTER TABLE $TABLE DROP CONSTRAINT c", 0 ],
	[ 'a policy', "ALTER TABLE $TABLE ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON $TABLE USING (false)", "DROP POLICY p ON $TABLE; ALTER TABLE $TABLE DISABLE ROW LEVEL SECURITY", 0 ],
	[ 'a unique index', "CREATE UNIQUE INDEX u ON $TABLE (request_id)", 'DROP INDEX u', 0 ],
	[ 'an event trigger', 'CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION forbid()', 'DROP EVENT TRIGGER e', 0 ]);

# Five requests that finished long ago.
sub old_requests
{
	$session->value("DELETE FROM $TABLE; TRUNCATE told");
	my @ids = map { enqueue($session, "old$_") } 1 .. 5;
	$session->value('CALL flex_outbox_drain()');
	$session->value("UPDATE $TABLE SET enqueued_at = now() - interval '2 hours', finished_at = now() - interval '2 hours'");
	return join ', ', @ids;
}

sub left { my ($old) = @_; return $session->value("SELECT count(*) FROM $TABLE WHERE id IN ($old)"); }

foreach my $case (@hung)
{
	my ($name, $hang, $take_away, $kept, $said) = @$case;
	my $old = old_requests();
	my $start = -s $node->logfile;
	my $drainer = FlexApi::Session->new($node);

	$session->value($_) foreach split /; /, $hang;
	foreach my $round (1, 2)
	{
		my $new = enqueue($session, "$name$round", "on_success => 'tell'");
		my $end = $drainer->query('CALL flex_outbox_drain()');
		is($end->{error} && "$end->{error}->{C} $end->{error}->{M}", undef, "$name: the drain ends well");
		is(state_of($session, $new), 'succeeded', '... a request is sent and settled');
		is($session->value("SELECT count(*) FROM told WHERE id = $new"), 1, '... its callback runs');
	}
	my $left = left($old);
	my $log = substr(slurp_file($node->logfile), $start);
	ref $kept ? like($left, $kept, '... some stay') : is($left, $kept, "... $kept of five stay");
	is(scalar(() = $log =~ /WARNING:  finished requests of the Flex API outbox could not be deleted/g), $said ? 1 : 0, '... which is said once, or not at all');
	like($log, $said, '... and what to do') if $said;
	$session->value($_) foreach split /; /, $take_away;
	$session->value('UPDATE flex_outbox_leftovers SET again_at = now()');
	$session->value('CALL flex_outbox_drain()');
	is(left($old), 0, '... without it they go');
	$drainer->close;
}
is($session->value('SELECT count(*) FROM flex_outbox_leftovers'), 0, 'nothing is set aside any more');

# What is only tidied up can wait: here what was counted, which is added up when there is much of it.
my $start = -s $node->logfile;
$session->value($_) foreach 'CREATE TRIGGER t BEFORE DELETE ON flex_outbox_counts FOR EACH ROW EXECUTE FUNCTION refuse()',
	q{INSERT INTO flex_outbox_counts (role_id, operation, state, at, requests) SELECT (SELECT min(id) FROM flex_outbox_roles), 'flex_flow_fetch', 'failed',
		now() - interval '2 minutes', n FROM generate_series(1, 500), unnest(ARRAY[1, -1]) AS n};
foreach my $round (1, 2)
{
	my $new = enqueue($session, "counts$round");
	my $end = $session->query('CALL flex_outbox_drain()');
	is($end->{error} && "$end->{error}->{C} $end->{error}->{M}", undef, 'what was counted cannot be added up: the drain ends well');
	is(state_of($session, $new), 'succeeded', '... and has sent what is due');
}
my @warnings = substr(slurp_file($node->logfile), $start) =~ /WARNING:  the tables of the Flex API outbox could not be tidied up\n.*DETAIL:  (.*)/g;
is("@warnings", 'it is needed here', '... which is said once');
$session->value($_) foreach 'DROP TRIGGER t ON flex_outbox_counts', 'CALL flex_outbox_drain()';
cmp_ok($session->value('SELECT count(*) FROM flex_outbox_counts'), '<', 200, '... and without the trigger it is');

# A plain role's table that a deletion would change: its triggers would run with the rights of the outbox's owner.
$session->value($_) foreach 'CREATE ROLE bob', "GRANT REFERENCES, SELECT ON $TABLE TO bob", 'GRANT CREATE ON SCHEMA public TO bob', 'SET ROLE bob',
	"CREATE TABLE child (request bigint REFERENCES $TABLE (id) ON DELETE CASCADE)", 'CREATE TABLE seen (by text)', 'GRANT ALL ON seen TO PUBLIC',
	'CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.seen VALUES (current_user); RETURN NULL; END $$',
	'CREATE TRIGGER t AFTER DELETE ON child FOR EACH ROW EXECUTE FUNCTION see()', 'RESET ROLE';
my $bobs = old_requests();
my $begin = -s $node->logfile;
$session->value("INSERT INTO child SELECT id FROM $TABLE WHERE id IN ($bobs)");
is($session->sqlstate('CALL flex_outbox_drain()'), '00000', 'a plain role\'s table is to be changed with the requests: the drain ends well');
is(left($bobs), 5, '... they stay');
is($session->value('SELECT count(*) FROM seen'), 0, '... and no trigger of the role runs');
like(substr(slurp_file($node->logfile), $begin), qr/are not deleted.*Table "public.child" would be changed.*NO ACTION/s, '... which is said');
$session->value('DROP TABLE child');
$session->value('CALL flex_outbox_drain()');
is(left($bobs), 0, '... without it they go');

# Somebody locks a table that refers to them: nobody is waited for.
$session->value("CREATE TABLE child (request bigint REFERENCES $TABLE (id))");
my $locked = old_requests();
my $locker = FlexApi::Session->new($node);
$locker->value('BEGIN; LOCK TABLE child');
is($session->sqlstate('CALL flex_outbox_drain()'), '00000', 'a table that refers to requests is locked: the drain ends');
is(left($locked), 5, '... they stay');
$locker->value('ROLLBACK');
$session->value('UPDATE flex_outbox_leftovers SET again_at = now()');
$session->value('CALL flex_outbox_drain()');
is(left($locked), 0, '... and go when it is not');
$session->value('DROP TABLE child');
$locker->close;

# What fails of the callbacks' own table is not the sending's.
$session->value('CREATE TRIGGER t BEFORE UPDATE ON flex_outbox_callbacks FOR EACH ROW EXECUTE FUNCTION refuse()');
my @ids = map { enqueue($session, "kept$_", "on_success => 'tell'") } 1 .. 3;
my $end = $session->query('CALL flex_outbox_drain()');
like($end->{error} && $end->{error}->{M}, qr/it is needed here/, 'callbacks that cannot be claimed: the drain says so at its end');
is(sent($simulator, 'kept3'), 1, '... requests are sent');
is($session->value("SELECT string_agg(state, ' ') FROM $TABLE WHERE id IN (" . join(', ', @ids) . ')'), 'succeeded succeeded succeeded', '... and settled');
$session->value('DROP TRIGGER t ON flex_outbox_callbacks');
$session->value('CALL flex_outbox_drain()');
is($session->value('SELECT count(*) FROM told WHERE id IN (' . join(', ', @ids) . ')'), 3, '... and the callbacks run when they can');

# One that is to be forgotten while somebody has it locked is not waited for.
my $old = old_requests();
my $holder = FlexApi::Session->new($node);
$holder->value("BEGIN; SELECT id FROM $TABLE WHERE id IN ($old) ORDER BY id LIMIT 1 FOR UPDATE");
is($session->sqlstate('CALL flex_outbox_drain()', 60), '00000', 'a row is locked: the drain ends');
is(left($old), 1, '... the others go');
$holder->value('ROLLBACK');
$session->value('UPDATE flex_outbox_leftovers SET again_at = now()');
$session->value('CALL flex_outbox_drain()');
is(left($old), 0, '... and that one later');

# An id below the mark that is committed late is not forgotten to be forgotten.
$session->value("DELETE FROM $TABLE");
my $late = FlexApi::Session->new($node);
my $id = do { $late->value('BEGIN'); enqueue($late, 'late') };
$old = old_requests_behind();
$session->value('CALL flex_outbox_drain()');
is(left($old), 0, 'an older transaction that is open keeps nothing');
$late->value('COMMIT');
$session->value('CALL flex_outbox_drain()');
is(state_of($session, $id), 'succeeded', '... what it commits late is sent');
$session->value("UPDATE $TABLE SET enqueued_at = now() - interval '2 hours', finished_at = now() - interval '2 hours' WHERE id = $id");
$session->value('CALL flex_outbox_drain()');
is(left($id), 0, '... and goes, though the others have gone before');

# As old_requests(), but what is there stays.
sub old_requests_behind
{
	my @ids = map { enqueue($session, "behind$_") } 1 .. 5;

	$session->value('CALL flex_outbox_drain()');
	$session->value("UPDATE $TABLE SET enqueued_at = now() - interval '2 hours', finished_at = now() - interval '2 hours'");
	return join ', ', @ids;
}

$node->stop('fast');
done_testing;
