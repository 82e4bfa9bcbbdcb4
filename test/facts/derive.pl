#!/usr/bin/perl
#
# derive.pl
#	  Derives the facts in this directory from Twilio's OpenAPI documents of Flex.
#
#	perl derive.pl [--names FILE] [--output DIR] DOCUMENTS_DIR
#
# Reads every *.json in DOCUMENTS_DIR and prints operations.tsv, parameters.tsv
# and members.tsv one after the other, or writes them to DIR. The documents do
# not know the SQL functions' names: they come from the first two columns of
# FILE, by default the operations.tsv beside this program. An operation that
# has no name there is called "?", so that a comparison shows it. Members keep
# the documents' order, which JSON::PP would lose: hence the reader below.

use strict;
use warnings;

use File::Basename qw(dirname);
use Getopt::Long;
use JSON::PP ();

# A hash whose keys come back in the order in which they went in.
package InOrder;

sub TIEHASH { return bless { keys => [], of => {} }, shift }
sub FETCH { return $_[0]{of}{ $_[1] } }
sub EXISTS { return exists $_[0]{of}{ $_[1] } }
sub SCALAR { return scalar @{ $_[0]{keys} } }
sub FIRSTKEY { $_[0]{at} = 0; return $_[0]{keys}[0] }
sub NEXTKEY { return $_[0]{keys}[ ++$_[0]{at} ] }

sub STORE
{
	my ($self, $key, $value) = @_;
	push @{ $self->{keys} }, $key unless exists $self->{of}{$key};
	$self->{of}{$key} = $value;
}

package main;

my $unquote = JSON::PP->new->allow_nonref;

# Reads one JSON value at pos($$text): objects become InOrder hashes, true and
# false become 1 and 0, null becomes undef.
sub read_value
{
	my ($text) = @_;

	return read_object($text) if $$text =~ /\G\s*\{/gc;
	return read_array($text) if $$text =~ /\G\s*\[/gc;
	return $unquote->decode($1) if $$text =~ /\G\s*("(?:[^"\\]|\\.)*+")/gcs;
	return $1 if $$text =~ /\G\s*(-?[0-9][-+.0-9eE]*)/gc;
	return { true => 1, false => 0, null => undef }->{$1} if $$text =~ /\G\s*(true|false|null)/gc;
	die 'not JSON at byte ' . (pos($$text) // 0) . "\n";
}

sub read_object
{
	my ($text) = @_;
	tie my %object, 'InOrder';

	until ($$text =~ /\G\s*,?\s*\}/gc)
	{
		$$text =~ /\G\s*,?\s*("(?:[^"\\]|\\.)*+")\s*:/gcs or die 'no member at byte ' . pos($$text) . "\n";
		my $name = $unquote->decode($1);
		$object{$name} = read_value($text);
	}
	return \%object;
}

sub read_array
{
	my ($text) = @_;
	my @array;

	until ($$text =~ /\G\s*\]/gc)
	{
		$$text =~ /\G\s*,/gc;
		push @array, read_value($text);
	}
	return \@array;
}

sub slurp
{
	my ($path) = @_;
	open(my $file, '<:raw', $path) or die "$path: $!\n";
	local $/;
	return scalar <$file>;
}

# SQL function by operation, from a table whose first two columns they are.
sub read_names
{
	my ($path) = @_;
	my %function;

	foreach my $line (split /\n/, slurp($path))
	{
		my ($function, $operation) = split /\t/, $line;
		$function{$operation} = $function;
	}
	return \%function;
}

# The schema that a {"$ref": "#/a/b"} means; any other schema is itself.
sub resolve
{
	my ($document, $schema) = @_;
	return $schema unless exists $schema->{'$ref'};

	my $found = $document;
	foreach my $step (split m{/}, $schema->{'$ref'})
	{
		$found = $found->{$step} // die "$schema->{'$ref'} leads nowhere\n" if $step ne '#';
	}
	return $found;
}

# The columns type, pattern, enum and format of a parameter or a member. The
# pattern of an array is that of its elements.
sub describe
{
	my ($document, $schema) = @_;
	$schema = resolve($document, $schema);

	my $element = resolve($document, $schema->{items} // $schema);
	return {
		type => $schema->{type} // 'any',
		pattern => $element->{pattern} // '-',
		enum => $element->{enum} ? join('|', @{ $element->{enum} }) : '-',
		format => $schema->{format} // '-'
	};
}

# The arguments of an operation in SQL order: the required ones first; among
# equals path, query, headers, body, each in the documents' order.
sub parameters_of
{
	my ($document, $operation) = @_;
	my @parameters;

	foreach my $parameter (@{ $operation->{parameters} // [] })
	{
		next if $parameter->{in} eq 'query' && $parameter->{name} =~ /^(PageSize|Page|PageToken)$/;
		push @parameters,
			{
				name => $parameter->{name},
				place => $parameter->{in},
				required => $parameter->{required} ? 't' : 'f',
				%{ describe($document, $parameter->{schema}) }
			};
	}

	my $content = $operation->{requestBody} ? $operation->{requestBody}{content} : {};
	if (my $form = $content->{'application/x-www-form-urlencoded'})
	{
		my %required = map { $_ => 1 } @{ $form->{schema}{required} // [] };
		my $properties = $form->{schema}{properties};
		push @parameters,
			map +{
				name => $_,
				place => 'form',
				required => $required{$_} ? 't' : 'f',
				%{ describe($document, $properties->{$_}) }
			},
			keys %$properties;
	}
	elsif ($content->{'application/json'})
	{
		# The whole body is one argument, without a name on the wire.
		push @parameters,
			{
				name => '-',
				place => 'json',
				required => 't',
				type => 'object',
				pattern => '-',
				enum => '-',
				format => '-'
			};
	}
	@parameters = map { my $place = $_; grep { $_->{place} eq $place } @parameters } qw(path query header form json);
	return map { my $required = $_; grep { $_->{required} eq $required } @parameters } qw(t f);
}

sub body_of
{
	my ($operation) = @_;
	my $content = $operation->{requestBody} ? $operation->{requestBody}{content} : {};

	return 'form' if $content->{'application/x-www-form-urlencoded'};
	return 'json' if $content->{'application/json'};
	return '-';
}

# What an operation answers with: status, the member that holds a list's rows,
# and the name of the schema of one row.
sub answer_of
{
	my ($operation) = @_;
	my ($success) = sort grep { /^2/ } keys %{ $operation->{responses} };
	my $content = $operation->{responses}{$success}{content};
	return ($success, '-', '-') unless $content;

	my ($list_key, $schema) = ('-', $content->{'application/json'}{schema});
	if (my $properties = $schema->{properties})
	{
		($list_key) = grep { ($properties->{$_}{type} // '') eq 'array' } keys %$properties;
		$schema = $properties->{$list_key}{items};
	}
	return ($success, $list_key, $schema->{'$ref'});
}

# The three tables, without their header lines: lists of rows.
sub derive
{
	my ($documents, $function) = @_;
	my (@operations, @parameters, %members);

	foreach my $document (@$documents)
	{
		my $paths = $document->{paths};
		foreach my $path (keys %$paths)
		{
			my ($version) = $path =~ m{^/(v[0-9]+)/} or die "$path has no version\n";
			foreach my $method (grep { exists $paths->{$path}{$_} } qw(get post put patch delete))
			{
				my $operation = $paths->{$path}{$method};
				my $name = "$version/$operation->{operationId}";
				my $caller = $function->{$name} // '?';
				my ($success, $list_key, $reference) = answer_of($operation);
				(my $schema = $reference) =~ s{^#/components/schemas/flex\.}{};

				push @operations,
					[ $caller, $name, uc $method, $path, body_of($operation), $success, $list_key, $schema ];
				my $position = 0;
				push @parameters, [ $caller, ++$position, @$_{qw(name place required type pattern enum format)} ]
					foreach parameters_of($document, $operation);
				$members{$schema} //= members_of($document, $schema, $reference) if $schema ne '-';
			}
		}
	}
	return (
		[ sort { "@$a[0,1]" cmp "@$b[0,1]" } @operations ],
		[ sort { $a->[0] cmp $b->[0] || $a->[1] <=> $b->[1] } @parameters ],
		[ map { @{ $members{$_} } } sort keys %members ]);
}

sub members_of
{
	my ($document, $schema, $reference) = @_;
	my $properties = resolve($document, { '$ref' => $reference })->{properties};
	my $position = 0;

	return [
		map { [ $schema, ++$position, $_, @{ describe($document, $properties->{$_}) }{qw(type format pattern enum)} ] }
			keys %$properties
	];
}

my ($names, $output) = (dirname($0) . '/operations.tsv');
GetOptions('names=s' => \$names, 'output=s' => \$output) && @ARGV == 1
	or die "usage: perl derive.pl [--names FILE] [--output DIR] DOCUMENTS_DIR\n";

my $function = read_names($names);
my @documents = map { my $text = slurp($_); pos($text) = 0; read_value(\$text) } sort glob("$ARGV[0]/*.json");
die "no *.json in $ARGV[0]\n" unless @documents;

my @tables = derive(\@documents, $function);
my @headers = (
	[ 'operations', qw(function operation method path body success list_key schema) ],
	[ 'parameters', qw(function position name place required type pattern enum format) ],
	[ 'members', qw(schema position name type format pattern enum) ]);
foreach my $header (@headers)
{
	my ($table, @columns) = @$header;
	my $text = join '', map { join("\t", @$_) . "\n" } \@columns, @{ shift @tables };

	if (!defined $output)
	{
		print $text;
		next;
	}
	open(my $file, '>:raw', "$output/$table.tsv") or die "$output/$table.tsv: $!\n";
	print $file $text;
	close($file) or die "$output/$table.tsv: $!\n";
}
