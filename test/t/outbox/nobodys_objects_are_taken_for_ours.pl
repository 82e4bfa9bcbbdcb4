# The outbox is used with its owner's rights, and nobody's names, rows or functions may
# be taken for its own meanwhile: what a role puts before pg_catalog in its search_path,
# rows that only look like a role's, functions that only have an operation's name.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Not preloaded: so flex_enqueue() also asks whether anybody sends.
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('names', $simulator, "flex_api.rate_limits = 'none'", 'fsync = off', 'client_min_messages = error');
my $super = FlexApi::Session->new($node);
my $ADDRESS = 'IG' . '0' x 32;
my $CHAT = qq{'flex_webchat_create', '{"address_sid": "$ADDRESS"}'};

$super->value($_) for (
	'CREATE ROLE evil LOGIN', 'CREATE SCHEMA evil AUTHORIZATION evil', 'CREATE ROLE alice LOGIN', 'CREATE ROLE bob LOGIN',
	'GRANT EXECUTE ON FUNCTION flex_enqueue, flex_webchat_create, flex_outbox_retry, flex_outbox_cancel TO evil, alice, bob',
	'GRANT EXECUTE ON PROCEDURE flex_outbox_drain TO evil');

# A role's own operators and functions, each of them writing down as whom it ran.
my $evil = FlexApi::Session->new($node, user => 'evil');
$evil->value('CREATE TABLE evil.log (who name, what text)');
$evil->value(<<'SQL');
DO $do$
DECLARE
	known CONSTANT oid[] := ARRAY['bigint', 'int', 'oid', 'text', 'name', 'boolean', 'timestamptz', 'interval', 'float8', 'jsonb']::regtype[]::oid[];
	note CONSTANT text := 'AS $body$ BEGIN INSERT INTO evil.log VALUES (current_user, %L); RETURN %s; END $body$';
	o record;
BEGIN
	FOR o IN SELECT oprname, oprleft::regtype AS l, oprright::regtype AS r, oprresult::regtype AS result FROM pg_operator
		WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprkind = 'b' AND oprleft = ANY (known) AND oprright = ANY (known)
	LOOP
		EXECUTE format('CREATE FUNCTION evil.%I(%s, %s) RETURNS %s LANGUAGE plpgsql ' || note, 'op' || o.oprname, o.l, o.r, o.result,
			o.oprname, format('$1 OPERATOR(pg_catalog.%s) $2', o.oprname));
		EXECUTE format('CREATE OPERATOR evil.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = evil.%I)', o.oprname, o.l, o.r, 'op' || o.oprname);
	END LOOP;
	FOR o IN SELECT proname, pg_get_function_identity_arguments(oid) AS arguments, pronargs, prorettype::regtype AS result FROM pg_proc
		WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND NOT proretset
		AND proname IN ('now', 'clock_timestamp', 'power', 'pg_backend_pid', 'quote_ident', 'lower', 'length', 'abs')
		AND prorettype = ANY (known) AND proargtypes::oid[] <@ known
	LOOP
		EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s LANGUAGE plpgsql ' || note, o.proname, o.arguments, o.result, o.proname,
			format('pg_catalog.%I(%s)', o.proname, (SELECT string_agg('$' || i, ', ') FROM generate_series(1, o.pronargs) AS i)));
	END LOOP;
END $do$
SQL
$evil->close;

# What each of the role's calls has run of it, with whose rights: nothing but with its own.
sub clean
{
	my ($name) = @_;
	is($super->value("SELECT string_agg(DISTINCT what || ' as ' || who, ', ') FROM evil.log WHERE who <> 'evil'"), undef,
		"$name: none of the caller's operators and functions ran with other rights");
	return $super->value('TRUNCATE evil.log');
}

# A session each: the statements are prepared at their first use.
sub session { return FlexApi::Session->new($node, user => 'evil', options => '-c search_path=evil,pg_catalog,public'); }

sub in_its_own
{
	my ($name, $sql) = @_;
	my $result = session()->query($sql);

	is($result->{error}, undef, "$name with a search_path of one's own") or diag explain $result->{error};
	clean($name);
	return $result->{rows}->[0] ? $result->{rows}->[0]->[0] : undef;
}

my $control = session();
$control->value("SELECT 1::bigint = 2, 'a'::text = 'b', 1::oid <> 2::oid, now() > clock_timestamp() - interval '1 s'");
is($super->value('SELECT count(DISTINCT what) FROM evil.log'), 6, 'its own operators and functions do come before the server\'s');
is($super->value("SELECT count(*) FROM evil.log WHERE what IN ('=', '<>', '>', '-', 'now', 'clock_timestamp') AND who = 'evil'"), 7, '... in its own statements');
$super->value('TRUNCATE evil.log');

# The first enqueue of a session asks whether anybody drains
my $warned = FlexApi::Session->new($node, user => 'evil', options => '-c search_path=evil,pg_catalog,public -c client_min_messages=warning')
  ->query("SELECT flex_enqueue($CHAT)");
like($warned->{notices}->[0]->{M} // '', qr/no process sends/, 'the first enqueue of a session asks whether anybody sends');
clean('is anybody there');
my $id = in_its_own('enqueue', "SELECT flex_enqueue($CHAT, unique_key => 'k')");
is(in_its_own('enqueue of a key that is there', "SELECT flex_enqueue($CHAT, unique_key => 'k')"), $id, '... finds it');
in_its_own('cancel', "SELECT flex_outbox_cancel($id)");
in_its_own('retry', "SELECT flex_outbox_retry($id)");
is($super->value("SELECT state FROM flex_outbox WHERE id = $id"), 'pending', '... both did what they should');
my $gone = session();
is($gone->sqlstate('SELECT flex_outbox_retry(0)'), 'P0002', 'retry of what is not there');
clean('retry of what is not there');
# all that a sender runs, with callbacks good and bad
$super->value($_) for (
	'CREATE FUNCTION evil.good(flex_outbox) RETURNS void LANGUAGE sql AS $$ SELECT $$', 'ALTER FUNCTION evil.good OWNER TO evil',
	'CREATE FUNCTION evil.bad(flex_outbox) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION $q$no$q$; END $$',
	'ALTER FUNCTION evil.bad OWNER TO evil');
my $good = in_its_own('enqueue with a callback', "SELECT flex_enqueue($CHAT, on_success => 'evil.good')");
my $bad = in_its_own('enqueue with another', "SELECT flex_enqueue($CHAT, on_success => 'evil.bad')");
in_its_own('drain', 'CALL flex_outbox_drain()');
is($super->value('SELECT count(*) FROM flex_outbox WHERE state = $$succeeded$$'), 4, '... sends');
in_its_own('retry of a callback', "SELECT flex_outbox_retry($bad)");
# the service asks to wait: that is written down, too
$simulator->post('faults', { status => 429, headers => { 'Retry-After' => '1' } });
in_its_own('enqueue', "SELECT flex_enqueue($CHAT)");
in_its_own('drain that is told to wait', 'CALL flex_outbox_drain(1)');
is($super->value('SELECT count(*) FROM flex_outbox WHERE http_status = 429 AND run_at > enqueued_at'), 1, '... notes it');
$simulator->clear_faults;

# Whose a row is, the number of its role says: a dump may bring others' rows, whose OID here
# is somebody else's.
my %session = map { $_ => FlexApi::Session->new($node, user => $_) } 'alice', 'bob';

sub row
{
	my (%columns) = @_;
	$super->value('DELETE FROM flex_outbox_requests');
	my $new = $session{alice}->value("SELECT flex_enqueue($CHAT)");
	$super->value("UPDATE flex_outbox_requests SET " . join(', ', map { "$_ = $columns{$_}" } sort keys %columns)) if %columns;
	return $new;
}

# The roles that see the request, and those that may decide on it: always the same.
sub whose
{
	my ($new) = @_;
	my @may;

	foreach my $role ('alice', 'bob')
	{
		my $sees = $session{$role}->value('SELECT count(*) FROM flex_outbox');
		foreach my $decision ('flex_outbox_cancel', 'flex_outbox_retry')
		{
			$session{$role}->query('BEGIN');
			my $state = $session{$role}->sqlstate("SELECT $decision($new)");
			$session{$role}->query('ROLLBACK');
			push @may, "$role $decision" . ($sees ? '' : ' unseen') if $state ne 'P0002';
			push @may, "$role sees" if $sees && $state eq 'P0002';
		}
	}
	return join ', ', @may;
}

my $alices = 'alice flex_outbox_cancel, alice flex_outbox_retry';
my $bobs = $alices =~ s/alice/bob/gr;
is(whose(row()), $alices, 'a request is its role\'s');
$session{bob}->value("SELECT flex_enqueue($CHAT)");
my $number = $super->value("SELECT id FROM flex_outbox_role_oids WHERE role = 'bob'::regrole");
foreach my $state ('pending', 'succeeded', 'failed', 'uncertain', 'cancelled')
{
	my %finished = (state => "'$state'", $state eq 'pending' ? () : (finished_at => 'now()'));
	is(whose(row(%finished, enqueued_by => "'bob'")), $alices, "$state: its role's, by the number, for names change");
	is(whose(row(%finished, role_id => $number)), $bobs, '... of whoever has that');
	is(whose(row(%finished, role_id => 1000)), '', '... and nobody\'s where no role has it');
}

# As a dump brings them: a number that no role has got is the name's, until a role has it.
$super->value("INSERT INTO flex_outbox_roles (id, name) OVERRIDING SYSTEM VALUE VALUES (1000, 'bob')");
is(whose(row(role_id => 1000)), '', 'not that of a role with a number of its own');
$super->value("DELETE FROM flex_outbox_role_oids WHERE role = 'bob'::regrole; UPDATE flex_outbox_roles SET name = NULL WHERE id = $number");
$session{bob}->close;
$session{bob} = FlexApi::Session->new($node, user => 'bob');
is(whose(row(role_id => 1000)), $bobs, 'that of the role of its name');
my $mine = $session{bob}->value("SELECT flex_enqueue($CHAT)");
is($super->value("SELECT role_id FROM flex_outbox WHERE id = $mine"), 1000, '... which gets it with its next request');
is(whose(row(role_id => $number)), '', 'the number of a role that is gone is nobody\'s');
$id = row(state => "'failed'", finished_at => 'now()', enqueued_by => "'nobody'", role_id => 1001);
is($super->sqlstate("SELECT flex_outbox_retry($id)"), '00000', 'a superuser retries anybody\'s');
is($super->sqlstate("SELECT flex_outbox_cancel($id)"), '00000', '... and cancels it');
is($super->value('SELECT state FROM flex_outbox'), 'cancelled', '... which it then is');

# What was enqueued in another database is not sent in this one, whoever says so
$simulator->clear_requests;
foreach my $state ('failed', 'uncertain', 'cancelled', 'succeeded')
{
	$id = row(state => "'$state'", finished_at => 'now()', enqueued_in => 1, callback_error => "'no'");
	foreach my $who ($super, $session{alice})
	{
		my $refused = $who->query("SELECT flex_outbox_retry($id)")->{error};
		is("$refused->{C} $refused->{D}", '55000 It was enqueued in another database, of which this is a copy.', "$state: no retry of another database's");
	}
	is($super->value('SELECT state || (callback_at IS NULL)::text FROM flex_outbox'), "${state}true", '... it stays as it was');
	is($super->sqlstate('CALL flex_outbox_drain()'), '00000', '... a drain');
	is($super->value('SELECT state FROM flex_outbox'), $state, '... leaves it alone');
}
is($session{alice}->sqlstate('SELECT flex_outbox_cancel(' . row(state => "'uncertain'", finished_at => 'now()', enqueued_in => 1) . ')'), '00000',
	'its own role may close it');
row(enqueued_in => 1);
$super->value('CALL flex_outbox_drain()');
is($super->value('SELECT state FROM flex_outbox'), 'cancelled', 'one that waits there is cancelled here');
is(scalar($simulator->requests), 0, 'nothing was sent');

# Functions that have an operation's name and are not the extension's, with fewer
# arguments and with more: neither asked for their arguments, nor for their rights, nor called
$super->value($_) for ('DELETE FROM flex_outbox_requests', 'CREATE TABLE called (what text)', 'CREATE SCHEMA elsewhere', 'GRANT ALL ON called TO PUBLIC', 'GRANT CREATE ON SCHEMA public TO evil');
my $maker = FlexApi::Session->new($node, user => 'evil');

# Makes them: before anybody has asked for the operation's, and after that.
sub make_others
{
	foreach my $arguments ('', 'integer', 'wrong text, other text', join(', ', ('text') x 20))
	{
		$maker->value("CREATE FUNCTION public.flex_webchat_create($arguments) RETURNS void LANGUAGE sql AS 'INSERT INTO public.called VALUES (current_user)'");
	}
	return $maker->value("CREATE FUNCTION public.flex_provisioning_status_fetch(integer) RETURNS void LANGUAGE sql AS 'INSERT INTO public.called VALUES (current_user)'");
}
# Of a superuser's, in C: the language says nothing of whose it is.
sub make_others_in_c
{
	foreach my $name ('flex_webchat_create(wrong smallint', 'flex_webchat_create(' . join(', ', map { "a$_ text" } 1 .. 21))
	{
		$super->value("CREATE FUNCTION $_.$name) RETURNS flex_webchat LANGUAGE C AS 'flex_api', 'flex_api_call'") for 'public', 'elsewhere';
	}
	return;
}
my $kept = FlexApi::Session->new($node, user => 'alice');
$kept->value("SELECT flex_enqueue($CHAT)");
make_others();
make_others_in_c();
foreach my $who ($kept, FlexApi::Session->new($node, user => 'alice'))
{
	is($who->sqlstate("SELECT flex_enqueue($CHAT)"), '00000', 'the arguments are those of the extension\'s function');
	is($who->sqlstate(q{SELECT flex_enqueue('flex_webchat_create', '{"wrong": "x"}')}), '22023', '... and not those of others');
	is($who->sqlstate(q{SELECT flex_enqueue('flex_webchat_create', '{}')}), '22004', '... nor of one without any');
	is($who->sqlstate(q{SELECT flex_enqueue('flex_provisioning_status_fetch', '{}')}), '42501', 'a right on another function of the name is none');
}
$simulator->clear_requests;
is($super->sqlstate('CALL flex_outbox_drain()'), '00000', 'the sender');
is($super->value("SELECT string_agg(DISTINCT state, ' ') || ' ' || count(*) FROM flex_outbox"), 'succeeded 3', '... takes the extension\'s, too');
is(scalar(grep { $_->{path} =~ m{^/v2/WebChats} } $simulator->requests), 3, '... and sends');
is($super->value('SELECT count(*) FROM called'), 0, 'nobody has called the others');

$node->stop('fast');
done_testing();
