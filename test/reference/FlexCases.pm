# FlexCases: arguments for every operation, and bodies for every resource, made
# from the facts: the least that a call takes, all of it, and the nastiest of it.
#
#   my $arguments = FlexCases::arguments($facts, $operation, 'nasty');   # minimal, full, nasty, empty
#   my $body = FlexCases::body($facts, $schema, 'full');                 # full, nulls, missing, nasty
#   my $row = FlexCases::row($facts, $schema, $body);                    # as to_jsonb() shows it
package FlexCases;

use strict;
use warnings;
use utf8;

our @SETS = qw(minimal full nasty empty);

# Everything that means something to a form, a URL, a shell, JSON or SQL.
our $NASTY = q{ a b  c&d=e+f%2F%zz/g?h#i;j,k'l"m\\n\\\\o$p{q}[r]<s>|^`~!*()@:} . "\t\r\n" . 'Zoë 漢字 😀 ' . "\x{202e}\x{feff}\x{7f} ";

# The same for where there is no line: a header, without blanks at its ends.
our $NASTY_HEADER = q{a b&c=d+e%2F/?#'"\\\\;,<>{}[]:@ Zoë 漢字 😀};

our $DEEP = '{"z":' . '[{"k":' x 40 . '"end"' . '}]' x 40
  . ',"":"empty name","n":[0,-1.50,0.1,123456789012345678901234567890],"t":true,"f":false,"0":null,'
  . '"s":"a\"b\\\\c/d\n\u001f & = + % Zoë 😀","e":{},"l":[]}';

sub sid { my ($letters, $digits) = @_; return $letters . substr(($digits // 'a') x 32, 0, 32); }

sub _letters { my ($pattern) = @_; return ($pattern =~ /^\^([A-Z]{2})\[0-9a-fA-F\]\{32\}\$$/)[0] // die "pattern $pattern"; }

my %plain = (
	minimal => { text => 'x', boolean => 'true', integer => '1', 'double precision' => '1', jsonb => '{}' },
	full => { text => 'Some text', boolean => 'true', integer => '60', 'double precision' => '12.5',
		jsonb => '{"type": "sms", "properties": {"n": 1.50}}' },
	nasty => { text => $NASTY, boolean => 'false', integer => '0', 'double precision' => '-0', jsonb => $DEEP },
	empty => { text => '', boolean => 'false', integer => '-2147483648', 'double precision' => '-1.5e-07', jsonb => '{}' });

sub _array
{
	my ($parameter, $set) = @_;

	if ($parameter->{pattern} ne '-')
	{
		my $letters = _letters($parameter->{pattern});
		return [ sid($letters) ] if $set eq 'minimal';
		return [ sid($letters), sid($letters, 'b') ] if $set eq 'full';
		return [ sid($letters, 'b'), sid($letters, 'aF9'), sid($letters, 'b') ];
	}
	return [ 'x' ] if $set eq 'minimal';
	return [ '{"plugin_version": "FV0", "phase": 3}', '{"plugin_version": "FV1"}' ] if $set eq 'full';
	return [ 'b,a', '', '{}', 'NULL', $NASTY, 'b,a', '"', '\\', 'a' ] if $set eq 'nasty';
	return [''];
}

# One value for a parameter, as its rules allow it.
sub value
{
	my ($parameter, $set) = @_;

	return _array($parameter, $set) if $parameter->{type} eq 'array';
	if ($parameter->{pattern} ne '-')
	{
		my %digits = (minimal => '0', full => 'a', nasty => 'aBcDeF0123456789', empty => 'F');
		return sid(_letters($parameter->{pattern}), $digits{$set});
	}
	if ($parameter->{enum} ne '-')
	{
		my @values = split /\|/, $parameter->{enum};
		return $values[ $set eq 'full' ? -1 : 0 ];
	}
	if ($parameter->{format} eq 'uri')
	{
		return $set eq 'nasty' ? q{https://me:p%40ss@example.com:8443/a+b%20c/漢?d=e&f=%26+%2B&g[]='"\\#😀} : 'https://example.com/hook';
	}
	return $NASTY_HEADER if $parameter->{place} eq 'header' && $set eq 'nasty';
	# A part of a path has no slash of either kind.
	return '.' . ($NASTY =~ s{[/\\]}{}gr) . '..' if $parameter->{place} eq 'path' && $set eq 'nasty';
	return 'x' if $parameter->{place} eq 'path' && $set eq 'empty';
	return $plain{$set}{ $parameter->{sql_type} } // die "$parameter->{sql_type}";
}

sub arguments
{
	my ($facts, $operation, $set) = @_;

	# An empty array is refused: an array that cannot have an empty element is left out.
	return { map { $_->{sql} => value($_, $set) }
		  grep { $set ne 'empty' || $_->{type} ne 'array' || $_->{pattern} eq '-' }
		  grep { $set ne 'minimal' || $_->{required} eq 't' } $facts->parameters($operation) };
}

# A member's value in an answer.
sub _member
{
	my ($member, $set) = @_;
	my $nasty = $set eq 'nasty';

	return $nasty ? \'-2147483648' : \'2147483647' if $member->{type} eq 'integer';
	return $nasty ? \'false' : \'true' if $member->{type} eq 'boolean';
	return $nasty ? [ '', undef, [], $NASTY, { '' => \'1.50' } ] : [ { sid => sid('ZS'), n => \'12345678901234567890.50' }, 'b', 'a' ]
	  if $member->{type} eq 'array';
	return $nasty ? \$DEEP : { a => { b => [ \'1', \'2.00', undef, \'true' ] }, channels => 'https://example.com/Channels' }
	  if $member->{type} =~ /^(any|object)$/;
	die "type $member->{type}" unless $member->{type} eq 'string';
	return $nasty ? '1969-12-31T23:59:59.123456Z' : '2016-08-01T22:10:40Z' if $member->{format} eq 'date-time';
	return $NASTY if $nasty;
	return sid(_letters($member->{pattern}), 'b') if $member->{pattern} ne '-';
	return (split /\|/, $member->{enum})[-1] if $member->{enum} ne '-';
	return "https://example.com/$member->{name}" if $member->{format} eq 'uri';
	return "A $member->{name}: Zoë";
}

# A resource as the service may answer it.
sub body
{
	my ($facts, $schema, $set) = @_;
	my @members = $facts->members($schema);

	return {} if $set eq 'missing';
	return { map { $_->{name} => undef } @members } if $set eq 'nulls';
	return { map({ $_->{name} => _member($_, $set) } @members), zz_unknown => { sid => [ \'1' ] }, Sid => 'another' };
}

# The row that such a body makes, as to_jsonb() shows it in UTC.
sub row
{
	my ($facts, $schema, $body) = @_;
	my %row;

	foreach my $member ($facts->members($schema))
	{
		my $value = $body->{ $member->{name} };
		$value =~ s/Z$/+00:00/ if defined $value && $member->{format} eq 'date-time';
		$row{ $member->{name} } = $value;
	}
	return \%row;
}

1;
