# What a maintainer runs for a release.  Behaviour: sign-release makes archives, their sums, a signature
# that gpg verifies and a signed tag; what is changed afterwards no longer fits; it refuses a checkout
# with changes, and a release without a date; the archive for PGXN is the same to the byte when made again.
use strict;
use warnings;

use Cwd qw(realpath);
use File::Spec::Functions qw(rel2abs);
use FindBin;
use PostgreSQL::Test::Utils;
use Test::More;

foreach my $program (qw(git gpg))
{
	plan skip_all => "no $program here" if system("$program --version >/dev/null 2>&1") != 0;
}
my $root = realpath("$FindBin::RealBin/../../..");
my $folder = rel2abs(PostgreSQL::Test::Utils::tempdir_short);
my $KEY = 'nobody@example.invalid';

# Nothing of the user's: neither keys nor settings of git.
$ENV{GNUPGHOME} = "$folder/keys";
$ENV{HOME} = $folder;
$ENV{"GIT_${_}_NAME"} = 'Nobody' for qw(AUTHOR COMMITTER);
$ENV{"GIT_${_}_EMAIL"} = $KEY for qw(AUTHOR COMMITTER);
mkdir $ENV{GNUPGHOME}, 0700 or die;
command_ok([ qw(gpg --batch --quiet --passphrase), '', '--quick-generate-key', "Nobody <$KEY>", 'ed25519', 'sign', '1d' ], 'a key');

sub in_checkout { my ($command) = @_; return [ 'sh', '-c', "cd '$folder/checkout' && $command" ]; }
mkdir "$folder/checkout" or die;
command_ok([ 'sh', '-c', "cd '$root' && tar -c --exclude-vcs --exclude='*.o' --exclude='*.so' --exclude='*.gc??' --exclude=./tmp_check . | tar -x -C '$folder/checkout'" ],
	'a copy');
command_ok(in_checkout('rm -f .gitignore && printf "/dist/\n/sql/flex_api--*.sql\n" >.gitignore && git init -q && git add -A && git commit -qm one'), 'a checkout');
sub sign { return in_checkout("test/package/sign-release '$KEY'"); }

command_like(in_checkout("sed -i 's/^## \\([0-9.]*\\) .*/## \\1 (unreleased)/' CHANGELOG.md && git commit -qam two; test/package/sign-release '$KEY' 2>&1; true"),
	qr/has no date/, 'a release without a date is refused');
command_ok(in_checkout("sed -i 's/(unreleased)/(2026-11-29)/' CHANGELOG.md"), 'a date');
command_like(in_checkout("test/package/sign-release '$KEY' 2>&1; true"), qr/changes that are not committed/, '... which is not committed is refused');
command_ok(in_checkout('git commit -qam three'), 'a commit');
command_ok(sign(), 'a release is signed');

my $CHECK = 'cd dist/release && gpg --quiet --verify SHA256SUMS.asc SHA256SUMS && sha256sum --quiet --check SHA256SUMS';
chomp(my $version = qx(sed -n "s/^default_version *= *'\\(.*\\)'/\\1/p" '$root/flex_api.control'));
is_deeply([ sort split /\n/, qx(ls '$folder/checkout/dist/release') ], [ sort "flex_api-$version.tar.gz", "flex_api-$version.zip", 'SHA256SUMS', 'SHA256SUMS.asc' ],
	'with these files');
command_ok(in_checkout($CHECK), 'as README.md says, signature and sums fit');
command_ok(in_checkout("git tag --verify v$version"), 'and so does the tag');
command_ok(in_checkout("test/package/make-dist dist/again && cmp dist/again/flex_api-$version.zip dist/release/flex_api-$version.zip"), 'the archive can be made again');
command_ok(in_checkout("printf x >>dist/release/flex_api-$version.zip"), 'a byte more');
command_fails(in_checkout($CHECK), '... and a sum does not fit');
command_ok(in_checkout('cd dist/release && sha256sum flex_api-* >SHA256SUMS'), 'another sum');
command_fails(in_checkout($CHECK), '... and the signature does not fit');

system("gpgconf --kill all >/dev/null 2>&1");
done_testing();
