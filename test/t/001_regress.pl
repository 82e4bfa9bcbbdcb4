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

my $source = realpath("$FindBin::RealBin/../..");

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

my @sql = map { basename($_, '.sql') } sort glob("'$source/test/sql/*.sql'");
my @specs = map { basename($_, '.spec') } sort glob("'$source/test/specs/*.spec'");

cmp_ok(scalar @sql, '>', 0, 'there are tests in SQL');
foreach my $node (server('regress'), server('configured', "shared_preload_libraries = 'flex_api'",
	(map { "flex_api.$_" } "base_url = 'http://127.0.0.1:1'", "proxy = 'http://127.0.0.1:1'", "account_sid = 'AC1'",
		"auth_token = 'configured'", "api_key = 'SK1'", "api_secret = 'configured'", "credentials_file = 'nowhere'",
		"ca_file = 'nowhere'", "region = 'ie1'", 'timeout = 7s', 'connect_timeout = 3s', 'max_retries = 1',
		'max_response_size = 1MB', 'concurrency = 3', 'callback_timeout = 3s', 'outbox_retention = 1h',
		"rate_limits = 'flex_webchat_create=5'")))
{
	run_driver($node, $ENV{PG_REGRESS}, @sql) if @sql;
	run_driver($node, dirname($ENV{PG_REGRESS}) . '/../isolation/pg_isolation_regress', @specs) if @specs;
	$node->stop;
}
done_testing();
