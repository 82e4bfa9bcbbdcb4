# What can be seen of the source without running it: the layers of src/, layout,
# lengths, the version, words that belong to one machine, and words that mean something
# else in PostgreSQL or nothing at all.
use strict;
use warnings;

use Cwd qw(realpath);
use File::Find;
use FindBin;
use JSON::PP;
use Test::More;

my $source = realpath("$FindBin::RealBin/../../..");
chdir $source or die "$source: $!";

sub slurp
{
	my ($path) = @_;

	open(my $handle, '<', $path) or die "$path: $!";
	local $/;
	return scalar <$handle>;
}

# Run a command; true if it succeeded, else its output is shown.
sub succeeds
{
	my ($name, $command) = @_;
	my $output = qx($command 2>&1);

	ok($? == 0, $name) or diag($output);
	return;
}

succeeds('includes lead to the own layer or down', 'test/tools/layers');

# What stands at the top, besides what builds and pg_regress leave there.
my %top = map { $_ => 1 } qw(.ci .clang-format .git .gitignore CHANGELOG.md CONTRIBUTING.md LICENSE META.json Makefile
  README.md SECURITY.md expected flex_api.control sql src test);
my %left = map { $_ => 1 } glob('*.so *.bc results dist tmp_check regression.*');
opendir(my $directory, '.') or die "$source: $!";
is(join(' ', sort grep { !/^\.\.?$/ && !$top{$_} && !$left{$_} } readdir $directory), '', 'nothing else stands at the top');
closedir $directory;

SKIP:
{
	my ($major) = (qx(clang-format --version 2>&1) // '') =~ /version (\d+)/;

	# Releases differ in what they make of the same settings.
	skip 'clang-format 14 is not here', 1 unless ($major // 0) == 14;
	my @changed = grep { qx(clang-format '$_') ne slurp($_) } map { glob("$_/*.[ch]") } qw(src src/* test/simulator test/bench);

	is(scalar @changed, 0, 'clang-format changes nothing')
	  or diag('run: clang-format -i ', join(' ', @changed));
}

# Lengths of files and functions.  A function's body stands between braces in the
# first column; what ends in "};" or "} Name;" is a table or a type.
my (@long_files, @long_functions, @controls);
for my $path (glob('src/*.[ch] src/*/*.[ch]'))
{
	my @lines = split /\n/, slurp($path);
	my $start;

	push @long_files, "$path: " . @lines . ' lines' if @lines < 10 || @lines > 500;
	for my $number (0 .. $#lines)
	{
		push @controls, "$path:" . ($number + 1) if $lines[$number] =~ /[\0-\x08\x0b-\x1f\x7f]/;
		$start = $number if $lines[$number] eq '{';
		next unless $lines[$number] =~ /^}/;
		push @long_functions, "$path:$start: " . ($number - $start + 1) . ' lines'
		  if $lines[$number] eq '}' && defined $start && $number - $start + 1 > 80;
		undef $start;
	}
}
is(join("\n", @long_files), '', 'files of src/ have 10 to 500 lines');
is(join("\n", @long_functions), '', 'functions have at most 80 lines');
is(join("\n", @controls), '', 'no control characters, which make a file a binary one to grep');

# The version stands in the control file.  META.json, which PGXN reads as it is, agrees.
my ($version) = slurp('flex_api.control') =~ /^default_version\s*=\s*'(.*)'/m;
my $meta = decode_json(slurp('META.json'));
is($meta->{version}, $version, 'META.json has the version');
is_deeply($meta->{provides}{flex_api}, {
	%{ $meta->{provides}{flex_api} },
	version => $version,
	file => "sql/flex_api--$version.sql" }, 'META.json has it where it says what it provides');
like(slurp('CHANGELOG.md'), qr/^## .*\Q$version\E/m, 'CHANGELOG.md has a section for it');

my (@files, @versions, @machines, @words);
find({ no_chdir => 1, wanted => sub {
	$File::Find::prune = 1 if m{/(\.git|results|tmp_check|node_modules)$};
	push @files, s{^\./}{}r if -f && -T _ && !/\.(o|d|so|bc|gc..)$/ && !/flex_api--.*\.sql$/;
} }, '.');

# Written so that they do not find themselves.
my $machine = qr{/wor[k]/|/hom[e]/|/roo[t]/|deb[.]debian|nodesourc[e]|pypi[.]org|npmj[s]|artifactor[y]}i;
# For a role or a process: "a role that ...", "a sender that ...".
my $sentence = qr{(?:^|[.:;?]\s+|[#*>|(-]\s+|\s'|\t)Wh[o]\s+[a-z]};
my $riddle = qr{\broster[s]?\b|(?<!memory )(?<!security[ -])\bbarrier[s]?\b|\bhouse[s]?\b|\bfloor[s]?\b(?!\()|\broom[s]\b}i;
for my $path (sort @files)
{
	my $number = 0;

	for my $line (split /\n/, slurp($path))
	{
		$number++;
		push @machines, "$path:$number: $line" if $line =~ $machine;
		push @words, "$path:$number: $line"
		  if ($line =~ $sentence || $line =~ $riddle) && $path !~ m{^test/(interop/package-lock|simulator/samples)\.json$};
		next if $path =~ /^(flex_api\.control|META\.json|CHANGELOG\.md)$/;
		# Since when the tables are as they are is another thing, though it may be this version.
		next if $line =~ /^#define TABLES_SINCE /;
		push @versions, "$path:$number: $line"
		  if $line =~ /flex_api\W{0,3}\b\Q$version\E\b/ || ($path =~ m{^(src/|Makefile)} && $line =~ /\b\Q$version\E\b/);
	}
}
cmp_ok(scalar @files, '>', 50, 'there are files to look at');
is(join("\n", @versions), '', 'nothing else carries the version');
is(join("\n", @machines), '', 'no word names a machine');
is(join("\n", @words), '', 'no word is a riddle');

done_testing();
