# An answer to a POST says that it was carried out, and then cannot be read.  Behaviour:
# the error has method, path, status, request id and the SID that the service gave, and
# never another resource's; the outbox has them in columns, and the request has succeeded
# if there is a SID.  What the service sends shows no control characters in messages.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $OWN = 'CH' . '1' x 32;
my $OTHER = 'CH' . '2' x 32;
my $sid = "\"conversation_sid\":\"$OWN\"";

# Bodies of answers; the SQLSTATE of a direct call, and whether the SID is told.
my %ANSWERS = (
	'another_type' => [ "{$sid,\"identity\":7}", '08P01', 1 ],
	'another_type_before' => [ "{\"identity\":{},$sid}", '08P01', 1 ],
	'not_json' => [ "{$sid,\"identity\":NaN}", '08P01', 1 ],
	'not_json_before' => [ "{\"identity\":01,$sid}", '08P01', 1 ],
	'comma' => [ "{$sid,}", '08P01', 1 ],
	'cut' => [ "{$sid,\"identity\":\"a", '08P01', 1 ],
	'cut_in_sid' => [ '{"conversation_sid":"CH11', '08P01', 0 ],
	'zero' => [ "{$sid,\"identity\":\"a\\u0000b\"}", '08P01', 1 ],
	'half' => [ "{\"identity\":\"\\udc00\",$sid}", '08P01', 1 ],
	'no_utf8' => [ "{\"identity\":\"\xff\xfe\",$sid}", '08P01', 1 ],
	'zero_byte' => [ "{$sid,\"identity\":\"\0\"}", '08P01', 1 ],
	'large' => [ "{$sid,\"identity\":\"" . 'x' x 100_000 . '"}', '08P01', 1 ],
	'large_before' => [ '{"identity":"' . 'x' x 100_000 . "\",$sid}", '08P01', 0 ],
	'deep_before' => [ '{"identity":' . '[{"a":' x 500 . '1' . '}]' x 500 . ",$sid}", '08P01', 1 ],
	'too_deep_before' => [ '{"identity":' . '[' x 10_000 . ']' x 10_000 . ",$sid}", '08P01', 0 ],
	'more' => [ "{$sid}{}", '08P01', 1 ],
	'twice' => [ "{$sid,\"identity\":7,$sid}", '08P01', 1 ],
	'in_a_text' => [ "{\"identity\":\"\\\",\\\"conversation_sid\\\":\\\"$OTHER\\\",\",\"a\":NaN,$sid}", '08P01', 1 ],
	'in_an_object' => [ "{\"links\":{\"conversation_sid\":\"$OTHER\"},\"identity\":7}", '08P01', 0 ],
	'in_an_array' => [ "[{$sid}]", '08P01', 0 ],
	'two' => [ "{$sid,\"identity\":7,\"conversation_sid\":\"$OTHER\"}", '08P01', 0 ],
	'two_kinds' => [ "{$sid,\"conversation_sid\":7}", '08P01', 0 ],
	'number' => [ '{"conversation_sid":7}', '08P01', 0 ],
	'brackets' => [ "{\"a\":[},$sid}", '08P01', 0 ],
	'closed' => [ "{\"identity\":7},$sid}", '08P01', 0 ],
	'quotes' => [ "{\"identity\":\"x\"y\",$sid,\"z\":\"\"}", '08P01', 0 ],
	'no_comma' => [ "{\"identity\":7 $sid}", '08P01', 0 ],
	'other_name' => [ "{\"sid\":\"$OTHER\",\"identity\":7}", '08P01', 0 ],
	'no_sid' => [ '{"conversation_sid":"two words","identity":7}', '08P01', 0 ],
	'nothing' => [ '', '08P01', 0 ],
	'html' => [ '<html>Please log in</html>', '08P01', 0 ],
	'text' => [ '"CH"', '08P01', 0 ],
	'own' => [ "{\"sid\":\"$OTHER\",\"a\":NaN}", '08P01', 0 ]);
my $KD = 'KD' . '1' x 32;
my $CONTROL = "\e]0;pwned\a\r\n2026-01-01 LOG:  all is well\x7f \xc2\x9b31m";

# With one byte damaged, what stands elsewhere in it must not be taken for the SID.
my $DAMAGED = "{\"links\":{\"sid\":\"$OTHER\"},\"list\":[{\"sid\":\"$OTHER\"}],\"name\":\"a \\\"sid\\\":\\\"$OTHER\\\",\",\"sid\":\"$OWN\",\"n\":1}";
my @DAMAGES = ('', split //, '{}[]",:\\ 1');

# Answer with what the request's body names.
sub serve
{
	my ($connection) = @_;

	while (my $request = FlexApi::Server::read_request($connection))
	{
		my ($name) = $request->{body} =~ /answer_(\w+)/;
		if (my ($at, $damage) = $name =~ /^damaged_(\d+)_(\d+)$/)
		{
			my $body = $DAMAGED;

			substr($body, $at, 1) = $DAMAGES[$damage];
			print $connection FlexApi::Server::answer($body, '201 Created');
			next;
		}
		if ($name eq 'details')
		{
			print $connection FlexApi::Server::answer('{"message":"no","details":{"ab":"' . "\xc3\xa9" x 1000 . '"}}', '400 No');
			next;
		}
		my $body = $name eq 'interaction' ? "{\"sid\":\"$KD\",\"interaction_context_sid\":7}" : $ANSWERS{$name}->[0];

		print $connection $name eq 'control'
		  ? FlexApi::Server::answer('{"message":"' . $CONTROL =~ s/([\0-\x1f])/sprintf '\\u%04x', ord $1/ger . '"}', '400 No', "Twilio-Request-Id: RQ\e[1m")
		  : FlexApi::Server::answer($body, '201 Created', 'Twilio-Request-Id: RQ77');
	}
	return;
}

my $server = FlexApi::Server->new(\&serve);
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('carried_out', $simulator, 'flex_api.max_response_size = 64kB', "flex_api.rate_limits = 'none'");
my $session = FlexApi::Session->new($node);

sub arguments { my ($name) = @_; return "{\"address_sid\": \"IG" . 'a' x 32 . "\", \"identity\": \"answer_$name\"}"; }

sub webchat { my ($name) = @_; return "flex_webchat_create('IG" . 'a' x 32 . "', identity => 'answer_$name')"; }

# What the error of a POST must tell.
sub check_error
{
	my ($error, $state, $path, $sid, $name) = @_;
	my $outcome = $sid ? ", SID $sid: the service has carried it out" : ': the service may have carried it out';

	is($error ? $error->{C} : '00000', $state, "$name: SQLSTATE");
	like($error->{D} // '', qr{(^|\. )POST \Q$path\E answered HTTP status 201, request RQ77\Q$outcome\E\.$}, "$name: DETAIL");
	like($error->{H} // '', $sid ? qr/^Do not send it again: / : qr/before sending the request again/, "$name: HINT");
	return;
}

$session->value("SET flex_api.base_url = '" . $server->url . "'");
foreach my $name (sort keys %ANSWERS)
{
	my (undef, $state, $has_sid) = @{ $ANSWERS{$name} };

	check_error($session->query('SELECT ' . webchat($name))->{error}, $state, '/v2/WebChats', $has_sid ? $OWN : undef, $name);
}
check_error($session->query(q{SELECT flex_interaction_create('{"type": "answer_interaction"}')})->{error},
	'08P01', '/v1/Interactions', $KD, 'an interaction of another type');
check_error($session->query(q{SELECT flex_request('POST', '/v1/Anything', '{"A": "answer_own"}')})->{error},
	'08P01', '/v1/Anything', $OTHER, 'flex_request');
check_error($session->query(q{SELECT flex_request('POST', '/v2/WebChats', '{"A": "answer_not_json"}')})->{error},
	'08P01', '/v2/WebChats', $OWN, 'flex_request of what the catalogue has');
my $error = $session->query(q{SELECT flex_request('PUT', '/v1/Anything', '{"A": "answer_html"}')})->{error};
is("$error->{C} $error->{D}", '08P01 The body is not valid JSON.', 'what may be sent again has no such DETAIL');

# Every damage of one byte
$session->value(q{CREATE TABLE damaged (at int, damage int, sid text)});
$session->value(q{
DO $$
DECLARE
	detail text;
BEGIN
	FOR at IN 0 .. } . (length($DAMAGED) - 1) . q{ LOOP
		FOR damage IN 0 .. } . $#DAMAGES . q{ LOOP
			BEGIN
				PERFORM flex_request('POST', '/v1/Anything', jsonb_build_object('A', format('answer_damaged_%s_%s', at, damage)));
			EXCEPTION WHEN protocol_violation THEN
				GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
				INSERT INTO damaged VALUES (at, damage, substring(detail FROM 'SID ([^:]+): the service has'));
			END;
		END LOOP;
	END LOOP;
END $$}, 300);
is($session->value("SELECT count(*) FROM damaged WHERE sid LIKE '%22%'"), 0, 'no damage makes another SID the one');
cmp_ok($session->value("SELECT count(*) FROM damaged WHERE sid = '$OWN'"), '>', 50, 'and many leave it readable');
note($session->value("SELECT format('%s damages refused: %s with the SID, %s without', count(*), count(sid), count(*) - count(sid)) FROM damaged"));

# The outbox
$session->value(q{
	CREATE TABLE told (name text, sid text, response jsonb, state text);
	CREATE FUNCTION tell(request flex_outbox) RETURNS void LANGUAGE sql
		AS $$ INSERT INTO public.told VALUES (request.context ->> 'name', request.sid, request.response, request.state) $$});
$session->value("SELECT flex_enqueue('flex_webchat_create', '" . arguments($_) . "', '{\"name\": \"$_\"}', 'tell', 'tell')")
  foreach sort keys %ANSWERS;
$session->value(q{SELECT flex_enqueue('flex_interaction_create', '{"channel": {"type": "answer_interaction"}}', '{"name": "interaction"}', 'tell', 'tell')});
$session->value('CALL flex_outbox_drain()');
my %rows = map { $_->[0] => [ @$_[ 1 .. $#$_ ] ] } @{ $session->query(q{
	SELECT context ->> 'name', state, coalesce(sid, '-'), http_status, request_id, response IS NULL, coalesce(error_code, '-') FROM flex_outbox})->{rows} };
# The outbox keeps the body as it is: another type than a row's is none for it.
my %kept = map { $_ => 1 } qw(another_type another_type_before twice in_an_object in_an_array two two_kinds number other_name no_sid text);
foreach my $name (sort grep { $_ ne 'nothing' } keys %ANSWERS)
{
	my $has_sid = $ANSWERS{$name}->[2];
	my @expected = $kept{$name} ? ('succeeded', $has_sid ? $OWN : '-', 201, 'RQ77', 'f', '-')
	  : $has_sid ? ('succeeded', $OWN, 201, 'RQ77', 't', '08P01') : ('uncertain', '-', 201, 'RQ77', 't', '08P01');

	is_deeply($rows{$name}, \@expected, "$name: the outbox") or diag explain $rows{$name};
}
is_deeply($rows{interaction}, [ 'succeeded', $KD, 201, 'RQ77', 'f', '-' ], 'an interaction: the outbox');
is($session->value("SELECT error_message FROM flex_outbox WHERE context ->> 'name' = 'large'"), "the Flex API's answer is larger than 64 kB",
	'it says why it has no response');
is($session->value(q{SELECT count(*) FROM told JOIN flex_outbox AS o ON o.context ->> 'name' = told.name
	AND (o.sid, o.response, o.state) IS NOT DISTINCT FROM (told.sid, told.response, told.state)}),
	scalar(keys %rows), 'callbacks are told the same');
is($session->value("SELECT state FROM told WHERE name = 'large'"), 'succeeded', 'on_success runs for what has no response');

# What is cut is not cut within a character
$error = $session->query('SELECT ' . webchat('details'))->{error};
like($error->{D}, qr/\{"ab":"(\xc3\xa9){490,}$/, 'DETAIL is cut between characters');

# Control characters of the service's words
my $clean = '\x1b]0;pwned\x07\r\n2026-01-01 LOG:  all is well\x7f \x9b31m';
$error = $session->query('SELECT ' . webchat('control'))->{error};
is($error->{M}, $clean, 'a message has its control characters escaped');
unlike($error->{D}, qr/[\0-\x1f]/, 'DETAIL has none');
$session->value("SELECT flex_enqueue('flex_webchat_create', '" . arguments('control') . "', '{\"name\": \"control\"}')");
$session->value('CALL flex_outbox_drain()');
is($session->value("SELECT error_message FROM flex_outbox WHERE context ->> 'name' = 'control'"), $clean, 'nor has the outbox');
my $log = slurp_file($node->logfile);
unlike($log, qr/\e|\r|\xc2\x9b|^2026-01-01 LOG:  all/m, 'nor the log');
like($log, qr/\\x1b\]0;pwned/, 'where the message stands');

done_testing();
