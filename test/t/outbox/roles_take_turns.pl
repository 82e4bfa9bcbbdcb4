# Roles take turns: however many requests of others are due, of whatever priority, and
# however many wait for a time or for credentials, a role's single request leaves before
# twice the concurrency of them.  Counted by a service that answers when it is told.

use strict;
use warnings;

use FlexApi;
use File::Temp qw(tempdir);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $CONCURRENCY = 10;
my $directory = tempdir(CLEANUP => 1);
my @accounts = map { 'AC' . $_ x 32 } 1 .. 3;
my $node = PostgreSQL::Test::Cluster->new('turns');

# Notes who asks; answers when the gate is open.
my $server = FlexApi::Server->new(sub {
	my ($connection, $server) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		$server->note("$request->{path} $request->{body}" =~ /f{32}/ ? 'quiet' : 'loud');
		FlexApi::wait_until(sub { -e "$directory/gate" }, 300);
		print $connection FlexApi::Server::answer('{"sid": "CH2"}', $request->{method} eq 'DELETE' ? '204 No Content' : '200 OK') or return;
	}
});

$node->init;
$node->append_conf('postgresql.conf', join("\n", "shared_preload_libraries = 'flex_api'", "flex_api.base_url = '" . $server->url . "'",
	"flex_api.credentials_file = 'credentials'", "flex_api.rate_limits = 'none'", "flex_api.concurrency = $CONCURRENCY", 'fsync = off',
	"flex_api.delivery = off", "flex_api.account_sid = '$accounts[0]'", ''));
open(my $file, '>', $node->data_dir . '/credentials') or die $!;
print $file map { my $role = $_; map { "$_:$role:$_:secret\n" } @accounts } qw(loud1 loud2 loud3 quiet);
close $file;
chmod 0600, $node->data_dir . '/credentials';
$node->start;
my $super = FlexApi::Session->new($node);
$super->value($_) for 'CREATE EXTENSION flex_api', 'SET client_min_messages = error';
foreach my $role (qw(loud1 loud2 loud3 poor quiet))
{
	$super->value("CREATE ROLE $role LOGIN");
	$super->value("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO $role");
}

# Twelve operations, with the argument that names what they are about, and what that begins with.
my @operations = ([ flex_channel_fetch => 'sid', 'CH' ], [ flex_channel_delete => 'sid', 'CH' ], [ flex_flow_fetch => 'sid', 'FO' ],
	[ flex_flow_delete => 'sid', 'FO' ], [ flex_flow_update => 'sid', 'FO' ], [ flex_interaction_fetch => 'sid', 'KD' ],
	[ flex_web_channel_fetch => 'sid', 'CH' ], [ flex_web_channel_delete => 'sid', 'CH' ], [ flex_web_channel_update => 'sid', 'CH' ],
	[ flex_insights_category_delete => 'category_sid', 'FY' ], [ flex_insights_question_delete => 'question_sid', 'GE' ],
	[ flex_insights_questionnaire_fetch => 'questionnaire_sid', 'GM' ]);

# Leave so many requests of a role in the outbox.
sub enqueue
{
	my ($role, $account, $operation, $count, $more) = @_;
	my ($name, $argument, $prefix) = @$operation;
	my $sid = $prefix . ($role eq 'quiet' ? 'f' : 'a') x 32;
	my $session = FlexApi::Session->new($node, user => $role);
	$session->value("SET flex_api.account_sid = '$account'");
	my $result = $session->query("SELECT count(flex_enqueue('$name', '{\"$argument\": \"$sid\"}'"
		. ($more ? ", $more" : '') . ")) FROM generate_series(1, $count)");
	$session->close;
	die $result->{error}->{M} if $result->{error};
	return;
}

sub deliver { my ($on) = @_; return $super->value("ALTER SYSTEM SET flex_api.delivery = $on") . $super->value('SELECT pg_reload_conf()'); }
sub came { my ($who) = @_; return scalar $server->notes(qr/^$who$/); }

# How many of others come between the quiet one's commit and its own request.  All of others' are held when it
# commits, and as many as may be are under way.
sub count_before_quiet
{
	my ($name) = @_;
	deliver('on');
	ok(FlexApi::wait_until(sub { came('loud') == $CONCURRENCY }, 120), "$name: others have all that may be under way");
	enqueue('quiet', $accounts[0], $operations[0], 1);
	open(my $gate, '>', "$directory/gate") or die $!;
	close $gate;
	ok(FlexApi::wait_until(sub { came('quiet') == 1 }, 300), '... the quiet request is sent');
	my @order = $server->notes;
	my ($place) = grep { $order[$_] eq 'quiet' } 0 .. $#order;
	cmp_ok($place - $CONCURRENCY, '<=', 2 * $CONCURRENCY, '... ' . ($place - $CONCURRENCY) . ' of others before it');
	deliver('off');
	unlink "$directory/gate";
	return;
}

# Three roles, three accounts, twelve operations, the highest priority, and many that wait for a time.
enqueue('loud1', $accounts[1], $operations[0], 50000, 'priority => 1000');
enqueue('loud2', $accounts[0], $operations[1], 24000, "run_at => now() + interval '1 year', priority => 1000");
foreach my $role (qw(loud1 loud2 loud3))
{
	foreach my $account (@accounts)
	{
		enqueue($role, $account, $_, 20, 'priority => 1000') for @operations;
	}
}
count_before_quiet('many due');
$node->stop('immediate');
$node->start;
$super = FlexApi::Session->new($node);
$super->value('SET client_min_messages = error');

# Those who cannot be sent take no tokens and no turns.
$super->value($_) for "ALTER SYSTEM SET flex_api.rate_limits = '$operations[0]->[0]=5'", 'SELECT pg_reload_conf()';
$super->value('TRUNCATE flex_outbox_requests');
$server->clear_notes;
enqueue('poor', 'AC' . 'f' x 32, $operations[0], 600, 'priority => 1000');
enqueue('quiet', $accounts[0], $operations[0], 1);
deliver('on');
ok(FlexApi::wait_until(sub { came('quiet') == 1 }, 120), 'no credentials: the quiet request is sent');
cmp_ok($super->value("SELECT count(*) FROM flex_outbox WHERE error_message IS NOT NULL"), '<=', 2 * $CONCURRENCY, '... and few of those that cannot be were tried');

$node->stop('immediate');
done_testing();
