# A page's rows are found wherever they stand in it, a few at a time; and what is
# not JSON is refused wherever it is: compared with the server's own jsonb.

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

# The page to be sent stands in a file: the server is another process.
my $file = File::Temp->new;
my $server = FlexApi::Server->new(sub {
	my ($connection) = @_;
	while (FlexApi::Server::read_request($connection))
	{
		print $connection FlexApi::Server::answer(FlexApi::content($file->filename));
	}
});
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('pages', $simulator, 'flex_api.max_retries = 0');
my $session = FlexApi::Session->new($node);

$session->value("SET flex_api.base_url = '" . $server->url . "'");
# What the server itself makes of the same bytes
$session->value(<<'SQL');
CREATE FUNCTION by_jsonb(page text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT count(*) || ' ' || coalesce(string_agg(row ->> 'sid', ','), '')
		FROM jsonb_array_elements(page::jsonb -> (page::jsonb -> 'meta' ->> 'key')) AS row);
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$
SQL

my $LIST = "SELECT count(*) || ' ' || coalesce(string_agg(sid, ','), '') FROM flex_channels_list()";

# What the list makes of a page: "count sids", or an SQLSTATE.
sub rows
{
	my ($page, $list) = @_;

	open(my $handle, '>:raw', $file->filename) or die $!;
	print $handle $page;
	close $handle;
	my $result = $session->query($list // $LIST, 20);
	return $result->{error} ? $result->{error}->{C} : $result->{rows}->[0]->[0];
}

sub row { my ($number, $more) = @_; return sprintf '{"sid":"CH%d","account_sid":"AC"%s}', $number, $more // ''; }
sub rows_text { my ($count, $more) = @_; return join ',', map { row($_, $more) } 1 .. $count; }
sub sids { my ($count) = @_; return "$count " . join ',', map { "CH$_" } 1 .. $count; }

my $META = '"meta":{"key":"rows","next_page_url":null}';
my $long = ',"url":"' . 'x' x 3000 . '"';      # several rows a slice
my $longer = ',"url":"' . 'x' x 100_000 . '"'; # several slices a row

# Pages that are good: text and how many rows.
my @good = (
	[ 'meta first', "{$META,\"rows\":[" . rows_text(3) . ']}', 3 ],
	[ 'meta last', '{"rows":[' . rows_text(3) . "],$META}", 3 ],
	[ 'no rows', "{$META,\"rows\":[]}", 0 ],
	[ 'no rows, blanks', "{$META,\"rows\":[ \n\t ]}", 0 ],
	[ 'blanks everywhere', "\n { $META , \"rows\" : [ " . join(" ,\r\n", map { row($_) } 1 .. 3) . " \n] } \n", 3 ],
	[ 'other arrays about', "{\"a\":[1,[2,{\"rows\":[3]}]],$META,\"b\":[],\"rows\":[" . rows_text(3, $long) . "],\"c\":[{\"meta\":[4]},5]}", 3 ],
	[ 'arrays in the rows', "{$META,\"rows\":[" . rows_text(3, ',"x":[[1,2],[{"y":[]}]]') . ']}', 3 ],
	[ 'many slices', "{$META,\"rows\":[" . rows_text(100, $long) . ']}', 100 ],
	[ 'rows longer than a slice', "{$META,\"rows\":[" . rows_text(5, $longer) . ']}', 5 ],
	[ 'rows twice', "{$META,\"rows\":[" . row(7) . '],"rows":[' . rows_text(2) . ']}', 2 ],
	[ 'brackets in strings', "{$META,\"rows\":[" . rows_text(3, ',"url":"],[{\\"}"') . ']}', 3 ],
	[ 'long integers', "{$META,\"rows\":[" . rows_text(20, ',"x":123456789012345678901234567890' . $long) . ']}', 20 ],
	[ 'not ASCII', "{$META,\"rows\":[" . rows_text(20, ",\"url\":\"\xc3\xa4\xe2\x82\xac\"$long") . ']}', 20 ]);

foreach my $case (@good)
{
	my ($name, $page, $count) = @$case;

	is(rows($page), sids($count), $name);
}

# Pages that are not: whatever is wrong, also in rows that nobody asked for and in arrays that nobody reads.
my $whole = "{$META,\"rows\":[" . rows_text(50, $long) . ']}';
my %bad = (
	'a comma first' => "{$META,\"rows\":[," . row(1) . ']}',
	'a comma last' => "{$META,\"rows\":[" . row(1) . ',]}',
	'two commas' => "{$META,\"rows\":[" . row(1) . ',,' . row(2) . ']}',
	'two commas where a slice ends' => "{$META,\"rows\":[" . row(1, $longer) . ',,' . row(2, $longer) . ']}',
	'a comma alone' => "{$META,\"rows\":[,]}",
	'no comma' => "{$META,\"rows\":[" . row(1) . row(2) . ']}',
	'crossed brackets' => "{$META,\"rows\":[{\"sid\":[\"CH1\"}]]}",
	'crossed brackets at the end' => "{$META,\"rows\":[" . row(1) . '}}',
	'a colon in an array' => "{$META,\"rows\":[\"a\":1]}",
	'an array beside it' => "{$META,\"other\":[1 2],\"rows\":[" . row(1) . ']}',
	'an array behind it' => "{$META,\"rows\":[" . row(1) . '],"other":[{]}]}',
	'the array has no end' => "{$META,\"rows\":[" . row(1),
	'more behind the page' => "{$META,\"rows\":[" . row(1) . ']}{}',
	'rows that are no objects' => "{$META,\"rows\":[1]}",
	'rows that are arrays' => "{$META,\"rows\":[[]]}",
	'an array is the page' => '[' . row(1) . ']',
	'rows are an object' => "{$META,\"rows\":{\"rows\":[" . row(1) . ']}}',
	'key of nothing' => '{"meta":{"key":"none","next_page_url":null},"rows":[]}',
	'not UTF-8' => "{$META,\"rows\":[" . rows_text(20, ",\"url\":\"\xc3\"$long") . ']}',
	'not UTF-8 between the rows' => "{$META,\"rows\":[" . row(1) . "\xa0]}");

is(rows($bad{$_}), '08P01', "$_ is refused") foreach sort keys %bad;
is(rows($whole =~ s/CH50"/CH50"x/r, 'SELECT count(*) FROM flex_channels_list(max_rows => 10)'), '08P01', 'also in a row that nobody asked for');
is(rows($whole, 'SELECT count(*) FROM flex_channels_list(max_rows => 10)'), '10', 'which is not made where it is good');

# Pages with one byte changed, taken out or put in: never rows that the server would not find.
my %seen;
my @wrong;
my @marks = ('[', ']', '{', '}', ',', ':', '"', ' ', '1', '\\', 'n', "\x80", "\x01");

foreach my $try (1 .. 600)
{
	my $page = $try % 3 ? "{$META,\"rows\":[" . rows_text(4, ',"x":[1,{"y":null}]') . '],"other":[1,[2]]}' : $whole;
	my $position = int rand length $page;
	my $mark = $marks[ rand @marks ];

	substr($page, $position, int rand 2, rand() < 0.3 ? '' : $mark);
	my $ours = rows($page);
	my $quoted = $page =~ s/'/''/gr;
	# What the server takes for no text at all is no jsonb.
	my $theirs = $session->query("SELECT by_jsonb('$quoted')", 20);
	my $expected = $theirs->{error} ? $theirs->{error}->{C} : $theirs->{rows}->[0]->[0];

	$seen{ $ours =~ /^[0-9]+ / ? 'rows' : $expected =~ /^[0-9]+ / ? 'stricter' : 'refused' }++;
	push @wrong, "$try: $ours, not $expected" if $ours ne $expected && $ours ne '08P01';
}
is_deeply(\@wrong, [], 'no rows from a changed page but those that jsonb finds');
cmp_ok($seen{$_} // 0, '>', 20, "$seen{$_} of the changed pages: $_") foreach 'rows', 'refused';
note("stricter than jsonb: " . ($seen{stricter} // 0));

$node->stop;
done_testing;
