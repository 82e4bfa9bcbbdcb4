# From the first release to this version.  Behaviour: the catalogs are those of a fresh
# install, and what the tables hold is as it was.  Tables that are not of the library's
# version: the worker sends nothing and says so once a minute, a drain and what else cannot
# work fail with the same words, requests can be enqueued, and all goes on by itself
# once the versions fit.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../../perl", "$FindBin::RealBin/../../crash", "$FindBin::RealBin/../../upgrade";
use Catalog;
use FlexApi;
use Outbox;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Rows;
use Test::More;

my $FIRST = '1.0.0';
my $EACH = 10_000;
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('upgrade', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'");
my $session = FlexApi::Session->new($node);
my $version = $session->value("SELECT extversion FROM pg_extension WHERE extname = 'flex_api'");

# A database with the extension of the first release.
sub database_of_first
{
	my ($name) = @_;

	$session->value("CREATE DATABASE $name");
	my $there = FlexApi::Session->new($node, database => $name);
	$there->value("CREATE EXTENSION flex_api VERSION '$FIRST'");
	return $there;
}

# How often the log says something, from a place on.
sub said
{
	my ($pattern, $from) = @_;
	my $log = substr(slurp_file($node->logfile), $from // 0);

	return scalar(() = $log =~ /$pattern/g);
}

cmp_ok($version, 'ne', $FIRST, 'this is another version');

# Catalogs and rows.
my $old = database_of_first('upgraded');
Rows::insert($old, $EACH);
$old->value("INSERT INTO flex_outbox_holds VALUES ('flex_webchat_create', 'infinity')");
is($old->value('SELECT count(*) FROM before'), @Rows::STATES * $EACH, 'rows in all states');
my $update = $old->query('BEGIN; ALTER EXTENSION flex_api UPDATE');
ok(!$update->{error}, 'ALTER EXTENSION UPDATE') or diag("$update->{error}->{M} $update->{error}->{W}");
is(Rows::changed($old), 0, 'no row is another');
is($old->value('SELECT count(*) FROM flex_outbox'), @Rows::STATES * $EACH, 'all are there');
is($old->value("SELECT held_until FROM flex_outbox_holds"), 'infinity', 'a hold is there');
is($old->value("SELECT extversion FROM pg_extension WHERE extname = 'flex_api'"), $version, 'the version is this one');
$old->value('COMMIT');
$old->close;
is(Catalog::lacks($node, 'upgraded', 'postgres'), '', 'the catalogs are those of a fresh install');
$node->safe_psql('upgraded', 'COMMENT ON COLUMN flex_outbox.id IS NULL; GRANT EXECUTE ON FUNCTION flex_operations TO PUBLIC');
my $seen = Catalog::lacks($node, 'upgraded', 'postgres');
like($seen, qr/^only a fresh install has: column public\.flex_outbox\.id:/m, 'a comment that is missing would be seen');
like($seen, qr/^only an update has: member function public\.flex_operations/m, '... and a right that is one too many');
$session->value('DROP DATABASE upgraded WITH (FORCE)');

# More accounts than a role has lanes, and a sender that was sending at several times.
my $many = database_of_first('many');
$many->value(qq{INSERT INTO flex_outbox (operation, arguments, state, max_attempts, run_at, account_sid, enqueued_by, enqueued_role, enqueued_in,
		started_at, sender_pid, sender_start)
	SELECT 'flex_webchat_create', '{}', s.state, 20, 'infinity', nullif('AC' || n, 'AC1'), current_user, current_user::regrole::oid,
		(SELECT oid FROM pg_database WHERE datname = current_database()), s.at, s.pid, s.at - n * interval '1 s'
	FROM generate_series(1, 1100) AS n, LATERAL (VALUES ('pending', NULL, NULL), ('sending', now() + n * interval '1 s', 1)) AS s (state, at, pid)
	WHERE s.state = 'pending' OR n <= 5});
$many->value($_) foreach 'BEGIN', 'ALTER EXTENSION flex_api UPDATE';
is($many->value('SELECT count(*) FROM flex_outbox_lanes'), 1001, 'a role has its lanes, and one for all others');
is($many->value('SELECT count(*) FROM flex_outbox_marks WHERE lane > 0'), 1001, '... each with a mark');
is($many->value(q{SELECT count(*) || ' ' || count(*) FILTER (WHERE l.account_sid IS NOT DISTINCT FROM r.account_sid) || ' ' || count(*) FILTER (WHERE l.operation = '')
	FROM flex_outbox_requests AS r JOIN flex_outbox_later AS w ON w.id = r.id JOIN flex_outbox_lanes AS l ON l.id = w.lane WHERE r.state = 'pending'}),
	'1100 1000 100', 'each request waits in its lane');
is($many->value('SELECT count(*) || $$ $$ || max(cardinality(requests)) FROM flex_outbox_claims'), '1 5', 'what a sender has is one claim');
$many->value('ROLLBACK');
$many->close;

# The library is newer than the tables, as after the package's upgrade.
my $OLD = qr/the tables of extension flex_api are of version \Q$FIRST\E, its library is of version \Q$version\E/;
my $start = -s $node->logfile;
my $there = database_of_first('waiting');
ok(has_worker($there, 'waiting'), 'a worker');
my $id = enqueue($there, 'early', q(unique_key => 'early'));
ok($id, 'a request can be enqueued');
is(enqueue($there, 'early', q(unique_key => 'early')), $id, 'and found by its key');
ok(FlexApi::wait_until(sub { said($OLD, $start) }), 'the worker says that the versions differ');
like(slurp_file($node->logfile), qr/WARNING:  $OLD.*HINT:  Use ALTER EXTENSION flex_api UPDATE\./s, 'as a warning, with what to do');
my ($worker) = workers($session, 'waiting');
enqueue($there, "early$_") for 1 .. 5;
ok(FlexApi::is_at_rest($session, $worker), 'it rests');
is(said($OLD, $start), 1, 'it does not say so again for each request');
$session->value($_) foreach 'CREATE DATABASE passing', 'SET statement_timeout = ' . 5000 * FlexApi::slowness();
is($session->sqlstate('DROP DATABASE passing', 600), '00000', 'DROP DATABASE, which waits for each process of the server, does not wait for it');
$session->value('RESET statement_timeout');
is($there->value("SELECT string_agg(DISTINCT state, ' ') FROM flex_outbox"), 'pending', 'they wait');
my $drain = $there->query('CALL flex_outbox_drain()');
is($drain->{error}->{C}, '55000', 'a drain fails');
like($drain->{error}->{M}, $OLD, 'with these words');
is($drain->{error}->{H}, 'Use ALTER EXTENSION flex_api UPDATE.', 'and says what to do');
is(sent($simulator, 'early'), 0, 'nothing was sent');
is($there->value("SELECT count(*) FROM flex_webchat_create(address_sid => 'IG" . 'a' x 32 . "')"), 1, 'a direct call works');
$there->value('ALTER EXTENSION flex_api UPDATE');
ok(reaches($there, $id, 'succeeded'), 'after the upgrade it is sent');
is((workers($session, 'waiting'))[0], $worker, 'by the same worker');
ok(FlexApi::wait_until(sub { $there->value("SELECT count(*) FROM flex_outbox WHERE state <> 'succeeded'") == 0 }), 'and so are the others');

# The tables are newer, as under a library that was preloaded before the package's upgrade.
SKIP:
{
	chomp(my $folder = qx(pg_config --sharedir) . '');
	my @scripts = map { "$folder/extension/flex_api--$_.sql" } "$version--99.0", "99.0--$version";
	my $NEW = qr/the tables of extension flex_api are of version 99\.0, its library is of version \Q$version\E/;

	skip 'the server\'s folder of extensions is not ours', 9 unless -w "$folder/extension";
	append_to_file($scripts[0], "ALTER TABLE flex_outbox_requests ADD COLUMN tomorrow integer;\n");
	append_to_file($scripts[1], "ALTER TABLE flex_outbox_requests DROP COLUMN tomorrow;\nSELECT flex_outbox_wake();\n");
	$simulator->post('faults', { delay_ms => 2000, times => 1 });
	my $busy = enqueue($there, 'busy');
	ok(FlexApi::wait_until(sub { sent($simulator, 'busy') == 1 }), 'the worker is busy');
	my $before = -s $node->logfile;
	is($there->sqlstate("ALTER EXTENSION flex_api UPDATE TO '99.0'"), '00000', 'the tables become newer');
	ok(reaches($there, $busy, 'succeeded'), 'the answer to what was under way is taken');
	my $new = enqueue($there, 'new');
	ok(FlexApi::wait_until(sub { said($NEW, $before) }), 'the worker says that the versions differ');
	like(substr(slurp_file($node->logfile), $before), qr/WARNING:  $NEW.*HINT:  Install the newer library, and restart/s, 'and what to do');
	is($there->sqlstate('CALL flex_outbox_drain()'), '55000', 'a drain fails');
	is(state_of($there, $new) . sent($simulator, 'new'), 'pending0', 'nothing was sent');
	$there->value("ALTER EXTENSION flex_api UPDATE TO '$version'");
	unlink @scripts;
	ok(reaches($there, $new, 'succeeded'), 'when the versions fit again, it is sent');
	is((workers($session, 'waiting'))[0], $worker, 'by the same worker');
}

# Words that differ from what the library looks for are told, not what is lacking.
$there->value('ALTER TABLE flex_outbox_requests RENAME COLUMN enqueued_in TO otherwise');
$there->value("UPDATE pg_extension SET extversion = '99.0' WHERE extname = 'flex_api'");
my $retry = FlexApi::Session->new($node, database => 'waiting')->query("SELECT flex_outbox_retry($id)");
is("$retry->{error}->{C} $retry->{error}->{M}", "55000 the tables of extension flex_api are of version 99.0, its library is of version $version",
	'a function that cannot work says so, too');
is(said(qr/PANIC|terminated by signal/), 0, 'no process died');

$node->stop;
done_testing();
