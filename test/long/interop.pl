# The official Node client carries out all operations against the simulator, and the
# answers are what the published documents' schemas and examples say: over http and as a
# TLS host behind the service's own names, with every parameter and with the required ones.
# And the SQL functions send for the same arguments what that client sends.
#
# The client and the schema validator come from their registry in the versions of
# test/interop/package-lock.json; where Node or the documents are absent, all is skipped.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl", "$FindBin::RealBin/../reference";
use FlexApi;
use FlexFacts qw(json_text same_json);
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my ($documents) = grep { defined && glob "$_/*.json" } $ENV{FLEX_OPENAPI}, "$FindBin::RealBin/../../../shared/flex-openapi";
plan skip_all => 'the published documents are not here' unless $documents;
plan skip_all => 'Node is not here' if system('{ node --version && npm --version; } >/dev/null 2>&1');

my $interop = "$FindBin::RealBin/../interop";
my $log = qx(cd '$interop' && npm ci --ignore-scripts --no-audit --no-fund 2>&1);
if (!is($?, 0, 'the client and the validator are installed, as the lock file says'))
{
	diag($log);
	done_testing;
	exit 1;
}

my $facts = FlexFacts->new('');
my %operation = map { $_->{operation} => $_ } $facts->operations;
my %requests;

# Each operation's faults, as client.js tells them; what it sent is kept.
sub check
{
	my ($name, @arguments) = @_;

	open(my $output, '-|', 'node', "$interop/client.js", $documents, @arguments) or die "node: $!";
	my @lines = map { decode_json($_) } <$output>;
	ok(close $output, "$name: the client ends well");
	is_deeply([ sort grep { defined } map { $_->{operation} } @lines ], [ sort keys %operation ],
		"$name: all operations; test/interop/operations.js has them");
	foreach my $line (@lines)
	{
		is(join("\n", @{ $line->{faults} }), '', "$name: " . ($line->{operation} // $line->{check}));
	}
	$requests{$name} = { map { $_->{operation} => $_->{request} } grep { $_->{request} } @lines };
	return scalar grep { $_->{operation} && !@{ $_->{faults} } } @lines;
}

my $directory = PostgreSQL::Test::Utils::tempdir();
FlexApi::make_certificates($directory);
my %simulators = (http => FlexApi::Simulator->new,
	https => FlexApi::Simulator->new('--tls-cert', "$directory/service.pem", '--tls-key', "$directory/service.key"));
my %authority = (http => [], https => ["$directory/ca.pem"]);
my %good;

foreach my $scheme (sort keys %simulators)
{
	foreach my $set (qw(all required))
	{
		my @place = $scheme eq 'https' && $set eq 'required' ? qw(dublin ie1) : ();
		$good{"$scheme, $set parameters"} = check("$scheme, $set", $simulators{$scheme}->url, $set, @{ $authority{$scheme} }, @place);
	}
}
# The arguments that make a request of the client's, by their names in SQL.
sub arguments
{
	my ($operation, $request) = @_;
	my (%sent, %arguments);
	my @names = $operation->{path} =~ /\{(\w+)\}/g;
	my $pattern = $operation->{path} =~ s/\{\w+\}/([^\/]+)/gr;

	@sent{@names} = map { [$_] } $request->{path} =~ /^$pattern$/;
	push @{ $sent{ $_->[0] } }, $_->[1] foreach @{ $request->{parameters} };
	foreach my $parameter ($facts->parameters($operation))
	{
		my $values = $parameter->{place} eq 'header' ? [ $request->{headers}{ lc $parameter->{name} } ] : $sent{ $parameter->{name} };
		next if $parameter->{name} eq 'Authorization';
		$values = [ $request->{body} ] if $parameter->{place} eq 'json';
		$arguments{ $parameter->{sql} } = $parameter->{type} eq 'array' ? $values : $values->[0] if $values && defined $values->[0];
	}
	return \%arguments;
}

# Of a request, what both clients have to agree on; JSON in one form.
sub essence
{
	my ($operation, $request) = @_;
	my %json = map { $_->{name} => 1 } grep { $_->{sql_type} eq 'jsonb' || $_->{name} eq 'Plugins' } $facts->parameters($operation);
	my $canonical = JSON::PP->new->canonical;
	my @headers = map { lc $_->{name} } grep { $_->{place} eq 'header' && $_->{name} ne 'Authorization' } $facts->parameters($operation);
	my @pairs = grep { $_->[0] !~ /^Page(Token)?$/ } @{ $request->{parameters} };

	# A deletion is answered with nothing: there the client's Accept is its HTTP library's.
	push @headers, 'authorization';
	push @headers, 'accept' if $request->{method} ne 'DELETE';
	push @headers, 'content-type' if $request->{method} eq 'POST' && @pairs;
	return [ "$request->{method} $request->{path}",
		[ sort map { "$_->[0]=" . ($json{ $_->[0] } ? $canonical->encode(decode_json($_->[1])) : $_->[1]) } @pairs ],
		[ map { "$_: " . ($request->{headers}{$_} // '-') } @headers ],
		$operation->{body} eq 'json' ? $canonical->encode(decode_json($request->{body})) : '' ];
}

# The SQL function sends what the client sent.
sub check_function
{
	my ($session, $operation, $request) = @_;
	my $list = $operation->{list_key} ne '-';

	$simulators{http}->clear_requests;
	$simulators{http}->post('faults', { status => $operation->{success} + 0,
		body => $operation->{schema} eq '-' ? '' : $list ? json_text({ k => [], meta => { key => 'k' } }) : '{}' });
	my $result = $session->query('SELECT FROM ' . $facts->call($operation, arguments($operation, $request), $list ? { page_size => 20 } : {}));
	is($result->{error} ? "$result->{error}{M} $result->{error}{D}" : '', '', "$operation->{function}: accepts the client's arguments");
	my ($sent) = $simulators{http}->requests;
	return is_deeply(essence($operation, $sent), essence($operation, $request), "$operation->{function}: sends what the client sends");
}

my $node = FlexApi::node('interop', $simulators{http});
my $session = FlexApi::Session->new($node);
check_function($session, $operation{$_}, $requests{'http, all'}{$_}) foreach sort keys %{ $requests{'http, all'} };
is(scalar keys %{ $requests{'http, all'} }, scalar $facts->operations, 'as many functions as operations');
$node->stop;

note(join '; ', map { "$_: $good{$_} of " . $facts->operations } sort keys %good);
done_testing;
