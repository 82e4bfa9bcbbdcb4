# A scan asks for a page when its rows are needed, holds no more than two, may pause for
# longer than its time, and ends at a cancel or an error with nothing left; an error says how
# far it had come.  Keys are looked up several at once, and no more.
use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use JSON::PP ();
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('reading', $simulator, 'flex_api.max_retries = 0', "flex_api.timeout = '60s'");
my $session = FlexApi::Session->new($node);
my $other = FlexApi::Session->new($node);

$simulator->post('seed', { channels => 100 });
$session->value($_) foreach "CREATE SERVER twilio FOREIGN DATA WRAPPER flex_api OPTIONS (account_sid '$FlexApi::ACCOUNT')",
	"CREATE USER MAPPING FOR PUBLIC SERVER twilio OPTIONS (auth_token '$FlexApi::TOKEN')",
	'IMPORT FOREIGN SCHEMA flex FROM SERVER twilio INTO public', "ALTER FOREIGN TABLE channels OPTIONS (ADD page_size '10')";

sub requests { return scalar $simulator->requests; }
sub forget { $simulator->clear_faults; $simulator->clear_requests; return; }
sub contexts { return $session->value(q{SELECT count(*) FROM pg_backend_memory_contexts WHERE name LIKE 'flex_api page%' OR name LIKE 'flex_api lookup%' OR name = 'flex_api element' OR name = 'flex_api scan'}); }
sub cancel { return $other->value('SELECT pg_cancel_backend(' . $session->pid . ')'); }

# As rows are needed
forget();
$session->value($_) foreach 'BEGIN', 'DECLARE c CURSOR FOR SELECT sid FROM channels';
is(requests(), 0, 'a cursor that is declared sends nothing');
$session->value('FETCH 1 FROM c');
is(requests(), 1, 'its first row needs one page');
$session->value('FETCH 9 FROM c');
is(requests(), 1, '... which has more');
$session->value('FETCH 1 FROM c');
cmp_ok(requests(), '<=', 3, 'later a page is asked for before it is needed');
my $pages = $session->value(q{SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'flex_api page'});
cmp_ok($pages, '<=', 2, 'two pages are held, no more');
is(scalar @{ $session->query('FETCH ALL FROM c')->{rows} }, 89, 'the rest comes');
is(requests(), 10, 'each page was asked for once');
$session->value('COMMIT');
is(contexts(), 0, 'nothing is left');

# A pause longer than the time that a request has: the page that is on its way is asked for anew
forget();
$session->value("ALTER SERVER twilio OPTIONS (ADD timeout '3s')");
$session->value($_) foreach 'BEGIN', 'DECLARE c CURSOR FOR SELECT sid FROM channels', 'FETCH 11 FROM c';
ok(FlexApi::wait_until(sub { requests() == 3 }), 'a page is on its way');
$session->value('SELECT pg_sleep(3.2)');
is(scalar @{ $session->query('FETCH ALL FROM c')->{rows} }, 89, 'a cursor may pause');
$session->value('COMMIT');
$simulator->post('faults', { path => '/v1/Channels', delay_ms => 600_000, times => -1 });
is($session->sqlstate('SELECT sid FROM channels'), '08006', 'but one that waits has the server\'s time, and no more');
$session->value('ALTER SERVER twilio OPTIONS (DROP timeout)');

# A cancel in the middle
forget();
$simulator->post('faults', { path => '/v1/Channels', skip => 2, delay_ms => 600_000, times => -1 });
my $files = FlexApi::open_files($session->pid);
$session->send_query('SELECT sid FROM channels');
ok(FlexApi::wait_until(sub { requests() == 3 }), 'the third page does not come');
cancel();
is($session->receive->{error}{C}, '57014', 'a cancel ends the list');
is(contexts(), 0, '... and leaves nothing');
forget();
my @sids = map { $_->[0] } @{ $session->query('SELECT sid FROM channels')->{rows} };
$simulator->post('faults', { path => '/v1/Channels/*', delay_ms => 600_000, times => -1 });
$simulator->clear_requests;
my $keys = "'{" . join(',', @sids) . "}'";
$session->value("ALTER FOREIGN TABLE channels OPTIONS (ADD concurrency '7')");
$session->send_query("SELECT sid FROM channels WHERE sid = ANY ($keys)");
ok(FlexApi::wait_until(sub { requests() == 7 }), 'seven keys are looked up at once');
cancel();
is($session->receive->{error}{C}, '57014', 'a cancel ends them');
is(contexts(), 0, '... and leaves nothing');
is(requests(), 7, '... and no more were sent');
$session->value("SET statement_timeout = '200ms'");
is($session->sqlstate("SELECT sid FROM channels WHERE sid = '$sids[0]'"), '57014', 'statement_timeout ends a look-up');
$session->value('RESET statement_timeout');
forget();
is($session->value("SELECT count(*) FROM channels WHERE sid = ANY ($keys)"), 100, 'afterwards all are found');
is(requests(), 100, '... each by one request');

# Errors in the middle
my $page_error = sub {
	my ($fault, $sql) = @_;

	forget();
	$simulator->post('faults', $fault);
	return $session->query($sql // 'SELECT sid FROM channels')->{error};
};
my $error = $page_error->({ path => '/v1/Channels', skip => 4, status => 500 });
is($error->{C}, 'TW500', 'an error on a page is an error');
like($error->{W}, qr/^scan of foreign table "channels", after 40 rows$/m, '... that says how many rows were given');
$error = $page_error->({ path => '/v1/Channels', skip => 1, set => { sid => 5 } });
is($error->{C}, '08P01', 'a member of the wrong type is an error');
like("$error->{D} $error->{W}", qr/Member "sid" is 5 where a string was expected.*after 10 rows/s, '... that names it and the row');
is($page_error->({ path => '/v1/Channels', skip => 1, set => { sid => 5 } }, 'SELECT url FROM channels'), undef, '... but not for a column that is not needed');
is($page_error->({ path => '/v1/Channels', loop => JSON::PP::true() })->{C}, '08P01', 'pages that go round');
is($page_error->({ path => '/v1/Channels', skip => 1, body => '{"meta":' })->{C}, '08P01', 'a page that is no JSON');
is($page_error->({ path => '/v1/Channels', missing => ['sid'] }, 'SELECT count(*) FROM channels WHERE sid IS NULL'), undef, 'a member that is missing is NULL');
is($page_error->({ path => '/v1/Channels/*', status => 403 }, "SELECT sid FROM channels WHERE sid = '$sids[0]'")->{C}, 'TW403', 'a key that is refused is an error');
is($page_error->({ path => '/v1/Channels/*', status => 404 }, "SELECT sid FROM channels WHERE sid = '$sids[0]'"), undef, 'one that is not found is none');
is(($page_error->({ path => '/v1/Channels/*', status => 404, shape => $_ }, "SELECT sid FROM channels WHERE sid = '$sids[0]'") // {})->{C}, 'TW404', "a 404 that is not the service's ($_) is an error")
  foreach 'html', 'empty';
is(($page_error->({ method => 'DELETE', path => '/v1/Channels/*', status => 404, shape => 'html' }, "DELETE FROM channels WHERE sid = '$sids[0]'") // {})->{C}, 'TW404', '... also of a DELETE');
is($page_error->({ path => '/v1/Channels/*', body => '[' }, "SELECT sid FROM channels WHERE sid = '$sids[0]'")->{C}, '08P01', 'an answer that is no JSON');
is($page_error->({ path => '/v1/Channels/*', set => { sid => 'CH' . 'f' x 32 } }, "SELECT sid FROM channels WHERE sid = '$sids[0]'"), undef, 'an answer of another key');
forget();
$simulator->post('faults', { path => '/v1/Channels/*', set => { sid => 'CH' . 'f' x 32 } });
is($session->value("SELECT count(*) FROM channels WHERE sid = '$sids[0]'"), 0, '... is no row');

# In a subtransaction, and a function that catches
forget();
$session->value(q{CREATE FUNCTION rows() RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM count(*) FROM channels; RETURN 'all'; EXCEPTION WHEN SQLSTATE 'TW500' THEN RETURN 'caught'; END $$});
$simulator->post('faults', { path => '/v1/Channels', skip => 3, status => 500 });
is($session->value('SELECT rows()'), 'caught', 'an error can be caught');
is(contexts(), 0, '... and leaves nothing');
is($session->value('SELECT rows()'), 'all', '... nor spoils what comes after');
$session->value($_) foreach 'BEGIN', 'DECLARE c CURSOR FOR SELECT sid FROM channels', 'FETCH 1 FROM c', 'SAVEPOINT s', 'FETCH 15 FROM c', 'ROLLBACK TO s';
is(scalar @{ $session->query('FETCH ALL FROM c')->{rows} }, 84, 'a cursor goes on after a savepoint is rolled back');
$session->value('COMMIT');
is($session->value('BEGIN READ ONLY') // 'begun', 'begun', 'a transaction that only reads');
is($session->value('SELECT count(*) FROM channels'), 100, '... can read');
$session->value('COMMIT');

# EXPLAIN asks nothing, and needs no mapping
forget();
$session->value('DROP USER MAPPING FOR PUBLIC SERVER twilio');
is($session->sqlstate('EXPLAIN SELECT * FROM channels'), '00000', 'EXPLAIN needs no mapping');
is(requests(), 0, '... and sends nothing');
$node->stop;
done_testing();
