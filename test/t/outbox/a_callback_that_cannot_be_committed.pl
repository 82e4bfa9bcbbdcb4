# What a callback has done on a foreign server is committed there first.  Where that refuses, or
# never answers, the callback has failed, within its time: no drain fails or waits for ever, and
# another role's callbacks run.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('foreign', $simulator, "flex_api.rate_limits = 'none'", 'fsync = off', 'flex_api.callback_timeout = ' . 100 * FlexApi::slowness());
my $super = FlexApi::Session->new($node);

plan skip_all => 'postgres_fdw is not there' if $super->query('CREATE EXTENSION postgres_fdw')->{error};
my $there = "host '" . $node->host . "', port '" . $node->port . "', dbname 'postgres'";
$super->value($_) for (
	'SET client_min_messages = error', 'CREATE TABLE done (what text, who name)', "CREATE SERVER itself FOREIGN DATA WRAPPER postgres_fdw OPTIONS ($there)");
foreach my $role ('mallory', 'good', 'drainer')
{
	$super->value($_) for ("CREATE ROLE $role LOGIN", "CREATE SCHEMA $role AUTHORIZATION $role", "GRANT INSERT ON done TO $role",
		"GRANT EXECUTE ON FUNCTION flex_enqueue, flex_webchat_create TO $role", "GRANT EXECUTE ON PROCEDURE flex_outbox_drain TO $role");
}
$super->value($_) for (
	'GRANT USAGE ON FOREIGN SERVER itself TO mallory', "CREATE USER MAPPING FOR mallory SERVER itself OPTIONS (user 'mallory', password_required 'false')",
	'SET ROLE mallory', 'CREATE TABLE mallory.there (what text)',
	q{CREATE FOREIGN TABLE mallory.here (what text) SERVER itself OPTIONS (schema_name 'mallory', table_name 'there')},
	q{CREATE FUNCTION mallory.late() RETURNS trigger LANGUAGE plpgsql AS $$
	  BEGIN
		IF NEW.what = 'refused' THEN RAISE SQLSTATE 'ZZ001' USING MESSAGE = 'not at the commit'; END IF;
		IF NEW.what = 'unanswered' THEN PERFORM pg_sleep(3600); END IF;
		RETURN NULL;
	  END $$},
	'CREATE CONSTRAINT TRIGGER late AFTER INSERT ON mallory.there DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION mallory.late()',
	'RESET ROLE');
sub callback
{
	my ($role, $name, $body) = @_;
	return $super->value("SET ROLE $role; CREATE OR REPLACE FUNCTION $role.$name(r flex_outbox) RETURNS void LANGUAGE plpgsql AS \$\$ BEGIN $body; "
		  . "INSERT INTO done VALUES ('$name', session_user); END \$\$; RESET ROLE");
}
sub enqueue
{
	my ($role, $name) = @_;
	$super->value("SET ROLE $role");
	my $id = $super->value(q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}', } . "on_success => '$role.$name')");
	$super->value('RESET ROLE');
	return $id;
}
sub row { my ($id, $columns) = @_; return join '|', map { $_ // '' } @{ $super->query("SELECT $columns FROM flex_outbox WHERE id = $id")->{rows}->[0] }; }

# A server that speaks just enough of the protocol, and does not answer one command
my $silent = FlexApi::Server->new(sub {
	my ($connection) = @_;
	my $read = sub { my ($length) = @_; my $got = ''; while (length($got) < $length) { sysread($connection, $got, $length - length($got), length($got)) or return; } return $got; };
	my $tell = sub { my ($type, $content) = @_; return $connection->syswrite($type . pack('N', length($content) + 4) . $content); };

	$read->(unpack('N', $read->(4) // return) - 4) // return;
	$tell->(@$_) for ([ 'R', pack('N', 0) ], [ 'S', "server_version\0" . "15.0\0" ], [ 'S', "client_encoding\0UTF8\0" ], [ 'Z', 'I' ]);
	while (defined(my $type = $read->(1)))
	{
		my $query = $read->(unpack('N', $read->(4) // return) - 4) // return;
		next if $query =~ /^RELEASE/;
		$tell->('T', pack('n', 1) . "what\0" . pack('NnNnNn', 0, 0, 25, 0xffff, 0xffffffff, 0)) if $query =~ /^FETCH/;
		$tell->('C', ($query =~ /^FETCH/ ? 'FETCH 0' : 'OK') . "\0");
		$tell->('Z', 'T');
	}
});
$super->value($_) for (
	"CREATE SERVER silent FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '$silent->{port}', dbname 'postgres', sslmode 'disable', gssencmode 'disable')",
	"CREATE USER MAPPING FOR mallory SERVER silent OPTIONS (user 'mallory', password_required 'false')", 'GRANT USAGE ON FOREIGN SERVER silent TO mallory',
	'SET ROLE mallory', 'CREATE FOREIGN TABLE mallory.silent_table (what text) SERVER silent', 'RESET ROLE');

callback('good', 'notes', 'NULL');
callback('mallory', 'silent', 'PERFORM * FROM mallory.silent_table');
callback('mallory', $_, "INSERT INTO mallory.here VALUES ('$_')") foreach 'accepted', 'refused', 'unanswered';
# How often one is tried is up to how long the drain takes.
my %expected = (
	accepted => qr/^succeeded\|0\|$/,
	refused => qr/^succeeded\|[1-9]\|not at the commit$/,
	silent => qr/^succeeded\|[1-9]\|callback mallory\.silent ran longer than flex_api\.callback_timeout$/,
	unanswered => qr/^succeeded\|[1-9]\|callback mallory\.unanswered ran longer than flex_api\.callback_timeout$/,
);
sub drains_well
{
	my ($who, $drainer) = @_;

	foreach my $name (sort keys %expected)
	{
		$super->value('DELETE FROM flex_outbox_requests; DELETE FROM done; DELETE FROM mallory.there');
		my $id = enqueue('mallory', $name);
		enqueue('good', 'notes');
		$drainer->send_query('CALL flex_outbox_drain()');
		my $result = eval { $drainer->receive(20 * FlexApi::slowness()) };
		ok($result, "$who, $name: the drain ends") or BAIL_OUT('it has not ended');
		is($result->{error} && "$result->{error}->{C} $result->{error}->{M}", undef, '... well');
		like(row($id, 'state, callback_attempts, callback_error'), $expected{$name}, '... what has become of the callback is noted');
		is($super->value('SELECT string_agg(what || who, $$, $$ ORDER BY what) FROM done'), ($name eq 'accepted' ? 'acceptedmallory, ' : '') . 'notesgood',
			'... nothing of a failed one is left, and the other\'s has run');
		is($super->value('SELECT count(*) FROM mallory.there'), $name eq 'accepted' ? 1 : 0, '... nor on the foreign server');
	}
	return;
}
drains_well('a plain role', FlexApi::Session->new($node, user => 'drainer'));
drains_well('a superuser', FlexApi::Session->new($node));

# Without a slot callbacks run in the session that drains
$node->append_conf('postgresql.conf', "max_worker_processes = 1\nmax_logical_replication_workers = 1");
$node->restart;
$super = FlexApi::Session->new($node);
drains_well('without a slot', FlexApi::Session->new($node));
# ... also where the session has used a foreign server before
my $used = FlexApi::Session->new($node);
$used->value($_) foreach "LOAD 'flex_api'", 'CREATE USER MAPPING FOR CURRENT_USER SERVER itself', 'SELECT count(*) FROM mallory.here';
drains_well('after a foreign server', $used);

$node->stop('fast');
is_deeply([ grep { /PANIC|TRAP|terminated by signal/ } split /\n/, slurp_file($node->logfile) ], [], 'no process has ended badly');
done_testing();
