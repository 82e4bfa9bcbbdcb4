# A dump of a database that has version 1.0.0 is restored where this version is what CREATE
# EXTENSION makes: its COPY goes into flex_outbox, which is a view here.  Behaviour: the
# finished requests are there, of the roles of their names, with their keys; nothing is
# sent; nobody but the extension's owner can put requests in so, and no unfinished ones.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('first', $simulator);
my $session = FlexApi::Session->new($node);
my $folder = PostgreSQL::Test::Utils::tempdir;

$session->value($_) foreach 'CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN; CREATE ROLE gone', 'CREATE DATABASE old', 'CREATE DATABASE new', 'CREATE DATABASE used';
my $old = FlexApi::Session->new($node, database => 'old');
$old->value($_) foreach "CREATE EXTENSION flex_api VERSION '1.0.0'",
	q{INSERT INTO flex_outbox (operation, arguments, context, state, attempts, max_attempts, run_at, unique_key, enqueued_by, enqueued_role, enqueued_in,
		finished_at, http_status, response, callback_attempts, callback_error, on_failure)
	SELECT 'flex_webchat_create', '{"address_sid": "IG"}', to_jsonb(r.rolname || n), state, 1, 20, now(), state, r.rolname, r.oid, d.oid,
		CASE WHEN state = 'pending' THEN NULL ELSE now() END, 201, '{"sid": "x"}', CASE state WHEN 'failed' THEN 10 ELSE 0 END,
		CASE state WHEN 'failed' THEN 'it did not work' END, CASE state WHEN 'failed' THEN 'public.told' END
	FROM pg_roles AS r, pg_database AS d, unnest(ARRAY['pending', 'succeeded', 'failed', 'uncertain']) WITH ORDINALITY AS s (state, n)
	WHERE r.rolname IN ('alice', 'bob', 'gone') AND d.datname = 'old'};
my $ROWS = 'SELECT id, operation, arguments, context, state, attempts, max_attempts, run_at, unique_key, on_failure, enqueued_at, enqueued_by, '
  . 'finished_at, http_status, response FROM flex_outbox WHERE finished_at IS NOT NULL ORDER BY id';
my $rows = $node->safe_psql('old', $ROWS);
command_ok([ 'pg_dump', '-f', "$folder/plain", '-d', $node->connstr('old') ], 'pg_dump of the first version');
command_ok([ 'pg_dump', '-Fc', '-f', "$folder/custom", '-d', $node->connstr('old') ], 'pg_dump -Fc');
like(slurp_file("$folder/plain"), qr/^COPY public\.flex_outbox \(/m, 'it has the rows of flex_outbox');
$old->value('DELETE FROM flex_outbox');
$old->close;
$session->value('DROP ROLE gone');
# Where a role has enqueued before the rows come, they are its own as well.
my $used = FlexApi::Session->new($node, database => 'used');
$used->value("CREATE EXTENSION flex_api; SELECT setval('flex_outbox_id_seq', 1000); GRANT EXECUTE ON FUNCTION flex_enqueue, flex_plugin_fetch TO alice");
FlexApi::Session->new($node, user => 'alice', database => 'used')->value(q{SELECT flex_enqueue('flex_plugin_fetch', '{"sid": "1"}', run_at => now() + '1 day')});

command_ok([ 'psql', '-qX', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-d', $node->connstr('new'), '-f', "$folder/plain" ], 'psql restores it');
command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('used'), "$folder/custom" ], 'pg_restore, too, where requests are already');
is($node->safe_psql('new', $ROWS), $rows, 'the finished requests are as they were');
is($node->safe_psql('used', "SELECT count(*) FROM flex_outbox WHERE finished_at IS NOT NULL"), 9, '... there, too');
foreach my $database ('new', 'used')
{
	my $super = FlexApi::Session->new($node, database => $database);
	my %of = map { $_ => FlexApi::Session->new($node, user => $_, database => $database) } 'alice', 'bob';

	$super->value('GRANT EXECUTE ON FUNCTION flex_enqueue, flex_plugin_fetch TO alice, bob');
	is($super->value('SELECT extversion <> $$1.0.0$$ FROM pg_extension WHERE extname = $$flex_api$$'), 't', "$database: in the tables of this version");
	is($of{$_}->value('SELECT count(*) FROM flex_outbox WHERE finished_at IS NOT NULL AND enqueued_by = current_user'), 3, "$database: $_ sees its own") foreach 'alice', 'bob';
	is($of{$_}->value("SELECT count(*) FROM flex_outbox WHERE enqueued_by <> current_user"), 0, '... and nobody else\'s') foreach 'alice', 'bob';
	is($of{alice}->value(q{SELECT flex_enqueue('flex_plugin_fetch', '{"sid": "1"}', unique_key => 'succeeded')}),
		$super->value("SELECT id FROM flex_outbox WHERE enqueued_by = 'alice' AND unique_key = 'succeeded'"), '... and its keys are taken');
	is($of{alice}->value("SELECT count(*) FROM flex_outbox WHERE finished_at IS NULL AND unique_key IS NOT NULL"), 0, '... so that nothing new is there');
	is($super->value("SELECT count(DISTINCT role_id) FROM flex_outbox WHERE enqueued_by = 'gone'"), 1, '... a role that is gone has kept its own');
	my $put = q{INSERT INTO flex_outbox (operation, arguments, state, max_attempts, run_at, enqueued_by, enqueued_in, finished_at) VALUES ('flex_plugin_fetch', '{}', 'pending', 1, now(), 'alice', 1, %s)};
	is($of{bob}->sqlstate(sprintf $put, 'now()'), '42501', 'another role than the owner may put nothing in');
	is($super->sqlstate(sprintf $put, 'NULL'), '55000', '... and the owner nothing that is not finished');
	is($super->value("SELECT count(*) FROM flex_outbox_callbacks"), 0, 'no callback is to run');
	is($super->sqlstate('CALL flex_outbox_drain()'), '00000', 'a drain');
	is(scalar(my @sent = $simulator->requests), 0, '... sends nothing');
}

$node->stop('fast');
done_testing();
