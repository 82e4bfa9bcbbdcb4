# counting.pl --bin FOLDER --directory DIRECTORY
#
# Measures what counting a request costs (flex_stat_operations), in instructions of the
# process per call, as valgrind's callgrind counts them: a clock would not see one per
# cent.  A server process without a postmaster makes calls, with flex_api.track_operations
# on and off.  Ends with 1 where a goal was missed.
use strict;
use warnings;

use File::Basename qw(dirname);
use Getopt::Long;

use lib dirname(__FILE__);
use Servers;
use Session;

my ($bin, $directory);
GetOptions('bin=s' => \$bin, 'directory=s' => \$directory) or exit 2;

my $FEW = 20;      # calls that fill caches, too
my $MANY = 520;
my $GOAL = 1.0;    # per cent

$SIG{INT} = $SIG{TERM} = sub { exit 1 };

my $servers = Servers->new($bin, $directory);
my $simulator = $servers->simulator;
Session->new($servers)->query('CREATE EXTENSION flex_api');
$servers->control($simulator, 'POST', 'seed', { channels => 1 });
my $sid = Session->new($servers)->query("SET flex_api.base_url = '$simulator'; SELECT sid FROM flex_channels_list(max_rows => 1)");
$servers->command("$bin/pg_ctl", '-D', "$directory/data", qw(-m fast -w stop));
$servers->{running} = 0;

# Instructions in the function that makes calls, for so many of them.
sub instructions
{
	my ($tracking, $calls) = @_;
	my $statements = "$directory/statements";

	open(my $file, '>', $statements) or die "$statements: $!";
	print $file "SET flex_api.base_url = '$simulator'\nSET flex_api.track_operations = $tracking\n",
	  ("SELECT flex_channel_fetch('$sid')\n") x $calls;
	close($file) or die "$statements: $!";
	my $text = $servers->command('sh', '-c', 'exec "$0" "$@" <' . "'$statements'", 'valgrind', '--tool=callgrind',
		"--callgrind-out-file=$directory/callgrind.out", '--toggle-collect=flex_api_call',
		"$bin/postgres", '--single', '-D', "$directory/data", 'postgres');
	my ($collected) = $text =~ /Collected : (\d+)/ or die "callgrind has not counted:\n$text";
	return $collected;
}

sub per_call { my ($tracking) = @_; return (instructions($tracking, $MANY) - instructions($tracking, $FEW)) / ($MANY - $FEW); }

my ($off, $on) = map { per_call($_) } qw(off on);
my $share = 100 * ($on - $off) / $off;
my $missed = $share > $GOAL;
printf "instructions per call (%d calls): %.0f not counted, %.0f counted: %+.2f %%; goal: <= %.0f %% %s\n", $MANY - $FEW, $off, $on, $share, $GOAL,
  $missed ? 'MISSED' : 'ok';
$servers->stop;
exit($missed ? 1 : 0);
