# The table of resources has each published operation that lists, fetches, creates, updates
# or deletes, once and under its kind; those of one resource answer with one schema, and its
# key is what stands last in the paths of its fetch, update and delete.
use strict;
use warnings;

use FindBin;
use Test::More;

my $root = "$FindBin::RealBin/../../..";
my %KINDS = (list => 'LIST', fetch => 'FETCH', create => 'CREATE', update => 'UPDATE', delete => 'DELETE');

sub slurp { my ($path) = @_; open(my $file, '<', "$root/$path") or die "$path: $!"; local $/; return scalar <$file>; }

my %published;
foreach (map { split /\n/ } slurp('test/facts/operations.tsv'), slurp('test/facts/pages/operations.tsv'))
{
	my ($function, undef, undef, $path, undef, undef, undef, $schema) = split /\t/;

	$published{$function} = { path => $path, schema => $schema } if $function =~ /^flex_/;
}
cmp_ok(scalar keys %published, '>', 70, 'there are published operations');

# Resources: name, key, operations by kind
my ($table) = slurp('src/request/resources.c') =~ /^static const Resource resources\[\] = \{\n(.*?)^\};/ms;
my (%resources, %uses);
while ($table =~ /\{\.name = "(\w+)",(.*?)\}\},\n/gs)
{
	my ($name, $rest) = ($1, $2);

	$resources{$name}{key} = $1 if $rest =~ /\.key = "(\w+)"/;
	$resources{$name}{operations}{$1} = $2 while $rest =~ /\[RESOURCE_(\w+)\] = "(\w+)"/g;
	$uses{$_}++ foreach values %{ $resources{$name}{operations} };
}
cmp_ok(scalar keys %resources, '>', 20, 'there are resources');

my @wrong;
foreach my $function (sort keys %published)
{
	my ($kind) = $function =~ /_(list|fetch|create|update|delete)$/ or next;

	# The same rows as those of flex_instance_users_list, by their names.
	next if $function eq 'flex_instance_users_named_list';
	push @wrong, "$function stands in " . ($uses{$function} // 0) . ' resources' unless ($uses{$function} // 0) == 1;
}
foreach my $name (sort keys %resources)
{
	my %operations = %{ $resources{$name}{operations} };
	my %schemas = map { $published{$_}{schema} => 1 } grep { $published{$_}{schema} ne '-' } values %operations;
	my $by_key = 0;

	push @wrong, "$name has operations with the schemas " . join(' and ', sort keys %schemas) unless keys %schemas == 1;
	foreach my $kind (sort keys %operations)
	{
		my $function = $operations{$kind};
		my ($suffix) = $function =~ /_([a-z]+)$/;

		push @wrong, "$name has $function as its $kind" unless ($KINDS{$suffix} // '') eq $kind;
		next if $kind eq 'LIST' || $kind eq 'CREATE';
		my ($last) = $published{$function}{path} =~ /\{(\w+)\}$/ or next;
		my $key = lc($last =~ s/(?<=.)([A-Z])/_$1/gr);

		$by_key++;
		push @wrong, "$name has the key " . ($resources{$name}{key} // '(none)') . ", $function has $key"
		  unless ($resources{$name}{key} // '') eq $key;
	}
	push @wrong, "$name has a key by which nothing is done" if $resources{$name}{key} && !$by_key;
	my $list = $operations{LIST};
	push @wrong, "$name is not named as $list" if $list && $list ne "flex_${name}_list";
}
is(join("\n", @wrong), '', 'resources and published operations agree');
done_testing();
