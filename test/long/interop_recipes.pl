# Others are the judges of what reaches other hosts and of a recipe: the official Node client makes
# the same host of a product's name, edge and region; lodash unites the same skills by name.
#
# FLEX_SEED repeats the cases of a run.  Where Node is absent, all is skipped.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FlexApi;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'Node is not here' if system('{ node --version && npm --version; } >/dev/null 2>&1');

my $interop = "$FindBin::RealBin/../interop";
my $log = -d "$interop/node_modules/twilio" ? '' : qx(cd '$interop' && npm ci --ignore-scripts --no-audit --no-fund 2>&1);
ok($? == 0 || -d "$interop/node_modules/twilio", 'the judges are installed, as the lock file says') or BAIL_OUT($log);

my $seed = $ENV{FLEX_SEED} // int rand 2**31;
my $count = 500;
note("FLEX_SEED=$seed");
my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('recipes', $simulator, 'flex_api.max_retries = 0', "flex_api.proxy = '" . $simulator->url . "'");
my $session = FlexApi::Session->new($node);

# The lines that a script prints, decoded.
sub lines_of
{
	my (@command) = @_;
	my $output = '';

	ok(IPC::Run::run([ 'node', "$interop/$command[0]", @command[ 1 .. $#command ] ], '>', \$output), "$command[0]: Node ends well");
	return map { $json->decode($_) } split /\n/, $output;
}

# The host that a request is led to: a proxy is told it.
sub host_of
{
	my ($case) = @_;
	my $service = $case->{product} eq 'flex-api' ? 'NULL' : "'$case->{product}'";

	$simulator->clear_requests;
	$session->value("SET flex_api.edge = '" . ($case->{edge} // '') . "'; SET flex_api.region = '" . ($case->{region} // '') . "'");
	$session->query("SELECT flex_request('GET', '/v1/X', service => $service)");
	return join ' ', map { $_->{path} =~ s/:443$//r } $simulator->requests;
}

$session->value("SET flex_api.base_url = ''");
my @products = ('flex-api', qw(conversations taskrouter api verify proxy studio));
my @hosts = lines_of('hosts.js', join(',', @products), qw(-/- dublin/ie1 sydney/au1 ashburn/us1 tokyo/- umatilla/us1 singapore/ie1));
# A region alone is no place: here it implies its edge, as Twilio's pages name the hosts, there the edge is left out.
is(scalar @hosts, 7 * @products, 'as many hosts as asked for');
is(host_of($_), $_->{host}, "$_->{product}, edge " . ($_->{edge} // '-') . ', region ' . ($_->{region} // '-')) foreach @hosts;

# The recipe's function, as its page has it.
my ($function) = PostgreSQL::Test::Utils::slurp_file("$FindBin::RealBin/../../sql/RECIPES.md") =~ /^(CREATE FUNCTION unite_skills\(.*?^\$\$;)$/ms;
$session->value($function =~ s/;$//r);
my $same = 0;
foreach my $case (lines_of('skills.js', $seed, $count))
{
	my ($old, $new, $united) = map { $json->encode($case->{$_}) =~ s/'/''/gr } qw(old new united);
	my $is_same = $session->value(<<"SQL");
SELECT jsonb_array_length(coalesce(ours, '[]')) = jsonb_array_length(theirs) AND coalesce(ours, '[]') <\@ theirs AND theirs <\@ coalesce(ours, '[]')
	AND (SELECT coalesce(jsonb_agg(s ORDER BY s ->> 'name' COLLATE "C"), '[]') FROM jsonb_array_elements(ours) AS s)
		= (SELECT coalesce(jsonb_agg(s ORDER BY s ->> 'name' COLLATE "C"), '[]') FROM jsonb_array_elements(theirs) AS s)
FROM unite_skills('$old', '$new') AS ours, jsonb('$united') AS theirs
SQL
	if ($is_same eq 't') { $same++; }
	else { diag("lodash has another union of $old and $new: $united"); }
}
is($same, $count, "$same unions of skills are lodash's");

$node->stop;
note(scalar(@hosts) . " hosts, $same unions of skills");
done_testing;
