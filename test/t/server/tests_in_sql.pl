# The tests in SQL, by pg_regress: test/sql and expected/, each psql beside a
# simulator of its own; and the isolation tests, if there are any.  Behaviour: they
# pass in a server that knows nothing of us, and in one that is preloaded and whose
# configuration would lead requests elsewhere, as make installcheck may find it.
use strict;
use warnings;

use Cwd qw(realpath getcwd);
use File::Basename qw(basename dirname);
use FindBin;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = realpath("$FindBin::RealBin/../../..");

# A server with further lines in its configuration.
sub server
{
	my ($name, @lines) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init;
	$node->append_conf('postgresql.conf', join("\n", @lines, ''));
	$node->start;
	return $node;
}

# Run a driver of tests on the named ones, in a folder where it finds their answers.
sub run_driver
{
	my ($node, $driver, @tests) = @_;
	my $name = $node->name . '-' . basename($driver);
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

# The tests of a kind; where FLEX_REGRESS_ONLY names files, those of them that it names.
sub tests
{
	my ($kind, $folder) = @_;
	my @files = defined $ENV{FLEX_REGRESS_ONLY} ? split(' ', $ENV{FLEX_REGRESS_ONLY}) : glob("'$source/test/$folder/*.$kind'");

	return map { /([^\/]+)\.\Q$kind\E$/ ? $1 : () } sort @files;
}

my @sql = tests('sql', 'sql');
my @specs = tests('spec', 'specs');

cmp_ok(@sql + @specs, '>', 0, 'there are tests');
foreach my $node (server('regress'), defined $ENV{FLEX_REGRESS_ONLY} ? () : server('configured', "shared_preload_libraries = 'flex_api'",
	(map { "flex_api.$_" } "base_url = 'http://127.0.0.1:1'", "proxy = 'http://127.0.0.1:1'", "account_sid = 'AC1'",
		"auth_token = 'configured'", "api_key = 'SK1'", "api_secret = 'configured'", "credentials_file = 'nowhere'",
		"ca_file = 'nowhere'", "region = 'ie1'", 'timeout = 7s', 'connect_timeout = 3s', 'max_retries = 1',
		'max_response_size = 1MB', 'concurrency = 3', 'callback_timeout = 3s', 'outbox_retention = 1h', 'shutdown_grace = 1s',
		"rate_limits = 'flex_webchat_create=5'")))
{
	run_driver($node, $ENV{PG_REGRESS}, @sql) if @sql;
	run_driver($node, dirname($ENV{PG_REGRESS}) . '/../isolation/pg_isolation_regress', @specs) if @specs;
	$node->stop;
}
done_testing();
