# Texts of the wire in databases of several encodings.  Behaviour: whatever bytes an
# answer's headers have, in names and values, what flex_request() makes of them is jsonb
# that can be dumped and restored; flex_api.unrepresentable = replace has U+FFFD, or "?",
# stand for what the database cannot hold, and error refuses it; what a refused argument
# shows is never half a character.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $SID = 'CH' . '1' x 32;
my @HEADERS = ("X-\xff\xfe: name is no text", "X-\xc3\xa9: name is UTF-8", "X-\xe3\x81\x82: \xe3\x81\x82", "X-Bytes: \xe9\xff",
	"X-Emoji: \xf0\x9f\x98\x80", "X-Escape: a\eb\"\\", "X-Half: \xed\xa0\x80", 'X-Long: ' . "\xc3\xa9" x 5000, 'X-Plain: plain');

# Bodies by path.
my %BODIES = (
	emoji => "{\"conversation_sid\":\"$SID\",\"identity\":\"a\xf0\x9f\x98\x80\xc3\xa9\"}",
	escaped => "{\"conversation_sid\":\"$SID\",\"identity\":\"a\\ud83d\\ude00\\u00e9\"}",
	zero => "{\"conversation_sid\":\"$SID\",\"identity\":\"a\\u0000b\"}",
	first => "{\"conversation_sid\":\"$SID\",\"identity\":\"a\\ud83db\"}",
	second => "{\"conversation_sid\":\"$SID\",\"identity\":\"\\uDE00\\ud83d\\ud83d\\ude00\"}",
	list => "{\"meta\":{\"key\":\"flex_flows\",\"next_page_url\":null},\"flex_flows\":[{\"friendly_name\":\"a\\u0000\\ud83d\"},{\"friendly_name\":\"\xf0\x9f\x98\x80\"}]}",
	name => "{\"sid\":\"$SID\",\"\\u0000\xf0\x9f\x98\x80\":[\"\xe3\x81\x82\\udfff\"],\"n\":123456789012345678901234567890}");

sub serve
{
	my ($connection) = @_;

	while (my $request = FlexApi::Server::read_request($connection))
	{
		my ($name) = "$request->{path} $request->{body}" =~ /answer_(\w+)/;

		print $connection $name eq 'headers' ? FlexApi::Server::answer('{}', '200 OK', @HEADERS) : FlexApi::Server::answer($BODIES{$name}, '201 Created');
	}
	return;
}

my $server = FlexApi::Server->new(\&serve);
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('encodings', $simulator, "flex_api.rate_limits = 'none'");
my $first = FlexApi::Session->new($node);

sub webchat { my ($name) = @_; return "flex_webchat_create('IG" . 'a' x 32 . "', identity => 'answer_$name')"; }

# What stands for an emoji and for "あ" in each, and for what no encoding has.
my %ENCODINGS = (
	UTF8 => { emoji => "\xf0\x9f\x98\x80", e => "\xc3\xa9", kana => "\xe3\x81\x82", gap => "\xef\xbf\xbd" },
	SQL_ASCII => { emoji => "\xf0\x9f\x98\x80", e => "\xc3\xa9", kana => "\xe3\x81\x82", gap => "\xef\xbf\xbd" },
	LATIN1 => { emoji => '?', e => "\xc3\xa9", kana => '?', gap => '?' },
	EUC_JP => { emoji => '?', e => "\xc3\xa9", kana => "\xe3\x81\x82", gap => '?' });

foreach my $encoding (sort keys %ENCODINGS)
{
	my ($emoji, $e, $kana, $gap) = @{ $ENCODINGS{$encoding} }{qw(emoji e kana gap)};
	my $database = "texts_\L$encoding";
	my $create = "TEMPLATE template0 ENCODING '$encoding' LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER libc";

	$first->value("CREATE DATABASE $database $create");
	my $session = FlexApi::Session->new($node, database => $database);
	$session->value('CREATE EXTENSION flex_api');
	$session->value("SET flex_api.base_url = '" . $server->url . "'");

	# Headers
	my $result = $session->query("CREATE TABLE kept AS SELECT headers FROM flex_request('GET', '/answer_headers')");
	ok(!$result->{error}, "$encoding: headers") or diag explain $result->{error};
	is($session->value("SELECT count(*) FROM kept WHERE headers::text::jsonb = headers"), 1, '... are jsonb that can be read again');
	my %headers = map { @$_ } @{ $session->query('SELECT key, value FROM kept, jsonb_each_text(headers)')->{rows} };
	is($headers{'x-plain'}, 'plain', '... the plain one');
	is($headers{'x-??'}, 'name is no text', '... a name that is no text') or diag explain [ sort keys %headers ];
	is($headers{"x-$e"}, 'name is UTF-8', '... a name that is');
	is($headers{'x-bytes'}, '??', '... a value that is no text');
	is($headers{'x-half'}, '???', '... nor is half a pair');
	is($headers{'x-emoji'}, $emoji, '... a value that is');
	is($headers{"x-$kana"}, $kana, '... in name and value') unless $kana eq '?';
	is($headers{'x-escape'}, "a\eb\"\\", '... a value is data, and not escaped');
	is($headers{'x-long'}, $e x 5000, '... nor cut');
	my $dump = "$PostgreSQL::Test::Utils::tmp_check/$database.sql";
	command_ok([ 'pg_dump', '-p', $node->port, '-h', $node->host, '-t', 'kept', '-f', $dump, $database ], "$encoding: dump");
	$first->value("CREATE DATABASE restored_$database $create");
	command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-p', $node->port, '-h', $node->host, '-f', $dump, "restored_$database" ], '... restore');
	my $restored = FlexApi::Session->new($node, database => "restored_$database");
	is($restored->value('SELECT headers FROM kept'), $session->value('SELECT headers FROM kept'), '... the same');

	# Characters that the database cannot hold
	my $holds = $emoji ne '?';
	my %expected = (emoji => $holds, escaped => $holds, zero => 0, first => 0, second => 0);
	foreach my $name (sort keys %expected)
	{
		$result = $session->query('SELECT identity FROM ' . webchat($name));
		my $error = $result->{error} // { C => '00000', D => '' };

		like($error->{C}, $expected{$name} ? qr/^00000$/ : $name =~ /emoji|escaped/ ? qr/^22P05$/ : qr/^08P01$/, "$encoding: $name: error");
		like($error->{D}, qr/answered HTTP status 201, SID $SID: the service has carried it out\.$/, '... with the SID') unless $expected{$name};
	}
	$session->value('SET flex_api.unrepresentable = replace');
	is($session->value('SELECT identity FROM ' . webchat('emoji')), "a$emoji$e", "$encoding: replace: emoji");
	is($session->value('SELECT identity FROM ' . webchat('escaped')), "a$emoji$e", '... as an escape');
	is($session->value('SELECT identity FROM ' . webchat('zero')), "a${gap}b", '... \u0000');
	is($session->value('SELECT identity FROM ' . webchat('first')), "a${gap}b", '... the first half of a pair');
	is($session->value('SELECT identity FROM ' . webchat('second')), "$gap$gap$emoji", '... second, first, whole');
	is($session->value("SELECT concat(body - 'n' - 'sid', ' ', body -> 'n') FROM flex_request('GET', '/answer_name')"),
		"{\"$gap$emoji\": [\"$kana$gap\"]} 123456789012345678901234567890", '... in jsonb, names too');
	is($session->value("SELECT string_agg(friendly_name, ', ') FROM flex_flows_list('answer_list')"), "a$gap$gap, $emoji", '... in a list');
	$session->value("SELECT flex_enqueue('flex_webchat_create', '{\"address_sid\": \"IG" . 'a' x 32 . "\", \"identity\": \"answer_$_\"}')") for qw(zero emoji);
	$session->value('CALL flex_outbox_drain()');
	is($session->value(q{SELECT string_agg(state || ' ' || sid || ' ' || (response ->> 'identity'), ', ' ORDER BY id) FROM flex_outbox}),
		"succeeded $SID a${gap}b, succeeded $SID a$emoji$e", '... in the outbox');

	# A refused value is shown, whole characters only: a client refuses halves.
	foreach my $pad (0 .. 3)
	{
		my $value = 'x' x $pad . "\xe3\x81\x82" x 300;
		$value =~ s/\xe3\x81\x82/\xc3\xa9/g if $encoding eq 'LATIN1';
		my $error = $session->query("SELECT flex_webchat_create('IG" . 'a' x 32 . "', identity => '$value')")->{error};
		is($error->{C}, '22023', "$encoding: a long value is refused as such, $pad bytes on") or diag explain $error;
		like($error->{M}, qr/: "x*((\xe3\x81\x82)+|(\xc3\xa9)+)\.\.\."$/, '... and shown');
	}
}

done_testing();
