# What an operator has to mend is said at once, and then once a minute as long as it lasts: a way and
# credentials that are held, an outcome that is refused, a database that no slot comes free for.
# Meanwhile a way is tried every five seconds; credentials are tried ever more seldom, but at once
# when others are there.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use Time::Local qw(timegm);

my $MANY = 5;
my $simulator = FlexApi::Simulator->new;
my $proxy = FlexApi::Server->new(sub {
	my ($connection, $server) = @_;
	FlexApi::Server::read_request($connection) or return;
	$server->note('asked');
	print $connection "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
	return;
});
my $begin = time;

# The launcher and that of logical replication have the only slots.
my $crowded = FlexApi::node('crowded', $simulator, "shared_preload_libraries = 'flex_api'", 'max_worker_processes = 2', 'fsync = off');
my $alone = FlexApi::Session->new($crowded);
my $waiting = $alone->value(q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}')});
ok(FlexApi::wait_until(sub { ($alone->value('SELECT explanation FROM flex_outbox_status') // '') =~ /No background worker slot is free.*max_worker_processes/ }),
	'the status says that no slot is free');

# Servers with a way and with credentials that are not right; another, whose outcomes are refused
my $node = FlexApi::node('minute', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'", 'fsync = off');
my $session = FlexApi::Session->new($node);
my $url = $simulator->url;
my %options = (proxied => "base_url 'https://192.0.2.1', proxy '" . $proxy->url . "'", refused => "base_url '$url'", fine => "base_url '$url'");
foreach my $server (sort keys %options)
{
	my $token = $server eq 'refused' ? 'wrong' : $FlexApi::TOKEN;
	$session->value($_) foreach "CREATE SERVER $server FOREIGN DATA WRAPPER flex_api OPTIONS ($options{$server}, account_sid '$FlexApi::ACCOUNT')",
		"CREATE USER MAPPING FOR CURRENT_USER SERVER $server OPTIONS (auth_token '$token')";
}
$session->value($_) foreach q{CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not this one'; END $$},
	q{CREATE TRIGGER t BEFORE UPDATE ON flex_outbox_requests FOR EACH ROW WHEN (NEW.server = 'fine') EXECUTE FUNCTION refuse()};
foreach my $server (sort keys %options)
{
	$session->value("SET flex_api.server = '$server'");
	$session->value(q{SELECT count(flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}')) FROM generate_series(1, } . ($server eq 'fine' ? 1 : $MANY) . ')');
}
$session->value('RESET flex_api.server');

my $words = 'requests of the Flex API outbox wait for an operator\n[^\n]*DETAIL: [^\n]*';
my %warnings = (
	'a way that is held' => [ $node, qr/${words}407[^\n]*\n[^\n]*HINT: [^\n]*flex_api\.proxy/ ],
	'credentials that are held' => [ $node, qr/${words}Authenticate[^\n]*\n[^\n]*HINT: [^\n]*credentials/ ],
	'an outcome that is refused' => [ $node, qr/could not record the result of a request of the Flex API outbox\n[^\n]*DETAIL: [^\n]*not this one/ ],
	'a slot that never comes' => [ $crowded, qr/no background worker slot is free for the Flex API outbox\n[^\n]*DETAIL: [^\n]*\n[^\n]*HINT: [^\n]*max_worker_processes/ ]);

# When the log has one, in seconds.
sub said_at
{
	my ($where, $pattern) = @_;
	my $log = slurp_file($where->logfile);
	my @times;

	while ($log =~ /^(\d+)-(\d+)-(\d+) (\d+):(\d+):([\d.]+) \S+ [^\n]*WARNING:  $pattern/mg)
	{
		push @times, timegm(0, $5, $4, $3, $2 - 1, $1) + $6;
	}
	return @times;
}

foreach my $name (sort keys %warnings)
{
	ok(FlexApi::wait_until(sub { said_at(@{ $warnings{$name} }) >= 2 }, 70 + 2 * FlexApi::slowness()), "$name: it is said, and said again");
}
my $asked = $proxy->notes;
my $elapsed = time - $begin;
foreach my $name (sort keys %warnings)
{
	my @times = said_at(@{ $warnings{$name} });
	my @gaps = map { $times[$_] - $times[ $_ - 1 ] } 1 .. $#times;

	is(scalar(grep { $_ < 59.9 } @gaps), 0, "$name: once a minute: " . join ', ', map { sprintf '%.1f s', $_ } @gaps);
}
# At first after 1, 2, and 4 s.
cmp_ok($asked, '>=', 3 + 50 / 5, sprintf 'the way was tried %d times in %.0f s', $asked, $elapsed);
cmp_ok($asked, '<=', 3 + $MANY + $elapsed / 5, '... and not more often');
is($session->value("SELECT max(run_at) > now() + interval '20 s' FROM flex_outbox WHERE server = 'refused'"), 't', 'the credentials are not tried again for long');
my $mended = time;
$session->value("ALTER USER MAPPING FOR CURRENT_USER SERVER refused OPTIONS (SET auth_token '$FlexApi::TOKEN')");
ok(FlexApi::wait_until(sub { $session->value("SELECT count(*) FROM flex_outbox WHERE server = 'refused' AND state = 'succeeded'") == $MANY }, 60),
	'when they are mended, the requests go on');
cmp_ok(time - $mended, '<', 5 + FlexApi::slowness(), sprintf '... at once: %.1f s', time - $mended);
is($session->value("SELECT state FROM flex_outbox WHERE server = 'fine'"), 'sending', 'what cannot be recorded counts as being sent');
is($alone->value("SELECT state FROM flex_outbox WHERE id = $waiting"), 'pending', 'without a slot nothing is sent');
$crowded->append_conf('postgresql.conf', 'max_worker_processes = 8');
$crowded->restart;
$alone = FlexApi::Session->new($crowded);
ok(FlexApi::wait_until(sub { $alone->value("SELECT state FROM flex_outbox WHERE id = $waiting") eq 'succeeded' }), '... until there is one');

$_->stop('fast') foreach $node, $crowded;
done_testing();
