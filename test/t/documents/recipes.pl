# sql/RECIPES.md works: test/perl/FlexPage.pm says how.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../../perl";
use FlexApi;
use FlexPage;
use PostgreSQL::Test::Utils;
use Test::More;

my $page = PostgreSQL::Test::Utils::slurp_file("$FindBin::RealBin/../../../sql/RECIPES.md");
my $simulator = FlexApi::Simulator->new('--setup-ms', '250');
my ($share) = PostgreSQL::Test::Utils::run_command([ 'pg_config', '--sharedir' ]);
my $has_cron = -e "$share/extension/pg_cron.control";
my $node = FlexApi::node('recipes', $simulator, 'flex_api.rate_limits = none', "flex_api.base_url = '" . $simulator->url . "/{service}'",
	"shared_preload_libraries = 'flex_api" . ($has_cron ? ", pg_cron'" : "'"));

FlexPage::follow($page, $node, $simulator, $has_cron);
$node->stop;
done_testing;
