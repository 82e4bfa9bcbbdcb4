# What a role can do to the extension that may connect, make temporary tables and use the
# extension's schema, and no more: every member of the extension and every one of its
# settings is tried.  They are read from the catalog, so that a new one is tried by itself.
#
# The tables below say what such a role may do.  Whatever else succeeds, and whatever cannot
# be tried, is a complaint that says which table it would have to stand in.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Relations that everybody may read, and of which rows.
my %RELATIONS = (
	flex_outbox => 'own',
	flex_outbox_summary => 'own',
	flex_outbox_causes => 'own',
	flex_outbox_holds => 'all',
	flex_outbox_activity => 'all',
	flex_stat_operations => 'own',
	flex_stat_progress => 'own',
	flex_stat_holds => 'own',
	flex_stat_rates => 'of its account', # the one that server or database have for all
);

# Functions and procedures that everybody may call.
our %ROUTINES = map { $_ => 1 } 'flex_outbox_requests',    # arranges the columns of a row that its caller has
  qw(flex_stat_get_operations flex_stat_get_progress flex_stat_get_rates);    # show what is one's own

# Sequences that everybody may use.
my %SEQUENCES = ();

# Types that everybody may use for own objects, beside those of rows and their arrays.
my %TYPES = ();

# Settings that everybody may set, for own sessions.
my %SETTINGS = map { ("flex_api.$_" => 1) } qw(account_sid auth_token auth_token_previous api_key api_secret server edge region connect_timeout timeout
  max_retries max_response_size concurrency unrepresentable);

# Settings whose value everybody may read, whoever has set it.
my %SHOWN = map { ("flex_api.$_" => 1) } qw(account_sid api_key credentials_file server base_url ca_file edge region rate_limits log_activity track_operations);

# What of SQL a refusal may say: no right; not for such an object; not into such a column; not in such a state; not in a session.
my %IS_REFUSAL = map { $_ => 1 } qw(42501 42809 428C9 55000 0A000 55P02);

# Privileges that newer servers know.
my @MAINTAIN;

my $HIDDEN = 'hush';    # stands in what the role must not see

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('plain_role', $simulator, "shared_preload_libraries = 'flex_api'", 'client_min_messages = error');
my $super = FlexApi::Session->new($node);

# Another role has requests: one that has succeeded and one that waits.
$super->value($_) foreach 'CREATE ROLE plain LOGIN', "CREATE ROLE ${HIDDEN}_alice LOGIN",
  "GRANT EXECUTE ON FUNCTION flex_enqueue, flex_webchat_create, flex_outbox_await TO ${HIDDEN}_alice";
my $alice = FlexApi::Session->new($node, user => "${HIDDEN}_alice");
my $arguments = qq({"address_sid": "IG00000000000000000000000000000001", "identity": "$HIDDEN"});
my ($done, $waiting) = map {
	$alice->value("SELECT flex_enqueue('flex_webchat_create', '$arguments', '\"$HIDDEN\"', unique_key => '$HIDDEN-' || random(), run_at => $_)")
} 'NULL', "now() + interval '1 day'";
is($alice->value("SELECT state FROM flex_outbox_await($done, '60 s')"), 'succeeded', 'another role has a request that is done');
$super->value('ANALYZE flex_outbox_requests');
my $plain = FlexApi::Session->new($node, user => 'plain');
@MAINTAIN = ('MAINTAIN') if $super->value("SELECT current_setting('server_version_num')") >= 170000;
$plain->value("SET statement_timeout = '30s'");

# Try a statement, and undo it: its SQLSTATE, and what it returned or said.
sub try
{
	my ($sql) = @_;
	my $is_alone = $sql =~ /^ALTER SYSTEM/;    # which no transaction may be around

	$plain->value('BEGIN') unless $is_alone;
	my $result = $plain->query($sql, 60);
	die "$sql has ended the server\n" if $result->{closed};
	$plain->value('ROLLBACK') unless $is_alone;
	my $text = join ' ', map { $_ // '' } %{ $result->{error} // {} }, map { @$_ } @{ $result->{rows} };
	return ($result->{error} ? $result->{error}->{C} : '00000', $text);
}

# Complaints about statements of which none may be more than refused.
sub must_refuse
{
	my ($advice, @statements) = @_;
	my @complaints;

	foreach my $sql (@statements)
	{
		my ($state) = try($sql);

		push @complaints, "$sql: $state; $advice" unless $IS_REFUSAL{$state};
	}
	return @complaints;
}

# Complaints about statements of which all must succeed, and show nothing.
sub must_succeed
{
	my ($advice, @statements) = @_;
	my @complaints;

	foreach my $sql (@statements)
	{
		my ($state, $text) = try($sql);

		push @complaints, "$sql: $state; $advice" if $state ne '00000';
		push @complaints, "$sql shows what is another's: " . substr($text, 0, 200) if $text =~ /$HIDDEN/;
	}
	return @complaints;
}

# The privileges of a list that the role has, by one of the has_..._privilege() functions.
sub privileges_beyond
{
	my ($advice, $function, $object, $allowed, @privileges) = @_;
	my %is_allowed = map { $_ => 1 } split /, */, $allowed // '';
	my @has = grep { $super->value("SELECT $function('plain', '$object', '$_')") eq 't' } @privileges;

	return map { "$_ on $object; $advice" } grep { !$is_allowed{$_} } @has;
}

sub try_routine
{
	my ($member) = @_;
	my ($kind, $name, $result, $types) = @{ $super->query(qq{SELECT prokind, oid::regproc, prorettype::regtype,
		array_to_string(ARRAY(SELECT format_type(type, NULL) FROM unnest(proargtypes) WITH ORDINALITY AS a (type, n) ORDER BY n), ';')
		FROM pg_proc WHERE oid = $member->{oid}})->{rows}->[0] };
	my @nulls = map { "NULL::$_" } split /;/, $types;
	my $arguments = join ', ', map { "a$_" } 1 .. @nulls;
	my $advice = "REVOKE EXECUTE FROM PUBLIC, or add $name to %ROUTINES";
	# The planner does not call a strict function whose arguments it can see to be null.
	my $row = '(SELECT ' . join(', ', map { "$nulls[$_] AS a" . ($_ + 1) } 0 .. $#nulls) . ' OFFSET 0) AS r';
	my @calls = $kind eq 'p' ? "CALL $name(" . join(', ', @nulls) . ')'
	  : $result eq 'trigger' ? ("SELECT $name()", "CREATE TEMP TABLE t (); CREATE TRIGGER t AFTER INSERT ON t EXECUTE FUNCTION $name()")
	  : ("SELECT $name($arguments) FROM $row", $result eq 'fdw_handler' ? () : "SELECT FROM $row, $name($arguments)");

	return () if $ROUTINES{$name};
	return (privileges_beyond($advice, 'has_function_privilege', $member->{oid}, '', 'EXECUTE', 'EXECUTE WITH GRANT OPTION'),
		must_refuse($advice, @calls));
}

sub try_relation
{
	my ($member) = @_;
	my $name = $member->{identity};
	my ($kind, $relation, $column) = @{ $super->query(qq{SELECT relkind, relname, attname FROM pg_class JOIN pg_attribute
		ON attrelid = pg_class.oid AND attnum > 0 AND attidentity = '' WHERE pg_class.oid = $member->{oid} ORDER BY attnum LIMIT 1})->{rows}->[0] };

	return () if $kind eq 'c';    # a row's type, which is tried as such
	return try_sequence($member) if $kind eq 'S';
	my $rows = $RELATIONS{$relation} // 'none';
	my $allowed = $rows eq 'none' ? '' : 'SELECT';
	my $advice = "REVOKE it, or add $relation to %RELATIONS";
	my @reads = ("SELECT * FROM $name", "SELECT count(*) FROM $name", "COPY (SELECT * FROM $name) TO STDOUT",
		"LOCK TABLE $name IN ACCESS SHARE MODE");
	my @writes = ("INSERT INTO $name DEFAULT VALUES", "UPDATE $name SET $column = NULL", "DELETE FROM $name", "TRUNCATE $name", "TRUNCATE $name CASCADE",
		"SELECT * FROM $name FOR UPDATE", "SELECT * FROM $name FOR KEY SHARE", "COPY $name FROM STDIN",
		"MERGE INTO $name AS t USING (SELECT 1) AS s ON true WHEN MATCHED THEN DELETE",
		"CREATE RULE r AS ON INSERT TO $name DO NOTHING", "CREATE TRIGGER t AFTER INSERT ON $name EXECUTE FUNCTION suppress_redundant_updates_trigger()",
		"CREATE INDEX ON $name ($column)", "ALTER TABLE $name DISABLE ROW LEVEL SECURITY", "ALTER TABLE $name ADD COLUMN x int", "CREATE POLICY p ON $name",
		"REINDEX TABLE $name", "CLUSTER $name",
		map { "LOCK TABLE $name IN $_ MODE" } 'ROW SHARE', 'ROW EXCLUSIVE', 'SHARE UPDATE EXCLUSIVE', 'SHARE', 'SHARE ROW EXCLUSIVE', 'EXCLUSIVE', 'ACCESS EXCLUSIVE');

	return (privileges_beyond($advice, 'has_table_privilege', $name, $allowed, qw(SELECT INSERT UPDATE DELETE TRUNCATE REFERENCES TRIGGER), @MAINTAIN),
		privileges_beyond($advice, 'has_any_column_privilege', $name, $allowed, qw(SELECT INSERT UPDATE REFERENCES)),
		$allowed ? must_succeed("GRANT it, or take $relation out of %RELATIONS", @reads) : must_refuse($advice, @reads),
		$rows ne 'own' || $plain->value("SELECT count(*) FROM $name") eq '0' ? () : "$name has rows for a role that has none; $advice",
		must_refuse($advice, @writes));
}

sub try_sequence
{
	my ($member) = @_;
	my $name = $member->{identity};
	my $advice = "REVOKE it, or add $name to %SEQUENCES";

	return () if $SEQUENCES{$name};
	return (privileges_beyond($advice, 'has_sequence_privilege', $name, '', qw(USAGE SELECT UPDATE)),
		must_refuse($advice, "SELECT nextval('$name')", "SELECT setval('$name', 1)", "SELECT currval('$name')", "SELECT * FROM $name",
			"ALTER SEQUENCE $name RESTART", "ALTER SEQUENCE $name OWNED BY NONE"));
}

sub try_type
{
	my ($member) = @_;
	my $name = $member->{identity};
	# Those of rows, and arrays of them.
	my $is_row = $super->value("SELECT typtype = 'c' OR typelem <> 0 AND typcategory = 'A' FROM pg_type WHERE oid = $member->{oid}") eq 't';
	# An array's type, which is a member from 17 on, has no statement of its own.
	my @statements = $name =~ /\[\]$/ ? () : ("ALTER TYPE $name OWNER TO plain", "ALTER TYPE $name RENAME TO x", "ALTER TYPE $name SET SCHEMA pg_temp");
	my @uses = ("CREATE TEMP TABLE t (x $name)");

	return (must_refuse('only its owner may alter a type', @statements),
		$is_row || $TYPES{$name} ? must_succeed('a row of it can be kept in a table', @uses)
		: must_refuse("REVOKE USAGE FROM PUBLIC, or add $name to %TYPES", @uses));
}

sub try_wrapper
{
	my ($member) = @_;
	my $name = $member->{identity};

	return (privileges_beyond('REVOKE it', 'has_foreign_data_wrapper_privilege', $name, '', 'USAGE', 'USAGE WITH GRANT OPTION'),
		must_refuse('REVOKE USAGE FROM PUBLIC', "CREATE SERVER s FOREIGN DATA WRAPPER $name"),
		must_refuse('its owner is not the one who created the extension', "ALTER FOREIGN DATA WRAPPER $name NO VALIDATOR",
			"ALTER FOREIGN DATA WRAPPER $name OPTIONS (x 'y')"));
}

# How a member is tried, by its catalog.
my %ATTEMPTS = (pg_proc => \&try_routine, pg_class => \&try_relation, pg_type => \&try_type, pg_foreign_data_wrapper => \&try_wrapper,
	pg_cast => sub { return () });

# A member of any kind belongs to its owner.
sub try_ownership
{
	my ($member) = @_;
	my $what = ($member->{type} =~ s/composite //r =~ s/-/ /r) . " $member->{identity}";
	my @complaints;

	return () if $member->{type} eq 'type' && $member->{identity} =~ /\[\]$/;    # an array's comes and goes with its element's
	return must_refuse('its owner is not the one who created the extension',
		"DROP $what", "DROP $what CASCADE", "COMMENT ON $what IS ''", "ALTER EXTENSION flex_api DROP $what",
		$member->{type} eq 'cast' ? () : "ALTER $what RENAME TO x");
}

# The members of the extension: catalog, oid, and what pg_identify_object() says.
sub members
{
	my $rows = $super->query(q{SELECT classid::regclass, objid, i.type, i.identity
		FROM pg_depend, pg_identify_object(classid, objid, 0) AS i
		WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'flex_api')
		ORDER BY 1, i.identity COLLATE "C"})->{rows};

	return map { { catalog => $_->[0], oid => $_->[1], type => $_->[2], identity => $_->[3] } } @$rows;
}

sub try_member
{
	my ($member) = @_;
	my $attempt = $ATTEMPTS{ $member->{catalog} }
	  or return "$member->{type} $member->{identity}: nothing is known of $member->{catalog}; add it to %ATTEMPTS";

	return ($attempt->($member), try_ownership($member));
}

# Every way of setting a parameter.
sub try_setting
{
	my ($name, $value) = @_;
	my @for_oneself = ("SET $name = '$value'", "SET LOCAL $name = '$value'", "RESET $name", "SELECT set_config('$name', '$value', false)",
		"ALTER ROLE plain SET $name = '$value'");
	my @for_others = ("ALTER SYSTEM SET $name = '$value'", "ALTER DATABASE postgres SET $name = '$value'", "ALTER ROLE ALL SET $name = '$value'",
		"ALTER ROLE ${HIDDEN}_alice SET $name = '$value'", "GRANT SET ON PARAMETER $name TO plain");

	# RESET is what a role may not do either that may not SET.
	return (must_refuse('only the owner of these may do it', @for_others),
		$SETTINGS{$name} ? must_succeed("let roles set it, or take $name out of %SETTINGS", @for_oneself)
		: must_refuse("make it a superuser's, or add $name to %SETTINGS", @for_oneself));
}

# A value that a setting may have and that can be known again, if there is one.
sub set_to_something
{
	my ($session, $name) = @_;

	foreach my $value ($HIDDEN, "https://$HIDDEN.example", "http://$HIDDEN:$HIDDEN\@127.0.0.1:1")
	{
		return 1 if $session->sqlstate("SELECT set_config('$name', '$value', false)") eq '00000';
	}
	return 0;
}

# Every way of reading a parameter, which a superuser has set in the same session.
sub read_setting
{
	my ($name) = @_;
	my $session = FlexApi::Session->new($node);
	my @complaints;

	set_to_something($session, $name);
	$session->value('SET SESSION AUTHORIZATION plain');
	foreach my $sql ("SHOW $name", 'SHOW ALL', "SELECT current_setting('$name')", "SELECT * FROM pg_settings WHERE name = '$name'",
		"EXPLAIN (SETTINGS) SELECT 1", 'SELECT * FROM pg_file_settings', "SELECT set_config('$name', current_setting('$name'), false)")
	{
		my $result = $session->query($sql);
		my $text = join ' ', map { $_ // '' } %{ $result->{error} // {} }, map { @$_ } @{ $result->{rows} };

		push @complaints, "$sql shows the value; hide it, or add $name to %SHOWN" if $text =~ /$HIDDEN/ && !$SHOWN{$name};
	}
	$session->close;
	return @complaints;
}

# The names of the settings.  pg_settings lacks those that are secrets: the library itself has them all.
sub settings
{
	my ($directory) = PostgreSQL::Test::Utils::run_command([ 'pg_config', '--pkglibdir' ]);
	my %names = map { $_ => 1 } FlexApi::content("$directory/flex_api.so") =~ /\0(flex_api\.\w+)(?=\0)/g,
	  map { $_->[0] } @{ $super->query(q{SELECT name FROM pg_settings WHERE name LIKE 'flex\_api.%'})->{rows} };

	return grep { $super->sqlstate("SHOW $_") eq '00000' } sort keys %names;
}

sub try_settings { return map { try_setting($_, $super->value("SHOW $_")), read_setting($_) } settings(); }

# What belongs to no member.
sub try_the_rest
{
	return (must_refuse('the extension is its owner\'s', 'ALTER EXTENSION flex_api UPDATE', 'DROP EXTENSION flex_api', 'ALTER EXTENSION flex_api SET SCHEMA pg_temp',
			"COMMENT ON EXTENSION flex_api IS ''", 'CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE c AS \'flex_api\', \'flex_api_call\'',
			"LOAD 'flex_api'"),
		must_succeed('statistics of others\' rows are nobody\'s', "SELECT * FROM pg_stats WHERE tablename LIKE 'flex_outbox%'",
			"EXPLAIN SELECT * FROM flex_outbox", "SELECT query FROM pg_stat_activity WHERE backend_type LIKE 'flex_api%'"));
}

# Statistics of what the role has called before are its own.
sub complaints { $super->value('SELECT flex_stat_reset()'); return ((map { try_member($_) } members()), try_settings(), try_the_rest()); }

sub none { my ($name, @complaints) = @_; return is(join("\n", @complaints), '', $name); }

my @members = members();
cmp_ok(scalar(grep { $_->{catalog} eq 'pg_proc' } @members), '>=', 80, 'the extension\'s routines are tried');
cmp_ok(scalar(grep { $_->{catalog} eq 'pg_class' } @members), '>=', 4, '... and its relations');
my @known_again = grep { set_to_something($super, $_) } settings();
is_deeply([ grep { !$SHOWN{$_} } @known_again ], [ map { "flex_api.$_" } qw(api_secret auth_token auth_token_previous proxy) ],
	'there are settings that are hidden, and would be known if they were shown');
$super->value('DISCARD ALL');
none('a plain role can do what the tables say, and nothing else', complaints());
is((try("NOTIFY flex_api, '$done failed'"))[0], '00000', 'it can notify, as it can of any channel: a listener has to look into the table');

# With EXECUTE on a few functions it can call those, and others' requests are not there for it.
my %GRANTED = (
	'flex_enqueue' => { q{SELECT flex_enqueue('flex_channel_delete', '{"sid": "CH00000000000000000000000000000001"}')} => '42501',
		q{SELECT flex_enqueue('flex_operations', '{}')} => '22023', q{SELECT flex_enqueue('flex_channels_list', '{}')} => '0A000' },
	'flex_operations' => { 'SELECT count(*) FROM flex_operations()' => '00000' },
	'flex_channels_list' => { 'SELECT * FROM flex_channels_list(max_rows => 1)' => '00000' },
	'flex_outbox_await' => { map { ("SELECT flex_outbox_await($_)" => 'P0002') } $done, $waiting },
	'flex_outbox_retry' => { map { ("SELECT flex_outbox_retry($_)" => 'P0002') } $done, $waiting },
	'flex_outbox_cancel' => { map { ("SELECT flex_outbox_cancel($_)" => 'P0002') } $done, $waiting },
);
$super->value('GRANT EXECUTE ON FUNCTION ' . join(', ', sort keys %GRANTED) . ' TO plain');
foreach my $function (sort keys %GRANTED)
{
	foreach my $sql (sort keys %{ $GRANTED{$function} })
	{
		my ($state, $text) = try($sql);

		is($state, $GRANTED{$function}{$sql}, $sql);
		unlike($text, qr/$HIDDEN/, '... shows nothing of another\'s');
	}
}
{
	local %ROUTINES = (%ROUTINES, map { $_ => 1 } keys %GRANTED);
	none('with EXECUTE on some functions it can call those, and no other', complaints());
}
$super->value('REVOKE EXECUTE ON FUNCTION ' . join(', ', sort keys %GRANTED) . ' FROM plain');
is($super->value("SELECT string_agg(state, ' ' ORDER BY id) FROM flex_outbox"), 'succeeded pending', 'the other role\'s requests are as they were');

# The test sees what it is for: each of these is a mistake that has a complaint of its own.
my @mistakes = (
	[ q{CREATE FUNCTION flex_new(a int DEFAULT NULL) RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER EXTENSION flex_api ADD FUNCTION flex_new},
		qr/^SELECT flex_new\(a1\) FROM .*: 00000; REVOKE EXECUTE FROM PUBLIC, or add flex_new to %ROUTINES$/m,
		'ALTER EXTENSION flex_api DROP FUNCTION flex_new; DROP FUNCTION flex_new' ],
	[ q{CREATE PROCEDURE flex_do() LANGUAGE sql AS ''; ALTER EXTENSION flex_api ADD PROCEDURE flex_do},
		qr/^CALL flex_do\(\): 00000; .* add flex_do to %ROUTINES$/m, 'ALTER EXTENSION flex_api DROP PROCEDURE flex_do; DROP PROCEDURE flex_do' ],
	[ 'GRANT EXECUTE ON FUNCTION flex_outbox_wake() TO plain', qr/^SELECT flex_outbox_wake\(\) FROM .*: 00000; /m, 'REVOKE EXECUTE ON FUNCTION flex_outbox_wake() FROM plain' ],
	[ 'GRANT EXECUTE ON FUNCTION flex_outbox_refuse_replica() TO plain', qr/CREATE TRIGGER t .* flex_outbox_refuse_replica\(\): 00000; /,
		'REVOKE EXECUTE ON FUNCTION flex_outbox_refuse_replica() FROM plain' ],
	[ 'CREATE VIEW flex_seen AS SELECT * FROM flex_outbox; GRANT SELECT ON flex_seen TO PUBLIC; ALTER EXTENSION flex_api ADD VIEW flex_seen',
		qr/^SELECT on public\.flex_seen; .* add flex_seen to %RELATIONS$/m, 'ALTER EXTENSION flex_api DROP VIEW flex_seen; DROP VIEW flex_seen' ],
	[ 'GRANT SELECT ON flex_outbox_all TO PUBLIC', qr/^SELECT on public\.flex_outbox_all; .* add flex_outbox_all to %RELATIONS$/m,
		'REVOKE SELECT ON flex_outbox_all FROM PUBLIC' ],
	[ 'GRANT SELECT ON flex_outbox_requests TO plain', qr/^SELECT on public\.flex_outbox_requests; /m,
		'REVOKE SELECT ON flex_outbox_requests FROM plain' ],
	[ "UPDATE flex_outbox_role_oids SET role = 'plain'::regrole WHERE role = '${HIDDEN}_alice'::regrole",
		qr/^SELECT \* FROM public\.flex_outbox shows what is another's/m,
		"UPDATE flex_outbox_role_oids SET role = '${HIDDEN}_alice'::regrole WHERE role = 'plain'::regrole" ],
	[ 'GRANT UPDATE (state) ON flex_outbox TO plain', qr/^UPDATE on public\.flex_outbox; /m, 'REVOKE UPDATE (state) ON flex_outbox FROM plain' ],
	[ 'GRANT TRUNCATE ON flex_outbox_holds TO PUBLIC', qr/^TRUNCATE public\.flex_outbox_holds: 00000; /m, 'REVOKE TRUNCATE ON flex_outbox_holds FROM PUBLIC' ],
	[ 'GRANT USAGE ON SEQUENCE flex_outbox_id_seq TO PUBLIC', qr/^SELECT nextval\('public\.flex_outbox_id_seq'\): 00000; .* add .* to %SEQUENCES$/m,
		'REVOKE USAGE ON SEQUENCE flex_outbox_id_seq FROM PUBLIC' ],
	[ q{CREATE TYPE flex_kind AS ENUM ('a'); ALTER EXTENSION flex_api ADD TYPE flex_kind}, qr/^CREATE TEMP TABLE t \(x public\.flex_kind\): 00000; .* %TYPES$/m,
		'ALTER EXTENSION flex_api DROP TYPE flex_kind; DROP TYPE flex_kind' ],
	[ 'ALTER TYPE flex_channel OWNER TO plain', qr/^COMMENT ON type public\.flex_channel IS '': 00000; /m, 'ALTER TYPE flex_channel OWNER TO CURRENT_USER' ],
	[ 'CREATE COLLATION flex_new FROM "C"; ALTER EXTENSION flex_api ADD COLLATION flex_new', qr/^collation public\.flex_new: .* add it to %ATTEMPTS$/m,
		'ALTER EXTENSION flex_api DROP COLLATION flex_new; DROP COLLATION flex_new' ],
	[ 'GRANT SET ON PARAMETER flex_api.base_url TO PUBLIC', qr/^SET flex_api\.base_url = '.*': 00000; make it a superuser's, or add flex_api\.base_url to %SETTINGS$/m,
		'REVOKE SET ON PARAMETER flex_api.base_url FROM PUBLIC' ],
);
# All at once but those that would hide what another does.
my @alone = grep { $_->[0] =~ /flex_outbox_role_oids/ } @mistakes;
foreach my $together ([ grep { $_->[0] !~ /flex_outbox_role_oids/ } @mistakes ], \@alone)
{
	$super->value($_->[0]) foreach @$together;
	my $complaints = join "\n", complaints();
	like($complaints, $_->[1], "it complains after: $_->[0]") foreach @$together;
	$super->value($_->[2]) foreach @$together;
}
none('and no more when all is as it was', complaints());

$node->stop('fast');
done_testing;
