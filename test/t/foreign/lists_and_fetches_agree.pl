# Rows of a list are made as those of fetches are, which are read in another way: objects of
# all kinds, in a page and each by itself, give the same columns, or the same error.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use File::Temp qw(tempdir);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $SEED = $ENV{FLEX_SEED} // (time() * 1000) % 1_000_000;
my $PAGES = 250;
note("seed $SEED; FLEX_SEED=$SEED repeats this run");
srand($SEED);

# What is answered stands in files: a page, and objects by their key.
my $directory = tempdir(CLEANUP => 1);
my $server = FlexApi::Server->new(sub {
	my ($connection) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		my ($key) = $request->{path} =~ m{^/v1/Channels/(\w+)};
		print $connection FlexApi::Server::answer(FlexApi::content("$directory/" . ($key // 'page')));
	}
});
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('agree', $simulator, 'flex_api.max_retries = 0');

sub put { my ($name, $text) = @_; open(my $file, '>:raw', "$directory/$name") or die $!; print $file $text; close $file; return; }

# A session in a database of an encoding, with a table that has a column of each type.
sub session
{
	my ($database, $encoding) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE template0 ENCODING $encoding LC_COLLATE 'C' LC_CTYPE 'C'");
	$node->safe_psql($database, 'CREATE EXTENSION IF NOT EXISTS flex_api');
	my $session = FlexApi::Session->new($node, database => $database);
	$session->value($_) foreach "SET client_encoding = $encoding",
	  "CREATE SERVER s FOREIGN DATA WRAPPER flex_api OPTIONS (account_sid '$FlexApi::ACCOUNT', base_url '" . $server->url . "')",
	  "CREATE USER MAPPING FOR PUBLIC SERVER s OPTIONS (auth_token '$FlexApi::TOKEN')",
	  'CREATE FOREIGN TABLE every (sid text, t text, b boolean, i integer, l bigint, d double precision, z timestamptz, ' .
	  "j jsonb, other text OPTIONS (column_name 'ou'), t2 text) SERVER s OPTIONS (resource 'channels')",
	  "SET timezone = 'UTC'";
	return $session;
}

my @sessions = map { session(lc $_, $_) } qw(UTF8 LATIN1 SQL_ASCII);

sub pick { return $_[ rand @_ ]; }

my @BLANKS = ('', '', '', ' ', "\n\t", "\r\n  ");
sub blanks { return pick(@BLANKS); }

my @TEXTS = ('', 'a', 'x' x 40, 'eight by', 'sixteen bytes, x', "\xc3\xa4\xc3\xb6", "\xe2\x82\xac", '\\u00e4\\n', '\\"\\\\"' =~ s/"$//r, '\\/\\b\\f', '\\ud83d\\ude00',
	'[{]},:', 'y' x 300, '2020-02-29T12:00:00Z');
my @RARE = ('\\u0000', '\\ud800', '\\udc00x', "\xf0\x9f\x98\x80");

sub text { return '"' . join('', map { rand() < 0.01 ? pick(@RARE) : pick(@TEXTS) } 1 .. 1 + int rand 3) . '"'; }

sub any
{
	my ($depth) = @_;
	my $kind = int rand($depth < 3 ? 9 : 7);

	return pick('null', 'null', 'true', 'false') if $kind == 0;
	return pick(0, -1, 12, '1.5', '-0', '1e3', '2147483648', '9223372036854775807', '9223372036854775808', '1e400', '12345678901234567890.5') if $kind < 3;
	return text() if $kind < 7;
	return '[' . blanks() . join(',', map { blanks() . any($depth + 1) . blanks() } 1 .. int rand 4) . ']' if $kind == 7;
	return '{' . join(',', map { blanks() . name() . blanks() . ':' . any($depth + 1) } 1 .. int rand 4) . blanks() . '}';
}

my %GOOD = (
	t => \&text, t2 => \&text, ou => \&text, j => sub { any(0) }, z => sub { pick('"2020-02-29T12:00:00Z"', '"2016-08-01T22:10:40.25+02:00"', '"2020-02-29\\u005412:00:00Z"') },
	b => sub { pick('true', 'false') }, i => sub { pick(0, -2147483648, 2147483647, 7) }, l => sub { pick(-9223372036854775808, '9223372036854775807', 7) },
	d => sub { pick('1.5', '1e300', 7, '-0.0', '3E-5') });
my @NAMES = sort keys %GOOD;

sub name
{
	my $name = pick(@NAMES, 'x', 'sid2', '');

	$name =~ s/^(.)/sprintf '\\u%04x', ord $1/e if rand() < 0.05;
	return "\"$name\"";
}

# Mostly members as the columns are, in order or not, one twice or missing, one of another type, and some that no column has.
sub object
{
	my ($key) = @_;
	my @names = rand() < 0.5 ? @NAMES : sort { rand() <=> 0.5 } @NAMES;
	my @members = map { "\"$_\"" . blanks() . ':' . blanks() . (rand() < 0.1 ? 'null' : rand() < 0.01 ? any(0) : $GOOD{$_}->()) } grep { rand() < 0.9 } @names;

	splice(@members, rand @members, 0, name() . ':' . any(1)) if @members && rand() < 0.1;
	splice(@members, rand @members, 0, '"more":' . any(0)) if @members && rand() < 0.5;
	return '{' . join(blanks() . ',' . blanks(), @members, "\"sid\":\"$key\"") . blanks() . '}';
}

# Rows as texts, or the error.
sub outcome
{
	my ($session, $query) = @_;
	my $result = $session->query($query, 20);

	return { error => join('|', @{ $result->{error} }{qw(C M D)}) } if $result->{error};
	return { rows => [ map { join('|', map { $_ // 'NULL' } @$_) } @{ $result->{rows} } ] };
}

# What the page must give, by what its objects give: what is wrong with a body comes before what is wrong with a row.
sub expected
{
	my (@outcomes) = @_;

	foreach my $first (qr/The body is/, qr/The body has/, qr/./)
	{
		foreach my $outcome (@outcomes)
		{
			return $outcome if defined $outcome->{error} && $outcome->{error} =~ $first;
		}
	}
	return { rows => [ map { @{ $_->{rows} } } @outcomes ] };
}

my (%seen, @wrong, @unlike);
foreach my $number (1 .. $PAGES)
{
	my $session = pick(@sessions[ 0, 0, 1, 2 ]);
	my @keys = map { sprintf "CH%032x", $_ } 1 .. 1 + int rand 6;
	my %objects = map { $_ => object($_) } @keys;
	my $columns = rand() < 0.3 ? join(', ', grep { rand() < 0.4 } 't', 'b', 'j', 'd', 'other', 'sid') || 'sid' : '*';
	my @parts = ('"meta":{"key":"rows","next_page_url":null}', '"rows":[' . blanks() . join(blanks() . ',' . blanks(), @objects{@keys}) . ']', '"more":[{"t":"u"}]');

	if (rand() < 0.03)
	{
		my $object = \$objects{ $keys[ rand @keys ] };
		$$object =~ s/"t2"/"t\xe42"/ and $parts[1] = '"rows":[' . join(',', @objects{@keys}) . ']';
	}
	put($_, $objects{$_}) foreach @keys;
	put('page', '{' . join(',', $number % 3 ? @parts[ 0, 1 ] : sort { rand() <=> 0.5 } @parts) . '}');
	$session->value("SET flex_api.unrepresentable = " . pick('error', 'error', 'replace'));
	my $expected = expected(map { outcome($session, "SELECT $columns FROM every WHERE sid = '$_'") } @keys);
	my $list = outcome($session, "SELECT $columns FROM every");
	my $again = outcome($session, 'SELECT count(DISTINCT (SELECT array_agg(every::text)::text FROM every WHERE g > 0)) FROM generate_series(1, 3) g');

	$seen{ $list->{error} ? ($list->{error} =~ /^(\S+?)\|.*\|(The body|Member)/ ? "$1 $2" : substr($list->{error}, 0, 5)) : 'rows' }++;
	push @wrong, { page => $number, columns => $columns, list => $list, expected => $expected } unless eq_hash($list, $expected);
	push @unlike, { page => $number, again => $again } if $again->{rows} && $again->{rows}[0] ne '1';
}
is_deeply(\@wrong, [], 'a list gives what fetches give') or diag explain $wrong[0];
is_deeply(\@unlike, [], '... and the same when it is read again') or diag explain $unlike[0];
cmp_ok($seen{$_} // 0, '>', 2, "$_: " . ($seen{$_} // 0) . ' pages') foreach 'rows', '08P01 The body', '08P01 Member', '22P05';

# More rows than are noted while a page is checked, and elements that are none among them.
sub put_rows { my (@rows) = @_; put('page', '{"meta":{"key":"rows","next_page_url":null},"rows":[' . join(',', @rows) . ']}'); return; }

my $session = $sessions[0];
my @many = map { "{\"l\":$_,\"t\":\"x\\u0061$_\"}" } 1 .. 40_000;
my $sums = 'SELECT count(*), sum(l), count(*) FILTER (WHERE t = \'xa\' || l) FROM every';
put_rows(@many);
is_deeply(outcome($session, $sums), { rows => ['40000|800020000|40000'] }, 'more rows than are noted');
is_deeply(outcome($session, "SELECT DISTINCT s FROM generate_series(1, 3) g, LATERAL ($sums WHERE g > 0) s"), { rows => ['(40000,800020000,40000)'] }, '... again and again');
is_deeply(outcome($session, 'SELECT count(*) FROM every'), { rows => ['40000'] }, '... without a column');
splice(@many, 5000, 0, '7');
put_rows(@many);
$session->value($_) foreach 'BEGIN', 'DECLARE c CURSOR FOR SELECT l FROM every';
is_deeply(outcome($session, 'FETCH 5000 FROM c'), { rows => [ 1 .. 5000 ] }, 'rows before an element that is no object');
is(outcome($session, 'FETCH 1 FROM c')->{error}, "08P01|could not understand the Flex API's answer|An object was expected.", '... which is an error');
$session->value('ROLLBACK');

$node->stop;
done_testing;
