# What a parameter's pattern, enumeration, format or length does not allow is
# refused before anything is sent; so is what could change the path's resource,
# a NULL where a value must be, and a body that is no object.  What is just
# within the rules is sent.
#
# The rules are read from the published documents' facts, for all parameters of
# all operations; only the lengths, which the documents tell in words, stand here.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::RealBin/../../perl", "$FindBin::RealBin/../../reference";
use FlexApi;
use FlexCases;
use FlexFacts qw(json_text);
use Test::More;

my $facts = FlexFacts->new;
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('refusals', $simulator);
$node->safe_psql('postgres', "CREATE DATABASE facts ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0");
$node->safe_psql('facts', 'CREATE EXTENSION flex_api');
my $session = FlexApi::Session->new($node, database => 'facts');

my %MOST_CHARACTERS = map { $_ => 256 } qw(identity chat_friendly_name chat_user_friendly_name customer_friendly_name);
my %MOST_BYTES = map { $_ => 16384 } qw(pre_engagement_data post_engagement_data);
my $checked = 0;

sub bytes { my ($text) = @_; utf8::encode($text) if utf8::is_utf8($text); return $text; }

# A test's name, whatever value is in it.
sub one_line { my ($text) = @_; $text =~ s/([\x00-\x1f\x7f-\x{10ffff}])/sprintf '\\x{%x}', ord $1/ge; return $text; }

# The call with one argument replaced, by its SQL expression.
sub call_with
{
	my ($operation, $parameter, $expression) = @_;
	my $arguments = FlexCases::arguments($facts, $operation, 'minimal');

	delete $arguments->{ $parameter->{sql} };
	my $call = $facts->call($operation, $arguments);
	my $comma = $call =~ /\(\)$/ ? '' : ', ';
	$call =~ s/\)$/$comma"$parameter->{sql}" => $expression)/;
	return "SELECT FROM $call";
}

# A value that must be refused with an error that names all there is to name.
sub refuses
{
	my ($operation, $parameter, $expression, $what, $sqlstate) = @_;
	my $error = $session->query(bytes(call_with($operation, $parameter, $expression)))->{error};
	my $name = one_line("$operation->{function}, $parameter->{sql}: $what");

	$checked++;
	is($error ? $error->{C} : 'accepted', $sqlstate // '22023', $name) or return;
	like($error->{M}, qr/"\Q$parameter->{sql}\E"/, "$name: the message names the argument");
	like($error->{D}, qr/\Q$operation->{function}\E/, "$name: the detail names the function");
	return $error;
}

sub refuses_value
{
	my ($operation, $parameter, $value, $what) = @_;
	my $type = $parameter->{type} eq 'array' ? 'text[]' : $parameter->{sql_type};
	my $error = refuses($operation, $parameter, FlexFacts::literal($type eq 'text[]' ? [$value] : $value, $type), $what) or return;

	return ok(index($error->{M}, bytes(substr($value, 0, 20))) >= 0, one_line("$operation->{function}, $parameter->{sql}: $what: it names the value"));
}

# A value at the rule's border, which is sent.
sub accepts
{
	my ($operation, $parameter, $value, $what) = @_;

	$simulator->post('faults', { status => $operation->{success} + 0,
		body => $operation->{schema} eq '-' ? '' : $operation->{list_key} eq '-' ? '{}' : json_text({ k => [], meta => { key => 'k' } }) });
	my $result = $session->query(bytes(call_with($operation, $parameter, FlexFacts::literal($value, $parameter->{sql_type}))));
	is($result->{error} ? "$result->{error}->{C} $result->{error}->{M}" : 'accepted', 'accepted',
		"$operation->{function}, $parameter->{sql}: accepts $what");
	return $simulator->clear_requests;
}

sub check_pattern
{
	my ($operation, $parameter) = @_;
	my ($letters) = $parameter->{pattern} =~ /^\^([A-Z]{2})/;
	my $digits = 'aB0' x 10 . 'F9';
	my %bad = (
		'no text' => '', 'only letters' => $letters, 'another prefix' => "ZZ$digits", 'a prefix in lower case' => lc($letters) . $digits,
		'31 digits' => $letters . substr($digits, 1), '33 digits' => "$letters${digits}0", 'no hexadecimal digit' => $letters . 'g' . substr($digits, 1),
		'a blank before' => " $letters$digits", 'a new line behind' => "$letters$digits\n", 'other digits' => $letters . "\x{0661}" x 32,
		'a path' => "$letters$digits/../x", 'only digits' => "00$digits", 'two SIDs' => "$letters$digits,$letters$digits");

	refuses_value($operation, $parameter, $bad{$_}, $_) foreach sort keys %bad;
	return $parameter->{type} eq 'array' ? undef : accepts($operation, $parameter, "$letters$digits", 'both cases of digits');
}

sub check_enumeration
{
	my ($operation, $parameter) = @_;
	my @values = split /\|/, $parameter->{enum};

	my $error = refuses($operation, $parameter, "'new'", 'a value that is new');
	like($error->{H}, qr/flex_request/, "$operation->{function}, $parameter->{sql}: the hint says how to send it") if $error;
	refuses_value($operation, $parameter, $_, "value '$_'") foreach '', 'other', $values[0] =~ tr{a-zA-Z}{A-Za-z}r, "$values[0] ", "x$values[0]", $parameter->{enum} . '|', "$values[0]\n";
	return map { accepts($operation, $parameter, $_, $_) } @values;
}

sub check_url
{
	my ($operation, $parameter) = @_;

	refuses_value($operation, $parameter, $_, "value '$_'")
	  foreach '', '/relative', 'example.com', '//example.com', 'https:', 'https://', 'https:/example.com', ' https://example.com',
	  'https://exa mple.com', "https://example.com/\r\nX: y", '://example.com', '1https://example.com';
	return accepts($operation, $parameter, 'https://example.com:8443/a?b=c#d', 'a URL with all its parts');
}

sub check_length
{
	my ($operation, $parameter) = @_;

	if (my $most = $MOST_CHARACTERS{ $parameter->{sql} })
	{
		refuses_value($operation, $parameter, '漢' x ($most + 1), 'a character too many');
		accepts($operation, $parameter, '漢' x $most, "$most characters, each of three bytes");
	}
	if (my $most = $MOST_BYTES{ $parameter->{sql} })
	{
		refuses_value($operation, $parameter, '"' . 'x' x ($most - 1) . '"', 'a byte too many');
		accepts($operation, $parameter, '"' . 'x' x ($most - 2) . '"', "$most bytes");
	}
	return;
}

sub check_path
{
	my ($operation, $parameter) = @_;

	refuses_value($operation, $parameter, $_, "path value '$_'")
	  foreach '', '.', '..', '../x', 'x/..', 'x/../y', './x', 'x/.', '/..', '..\\x', 'x\\..\\y', '\\.';
	return if $parameter->{pattern} ne '-';
	# A gateway may decode %2F before it looks where the path leads.
	foreach my $value ('a/b', '/', 'a/', '/a', 'FP1/Versions/FV2', 'a\\b', '\\')
	{
		my $error = refuses($operation, $parameter, FlexFacts::literal($value, 'text'), "path value '$value'") or next;
		like($error->{H}, qr/flex_request/, "$operation->{function}, $parameter->{sql}: the hint says how to send it");
	}
	return map { accepts($operation, $parameter, $_, "path value '$_'") } '...', '.a', 'a.', '%2e%2e', '%', '?', '#', 'active';
}

sub check_header
{
	my ($operation, $parameter) = @_;
	my $secret = $parameter->{sql} eq 'authorization';

	foreach my $value ("a\r\nX-Evil: 1", "a\nb", "a\rb", "a\tb", "\x{01}", "\x{7f}")
	{
		my $error = refuses($operation, $parameter, FlexFacts::literal($value, 'text'), 'a control character') or next;
		unlike("$error->{M}$error->{D}", qr/Evil/, "$operation->{function}: a secret is not shown") if $secret;
	}
	return;
}

sub check_null
{
	my ($operation, $parameter) = @_;

	refuses($operation, $parameter, "NULL::$parameter->{sql_type}", 'NULL', '22004') if $parameter->{required} eq 't';
	return unless $parameter->{type} eq 'array';
	refuses($operation, $parameter, 'ARRAY[NULL]::text[]', 'NULL in an array', '22004');
	my $empty = refuses($operation, $parameter, 'ARRAY[]::text[]', 'an empty array');
	like($empty->{H}, qr/NULL to send none/, "$operation->{function}, $parameter->{sql}: the hint says how to send none") if $empty;
	my $good = join ', ', map { FlexFacts::literal($_, 'text') } @{ FlexCases::value($parameter, 'full') };
	refuses($operation, $parameter, "ARRAY[[$good], [$good]]", 'two dimensions');
	refuses($operation, $parameter, "ARRAY[$good, 'no SID']", 'one bad among good ones') if $parameter->{pattern} ne '-';
	return;
}

# JSON that has to be an object.
sub check_object
{
	my ($operation, $parameter) = @_;

	refuses($operation, $parameter, "'$_'::jsonb", "JSON $_") foreach '[]', '"x"', '1', 'true', 'null', '[{}]';
	return;
}

# JSON that is a string which holds an object: it would be encoded twice.
sub check_string
{
	my ($operation, $parameter) = @_;
	my $error = refuses($operation, $parameter, 'to_jsonb(\'{"a": {}}\'::text)', 'an object in a string') or return;

	return like($error->{H}, qr/::jsonb/, "$operation->{function}, $parameter->{sql}: the hint says what to do");
}

sub check_parameter
{
	my ($operation, $parameter) = @_;

	check_pattern($operation, $parameter) if $parameter->{pattern} ne '-';
	check_enumeration($operation, $parameter) if $parameter->{enum} ne '-';
	check_url($operation, $parameter) if $parameter->{format} eq 'uri';
	check_length($operation, $parameter);
	check_path($operation, $parameter) if $parameter->{place} eq 'path';
	check_header($operation, $parameter) if $parameter->{place} eq 'header';
	check_null($operation, $parameter);
	check_object($operation, $parameter) if $parameter->{place} eq 'json' || $parameter->{type} eq 'any' || $parameter->{sql} eq 'task_attributes';
	check_string($operation, $parameter) if $parameter->{sql_type} eq 'jsonb';
	if ($parameter->{type} eq 'number')
	{
		refuses($operation, $parameter, "'$_'::float8", $_) foreach qw(NaN Infinity -Infinity);
	}
	return;
}

sub check_paging
{
	my ($operation) = @_;
	my %page_size = (sql => 'page_size');
	my %max_rows = (sql => 'max_rows');

	refuses($operation, \%page_size, $_, "page size $_") foreach qw(0 -1 1001 2147483647 -2147483648);
	refuses($operation, \%max_rows, $_, "max_rows $_") foreach qw(-1 -9223372036854775808);
	return;
}

foreach my $operation ($facts->operations)
{
	next unless $facts->parameters($operation) || $operation->{list_key} ne '-';
	subtest $operation->{function} => sub {
		check_parameter($operation, $_) foreach $facts->parameters($operation);
		check_paging($operation) if $operation->{list_key} ne '-';
		is_deeply([ map { "$_->{method} $_->{path}" } $simulator->requests ], [], 'nothing was sent for what was refused');
		done_testing;
	};
}
cmp_ok($checked, '>', 2000, "$checked values were refused");

$node->stop;
done_testing;
