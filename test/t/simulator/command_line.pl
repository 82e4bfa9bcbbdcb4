# What the command line is told when it is wrong: one line, in words; and where it serves.

use strict;
use warnings;

use File::Temp;
use FlexApi;
use Test::More;

my $directory = File::Temp->newdir;

sub file
{
	my ($name, $content) = @_;
	open(my $file, '>', "$directory/$name") or die "$name: $!";
	print $file $content;
	close $file or die "$name: $!";
	return "$directory/$name";
}

# What the simulator says that ends at once, and its exit status.
sub refusal
{
	my (@options) = @_;
	my $program = $ENV{FLEX_SIMULATOR};
	my $said = qx($program @options --until-stdin-closes </dev/null 2>&1);
	return $said =~ s/\n\z//r . ' [' . ($? >> 8) . ']';
}

sub refuses { my ($options, $message) = @_; return is(refusal(@$options), "flex_simulator: $message [1]", "@$options"); }

my $hint = '(--help shows the options)';
refuses(['--prot'], "there is no option --prot $hint");
refuses(['extra'], "\"extra\" is no option $hint");
refuses([ '--help=yes' ], "--help takes no value $hint");
refuses([ '--port', 'http' ], "--port takes a number from 0 to 65535, not \"http\" $hint");
refuses([ '--port', 65536 ], "--port takes a number from 0 to 65535, not \"65536\" $hint");
refuses([ '--threads', 0 ], "--threads takes a number from 1 to 1000, not \"0\" $hint");
refuses([ '--tls-key', 'x' ], "--tls-cert and --tls-key are needed both $hint");
refuses([ '--listen', 'flex.example:80' ], "--listen takes an IPv4 address and a port, such as 127.0.0.1:8080, not \"flex.example:80\" $hint");
refuses([ '--listen', '127.0.0.1:x' ], "--listen takes a port from 0 to 65535, not \"x\" $hint");

my $missing = "$directory/none";
refuses([ '--accounts', $missing ], "could not read $missing: No such file or directory");
my $broken = file('broken.json', "{\n\"accounts\": [\n}\n");
refuses([ '--accounts', $broken ], "$broken is not JSON: line 3: unexpected character");
my $array = file('array.json', '[]');
refuses([ '--accounts', $array ], "$array does not hold a JSON object");

my $simulator = FlexApi::Simulator->new('--listen', '127.0.0.1:0');
like($simulator->url, qr{^http://127\.0\.0\.1:\d+$}, 'an address to listen on');
done_testing;
