# The official Node client carries out all operations against the simulator, and the
# answers are what the published documents' schemas and examples say: over http and as a
# TLS host behind the service's own names, with every parameter and with the required ones.
#
# The client and the schema validator come from their registry in the versions of
# test/interop/package-lock.json; where Node or the documents are absent, all is skipped.

use strict;
use warnings;

use FlexApi;
use FindBin;
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

# Each operation's faults, as client.js tells them.
sub check
{
	my ($name, @arguments) = @_;

	open(my $output, '-|', 'node', "$interop/client.js", $documents, @arguments) or die "node: $!";
	my @lines = map { decode_json($_) } <$output>;
	ok(close $output, "$name: the client ends well");
	is(scalar(grep { $_->{operation} } @lines), 76, "$name: 76 operations");
	foreach my $line (@lines)
	{
		is(join("\n", @{ $line->{faults} }), '', "$name: " . ($line->{operation} // $line->{check}));
	}
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
note(join '; ', map { "$_: $good{$_} of 76" } sort keys %good);
done_testing;
