# A database's worker cannot record what became of a request, and another database waits for its
# slot: the worker leaves after a while all the same, and says so; both databases send, and that
# request is not sent again.
use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = PostgreSQL::Test::Cluster->new('turns');
$node->init;
# the launcher, that of logical replication, and one worker
$node->append_conf('postgresql.conf', join("\n", "shared_preload_libraries = 'flex_api'", "flex_api.base_url = '" . $simulator->url . "'",
	"flex_api.account_sid = '$FlexApi::ACCOUNT'", "flex_api.auth_token = '$FlexApi::TOKEN'", "flex_api.rate_limits = 'none'",
	'max_worker_processes = 3', 'fsync = off', ''));
$node->start;
my $super = FlexApi::Session->new($node);
$super->value("CREATE DATABASE $_") foreach qw(first second);
my %session = map { $_ => FlexApi::Session->new($node, database => $_) } qw(first second);
$session{$_}->value('CREATE EXTENSION flex_api') foreach qw(first second);
my $first = $session{first};

sub enqueue
{
	my ($database, $name) = @_;
	return $session{$database}->value("SELECT flex_enqueue('flex_webchat_create', jsonb_build_object('address_sid', 'IG' || repeat('a', 32), 'identity', '$name'))");
}
sub reaches
{
	my ($database, $id, $state) = @_;
	return FlexApi::wait_until(sub { $session{$database}->value("SELECT state FROM flex_outbox WHERE id = $id") eq $state }, 6 * FlexApi::slowness());
}
sub sent { my ($name) = @_; return scalar grep { ($_->{body} // '') =~ /Identity=$name\b/ } $simulator->requests; }

$first->value($_) foreach q{CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not this one'; END $$},
	q{CREATE TRIGGER t BEFORE UPDATE ON flex_outbox_requests FOR EACH ROW WHEN (NEW.arguments ->> 'identity' = 'bad') EXECUTE FUNCTION refuse()};
my $bad = enqueue('first', 'bad');
ok(FlexApi::wait_until(sub { sent('bad') == 1 && slurp_file($node->logfile) =~ /not this one/ }), 'one is sent, and that cannot be recorded');
ok(reaches('second', enqueue('second', "second$_"), 'succeeded'), 'the other database sends') foreach 1 .. 2;
ok(reaches('first', enqueue('first', 'good'), 'succeeded'), 'and so does this one');
like(slurp_file($node->logfile), qr/WARNING:  could not record the results of requests .*\n.*DETAIL: .* of 1 request is lost: .*\n.*HINT: .*max_worker_processes.*flex_outbox_requests/,
	'the log says what to do');
is($first->value("SELECT state FROM flex_outbox WHERE id = $bad"), 'sending', 'that request counts as being sent');
$first->value('DROP TRIGGER t ON flex_outbox_requests');
$first->value('SELECT flex_outbox_wake()') if $first->value(q{SELECT count(*) FROM pg_proc WHERE proname = 'flex_outbox_wake'});
ok(reaches('first', $bad, 'uncertain'), '... and is uncertain when that can be recorded');
is(sent($_), 1, "... $_ was sent once") foreach qw(bad good second1 second2);

# A lock is no other
my $holder = FlexApi::Session->new($node, database => 'first');
$simulator->post('faults', { path => '/v2/WebChats', delay_ms => 1000, times => 1 });
my $locked = enqueue('first', 'locked');
ok(FlexApi::wait_until(sub { sent('locked') == 1 }), 'one is under way');
$holder->value($_) foreach 'BEGIN', "SELECT id FROM flex_outbox_requests WHERE id = $locked FOR UPDATE";
ok(reaches('second', enqueue('second', 'second3'), 'succeeded'), '... whose row somebody has locked: the other database sends');
$holder->value('ROLLBACK');
ok(reaches('first', $locked, 'uncertain'), '... and this one, when it is its turn') or diag $first->value("SELECT state FROM flex_outbox WHERE id = $locked");
is(sent('locked'), 1, '... and was sent once');

$node->stop('fast');
is_deeply([ grep { /PANIC|TRAP|terminated by signal|outbox worker.*exit code/ } split /\n/, slurp_file($node->logfile) ], [], 'no process has ended badly');
done_testing();
