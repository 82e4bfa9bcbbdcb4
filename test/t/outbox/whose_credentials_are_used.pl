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
		$server->note(($who // 'nobody') . ' ' . decode_base64($basic // ''));
		if (($who // '') =~ /^denied/)
		{
			print $connection FlexApi::Server::answer('{"message": "Authenticate"}', '401 Unauthorized') or return;
			next;
		}
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

# Refused, it waits, and says whose they were and where they stand
my $denied = enqueue('bob', $first, 'denied1');
ok(FlexApi::wait_until(sub { $super->value("SELECT concat_ws('|', state, http_status) FROM flex_outbox WHERE id = $denied") eq 'pending|401' }), 'refused credentials make it wait');
is($super->value("SELECT error_message FROM flex_outbox WHERE id = $denied"),
	"Authenticate. It was made as $first, from line 3 of the file named by flex_api.credentials_file.", '... are named by their line');
is($super->value("SELECT concat_ws('|', cause, requests, role) FROM flex_stat_holds"), 'TW401|1|bob', '... and are seen as what it waits for');
is($super->value("SELECT flex_outbox_cancel($denied)"), '', '... it can be cancelled');
my $bobs_call = FlexApi::Session->new($node, user => 'bob');
$bobs_call->value("SET flex_api.account_sid = '$first'");
for my $time ('first', 'second')
{
	my $error = $bobs_call->query("SELECT flex_webchat_create('IG00000000000000000000000000000001', identity => 'denied2')")->{error};
	like("$error->{M} $error->{D}", qr/ It was made as $first, from line 3 of the file named by flex_api\.credentials_file\.$/, "... by a direct call for the $time time");
}
$server->clear_notes;

# A role without credentials waits, and other roles' requests do not
my $bob = enqueue('bob', $second, 'b2');
my $carol = enqueue('carol', $first, 'c1');
my $alice = enqueue('alice', $first, 'a3');
is(await($alice), 'succeeded', 'missing credentials keep nobody else waiting');
ok(FlexApi::wait_until(sub { state_of($_) eq 'pending|55000' }), '... the request without them waits') for $bob, $carol;
is($super->value("SELECT string_agg(attempts::text, ' ') FROM flex_outbox WHERE id IN ($bob, $carol)"), '0 0', '... no attempt is counted');
is($super->value("SELECT bool_and(run_at > now() + interval '10 s') FROM flex_outbox WHERE id IN ($bob, $carol)"), 't', '... for a while');
is(scalar($server->notes(qr/^(b2|c1)/)), 0, '... nothing was sent');
like($super->value("SELECT error_message FROM flex_outbox WHERE id = $bob"), qr/credential/, '... it says why');
is(scalar(() = PostgreSQL::Test::Utils::slurp_file($node->logfile) =~ /WARNING: .*requests of the Flex API outbox wait for an operator\n.*DETAIL: .*the credentials file has no line for role.*\n.*HINT: .*flex_api\.credentials_file/g), 1,
	'... and so does the log, once a minute');

# Once they are there it goes on, by itself
write_credentials("$second:bob:$second:bobs2", "$first:*:$first:all");
is(await($_), 'succeeded', 'it is sent once they are there') for $bob, $carol;
is_deeply([ sort $server->notes(qr/^(b2|c1)/) ], [ "b2 $second:bobs2", "c1 $first:all" ], '... with them');
is($super->value("SELECT count(*) FROM flex_outbox AS o WHERE error_message IS NOT NULL AND id <> $denied"), 0, '... and the complaint is gone');

# In a role's drain: not with the drainer's
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
$super = FlexApi::Session->new($node);
write_credentials("$first:alice:$first:alices1", "$first:bob:$first:bobs");
$server->clear_notes;
my $bobs = FlexApi::Session->new($node, user => 'bob');
@ids = (enqueue('alice', $first, 'a4'), enqueue('bob', $first, 'b4'));
is($bobs->sqlstate('CALL flex_outbox_drain()'), '00000', 'a role\'s drain');
is_deeply([ sort $server->notes ], [ "a4 $first:alices1", "b4 $first:bobs" ], '... sends each with its own');
is($bobs->value('SELECT count(*) FROM flex_outbox WHERE arguments ->> \'identity\' = \'a4\''), 0, '... and the drainer sees no other role\'s');

# Without an account of the enqueuing session's: the server's or the database's
$server->clear_notes;
write_credentials("$first:alice:$first:alices1", "$second:alice:$second:alices2", "$first:bob:$first:bobs");
my $id = enqueue('alice', '', 'a5');
is($super->value("SELECT account_sid IS NULL FROM flex_outbox WHERE id = $id"), 't', 'an enqueue without an account');
$bobs->value("SET flex_api.account_sid = '$second'");
is($bobs->sqlstate('CALL flex_outbox_drain()'), '00000', '... a drain by a plain role that has set one');
is(scalar($server->notes), 0, '... which does not choose among the enqueuer\'s');
$super->value("UPDATE flex_outbox_later SET due_at = now()");
$super->value("ALTER DATABASE postgres SET flex_api.account_sid = '$first'");
$bobs = FlexApi::Session->new($node, user => 'bob');
is($bobs->sqlstate('CALL flex_outbox_drain()'), '00000', '... a drain in a database that has one');
is_deeply([ $server->notes ], ["a5 $first:alices1"], '... uses that account, and the enqueuer\'s line') or diag state_of($id);
$super->value('ALTER DATABASE postgres RESET flex_api.account_sid');
$bobs = FlexApi::Session->new($node, user => 'bob');

# Not with credentials that a plain role has set in its session, nor to where it says: they would be everybody's
my %own = ('flex_api.auth_token' => 'bobs', 'flex_api.api_key' => "SK$first", 'flex_api.api_secret' => 'bobs',
	'flex_api.account_sid' => $second, 'flex_api.edge' => 'dublin', 'flex_api.region' => 'ie1');
foreach my $names ([ 'flex_api.api_key', 'flex_api.api_secret' ], map { [$_] } sort keys %own)
{
	$server->clear_notes;
	enqueue('alice', $first, 'a6');
	$bobs->value("SET $_ = '$own{$_}'") for @$names;
	is($bobs->sqlstate('CALL flex_outbox_drain()'), '00000', "a drain by a plain role that has set @$names");
	is_deeply([ $server->notes ], ["a6 $first:alices1"], '... does not send with that');
	$bobs->value("RESET $_") for @$names;
}
foreach my $name (sort keys %own)
{
	$server->clear_notes;
	enqueue('alice', $first, 'a6');
	my $session = FlexApi::Session->new($node, user => 'bob', options => "-c $name=$own{$name}");
	is($session->sqlstate('CALL flex_outbox_drain()'), '00000', "a drain by a plain role that has $name of its connection options");
	enqueue('alice', $first, 'a6');
	$super->value("SET client_min_messages = error; ALTER ROLE bob SET $name = '$own{$name}'");
	$session = FlexApi::Session->new($node, user => 'bob');
	is($session->sqlstate('CALL flex_outbox_drain()'), '00000', "... and of ALTER ROLE");
	$super->value("ALTER ROLE bob RESET ALL; RESET client_min_messages");
	is_deeply([ $server->notes ], [ ("a6 $first:alices1") x 2 ], '... does not send with that');
}
# a superuser may do so
$super->value("SET flex_api.account_sid = '$first'; SET flex_api.auth_token = 'supers'");
$id = enqueue('alice', $first, 'a7');
is($super->sqlstate('CALL flex_outbox_drain()'), '00000', 'a superuser may send with the session\'s');
is_deeply([ $server->notes(qr/^a7/) ], ["a7 $first:supers"], '... and does');
$super->value('RESET ALL');

# A file that cannot be read is no failure of the requests', whatever the reason: they wait,
# with as many attempts before them as they had
my $file = $node->data_dir . '/credentials';
my $folder = $node->data_dir . '/folder';
my $once = q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001", "identity": "once"}', max_attempts => 1)};
my $alices = FlexApi::Session->new($node, user => 'alice');
$alices->value("SET flex_api.account_sid = '$first'");
mkdir $folder or die $!;
symlink("$folder/loop", "$folder/loop") or die $!;
system('cp', '-p', $file, "$folder/credentials") == 0 or die;
# a file that is ours alone, and whose reading fails
my $unreadable = "/proc/self/mem";
my %path_of = (
	'is not there' => "$folder/nothing", 'is under a file' => "$file/credentials", 'is a loop of links' => "$folder/loop",
	'is a folder' => $folder, 'has too long a name' => "$folder/" . 'x' x 300,
	'is in a folder that is closed' => "$folder/credentials");
$path_of{'gives an error when it is read'} = $unreadable if -o $unreadable && ((stat _)[2] & 0077) == 0;
foreach my $why (sort keys %path_of)
{
	$server->clear_notes;
	$id = $alices->value($once);
	chmod 0, $folder if $why =~ /closed/;
	$super->value("SET flex_api.credentials_file = '$path_of{$why}'");
	is($super->sqlstate('CALL flex_outbox_drain()'), '00000', "a credentials file that $why");
	chmod 0700, $folder;
	is($super->value("SELECT concat_ws('|', state, error_code, attempts, run_at > now() + interval '10 s') FROM flex_outbox WHERE id = $id"),
		'pending|55000|0|t', '... makes the request wait');
	like($super->value("SELECT error_message FROM flex_outbox WHERE id = $id"), qr/could not (open|read) credentials file|not a regular file/, '... and says so');
	$super->value('RESET flex_api.credentials_file');
	$super->value("UPDATE flex_outbox_later SET due_at = now() WHERE id = $id");
	is($super->sqlstate('CALL flex_outbox_drain()'), '00000', '... one that is good');
	is(state_of($id) . '|' . join(' ', $server->notes), "succeeded|once $first:alices1", '... has it sent, by its only attempt');
}

# What is wrong in the file is found while it is open: it is closed all the same
write_credentials("$first:alice:$first:half\0secret");
$id = $alices->value($once);
my $drained = $super->query('CALL flex_outbox_drain()');
is_deeply([ $drained->{error}, grep { $_->{V} ne 'NOTICE' } @{ $drained->{notices} } ], [undef], 'a credentials file with a null byte leaves no file open') or diag explain $drained;
is(state_of($id), 'pending|55000', '... and makes the request wait');
write_credentials("$first:alice:$first:alices1", "$first:bob:$first:bobs");
$super->value("UPDATE flex_outbox_later SET due_at = now() WHERE id = $id");
is($super->sqlstate('CALL flex_outbox_drain()'), '00000', '... until it has none');
is(state_of($id), 'succeeded', '... and then it is sent');

# Nor is it one when the sender has too little memory to make the request
SKIP:
{
	skip 'the sanitizers do not bear it', 6 if $ENV{FLEX_SLOW_BUILD};
	skip 'no prlimit', 6 if system('prlimit --version >/dev/null 2>&1') != 0;

	my $short = FlexApi::Session->new($node);
	$super->value('GRANT EXECUTE ON FUNCTION flex_configuration_update TO alice');
	$server->clear_notes;
	# what a drain needs at all it has already, also to make a request wait
	write_credentials("$first:alice:$first:half\0secret");
	$id = $alices->value($once);
	$short->value('CALL flex_outbox_drain()');
	write_credentials("$first:alice:$first:alices1", "$first:bob:$first:bobs");
	$super->value("UPDATE flex_outbox_later SET due_at = now() WHERE id = $id");
	$short->value('CALL flex_outbox_drain()');
	is(scalar($server->notes), 1, 'a sender that has memory');
	# of its text there must be several copies
	$id = $alices->value(q{SELECT flex_enqueue('flex_configuration_update', jsonb_build_object('body',
		jsonb_build_object('account_sid', 'AC' || repeat('0', 32), 'attributes', jsonb_build_object('x', repeat('"', 1900000)))), max_attempts => 1)});
	my $most = FlexApi::status_of($short->pid, 'VmData') * 1024 + 5 * 1024 * 1024;
	system('prlimit', '--pid', $short->pid, "--data=$most:") == 0 or die 'prlimit';
	is($short->sqlstate('CALL flex_outbox_drain()'), '00000', '... and one that has not');
	is($super->value("SELECT concat_ws('|', state, error_code, attempts, run_at > now() + interval '10 s') FROM flex_outbox WHERE id = $id"),
		'pending|53200|0|t', '... makes the request wait');
	is(scalar($server->notes), 1, '... unsent');
	system('prlimit', '--pid', $short->pid, '--data=unlimited:') == 0 or die 'prlimit';
	$super->value("UPDATE flex_outbox_later SET due_at = now() WHERE id = $id");
	is($short->sqlstate('CALL flex_outbox_drain()'), '00000', '... until it has');
	is($super->value("SELECT concat_ws('|', state, attempts) FROM flex_outbox WHERE id = $id"), 'succeeded|1', '... and then it is sent');
}

# Those of the database are named as such
$super->value("ALTER DATABASE postgres SET flex_api.$_") for "account_sid = '$first'", "auth_token = 'x'";
my $denied_call = FlexApi::Session->new($node)->query("SELECT flex_webchat_create('IG00000000000000000000000000000001', identity => 'denied3')");
like($denied_call->{error}{D}, qr/ It was made as $first, from flex_api\.auth_token, which the server or the database has set\.$/, 'the database\'s token');

# No secret stands anywhere
my $log = slurp_file($node->logfile);
unlike($log, qr/alices|bobs2|everybodys/, 'no secret in the log');
is($super->value("SELECT count(*) FROM flex_outbox AS o WHERE o::text ~ 'alices|bobs|everybodys'"), 0, '... nor in the table');

$node->stop('fast');
done_testing();
