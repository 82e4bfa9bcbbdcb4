# A role that may create in the schema where the extension is to be installed, or is: nothing
# that it has put there is taken over by CREATE EXTENSION or ALTER EXTENSION UPDATE
# (CVE-2022-2625), and none of its functions and operators, whose types fit better than those
# of the server's own, is called by them (CVE-2018-1058, CVE-2020-14350).

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('before', $simulator, 'fsync = off', 'client_min_messages = error');
my $super = FlexApi::Session->new($node);
$super->value($_) foreach 'DROP EXTENSION flex_api', 'CREATE ROLE mallory LOGIN', 'CREATE SCHEMA target AUTHORIZATION mallory';
my $mallory = FlexApi::Session->new($node, user => 'mallory');

# All members but those that mallory cannot make before: a wrapper, and casts and functions of types of the extension's own.
sub members
{
	my $rows = $super->query(q{SELECT i.type, i.identity FROM pg_depend, pg_identify_object(classid, objid, 0) AS i
		WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'flex_api')
		AND i.type NOT IN ('cast', 'foreign-data wrapper') AND i.identity NOT LIKE '%(target.%' AND i.identity !~ '\[\]$' ORDER BY 2, 1})->{rows};

	return map { { type => $_->[0], identity => $_->[1] } } @$rows;
}

# How mallory makes something of that name and kind, and what removes it.
sub imposter
{
	my ($member) = @_;
	my ($type, $identity) = @$member{qw(type identity)};

	return ("CREATE FUNCTION $identity RETURNS integer LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION $identity") if $type eq 'function';
	return ("CREATE PROCEDURE $identity LANGUAGE sql AS ''", "DROP PROCEDURE $identity") if $type eq 'procedure';
	return ("CREATE TYPE $identity AS (x integer)", "DROP TYPE $identity") if $type =~ /type$/;
	return ("CREATE TABLE $identity (x integer)", "DROP TABLE $identity") if $type eq 'table';
	return ("CREATE VIEW $identity AS SELECT 1 AS x", "DROP VIEW $identity") if $type eq 'view';
	return ("CREATE SEQUENCE $identity", "DROP SEQUENCE $identity") if $type eq 'sequence';
	die "nothing is known of $type $identity: add it to imposter()\n";
}

# With each of these there already, a statement has to fail, and to change nothing.
sub none_is_taken
{
	my ($name, $sql, $version, @members) = @_;
	my @taken;

	foreach my $member (@members)
	{
		my ($make, $remove) = imposter($member);

		my $made = $mallory->sqlstate($make);
		# An index of the version before has that name.
		next if $made eq '42P07' && $version ne 'none';
		die "$make: $made\n" if $made ne '00000';
		my $state = $super->sqlstate($sql);
		my $now = $super->value("SELECT string_agg(extversion, '') FROM pg_extension WHERE extname = 'flex_api'") // 'none';
		push @taken, "$member->{type} $member->{identity}: $state, version $now" if $state eq '00000' || $now ne $version;
		$mallory->value($remove);
	}
	return is(join("\n", @taken), '', $name . ' (' . @members . ' of them)');
}

$super->value('CREATE EXTENSION flex_api SCHEMA target');
my @all = members();
$super->value('DROP EXTENSION flex_api');
# A table and its row's type have one name.
my %seen;
my @to_install = grep { !$seen{ $_->{identity} }++ } @all;
cmp_ok(scalar @to_install, '>', 100, 'the extension has members');
none_is_taken('an object of a member\'s name makes CREATE EXTENSION fail', 'CREATE EXTENSION flex_api SCHEMA target', 'none', @to_install);

$super->value("CREATE EXTENSION flex_api SCHEMA target VERSION '1.0.0'");
my %is_old = map { ($_->{identity} => 1) } members();
my @to_add = grep { !$is_old{ $_->{identity} } } @to_install;
cmp_ok(scalar @to_add, '>', 0, 'a later version has more');
none_is_taken('... and ALTER EXTENSION UPDATE', 'ALTER EXTENSION flex_api UPDATE', '1.0.0', @to_add);
is($super->sqlstate('ALTER EXTENSION flex_api UPDATE'), '00000', '... which works without');
$super->value('DROP EXTENSION flex_api');

# Operators and functions for all pairs of types that the server has no exact ones for.
$mallory->value('CREATE TABLE target.log (who name, what text)');
$mallory->value(<<'SQL');
DO $do$
DECLARE
	types CONSTANT regtype[] := ARRAY['text', 'name', '"char"', 'varchar', 'oid', 'regclass', 'regproc', 'regprocedure', 'int2', 'int4', 'int8', 'bool', 'timestamptz', 'interval', 'jsonb'];
	note CONSTANT text := 'LANGUAGE plpgsql AS $body$ BEGIN INSERT INTO target.log VALUES (current_user, %L); RETURN NULL; END $body$';
	symbol text; l regtype; r regtype; f record;
BEGIN
	FOREACH symbol IN ARRAY ARRAY['=', '<>', '>', '<', '<=', '||', '~~', '~', '-'] LOOP
		FOREACH l IN ARRAY types LOOP
			FOREACH r IN ARRAY types LOOP
				CONTINUE WHEN EXISTS (SELECT FROM pg_operator WHERE oprname = symbol AND oprleft = l AND oprright = r);
				EXECUTE format('CREATE OR REPLACE FUNCTION target.%I(%s, %s) RETURNS boolean ' || note, 'op' || symbol, l, r, format('%s %s %s', l, symbol, r));
				EXECUTE format('CREATE OPERATOR target.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = target.%I)', symbol, l, r, 'op' || symbol);
			END LOOP;
		END LOOP;
	END LOOP;
	FOR f IN SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
		AND proname IN ('format', 'count', 'min', 'now', 'clock_timestamp', 'array_agg', 'string_agg', 'pg_extension_config_dump', 'quote_ident', 'coalesce', 'regprocedure', 'pg_stat_get_activity', 'concat') LOOP
		FOREACH l IN ARRAY types LOOP
			CONTINUE WHEN EXISTS (SELECT FROM pg_proc WHERE proname = f.proname AND pronamespace = 'pg_catalog'::regnamespace AND proargtypes::oid[] = ARRAY[l::oid]);
			EXECUTE format('CREATE FUNCTION target.%I(%s) RETURNS text ' || note, f.proname, l, f.proname || ' ' || l);
			EXECUTE format('CREATE FUNCTION target.%I(text, %s) RETURNS text ' || note, f.proname, l, f.proname || ' text ' || l);
		END LOOP;
	END LOOP;
	FOREACH l IN ARRAY types || ARRAY['xid8', 'xid', 'numeric']::regtype[] LOOP
		EXECUTE format('CREATE FUNCTION target.unnest(%s[]) RETURNS SETOF %s LANGUAGE sql AS %L', l, l, format('SELECT NULL::%s', l));
	END LOOP;
END $do$
SQL
cmp_ok($super->value("SELECT count(*) FROM pg_proc WHERE pronamespace = 'target'::regnamespace"), '>', 1000, 'there are traps');
$super->value("BEGIN; SET LOCAL search_path = target; SELECT 'a'::name = 1::oid; COMMIT");
is($super->value('SELECT count(*) FROM target.log'), 1, 'which work');
$mallory->value('DELETE FROM target.log');
foreach my $version ('', " VERSION '1.0.0'")
{
	is($super->sqlstate("CREATE EXTENSION flex_api SCHEMA target$version"), '00000', "CREATE EXTENSION$version");
	is($super->sqlstate('ALTER EXTENSION flex_api UPDATE'), '00000', '... ALTER EXTENSION UPDATE');
	is($super->value(q{SELECT string_agg(DISTINCT what, '; ') FROM target.log}), undef, '... and none was called');
	is($super->value(q{SELECT string_agg(pg_describe_object(classid, objid, objsubid) || ' calls ' || pg_describe_object(refclassid, refobjid, 0), '; ') FROM pg_depend
		LEFT JOIN pg_proc AS p ON refclassid = 'pg_proc'::regclass AND p.oid = refobjid LEFT JOIN pg_operator AS o ON refclassid = 'pg_operator'::regclass AND o.oid = refobjid
		WHERE coalesce(proowner, oprowner) = 'mallory'::regrole AND classid <> 'pg_operator'::regclass}), undef, '... nor will be, by a view or a default');
	$super->value('DROP EXTENSION flex_api');
}

$_->close foreach $mallory, $super;
$node->stop('fast');
done_testing;
