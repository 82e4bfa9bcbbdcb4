# An extension of the first version is updated.  Behaviour: what it has then is what a fresh
# install has, to the last comment and right; rights that were given, and views and functions
# that were made with it, stay and work: those, too, that were made on the outbox's table,
# which is a view then.  What cannot is said, by name.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../../perl", "$FindBin::RealBin/../../upgrade";
use Catalog;
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('update', $simulator);
my $fresh = FlexApi::Session->new($node);
my $version = $fresh->value("SELECT extversion FROM pg_extension WHERE extname = 'flex_api'");

$fresh->value('CREATE DATABASE old');
my $session = FlexApi::Session->new($node, database => 'old');

$session->value("CREATE EXTENSION flex_api VERSION '1.0.0'");
$session->value(q{
	CREATE ROLE caller; CREATE ROLE giver; CREATE ROLE given;
	GRANT EXECUTE ON FUNCTION flex_request TO caller;
	GRANT EXECUTE ON FUNCTION flex_request TO giver WITH GRANT OPTION;
	SET ROLE giver; GRANT EXECUTE ON FUNCTION flex_request TO given; RESET ROLE;
	CREATE VIEW seen AS SELECT (flex_request('GET', '/v1/Anything')).status;
	CREATE VIEW posted AS SELECT status FROM flex_request('POST', '/v1/Anything', '{"a": 1}', NULL);
	CREATE FUNCTION by_name() RETURNS integer LANGUAGE sql AS $$ SELECT status FROM flex_request(method => 'GET', path => '/v1/Anything', parameters => '{"b": 2}') $$;
	CREATE FUNCTION parsed() RETURNS integer LANGUAGE sql BEGIN ATOMIC SELECT status FROM flex_request('GET', '/v1/Anything'); END;
	PREPARE again AS SELECT status FROM flex_request('GET', '/v1/Anything')});

# As each of those uses is: with the SQL of the first version and the library of this one, and after the update.
sub all_work
{
	my ($when) = @_;

	$simulator->post('faults', { path => '/v1/Anything', status => 200, body => '{}', times => -1 });
	foreach my $use ('SELECT status FROM seen', 'SELECT status FROM posted', 'SELECT by_name()', 'SELECT parsed()', 'EXECUTE again',
		q{SELECT status FROM flex_request('GET', '/v1/Anything')}, q{SELECT status FROM flex_request('GET', '/v1/Anything', NULL, NULL)})
	{
		is($session->value($use), 200, "$when: $use");
	}
	foreach my $role ('caller', 'giver', 'given')
	{
		$session->value("SET ROLE $role");
		is($session->sqlstate(q{SELECT FROM flex_request('GET', '/v1/Anything')}), '00000', "$when: $role may call");
		$session->value('RESET ROLE');
	}
	return;
}

# What users have made on the outbox's table: a role that no row security binds, app, who sees its own requests, and the superuser, who sees all.
$session->value($_) foreach 'CREATE ROLE app LOGIN; CREATE ROLE other LOGIN; CREATE ROLE reader; CREATE ROLE gone; CREATE ROLE bystander',
	'GRANT CREATE ON SCHEMA public TO app; GRANT EXECUTE ON FUNCTION flex_enqueue, flex_plugin_fetch, flex_outbox_await TO app, other';
my %of = map { ($_ => FlexApi::Session->new($node, database => 'old', user => $_)) } 'app', 'other';
my $id = $of{app}->value(q{SELECT flex_enqueue('flex_plugin_fetch', '{"sid": "1"}', '"of app"', unique_key => 'k', run_at => now() + '1 day')});
$of{other}->value(q{SELECT flex_enqueue('flex_plugin_fetch', '{"sid": "2"}', '"of other"', unique_key => 'k', run_at => now() + '1 day')});
$session->value('GRANT SELECT ON flex_outbox TO reader; GRANT REFERENCES ON flex_outbox TO app; GRANT UPDATE (state) ON flex_outbox TO bystander');
$of{app}->value($_) foreach 'CREATE TABLE notes (request bigint REFERENCES flex_outbox, note text)', "INSERT INTO notes VALUES ($id, 'kept')",
	'CREATE TABLE archive (request flex_outbox)', 'INSERT INTO archive SELECT o FROM flex_outbox AS o',
	'CREATE VIEW my_requests (number, what) AS SELECT id, context FROM flex_outbox',
	'CREATE VIEW invoked WITH (security_invoker = true, security_barrier = true) AS SELECT o.context FROM flex_outbox AS o JOIN notes AS n ON n.request = o.id',
	'CREATE VIEW behind AS SELECT * FROM my_requests',
	'CREATE VIEW whole AS SELECT o FROM flex_outbox AS o',
	'CREATE MATERIALIZED VIEW kept AS SELECT context FROM flex_outbox',
	'CREATE VIEW noted AS SELECT note FROM notes',
	'CREATE RULE more AS ON UPDATE TO noted DO INSTEAD UPDATE notes SET note = NEW.note WHERE request IN (SELECT id FROM flex_outbox)',
	'CREATE TABLE tickets (context jsonb); INSERT INTO tickets VALUES (\'"of app"\'), (\'"of other"\'); GRANT SELECT ON tickets, my_requests, invoked, notes TO other',
	'ALTER TABLE tickets ENABLE ROW LEVEL SECURITY',
	'CREATE POLICY enqueued ON tickets FOR SELECT USING (EXISTS (SELECT FROM flex_outbox AS o WHERE o.context = tickets.context))',
	'CREATE FUNCTION told(r flex_outbox) RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO notes VALUES (r.id, r.state || current_user); END $$',
	q{CREATE FUNCTION label(flex_outbox) RETURNS text LANGUAGE sql AS $$ SELECT $1.operation || ' ' || ($1.context #>> '{}') $$},
	'CREATE FUNCTION mine() RETURNS SETOF flex_outbox LANGUAGE sql AS $$ SELECT * FROM flex_outbox $$',
	'CREATE FUNCTION first() RETURNS flex_outbox LANGUAGE plpgsql AS $$ DECLARE r flex_outbox%ROWTYPE; BEGIN SELECT * INTO r FROM flex_outbox; RETURN r; END $$',
	'CREATE FUNCTION counted() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM flex_outbox AS o WHERE o.operation IS NOT NULL; END',
	'CREATE FUNCTION waited(id bigint) RETURNS text LANGUAGE sql AS $$ SELECT (flex_outbox_await(id, interval \'0 s\')).state $$';
$session->value($_) foreach 'CREATE VIEW everybodys AS SELECT context, enqueued_by FROM flex_outbox', 'GRANT SELECT ON everybodys TO reader',
	'CREATE FUNCTION all_of_them() RETURNS bigint LANGUAGE sql SECURITY DEFINER BEGIN ATOMIC SELECT count(*) FROM flex_outbox; END',
	'CREATE ROLE unbound BYPASSRLS LOGIN; GRANT CREATE ON SCHEMA public TO unbound',
	'SET ROLE unbound; CREATE VIEW unbounds AS SELECT context FROM flex_outbox; CREATE VIEW invokers WITH (security_invoker) AS SELECT context FROM flex_outbox; '
	  . 'GRANT SELECT ON unbounds, invokers TO reader, app; '
	  . 'CREATE MATERIALIZED VIEW unbounds_kept AS SELECT context FROM flex_outbox; RESET ROLE',
	'CREATE MATERIALIZED VIEW everybodys_kept AS SELECT context FROM flex_outbox',
	'CREATE VIEW everything AS SELECT o FROM flex_outbox AS o; GRANT SELECT ON everything TO reader',
	'CREATE POLICY for_readers ON flex_outbox FOR SELECT TO reader USING (true)',
	'CREATE TABLE audited (id bigint); CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.audited VALUES (NEW.id); RETURN NULL; END $$',
	'CREATE TRIGGER audit AFTER INSERT ON flex_outbox FOR EACH ROW EXECUTE FUNCTION audit()';

# What app, and a role, sees of all that, before the update and after it.
sub what_users_see
{
	my ($when) = @_;
	my @seen = ([ app => 'SELECT string_agg(number || (what #>> $${}$$), $$ $$) FROM my_requests', "${id}of app" ],
		[ app => 'SELECT count(*) FROM behind', 1 ],
		[ other => 'SELECT what FROM my_requests', '"of other"' ],
		[ other => 'SELECT count(*) FROM invoked', 0 ],
		[ app => 'SELECT count(*) FROM invoked', 1 ],
		[ app => "UPDATE noted SET note = 'changed'; SELECT note FROM notes WHERE request = $id", 'changed' ],
		[ other => 'SELECT context FROM tickets', '"of other"' ],
		[ app => 'SELECT label(o) FROM flex_outbox AS o', 'flex_plugin_fetch of app' ],
		[ app => 'SELECT o.label FROM flex_outbox AS o', 'flex_plugin_fetch of app' ],
		[ app => 'SELECT context FROM mine()', '"of app"' ],
		[ app => 'SELECT (first()).context', '"of app"' ],
		[ app => 'SELECT counted()', 1 ],
		[ app => "SELECT waited($id)", 'pending' ],
		[ app => 'SELECT DISTINCT (request).context FROM archive', '"of app"' ],
		[ app => 'INSERT INTO archive SELECT o FROM flex_outbox AS o; SELECT count(*) >= 2 FROM archive', 't' ],
		[ app => 'SELECT all_of_them()', 2 ]);

	foreach (@seen)
	{
		my ($role, $sql, $expected) = @$_;

		is($of{$role}->value($sql), $expected, "$when, for $role: $sql");
	}
	is($session->value("SET ROLE reader; SELECT count(*) FROM $_"), 2, "$when: who may read $_, of a role that sees all, reads all")
	  foreach 'everybodys', 'unbounds', 'everything';
	is($session->value('SET ROLE unbound; SELECT count(*) FROM unbounds'), 2, "$when: and so does that role");
	is($of{app}->value('SELECT count(*) FROM invokers'), 1, "$when: but what has the reader's rights shows the reader's own");
	is($session->value('RESET ROLE; SELECT count(*) FROM flex_outbox'), 2, "$when: a superuser sees all");
	is($of{app}->sqlstate('INSERT INTO notes VALUES (0)'), '23503', "$when: the foreign key holds");
	is($of{app}->value(q{SELECT flex_enqueue('flex_plugin_fetch', '{"sid": "1"}', unique_key => 'k')}), $id, "$when: the key is taken, by the role's own");
	return;
}

what_users_see('before the update');
all_work('before the update');
is($session->sqlstate(q{SELECT FROM flex_request('GET', '/v1/Anything', headers => '{}')}), '42883', 'no headers there');
my $update = $session->query('ALTER EXTENSION flex_api UPDATE');
ok(!$update->{error}, 'the update') or diag(join ' ', %{ $update->{error} });
my %warnings = map { ($_->{M} => $_) } grep { $_->{S} eq 'WARNING' } @{ $update->{notices} // [] };
is(join("\n", sort keys %warnings), join("\n", 'materialized view public.kept still reads the table flex_outbox_requests',
		'materialized view public.unbounds_kept still reads the table flex_outbox_requests',
		'policy "for_readers" on flex_outbox has no effect any more', 'view public.everything still reads the table flex_outbox_requests',
		'view public.whole still reads the table flex_outbox_requests'),
	'it says what it cannot keep');
is($session->value("SELECT extversion FROM pg_extension WHERE extname = 'flex_api'"), $version, 'it is updated');
all_work('after it');
is($session->sqlstate(q{SELECT FROM flex_request('GET', '/v1/Anything', headers => '{"X-Mine": "1"}')}), '00000', 'headers');
$session->value('SET ROLE caller');
is($session->sqlstate(q{SELECT FROM flex_request_list('/v1/Anything')}), '42501', 'what is new is nobody\'s');
$session->value('RESET ROLE');

what_users_see('after it');
$session->value('GRANT EXECUTE ON FUNCTION flex_outbox_cancel TO app');
my $again = $of{app}->value(q{SELECT flex_enqueue('flex_plugin_fetch', '{"sid": "3"}', on_success => 'told', on_failure => 'told')});
is($session->value("SELECT count(*) FROM audited WHERE id = $again"), 1, 'a trigger on the table stays');
$session->value('CALL flex_outbox_drain()');
like($of{app}->value("SELECT string_agg(note, ' ') FROM notes WHERE request = $again"), qr/^(succeeded|failed)app$/, 'a callback on the old row type is called');
foreach my $role ('app', 'other', 'reader', 'bystander', 'plain')
{
	$session->value("CREATE ROLE plain") if $role eq 'plain';
	is($session->value("SELECT has_table_privilege('$role', 'flex_outbox', 'SELECT')"), 't', "$role may read the view");
	is($session->value("SELECT has_any_column_privilege('$role', 'flex_outbox_requests', 'SELECT, INSERT, UPDATE')"), 'f', '... and not the table');
}
is($session->value("SELECT has_table_privilege('app', 'flex_outbox_requests', 'REFERENCES')"), 't', 'who might refer to the table may');
$session->value('REVOKE REFERENCES ON flex_outbox_requests FROM app; REVOKE SELECT ON flex_outbox FROM reader; DROP TRIGGER audit ON flex_outbox_requests; '
	. 'DROP POLICY for_readers ON flex_outbox_requests');
$session->value('SET client_min_messages = error; DROP OWNED BY app, unbound CASCADE; DROP VIEW everybodys, everything; DROP MATERIALIZED VIEW everybodys_kept; DROP FUNCTION all_of_them()');
# The owner's own right, which it has anyway, is written down when another gets one.
$session->value("UPDATE pg_class SET relacl = NULL WHERE oid = 'flex_outbox_all'::regclass AND relacl = ARRAY[relacl[1]]");
$session->value('REVOKE EXECUTE ON FUNCTION flex_enqueue, flex_plugin_fetch, flex_outbox_await FROM other');

# Rights that were given are the user's own, which a dump has.
my ($dump) = PostgreSQL::Test::Utils::run_command([ 'pg_dump', '-d', $node->connstr('old') ]);
like($dump, qr/^GRANT ALL ON FUNCTION public\.flex_request\(.*\) TO caller;$/m, 'a dump has the rights');
like($dump, qr/CREATE VIEW public\.seen AS/, 'and the view');

# The same as a fresh install, rights that were given apart.
$session->value(q{
	DROP VIEW seen, posted; DROP FUNCTION by_name(), parsed();
	REVOKE ALL ON FUNCTION flex_request FROM giver CASCADE; REVOKE ALL ON FUNCTION flex_request FROM caller});
is(Catalog::lacks($node, 'old', 'postgres'), '', 'what it has is what a fresh install has');

$node->stop;
done_testing;
