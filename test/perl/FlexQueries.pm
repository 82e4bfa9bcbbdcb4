# FlexQueries: random queries over foreign tables, each compared with the same query over
# local copies of them.
#
#   FlexQueries::compare($queries, $seed);    # tests, and prints the seed
#
# A query is made of tables joined in all ways, conditions that are sent and conditions that
# are not, subqueries, aggregates and set operations.  It runs twice, by search_path alone:
# on the foreign tables and on the copies.  What it may leave to chance (the rows that a
# LIMIT without an order leaves) is not looked at.  Planner settings change from query to
# query, so that the ways to execute it do, too.
package FlexQueries;

use strict;
use warnings;

use FlexApi;
use Test::More;

my %TABLES = (
	channels => { key => 'sid', columns => [qw(sid account_sid flex_flow_sid user_sid task_sid url date_created)] },
	flows => { key => 'sid', columns => [qw(sid friendly_name channel_type integration_type contact_identity date_updated)], flags => [qw(enabled long_lived)] },
	web_channels => { key => 'sid', columns => [qw(sid flex_flow_sid url date_created)] },
	plugins => { key => 'sid', columns => [qw(sid unique_name friendly_name description)], flags => ['archived'] },
	insights_categories => { key => 'category_sid', columns => [qw(category_sid name account_sid)] },
	keys => { key => 'sid', columns => [qw(sid kind)], is_local => 1 },
);
my @NAMES = sort keys %TABLES;
my @SETTINGS = map { "enable_$_" } qw(hashjoin mergejoin nestloop material memoize sort hashagg async_append);
my %KEYS;    # of each table

sub one_of { return $_[ int rand @_ ]; }
sub chance { my ($share) = @_; return rand() < $share; }
sub quoted { my ($text) = @_; return "'" . ($text =~ s/'/''/gr) . "'"; }

# A key: one that is there, one of another table, or nonsense.
sub some_key
{
	my ($table) = @_;

	return 'NULL::text' if chance(0.03);
	return quoted(one_of('', 'nonsense', 'CH', 'CH' . 'f' x 32, '..', 'a/b', 'FO' . '0' x 32, "\x{e4}")) if chance(0.15);
	return quoted(one_of(@{ $KEYS{ chance(0.85) ? $table : one_of(grep { !$TABLES{$_}{is_local} } @NAMES) } }));
}

sub keys_of_subquery
{
	my ($table) = @_;
	my $from = chance(0.6) ? 'keys' : $table;

	return "SELECT k.$TABLES{$from}{key} FROM $from AS k" . (chance(0.5) ? ' WHERE k.' . $TABLES{$from}{key} . " < '" . one_of('C', 'CH8', 'FO4', 'H') . "'" : '');
}

# A condition on the columns of one of these tables, an alias => name each.
sub condition
{
	my ($tables, $depth) = @_;
	my $alias = one_of(sort keys %$tables);
	my $table = $TABLES{ $tables->{$alias} };
	my $key = "$alias.$table->{key}";
	my $column = "$alias." . one_of(@{ $table->{columns} });
	my @kinds = (
		sub { "$key = " . some_key($tables->{$alias}) },
		sub { some_key($tables->{$alias}) . " = $key" },
		sub { "$key IN (" . join(', ', map { some_key($tables->{$alias}) } 1 .. 1 + int rand 4) . ')' },
		sub { "$key = ANY (ARRAY(" . keys_of_subquery($tables->{$alias}) . '))' },
		sub { "$key IN (" . keys_of_subquery($tables->{$alias}) . ')' },
		sub { "$key NOT IN (SELECT k.sid FROM keys AS k WHERE k.sid IS NOT NULL)" },
		sub { "EXISTS (SELECT FROM keys AS e WHERE e.sid = $key)" },
		sub { "NOT EXISTS (SELECT FROM keys AS e WHERE e.sid = $key AND e.kind <> 'x')" },
		sub { "$column IS " . one_of('NULL', 'NOT NULL') },
		sub { "$column\::text LIKE '%" . one_of(qw(a 1 e FO CH)) . "%'" },
		sub { "$column\::text > '" . one_of(qw(A CH5 FO8 f z)) . "'" },
		sub { $table->{flags} ? (chance(0.5) ? 'NOT ' : '') . "$alias." . one_of(@{ $table->{flags} }) : 'true' },
		sub { $tables->{$alias} eq 'flows' ? "$alias.friendly_name = " . quoted('friendly_name ' . int rand 14) : "length($key) = 34" },
		sub { "$key = upper(" . some_key($tables->{$alias}) . ')' },
	);

	return '(' . join(one_of(' AND ', ' OR '), map { condition($tables, $depth - 1) } 1 .. 2) . ')' if $depth > 0 && chance(0.25);
	return 'NOT (' . condition($tables, 0) . ')' if chance(0.05);
	return one_of(@kinds)->();
}

# Tables joined: the text, and what its aliases are.
sub joined
{
	my ($most) = @_;
	my $count = chance(0.5) ? 1 : 1 + int rand $most;
	my (%tables, $text);

	foreach my $i (1 .. $count)
	{
		my $alias = "t$i";
		my $name = one_of(grep { $_ ne 'keys' || $i > 1 } @NAMES);
		my $item = "$name AS $alias";
		my @before = sort keys %tables;

		$tables{$alias} = $name;
		$text = $item, next if $i == 1;
		my $other = one_of(@before);
		my $on = "$alias.$TABLES{$name}{key} = $other." . (chance(0.6) ? $TABLES{ $tables{$other} }{key} : one_of(grep { !/date/ } @{ $TABLES{ $tables{$other} }{columns} }));
		$on = condition({ %tables }, 0) . " AND $on" if chance(0.2);
		$text .= ' ' . one_of('JOIN', 'JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'FULL JOIN') . " $item ON $on" if chance(0.75);
		$text .= " CROSS JOIN LATERAL (SELECT * FROM $name AS l WHERE l.$TABLES{$name}{key} = $other.$TABLES{ $tables{$other} }{key} ORDER BY l.$TABLES{$name}{key} LIMIT 1) AS $alias"
		  unless $text =~ / AS $alias\b/;
	}
	# FULL JOIN can only be merged or hashed: its condition is one equality.
	$text =~ s/FULL JOIN/LEFT JOIN/g if $text =~ /FULL JOIN .* ON .* AND /;
	return ($text, \%tables);
}

# What is selected of tables, without whatever is left to chance.
sub selection
{
	my ($text, $tables) = @_;
	my @columns = map { my $alias = $_; map { "$alias.$_" } grep { chance(0.4) } @{ $TABLES{ $tables->{$alias} }{columns} } } sort keys %$tables;
	my $where = chance(0.8) ? ' WHERE ' . join(' AND ', map { condition($tables, 2) } 1 .. 1 + int rand 2) : '';

	@columns = ('t1.' . $TABLES{ $tables->{t1} }{key}) unless @columns;
	return "SELECT count(*), " . join(', ', map { "count($_), max($_\::text)" } @columns) . " FROM $text$where" if chance(0.25);
	return "SELECT $columns[0], count(*) FROM $text$where GROUP BY $columns[0]" . (chance(0.3) ? ' HAVING count(*) > 1' : '') if chance(0.15);
	return "SELECT count(*) FROM (SELECT FROM $text$where LIMIT " . int(rand 30) . ' OFFSET ' . int(rand 5) . ') AS l' if chance(0.15);
	return 'SELECT ' . (chance(0.2) ? 'DISTINCT ' : '') . join(', ', @columns) . " FROM $text$where"
	  . (chance(0.3) ? ' ORDER BY ' . join(', ', 1 .. @columns) . ' LIMIT ' . int(rand 20) : '');
}

# A query.
sub query
{
	if (chance(0.15))
	{
		my @parts = map { my $name = one_of(@NAMES); "(SELECT q.$TABLES{$name}{key} FROM $name AS q" . (chance(0.5) ? ' WHERE ' . condition({ q => $name }, 1) : '') . ')' } 1 .. 2 + int rand 2;

		return 'SELECT * FROM (' . join(one_of(' UNION ALL ', ' UNION ALL ', ' UNION ', ' EXCEPT ', ' INTERSECT '), @parts) . ') AS u (key)'
		  . (chance(0.4) ? ' WHERE key = ' . some_key('channels') : '');
	}
	return selection(joined(3));
}

# The tables, foreign and copied, in a session.
sub prepare
{
	my ($session, $simulator) = @_;

	$simulator->post('seed', { channels => 60, flows => 12, '/v1/WebChannels' => 20, '/v1/PluginService/Plugins' => 8, categories => 9 });
	$session->value($_) foreach 'CREATE SCHEMA foreigners', 'CREATE SCHEMA copies',
		"CREATE SERVER twilio FOREIGN DATA WRAPPER flex_api OPTIONS (account_sid '$FlexApi::ACCOUNT', page_size '17')",
		"CREATE USER MAPPING FOR PUBLIC SERVER twilio OPTIONS (auth_token '$FlexApi::TOKEN')",
		'IMPORT FOREIGN SCHEMA flex FROM SERVER twilio INTO foreigners';
	foreach my $name (grep { !$TABLES{$_}{is_local} } @NAMES)
	{
		$session->value("CREATE TABLE copies.$name AS SELECT * FROM foreigners.$name");
		$KEYS{$name} = [ map { $_->[0] } @{ $session->query("SELECT $TABLES{$name}{key} FROM copies.$name ORDER BY 1")->{rows} } ];
		die "$name has no rows" unless @{ $KEYS{$name} };
	}
	$session->value('CREATE TABLE public.keys (sid text, kind text)');
	$session->value("INSERT INTO keys SELECT $TABLES{$_}{key}, '$_' FROM copies.$_ WHERE random() < 0.3") foreach grep { !$TABLES{$_}{is_local} } @NAMES;
	$session->value("INSERT INTO keys VALUES (NULL, 'none'), ('nonsense', 'x'), ('CH" . 'f' x 32 . "', NULL)");
	$session->value('ANALYZE');
	return;
}

# The result of a query under a search_path: rows in one order, or the error's SQLSTATE.
sub result_of
{
	my ($session, $schema, $sql) = @_;

	$session->value("SET search_path = $schema, public");
	my $result = $session->query("SELECT count(*), md5(string_agg(r::text, '|' ORDER BY r::text COLLATE \"C\")) FROM ($sql) AS r");
	return $result->{error} ? "$result->{error}{C} $result->{error}{M}" : join ' ', map { $_ // '' } @{ $result->{rows}[0] };
}

# Compare so many queries.
sub compare
{
	my ($count, $seed) = @_;
	my $simulator = FlexApi::Simulator->new;
	my $node = FlexApi::node('queries', $simulator, "statement_timeout = '60s'");
	my $session = FlexApi::Session->new($node);
	my ($with_rows, $refused) = (0, 0);
	my @different;

	srand $seed;
	note("FLEX_SEED=$seed repeats this run of $count queries");
	$session->value('SELECT setseed(' . ($seed % 1000) / 1000 . ')');
	prepare($session, $simulator);
	foreach my $number (1 .. $count)
	{
		my $sql = query();
		my @settings = map { chance(0.2) ? ("SET $_ = off") : () } @SETTINGS;

		$session->value($_) foreach 'RESET ALL', @settings;
		my ($foreign, $copied) = map { result_of($session, $_, $sql) } qw(foreigners copies);
		# A query that is no SQL tests nothing.
		$refused++ if $copied !~ /^\d+ /;
		$with_rows++ if $copied =~ /^[1-9]\d* /;
		push @different, "query $number: " . join('; ', @settings, $sql) . "\n  foreign: $foreign\n  copied: $copied" if $foreign ne $copied;
		last if @different >= 5;
	}
	is(join("\n", @different), '', "$count queries give the same rows of foreign tables and of copies") or diag("FLEX_SEED=$seed");
	is($refused, 0, 'all are SQL') or diag("FLEX_SEED=$seed");
	cmp_ok($with_rows, '>', $count / 4, 'many have rows');
	$node->stop;
	return;
}

1;
