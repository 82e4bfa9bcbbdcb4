# README.md says what is: its tables, its SQL with the results, its settings.
use strict;
use warnings;

use File::Basename qw(dirname);
use FlexApi;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = dirname(__FILE__) . '/../..';
my $check = "$root/test/tools/check-readme";

# What the tool prints, and whether it is content.
sub tool_is_content
{
	my ($name, @arguments) = @_;
	my $output = '';

	ok(IPC::Run::run([ $^X, $check, @arguments ], '>', \$output, '2>&1'), $name) or diag($output);
	return $output;
}

tool_is_content('tables of operations and rooms, links');

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('readme', $simulator);

like(tool_is_content('SQL', '--sql', $node->connstr('postgres')), qr/^[1-9]\d* blocks of SQL were run$/m, 'there is SQL');

# The table of settings: name, default as SHOW prints it, who may set it.  Those
# that pg_settings does not show must at least be known, with an empty default.
my $readme = PostgreSQL::Test::Utils::slurp_file("$root/README.md");
my %described = $readme =~ /^\| `(flex_api\.\w+)` \| ([^|]+ \| (?:anyone|superuser)) \|/mg;
my $defined = $node->safe_psql('postgres', q{
	LOAD 'flex_api';
	SELECT name || ' ' || format('%s | %s',
		CASE WHEN boot_val = '' THEN 'none'
			WHEN unit = 'ms' THEN boot_val::integer / 1000 || 's'
			WHEN unit = 'kB' THEN boot_val::integer / 1024 || 'MB'
			ELSE boot_val END,
		CASE context WHEN 'user' THEN 'anyone' ELSE context END)
	FROM pg_settings WHERE name LIKE 'flex\_api.%' });
my %defined = map { split(/ /, $_, 2) } split(/\n/, $defined);

for my $name (grep { !exists $defined{$_} } sort keys %described)
{
	is($node->safe_psql('postgres', "LOAD 'flex_api'; SELECT current_setting('$name', true) IS NOT NULL"), 't', "$name exists");
	$defined{$name} = $described{$name} =~ s/^[^|]+ /none /r;
}
is_deeply(\%described, \%defined, 'table of settings');

$node->stop;
done_testing();
