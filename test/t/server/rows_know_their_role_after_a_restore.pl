# A dump restored in another cluster, whose roles have other OIDs.  Behaviour: a request
# belongs to the role of its name there, with its unique key; a stranger that has the old
# OID sees nothing and is held up by nothing, and a role that is not there owns what is its
# when it is made.  A database's owner without further rights can dump.  Renaming, DROP OWNED,
# REASSIGN OWNED and CREATE DATABASE ... TEMPLATE leave each its own.
use strict;
use warnings;

use FindBin;
use lib 'test/perl', "$FindBin::RealBin/../../crash";
use FlexApi;
use Outbox;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $GRANT = 'GRANT EXECUTE ON FUNCTION flex_enqueue, flex_webchat_create, flex_outbox_cancel TO PUBLIC';
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('first', $simulator, "flex_api.rate_limits = 'none'");
my $folder = PostgreSQL::Test::Utils::tempdir;
my $super = FlexApi::Session->new($node);

$super->value($_) foreach 'SET client_min_messages = error', 'CREATE ROLE app LOGIN; CREATE ROLE gone LOGIN; CREATE ROLE other LOGIN; CREATE ROLE owner LOGIN', $GRANT,
	'CREATE DATABASE owned OWNER owner';
my %of = map { $_ => FlexApi::Session->new($node, user => $_) } 'app', 'gone', 'other';
my %id = map { $_ => enqueue($of{$_}, $_, "unique_key => 'k'") } sort keys %of;
$super->value('CALL flex_outbox_drain()');
is($of{app}->value('SELECT string_agg(state, $$ $$) FROM flex_outbox'), 'succeeded', 'each has a request that has succeeded');
my $oid = $super->value("SELECT 'app'::regrole::oid");

# Dumps: all, one schema, and by an owner of the database.
command_ok([ 'pg_dump', '-f', "$folder/all", '-d', $node->connstr('postgres') ], 'pg_dump');
command_ok([ 'pg_dump', '-Fc', '-f', "$folder/custom", '-d', $node->connstr('postgres') ], 'pg_dump -Fc');
command_ok([ 'pg_dump', '-n', 'public', '--extension', 'flex_api', '-f', "$folder/schema", '-d', $node->connstr('postgres') ], 'pg_dump of a schema');
like(slurp_file("$folder/schema"), qr/^COPY public\.flex_outbox_roles /m, '... has the roles');
my $owned = FlexApi::Session->new($node, database => 'owned');
$owned->value($_) foreach 'CREATE EXTENSION flex_api', $GRANT, 'GRANT SELECT ON ALL TABLES IN SCHEMA public TO other';
my $there = FlexApi::Session->new($node, database => 'owned', user => 'app');
enqueue($there, 'owned');
$there->close;
$owned->value('CALL flex_outbox_drain()');
command_ok([ 'pg_dump', '-U', 'owner', '-f', "$folder/owners", '-d', $node->connstr('owned') ], 'a database\'s owner can dump it');
like(slurp_file("$folder/owners"), qr/^1\tflex_webchat_create.*owned/m, '... with the requests of all roles');
command_fails([ 'pg_dump', '-U', 'app', '-f', "$folder/apps", '-d', $node->connstr('owned') ], 'another role cannot');

# A cluster whose roles have other OIDs: a stranger has app's, and gone is not there.
sub cluster_with_other_oids
{
	my ($name, @restore) = @_;
	my $cluster = PostgreSQL::Test::Cluster->new($name);

	$cluster->init;
	$cluster->append_conf('postgresql.conf', join("\n", "flex_api.rate_limits = 'none'", "flex_api.base_url = '" . $simulator->url . "'",
		"flex_api.account_sid = '$FlexApi::ACCOUNT'", "flex_api.auth_token = '$FlexApi::TOKEN'", ''));
	$cluster->start;
	my $session = FlexApi::Session->new($cluster);
	my $last = 0;
	for (my $n = 0; $last < $oid; $n++)
	{
		$session->value("CREATE ROLE r$n LOGIN");
		$last = $session->value("SELECT 'r$n'::regrole::oid");
		$session->value($last == $oid ? "ALTER ROLE r$n RENAME TO stranger" : "DROP ROLE r$n");
		die "no role can have OID $oid\n" if $last > $oid;
	}
	$session->value('CREATE ROLE other LOGIN; CREATE ROLE app LOGIN; CREATE ROLE restorer SUPERUSER; CREATE ROLE owner LOGIN');
	is($session->value("SELECT 'stranger'::regrole::oid"), $oid, "$name: a stranger has the OID of app");
	command_ok([ map { $_ eq '-d' ? ('-d', $cluster->connstr('postgres')) : $_ } @restore ], '... the restore');
	return ($cluster, $session);
}

my @restores = ([ 'plain', 'psql', '-qX', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-d', '-f', "$folder/all" ],
	[ 'as_another', 'pg_restore', '--role', 'restorer', '-d', "$folder/custom" ]);
foreach (@restores)
{
	my ($name, @restore) = @$_;
	my ($cluster, $session) = cluster_with_other_oids($name, @restore);
	my %here = map { $_ => FlexApi::Session->new($cluster, user => $_) } 'app', 'other', 'stranger';

	$session->value('SET client_min_messages = error');
	$session->value($GRANT);
	is($here{$_}->value('SELECT string_agg(id::text, $$ $$) FROM flex_outbox'), $id{$_}, "$_ sees its request") foreach 'app', 'other';
	is($here{stranger}->value('SELECT count(*) FROM flex_outbox'), 0, 'the stranger sees nothing');
	is($here{stranger}->sqlstate("SELECT flex_outbox_cancel($id{app})"), 'P0002', '... and decides on nothing');
	$simulator->clear_requests;
	is(enqueue($here{app}, 'again', "unique_key => 'k'"), $id{app}, 'app\'s key is taken');
	my $mine = enqueue($here{stranger}, 'strangers', "unique_key => 'k'");
	cmp_ok($mine, '>', $id{other}, 'the stranger\'s is not');
	$session->value('CALL flex_outbox_drain()');
	is(sent($simulator, 'again') . sent($simulator, 'strangers'), '01', 'what was sent is not sent again, and the stranger\'s is');
	is($here{app}->value('SELECT count(*) FROM flex_outbox'), 1, 'app sees no more than that');
	$session->value('CREATE ROLE gone LOGIN');
	my $gone = FlexApi::Session->new($cluster, user => 'gone');
	is($gone->value('SELECT string_agg(id::text, $$ $$) FROM flex_outbox'), $id{gone}, 'a role that is made later owns what is its');
	$gone->close;
	# A second generation.
	command_ok([ 'pg_dump', '-f', "$folder/second", '-d', $cluster->connstr('postgres') ], 'a dump of the copy');
	is((slurp_file("$folder/second") =~ /^(COPY public\.flex_outbox_roles.*?^\\\.$)/ms)[0] =~ tr/\n//, 5, '... has the four roles, the stranger included');
	$cluster->stop('fast');
}

# What becomes of roles in the first cluster.
$super->value('ALTER ROLE app RENAME TO application');
$super->value('CALL flex_outbox_drain()');
is($super->value("SELECT name FROM flex_outbox_roles WHERE id = (SELECT role_id FROM flex_outbox WHERE id = $id{app})"), 'application', 'a new name is noted');
$super->value('CREATE ROLE app LOGIN');
my $new = FlexApi::Session->new($node, user => 'app');
is($new->value('SELECT count(*) FROM flex_outbox'), 0, 'a new role of the old name sees nothing');
isnt(enqueue($new, 'new', "unique_key => 'k'"), $id{app}, '... and has its own keys');
$owned->close;
$super->value('CREATE DATABASE copied TEMPLATE owned');
my $copied = FlexApi::Session->new($node, database => 'copied', user => 'application');
is($copied->value('SELECT count(*) FROM flex_outbox'), 1, 'in a copy by TEMPLATE a role sees its own');
$copied->close;
$super->value('REVOKE EXECUTE ON FUNCTION flex_enqueue, flex_webchat_create, flex_outbox_cancel FROM PUBLIC');
is($super->sqlstate('DROP OWNED BY gone CASCADE; REASSIGN OWNED BY gone TO other; DROP ROLE gone'), '00000', 'a role with requests can be dropped');
is($of{other}->value('SELECT count(*) FROM flex_outbox'), 1, 'its requests are nobody\'s');
$super->value('CREATE ROLE gone LOGIN');
is(FlexApi::Session->new($node, user => 'gone')->value('SELECT count(*) FROM flex_outbox'), 0, 'not those of a later role of its name either');
$super->value('CALL flex_outbox_drain()');
is($super->value("SELECT count(*) FROM flex_outbox_roles WHERE name = 'gone'"), 0, '... nor in a dump from then on');

$node->stop('fast');
done_testing;
