# Scans of several servers under UNION ALL, or of partitions, run side by side: each with
# its own address and user mapping, and none waits for another.  Rows come as they are there.
use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $LONG_MS = 600_000;    # nobody has to wait so long

my @simulators = map { FlexApi::Simulator->new('--account', 'AC' . $_ x 32, '--token', "token-$_") } 1 .. 3;
my $node = FlexApi::node('side_by_side', $simulators[0], 'flex_api.max_retries = 0', "flex_api.timeout = '1h'");
my $session = FlexApi::Session->new($node);

$session->value('CREATE TABLE channels (sid text, account_sid text) PARTITION BY LIST (account_sid)');
foreach my $i (1 .. 3)
{
	my $account = 'AC' . $i x 32;

	$simulators[ $i - 1 ]->post('seed', { channels => 30 });
	$session->value($_) foreach
		"CREATE SERVER s$i FOREIGN DATA WRAPPER flex_api OPTIONS (account_sid '$account', base_url '" . $simulators[ $i - 1 ]->url . "', page_size '10')",
		"CREATE USER MAPPING FOR PUBLIC SERVER s$i OPTIONS (auth_token 'token-$i')",
		"CREATE FOREIGN TABLE c$i PARTITION OF channels FOR VALUES IN ('$account') SERVER s$i OPTIONS (resource 'channels')";
}
my $union = join ' UNION ALL ', map { "SELECT sid FROM c$_" } 1 .. 3;

sub delay { my ($i, $ms) = @_; return $simulators[ $i - 1 ]->post('faults', { path => '/v1/Channels*', delay_ms => $ms, times => -1 }); }
sub requests { my ($i) = @_; return scalar $simulators[ $i - 1 ]->requests; }
sub forget { foreach (@simulators) { $_->clear_faults; $_->clear_requests; } return; }

like(join("\n", map { $_->[0] } @{ $session->query("EXPLAIN (COSTS OFF) $union")->{rows} }), qr/(Async Foreign Scan.*){3}/s, 'UNION ALL is asynchronous');
is($session->value('SELECT count(DISTINCT (account_sid, sid)) FROM channels'), 90, 'partitions: all rows of all accounts');
is($session->value("SELECT count(*) FROM ($union) AS u"), 90, 'UNION ALL: all rows');

# All are asked at once
forget();
delay($_, $LONG_MS) foreach 1 .. 3;
$session->send_query('SELECT count(*) FROM channels');
ok(FlexApi::wait_until(sub { !grep { requests($_) == 0 } 1 .. 3 }), 'each is asked while none has answered');
my $other = FlexApi::Session->new($node);
my $files = FlexApi::open_files($session->pid);
$other->value('SELECT pg_cancel_backend(' . $session->pid . ')');
is($session->receive->{error}{C}, '57014', 'a cancel ends them all');
is($session->value("SELECT count(*) FROM pg_backend_memory_contexts WHERE name LIKE 'flex_api page%' OR name = 'flex_api scan'"), 0, '... and leaves nothing');
ok(FlexApi::open_files($session->pid) < $files, '... no connection either');

# What is there is given, while another waits
forget();
delay($_, $LONG_MS) foreach 1, 3;
$session->value($_) foreach 'BEGIN', "DECLARE c CURSOR FOR $union";
is(scalar @{ $session->query('FETCH 30 FROM c')->{rows} }, 30, 'the rows of the second come, while the first and the third have not answered');
is(requests(2), 3, '... page by page');
forget();
$other->value('SELECT pg_cancel_backend(' . $session->pid . ')') if !eval { $session->value('ROLLBACK', 60); 1 };
is($session->value("SELECT count(*) FROM ($union) AS u"), 90, 'another query has all rows');

# Fetches by key, filters and empty scans
forget();
my @sids = map { $session->value("SELECT min(sid) FROM c$_") } 1 .. 3;
my $list = join ', ', map { "'$_'" } @sids;
is($session->value("SELECT count(*) FROM (SELECT sid, account_sid FROM channels) AS c WHERE sid IN ($list, 'CH', '')"), 3, 'keys: each account has one of three');
is($session->value(q{SELECT count(*) FROM channels WHERE sid > 'CH8' AND sid < 'CH'}), 0, 'a filter that leaves nothing');
is($session->value("SELECT count(*) FROM channels WHERE sid = 'nonsense'"), 0, 'a key that nothing can have');

# A rescan while requests are under way
is($session->value("SELECT sum(n) FROM generate_series(1, 3) AS g, LATERAL (SELECT count(*) AS n FROM (SELECT sid FROM channels WHERE sid > repeat('a', g) LIMIT 5) AS l) AS r"),
	0, 'rescans');
is($session->value("SELECT sum(n) FROM generate_series(1, 3) AS g, LATERAL (SELECT count(*) AS n FROM (SELECT sid FROM channels WHERE sid > repeat('B', g) LIMIT 5) AS l) AS r"),
	15, 'rescans in the middle of lists');

# An error of one is the query's
$simulators[1]->post('faults', { path => '/v1/Channels*', status => 503, skip => 1, times => -1 });
is($session->sqlstate('SELECT count(*) FROM channels'), 'TW503', 'an error of one, on its second page, is the query\'s');
forget();
$session->value("ALTER USER MAPPING FOR PUBLIC SERVER s3 OPTIONS (SET auth_token 'wrong')");
is($session->sqlstate('SELECT count(*) FROM channels'), 'TW401', 'and so are credentials of one');
$session->value("ALTER USER MAPPING FOR PUBLIC SERVER s3 OPTIONS (SET auth_token 'token-3')");
is($session->value('SELECT count(*) FROM channels'), 90, 'all is well again');

# A repeat is waited for beside the others
$session->value('ALTER SERVER s2 OPTIONS (ADD max_retries \'3\')');
$simulators[1]->post('faults', { path => '/v1/Channels*', status => 503, times => 2 });
is($session->value('SELECT count(*) FROM channels'), 90, 'a repeat');
is($session->value("SELECT count(*) FROM channels WHERE sid IN ($list)"), 3, 'and of keys');
$simulators[1]->post('faults', { path => '/v1/Channels/*', status => 429, times => 2 });
is($session->value("SELECT count(*) FROM channels WHERE sid IN ($list)"), 3, 'repeats of keys');

$session->value('SET enable_async_append = off');
is($session->value('SELECT count(*) FROM channels'), 90, 'one after another, without asynchronous execution');
$node->stop;
done_testing();
