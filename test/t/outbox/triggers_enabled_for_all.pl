# ALTER TABLE ... ENABLE TRIGGER ALL, by hand or by a restore of data, has the triggers of
# logical replication fire in ordinary sessions.  Behaviour: the outbox works on, and each
# sender warns that a subscription would insert the publisher's requests.
use strict;
use warnings;

use FindBin;
use lib 'test/perl', "$FindBin::RealBin/../../crash";
use FlexApi;
use Outbox;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('enabled', $simulator, "flex_api.rate_limits = 'none'", 'log_min_messages = warning');
my $session = FlexApi::Session->new($node);
my @tables = split / /, $session->value(
	q{SELECT string_agg(tgrelid::regclass::text, ' ' ORDER BY tgrelid::regclass::text) FROM pg_trigger WHERE tgname = 'flex_outbox_refuse_replica'});
cmp_ok(scalar @tables, '>', 10, 'there are such triggers');

# Drain in a session of its own; returns what is warned of.
sub drain
{
	my ($database) = @_;
	my $drainer = FlexApi::Session->new($node, database => $database // 'postgres');
	my $start = -s $node->logfile;
	my $end = $drainer->query('CALL flex_outbox_drain()');

	is($end->{error} && "$end->{error}->{C} $end->{error}->{M}", undef, 'the drain ends well');
	$drainer->close;
	return substr(slurp_file($node->logfile), $start);
}

# What each way of writing to the tables does.
sub works
{
	my ($in, $name) = @_;
	my $database = $in->value('SELECT current_database()');
	my $before = $in->value('SELECT count(*) FROM told');
	my $first = enqueue($in, "$name-first", "ordering_key => '$name', on_success => 'tell'");
	my $second = enqueue($in, "$name-second", "ordering_key => '$name', expires_at => now() + '1 hour'");
	my $later = enqueue($in, "$name-later", "run_at => now() + '1 hour'");
	my $said = drain($database);

	is_deeply([ map { state_of($in, $_) } $first, $second, $later ], [qw(succeeded succeeded pending)], "$name: requests are sent and settled");
	is($in->value('SELECT count(*) FROM told') - $before, 1, '... a callback has run');
	foreach my $decision ([ 'cancel', 'cancelled' ], [ 'retry', 'pending' ])
	{
		$in->value("SELECT flex_outbox_$decision->[0]($later)");
		is(state_of($in, $later), $decision->[1], "... after flex_outbox_$decision->[0] one is $decision->[1]");
	}
	drain($database);
	is(state_of($in, $later), 'succeeded', '... and sent');
	is_deeply([ map { sent($simulator, "$name-$_") } qw(first second later) ], [ 1, 1, 1 ], '... each once');
	is($in->value('SELECT count(*) FROM flex_outbox_claims'), 0, '... no claim is left');
	$in->value("DELETE FROM flex_outbox_requests WHERE id IN ($first, $second, $later)");
	is(state_of($in, $first), '', '... and requests can be deleted');
	return $said;
}

$session->value($_) foreach 'CREATE TABLE told (id bigint)',
	'CREATE FUNCTION tell(r flex_outbox) RETURNS void LANGUAGE sql AS $$ INSERT INTO public.told VALUES (r.id) $$';
unlike(works($session, 'before'), qr/logical replication/, 'nobody warns');
foreach my $whose ('USER', 'ALL')
{
	$session->value($_) foreach map { ("ALTER TABLE $_ DISABLE TRIGGER $whose", "ALTER TABLE $_ ENABLE TRIGGER $whose") } @tables;
	my $said = works($session, lc $whose);
	is(() = $said =~ /WARNING:  tables of the Flex API outbox do not discard rows of logical replication/g, 1, "$whose: the drain warns once");
	like($said, qr/Tables: @{[ join ', ', @tables ]}\.\n.*ENABLE REPLICA TRIGGER flex_outbox_refuse_replica/, '... says where, and what to do');
}
$session->value("ALTER TABLE $_ ENABLE REPLICA TRIGGER flex_outbox_refuse_replica") foreach @tables[1 .. $#tables];
like(drain(), qr/Tables: $tables[0]\.\n/, 'one is left');
$session->value("ALTER TABLE $tables[0] ENABLE ALWAYS TRIGGER flex_outbox_refuse_replica");
unlike(works($session, 'always'), qr/logical replication/, 'one that always fires discards these rows, too');

# A restore of data.
enqueue($session, 'dumped');
drain();
my $file = PostgreSQL::Test::Utils::tempdir() . '/data.sql';
command_ok([ 'pg_dump', '--data-only', '--disable-triggers', '-f', $file, $node->connstr('postgres') ], 'the data are dumped');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->safe_psql('copy', 'CREATE EXTENSION flex_api; CREATE TABLE told (id bigint);
	CREATE FUNCTION tell(r flex_outbox) RETURNS void LANGUAGE sql AS $$ INSERT INTO public.told VALUES (r.id) $$');
command_ok([ 'psql', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $file, $node->connstr('copy') ], '... and restored with triggers disabled');
my $copy = FlexApi::Session->new($node, database => 'copy');
is($copy->value(q{SELECT count(*) FROM flex_outbox WHERE state = 'succeeded'}), 1, '... a finished request is there');
like(works($copy, 'copy'), qr/Tables: flex_outbox_counts, flex_outbox_requests, flex_outbox_roles\.\n/, '... the drain says which tables these are');

$_->close foreach $session, $copy;
$node->stop;
done_testing();
