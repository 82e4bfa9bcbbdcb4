# sql/LEGACY.md works (test/perl/FlexPage.pm says how), at the rates that Twilio publishes,
# which the simulator enforces.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../../perl";
use FlexApi;
use FlexPage;
use PostgreSQL::Test::Utils;
use Test::More;

my $page = PostgreSQL::Test::Utils::slurp_file("$FindBin::RealBin/../../../sql/LEGACY.md");
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('legacy', $simulator, "flex_api.base_url = '" . $simulator->url . "/{service}'", "shared_preload_libraries = 'flex_api'");

FlexPage::follow($page, $node, $simulator, 0);

is($node->safe_psql('postgres', q{SELECT count(*) FROM flex_outbox WHERE operation ~ '^flex_(flow|channel|web_channel)_delete$' AND state = 'succeeded' AND attempts = 1}), 43,
	'all have needed one attempt: what is refused for being too much counts as none');
$node->stop;
done_testing;
