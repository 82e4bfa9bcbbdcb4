# The report at the end of make demo, in a real browser: what the charts show is what the service has
# seen, also where the server was killed in between; the page needs nothing but itself, whatever the
# texts in it are, and the console says nothing.  FLEX_SCREENSHOTS names a folder for a picture.

use strict;
use warnings;

use Cwd qw(realpath);
use FindBin;
use lib "$FindBin::RealBin/../../perl";
use FlexApi;
use FlexBrowser;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'there is no Chromium here' unless FlexBrowser::program();
plan skip_all => 'libjs-chart.js is not here' unless -e '/usr/share/javascript/chart.js/chart.min.js';

my $report = realpath("$FindBin::RealBin/../../demo/report");
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('report', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'", 'fsync = off');
my $folder = realpath(PostgreSQL::Test::Utils::tempdir);
my $ABSENT = 'CH' . '9' x 32;
my $CHAT = '{"address_sid": "IG00000000000000000000000000000001"}';

$node->safe_psql('postgres', slurp_file("$report/samples.sql"));
sub look { $node->safe_psql('postgres', 'SELECT report.sample()', extra_params => [ '-U', 'monitor' ]); return; }
sub chats { my ($count) = @_; return $node->safe_psql('postgres', "SELECT count(flex_enqueue('flex_webchat_create', '$CHAT')) FROM generate_series(1, $count)"); }
sub over { ok($node->poll_query_until('postgres', 'SELECT sum(pending + sending) = 0 FROM flex_outbox_summary'), 'all are over'); return; }
sub fetch { my ($count) = @_; $node->psql('postgres', "SELECT * FROM flex_channel_fetch('$ABSENT')") foreach 1 .. $count; return; }

# Refused and sent again, with a look in the middle; then the counters begin anew, with another look.
look();
$simulator->post('faults', { path => '/v2/WebChats', status => 429, retry_after => '0', times => 3 });
chats(6);
over();
look();
fetch(2);
chats(4);
over();
look();
$node->stop('immediate');
$node->start;
look();
fetch(1);
chats(11);
over();
look();
my @seen = $simulator->requests;
my %seen = (
	succeeded => scalar(grep { $_->{status} == 201 } @seen),
	throttled => scalar(grep { $_->{status} == 429 } @seen),
	refused => scalar(grep { $_->{status} == 404 } @seen),
	map { $_ => 0 } qw(failed lost unsent));
is(join(' ', map { $seen{$_} } qw(succeeded throttled refused)), '21 3 3', 'what the service has seen');

# Texts that could end a script.
my $HOSTILE = '</script><script>document.title = "taken"</script><!-- <script>';
$node->safe_psql('postgres', "INSERT INTO report.steps SELECT extract(epoch FROM min(at)), 1, '$HOSTILE' FROM report.looks");
my $figures = $node->safe_psql('postgres', slurp_file("$report/figures.sql"));
append_to_file("$folder/figures", $figures);
is(system("'$report/fill' <'$folder/figures' >'$folder/report.html'"), 0, 'the page is made');

my $browser = FlexBrowser->new(width => 1280, height => 1000);
$browser->open("file://$folder/report.html");
is_deeply([ $browser->console ], [], 'the console says nothing');
is($browser->evaluate('document.title'), 'flex_api: the demo in numbers', 'no text becomes a script');
is($browser->evaluate('performance.getEntriesByType("resource").filter(entry => !entry.name.startsWith("data:")).length'), 0, 'nothing else is loaded');
$browser->screenshot("$ENV{FLEX_SCREENSHOTS}/report.png") if $ENV{FLEX_SCREENSHOTS};

# What a chart shows of each label: points that stand for half a second, added up.
sub shown
{
	my ($chart) = @_;
	return decode_json($browser->evaluate(
			"JSON.stringify(Object.fromEntries(Chart.getChart('$chart').data.datasets.map(set => [set.label, Math.round(set.data.reduce((sum, point) => sum + point.y, 0) / 2)])))"));
}
is_deeply(shown('throughput'), \%seen, 'throughput is what the service has seen');
is_deeply(shown('retries'), { flex_webchat_create => 3 }, 'so are the retries');
is(shown('rates')->{'flex_webchat_create: carried out'}, 21, 'and what was carried out beside the rate');
is(join(' ', sort keys %{ shown('latency') }), 'flex_channel_fetch flex_webchat_create', 'each operation has its latency');
is($browser->evaluate("Chart.getChart('latency').data.datasets.every(set => set.data.length > 0 && set.data.every(point => point.y > 0))"), 1, '... which is above 0');

# Pixels that are neither white nor grey.
foreach (qw(throughput latency retries rates))
{
	cmp_ok($browser->evaluate(<<"EOF_JS"), '>', 20, "$_ is drawn");
(canvas => {
	const bytes = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
	let count = 0;
	for (let i = 0; i < bytes.length; i += 4)
		count += bytes[i + 3] > 200 && Math.max(bytes[i], bytes[i + 1], bytes[i + 2]) - Math.min(bytes[i], bytes[i + 1], bytes[i + 2]) > 60;
	return count;
})(document.getElementById('$_'))
EOF_JS
}
is($browser->evaluate('[...document.querySelectorAll("#operations tr")].map(row => [...row.cells].slice(0, 9).map(cell => cell.innerText).join(" ")).join("; ")'),
	'flex_webchat_create outbox 24 21 0 3 0 0 3; flex_channel_fetch call 3 0 3 0 0 0 0', 'the table adds up');
like($browser->evaluate('document.getElementById("steps").innerText'), qr/1 \Q$HOSTILE\E/, 'the step is named, as text');

$node->stop;
done_testing();
