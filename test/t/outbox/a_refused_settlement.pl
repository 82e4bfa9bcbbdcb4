# What others hang on the table of requests refuses to have it recorded what became of one: a
# trigger that raises, or says nothing, a constraint, a deferred one.  Behaviour: those of all others
# are settled, and new ones are sent; the log says it once, with relation and what to do; that one counts as
# being sent, is sent once, and is settled with its answer when it can be.
use strict;
use warnings;

use FindBin;
use lib 'test/perl', "$FindBin::RealBin/../../crash";
use FlexApi;
use Outbox;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $TABLE = 'flex_outbox_requests';
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('refused', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'",
	'flex_api.shutdown_grace = 0', 'fsync = off');
my $session = FlexApi::Session->new($node);

$session->value($_) foreach 'SET client_min_messages = error',
	q{CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not this one'; END $$},
	'CREATE FUNCTION ignore() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$',
	'CREATE FUNCTION put_back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$';

sub row { my ($id) = @_; return join ' ', @{ $session->query("SELECT state, attempts, sid IS NOT NULL FROM flex_outbox WHERE id = $id")->{rows}->[0] }; }

# How often the log says since a place that something could not be recorded.
sub warnings
{
	my ($start) = @_;
	my $log = substr(slurp_file($node->logfile), $start);

	return scalar(() = $log =~ /WARNING:  could not record the result of a request of the Flex API outbox/g);
}

my $bad = "((arguments ->> 'identity') LIKE 'bad%' AND state <> 'pending')";
(my $new_bad = $bad) =~ s/arguments|state/NEW.$&/g;
my $when = "FOR EACH ROW WHEN $new_bad EXECUTE FUNCTION";
my @hung = (
	[ 'a trigger', "CREATE TRIGGER t BEFORE UPDATE ON $TABLE $when refuse()", "DROP TRIGGER t ON $TABLE", qr/table "$TABLE": not this one/ ],
	[ 'a trigger that says nothing', "CREATE TRIGGER t BEFORE UPDATE ON $TABLE $when ignore()", "DROP TRIGGER t ON $TABLE",
		qr/table "$TABLE": a trigger has kept it as it was/ ],
	[ 'a trigger that puts the row back', "CREATE TRIGGER t BEFORE UPDATE ON $TABLE $when put_back()", "DROP TRIGGER t ON $TABLE",
		undef ], # the same cause as the one before, within a minute
	[ 'a deferred trigger', "CREATE CONSTRAINT TRIGGER t AFTER UPDATE ON $TABLE DEFERRABLE INITIALLY DEFERRED $when refuse()", "DROP TRIGGER t ON $TABLE",
		undef ], # the same cause as the first
	[ 'a check', "ALTER TABLE $TABLE ADD CONSTRAINT c CHECK (NOT $bad)", "ALTER TABLE $TABLE DROP CONSTRAINT c", qr/table "$TABLE": new row for relation/ ]);

foreach my $case (@hung)
{
	my ($name, $hang, $take_away, $said) = @$case;
	my $start = -s $node->logfile;

	$simulator->clear_requests;
	$session->value("DELETE FROM $TABLE");
	$session->value($hang);
	# In one transaction, so that they are claimed and settled together.
	my $ids = $session->query('SELECT ' . join(', ', map { chat($_) } 'good1', 'bad1', 'good2', 'bad2', 'good3'))->{rows}->[0];
	ok(reaches($session, $ids->[$_], 'succeeded'), "$name: another request is settled") foreach 0, 2, 4;
	ok(reaches($session, enqueue($session, 'later'), 'succeeded'), '... and a later one sent');
	is(row($ids->[$_]), 'sending 1 f', '... that one counts as being sent') foreach 1, 3;
	is(warnings($start), $said ? 1 : 0, '... which is said once a minute');
	like(substr(slurp_file($node->logfile), $start), qr/$said.*HINT:  Look at the triggers, rules, constraints and policies of table "$TABLE"/s, '... with what to do') if $said;
	$session->value($take_away);
	ok(reaches($session, $ids->[$_], 'succeeded'), '... it is settled when it can be') foreach 1, 3;
	is(row($ids->[$_]), 'succeeded 1 t', '... with its answer') foreach 1, 3;
	is(sent($simulator, $_), 1, "... $_ was sent once") foreach qw(good1 good2 good3 bad1 bad2 later);
	is($session->value('SELECT count(*) FROM flex_outbox_claims'), 0, '... and nothing is claimed');
}

# One that cannot even be made
my $unsent = enqueue($session, 'unsent', "context => '1', run_at => now() + interval '1 hour'");
$simulator->clear_requests;
$session->value($_) foreach "UPDATE $TABLE SET arguments = '{}' WHERE id = $unsent",
	"CREATE TRIGGER t BEFORE UPDATE ON $TABLE FOR EACH ROW WHEN (NEW.context = '1') EXECUTE FUNCTION refuse()",
	"UPDATE flex_outbox_later SET due_at = now() WHERE id = $unsent";
ok(reaches($session, enqueue($session, 'beside'), 'succeeded'), 'one that cannot be made: another is sent');
ok(reaches($session, $unsent, 'sending'), '... it is claimed');
$session->value("DROP TRIGGER t ON $TABLE");
ok(reaches($session, $unsent, 'failed'), '... and has failed when that can be recorded');
is(scalar($simulator->requests), 1, '... and was never sent');

# A drain tells of it, and ends; the next one takes it over.
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
$session = FlexApi::Session->new($node);
$session->value('SET client_min_messages = error');
$session->value("CREATE TRIGGER t BEFORE UPDATE ON $TABLE $when refuse()");
$simulator->clear_requests;
my $ids = $session->query('SELECT ' . join(', ', map { chat($_) } 'good1', 'bad1'))->{rows}->[0];
my $end = $session->query('CALL flex_outbox_drain()', 60)->{error};
is("$end->{C} $end->{M}", '55000 could not record the results of requests of the Flex API outbox', 'a drain says so at its end');
like($end->{H}, qr/triggers.*next drain/, '... with what to do');
is(state_of($session, $ids->[0]), 'succeeded', '... the other is settled');
is($session->sqlstate('CALL flex_outbox_drain()', 60), '00000', '... the next drain ends well');
is(state_of($session, $ids->[1]), 'sending', '... while it still cannot be recorded');
$session->value("DROP TRIGGER t ON $TABLE");
is($session->sqlstate('CALL flex_outbox_drain()', 60), '00000', '... and the next');
is(state_of($session, $ids->[1]), 'uncertain', '... says that it does not know');
is(sent($simulator, 'bad1'), 1, '... of what was sent once');

$node->stop('fast');
done_testing;
