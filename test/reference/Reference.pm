# Reference: the page sql/REFERENCE.md, from the installed extension's own words
# and the examples beside this file.
#
#   my $page = Reference::page($installed);     # $installed: decoded JSON of installed.sql
#   my @topics = Reference::topics();           # of examples.sql
#   my $text = Reference::with_tables($installed, $text);       # another page, its tables of operations up to date
#
# It dies where somebody would read a gap: a function without an example or a
# comment, an argument that the comment does not describe, a column without one.
package Reference;

use strict;
use warnings;

use File::Basename qw(dirname);

my $directory = dirname(__FILE__);

sub content
{
	my ($file) = @_;
	open(my $handle, '<:encoding(UTF-8)', $file) or die "$file: $!\n";
	local $/;
	return <$handle>;
}

# The topics of examples.sql: title, introduction, and examples (name, SQL) in order.
sub topics
{
	my (@topics, $part);

	foreach my $line (split /\n/, content("$directory/examples.sql"))
	{
		if ($line =~ /^-- == (.+)$/)
		{
			push @topics, { title => $1, introduction => '', examples => [] };
			$part = undef;
		}
		elsif ($line =~ /^-- -- (.+)$/ && @topics)
		{
			$part = { name => $1, sql => '' };
			push @{ $topics[-1]{examples} }, $part;
		}
		elsif ($part) { $part->{sql} .= "$line\n"; }
		elsif (@topics && $line =~ /^-- (.*)$/) { $topics[-1]{introduction} .= "$1\n"; }
	}
	foreach my $example (map { @{ $_->{examples} } } @topics) { $example->{sql} =~ s/\s+\z/\n/; }
	return @topics;
}

# The topics that the installed extension has functions for, and no other example.
sub installed_topics
{
	my ($installed) = @_;
	my %functions = map { $_->{name} => $_ } grep { !$_->{trigger} } @{ $installed->{functions} };
	my @topics;

	foreach my $topic (topics())
	{
		my @examples = grep { $_->{name} ne 'before' } @{ $topic->{examples} };
		next unless grep { $functions{ $_->{name} } } @examples;
		foreach (@examples) { delete $functions{ $_->{name} } or die "there is no function $_->{name}, or it has two examples\n"; }
		push @topics, $topic;
	}
	# What only the extension itself calls needs no example.
	my @missing = grep { !/^flex_(?:outbox_(?:requests|sender|wake)|fdw_(?:handler|validator)|stat_get_\w+)$/ } sort keys %functions;
	die "no example for: @missing\n" if @missing;
	return @topics;
}

sub anchor { my ($title) = @_; $title = lc $title; $title =~ s/[^a-z0-9 _-]//g; $title =~ tr/ /-/; return $title; }

# Text for a cell: no bar may end it, no markup in it may be taken for such.
sub cell { my ($text) = @_; $text //= ''; $text =~ s/\s*\n\s*/ /g; $text =~ s/\|/\\|/g; $text =~ s/([<*])/\\$1/g; return $text; }

# Text in lines of at most so many characters, as far as its words allow.
sub folded
{
	my ($text, $width, $indent) = @_;
	$width //= 120;
	$indent //= '';
	$text =~ s/(?=.{$width}.)(.{1,$width}) /$1\n$indent/g;
	return $text;
}

sub table
{
	my ($headers, @rows) = @_;

	return join '', map { '| ' . join(' | ', @$_) . " |\n" } $headers, [ map { '---' } @$headers ], @rows;
}

# --- Functions

sub signature
{
	my ($function) = @_;
	my @arguments = map { "    $_->{name} $_->{type}" . (defined $_->{default} ? " DEFAULT $_->{default}" : '') } @{ $function->{arguments} // [] };
	my $arguments;

	s/ DEFAULT NULL::.*/ DEFAULT NULL/ foreach @arguments;
	$arguments = @arguments ? "(\n" . join(",\n", @arguments) . ')' : '()';
	return "$function->{name}$arguments" if $function->{kind} eq 'p';
	my $out = $function->{out} ? folded(" ($function->{out})", 100) : '';
	return "$function->{name}$arguments\nRETURNS $function->{result}" . ($out =~ s/\n/\n    /gr);
}

# Split a comment: what it does, its request, what it says of each argument, and the rest.
sub dissect
{
	my ($function) = @_;
	my $comment = $function->{comment} // die "$function->{name} has no comment\n";
	my %parts = (arguments => {});

	$comment =~ s/^((?:GET|POST|DELETE) \S+)\n//m and $parts{request} = $1;
	$comment =~ s/\n/ /g;
	$parts{rest} = [];
	$comment =~ s/ (Returns |Errors:|State:|Legacy since|Call it (?:in FROM|outside)|Sends nothing|Commits )/\n$1/g;
	my @lines = split /\n/, $comment;
	my $names = join '|', map { s/"//gr } map { $_->{name} } @{ $function->{arguments} // [] };
	$names = "\"?(?:$names)\"?" if $names;
	my $list = $names ? qr/(?:$names)(?:, (?:$names))*/ : qr/(?!)/;
	my ($what, @described) = split /(?:^|(?<=\.) |(?<=;) )($list): /, shift @lines;
	$parts{what} = $what;
	while (my ($names_here, $text) = splice @described, 0, 2)
	{
		$text =~ s/;?\s*$//;
		$parts{arguments}{ s/"//gr } = ($text =~ /[.]$/ ? $text : "$text.") foreach split /, /, $names_here;
	}
	$parts{rest} = \@lines;
	foreach (@{ $function->{arguments} // [] })
	{
		die "the comment on $function->{name} does not describe $_->{name}\n" unless defined $parts{arguments}{ $_->{name} =~ s/"//gr };
	}
	return \%parts;
}

my %kinds = (c => 'row type', r => 'table', v => 'view');

sub row_anchor { my ($name, $relations) = @_; return anchor("$name: $kinds{ $relations->{$name}{kind} }"); }

sub function_section
{
	my ($function, $example, $operation, $relations) = @_;
	my $parts = dissect($function);
	my $text = "### $function->{name}\n\n" . folded($parts->{what}) . "\n\n```\n" . signature($function) . "\n```\n";

	if ($parts->{request})
	{
		$text .= "\n`$parts->{request}`";
		$text .= $operation->{repeatable} ? ', repeated where its answer is lost' : ', not repeated once sent';
		$text .= ", at most $operation->{rate} per second" if $operation->{rate};
		$text .= "\n";
	}
	if (my @arguments = @{ $function->{arguments} // [] })
	{
		$text .= "\n" . table([ 'Argument', 'What it is' ], map { [ "`$_->{name}`", cell($parts->{arguments}{ $_->{name} =~ s/"//gr }) ] } @arguments);
	}
	my @rest = grep { !/^Call it in FROM/ } @{ $parts->{rest} };
	$text .= "\n" . join("\n\n", map { folded($_) } @rest) . "\n" if @rest;
	$text .= "\nIts columns: [$function->{row}](#" . row_anchor($function->{row}, $relations) . ").\n" if $function->{row};
	return "$text\n```sql\n$example->{sql}```\n";
}

sub relation_section
{
	my ($relation) = @_;

	die "$relation->{name} has no comment\n" unless $relation->{comment};
	foreach (@{ $relation->{columns} })
	{
		die "$relation->{name}.$_->{name} has no comment\n" unless $_->{comment} || $relation->{kind} eq 'v';
	}
	return "### $relation->{name}: $kinds{ $relation->{kind} }\n\n" . folded($relation->{comment}) . "\n\n"
	  . table([ 'Column', 'Type', 'What it is' ], map { [ "`$_->{name}`", $_->{type}, cell($_->{comment}) ] } @{ $relation->{columns} });
}

sub topic_section
{
	my ($topic, $installed, $unseen) = @_;
	my %functions = map { $_->{name} => $_ } @{ $installed->{functions} };
	my %relations = map { $_->{name} => $_ } @{ $installed->{relations} };
	my $text = "## $topic->{title}\n\n$topic->{introduction}";
	my @rows;

	foreach my $example (@{ $topic->{examples} })
	{
		my $name = $example->{name};
		if ($name eq 'before')
		{
			$text .= "\nThe examples below stand on this:\n\n```sql\n$example->{sql}```\n";
			next;
		}
		$text .= "\n" . function_section($functions{$name}, $example, $installed->{operations}{$name}, \%relations);
		my $row = $functions{$name}{row};
		push @rows, $row if defined $row && delete $unseen->{$row};
	}
	push @rows, grep { delete $unseen->{$_} } sort grep { $relations{$_}{kind} ne 'c' } keys %$unseen if $topic->{title} eq 'The outbox';
	return $text . join '', map { "\n" . relation_section($relations{$_}) } @rows;
}

# --- Tables of operations on other pages

my $table_row = qr/^\| `(flex_\w+)` \| `[A-Z]+ [^`]+` \| [^\n]*\n/m;

# The row of an operation: its request, and the first sentence of its comment.
sub table_row
{
	my ($function) = @_;
	my $parts = dissect($function);

	return "| `$function->{name}` | `$parts->{request}` | " . cell($parts->{what}) . " |\n";
}

# A page whose tables of operations say what the installed extension says.  A row stays where it is; a new
# one goes behind that of its topic which comes before it by name.
sub with_tables
{
	my ($installed, $text) = @_;
	my %functions = map { $_->{name} => $_ } @{ $installed->{functions} };
	my %seen = map { $_ => 1 } $text =~ /$table_row/g;

	return $text unless %seen;
	$text =~ s/$table_row/$installed->{operations}{$1} ? table_row($functions{$1}) : ''/ge;
	foreach my $topic (installed_topics($installed))
	{
		my @operations = grep { $installed->{operations}{$_} } map { $_->{name} } @{ $topic->{examples} };

		foreach my $new (sort grep { !$seen{$_} } @operations)
		{
			my ($after) = ((grep { $seen{$_} && $_ lt $new } reverse sort @operations), grep { $seen{$_} } @operations);
			die "no table of operations has one of topic $topic->{title}: add a row for $new\n" unless defined $after;
			$text =~ s/(^\| `$after` \|[^\n]*\n)/$1 . table_row($functions{$new})/me;
			$seen{$new} = 1;
		}
	}
	# How many there are, how many of them in the documents, and of which version.
	my %documented = map { (split /\t/)[0] => 1 } split /\n/, content("$directory/../facts/operations.tsv");
	my @paths = map { $installed->{operations}{$_}{path} } grep { $documented{$_} } keys %{ $installed->{operations} };
	my @count = (scalar keys %{ $installed->{operations} }, map { my $version = $_; scalar grep { m{^/v$version/} } @paths } 1, 2);
	$text =~ s/\bAll \d+ operations\b/All $count[0] operations/g;
	$text =~ s/\b\d+ of version 1 and \d+ of version 2\b/$count[1] of version 1 and $count[2] of version 2/g;
	$count[3] = $count[0] - @paths;
	$text =~ s/\b\d+ that its pages alone describe\b/$count[3] that its pages alone describe/g;
	return $text;
}

# --- Settings and errors

sub shown_default
{
	my ($setting) = @_;
	my $default = $setting->{default} // '';

	return 'none' if $default eq '';
	return $default % 1000 == 0 ? $default / 1000 . 's' : "${default}ms" if ($setting->{unit} // '') eq 'ms';
	return $default % 1024 == 0 && $default ? $default / 1024 . 'MB' : "${default}kB" if ($setting->{unit} // '') eq 'kB';
	return $default % 1440 == 0 && $default ? $default / 1440 . 'd' : "${default}min" if ($setting->{unit} // '') eq 'min';
	return $default . ($setting->{unit} // '');
}

# Settings with a secret stand in no list that the server gives to everybody: these
# words are ours, and installed.sql tells whether there is such a setting.
my %secrets = (
	'flex_api.auth_token' => [ user => 'Auth token of the account. Its value is shown to superusers only; flex_api.credentials_file is the safer place.' ],
	'flex_api.auth_token_previous' => [ user => 'Auth token before the current one, which webhooks may still be signed with while it is rotated. Its value is shown to superusers only.' ],
	'flex_api.api_secret' => [ user => 'Secret of the API key. Its value is shown to superusers only; flex_api.credentials_file is the safer place.' ],
	'flex_api.proxy' => [ superuser => "URL of the proxy that requests go through, with its password if need be; the environment's proxies are never used." ]);

sub add_secrets
{
	my ($installed) = @_;
	my @settings = grep { !$secrets{ $_->{name} } } @{ $installed->{settings} };

	foreach my $name (keys %secrets)
	{
		die "there is no setting $name\n" unless grep { $_ eq $name } @{ $installed->{secrets} };
		push @settings, { name => $name, context => $secrets{$name}[0], what => $secrets{$name}[1], type => 'string' };
	}
	return sort { $a->{name} cmp $b->{name} } @settings;
}

sub settings_section
{
	my ($installed) = @_;
	my %who = (user => 'anyone', superuser => 'superuser', sighup => 'reload', postmaster => 'restart', backend => 'connection');
	my @rows;

	foreach my $setting (add_secrets($installed))
	{
		my $what = join ' ', grep { defined && length } $setting->{what}, $setting->{more};
		$what .= " From $setting->{least} to $setting->{most}" . ($setting->{unit} ? " $setting->{unit}." : '.') if $setting->{type} =~ /integer|real/;
		$what .= ' One of ' . join(', ', @{ $setting->{values} }) . '.' if $setting->{type} eq 'enum';
		push @rows, [ "`$setting->{name}`", shown_default($setting), $who{ $setting->{context} } // $setting->{context}, cell($what) ];
	}
	return table([ 'Setting', 'Default', 'Set by', 'What it is' ], @rows);
}

# The lines of errors.tsv: sqlstate, what, how, sql, fault.
sub errors
{
	my ($header, @lines) = split /\n/, content("$directory/errors.tsv");
	my @columns = split /\t/, $header;

	return map { my %row; @row{@columns} = map { $_ // '' } (split /\t/, $_, -1)[ 0 .. $#columns ]; \%row } @lines;
}

sub page
{
	my ($installed) = @_;
	my @topics = installed_topics($installed);
	my %unseen = map { $_->{name} => 1 } @{ $installed->{relations} };
	my $text = content("$directory/page.md");
	my $sections = join "\n", map { topic_section($_, $installed, \%unseen) } @topics;

	die 'nothing shows: ' . join(' ', sort keys %unseen) . "\n" if %unseen;
	my $contents = join '', map {
		folded("- [$_->{title}](#" . anchor($_->{title}) . '): '
			. join(', ', map { "[$_](#$_)" } grep { $_ ne 'before' } map { $_->{name} } @{ $_->{examples} }), 110, '  ') . "\n"
	} @topics;
	my $errors = table([ 'SQLSTATE', 'When', 'And then' ], map { [ @$_{qw(sqlstate what how)} ] } errors());
	my %parts = (contents => $contents, settings => settings_section($installed), errors => $errors, functions => $sections);
	$text =~ s/^\@(\w+)\@\n/$parts{$1} \/\/ die "page.md: $1"/gme;
	return $text;
}

1;
