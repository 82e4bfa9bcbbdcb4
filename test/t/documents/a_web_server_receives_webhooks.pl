# The web server of sql/RECIPES.md, as it stands there: a webhook that is signed is stored,
# once, and any other is refused.

use strict;
use warnings;

use Digest::SHA qw(hmac_sha1_base64);
use FindBin;
use lib "$FindBin::RealBin/../../perl";
use FlexApi;
use HTTP::Tiny;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $python = '/usr/bin/python3';
plan skip_all => "python3-psycopg2 is not here" if system("$python -c 'import psycopg2' 2>/dev/null");

my $page = PostgreSQL::Test::Utils::slurp_file("$FindBin::RealBin/../../../sql/RECIPES.md");
my ($section) = $page =~ /^## Webhooks that are checked[^\n]*\n(.*?)^## /ms;
my ($sql) = $section =~ /^```sql\n(.*?)^```/ms;
my ($program) = $section =~ /^```python\n(.*?)^```/ms;
cmp_ok(scalar(grep { /\S/ } split /\n/, $program), '<=', 21, 'twenty lines, or so');

my $node = PostgreSQL::Test::Cluster->new('web');
$node->init;
$node->append_conf('postgresql.conf', "flex_api.auth_token = '$FlexApi::TOKEN'\n");
$node->start;
$node->safe_psql('postgres', "CREATE EXTENSION flex_api;\n$sql\nCREATE ROLE web LOGIN; GRANT EXECUTE ON FUNCTION receive_form TO web");

my $script = PostgreSQL::Test::Utils::tempdir() . '/server.py';
append_to_file($script, $program);
# Not a lexical: that would be closed, which waits for the server, before END can stop it.
our ($pid, $output);
END { kill 'TERM', $pid if $pid; }
{
	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGUSER => 'web', PGDATABASE => 'postgres', PORT => 0);
	$pid = open($output, '-|', "exec $python '$script' 2>'$script.log'") or die "python3: $!";
}
my ($port) = (<$output> // '') =~ /^listens on port (\d+)$/;
ok($port, 'it listens') or BAIL_OUT(FlexApi::content("$script.log"));

# Post a form; the URL that is signed has the Host's name.
sub post
{
	my ($form, $signed, $path) = @_;
	$path //= '/webhooks?tenant=1';
	my %headers = ('Content-Type' => 'application/x-www-form-urlencoded');

	$headers{'X-Twilio-Signature'} = hmac_sha1_base64("https://127.0.0.1:$port$path$signed", $FlexApi::TOKEN) . '=' if defined $signed;
	return HTTP::Tiny->new(timeout => 60)->post("http://127.0.0.1:$port$path", { headers => \%headers, content => $form })->{status};
}

my $form = 'EventType=onMessageAdded&Body=Gr%C3%BC%C3%9Fe+%26&Empty=&Tag=b&Tag=a&Tag=b';
my $signed = "BodyGr\xC3\xBC\xC3\x9Fe &EmptyEventTypeonMessageAddedTagaTagb";
is(post($form, $signed), 204, 'a signed webhook is taken');
is(post($form, $signed), 204, 'and again');
is(post($form =~ s/Tag=a/Tag=c/r, $signed), 403, 'another form with its signature is not');
is(post($form, undef), 403, 'nor one without a signature');
is(post($form, $signed, '/webhooks?tenant=2'), 204, 'at another address it is another webhook');
is($node->safe_psql('postgres', q{SELECT count(*), min(content ->> 'Body'), min(content ->> 'Tag') FROM webhooks}), '2|Grüße &|["b", "a", "b"]', 'each is stored once');
is($node->safe_psql('postgres', q{SELECT has_table_privilege('web', 'webhooks', 'SELECT, INSERT')}), 'f', 'by a role that cannot read it');

kill 'TERM', $pid;
close $output;
undef $pid;
$node->stop;
done_testing;
