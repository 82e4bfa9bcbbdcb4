# FlexFacts: what the published documents, and pages beside them, say of each operation,
# and so what a call of its SQL function has to send and to return.
#
# Everything comes from the tables in test/facts and from the rules in the
# service's own words; nothing is asked of the extension.  Requests are put
# together in the way of the official helper libraries: values in a form or a
# query are texts, booleans are true and false, an array is its name again and
# again, JSON is a text.
#
#   my $facts = FlexFacts->new;               # or FlexFacts->new(''), of the documents alone
#   foreach my $operation ($facts->operations) { ... $facts->parameters($operation) ... }
#   my $sql = $facts->call($operation, \%arguments);          # SELECT ... AS r
#   my $request = $facts->request($operation, \%arguments);   # method, path, query, form, json, headers
#
# Arguments go by their SQL names; their values are texts, arrays of texts, or
# undef for NULL.
package FlexFacts;

use strict;
use warnings;

use Exporter qw(import);
use File::Basename qw(dirname);
use JSON::PP;

our @EXPORT_OK = qw(literal json_text same_json);

my $PATH_LITERAL = qr/[^A-Za-z0-9\-._~]/;

sub _rows
{
	my ($file) = @_;
	open(my $table, '<:raw', $file) or die "$file: $!";
	my @lines = map { chomp; [ split /\t/ ] } <$table>;
	my @columns = @{ shift @lines };
	return map { my %row; @row{@columns} = @$_; \%row } @lines;
}

sub new
{
	my ($class, @folders) = @_;
	my $self = bless { operations => [], parameters => {}, members => {} }, $class;

	foreach my $directory (map { dirname(__FILE__) . "/../facts$_" } @folders ? @folders : ('', '/pages'))
	{
		push @{ $self->{operations} }, _rows("$directory/operations.tsv");
		push @{ $self->{parameters}{ $_->{function} } }, _described($_) foreach _rows("$directory/parameters.tsv");
		push @{ $self->{members}{ $_->{schema} } }, $_ foreach _rows("$directory/members.tsv");
	}
	return $self;
}

# Give a parameter its SQL name and type.  Strings of these names hold JSON.
sub _described
{
	my ($parameter) = @_;
	my %types = (string => 'text', boolean => 'boolean', integer => 'integer', number => 'double precision',
		array => 'text[]', any => 'jsonb', object => 'jsonb');

	$parameter->{sql} = $parameter->{name} eq '-' ? 'body' : $parameter->{name};
	$parameter->{sql} =~ s/([a-z])([A-Z])/$1_$2/g;
	$parameter->{sql} =~ s/[.-]/_/g;
	$parameter->{sql} = lc $parameter->{sql};
	$parameter->{sql_type} = $types{ $parameter->{type} } or die "type $parameter->{type}";
	$parameter->{sql_type} = 'jsonb' if $parameter->{sql} =~ /^(pre_engagement_data|post_engagement_data|task_attributes)$/;
	# Its description alone says that it is the SID of an address.
	$parameter->{pattern} = '^IG[0-9a-fA-F]{32}$' if $parameter->{name} eq 'AddressSid';
	return $parameter;
}

sub operations { return @{ $_[0]->{operations} }; }
sub operation { my ($self, $name) = @_; return (grep { $_->{function} eq $name } $self->operations)[0]; }
sub parameters { my ($self, $operation) = @_; return @{ $self->{parameters}{ $operation->{function} } // [] }; }
sub schemas { return sort keys %{ $_[0]->{members} }; }
sub members { my ($self, $schema) = @_; return @{ $self->{members}{$schema} }; }

# An SQL literal, whatever the value has in it.
sub literal
{
	my ($value, $type) = @_;

	return "NULL::$type" unless defined $value;
	return 'ARRAY[' . join(', ', map { literal($_, 'text') } @$value) . ']::text[]' if ref $value;
	(my $quoted = $value) =~ s/'/''/g;
	return "'$quoted'::$type";
}

# The call, as a table r; for a list also with paging => { page_size, max_rows }.
sub call
{
	my ($self, $operation, $arguments, $paging) = @_;
	my @given = map { "\"$_->{sql}\" => " . literal($arguments->{ $_->{sql} }, $_->{sql_type}) }
	  grep { exists $arguments->{ $_->{sql} } } $self->parameters($operation);

	push @given, map { "$_ => $paging->{$_}" } sort keys %{ $paging // {} };
	return "$operation->{function}(" . join(', ', @given) . ')';
}

# Percent-encoding of RFC 3986 of a value in a path, as UTF-8.
sub path_encoded
{
	my ($value) = @_;

	utf8::encode($value);
	$value =~ s/($PATH_LITERAL)/sprintf '%%%02X', ord $1/ge;
	return $value;
}

# The request that the call has to send.  Names and values in query and form are
# pairs, in the documents' order.
sub request
{
	my ($self, $operation, $arguments, $paging) = @_;
	my $request = { method => $operation->{method}, path => $operation->{path}, query => [], form => [], headers => {} };

	foreach my $parameter ($self->parameters($operation))
	{
		my $value = $arguments->{ $parameter->{sql} };
		next unless defined $value;
		if ($parameter->{place} eq 'path')
		{
			my $encoded = path_encoded($value);
			$request->{path} =~ s/\{$parameter->{name}\}/$encoded/ or die "$operation->{path} has no $parameter->{name}";
		}
		elsif ($parameter->{place} eq 'header') { $request->{headers}{ lc $parameter->{name} } = $value; }
		elsif ($parameter->{place} eq 'json') { $request->{json} = $value; }
		else { push @{ $request->{ $parameter->{place} } }, map { [ $parameter->{name}, $_ ] } ref $value ? @$value : $value; }
	}
	if ($operation->{list_key} ne '-')
	{
		# Without a wish the largest page, but no larger than the rows that are wanted.
		push @{ $request->{query} }, [ 'PageSize', $paging->{page_size} // $paging->{max_rows} // 1000 ];
	}
	return $request;
}

# JSON with numbers as they are written: a reference to a text is that text.
sub json_text
{
	my ($value) = @_;

	return 'null' unless defined $value;
	return $$value if ref $value eq 'SCALAR';
	return '[' . join(',', map { json_text($_) } @$value) . ']' if ref $value eq 'ARRAY';
	return '{' . join(',', map { json_text($_) . ':' . json_text($value->{$_}) } sort keys %$value) . '}' if ref $value;
	return JSON::PP->new->allow_nonref->encode("$value");
}

# One form of a JSON text, with the digits of its numbers as they are.
sub _canonical
{
	my ($text) = @_;

	$text =~ s/("(?:[^"\\]|\\.)*")|(-?[0-9][0-9.eE+-]*)/defined $1 ? $1 : "\"number $2\""/ges;
	return JSON::PP->new->allow_nonref->canonical->max_depth(2000)->encode(
		JSON::PP->new->allow_nonref->max_depth(2000)->decode($text));
}

# True when two JSON texts say the same.
sub same_json
{
	my ($left, $right) = @_;

	return eval { _canonical($left) eq _canonical($right) } ? 1 : 0;
}

1;
