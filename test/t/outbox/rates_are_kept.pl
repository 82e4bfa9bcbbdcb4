# How fast each operation is called, by the times at which requests arrive: the
# published rates, kept by several sessions and the worker together where
# preloaded; none; and a list.

use strict;
use warnings;

use FlexApi;
use List::Util qw(max);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

# Notes the time of each request.
my $server = FlexApi::Server->new(sub {
	my ($connection, $server) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		$server->note(sprintf '%.4f %s', time(), $request->{path});
		print $connection FlexApi::Server::answer('{"identity": "x", "sid": "KD00000000000000000000000000000001"}') or return;
	}
});
my $node = PostgreSQL::Test::Cluster->new('rates');
$node->init;
$node->append_conf('postgresql.conf', join("\n", "flex_api.base_url = '" . $server->url . "'", "flex_api.account_sid = '$FlexApi::ACCOUNT'",
	"flex_api.auth_token = '$FlexApi::TOKEN'", 'fsync = off', ''));
$node->start;
my $super = FlexApi::Session->new($node);
$super->value('CREATE EXTENSION flex_api');

sub enqueue
{
	my ($operation, $arguments, $count) = @_;
	$super->value('SET client_min_messages = error');
	return $super->value("SELECT count(flex_enqueue('$operation', '$arguments')) FROM generate_series(1, $count)");
}
sub chats { return enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}', @_); }
sub interactions { return enqueue('flex_interaction_create', '{"channel": {"type": "sms"}}', @_); }
sub statuses { return enqueue('flex_provisioning_status_fetch', '{}', @_); }

# Seconds from the first request of a path to the last.
sub spread
{
	my ($path) = @_;
	my @times = sort { $a <=> $b } map { (split)[0] } $server->notes(qr/ \Q$path\E$/);
	return $times[-1] - $times[0];
}
# A rate is kept when all requests take the time that they must; a tenth of a second's may come at
# once.  A slow machine makes it longer, or the first request a little late: hence three quarters.
sub check_rate
{
	my ($path, $rate, $name) = @_;
	my $least = 0.75 * (came($path) - max(1, $rate / 10)) / $rate;

	cmp_ok(spread($path), '>=', $least, sprintf('%s: %d requests at %d a second take %.1f s', $name, came($path), $rate, spread($path)));
	return;
}
sub came { my ($path) = @_; return scalar $server->notes(qr/ \Q$path\E$/); }
sub fresh { $super->value('DELETE FROM flex_outbox_requests'); $server->clear_notes; return; }

# One session, not preloaded: the published rates, and no operation waits for another
chats(12);
interactions(45);
statuses(60);
my $drained = $super->query('CALL flex_outbox_drain()');
is(came('/v2/WebChats') + came('/v1/Interactions') + came('/v1/account/provision/status'), 117, 'published: all are sent, waits included');
check_rate('/v2/WebChats', 5, 'web chats');
cmp_ok(spread('/v2/WebChats'), '<', 1.4 * FlexApi::slowness(), '... not many fewer');
check_rate('/v1/Interactions', 20, 'interactions');
cmp_ok(spread('/v1/Interactions'), '<', 1.25 * FlexApi::slowness(), '... not many fewer');
is((map { (split)[1] } $server->notes(qr{ (/v2/WebChats|/v1/account/provision/status)$}))[-1], '/v2/WebChats', 'others do not wait for those');
is($super->value('SELECT sum(attempts) FROM flex_outbox'), 117, 'waiting counts no attempt');

# Operations that share a rate: five per second for all that change teams
fresh();
my ($instance, $team, $user) = map { $_ . '0' x 31 . '1' } 'GO', 'QO', 'FU';
enqueue('flex_team_delete', qq({"instance_sid": "$instance", "team_sid": "$team"}), 6);
enqueue('flex_team_owner_delete', qq({"instance_sid": "$instance", "team_sid": "$team", "flex_user_sid": "$user"}), 6);
$super->value('CALL flex_outbox_drain()');
my @changes = sort { $a <=> $b } map { (split)[0] } $server->notes(qr{ /v1/Instances/$instance/Teams/});
is(scalar(@changes), 12, 'two operations that share a rate: all are sent');
cmp_ok($changes[-1] - $changes[0], '>=', 0.75 * 11 / 5, '... five per second together');

# none, and a list
fresh();
chats(60);
$super->value("SET flex_api.rate_limits = 'none'");
$super->value('CALL flex_outbox_drain()');
cmp_ok(spread('/v2/WebChats'), '<', 0.8 * 55 / 5, 'none: sixty do not take the time that they would at five a second');
fresh();
chats(30);
statuses(12);
$super->value("SET flex_api.rate_limits = 'flex_provisioning_status_fetch=8, flex_flow_fetch=1'");
$super->value('CALL flex_outbox_drain()');
cmp_ok(spread('/v2/WebChats'), '<', 0.8 * 25 / 5, 'a list: what it does not name has no limit');
check_rate('/v1/account/provision/status', 8, '... what it names has that one');
is($super->sqlstate("SET flex_api.rate_limits = '$_'"), '22023', "refused: $_")
  for 'nonsense', 'flex_webchat_create', 'flex_webchat_create=', 'flex_webchat_create=-1', 'flex_nothing=5',
  'flex_webchat_create=5x', 'flex_webchat_create=nan', 'flex_webchat_create=inf', 'published, none', 'flex_webchat_create=5 flex_flow_fetch=1';
is($super->sqlstate("SET flex_api.rate_limits = '$_'"), '00000', "taken: $_")
  for 'none', 'published', 'flex_webchat_create=0', 'flex_webchat_create=0.5', 'flex_webchat_create=1000000', ' flex_webchat_create=5 , flex_flow_fetch=1.25 ';
my $plain = FlexApi::Session->new($node);
$plain->value('CREATE ROLE plain');
$plain->value(q{LOAD 'flex_api'});
$plain->value('SET ROLE plain');
is($plain->sqlstate("SET flex_api.rate_limits = 'none'"), '42501', 'a plain role cannot lift them');
# neither by saying so before the library is there
$plain = FlexApi::Session->new($node);
$plain->value($_) for 'SET ROLE plain', "SET flex_api.rate_limits = 'none'", 'RESET ROLE', q{LOAD 'flex_api'};
is($plain->value('SHOW flex_api.rate_limits'), 'published', '... in whatever way it tries');

# Preloaded: several sessions and the worker together
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'flex_api'");
$node->restart;
$super = FlexApi::Session->new($node);
fresh();
my @drainers = map { FlexApi::Session->new($node) } 1 .. 3;
chats(17);
interactions(50);
$_->send_query('CALL flex_outbox_drain()') for @drainers;
$_->receive(60) for @drainers;
ok(FlexApi::wait_until(sub { $super->value("SELECT count(*) FROM flex_outbox WHERE state <> 'succeeded'") == 0 }), 'several sessions and the worker: all are sent');
check_rate('/v2/WebChats', 5, 'web chats');
check_rate('/v1/Interactions', 20, 'interactions');
is($super->value('SELECT max(attempts) FROM flex_outbox'), 1, '... each was claimed once');

$node->stop('fast');
done_testing();
