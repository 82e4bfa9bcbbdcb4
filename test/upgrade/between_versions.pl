# pg_upgrade from an older major version of PostgreSQL, whose programs stand under FLEX_OLDER_SERVER,
# with a full outbox.  Behaviour: ten thousand requests of each state are as they were, those of other
# roles belong to them; nothing is sent while it runs; the new server sends what was due, each request
# once, and runs each callback once; the numbers go on.
use strict;
use warnings;

use Cwd qw(getcwd);
use File::Spec::Functions qw(rel2abs);
use FindBin;
use lib "$FindBin::RealBin/../perl", "$FindBin::RealBin/../crash", $FindBin::RealBin;
use FlexApi;
use JSON::PP;
use Outbox;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Rows;
use Test::More;

my $OF_EACH_STATE = 10_000;
my $DUE = 2000;
my $older = $ENV{FLEX_OLDER_SERVER} or plan skip_all => 'no older server';
my $folder = PostgreSQL::Test::Utils::tempdir;
my $simulator = FlexApi::Simulator->new('--journal', "$folder/journal");

# A server of a version, which does not send yet.
sub server
{
	my ($name, @where) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name, @where);

	$node->init;
	$node->append_conf('postgresql.conf', join("\n", "flex_api.base_url = '" . $simulator->url . "'", "flex_api.account_sid = '$FlexApi::ACCOUNT'",
		"flex_api.auth_token = '$FlexApi::TOKEN'", "flex_api.rate_limits = 'none'", 'flex_api.concurrency = 50', ''));
	return $node;
}

sub bin { my ($server) = @_; chomp(my $bin = qx('$server' --bindir)); return $bin; }

my $old = server('older', install_path => $older);
$old->start;
my $session = FlexApi::Session->new($old);
note('from PostgreSQL ', $session->value('SHOW server_version'));
$session->value($_) for "CREATE EXTENSION flex_api VERSION '1.0.0'", 'CREATE ROLE dropped', 'CREATE ROLE support LOGIN';
Rows::insert($session, $OF_EACH_STATE);
$session->value($_) for 'ALTER EXTENSION flex_api UPDATE', 'DROP ROLE dropped', 'CREATE TABLE heard (id bigint)', 'GRANT INSERT ON heard TO support',
	'CREATE FUNCTION hear(flex_outbox) RETURNS void LANGUAGE sql AS $$ INSERT INTO heard VALUES ($1.id) $$',
	'GRANT EXECUTE ON FUNCTION flex_webchat_create, flex_enqueue TO support';
is(Rows::changed($session), 0, 'requests of each state');
my $enqueue = 'SELECT max(' . chat('PLACE', q(on_success => 'hear')) =~ s/"PLACE"/"' || n || '"/r =~ s/'\{(.*?)\}'(?=, on)/('{$1}')::jsonb/r
  . ") FROM generate_series(1, $DUE) AS n";
my $highest = $session->value($enqueue);
my $support = FlexApi::Session->new($old, user => 'support');
my $supports = enqueue($support, 'support', q(on_success => 'hear'));
my $later = enqueue($support, 'later', "run_at => now() + '1 hour'");
$old->stop;

my $new = server('newer');
my @upgrade = ('pg_upgrade', '-b', bin("$older/bin/pg_config"), '-B', bin('pg_config'), '-d', rel2abs($old->data_dir), '-D', rel2abs($new->data_dir),
	'-p', $old->port, '-P', $new->port, '-s', $new->host);
my $here = getcwd();
$new->append_conf('postgresql.conf', "shared_preload_libraries = 'flex_api'");
chdir $folder or die "$folder: $!";
command_ok([ @upgrade, '--check' ], 'pg_upgrade --check');
command_ok(\@upgrade, 'pg_upgrade');
chdir $here or die "$here: $!";
is(scalar $simulator->requests, 0, 'nothing is sent while it runs');

# As it is before anything is sent, and then what is sent.
$new->append_conf('postgresql.conf', "flex_api.delivery = 'off'");
$new->start;
$session = FlexApi::Session->new($new);
note('to PostgreSQL ', $session->value('SHOW server_version'));
is($session->value('SELECT count(*) FROM before'), @Rows::STATES * $OF_EACH_STATE, 'all requests of each state are there');
is(Rows::changed($session), 0, 'as they were');
is($session->value("SELECT count(*) FROM flex_outbox WHERE state = 'pending' AND run_at <= now()"), $DUE + 1, 'and all that is due');
$new->append_conf('postgresql.conf', "flex_api.delivery = 'on'");
$new->reload;
ok(FlexApi::wait_until(sub { $session->value("SELECT count(*) FROM flex_outbox WHERE state = 'succeeded' AND context IS NULL") == $DUE + 1 }),
	'the new server sends what was due')
  or diag(explain($session->query("SELECT state, error_code, error_message, count(*) FROM flex_outbox WHERE context IS NULL GROUP BY 1, 2, 3")->{rows}));
ok(FlexApi::wait_until(sub { $session->value('SELECT count(*) FROM heard') == $DUE + 1 }), 'and runs the callbacks');
is($session->value('SELECT count(*) FROM (SELECT id FROM heard GROUP BY id HAVING count(*) > 1) AS twice'), 0, '... each once');
my %times;
$times{ decode_json($_)->{form}{Identity} }++ for grep { /Identity/ } split /\n/, slurp_file("$folder/journal");
is(scalar keys %times, $DUE + 1, 'the service has heard of each');
is_deeply([ grep { $times{$_} != 1 } sort keys %times ], [], '... once');
$support = FlexApi::Session->new($new, user => 'support');
is($support->value('SELECT string_agg(id || state, $$ $$ ORDER BY id) FROM flex_outbox'), "${supports}succeeded ${later}pending",
	'the requests of another role are its own');
my $next = enqueue($session, 'next');
cmp_ok($next, '>', $later, 'the numbers go on');
ok(reaches($session, $next, 'succeeded'), '... and new requests are sent');
cmp_ok($later, '>', $highest, 'as they did before');

$new->stop;
done_testing();
