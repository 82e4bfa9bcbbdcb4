# The OpenAPI document that the simulator makes of its facts: every operation of the tables
# is in it, with all its parameters, and every reference leads somewhere.

use strict;
use warnings;

use File::Basename qw(dirname);
use FlexApi;
use HTTP::Tiny;
use JSON::PP;
use Test::More;

my $facts = dirname(__FILE__) . '/../../facts';
my $simulator = FlexApi::Simulator->new;
my $http = HTTP::Tiny->new;

# The rows of a table of facts, of all folders, by the names of its columns; "-" is nothing.
sub rows
{
	my ($name) = @_;

	return map {
		my ($head, @lines) = map { [ split /\t/, $_, -1 ] } split /\n/, FlexApi::content($_);
		map { my $line = $_; +{ map { $head->[$_] => $line->[$_] eq '-' ? undef : $line->[$_] } 0 .. $#$head } } @lines;
	} glob("$facts/$name.tsv $facts/*/$name.tsv");
}

my $answer = $http->get($simulator->url . '/simulator/openapi.json');
is($answer->{headers}{'content-type'}, 'application/json', 'the document is JSON');
my $document = decode_json($answer->{content});
is("$document->{openapi} $document->{servers}[0]{url}", '3.0.1 ' . $simulator->url, '... of OpenAPI, for this simulator');

my (%parameters, @wrong);
push @{ $parameters{ $_->{function} } }, $_ foreach rows('parameters');
my @operations = rows('operations');
foreach my $operation (@operations)
{
	my $described = delete $document->{paths}{ $operation->{path} }{ lc $operation->{method} } or push(@wrong, "no $operation->{function}"), next;
	my %found = map { ("$_->{in} $_->{name}" => 1) } @{ $described->{parameters} };
	my ($content) = values %{ $described->{requestBody}{content} // {} };
	$found{"form $_"} = 1 foreach $content && $operation->{body} eq 'form' ? keys %{ $content->{schema}{properties} } : ();
	foreach my $parameter (grep { $_->{place} ne 'json' } @{ $parameters{ $operation->{function} } // [] })
	{
		push @wrong, "$operation->{function}: $parameter->{name}" unless delete $found{"$parameter->{place} $parameter->{name}"};
	}
	delete @found{ 'query PageSize', 'query Page', 'query PageToken' } if $operation->{list_key};
	push @wrong, "$operation->{function}: $_" foreach keys %found;
	push @wrong, "$operation->{function} has no $operation->{success}" unless $described->{responses}{ $operation->{success} };
	push @wrong, "$operation->{function}: no schema" if $operation->{schema} && !$document->{components}{schemas}{ $operation->{schema} };
}
is_deeply(\@wrong, [], scalar(@operations) . ' operations, with their parameters');
is(scalar(map { keys %$_ } values %{ $document->{paths} }), 0, '... and no others');
my @lost = grep { !$document->{components}{schemas}{$_} } $answer->{content} =~ m{"#/components/schemas/([^"]+)"}g;
is_deeply(\@lost, [], 'every reference leads somewhere');

is($http->get($simulator->url . "/simulator$_->[0]")->{headers}{'content-type'}, "text/$_->[1]; charset=utf-8", "/simulator$_->[0]")
  foreach [ '', 'html' ], [ '/', 'html' ], [ '/simulator.js', 'javascript' ], [ '/simulator.css', 'css' ], [ '/openapi', 'html' ], [ '/openapi.js', 'javascript' ];
is($http->get($simulator->url . '/simulator/none')->{status}, 404, 'no other page');
is($http->get($simulator->url . '/simulators')->{status}, 401, 'what only begins like one is of the API');
is($http->post($simulator->url . '/simulator')->{status}, 405, 'a page is only looked at');
is($http->post($simulator->url . '/_simulator/reset', { headers => { Origin => $_->[0] } })->{status}, $_->[1], "a control request of a page of $_->[0]")
  foreach [ 'https://example.com', 403 ], [ 'null', 403 ], [ $simulator->url, 200 ];
$http->get($simulator->url . '/v1/Channels');
is($simulator->get('counters')->{requests}, 1, 'pages appear in no counter');
done_testing;
