# Every example of the published documents: the SQL function sends the request's as its
# client would, and makes a row of the answer's that has the same values, as PostgreSQL's
# own types compare them.  Where the documents are absent there is nothing to serve.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../../perl", "$FindBin::RealBin/../../reference";
use Encode qw(decode);
use FlexApi;
use FlexCases;
use FlexFacts qw(same_json);
use JSON::PP;
use Test::More;

my ($documents) = grep { defined && glob "$_/*.json" } $ENV{FLEX_OPENAPI}, "$FindBin::RealBin/../../../../shared/flex-openapi";
plan skip_all => 'the published documents are not here' unless $documents;

my $facts = FlexFacts->new('');
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('examples', $simulator);
$node->safe_psql('postgres', "CREATE DATABASE facts ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0");
$node->safe_psql('facts', 'CREATE EXTENSION flex_api');
my $session = FlexApi::Session->new($node, database => 'facts');
my $json = JSON::PP->new->utf8->canonical->allow_nonref->allow_bignum;
my ($answers, $requests, $rows) = (0, 0, 0);

# Operations by what the documents call them: v1/CreateChannel.
my %operation = map { $_->{operation} => $_ } $facts->operations;

# The columns in which a row and an example differ; the example is a text of JSON.
$session->value(<<'SQL');
CREATE FUNCTION differences(answer anyelement, example jsonb) RETURNS text LANGUAGE sql AS $$
SELECT string_agg(format('%s: %s instead of %s', name, column_value, member), '; ')
  FROM jsonb_each(to_jsonb(answer)) AS columns (name, column_value)
  FULL JOIN jsonb_each(example) AS members (name, member) USING (name)
  LEFT JOIN (SELECT attname, atttypid::regtype FROM pg_attribute
              WHERE attrelid = (SELECT typrelid FROM pg_type WHERE oid = pg_typeof(answer))) AS types (name, type) USING (name)
 WHERE CASE WHEN type IS NULL OR column_value IS NULL OR member IS NULL THEN true
            WHEN type = 'timestamptz'::regtype AND jsonb_typeof(member) = 'string'
            THEN (column_value #>> '{}')::timestamptz IS DISTINCT FROM (member #>> '{}')::timestamptz
            ELSE column_value <> member END
$$
SQL

# The value of an example as a call takes it: texts, or an array of them.
sub argument
{
	my ($value) = @_;

	return [ map { argument($_) } @$value ] if ref $value eq 'ARRAY';
	return ref $value ? ($value ? 'true' : 'false') : $value;
}

# What an example's request gives to each parameter: in its form, or beside each parameter.
sub given
{
	my ($published, $name) = @_;
	my $form = $published->{requestBody}{content}{'application/x-www-form-urlencoded'}{examples}{$name};
	my %given = $form ? %{ $form->{value} } : ();

	foreach my $parameter (@{ $published->{parameters} // [] })
	{
		my $example = $parameter->{examples}{$name} or next;
		$requests++;
		$given{ $parameter->{name} } = $example->{value};
	}
	$requests++ if $form;
	# The documents themselves say that this one has another form.
	delete $given{InteractionContextSid} if ($given{InteractionContextSid} // '') eq 'interaction_context_sid';
	return map { $_ => argument($given{$_}) } keys %given;
}

# Each parameter arrived with the example's values, and no other did.
sub check_request
{
	my ($operation, $name, %given) = @_;
	my ($request) = $simulator->requests;
	my %json = map { $_->{name} => 1 } grep { $_->{sql_type} eq 'jsonb' } $facts->parameters($operation);
	my %arrived;

	$simulator->clear_requests;
	push @{ $arrived{ $_->[0] } }, $_->[1] foreach grep { $_->[0] ne 'PageSize' } @{ $request->{parameters} };
	foreach my $parameter (grep { $json{$_} && $arrived{$_} && $given{$_} } keys %given)
	{
		$arrived{$parameter} = [ $given{$parameter} ] if same_json($arrived{$parameter}[0], $given{$parameter});
	}
	return is_deeply(\%arrived, { map { $_ => ref $given{$_} ? $given{$_} : [ $given{$_} ] } keys %given },
		"$operation->{function}, example $name: the request");
}

sub check_answer
{
	my ($operation, $name, $result, @wanted) = @_;

	$answers++;
	$rows += @wanted;
	return is_deeply($result->{error} ? [ $result->{error}{M}, $result->{error}{D} ] : $result->{rows},
		[ map { [ $_, undef ] } 1 .. @wanted ], "$operation->{function}, example $name: the answer");
}

sub check_example
{
	my ($operation, $published, $name, $status, $value) = @_;
	my @wanted = $operation->{list_key} ne '-' ? @{ $value->{ $operation->{list_key} } } : $value;
	my %given = given($published, $name);
	my $arguments = FlexCases::arguments($facts, $operation, 'minimal');

	$arguments->{ $_->{sql} } = $given{ $_->{name} } foreach grep { defined $given{ $_->{name} } } $facts->parameters($operation);
	$simulator->post('faults', { status => $status + 0, body => decode('UTF-8', $json->encode($value)) });
	my $result = $session->query('WITH answer AS MATERIALIZED (SELECT r, row_number() OVER () AS n FROM '
		. $facts->call($operation, $arguments) . ' AS r) SELECT n, differences(r, example) FROM answer FULL JOIN '
		. 'jsonb_array_elements(' . FlexFacts::literal($json->encode(\@wanted), 'jsonb')
		. ') WITH ORDINALITY AS examples (example, n) USING (n) ORDER BY n');
	check_request($operation, $name, %given);
	return check_answer($operation, $name, $result, @wanted);
}

foreach my $file (sort glob("$documents/*.json"))
{
	my $paths = $json->decode(FlexApi::content($file))->{paths};

	foreach my $path (sort keys %$paths)
	{
		foreach my $method (grep { $paths->{$path}{$_} } qw(get post delete))
		{
			my $published = $paths->{$path}{$method};
			my ($version) = $path =~ m{^/(v\d+)/};
			my ($status) = grep { /^2/ } sort keys %{ $published->{responses} };
			my $examples = $published->{responses}{$status}{content}{'application/json'}{examples} // {};

			check_example($operation{"$version/$published->{operationId}"}, $published, $_, $status, $examples->{$_}{value})
			  foreach sort keys %$examples;
		}
	}
}
cmp_ok($answers, '>=', scalar(grep { $_->{schema} ne '-' } $facts->operations), "$answers examples of answers, of $rows rows: as many as operations that answer, or more");
cmp_ok($requests, '>', 0, "$requests examples of requests");

$node->stop;
done_testing;
