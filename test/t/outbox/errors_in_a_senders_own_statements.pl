# What a sender's own statements may fail with: where the extension has gone meanwhile and
# left its table behind, the error says so.  They need no temporary files, which may be forbidden.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use FlexScripted;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('own_statements', $simulator, "flex_api.rate_limits = 'none'", 'client_min_messages = error');
my $session = FlexApi::Session->new($node);

# Many answers that are settled together: they have come while what came first is settled.
my $service = FlexScripted->new(body => '{"sid": "CH2", "filler": "' . 'x' x 12000 . '"}');
my $drainer = FlexApi::Session->new($node);
$drainer->value($_) foreach "SET flex_api.base_url = '" . $service->server->url . "'", q{SET work_mem = '64kB'}, 'SET temp_file_limit = 0';
$session->value($_) foreach 'CREATE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END $$',
	'CREATE TRIGGER waits BEFORE UPDATE ON flex_outbox_requests FOR EACH ROW WHEN (OLD.context IS NOT NULL) EXECUTE FUNCTION waits()', 'SELECT pg_advisory_lock(1)',
	q{SELECT count(flex_enqueue('flex_channel_fetch', jsonb_build_object('sid', 'CH' || lpad(n::text, 32, '0')), context => CASE n WHEN 1 THEN 'true'::jsonb END)) FROM generate_series(1, 20) AS n};
$service->answer($_, 'gate 200 OK') foreach 2 .. 20;
$drainer->send_query('CALL flex_outbox_drain()');
ok(FlexApi::wait_until(sub { $session->value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") }), 'a sender settles a request');
$service->open_gate($_) foreach 2 .. 20;
ok(FlexApi::wait_until(sub { $service->server->notes(qr/^- /) == 20 }), '... while others are answered');
$session->value('SELECT pg_advisory_unlock(1)');
my $result = $drainer->receive(300)->{error};
is($result && "$result->{C} $result->{M}", undef, '... which are settled without a temporary file');
is($session->value("SELECT count(*) FROM flex_outbox WHERE state = 'succeeded' AND length(response::text) > 12000"), 20, '... all of them');
$session->value('DROP TRIGGER waits ON flex_outbox_requests');
$drainer->close;

# A table that the extension has left behind: what is prepared for it meets other columns.
$session->value(q{CREATE FUNCTION retry(bigint) RETURNS void LANGUAGE C AS 'flex_api', 'flex_api_outbox_retry'});
my $late = FlexApi::Session->new($node);
is($late->sqlstate("SELECT flex_enqueue('flex_provisioning_status_fetch', '{}')"), '00000', 'a session that knows the outbox');
$session->value($_) foreach 'ALTER EXTENSION flex_api DROP TABLE flex_outbox_requests', 'DROP EXTENSION flex_api CASCADE',
	'ALTER TABLE flex_outbox_requests RENAME COLUMN finished_at TO otherwise';
my $error = $late->query('SELECT retry(1)')->{error};
is("$error->{C} $error->{M}", '55000 the outbox of extension flex_api is not in this database', 'the extension is gone: told as that');
is($error->{H}, 'Use CREATE EXTENSION, or ALTER EXTENSION flex_api UPDATE.', '... with what to do');

$node->stop;
done_testing;
