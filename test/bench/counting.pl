# counting.pl --bin FOLDER --directory DIRECTORY
#
# Measures what a call takes beside a loop of libcurl's and json-c's, and what counting a
# request costs (flex_stat_operations), in instructions of the process per call, as
# valgrind's callgrind counts them: a clock would not see one per cent.  A server process
# without a postmaster makes calls, with flex_api.track_operations on and off.  Ends with 1
# where a goal was missed.
use strict;
use warnings;

use File::Basename qw(dirname);
use Getopt::Long;

use lib dirname(__FILE__);
use Baseline;
use Servers;
use Session;

my ($bin, $directory);
GetOptions('bin=s' => \$bin, 'directory=s' => \$directory) or exit 2;

my $FEW = 20;      # calls that fill caches, too
my $MANY = 520;
my $GOAL = 1.0;    # per cent
my $MOST = 1.25;   # times what libcurl and json-c take

$SIG{INT} = $SIG{TERM} = sub { exit 1 };

my $servers = Servers->new($bin, $directory);
my $simulator = $servers->simulator;
Session->new($servers)->query('CREATE EXTENSION flex_api');
$servers->control($simulator, 'POST', 'seed', { channels => 1 });
my $sid = Session->new($servers)->query("SET flex_api.base_url = '$simulator'; SELECT sid FROM flex_channels_list(max_rows => 1)");
Session->new($servers)->query("SET flex_api.base_url = '$simulator'; SELECT flex_channel_fetch('$sid')");
my @raw = (dirname(__FILE__) . '/raw_calls', Baseline::same_headers($servers, $simulator, 'raw_calls', "$simulator/v1/Channels/$sid"), "$simulator/v1/Channels/$sid");
$servers->command("$bin/pg_ctl", '-D', "$directory/data", qw(-m fast -w stop));
$servers->{running} = 0;

# Instructions of a program, or of a function of it; its standard input is a file.
sub collected
{
	my ($statements, @command) = @_;
	my $text = $servers->command('sh', '-c', 'exec "$0" "$@" <' . "'$statements'", 'valgrind', '--tool=callgrind',
		"--callgrind-out-file=$directory/callgrind.out", @command);

	return ($text =~ /Collected : (\d+)/)[0] // die "callgrind has not counted:\n$text";
}

# Those of the function that makes calls, for so many of them.
sub instructions
{
	my ($tracking, $calls) = @_;
	my $statements = "$directory/statements";

	open(my $file, '>', $statements) or die "$statements: $!";
	print $file "SET flex_api.base_url = '$simulator'\nSET flex_api.track_operations = $tracking\n",
	  ("SELECT flex_channel_fetch('$sid')\n") x $calls;
	close($file) or die "$statements: $!";
	return collected($statements, '--toggle-collect=flex_api_call', "$bin/postgres", '--single', '-D', "$directory/data", 'postgres');
}

sub per_call { my ($instructions) = @_; return ($instructions->($MANY) - $instructions->($FEW)) / ($MANY - $FEW); }

my $raw = per_call(sub { collected('/dev/null', @raw, $_[0]) });
my ($off, $on) = map { my $tracking = $_; per_call(sub { instructions($tracking, $_[0]) }) } qw(off on);
my $too_many = $off / $raw > $MOST;
printf "instructions per call (%d calls): %.0f, of libcurl and json-c alone %.0f: %.2f; at most %.1f %s\n", $MANY - $FEW, $off, $raw, $off / $raw, $MOST,
  $too_many ? 'MISSED' : 'ok';
my $share = 100 * ($on - $off) / $off;
my $missed = $share > $GOAL;
printf "not counted %.0f, counted %.0f: %+.2f %%; goal: <= %.0f %% %s\n", $off, $on, $share, $GOAL,
  $missed ? 'MISSED' : 'ok';
$servers->stop;
exit($missed || $too_many ? 1 : 0);
