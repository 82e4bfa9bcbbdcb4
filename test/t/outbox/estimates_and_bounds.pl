# What the planner's estimates tell, and what can be stored.  Behaviour: EXPLAIN of a query
# on flex_outbox has the same numbers whatever role, key or value it asks for; and what is
# stored can be printed, and so be dumped.
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
my $node = FlexApi::node('estimates', $simulator, "flex_api.rate_limits = 'none'");
my $super = FlexApi::Session->new($node);

$super->value($_) foreach 'SET client_min_messages = error', 'CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN; CREATE ROLE stranger LOGIN',
	'GRANT EXECUTE ON FUNCTION flex_enqueue, flex_webchat_create, flex_plugin_fetch TO PUBLIC';
my %of = map { $_ => FlexApi::Session->new($node, user => $_) } 'alice', 'bob', 'stranger';
$of{alice}->value(q{SELECT count(flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}', to_jsonb(n), priority => 7, max_attempts => 3,
	unique_key => 'customer' || n)) FROM generate_series(1, 2000) AS n});
$of{bob}->value(q{SELECT flex_enqueue('flex_plugin_fetch', '{"sid": "1"}', unique_key => 'single')});
$super->value('VACUUM ANALYZE flex_outbox_requests; ') for 1;
$super->value('ANALYZE flex_outbox_roles, flex_outbox_role_oids, flex_outbox_callbacks');

# The rows that the planner expects, node by node.
sub estimates { my ($condition) = @_; return join ' ', map { $_->[0] =~ /rows=(\d+)/ ? $1 : () } @{ $of{stranger}->query("EXPLAIN SELECT * FROM flex_outbox WHERE $condition")->{rows} }; }

my %numbers = map { $_ => $super->value("SELECT id FROM flex_outbox_role_oids WHERE role = '$_'::regrole") } 'alice', 'bob';
foreach ([ 'role_id', $numbers{alice}, $numbers{bob}, 99 ], [ 'enqueued_by', "'alice'", "'bob'", "'nobody'" ], [ 'unique_key', "'customer7'", "'single'", "'none'" ],
	[ 'operation', "'flex_webchat_create'", "'flex_plugin_fetch'", "'x'" ], [ 'priority', 7, 0, 3 ], [ 'max_attempts', 3, 20, 1 ], [ 'state', "'pending'", "'failed'", "'x'" ],
	[ 'context', "'7'", "'true'", "'0'" ], [ 'http_status', 201, 400, 500 ])
{
	my ($column, @values) = @$_;
	my %estimates = map { estimates("$column = $_") => 1 } @values;

	is(scalar keys %estimates, 1, "$column: the estimate is the same for each value") or diag explain \%estimates;
}
foreach ([ "unique_key < 'customer3'", "unique_key < 'z'" ], [ "unique_key > 'a' AND unique_key < 'b'", "unique_key > 'c' AND unique_key < 'd'" ], [ 'role_id < 2', 'role_id < 1000' ],
	[ "enqueued_at < 'yesterday'", "enqueued_at < 'tomorrow'" ], [ 'unique_key IS NULL', 'on_success IS NULL' ])
{
	my ($one, $other) = @$_;

	is(estimates($one), estimates($other), "$one is as likely as $other");
}

# Numbers of some bytes whose text is endless.
my $numbers = q{(SELECT jsonb_agg('1e100000'::numeric) FROM generate_series(1, 11000))};
is($of{alice}->sqlstate(qq{SELECT flex_enqueue('flex_plugin_fetch', '{"sid": "1"}', $numbers)}), '54000', 'a context that nobody could print is refused');
is($of{alice}->sqlstate(q{SELECT flex_enqueue('flex_plugin_fetch', '{"sid": "1"}', '1e100000')}), '00000', 'one such number is none of these');
is($of{alice}->sqlstate(q{SELECT flex_enqueue('flex_plugin_fetch', '{"sid": "1"}', to_jsonb(repeat(E'\u0001', 12000000)))}), '54000', 'a string whose escapes are too many, either');
is($of{alice}->sqlstate(q{SELECT flex_enqueue('flex_plugin_fetch', '{"sid": "1"}', to_jsonb(repeat('x', 12000000)))}), '00000', '... and without them it is not');
$super->value("DELETE FROM flex_outbox_requests WHERE operation = 'flex_webchat_create' OR length(context::text) > 200000");
$simulator->post('faults', { path => '/v2/WebChats', status => 201, body => '{"conversation_sid": "CH00000000000000000000000000000001", "n": [' . join(', ', ('1e100000') x 11000) . ']}' });
my $id = enqueue($of{bob}, 'endless');
$super->value('CALL flex_outbox_drain()');
my $row = join '|', map { $_ // '' } @{ $super->query("SELECT state, sid, response, error_code FROM flex_outbox WHERE id = $id")->{rows}->[0] };
is($row, 'succeeded|CH00000000000000000000000000000001||54000', 'an answer that nobody could print is not kept, and its SID is');
my $folder = PostgreSQL::Test::Utils::tempdir;
command_ok([ 'pg_dump', '-f', "$folder/dump", '-d', $node->connstr('postgres') ], 'what is there can be dumped');

$node->stop('fast');
done_testing;
