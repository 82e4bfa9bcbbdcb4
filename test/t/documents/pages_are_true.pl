# The pages say what is: tables, links, settings, and SQL with its results.  Each page
# whose SQL is run has a database of its own, and a simulator as it is at the start.
use strict;
use warnings;

use File::Basename qw(dirname);
use FlexApi;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

# README.md comes first: the others grant rights to the role that it creates.
my @PAGES_WITH_SQL = qw(README.md sql/USING.md sql/OPERATING.md);

my $root = dirname(__FILE__) . '/../../..';
my $check = "$root/test/tools/check-documents";

# What the tool prints, and whether it is content.
sub tool_is_content
{
	my ($name, @arguments) = @_;
	my $output = '';

	ok(IPC::Run::run([ $^X, $check, @arguments ], '>', \$output, '2>&1'), $name) or diag($output);
	return $output;
}

tool_is_content('length, tables of operations and files, links');

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('pages', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.base_url = '" . $simulator->url . "/{service}'");

foreach my $page (@PAGES_WITH_SQL)
{
	my $database = lc $page =~ s/\W+/_/gr;
	my $text = PostgreSQL::Test::Utils::slurp_file("$root/$page");

	$simulator->post('reset', {});
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, 'CREATE EXTENSION flex_api') unless $text =~ /^CREATE EXTENSION flex_api;$/m;
	like(tool_is_content("$page: SQL", '--sql', $node->connstr($database), $page, $simulator->url),
		qr/^[1-9]\d* blocks of SQL were run$/m, "$page: there is SQL");
}

# The settings: name, default as SHOW prints it, and by whom it can be set.
my %named = map { $_ => 1 } map { PostgreSQL::Test::Utils::slurp_file($_) =~ /"(flex_api\.[a-z_]+)"/g } glob("$root/src/*/*.c");
my $listed = $node->safe_psql('postgres', q{
	SELECT name || ' ' || format('%s | %s',
		CASE WHEN boot_val = '' THEN 'none'
			WHEN unit = 'ms' THEN CASE WHEN boot_val::integer % 1000 = 0 THEN boot_val::integer / 1000 || 's' ELSE boot_val || 'ms' END
			WHEN unit = 'kB' THEN boot_val::integer / 1024 || 'MB'
			WHEN unit = 'min' THEN boot_val::integer / 1440 || 'd'
			ELSE boot_val END,
		CASE context WHEN 'user' THEN 'anyone' WHEN 'sighup' THEN 'reload' ELSE context END)
	FROM pg_settings WHERE name LIKE 'flex\_api.%' });
my %settings = map { split(/ /, $_, 2) } split(/\n/, $listed);

# pg_settings does not list the secrets, since it would show to what they are reset:
# what they are and whether a plain role may set one, trying tells.
$node->safe_psql('postgres', 'CREATE ROLE plain');
foreach my $name (grep { !exists $settings{$_} } sort keys %named)
{
	my $errors = '';

	$node->psql('postgres', "\\set VERBOSITY sqlstate\nSHOW $name;\nSET ROLE plain;\nSET $name = ''", stderr => \$errors);
	$settings{$name} = 'none | ' . ($errors eq '' ? 'anyone' : $errors =~ /ERROR:  42501$/ ? 'superuser' : $errors);
}

my $page = PostgreSQL::Test::Utils::slurp_file("$root/sql/OPERATING.md");
my %described = $page =~ /^\| `(flex_api\.\w+)` \| ([^|]+ \| (?:anyone|superuser|reload)) \|/mg;
is_deeply(\%described, \%settings, 'sql/OPERATING.md: the table of settings');

$node->stop;
done_testing();
