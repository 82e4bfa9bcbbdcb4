# An answer becomes jsonb byte for byte as the server's own input makes it, and is
# taken or refused as that does; in memory that its size accounts for, and with
# interrupts served.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use File::Temp ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $SEED = $ENV{FLEX_SEED} // (time() * 1000) % 1_000_000;
note("seed $SEED; FLEX_SEED=$SEED repeats this run");
srand($SEED);

# The body to be sent stands in a file: the server is another process.
my $file = File::Temp->new;
chmod 0644, $file->filename;
my $server = FlexApi::Server->new(sub {
	my ($connection) = @_;
	while (FlexApi::Server::read_request($connection))
	{
		print $connection FlexApi::Server::answer(FlexApi::content($file->filename));
	}
});
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('jsonb', $simulator, 'flex_api.max_retries = 0');
my $session = FlexApi::Session->new($node);

# The bytes of a jsonb value, by a cast that changes nothing
$session->value('CREATE CAST (jsonb AS bytea) WITHOUT FUNCTION');
$session->value("SET flex_api.base_url = '" . $server->url . "'");
$session->value(<<'SQL');
CREATE FUNCTION ours() RETURNS jsonb LANGUAGE sql AS $$ SELECT body FROM flex_request('GET', '/v1/Anything') $$;
CREATE FUNCTION compared(document bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	our_state text := 'taken';
	their_state text := 'taken';
	detail text := '';
	our_value jsonb;
	their_value jsonb;
BEGIN
	BEGIN
		our_value := ours();
	EXCEPTION WHEN OTHERS THEN
		our_state := SQLSTATE;
		GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	END;
	BEGIN
		their_value := convert_from(document, 'UTF8')::jsonb;
	EXCEPTION WHEN OTHERS THEN
		their_state := SQLSTATE;
	END;
	IF our_state = 'taken' AND their_state = 'taken' THEN
		RETURN CASE WHEN our_value::bytea = their_value::bytea THEN 'same'
			ELSE format('other: %s, not %s', our_value::bytea, their_value::bytea) END;
	END IF;
	RETURN our_state || ' ' || their_state || ' ' || detail;
END $$;
SQL

sub serve
{
	my ($document) = @_;

	open(my $handle, '>:raw', $file->filename) or die $!;
	print $handle $document;
	close $handle;
	return;
}

# What comes of a document here and there: "same", or two SQLSTATEs and our error's detail.
sub compared
{
	my ($document) = @_;

	serve($document);
	return $session->value("SELECT compared('\\x" . unpack('H*', $document) . "')");
}

my $REFUSED = qr/^08P01 (?!taken)/;

# The kinds of the public JSONTestSuite, in cases of our own.
my @taken = ('[]', '{}', ' [] ', "\t\n\r[\t\n\r]\t\n\r", 'null', 'true', 'false', '0', '-0', '"a"', '""', '[""]', '[null]', '[1]',
	'[ 1 , 2 ]', '[1,null,null,null,2]', '[0]', '[-0]', '[-1]', '[123]', '[0e1]', '[0e+1]', '[0E-1]', '[1e2]', '[1E+2]', '[1E-2]', '[1e00]',
	'[123.456]', '[123.456e78]', '[-123.123e-100]', '[-0.000000000000000000000000000000000000001]', '[1.0]', '[1.10]', '[20e1]',
	'[' . '9' x 18 . ',' . '9' x 19 . ',' . '9' x 20 . ',-' . '9' x 18 . ',-' . '9' x 19 . ']', '[9223372036854775807,-9223372036854775808]',
	'{"":0}', '{"a":"b"}', '{"a":"b","a":"c"}', '{"a":"b","a":"b"}', '{"a":null,"a":true,"a":false}', '{"":null,"":true,"":false}',
	'{"a":[1,2,3],"a":1}', '{"b":1,"a":"x","b":[2]}', '{"min":-1.0e28,"max":1.0e28}', '{"aa":1,"b":2,"":3,"ab":4}', '{"x":[{"id":"y"}],"id":"z"}',
	'["a/*b*/c/*d//e"]', '["\u0060\u012a\u12AB"]', '["\ud801\udc37"]', '["\ud83d\ude39\ud83d\udc8d"]', '["\"\\\\\/\b\f\n\r\t"]',
	'["\\\\u0000"]', '["\\\\a"]', '["\u0012"]', '["\uFFFF\uFDD0"]', "[\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"]", '["\u002c"]', "[\"\x7f\"]",
	"[\"\xe2\x80\xa8\xe2\x80\xa9\"]", '{"\u0061":1,"a":2}', '{"a":{"b":{"c":[{},{},[],[[]]]}}}', '[[[[[[[[[[1]]]]]]]]]]',
	'[' x 128 . ']' x 128, '{"a":' x 127 . '{}' . '}' x 127,
	'[' . join(',', map { $_ % 3 ? $_ : "\"$_\"" } 1 .. 100) . ']', '{' . join(',', map { "\"k$_\":" . ($_ % 2 ? $_ : "\"$_\"") } 1 .. 100) . '}',
	'[1.7976931348623157e308,1e400,4.9e-324,1e131071,1e-16383]', '"' . 'x' x 100_000 . '"', '1' x 1000, '0.' . '1' x 1000);
my @refused = (' ', '[', ']', '{', '}', '[1', '[1,', '{"a"', '{"a":', '{"a":1', '{"a":1,', '"', '"a', '"\\', '"\\u', '"\\u00', '-', '[-]', '1.', '[1.]', '.1', '[1e]',
	'[1e+]', '[1E.3]', '[1.2a-3]', '[1.8011670033376514H-308]', '[0x1]', '[0xF]', '[01]', '[-01]', '[-012]', '[+1]', '[++1]', '[1+2]', '[1 000.0]', '[-1.0.]', '[0.3e]',
	'[0.3e+]', '[2.e3]', '[2.e+3]', '[0e]', '[-foo]', '[- 1]', '[-a]', '[1a]', '[1.1 .2]', '[-.1]', '[NaN]', '[-NaN]', '[nan]', '[Infinity]', '[-Infinity]', '[Inf]', '[tru]', '[fals]',
	'[nul]', '[True]', '[FALSE]', '[Null]', 'nulll', '[truefalse]', '[1 true]', '[1,,2]', '[,1]', '[1,]', '[1,,]', '[,]', '[1:2]', '["a":1]', '[1}', '{"a":1]', '[{]}', '["a",4', '[1]x', '[][]',
	'[]]', '{}}', '{}{}', '1 2', '"a" "b"', '[1][', '{"a"}', '{"a" 1}', '{"a","b"}', '{"a"::1}', '{:1}', '{1:1}', '{null:null}', '{a:1}', q({'a':1}), '{"a":1,}', '{,}', '{"a":1,,"b":2}', '{"a":1 "b":2}',
	'{"a":1}#', '{"a":1}/**/', '{"a":/*c*/1}', '{"a":1}//', '[/]', '{[1]}', '{{}}', '["\x"]', '["\a"]', '["\u12"]', '["\u123"]', '["\u123g"]', '["\u"]', '["\U0041"]', '["\\\\\\"]', '["\\",]',
	'["\ud800"]', '["\ud800a"]', '["\ud800\n"]', '["\ud800\ud800"]', '["\udc00"]', '["\udc00\ud800"]', '["\ud800\u0061"]', '["\u0000"]', '{"\u0000":1}', "[\"\n\"]", "[\"\t\"]", "[\"\x01\"]",
	"[\"\x1f\"]", "\x0c[]", "\xc2\xa0[]", "[\xe2\x81\xa0]", "\xef\xbb\xbf[]", "\xef\xbb\xbf", '<a>', "[\"a]", '[a', "['a']", '[*]', '[\u000A""]', '[1,' . "\x0c" . ']', 'a', '{"a":tru', '["",', '[{"":[',
	"[\"\xff\"]", "[\xff]", "[\"\xc3\"]", "[\"\xc0\xaf\"]", "[\"\xed\xa0\x80\"]", "[\"\xf4\x90\x80\x80\"]", "[\"\xe6\x97\xa5\xd1\"]", "[\"\x00\"]", "[]\x00", "\x00",
	'[' x 100_000, '{"":' x 100_000, '[1e400000]', '[-1e131072]', '[1e-16384]', '[1e99999999999999999999]', '[1.' . '9' x 20_000 . 'e400]', '9' x 200_000);
# A parser may take these, or not: what is taken is the same.
my @either = ('[' x 500 . ']' x 500, '[' x 129 . ']' x 129, '[0.4e00669999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999969999999006]',
	'[-1e+9999]', '[1.5e+9999]', '[123123e100000]', '[123e-10000000]', '[' . '1' x 100_000 . ']', '[100000000000000000000]', '[-237462374673276894279832749832423479823246327846]', "[\"\xef\xbf\xbf\"]", '["\uDBFF\uDFFE"]');

is(compared($_), 'same', 'taken: ' . substr($_, 0, 60) =~ s/[^ -~]/?/gr) foreach @taken;
like(compared($_), $REFUSED, 'refused: ' . substr($_, 0, 60) =~ s/[^ -~]/?/gr) foreach @refused;
like(compared($_), qr/^same|^08P01/, 'either: ' . substr($_, 0, 60)) foreach @either;

# A number that ends a body has no digits of the answer before.
compared('1' x 10);
is(compared('1e5'), 'same', 'a number ends where its body does');

# The error names the member.
is(compared('{"a": [{"b": 1, "c": {}}, {"b": [0, 1e400000]}], "d": 1}') =~ s/^\S+ \S+ //r, 'Member "a.b" has a number that PostgreSQL cannot store.', 'a number out of range is told with its member');
is(compared('[1, 1e400000]') =~ s/^\S+ \S+ //r, 'The body has a number that PostgreSQL cannot store.', '... or the body, where it is in none');

# What it shows of names is a text for a terminal: no control character, and not half a character.
my $told = 'has a number that PostgreSQL cannot store.';
is(compared('{"a\\u001b[2J\\n": {"\\u009b": 1e400000}}') =~ s/^\S+ \S+ //r, "Member \"a\\x1b[2J\\n.\\x9b\" $told", '... with escapes for control characters');
is(compared('{"x' . "\xc3\xbc" x 150 . '": 1e400000}') =~ s/^\S+ \S+ //r, 'Member "x' . "\xc3\xbc" x 99 . "\" $told", '... and clipped between characters');

# Random documents
sub text { my ($most) = @_; return join '', map { ('a' .. 'e', '\n', '\u00e9', "\xc3\xbc", '\ud83d\ude00', ' ', '\\\\')[ rand 11 ] } 1 .. rand $most; }

sub number
{
	my ($kind) = int rand 6;

	return int rand 10 if $kind == 0;
	return int(rand 2e9) - int(1e9) if $kind == 1;
	return '-' . join '', 1 + int rand 9, map { int rand 10 } 1 .. rand 40 if $kind == 2;
	return int(rand 100) . '.' . join '', map { int rand 10 } 0 .. rand 30 if $kind == 3;
	return int(rand 100) . 'e' . (int(rand 100) - 50) if $kind == 4;
	return '0.' . '0' x rand(10) . int rand 1000;
}

sub document
{
	my ($depth) = @_;
	my $kind = int rand($depth > 0 ? 9 : 5);
	my $count = rand() < 0.1 ? rand 150 : rand 6;

	return (qw(null true false))[ rand 3 ] if $kind < 1;
	return number() if $kind < 3;
	return '"' . text(12) . '"' if $kind < 5;
	return '[' . join(rand() < 0.5 ? ',' : " ,\n", map { document($depth - 1) } 1 .. $count) . ']' if $kind < 7;
	return '{' . join(',', map { '"' . text(4) . '":' . document($depth - 1) } 1 .. $count) . '}';
}

my %seen;
my @wrong;
foreach my $try (1 .. 700)
{
	my $document = document(5);
	substr($document, rand length $document, int rand 3) = ('[', ']', '{', '}', ',', ':', '"', '1', '\\', "\x80", '')[ rand 11 ] if $try % 3 == 0;
	next if $document eq ''; # no body is NULL
	my $outcome = compared($document);

	$seen{ $outcome eq 'same' ? 'same' : 'refused' }++;
	push @wrong, "$document: $outcome" unless $outcome eq 'same' || $outcome =~ $REFUSED;
}
is_deeply(\@wrong, [], 'random documents');
cmp_ok($seen{$_} // 0, '>', 100, "$seen{$_} of them: $_") foreach qw(same refused);

done_testing;
