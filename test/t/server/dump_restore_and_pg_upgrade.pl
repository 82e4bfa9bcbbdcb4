# pg_dump, pg_restore and pg_upgrade.  Behaviour: a dump has the settled requests and not
# those that wait, since the original sends them; the numbers go on after the highest; a
# restored copy sends nothing, and nothing there waits for what the original has to decide.
# pg_upgrade keeps all, sends nothing while it runs, and the new cluster sends what waited, in order.
use strict;
use warnings;

use Cwd qw(getcwd);
use File::Spec::Functions qw(rel2abs);
use FindBin;
use lib 'test/perl', "$FindBin::RealBin/../../crash";
use FlexApi;
use Outbox;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my @PRELOADED = ("shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'");
my $ROWS = "SELECT id, operation, state, http_status, response, request_id, enqueued_by, context FROM flex_outbox "
  . "WHERE state NOT IN ('pending', 'sending') ORDER BY id";
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('origin', $simulator, @PRELOADED);
my $folder = PostgreSQL::Test::Utils::tempdir;
my $session = FlexApi::Session->new($node);

# Of each kind one.
my $good = enqueue($session, 'good', q(context => '{"ticket":1}'));
ok(reaches($session, $good, 'succeeded'), 'one succeeds');
$simulator->post('faults', { cut_at => 0, after => JSON::PP::true });
my $uncertain = enqueue($session, 'uncertain', q(ordering_key => 'conversation'));
ok(reaches($session, $uncertain, 'uncertain'), 'one is uncertain');
my @held_back = map { enqueue($session, "held back $_", q(ordering_key => 'conversation')) } 1 .. 3;
$simulator->post('faults', { status => 400 });
my $failed = enqueue($session, 'failed');
ok(reaches($session, $failed, 'failed'), 'one fails');
my $later = enqueue($session, 'later', "run_at => now() + '1 hour'");
my $cancelled = enqueue($session, 'cancelled', "run_at => now() + '1 hour'");
$session->value("SELECT flex_outbox_cancel($cancelled)");
$session->value($_) foreach "CREATE SERVER twilio FOREIGN DATA WRAPPER flex_api OPTIONS (account_sid '$FlexApi::ACCOUNT')",
	"CREATE USER MAPPING FOR PUBLIC SERVER twilio OPTIONS (auth_token '$FlexApi::TOKEN')", 'CREATE SCHEMA twilio', 'IMPORT FOREIGN SCHEMA flex FROM SERVER twilio INTO twilio';
$simulator->clear_faults;
$simulator->post('seed', { flows => 3 });
my $rows = $node->safe_psql('postgres', $ROWS);
my $requests = $simulator->requests;

# Dumps of both formats, restored on the same server and on another.
command_ok([ 'pg_dump', '-Fc', '-f', "$folder/custom", '-d', $node->connstr('postgres') ], 'pg_dump -Fc');
command_ok([ 'pg_dump', '-f', "$folder/plain", '-d', $node->connstr('postgres') ], 'pg_dump');
unlike(slurp_file("$folder/plain"), qr/identity.*(?:later|held back)/, 'what waits is not in it');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('restored'), "$folder/custom" ], 'pg_restore into a fresh database');
my $other = PostgreSQL::Test::Cluster->new('other');
$other->init;
$other->append_conf('postgresql.conf', join("\n", @PRELOADED, "flex_api.base_url = '" . $simulator->url . "'",
	"flex_api.account_sid = '$FlexApi::ACCOUNT'", "flex_api.auth_token = '$FlexApi::TOKEN'", ''));
$other->start;
command_ok([ 'psql', '-qX', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-d', $other->connstr('postgres'), '-f', "$folder/plain" ],
	'psql into another cluster');
foreach ([ $node, 'restored' ], [ $other, 'postgres' ])
{
	my ($server, $database) = @$_;
	my $there = FlexApi::Session->new($server, database => $database);

	is($server->safe_psql($database, $ROWS), $rows, "$database has the settled requests as they were");
	is($there->value("SELECT count(*) FROM flex_outbox WHERE state IN ('pending', 'sending')"), 0, 'and none that waits');
	my $new = enqueue($there, "$database-new", q(ordering_key => 'conversation'));
	cmp_ok($new, '>', $cancelled, 'the numbers go on');
	ok(reaches($there, $new, 'succeeded'), 'its own request is sent, whatever is uncertain in the original');
	is($server->safe_psql($database, 'SELECT count(*) FROM flex_outbox_activity'), 1, 'one row says what sends');
	$there->close;
}
is(scalar $simulator->requests, $requests + 2, 'the service has heard of nothing else');
is($_->[0]->safe_psql($_->[1], 'SELECT count(*) FROM twilio.flows'), 3, "$_->[1]: foreign tables are read as before") foreach [ $node, 'restored' ], [ $other, 'postgres' ];
command_ok([ 'pg_dump', '--schema-only', '-f', "$folder/schema", '-d', $other->connstr('postgres') ], 'the copy can be dumped');
unlike(slurp_file("$folder/schema"), qr/flex_outbox/, 'where the objects are the extension\'s');
my $dump = sub { (slurp_file($_[0]) =~ /^COPY public\.flex_outbox_requests .*?^\\\.$/ms)[0] };
$other->safe_psql('postgres', "DELETE FROM flex_outbox_requests WHERE id > $cancelled");
command_ok([ 'pg_dump', '-f', "$folder/second", '-d', $other->connstr('postgres') ], 'the second generation');
is($dump->("$folder/second"), $dump->("$folder/plain"), 'is like the first');
$other->stop;

# pg_upgrade to the same version: the checks are those of any.
my $old = $node;
my $new = PostgreSQL::Test::Cluster->new('upgraded');
$new->init;
$new->append_conf('postgresql.conf', join("\n", @PRELOADED, "flex_api.base_url = '" . $simulator->url . "'",
	"flex_api.account_sid = '$FlexApi::ACCOUNT'", "flex_api.auth_token = '$FlexApi::TOKEN'", ''));
$session->value(q{SET flex_api.server = 'twilio'});
my $due = enqueue($session, 'due', "run_at => now() + '1 hour'");
$session->value('RESET flex_api.server');
$rows = $node->safe_psql('postgres', $ROWS);
$session->value("UPDATE flex_outbox_later SET due_at = now() WHERE id = $due"); # which wakes nobody
is(state_of($session, $due), 'pending', 'a request is due when the old server stops');
$old->stop('immediate');
# pg_upgrade wants a clean shutdown; the worker must have had no time to send.
$old->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$old->start;
is(FlexApi::Session->new($old)->value("SELECT state FROM flex_outbox WHERE id = $due"), 'pending', 'and still when it has stopped');
$old->stop;
$old->append_conf('postgresql.conf', "shared_preload_libraries = 'flex_api'");
$simulator->clear_requests;
my ($bin) = map { chomp; $_ } scalar qx(pg_config --bindir);
my @upgrade = ('pg_upgrade', '-b', $bin, '-B', $bin, '-d', rel2abs($old->data_dir), '-D', rel2abs($new->data_dir),
	'-p', $old->port, '-P', $new->port, '-s', $new->host);
my $here = getcwd();
chdir $folder or die "$folder: $!";
command_ok([ @upgrade, '--check' ], 'pg_upgrade --check');
command_ok(\@upgrade, 'pg_upgrade');
chdir $here or die "$here: $!";
is(scalar $simulator->requests, 0, 'nothing is sent while it runs');
$new->start;
is($new->safe_psql('postgres', $ROWS =~ s/WHERE/WHERE id <> $due AND/r), $rows, 'the settled requests are there');
my $upgraded = FlexApi::Session->new($new);
ok(reaches($upgraded, $due, 'succeeded'), 'what waited is sent by the new server');
is(sent($simulator, 'due'), 1, 'once');
is($upgraded->value("SELECT server FROM flex_outbox WHERE id = $due"), 'twilio', '... to the server that it was enqueued for');
is($upgraded->value('SELECT count(*) FROM twilio.flows'), 3, 'foreign tables are read as before');
is(state_of($upgraded, $later), 'pending', 'what was not due waits on');
is(join(' ', map { $upgraded->value("SELECT waits_for FROM flex_outbox WHERE id = $_") // '-' } @held_back), join(' ', ($uncertain) x 3),
	'what is held back by its ordering key is so still');
$upgraded->value("SELECT flex_outbox_confirm($uncertain)");
ok(reaches($upgraded, $held_back[2], 'succeeded'), '... and is sent when that is decided');
is(join(' ', map { $_->{body} =~ /Identity=held(?:\+|%20)back(?:\+|%20)(\d)/ ? $1 : () } $simulator->requests), '1 2 3', '... in order');
$new->stop;
done_testing();
