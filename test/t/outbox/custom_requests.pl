# flex_request in the outbox: what has no function is delivered as everything else is.
# Behaviour: sent with parameters, body and headers as a direct call would; repeated as its
# method allows; a POST that may have been carried out is uncertain, also when its sender is
# killed; rights, rates and pauses are those of the function.

use strict;
use warnings;

use FindBin;
use lib 'test/perl', "$FindBin::RealBin/../../crash";
use FlexApi;
use JSON::PP;
use Outbox;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('custom', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.timeout = '30s'",
	"flex_api.rate_limits = 'none'", 'restart_after_crash = on');
my $session = FlexApi::Session->new($node);
my $json = JSON::PP->new->canonical;

$session->value('CREATE TABLE answered (id bigint, state text, response jsonb)');
$session->value(q{CREATE FUNCTION note(request flex_outbox) RETURNS void LANGUAGE sql
	AS 'INSERT INTO public.answered VALUES (request.id, request.state, request.response)'});

sub enqueue_request
{
	my ($arguments, $more) = @_;
	my $text = $json->encode($arguments);

	return $session->value("SELECT flex_enqueue('flex_request', '$text', on_success => 'note', on_failure => 'note'" . ($more // '') . ')');
}

sub row
{
	my ($id) = @_;
	return $session->query("SELECT state, http_status, error_code, attempts, response FROM flex_outbox WHERE id = $id")->{rows}->[0];
}

sub ends
{
	my ($id, $state, $name) = @_;
	return ok(reaches($session, $id, $state), $name) || diag(join ' ', map { $_ // 'null' } @{ row($id) });
}

# Whole: method, path, query, form, JSON, headers.
$simulator->post('faults', { path => '/v1/Anything', status => 200, body => '{"sid": "XX1"}', times => -1 });
my $form = enqueue_request({ method => 'POST', path => '/v1/Anything?q=1', parameters => { A => 'a b', L => [ 1, 'two' ], N => undef }, headers => { 'X-Mine' => 'me' } });
ends($form, 'succeeded', 'a form is sent');
my $body = enqueue_request({ method => 'PUT', path => '/v1/Anything', parameters => { P => 1 }, body => [ { b => JSON::PP::true } ] });
ends($body, 'succeeded', 'a body is sent');
my @sent = $simulator->requests;
is_deeply([ map { "$_->{method} $_->{path}?" . ($_->{query} // '') . " $_->{body}" } @sent ],
	[ 'POST /v1/Anything?q=1 A=a+b&L=1&L=two', 'PUT /v1/Anything?P=1 ' . $sent[1]{body} ], 'as a direct call would');
is_deeply(JSON::PP->new->decode($sent[1]{body}), [ { b => JSON::PP::true } ], 'JSON is the body');
is($sent[0]{headers}{'x-mine'}, 'me', 'a header of one\'s own');
like($sent[0]{headers}{authorization}, qr/^Basic /, 'beside the credentials');
is(row($form)->[4], '{"sid": "XX1"}', 'the answer is kept');
is($session->value("SELECT response ->> 'sid' FROM answered WHERE id = $form"), 'XX1', 'and given to the callback');
$simulator->clear_faults;

# By method: 5xx is tried again for a GET; for a POST it is the end, and a lost answer uncertain.
my @cases = (
	[ 'GET', { status => 503 }, 'succeeded', 2 ], [ 'DELETE', { cut_at => 0 }, 'succeeded', 2 ], [ 'POST', { status => 503 }, 'failed', 1 ],
	[ 'POST', { cut_at => 0, after => JSON::PP::true }, 'uncertain', 1 ], [ 'PATCH', { cut_at => 0 }, 'uncertain', 1 ],
	[ 'PUT', { cut_at => 0 }, 'succeeded', 2 ], [ 'POST', { status => 429 }, 'succeeded', undef ]);
foreach my $case (@cases)
{
	my ($method, $fault, $state, $times) = @$case;

	$simulator->clear_requests;
	$simulator->post('faults', [ { path => '/v1/Case', times => 1, %$fault }, { path => '/v1/Case', status => 200, body => '{}', times => 1 } ]);
	my $id = enqueue_request({ method => $method, path => '/v1/Case' });
	ends($id, $state, "$method, " . $json->encode($fault) . ": $state");
	is(scalar $simulator->requests, $times, 'sent so many times') if defined $times;
	$simulator->clear_faults;
}
is($session->value("SELECT count(*) FROM answered WHERE state IN ('failed', 'uncertain')"), 3, 'callbacks for those that failed or are uncertain');
is($session->value("SELECT string_agg(DISTINCT error_code, ' ') FROM flex_outbox WHERE state = 'uncertain'"), '08007', 'an uncertain one says so');

# Its sender is killed while the service works: by method, too.
$simulator->clear_requests;
$simulator->post('faults', [ { path => '/v1/Slow', delay_ms => 60_000, times => 2 }, { path => '/v1/Slow', status => 200, body => '{}', times => -1 } ]);
my $get = enqueue_request({ method => 'GET', path => '/v1/Slow' });
my $post = enqueue_request({ method => 'POST', path => '/v1/Slow' });
ok(FlexApi::wait_until(sub { (grep { $_->{path} eq '/v1/Slow' } $simulator->requests) == 2 }), 'both are being sent');
my ($worker) = workers($session);
kill 'KILL', $worker;
# The server ends all sessions, and begins anew.
ok(FlexApi::wait_until(sub { my $result = eval { $session->query('SELECT') }; !defined $result || $result->{closed} }), 'the session is gone');
ok(FlexApi::wait_until(sub { $session = eval { FlexApi::Session->new($node) } }), 'the server is up again');
ends($post, 'uncertain', 'a POST whose sender was killed is uncertain');
ends($get, 'succeeded', 'a GET is sent again');

# Rights are the function's.
$session->value('CREATE ROLE plain; GRANT EXECUTE ON FUNCTION flex_enqueue TO plain');
$session->value('SET ROLE plain');
my $refused = "SELECT flex_enqueue('flex_request', '{\"method\": \"GET\", \"path\": \"/v1/X\"}')";
is($session->sqlstate($refused), '42501', 'EXECUTE on flex_request is needed');
$session->value('RESET ROLE; GRANT EXECUTE ON FUNCTION flex_request TO plain; SET ROLE plain');
is($session->sqlstate($refused), '00000', 'and enough');
$session->value('RESET ROLE');

# A rate of its own.
is($session->sqlstate("SET flex_api.rate_limits = 'flex_request=5'"), '00000', 'flex_api.rate_limits knows it');

$node->stop;
done_testing;
