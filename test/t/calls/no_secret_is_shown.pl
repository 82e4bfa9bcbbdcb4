# Secrets: the credentials file gives each role its own, a session forgets what it
# should, and no log, view, plan or error has a secret in it.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use File::Temp qw(tempdir);
use IO::Select;
use MIME::Base64 qw(decode_base64 encode_base64);
use POSIX qw(mkfifo);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $A = 'AC' . 'a' x 32;
my $B = 'AC' . 'b' x 32;
my $directory = tempdir(CLEANUP => 1);
my $path = "$directory/credentials";

# Note the credentials that come, and answer.
sub serve
{
	my ($connection, $server) = @_;

	while (my $request = FlexApi::Server::read_request($connection))
	{
		my @lines = $request->{head} =~ /^authorization: *(.*?)\r?$/mig;
		$server->note(join ' + ', map { /^Basic (\S+)$/ ? decode_base64($1) : $_ } @lines);
		print $connection FlexApi::Server::answer('{}');
	}
	return;
}

my $server = FlexApi::Server->new(\&serve);
my ($libraries) = PostgreSQL::Test::Utils::run_command([ 'pg_config', '--pkglibdir' ]);
my $preload = -r "$libraries/pg_stat_statements.so";
my $node = PostgreSQL::Test::Cluster->new('secrets');
$node->init;
$node->append_conf('postgresql.conf', <<"CONF");
flex_api.base_url = '@{[ $server->url ]}'
flex_api.credentials_file = '$path'
log_statement = none
log_min_messages = debug5
CONF
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_stat_statements'") if $preload;
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION flex_api;
CREATE ROLE one LOGIN;
CREATE ROLE two LOGIN;
CREATE ROLE "th:re\e" LOGIN;
CREATE ROLE monitor LOGIN IN ROLE pg_monitor;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO PUBLIC;
SQL

# Write the credentials file, readable by its owner only.
sub write_file
{
	my ($text, $mode) = @_;

	unlink $path;
	open(my $file, '>:raw', $path) or die $!;
	print $file $text;
	close $file;
	chmod $mode // 0600, $path;
	return;
}

# The credential that a call of a session brings, or its error's SQLSTATE.
sub used
{
	my ($session) = @_;

	$server->clear_notes;
	my $state = $session->sqlstate(q{SELECT status FROM flex_request('GET', '/')});
	return $state eq '00000' ? join(' / ', $server->notes) : $state;
}

sub session { my ($user) = @_; return FlexApi::Session->new($node, $user ? (user => $user) : ()); }

my $super = session();
my $one = session('one');
my $two = session('two');

# What file is taken.
write_file("$A:*:$A:secret-1\n");
is(used($super), "$A:secret-1", 'a file of mode 0600');
is(used($one), "$A:secret-1", 'role * is for all');
foreach my $mode (0400, 0640, 0604, 0620, 0666, 0644)
{
	chmod $mode, $path;
	is(used($super), $mode == 0400 ? "$A:secret-1" : '55000', sprintf 'mode %04o, in a session that had read it', $mode);
}
my $error = $super->query(q{SELECT status FROM flex_request('GET', '/')})->{error};
like("$error->{M} $error->{H}", qr/credentials_file.*0600/, 'the error says what to do');
unlike(join(' ', %$error), qr/secret-1/, 'and not what is in the file');
foreach my $case ([ 'account_sid', "$A:secret-1" ], [ 'api_key', "$A:secret-1" ], [ 'base_url', "https://$A:secret-1\@flex-api.twilio.com" ])
{
	my ($name, $value) = @$case;

	$error = $super->query_with('SELECT set_config($1, $2, false)', "flex_api.$name", $value)->{error};
	like("$error->{C} $error->{M} $error->{D}", qr/^22023 invalid value for parameter "flex_api.$name" [CT]/, "a secret within flex_api.$name is refused");
	unlike(join(' ', %$error), qr/secret-1/, 'and not shown');
}

unlink $path;
is(used($super), '55000', 'a missing file');
mkdir $path;
is(used($super), '55000', 'a directory');
rmdir $path;
mkfifo($path, 0600) or die $!;
$super->send_query(q{SELECT status FROM flex_request('GET', '/')});
ok(IO::Select->new($super->{socket})->can_read(5 * FlexApi::slowness()), 'a pipe is not waited for')
  or do { open(my $pipe, '+<', $path); };
is($super->receive->{error}->{C}, '55000', 'and refused');
unlink $path;
symlink('/dev/null', $path);
is(used($super), '55000', 'a link to a device');
unlink $path;
write_file("$A:*:$A:secret-1\n");
rename $path, "$path.real";
symlink("$path.real", $path);
is(used($super), "$A:secret-1", 'a link to a good file');
chmod 0644, "$path.real";
is(used($super), '55000', 'a link to a bad one');
unlink $path;
symlink('/etc/passwd', $path);
is(used($super), '55000', 'somebody else\'s file');
unlink $path;

# How lines are read.
write_file("# a comment\n\n#$A:*:$A:wrong\nnonsense\n$A:one:$A:first\r\n$A:one:$A:second\r\n"
	  . "$A:th\\:re\\\\e:$A:s\\:e\\\\c:r:et\n$A:*:$A:last line without an end");
is(used($one), "$A:first", 'the first line that fits, without the line\'s end');
is(used($two), "$A:last line without an end", 'the last line');
is(used(session('th:re\\e')), "$A:s:e\\c:r:et", 'backslashes before colons and backslashes');

# An API key and an auth token of one role: calls use the key, whichever comes first.
write_file("$A:one:$A:token\n$A:one:SK1:secret\n$A:two:SK2:secret\n$A:two:$A:token\n$A:*:SK3:secret\n");
is(used($one), 'SK1:secret', 'a key behind the token');
is(used($two), 'SK2:secret', 'a key before the token');
write_file("$A:one:$A:token\n$A:*:SK3:secret\n");
is(used($one), "$A:token", 'a role\'s own line goes before the key of all');
is(used($two), 'SK3:secret', '... which the others have');
write_file("$A:one:$A:token\n$B:one:SK4:secret\n");
is(used($one), '55000', 'a key of another account is not guessed');

# A null byte would cut the secret.
write_file("$A:two:$A:other\n$A:one:$A:half\0secret\n");
is(used($one), '55000', 'a file with a null byte');
$error = $one->query(q{SELECT status FROM flex_request('GET', '/')})->{error};
like("$error->{M} $error->{H}", qr/null byte.*credentials_file/, '... says so');
unlike(join(' ', %$error), qr/half/, '... without the secret');

# Whose lines.
write_file("$A:one:SK1:one-secret\n$B:two:SK2:two-secret\n");
is(used($one), 'SK1:one-secret', 'a role gets its line');
is(used($two), 'SK2:two-secret', 'another gets its own');
is(used($super), '55000', 'a superuser that has none gets none');
$super->value('SET ROLE one');
is(used($super), 'SK1:one-secret', 'SET ROLE switches');
$super->value('SET ROLE two');
is(used($super), 'SK2:two-secret', 'and switches');
$super->value('RESET ROLE');
is(used($super), '55000', 'and back');
$one->value("SET flex_api.account_sid = '$B'");
is(used($one), '55000', 'account_sid does not lead to another\'s line');
$one->value('RESET flex_api.account_sid');
$super->value(q{CREATE FUNCTION as_two() RETURNS integer SECURITY DEFINER LANGUAGE sql AS
	$$SELECT status FROM flex_request('GET', '/')$$; ALTER FUNCTION as_two OWNER TO two});
$server->clear_notes;
$one->value('SELECT as_two()');
is(join(' ', $server->notes), 'SK2:two-secret', 'a SECURITY DEFINER function spends its owner\'s');
is(used($one), 'SK1:one-secret', 'and the caller its own again');

# Several accounts.
write_file("$A:*:$A:of-a\n$B:*:$B:of-b\n");
is(used($one), '55000', 'two accounts: not guessed');
$one->value("SET flex_api.account_sid = '$B'");
is(used($one), "$B:of-b", 'flex_api.account_sid picks one');
$one->value("SET flex_api.account_sid = '$A'");
is(used($one), "$A:of-a", 'and the other');
$one->value("SET flex_api.account_sid = 'AC" . 'c' x 32 . "'");
is(used($one), '55000', 'and none that is not there');
$one->value('RESET flex_api.account_sid');

# A file that changes.
write_file("$A:*:$A:before\n");
is(used($one), "$A:before", 'before a change');
write_file("$A:*:$A:after!\n");
is(used($one), "$A:after!", 'after a change of the same length');
my $times = (stat $path)[9];
write_file("$A:*:$A:again!\n");
utime $times, $times, $path;
is(used($one), "$A:again!", 'also when the file\'s time was put back');
write_file("$A:two:$A:again!\n");
is(used($one), '55000', 'a line that is gone');
unlink $path;
is(used($two), '55000', 'a file that is gone');

# A relative path starts at the data directory.
write_file("$A:*:$A:relative\n");
rename $path, $node->data_dir . '/flex.credentials' or die $!;
$super->value("SET flex_api.credentials_file = 'flex.credentials'");
is(used($super), "$A:relative", 'a relative path');
is($one->sqlstate("SET flex_api.credentials_file = '/x'"), '42501', 'an ordinary role cannot name a file');

# Settings: token or key, and what forgets them.
$super->value('RESET flex_api.credentials_file');
is(used($super), '55000', 'no credentials');
$super->value("SET flex_api.account_sid = '$A'; SET flex_api.auth_token = 'token-1'");
is(used($super), "$A:token-1", 'account and token');
$super->value("SET flex_api.api_key = 'SK1'; SET flex_api.api_secret = 'secret-2'");
is(used($super), 'SK1:secret-2', 'with a token and a key, the key');
$super->value('RESET flex_api.auth_token');
is(used($super), 'SK1:secret-2', 'key and secret');
$super->value('RESET flex_api.api_secret');
is(used($super), '55000', 'a key alone');
$super->value('DISCARD ALL');
write_file("$A:*:$A:file-3\n");
is(used($super), "$A:file-3", 'after DISCARD ALL the file counts');
$super->value("SET flex_api.account_sid = '$A'; SET flex_api.auth_token = 'token-4'");
is(used($super), "$A:token-4", 'settings go before the file');
$super->value('RESET ALL');
is(used($super), "$A:file-3", 'and RESET forgets them');
$super->value("BEGIN; SET LOCAL flex_api.account_sid = '$A'; SET LOCAL flex_api.auth_token = 'token-5'");
is(used($super), "$A:token-5", 'for a transaction');
$super->value('ROLLBACK');
is(used($super), "$A:file-3", 'and no longer');

# Now nothing may show: a session with all that can happen, at log level debug5.
my $TOKEN = 'very-secret-token-6';
my $WRONG = 'very-secret-token-7';
my $BEARER = 'very-secret-bearer-8';
my $CONF = 'very-secret-token-9';
my @secrets = ($TOKEN, $WRONG, $BEARER, $CONF, map { encode_base64("$FlexApi::ACCOUNT:$_", '') } $TOKEN, $WRONG, $CONF);
my $secret = join '|', map { quotemeta } @secrets;
my $simulator = FlexApi::Simulator->new('--token', $TOKEN);
my $mute = FlexApi::Server->new(sub { sleep 1000 });
my @texts;

# Run something; keep whatever the client gets to see of it.
sub see
{
	my ($session, $sql) = @_;
	my $result = $session->query($sql);
	my $text = join ' ', map { $_ // '' } %{ $result->{error} // {} }, map({ %$_ } @{ $result->{notices} }),
	  map({ map { $_ // '' } @$_ } @{ $result->{rows} });

	push @texts, $text;
	my $shown = $sql =~ /$secret/ ? 'a call with an Authorization' : $sql;
	unlike($text, qr/$secret/, "nothing secret in the answer to: $shown");
	return $result;
}

my $GET = 'SELECT sid FROM flex_channels_list(max_rows => 1)';
my $POST = "SELECT conversation_sid FROM flex_webchat_create('IG" . 'a' x 32 . "')";
my @calls = ($GET, $POST, "SELECT flex_channel_delete('CH" . '9' x 32 . "')",
	"SELECT * FROM flex_request('POST', '/v1/Nothing')", "EXPLAIN (VERBOSE, ANALYZE, SETTINGS) $GET",
	"SELECT flex_channel_delete('nonsense')");

write_file("$FlexApi::ACCOUNT:*:$FlexApi::ACCOUNT:$TOKEN\n");
$super->value("SET client_min_messages = debug5; SET flex_api.base_url = '" . $simulator->url . "'; SET flex_api.timeout = '2s'");
is($super->sqlstate($GET), '00000', 'the credentials are good');
see($super, $_) foreach @calls;
foreach my $fault ({ cut_at => 0 }, { cut_at => 100 }, { status => 401, message => 'no' }, { status => 500, shape => 'html' },
	{ body => 'nonsense' }, { nested => 1000 })
{
	$simulator->clear_faults;
	$simulator->post('faults', { %$fault, times => -1 });
	see($super, $_) foreach $GET, $POST;
}
$simulator->clear_faults;
write_file("$FlexApi::ACCOUNT:*:$FlexApi::ACCOUNT:$WRONG\n");
is(see($super, $GET)->{error}->{C}, 'TW401', 'wrong credentials');
see($super, $_) foreach @calls;
$super->value("SET flex_api.base_url = '" . $mute->url . "'");
foreach my $sql ($GET, $POST)
{
	$super->send_query($sql);
	my $seen = FlexApi::Session->new($node, user => 'monitor');
	FlexApi::wait_until(sub { $seen->value('SELECT wait_event_type FROM pg_stat_activity WHERE pid = ' . $super->pid) // '' eq 'Extension' });
	see($seen, 'SELECT * FROM pg_stat_activity');
	$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $super->pid . ')');
	my $cancelled = $super->receive->{error};
	is($cancelled->{C}, '57014', 'cancelled');
	unlike(join(' ', %$cancelled), qr/$secret/, 'nothing secret in that');
	$seen->close;
}
$super->value("SET flex_api.base_url = 'https://127.0.0.1:" . $simulator->port . "'");
see($super, $_) foreach $GET, $POST;

# A secret in the server's configuration: not for monitors.
$node->append_conf('postgresql.conf', "flex_api.account_sid = '$FlexApi::ACCOUNT'\nflex_api.auth_token = '$CONF'");
$node->restart;
my $monitor = session('monitor');
$monitor->query($GET);    # loads the library
see($monitor, $_) foreach 'SHOW ALL', 'SHOW flex_api.auth_token', q{SELECT current_setting('flex_api.auth_token')},
  q{SELECT * FROM pg_settings WHERE name LIKE 'flex%'}, 'SELECT * FROM pg_file_settings', 'SELECT * FROM pg_stat_activity', $GET,
  q{SELECT * FROM pg_backend_memory_contexts};
$super = session();

# The Authorization argument of Insights.
SKIP:
{
	skip 'no Insights functions here', 8
	  unless $super->value("SELECT count(*) FROM pg_proc WHERE proname = 'flex_insights_segments_list'");
	$super->value("SET flex_api.base_url = '" . $server->url . "'; SET log_min_error_statement = panic");
	foreach my $value ("Bearer $BEARER", "Bearer $BEARER\x01", "Bearer $BEARER\r\nX: y")
	{
		see($super, "SELECT * FROM flex_insights_segments_list(\"authorization\" => '$value')");
	}
	$server->clear_notes;
	$super->query("SELECT * FROM flex_insights_segments_list(\"authorization\" => 'Bearer $BEARER')");
	like(join(' ', $server->notes), qr/^(Bearer \Q$BEARER\E ?)+$/, 'it goes in the place of the configured one');

	# As README says: a bound parameter stands in no statement, and is logged up to log_parameter_max_length.
	my $bound = 'SELECT FROM flex_insights_user_roles_fetch("authorization" => $1)';
	$super->value("SET log_statement = 'all'; SET log_min_duration_statement = 0; SET log_min_error_statement = error;
		SET log_parameter_max_length = 0; SET log_parameter_max_length_on_error = 0");
	is($super->query_with($bound, "Bearer $BEARER")->{error}, undef, 'as a bound parameter');
	is($super->query_with($bound, "Bearer $BEARER\n")->{error}->{C}, '22023', '... and in a statement that fails');
	like(FlexApi::content($node->logfile), qr/\Q$bound\E.*ERROR:  invalid value for argument "authorization".*STATEMENT:  \Q$bound\E/s,
		'the statements are logged, as they were');
	see(session('monitor'), 'SELECT query FROM pg_stat_activity');
}

SKIP:
{
	skip 'no pg_stat_statements', 2 unless $preload;
	$super->value('CREATE EXTENSION pg_stat_statements');
	cmp_ok($super->value('SELECT count(*) FROM pg_stat_statements'), '>', 0, 'pg_stat_statements has something');
	unlike($super->value(q{SELECT string_agg(query, ' ') FROM pg_stat_statements}), qr/$secret/, 'but no secret');
}

# As long as nobody wrote a secret into a statement, the log has none.
$_->close foreach $super, $one, $two, $monitor;
$node->stop;
my $log = FlexApi::content($node->logfile);
my @found = grep { /$secret/ } split /\n/, $log;
is(scalar @found, 0, 'no secret in the server\'s log') or note map { substr($_, 0, 300) . "\n" } @found;
note(sprintf 'looked through %d kB of log and %d answers', length($log) / 1024, scalar @texts);
cmp_ok(length $log, '>', 50_000, 'which was the log of level debug5');
done_testing();
