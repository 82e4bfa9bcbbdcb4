# The official Node client is the judge of what is signed: of generated webhooks our verdict is
# its own, and access tokens say what its tokens say; the JSON Web Token library that it uses
# verifies them.
#
# FLEX_SEED repeats the cases of a run.  Where Node is absent, all is skipped.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FlexApi;
use IPC::Run;
use JSON::PP;
use MIME::Base64 qw(decode_base64 decode_base64url);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'Node is not here' if system('{ node --version && npm --version; } >/dev/null 2>&1');

my $interop = "$FindBin::RealBin/../interop";
my $log = -d "$interop/node_modules/twilio" ? '' : qx(cd '$interop' && npm ci --ignore-scripts --no-audit --no-fund 2>&1);
ok($? == 0 || -d "$interop/node_modules/twilio", 'the client is installed, as the lock file says') or BAIL_OUT($log);

my $seed = $ENV{FLEX_SEED} // int rand 2**31;
my ($forms, $bodies, $tokens) = (3000, 1000, 300);
note("FLEX_SEED=$seed");

my $node = PostgreSQL::Test::Cluster->new('signatures');
$node->init;
$node->append_conf('postgresql.conf', <<"CONF");
flex_api.account_sid = '$FlexApi::ACCOUNT'
flex_api.auth_token = '$FlexApi::TOKEN'
flex_api.api_key = '$FlexApi::KEY'
flex_api.api_secret = '$FlexApi::SECRET'
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION flex_api; CREATE TABLE cases (number int PRIMARY KEY, input jsonb)');
my $json = JSON::PP->new->utf8->canonical->allow_nonref;

# The lines that a script prints, decoded.
sub lines_of
{
	my ($input, @command) = @_;
	my $output = '';

	ok(IPC::Run::run([ 'node', @command ], '<', \$input, '>', \$output), "$command[0]: Node ends well");
	return map { $json->decode($_) } split /\n/, $output;
}

# Each case as a row, for one statement to go through.
sub store
{
	my (@cases) = @_;
	my $number = 0;
	my $copy = join '', map { $number++ . "\t" . ($json->encode($_) =~ s/\\/\\\\/gr) . "\n" } @cases;

	$node->safe_psql('postgres', "TRUNCATE cases; COPY cases FROM STDIN;\n$copy\\.\n");
	return;
}

my @cases = lines_of('', "$interop/webhooks.js", $seed, $forms, $bodies, $FlexApi::TOKEN);
is(scalar @cases, $forms + $bodies, 'as many webhooks as asked for');
store(@cases);
my @verdicts = split /\n/, $node->safe_psql('postgres', <<'SQL');
SELECT CASE WHEN input ? 'body'
	THEN flex_webhook_body_is_authentic(input ->> 'url', decode(input ->> 'body', 'base64'), input ->> 'signature')
	ELSE flex_webhook_is_authentic(input ->> 'url', input -> 'parameters', input ->> 'signature') END
FROM cases ORDER BY number
SQL
my (%of_way, %authentic);
foreach my $number (0 .. $#cases)
{
	my $case = $cases[$number];
	my $kind = exists $case->{body} ? 'body' : 'form';

	$of_way{"$kind, signed: $case->{signed}"}{ ($verdicts[$number] eq 't') == !!$case->{verdict} ? 'same' : 'other' }++;
	$authentic{$kind}++ if $case->{verdict};
	next if ($verdicts[$number] eq 't') == !!$case->{verdict};
	diag("case $number: the client says " . ($case->{verdict} ? 'true' : 'false') . ': ' . $json->encode($case));
}
is($of_way{$_}{other} // 0, 0, "$_: the same verdict on " . ($of_way{$_}{same} // 0)) foreach sort keys %of_way;
cmp_ok($authentic{$_}, '>', ($_ eq 'form' ? $forms : $bodies) / 10, "$authentic{$_} with a $_ are authentic") foreach qw(form body);

# Tokens: the same header and claims but for times and id, and a life of the same length.
my @made = lines_of('', "$interop/access_tokens.js", 'make', $seed, $tokens, $FlexApi::SECRET);
is(scalar @made, $tokens, 'as many tokens as asked for');
store(map { { %{ $_->{arguments} }, region => $_->{region} } } @made);
my @ours = split /\n/, $node->safe_psql('postgres', <<'SQL');
SELECT token FROM cases, LATERAL (SELECT CASE WHEN set_config('flex_api.region', coalesce(input ->> 'region', ''), false) IS NOT NULL THEN
	flex_access_token(input ->> 'identity', input ->> 'service', input -> 'grants', make_interval(secs => (input ->> 'ttl')::float),
	to_timestamp((input ->> 'nbf')::float)) END) AS t (token) ORDER BY number
SQL
is(scalar @ours, $tokens, 'as many of ours');
my @verified = lines_of(join('', map { "$_\n" } @ours), "$interop/access_tokens.js", 'verify', $FlexApi::SECRET);
my $same = 0;
foreach my $number (0 .. $#made)
{
	my ($theirs, $read) = ($made[$number], $verified[$number]);
	# A token that lived a second has ended, maybe: then it was verified but for that.
	if (($read->{fault} // '') =~ /TokenExpiredError/)
	{
		my ($header, $claims) = map { $json->decode(decode_base64url($_)) } (split /\./, $ours[$number])[ 0, 1 ];
		$read = { header => $header, payload => $claims };
	}
	my $essence = sub {
		my ($header, $claims) = @_;
		my %claims = %$claims;
		$claims{ttl} = delete($claims{exp}) - delete $claims{iat};
		delete $claims{jti};
		return $json->encode([ $header, \%claims ]);
	};
	my $mine = $read->{fault} ? $read->{fault} : $essence->($read->{header}, $read->{payload});
	if ($mine eq $essence->($theirs->{header}, $theirs->{claims})) { $same++; }
	else { diag("token $number: $mine, theirs: " . $essence->($theirs->{header}, $theirs->{claims})); }
}
is($same, $tokens, "$same tokens say what the client's say, and are verified");
my @spoilt = lines_of(join('', map { my $copy = $_; substr($copy, -10, 1) =~ tr/A-Za-z/B-ZAb-za/; "$copy\n" } @ours), "$interop/access_tokens.js", 'verify', $FlexApi::SECRET);
is(scalar(grep { ($_->{fault} // '') !~ /invalid signature/ } grep { $_ } @spoilt[ grep { substr($ours[$_], -10, 1) =~ /[A-Za-z]/ } 0 .. $#ours ]), 0, 'a changed signature is none');

$node->stop;
note("$forms forms and $bodies bodies: the same verdicts; $tokens tokens");
done_testing;
