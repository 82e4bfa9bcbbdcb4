# What stands in test/package without the tools of a distribution.  Behaviour: META.json is what
# PGXN's specification asks for, and what it does not allow is found; the container file has two
# stages, no secret, and is short; make install puts all files, and no others, under DESTDIR; the
# library that is tested has the hardening of the flags that pg_config gives, and needs no library
# that is not in the list.
use strict;
use warnings;

use Cwd qw(realpath);
use FindBin;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = realpath("$FindBin::RealBin/../../..");
my $package = "$root/test/package";
my $folder = realpath(PostgreSQL::Test::Utils::tempdir);
my $meta = decode_json(slurp_file("$root/META.json"));

# What check-meta says of a changed META.json.
sub complaints
{
	my ($change) = @_;
	my $changed = decode_json(encode_json($meta));

	$change->($changed);
	open(my $file, '>', "$folder/META.json") or die;
	print $file encode_json($changed);
	close $file or die;
	return scalar qx($^X '$package/check-meta' '$folder/META.json' 2>&1);
}

is(complaints(sub { }), '', 'META.json is valid');
foreach my $member (qw(name version abstract maintainer license provides meta-spec))
{
	is(complaints(sub { delete $_[0]->{$member} }), "META.json has no $member\n", "without $member it is not");
}
like(complaints(sub { $_[0]->{version} = '1.1' }), qr/1\.1 is no version/, 'nor with a short version');
like(complaints(sub { $_[0]->{license} = 'mine' }), qr/mine is no license/, 'nor with a license of its own');
like(complaints(sub { $_[0]->{provides}{flex_api}{file} = 'nowhere' }), qr/there is no nowhere/, 'nor with a file that is not there');
like(complaints(sub { $_[0]->{surprise} = 1 }), qr/no member surprise/, 'nor with a member of its own');

my $container = slurp_file("$package/Containerfile");
my @stages = $container =~ /^FROM /mg;
is(scalar @stages, 2, 'the container file has two stages');
cmp_ok($container =~ tr/\n//, '<', 20, 'and less than 20 lines');
unlike($container =~ s/^#.*//mgr, qr/token|secret|password|flex_api\.[a-z]|ADD http/i, 'it has no secret and no setting');
like($container, qr/^COPY --from=build \/installed \/$/m, 'only what is installed leaves the first stage');

# Where a package's build installs.
my $destination = "$folder/destination";
is(system("make -s -C '$root' install DESTDIR='$destination' with_llvm=no >'$folder/install.log' 2>&1"), 0, 'make install DESTDIR')
  or diag(slurp_file("$folder/install.log"));
chomp(my ($library, $share) = map { scalar qx(\${PG_CONFIG:-pg_config} --$_) } qw(pkglibdir sharedir));
my @installed = sort split /\n/, qx(cd '$destination' && find . -type f | sed 's/^.//');
my $version = $meta->{version};
is_deeply(\@installed, [ sort "$library/flex_api.so",
	map { "$share/extension/$_" } 'flex_api.control', "flex_api--$version.sql", map { s{.*/}{}r } glob("$root/sql/release/*.sql $root/sql/upgrade/*.sql") ],
	'the files are there, and no others');

SKIP:
{
	skip 'a build with sanitizers is no build of a package', 3 if $ENV{FLEX_SLOW_BUILD};
	my $file = "$destination$library/flex_api.so";
	chomp(my $flags = qx(\${PG_CONFIG:-pg_config} --ldflags));

	my $hardening = qx('$root/test/tools/check-hardening' '$file' 2>&1);
	unlike($hardening, $flags =~ /-z,now/ ? qr/^NO/m : qr/^NO(?!.*BIND_NOW)/m, 'the library is hardened') or diag($hardening);
	like($hardening, qr/^yes/m, 'which is shown');

	# The table of libraries names each that the linker has recorded.
	my %listed = map { $_ => 1 } slurp_file("$root/sql/OPERATING.md") =~ /^\| `(lib[\w.+-]+\.so\.\d+)` \|/mg;
	my @needed = map { /\(NEEDED\).*\[(.*)\]/ ? $1 : () } qx(readelf --dynamic --wide '$file');
	is_deeply([ grep { !$listed{$_} } @needed ], [], 'what it is linked with is in the list of libraries');
}

done_testing();
