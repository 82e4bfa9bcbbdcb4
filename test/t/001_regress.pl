# The tests in SQL, by pg_regress: test/sql and expected/, each psql beside a
# simulator of its own; and the isolation tests, if there are any.
use strict;
use warnings;

use Cwd qw(realpath getcwd);
use File::Basename qw(basename dirname);
use FindBin;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = realpath("$FindBin::RealBin/../..");
my $node = PostgreSQL::Test::Cluster->new('regress');

$node->init;
$node->start;

# Run a driver of tests on the named ones, in a folder where it finds their answers.
sub run_driver
{
	my ($driver, @tests) = @_;
	my $name = basename($driver);
	my $directory = getcwd() . "/$name";

	mkdir $directory or die "$directory: $!";
	symlink "$source/expected", "$directory/expected" or die "expected: $!";
	my $log = "$directory/log";
	my $passed = IPC::Run::run([
		'sh', '-c', 'cd "$1" && shift && exec "$@"', 'sh', $directory,
		$driver, "--inputdir=$source/test", "--launcher=$source/test/tools/with-simulator",
		'--bindir=', '--dlpath=.', '--host=' . $node->host, '--port=' . $node->port,
		'--dbname=contrib_regression', '--encoding=UTF8', '--no-locale', @tests ], '>&', $log);
	ok($passed, "$name: " . join(' ', @tests))
	  or diag(map { -e $_ ? slurp_file($_) : () } $log, "$directory/regression.diffs");
	return;
}

my @sql = map { basename($_, '.sql') } sort glob("'$source/test/sql/*.sql'");
my @specs = map { basename($_, '.spec') } sort glob("'$source/test/specs/*.spec'");

cmp_ok(scalar @sql, '>', 0, 'there are tests in SQL');
run_driver($ENV{PG_REGRESS}, @sql) if @sql;
run_driver(dirname($ENV{PG_REGRESS}) . '/../isolation/pg_isolation_regress', @specs) if @specs;

$node->stop;
done_testing();
