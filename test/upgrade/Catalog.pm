# Catalog: what the catalogs of a database have of the extension, as catalog.sql prints it,
# and what an update of an older version lacks of a fresh install.
#
#   is(Catalog::lacks($node, 'updated', 'fresh'), '', 'as a fresh install');
package Catalog;

use strict;
use warnings;

use File::Basename qw(dirname);
use PostgreSQL::Test::Utils;

my $directory = dirname(__FILE__);

# All that a database has of it, a line each.
sub lines_of
{
	my ($node, $database) = @_;
	my @lines = split /\n/, $node->safe_psql($database, PostgreSQL::Test::Utils::slurp_file("$directory/catalog.sql"));

	die "$database has nothing of the extension\n" unless @lines > 500;
	return @lines;
}

# The lines in which two databases differ, those of an update and of a fresh install.
sub lacks
{
	my ($node, $updated, $fresh) = @_;
	my %updated = map { $_ => 1 } lines_of($node, $updated);
	my %fresh = map { $_ => 1 } lines_of($node, $fresh);

	return join("\n", (map { "only a fresh install has: $_" } grep { !$updated{$_} } sort keys %fresh),
		(map { "only an update has: $_" } grep { !$fresh{$_} } sort keys %updated));
}

1;
