# Requests that the service refuses with 429 were no attempts: all are sent in the end, however
# few attempts they have, at the rate that the service lets through.  What one account is
# refused holds back no other's requests.  Rates of one account: flex_api.rate_limits.

use strict;
use warnings;

use FlexApi;
use List::Util qw(max);
use MIME::Base64;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $DELETES = 400;
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('refusals', $simulator, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'", 'fsync = off');
my $session = FlexApi::Session->new($node);

# Many requests with few attempts, by the worker
$simulator->post('seed', { channels => $DELETES });
$simulator->post('limits', { operations => { flex_channel_delete => 50 } });
$session->value("SELECT count(flex_enqueue('flex_channel_delete', jsonb_build_object('sid', sid), max_attempts => 3)) FROM flex_channels_list()");
ok(FlexApi::wait_until(sub { $session->value("SELECT count(*) FROM flex_outbox WHERE finished_at IS NULL") == 0 }), "$DELETES deletes, of which 50 are let through per second");
is_deeply($session->query('SELECT state, count(*), max(attempts) FROM flex_outbox GROUP BY 1')->{rows}, [ [ 'succeeded', $DELETES, 1 ] ], '... all succeed, at their first attempt');
my $requests = $simulator->get('counters')->{by_operation}->{flex_channel_delete};
cmp_ok($requests, '<=', 1.3 * $DELETES, "... in $requests requests");
$node->stop('fast');

# Two accounts, one of which is refused everything.
my %accounts = map { $_->[0] => 'AC' . $_->[1] x 32 } [ alice => 1 ], [ bob => 2 ];
my $server = FlexApi::Server->new(sub {
	my ($connection, $server) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		my ($basic) = $request->{head} =~ /^authorization: *basic (\S+)/mi;
		my ($account) = split /:/, decode_base64($basic // '');
		$server->note(sprintf '%s %.4f', $account, time());
		print $connection $account eq $accounts{alice}
		  ? FlexApi::Server::answer('{"code": 20429, "message": "Too Many Requests"}', '429 Too Many Requests')
		  : FlexApi::Server::answer('{"identity": "x", "conversation_sid": "CH00000000000000000000000000000001"}', '201 Created')
		  or return;
	}
});
$node = PostgreSQL::Test::Cluster->new('accounts');
$node->init;
$node->append_conf('postgresql.conf', join("\n", "shared_preload_libraries = 'flex_api'", "flex_api.base_url = '" . $server->url . "'",
	"flex_api.credentials_file = 'credentials'", "flex_api.rate_limits = 'none'", 'flex_api.concurrency = 4', 'fsync = off', ''));
open(my $file, '>', $node->data_dir . '/credentials') or die $!;
print $file map { "$accounts{$_}:$_:$accounts{$_}:secret\n" } sort keys %accounts;
close $file;
chmod 0600, $node->data_dir . '/credentials';
$node->start;
my $super = FlexApi::Session->new($node);
$super->value($_) for 'CREATE EXTENSION flex_api', 'CREATE ROLE alice LOGIN', 'CREATE ROLE bob LOGIN',
  'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO alice, bob';
my %session = map { $_ => FlexApi::Session->new($node, user => $_) } sort keys %accounts;

sub chats { my ($count) = @_; return "SELECT count(flex_enqueue('flex_webchat_create', '{\"address_sid\": \"IG00000000000000000000000000000001\"}')) FROM generate_series(1, $count)"; }
sub came { my ($role) = @_; return scalar $server->notes(qr/^$accounts{$role} /); }
sub succeeded { my ($role) = @_; return $super->value("SELECT count(*) FROM flex_outbox_all WHERE enqueued_by = '$role' AND state = 'succeeded'"); }

$session{alice}->value(chats(100));
ok(FlexApi::wait_until(sub { came('alice') >= 3 }), 'an account is refused everything');
foreach my $count (1, 60)
{
	my $before = came('alice');
	my $wanted = succeeded('bob') + $count;
	$session{bob}->value(chats($count));
	ok(FlexApi::wait_until(sub { succeeded('bob') == $wanted }, 60), "... another account's requests are sent: $count");
	cmp_ok(came('alice') - $before, '<', 30, '... meanwhile few of the first try');
}
is($super->value("SELECT count(*) FILTER (WHERE state = 'pending'), max(attempts) FROM flex_outbox_all WHERE enqueued_by = 'alice'"), 100, '... whose requests wait');
is($super->value("SELECT max(attempts) FROM flex_outbox_all WHERE enqueued_by = 'alice' AND state = 'pending'"), 0, '... without an attempt');
# Nor does a call wait, or many of them.
my $call = $session{bob}->query("SELECT count(*) FROM generate_series(1, 5) AS g, LATERAL flex_webchat_create('IG' || lpad(g::text, 32, '0'))");
is($call->{error}, undef, "another account's calls");
cmp_ok($call->{seconds}, '<', 0.5 * FlexApi::slowness(), '... do not wait');
$super->value("DELETE FROM flex_outbox_requests");

# A rate of one account
sub set_rates
{
	my ($rates) = @_;
	$super->value("ALTER SYSTEM SET flex_api.rate_limits = '$rates'");
	$super->value('SELECT pg_reload_conf()');
	ok(FlexApi::wait_until(sub { my $s = FlexApi::Session->new($node); $s->value("LOAD 'flex_api'"); my $v = $s->value('SHOW flex_api.rate_limits'); $s->close; $v eq $rates }), "rates: $rates");
	return;
}
sub spread { my @times = sort { $a <=> $b } map { (split)[1] } $server->notes(qr/^$accounts{bob} /); return $times[-1] - $times[0]; }
foreach my $rates ("flex_webchat_create=1000, $accounts{bob}/flex_webchat_create=10", "published, $accounts{alice} / flex_webchat_create = 1, $accounts{bob}/flex_webchat_create=10")
{
	set_rates($rates);
	$server->clear_notes;
	my $wanted = succeeded('bob') + 21;
	$session{bob}->value(chats(21));
	ok(FlexApi::wait_until(sub { succeeded('bob') == $wanted }), '... all are sent');
	cmp_ok(spread(), '>=', 0.75 * 20 / 10, '... at the rate of the account');
	cmp_ok(spread(), '<', 20 / 10 * FlexApi::slowness(), '... and not much slower');
}
is($super->sqlstate("SET flex_api.rate_limits = '$_'"), '22023', "refused: $_")
  for "/flex_webchat_create=5", "$accounts{bob}/=5", "$accounts{bob}=5", "$accounts{bob}/flex_nothing=5", "flex_webchat_create=5/$accounts{bob}", "none, $accounts{bob}/flex_webchat_create=5";

# As many limits of single accounts as there can be, and one more
my $limits = sub { return join ', ', map { sprintf 'AC%032d/flex_webchat_create=5', $_ } 1 .. $_[0]; };
is($super->sqlstate("SET flex_api.rate_limits = '@{[ $limits->(256) ]}'"), '00000', '256 accounts have limits of their own');
is($super->query("SET flex_api.rate_limits = '@{[ $limits->(300) ]}'")->{error}->{D}, 'It has 300 limits for single accounts; there can be at most 256.',
	'... the error tells how many there are and can be');

$node->stop('fast');
done_testing();
