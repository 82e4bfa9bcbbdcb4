# Whose credentials a request is sent with: those of the role that enqueued it,
# for the account that it had set, whoever sends it; and where they are missing
# it waits for them.

use strict;
use warnings;

use FlexApi;
use MIME::Base64;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($first, $second, $third) = map { 'AC' . $_ x 32 } 1 .. 3;
my $node = PostgreSQL::Test::Cluster->new('credentials');

# Answers anybody, and notes who asked.
my $server = FlexApi::Server->new(sub {
	my ($connection, $server) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		my ($basic) = $request->{head} =~ /^authorization: *basic (\S+)/mi;
		my ($who) = $request->{body} =~ /Identity=(\w+)/;
		$server->note("$who " . decode_base64($basic // ''));
		print $connection FlexApi::Server::answer('{"identity": "x"}', '201 Created') or return;
	}
});

sub write_credentials
{
	my (@lines) = @_;
	my $path = $node->data_dir . '/credentials';

	open(my $file, '>', $path) or die $!;
	print $file map { "$_\n" } @lines;
	close $file;
	chmod 0600, $path;
	return;
}

$node->init;
$node->append_conf('postgresql.conf', join("\n", "shared_preload_libraries = 'flex_api'", "flex_api.base_url = '" . $server->url . "'",
	"flex_api.credentials_file = 'credentials'", "flex_api.rate_limits = 'none'", 'fsync = off', 'log_min_messages = debug1', ''));
write_credentials("$first:alice:$first:alices1", "$second:alice:$second:alices2", "$first:bob:$first:bobs", "$third:*:$third:everybodys");
$node->start;
my $super = FlexApi::Session->new($node);
$super->value($_) for ('CREATE EXTENSION flex_api', 'CREATE ROLE alice LOGIN', 'CREATE ROLE bob LOGIN', 'CREATE ROLE carol LOGIN',
	'GRANT EXECUTE ON FUNCTION flex_enqueue, flex_webchat_create, flex_outbox_await, flex_outbox_retry TO PUBLIC',
	'GRANT EXECUTE ON PROCEDURE flex_outbox_drain TO PUBLIC');

sub enqueue
{
	my ($user, $account, $identity) = @_;
	my $session = FlexApi::Session->new($node, user => $user);
	$session->value("SET flex_api.account_sid = '$account'") if $account;
	return $session->value("SELECT flex_enqueue('flex_webchat_create', '{\"address_sid\": \"IG00000000000000000000000000000001\", \"identity\": \"$identity\"}')");
}

sub state_of { my ($id) = @_; return $super->value("SELECT concat_ws('|', state, error_code) FROM flex_outbox WHERE id = $id"); }
sub await { my ($id) = @_; return $super->value("SELECT state FROM flex_outbox_await($id, '10 s')"); }

# By the worker
my @ids = (enqueue('alice', $first, 'a1'), enqueue('alice', $second, 'a2'), enqueue('bob', $first, 'b1'), enqueue('carol', $third, 'c3'));
is(await($_), 'succeeded', 'sent by the worker') for @ids;
is_deeply([ sort $server->notes ], [ "a1 $first:alices1", "a2 $second:alices2", "b1 $first:bobs", "c3 $third:everybodys" ],
	'each with its role\'s and its account\'s credentials') or diag explain [ $server->notes ];

# Who has none waits, and keeps nobody from his
my $bob = enqueue('bob', $second, 'b2');
my $carol = enqueue('carol', $first, 'c1');
my $alice = enqueue('alice', $first, 'a3');
is(await($alice), 'succeeded', 'missing credentials keep nobody else waiting');
ok(FlexApi::wait_until(sub { state_of($_) eq 'pending|55000' }), '... the request without them waits') for $bob, $carol;
is($super->value("SELECT string_agg(attempts::text, ' ') FROM flex_outbox WHERE id IN ($bob, $carol)"), '0 0', '... no attempt is counted');
is($super->value("SELECT bool_and(run_at > now() + interval '10 s') FROM flex_outbox WHERE id IN ($bob, $carol)"), 't', '... for a while');
is(scalar($server->notes(qr/^(b2|c1)/)), 0, '... nothing was sent');
like($super->value("SELECT error_message FROM flex_outbox WHERE id = $bob"), qr/credential/, '... it says why');

# Once they are there it goes on
write_credentials("$second:bob:$second:bobs2", "$first:*:$first:all");
$super->value("UPDATE flex_outbox SET run_at = now() WHERE state = 'pending'");
$super->value('SELECT flex_outbox_wake()');
is(await($_), 'succeeded', 'it is sent once they are there') for $bob, $carol;
is_deeply([ sort $server->notes(qr/^(b2|c1)/) ], [ "b2 $second:bobs2", "c1 $first:all" ], '... with them');
is($super->value("SELECT count(*) FROM flex_outbox AS o WHERE error_message IS NOT NULL"), 0, '... and the complaint is gone');

# In a role's drain: not with the drainer's
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
$super = FlexApi::Session->new($node);
write_credentials("$first:alice:$first:alices1", "$first:bob:$first:bobs");
$server->clear_notes;
my $bobs = FlexApi::Session->new($node, user => 'bob');
@ids = (enqueue('alice', $first, 'a4'), enqueue('bob', $first, 'b4'));
$bobs->value("SET flex_api.account_sid = '$first'");
is($bobs->sqlstate('CALL flex_outbox_drain()'), '00000', 'a role\'s drain');
is_deeply([ sort $server->notes ], [ "a4 $first:alices1", "b4 $first:bobs" ], '... sends each with its own');
is($bobs->value('SELECT count(*) FROM flex_outbox WHERE arguments ->> \'identity\' = \'a4\''), 0, '... and shows the drainer his own only');

# Without an account of the enqueuing session's: the sender's
$server->clear_notes;
my $id = enqueue('alice', '', 'a5');
is($super->value("SELECT account_sid IS NULL FROM flex_outbox WHERE id = $id"), 't', 'an enqueue without an account');
is($bobs->sqlstate('CALL flex_outbox_drain()'), '00000', '... a drain by a role with one');
is_deeply([ $server->notes ], ["a5 $first:alices1"], '... uses that account, and the enqueuer\'s line') or diag state_of($id);

# No secret stands anywhere
my $log = slurp_file($node->logfile);
unlike($log, qr/alices|bobs2|everybodys/, 'no secret in the log');
is($super->value("SELECT count(*) FROM flex_outbox AS o WHERE o::text ~ 'alices|bobs|everybodys'"), 0, '... nor in the table');

$node->stop('fast');
done_testing();
