# sql/REFERENCE.md is what the installed extension says of itself, each of its
# examples works, and each of its errors comes about as it says.
#
# A stale page is mended by `make generate`.

use strict;
use warnings;

use File::Basename qw(basename);
use FindBin;
use lib "$FindBin::RealBin/../../perl", "$FindBin::RealBin/../../reference";
use FlexApi;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Reference;
use Test::More;

my $reference = "$FindBin::RealBin/../../reference";
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('reference', $simulator, "flex_api.timeout = '10s'",
	"flex_api.api_key = '$FlexApi::KEY'", "flex_api.api_secret = '$FlexApi::SECRET'", "shared_preload_libraries = 'flex_api'");
my $page = PostgreSQL::Test::Utils::slurp_file("$FindBin::RealBin/../../../sql/REFERENCE.md");

# The page, line by line: the first that differs is shown.
sub check_page
{
	my ($output, $errors) = ('', '');

	ok(IPC::Run::run([ $^X, "$reference/generate", $node->connstr('postgres') ], '>', \$output, '2>', \$errors), 'the page can be made')
	  or return diag $errors;
	my @made = split /\n/, $output;
	my @kept = split /\n/, $page;
	my ($first) = grep { ($made[$_] // '') ne ($kept[$_] // '') } 0 .. ($#made > $#kept ? $#made : $#kept);
	return ok(!defined $first, 'the page is not stale')
	  || diag 'line ' . ($first + 1) . ": '" . ($kept[$first] // '') . "', should be '" . ($made[$first] // '') . "'; make generate writes it anew";
}

# Each anchor that the page links to is there, once.
sub check_links
{
	my %anchors;
	(my $prose = $page) =~ s/^```.*?^```$//msg;
	$anchors{ Reference::anchor($1) }++ while $prose =~ /^#+ (.+)$/mg;
	my @bad = grep { ($anchors{$_} // 0) != 1 } $prose =~ /\]\(#([^)]+)\)/g;
	return is_deeply(\@bad, [], 'links within the page');
}

my $connection = $node->connstr('postgres');
my $installed = JSON::PP->new->utf8->decode(
	$node->safe_psql('postgres', "SELECT FROM flex_operations() LIMIT 0;\n" . PostgreSQL::Test::Utils::slurp_file("$reference/installed.sql")));
my @topics = Reference::installed_topics($installed);

# All examples in one session, as a reader would go through them: what each
# returned, and what was sent for it, is read from marks between them.
sub run_examples
{
	my $script = "\\set ON_ERROR_STOP on\n";
	my ($output, $errors) = ('', '');

	foreach my $example (map { @{ $_->{examples} } } @topics)
	{
		my $sql = $example->{sql};
		# A page without a row to take variables from would only warn.
		$script .= "\\echo BEGIN $example->{name}\n$sql\\echo END $example->{name} :ROW_COUNT\n";
	}
	my $good = IPC::Run::run([ 'psql', '-XAt', '-d', $connection ], '<', \$script, '>', \$output, '2>', \$errors);
	$errors =~ s/^.*NOTICE:  drained the Flex API outbox: .*\n//mg; # where it was not the worker that sent
	is($errors, '', 'no example warns');
	ok($good, 'the examples ran to their end');
	return { $output =~ /^END (\S+) (\d+)$/mg };
}

sub check_examples
{
	my $sent = $simulator->get('counters')->{by_operation};
	my $rows = run_examples();
	my $now = $simulator->get('counters')->{by_operation};

	foreach my $example (grep { $_->{name} ne 'before' } map { @{ $_->{examples} } } @topics)
	{
		my $name = $example->{name};
		ok(defined $rows->{$name}, "$name: its example succeeds");
		cmp_ok($rows->{$name} // 0, '>=', 1, "$name: it returns a row") unless $name eq 'flex_outbox_drain';
		cmp_ok($now->{$name} // 0, '>=', 1, "$name: the operation was sent") if $installed->{operations}{$name};
		like($example->{sql}, qr/\b$name\(/, "$name: it is in its example");
		ok(index($page, "```sql\n$example->{sql}```") >= 0, "$name: the page shows what ran");
	}
	return;
}

# What errors.tsv promises, each in a transaction of its own.
sub check_errors
{
	my $session = FlexApi::Session->new($node);

	foreach my $error (grep { length $_->{sql} } Reference::errors())
	{
		my ($sqlstate) = $error->{sqlstate} =~ /^`(\w{5})`$/ or die $error->{sqlstate};
		$simulator->post('faults', JSON::PP->new->decode($error->{fault})) if length $error->{fault};
		is($session->sqlstate("BEGIN; $error->{sql}; COMMIT"), $sqlstate, "$sqlstate: $error->{what}");
		$session->query('ROLLBACK');
		$simulator->clear_faults;
	}
	return;
}

# The tables of operations on other pages say what the functions' comments say.
sub check_tables
{
	foreach my $file (glob("$FindBin::RealBin/../../../README.md $FindBin::RealBin/../../../sql/*.md"))
	{
		my $kept = Reference::content($file);
		is(Reference::with_tables($installed, $kept), $kept, basename($file) . ': its tables of operations are not stale')
		  or diag 'make generate writes them anew';
	}
	return;
}

check_page();
check_tables();
check_links();
check_examples();
check_errors();

# As a user reads them, with \df+ and \dT+: no line is over-wide.
foreach my $thing (@{ $installed->{functions} }, @{ $installed->{relations} })
{
	my ($longest) = sort { $b <=> $a } map { length } split /\n/, $thing->{comment};
	cmp_ok($longest, '<=', 130, "$thing->{name}: the comment's lines are not wide");
}

$node->stop;
done_testing;
