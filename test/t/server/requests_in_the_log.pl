# flex_api.log_activity: a line for each request, or for each that did not succeed, with what the
# service's support asks for, and with nothing of the arguments, the statement or a secret.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('activity', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'", 'fsync = off',
	'log_statement = none', 'log_min_error_statement = error', 'log_error_verbosity = verbose', "flex_api.log_activity = 'failures'");
my $session = FlexApi::Session->new($node);
my $at = -s $node->logfile;
my $CHAT = q{flex_webchat_create('IG00000000000000000000000000000001', identity => 'hush')};
my $ABSENT = 'CH' . '9' x 32;

# The lines since this was last asked for, all of the log with them, and words that stand for what varies.
sub lines
{
	my $text = substr(slurp_file($node->logfile), $at);
	my @lines = $text =~ /LOG:  00000: Flex API request: (.*)$/mg;

	$at = -s $node->logfile;
	s/request_id=RQ\w+/request_id=RQ/, s/ms=\d+\.\d{3}/ms=N/, s/(bytes_\w+)=[1-9]\d*/$1=N/g,
	  s/(result=lost .* bytes_sent)=\w+/$1=?/ foreach @lines;    # of those libcurl does not always know
	return ($text, @lines);
}

$session->value("SELECT * FROM $CHAT");
my ($text, @lines) = lines();
is_deeply(\@lines, [], 'failures: what succeeds has no line');
is($session->sqlstate("SELECT flex_channel_fetch('$ABSENT')"), 'TW404', 'a refusal');
($text, @lines) = lines();
is_deeply(\@lines, ['operation=flex_channel_fetch way=call method=GET path=/v1/Channels/{Sid} result=refused status=404 request_id=RQ ms=N attempt=1 bytes_sent=0 bytes_received=N'], 'has one');
is(scalar(() = $text =~ /STATEMENT/g), 1, '... whose statement is the error\'s alone');

$session->value(q{SET flex_api.log_activity = 'all'});
$simulator->post('faults', { fault => '503', method => 'GET' });
$simulator->post('faults', { fault => 'lost_answer', method => 'POST' });
$session->value('SELECT count(*) FROM flex_flows_list()');
$session->sqlstate("SELECT * FROM $CHAT");
($text, @lines) = lines();
is_deeply(\@lines, [
	'operation=flex_flows_list way=list method=GET path=/v1/FlexFlows result=failed status=503 request_id=RQ ms=N attempt=1 bytes_sent=0 bytes_received=N',
	'operation=flex_flows_list way=list method=GET path=/v1/FlexFlows result=succeeded status=200 request_id=RQ ms=N attempt=2 bytes_sent=0 bytes_received=N',
	'operation=flex_webchat_create way=call method=POST path=/v2/WebChats result=lost status=0 request_id=- ms=N attempt=1 bytes_sent=? bytes_received=0' ],
	'all: each attempt has a line') or diag(explain \@lines);

# Arguments, of all that could show them
$session->value("SET client_min_messages = log");
my $result = $session->query(qq{SELECT * FROM flex_request('POST', '/v2/WebChats', '{"AddressSid": "IG00000000000000000000000000000001", "Identity": "hush"}')});
$session->query(q{DO $$BEGIN PERFORM 'hush', count(*) FROM flex_channels_list(); END$$});
$session->value(q{SELECT count(*) FROM flex_call_many('flex_webchat_create', '{"{\"address_sid\": \"IG00000000000000000000000000000001\", \"identity\": \"hush\"}"}')});
($text, @lines) = lines();
is(scalar(@lines), 3, 'other ways have lines, too');
unlike($text, qr/hush|IG0000|test-token|AC0000|CONTEXT|STATEMENT/, '... without an argument, a statement, a context or a secret');
like($lines[0], qr/^operation=flex_request way=request method=POST path=- /, 'a path that was an argument is not told');
is(scalar(grep { $_->{M} =~ /Flex API request/ } @{ $result->{notices} }), 1, 'a session that asks for it has the line, too');

# What the service says is no line of its own
$simulator->post('faults', { headers => { 'Twilio-Request-Id' => 'RQ1 operation=forged' }, times => 1 });
$session->value("SELECT count(*) FROM flex_flows_list()");
($text, @lines) = lines();
unlike($text, qr/operation=forged/, 'the service\'s words are one word');

# The worker's
$node->append_conf('postgresql.conf', "flex_api.log_activity = 'all'");
$node->reload;
$session->value('RESET flex_api.log_activity');
ok(FlexApi::wait_until(sub { $session->value('SHOW flex_api.log_activity') eq 'all' }), 'the server logs all');
my $id = $session->value(q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001", "identity": "hush"}')});
is($session->value("SELECT state FROM flex_outbox_await($id, '60 s')"), 'succeeded', 'the worker sends');
($text, @lines) = lines();
like(join("\n", @lines), qr/way=outbox method=POST path=\/v2\/WebChats result=succeeded status=201 /, '... and logs');
is($session->value('SELECT rolsuper FROM pg_roles WHERE rolname = current_user'), 't', 'a superuser');
$session->value('CREATE ROLE plain; SET ROLE plain');
is($session->sqlstate('SET flex_api.log_activity = off'), '42501', 'a plain role cannot switch it off');

$session->close;
$node->stop;
done_testing();
