# What each function sends, and the row that it makes of the answer:
# for the least arguments, for all of them, for nasty and for empty ones.
#
# The simulator answers with a literal body, so that it judges nothing: what it
# recorded is compared with what test/reference/FlexFacts.pm works out from the
# published documents.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::RealBin/../../perl", "$FindBin::RealBin/../../reference";
use FlexApi;
use FlexCases;
use FlexFacts qw(json_text same_json);
use HTTP::Tiny;
use JSON::PP;
use MIME::Base64 qw(encode_base64);
use Test::More;

my $facts = FlexFacts->new;
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('requests', $simulator);
$node->safe_psql('postgres', "CREATE DATABASE facts ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0");
$node->safe_psql('facts', 'CREATE EXTENSION flex_api');
my $session = FlexApi::Session->new($node, database => 'facts');
$session->value("SET TIME ZONE 'UTC'");

my $BASIC = 'Basic ' . encode_base64("$FlexApi::ACCOUNT:$FlexApi::TOKEN", '');
my %OWN_HEADERS = (
	accept => qr{^application/json$},
	'accept-encoding' => qr/./,
	host => qr/^127\.0\.0\.1:\d+$/,
	'user-agent' => qr{^flex_api/[0-9.]+ \(PostgreSQL .+\)$});

# The answer's rows, by the kind of arguments; a list has several in a page.
my %BODIES = (minimal => ['full'], full => [qw(full missing nasty)], nasty => [ 'nasty', 'nulls' ], empty => ['nulls']);

sub show { my ($text) = @_; utf8::encode($text) if utf8::is_utf8($text); return $text; }

# Decode a form or a query strictly: nothing in it that should have been encoded.
sub decoded_pairs
{
	my ($text) = @_;
	my @pairs;

	foreach my $pair (split /&/, $text, -1)
	{
		my @sides = split /=/, $pair, -1;
		return [ [ 'not encoded', $pair ] ] if @sides != 2 || grep { !/^(?:[A-Za-z0-9_.~*+-]|%[0-9A-F]{2})*$/ } @sides;
		foreach (@sides) { tr/+/ /; s/%([0-9A-F]{2})/chr hex $1/ge; utf8::decode($_); }
		push @pairs, \@sides;
	}
	return \@pairs;
}

# Two lists of pairs: the same names, each with the same values in the same order.
sub is_pairs
{
	my ($got, $wanted, $json, $name) = @_;
	my @wanted = sort { $a->[0] cmp $b->[0] } @$wanted;
	my @got = sort { $a->[0] cmp $b->[0] } @$got;

	for my $i (0 .. $#wanted)
	{
		next unless $i < @got && $got[$i][0] eq $wanted[$i][0];
		if ($json->{ $wanted[$i][0] }) { $got[$i][1] = $wanted[$i][1] if same_json($got[$i][1], $wanted[$i][1]); }
		elsif ($wanted[$i][1] =~ /^-?\d[\d.]*(?:e-?\d+)?$/ && $got[$i][1] =~ /^-?\d+(?:\.\d+)?(?:e[-+]\d+)?$/)
		{
			# A number may be written in several ways; zero keeps its sign.
			$got[$i][1] = $wanted[$i][1] if sprintf('%.17g', $got[$i][1]) eq sprintf('%.17g', $wanted[$i][1]);
		}
	}
	return is_deeply(\@got, \@wanted, $name);
}

# The one request that was recorded, and how often it has an Authorization header.
sub recorded
{
	my $text = HTTP::Tiny->new->get($simulator->url . '/_simulator/requests')->{content};
	my $requests = JSON::PP->new->utf8->decode($text)->{requests};
	my $authorizations = () = $text =~ /[{,]"authorization":"/g;

	$simulator->clear_requests;
	return @$requests == 1 ? { %{ $requests->[0] }, authorizations => $authorizations } : undef;
}

sub check_headers
{
	my ($got, $wanted, $operation, $name) = @_;
	my %headers = %{ $got->{headers} };
	my %expected = (authorization => $BASIC, %{ $wanted->{headers} });
	my $type = $operation->{method} ne 'POST' ? undef : $wanted->{json} ? 'application/json' : 'application/x-www-form-urlencoded';

	is($headers{authorization}, $expected{authorization}, "$name: Authorization");
	is($got->{authorizations}, 1, "$name: one Authorization");
	is(delete $headers{'content-type'}, $type, "$name: Content-Type");
	delete $headers{'content-length'};
	foreach my $header (keys %OWN_HEADERS) { $headers{$header} = 'good' if ($headers{$header} // '') =~ $OWN_HEADERS{$header}; }
	return is_deeply(\%headers, { %expected, map { $_ => 'good' } keys %OWN_HEADERS }, "$name: headers, and no others");
}

sub check_request
{
	my ($operation, $got, $wanted, $name) = @_;
	my %json = map { $_->{name} => 1 } grep { $_->{sql_type} eq 'jsonb' } $facts->parameters($operation);

	is("$got->{method} $got->{path}", "$wanted->{method} $wanted->{path}", "$name: method and path");
	is_pairs(decoded_pairs($got->{query}), $wanted->{query}, \%json, "$name: query");
	if (defined $wanted->{json}) { ok(same_json($got->{body}, $wanted->{json}), "$name: body") || diag $got->{body}; }
	else { is_pairs(decoded_pairs($got->{body}), $wanted->{form}, \%json, "$name: form"); }
	return check_headers($got, $wanted, $operation, $name);
}

# The literal answer, and the rows that it has to make.
sub prepare_answer
{
	my ($operation, $set) = @_;
	my $schema = $operation->{schema};
	my $list = $operation->{list_key} ne '-';
	my @bodies = map { FlexCases::body($facts, $schema, $_) } $schema eq '-' ? () : @{ $BODIES{$set} };
	splice @bodies, 1 unless $list;
	my $answer = $list
	  ? { $operation->{list_key} => \@bodies, meta => { key => $operation->{list_key}, next_page_url => undef, page => \'0' } }
	  : $bodies[0];
	my $text = $answer ? json_text($answer) : '';

	$simulator->post('faults', { status => $operation->{success} + 0, body => $text });
	return map { FlexCases::row($facts, $schema, $_) } @bodies;
}

# The first member that differs: a row may be long.
sub show_difference
{
	my ($got, $wanted) = @_;

	foreach my $i (0 .. $#$wanted)
	{
		my ($left, $right) = map { my $row = $_->[$i] // '{}'; eval { JSON::PP->new->utf8->allow_bignum->decode($row) } // {} } $got, $wanted;
		my $json = JSON::PP->new->utf8->canonical->allow_nonref->allow_bignum;
		foreach my $name (sort keys %$right)
		{
			my ($is, $should) = map { $json->encode($_->{$name}) } $left, $right;
			return diag substr("row $i, $name: got $is", 0, 300) . "\nexpected " . substr($should, 0, 300) if $is ne $should;
		}
	}
	return;
}

sub check_rows
{
	my ($operation, $result, $rows, $name) = @_;
	my @wanted;

	return is_deeply($result->{rows}, [ [''] ], "$name: void") if $operation->{schema} eq '-';
	foreach my $row (@$rows)
	{
		my $literal = FlexFacts::literal(json_text($row), 'jsonb');
		push @wanted, $session->value(show("SELECT $literal"));
	}
	my @got = map { $_->[0] } @{ $result->{rows} };
	is(scalar @got, scalar @wanted, "$name: number of rows");
	ok("@got" eq "@wanted", "$name: rows, member by member") or show_difference(\@got, \@wanted);
	return is($result->{rows}[0][1] // '', join(',', map { $_->{name} } $facts->members($operation->{schema})), "$name: columns' order");
}

sub check_case
{
	my ($operation, $set) = @_;
	my $name = "$operation->{function}, $set";
	my $arguments = FlexCases::arguments($facts, $operation, $set);
	my $paging = $operation->{list_key} eq '-' ? {} : $set eq 'full' ? { page_size => 7, max_rows => 3 } : $set eq 'nasty' ? { max_rows => 2 } : {};
	my $columns = $operation->{schema} eq '-' ? 'r::text'
	  : "to_jsonb(r), (SELECT string_agg(key, ',') FROM json_object_keys(row_to_json(r)) AS key)";
	my @rows = prepare_answer($operation, $set);
	my $result = $session->query(show("SELECT $columns FROM " . $facts->call($operation, $arguments, $paging) . ' AS r'));

	ok(!$result->{error}, "$name: succeeds") or return diag "$result->{error}->{C} $result->{error}->{M} $result->{error}->{D}";
	my $got = recorded();
	ok($got, "$name: one request") or return;
	check_request($operation, $got, $facts->request($operation, $arguments, $paging), $name);
	return check_rows($operation, $result, \@rows, $name);
}

is($session->value('SELECT count(*) FROM flex_operations()'), scalar $facts->operations, 'there are as many operations as the documents have');
foreach my $operation ($facts->operations)
{

	subtest $operation->{function} => sub {
		check_case($operation, $_) foreach @FlexCases::SETS;
		done_testing;
	};
}
is($session->value('SELECT 1'), 1, 'the session is whole');

$node->stop;
done_testing;
