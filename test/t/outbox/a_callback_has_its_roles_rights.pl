# A callback runs as the role that enqueued, in the worker and in anybody's drain,
# with that role's rights and no others; nothing that it leaves behind acts later
# with those of the sender.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('rights', $simulator, "flex_api.rate_limits = 'none'", 'fsync = off');
my $super = FlexApi::Session->new($node);

$super->value($_) for (
	'SET client_min_messages = error',
	'CREATE ROLE plain LOGIN', 'CREATE ROLE drainer LOGIN',
	'CREATE TABLE secret (i integer)', 'INSERT INTO secret VALUES (1)',
	'CREATE TABLE log (id serial, who name, session_role name, what text)', 'GRANT ALL ON log, log_id_seq TO plain',
	'CREATE SCHEMA plain AUTHORIZATION plain',
	'GRANT EXECUTE ON FUNCTION flex_enqueue, flex_webchat_create TO plain',
	'GRANT EXECUTE ON PROCEDURE flex_outbox_drain TO drainer');

my $plain = FlexApi::Session->new($node, user => 'plain');
my $drainer = FlexApi::Session->new($node, user => 'drainer');
$plain->value('SET client_min_messages = error');
$drainer->value('SET client_min_messages = error');

# A callback of the plain role's.
sub callback
{
	my ($name, $body, $options) = @_;
	return $plain->value("CREATE OR REPLACE FUNCTION plain.$name(r flex_outbox) RETURNS void LANGUAGE plpgsql "
		  . ($options // '') . " AS \$\$ BEGIN $body; INSERT INTO log (who, session_role, what) VALUES (current_user, session_user, '$name'); END \$\$");
}

sub enqueue
{
	my ($name, $session) = @_;
	return ($session // $plain)->value(q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}', }
		  . "on_success => 'plain.$name')");
}

sub row { my ($id, $columns) = @_; return join '|', map { $_ // '' } @{ $super->query("SELECT $columns FROM flex_outbox WHERE id = $id")->{rows}->[0] }; }

# As whom
callback('who', 'NULL');
foreach my $session ($super, $drainer)
{
	$super->value('DELETE FROM log');
	my $id = enqueue('who');
	is($session->query('CALL flex_outbox_drain()')->{error}, undef, 'a drain ends well');
	is($super->value('SELECT who FROM log'), 'plain', '... the callback runs as the role that enqueued');
	is(row($id, 'state, callback_error'), 'succeeded|', '... and ends well');
}
# one of the superuser's runs as that, though a plain role drains
$super->value('DELETE FROM log');
enqueue('who', $super);
$drainer->value('CALL flex_outbox_drain()');
is($super->value("SELECT who = current_user FROM log"), 't', 'one that a superuser enqueued runs as that');
is($drainer->value('SELECT current_user'), 'drainer', '... and the drainer\'s role is as it was');
is($drainer->sqlstate('SELECT * FROM secret'), '42501', '... with no more rights');

# What it may not do, in whatever way it tries
my $me = $super->value('SELECT current_user');
my %attempts = (
	reads => 'PERFORM * FROM secret',
	writes => 'UPDATE flex_outbox_requests SET state = $q$pending$q$',
	sets_role => qq{SET ROLE $me},
	sets_role_by_function => qq{PERFORM set_config('role', '$me', false)},
	resets_role => 'RESET ROLE; PERFORM * FROM secret',
	sets_role_none => 'SET ROLE NONE; PERFORM * FROM secret',
	sets_session => qq{SET SESSION AUTHORIZATION $me},
	resets_session => 'RESET SESSION AUTHORIZATION; PERFORM * FROM secret',
	defaults_session => 'SET SESSION AUTHORIZATION DEFAULT; PERFORM * FROM secret',
	resets_all => 'RESET ALL; PERFORM * FROM secret',
	discards => 'DISCARD ALL',
	loads => q{LOAD 'auto_explain'},
	alters_system => q{ALTER SYSTEM SET work_mem = 5},
	copies => q{COPY log TO PROGRAM 'true'},
	executes => 'PERFORM flex_provisioning_status_fetch()',
	cursor => q{EXECUTE 'DECLARE c CURSOR WITH HOLD FOR SELECT * FROM secret'},
	temporary => 'CREATE TEMPORARY TABLE pg_temp.flex_outbox (i integer)',
	catches => qq{BEGIN SET ROLE $me; EXCEPTION WHEN OTHERS THEN NULL; END; PERFORM * FROM secret},
);
foreach my $name (sort keys %attempts)
{
	foreach my $session ($super, $drainer)
	{
		callback($name, $attempts{$name});
		$super->value('DELETE FROM log');
		my $id = enqueue($name);
		is($session->query('CALL flex_outbox_drain()')->{error}, undef, "$name: the drain ends well");
		is($super->value('SELECT count(*) FROM log'), 0, '... it does not get through') or diag $super->value('SELECT who FROM log');
		like(row($id, 'state, callback_error'), qr/^succeeded\|.+/, '... is noted');
		$super->value('DELETE FROM flex_outbox_requests');
	}
}
is($super->value('SELECT current_user') . $drainer->value('SELECT current_user || session_user'), "${me}drainerdrainer", 'everybody is who he was');
is($super->value('SELECT count(*) FROM pg_cursors') + $drainer->value('SELECT count(*) FROM pg_cursors WHERE is_holdable'), 1, 'no cursor is left (but that of the question)')
  if $super->value('SELECT count(*) FROM pg_cursors') == 1;

# Deferred triggers: they would fire at the commit, as the role that drains
$super->value('GRANT CREATE ON DATABASE postgres TO plain');
$plain->value($_) for (
	'CREATE TABLE plain.mine (i integer)',
	q{CREATE FUNCTION plain.fires() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log (who, what) VALUES (current_user, 'fired'); RETURN NULL; END $$},
	'CREATE CONSTRAINT TRIGGER t AFTER INSERT ON plain.mine DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION plain.fires()');
callback('deferred', 'INSERT INTO plain.mine VALUES (1)');
callback('deferred_again', 'SET CONSTRAINTS ALL DEFERRED; INSERT INTO plain.mine VALUES (1)');
callback('deferred_in_vain', 'BEGIN SET CONSTRAINTS ALL DEFERRED; INSERT INTO plain.mine VALUES (1); EXCEPTION WHEN OTHERS THEN NULL; END');
foreach my $name ('deferred', 'deferred_again', 'deferred_in_vain')
{
	$super->value('DELETE FROM log');
	enqueue($name);
	is($super->query('CALL flex_outbox_drain()')->{error}, undef, "$name: the drain ends well");
	is($super->value("SELECT count(*) FROM log WHERE who <> 'plain'"), 0, '... no trigger of its fires with the drainer\'s rights');
	$super->value('DELETE FROM flex_outbox_requests');
}

# A function that its owner's rights run with: those, as ever
$super->value(q{CREATE FUNCTION owners(r flex_outbox) RETURNS void LANGUAGE sql SECURITY DEFINER AS 'INSERT INTO secret VALUES (2)'});
$plain->value(q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}', on_success => 'owners')});
$super->value('CALL flex_outbox_drain()');
is($super->value('SELECT count(*) FROM secret'), 2, 'SECURITY DEFINER works as ever');

# The row type's name, operators and the search_path of the session that drains lead nowhere else
$drainer->value('SET search_path = plain, public');
$plain->value('GRANT USAGE ON SCHEMA plain TO drainer');
$plain->value('CREATE TABLE plain.flex_outbox (i integer)');
my $id = enqueue('who');
is($drainer->query('CALL flex_outbox_drain()')->{error}, undef, 'a search_path with another flex_outbox');
is(row($id, 'state'), 'succeeded', '... does not matter');
$drainer->value('RESET search_path');
$plain->value('DROP TABLE plain.flex_outbox');

# Names are found in the callback's own schema, then in public; never where the drainer's
# search_path leads, nor among its temporary objects
$super->value($_) for (
	'CREATE SCHEMA lure AUTHORIZATION drainer', 'GRANT USAGE ON SCHEMA lure TO PUBLIC',
	q{CREATE FUNCTION public.which() RETURNS text LANGUAGE sql AS $$ SELECT 'public' $$},
	'CREATE SCHEMA "o""dd, lure" AUTHORIZATION plain', 'GRANT USAGE ON SCHEMA "o""dd, lure" TO drainer');
$drainer->value($_) for (
	q{CREATE FUNCTION lure.which() RETURNS text LANGUAGE sql AS $$ SELECT 'lure' $$},
	q{CREATE FUNCTION lure.upper(text) RETURNS text LANGUAGE sql AS $$ SELECT 'lure' $$},
	q{CREATE FUNCTION lure.same(integer, integer) RETURNS boolean LANGUAGE sql AS $$ SELECT false $$},
	'CREATE OPERATOR lure.= (LEFTARG = integer, RIGHTARG = integer, FUNCTION = lure.same)',
	'CREATE TABLE lure.log (who name, what text)', 'GRANT ALL ON lure.log TO PUBLIC',
	'CREATE TEMPORARY TABLE log (who name, what text)', 'GRANT ALL ON pg_temp.log TO PUBLIC');
my $finds = q{(r flex_outbox) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO log (who, what) VALUES (current_user, which() || upper('x') || (1 = 1)::text || ' ' || current_setting('search_path')); END $$};
$plain->value("CREATE FUNCTION plain.finds$finds");
$plain->value(qq{CREATE FUNCTION "o""dd, lure".finds$finds});
foreach my $path ('lure', 'lure, pg_catalog, public', 'pg_temp, lure, pg_catalog, public')
{
	$super->value('DELETE FROM log');
	$drainer->value("SET search_path = $path");
	enqueue('finds');
	enqueue('finds', FlexApi::Session->new($node, user => 'plain', options => '-c search_path=lure,plain,public'));
	$plain->value(q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}', on_success => '"o""dd, lure".finds')});
	is($drainer->query('CALL public.flex_outbox_drain()')->{error}, undef, "a drainer's search_path $path");
	is($super->value(q{SELECT string_agg(what, '; ' ORDER BY what COLLATE "C") FROM log}),
		'publicXtrue "o""dd, lure", public, pg_temp; publicXtrue plain, public, pg_temp; publicXtrue plain, public, pg_temp',
		'... is none of the callback\'s');
	is($drainer->value('SELECT (SELECT pg_catalog.count(*) FROM lure.log) + (SELECT pg_catalog.count(*) FROM pg_temp.log)'), 0, '... nor are his tables');
	is($drainer->value('SHOW search_path'), $path, '... and stays as it was');
}
$super->value('DELETE FROM log');
$plain->value(q{CREATE FUNCTION plain.which() RETURNS text LANGUAGE sql AS $$ SELECT 'own' $$});
enqueue('finds');
FlexApi::Session->new($node, user => 'drainer', options => '-c search_path=lure,public')->value('CALL flex_outbox_drain()');
like($super->value('SELECT what FROM log'), qr/^ownXtrue /, 'its own schema comes before public');
$drainer->value('RESET search_path');
$super->value('DROP SCHEMA lure CASCADE');

# EXECUTE that was taken away since
$id = enqueue('who');
$plain->value('REVOKE EXECUTE ON FUNCTION plain.who FROM PUBLIC, plain');
$super->value('CALL flex_outbox_drain()');
like(row($id, 'state, callback_error'), qr/^succeeded\|permission denied/, 'a right that is gone is gone for callbacks, too');

# Renamed roles keep theirs; dropped ones have none, and take nobody's along
$plain->value('GRANT EXECUTE ON FUNCTION plain.who TO plain');
$super->value('DELETE FROM flex_outbox_requests; DELETE FROM log');
$id = enqueue('who');
$super->value('ALTER ROLE plain RENAME TO renamed');
$super->value('CALL flex_outbox_drain()');
is($super->value('SELECT who FROM log'), 'renamed', 'a role that is renamed');
$id = enqueue('who');
my $done = enqueue('who');
$plain->close;
my $other = $super->value(q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}')});
# one of them has had its answer, and its callback is still to come
$super->value("UPDATE flex_outbox_requests SET state = 'succeeded', finished_at = now() WHERE id = $done;
	INSERT INTO flex_outbox_callbacks (id, role_id, due_at) SELECT id, role_id, now() FROM flex_outbox_requests WHERE id = $done");
$super->value('DROP OWNED BY renamed CASCADE; DROP ROLE renamed');
$simulator->clear_requests;
is($super->query('CALL flex_outbox_drain()')->{error}, undef, 'a role that is dropped: the drain ends well');
is(row($id, 'state, error_code'), 'failed|42704', '... its request is not sent');
like(row($done, 'state, callback_error'), qr/^succeeded\|.*role .* does not exist/, '... its callback is not run');
is(row($other, 'state'), 'succeeded', '... others\' are');
is(scalar($simulator->requests), 1, '... and only they');

$node->stop('fast');
done_testing();
