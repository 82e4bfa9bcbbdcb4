# Triggers of one's own can be tested with pgTAP and the simulator.  Behaviour: the example in
# test/pgtap passes, and it fails where the trigger is wrong.
use strict;
use warnings;

use File::Basename qw(basename);
use FindBin;
use lib "$FindBin::RealBin/../../perl";
use FlexApi;
use PostgreSQL::Test::Utils;
use TAP::Parser;
use Test::More;

my $folder = "$FindBin::RealBin/../../pgtap";
chomp(my $share = qx(pg_config --sharedir));
plan skip_all => 'pgTAP is not here' unless -e "$share/extension/pgtap.control";

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('pgtap', $simulator, "shared_preload_libraries = 'flex_api'");

# A database with the application in it.
sub create_application
{
	my ($database) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, 'CREATE EXTENSION flex_api; CREATE EXTENSION pgtap');
	$node->safe_psql($database, PostgreSQL::Test::Utils::slurp_file("$folder/tickets.sql"));
	return;
}

# Run a file of tests, as its README says; returns how many passed and which failed.
sub run_file
{
	my ($database, $file) = @_;
	my ($output, $errors);

	IPC::Run::run([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-f', $file, $node->connstr($database) ], '>', \$output, '2>', \$errors);
	diag($errors) if $errors ne '';
	my $parser = TAP::Parser->new({ tap => $output });
	$parser->run;
	return (scalar $parser->passed, join(' ', $parser->failed), $parser->has_problems ? "problems:\n$output" : '');
}

create_application('tickets');
foreach my $file (sort glob("$folder/0*.sql"))
{
	my ($passed, $failed, $problems) = run_file('tickets', $file);

	cmp_ok($passed, '>=', 7, basename($file) . ': it has tests');
	is($problems, '', basename($file) . ': all pass');
}

# A trigger that forgets the callbacks.
create_application('wrong');
my $wrong = $node->safe_psql('wrong', "SELECT pg_get_functiondef('open_chat'::regproc)") =~ s/on_success => .*?,\s*on_failure => .*?,//sr;
$node->safe_psql('wrong', $wrong);
is((run_file('wrong', "$folder/01_what_is_enqueued.sql"))[1], '5', 'a trigger without callbacks fails one test of the first file');
is((run_file('wrong', "$folder/02_what_comes_back.sql"))[1], '2 5', 'and two of the second');

$node->stop;
done_testing();
