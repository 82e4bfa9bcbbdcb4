# first.pl --bin FOLDER --directory DIRECTORY
#
# Measures the first call of a session: what its backend has used of the CPU from its start to the
# answer, beside SELECT 1, and beside a module that does nothing and is linked with libcurl; and how
# long the statement took.  Over plain http and TLS, with the library preloaded and without.
# pgsql-http is measured where the server has it.  test/bench/run prepares and calls it.  Ends with 1
# where a goal was missed.
use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec::Functions qw(rel2abs);
use Getopt::Long;

use lib dirname(__FILE__);
use Rounds;
use Servers;
use Session;

my ($bin, $directory);
GetOptions('bin=s' => \$bin, 'directory=s' => \$directory) or exit 2;

my $SESSIONS = 15;
my %GOALS = (http => 3, https => 6);    # milliseconds of CPU more than SELECT 1
my $here = rel2abs(dirname(__FILE__));
my $missed = 0;
$SIG{INT} = $SIG{TERM} = sub { exit 1 };

my $servers = Servers->new($bin, $directory);
my ($key, $certificate, $authorities) = $servers->certificates;
my %url = (http => $servers->simulator, https => $servers->simulator('--tls-cert', $certificate, '--tls-key', $key));
my %sid;

sub is_there { my ($extension) = @_; return Session->new($servers)->query("SELECT count(*) FROM pg_available_extensions WHERE name = '$extension'"); }

# A call, made in a session whose settings come with its connection; the library is not loaded before it.
sub call
{
	my ($scheme, $ca_file) = @_;
	my $options = "-c flex_api.base_url=$url{$scheme}" . (defined $ca_file ? " -c flex_api.ca_file=$ca_file" : '');

	return [ $options, "SELECT sid FROM flex_channel_fetch('$sid{$scheme}')", $GOALS{$scheme} ];
}

# What the first statement of a session costs: its time, and the CPU of the backend since its start.
sub first
{
	my ($options, $statement, undef, $begin) = @_;
	local $ENV{PGOPTIONS} = $options;
	my $session = Session->new($servers);

	$session->query($begin) if defined $begin;
	my $cost = $session->cost($statement);
	return [ $cost->[0], $session->cpu * 1e6 ];
}

# Measure them in turns, each with a session of its own per round, and print a table.
sub table
{
	my ($title, @contestants) = @_;
	my $costs = Rounds::measure($SESSIONS, 1000, map { my ($name, @statement) = ($_->[0], @{ $_->[1] }); [ $name => sub { first(@statement) } ] } @contestants);

	printf "\n%s (%d rounds)\n%-44s %8s %8s %18s  %s\n", $title, Rounds::count($costs), '', 'wall ms', 'CPU ms', 'than SELECT 1: more', 'goal';
	foreach my $contestant (@contestants)
	{
		my ($name, $goal) = ($contestant->[0], $contestant->[1][2]);
		my ($own, $one) = @$costs{ $name, $contestants[0][0] };
		my $more = Rounds::median(map { $own->[$_][1] - $one->[$_][1] } 0 .. $#$own);

		$missed += defined $goal && $more > $goal;
		printf "%-44s %8.2f %8.2f %18.2f  %s\n", $name, (map { my $column = $_; Rounds::median(map { $_->[$column] } @$own) } 0, 1), $more,
		  defined $goal ? "<= $goal" . ($more > $goal ? ' MISSED' : ' ok') : '';
	}
	return;
}

# pgsql-http in its own words, for the same GET; it does not know the authorities that are the system's here.
sub pgsql_http
{
	return () unless is_there('http');
	Session->new($servers)->query('CREATE EXTENSION http');
	return map { my $scheme = $_; [ "pgsql-http, $scheme", [ '', "SELECT status FROM http_get('$url{$scheme}/_simulator/health')", undef,
			$scheme eq 'https' ? "SET http.curlopt_cainfo = '$authorities'" : undef ] ] } qw(http https);
}

Session->new($servers)->query('CREATE EXTENSION flex_api');
foreach my $scheme (qw(http https))
{
	$servers->control($url{$scheme}, 'POST', 'seed', { channels => 1 });
	$sid{$scheme} = Session->new($servers)->query("SET flex_api.base_url = '$url{$scheme}'; SELECT sid FROM flex_channels_list(max_rows => 1)");
}
my @nothing = ('SELECT 1', [ '', 'SELECT 1' ]);
my @calls = ([ 'http', call('http') ], [ 'https', call('https') ], [ "https, its authority alone in ca_file", call('https', $certificate) ]);
table('The first call of a session', \@nothing, [ 'LOAD, of a module with libcurl alone', [ '', "LOAD '$here/only_libcurl'" ] ], @calls,
	[ 'https, a ca_file of the system\'s size', [ @{ call('https', $authorities) }[ 0, 1 ] ] ], pgsql_http());
$servers->restart('shared_preload_libraries=flex_api');
table('The same, preloaded (shared_preload_libraries)', \@nothing, @calls);
$servers->stop;
print "\n", $missed ? "$missed goals missed" : 'all goals reached', "\n";
exit($missed ? 1 : 0);
