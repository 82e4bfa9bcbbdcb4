# While flex_api.delivery is off nothing is sent, by the worker or a drain, and requests are
# enqueued as ever; it is followed after a reload, for the server or one database.  A rate
# of 0 pauses one operation.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('paused');
my $server = FlexApi::Server->new(sub {
	my ($connection, $server) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		$server->note((split / /, $request->{head})[1]);
		print $connection FlexApi::Server::answer('{"identity": "x"}', '201 Created') or return;
	}
});

$node->init;
$node->append_conf('postgresql.conf', join("\n", "shared_preload_libraries = 'flex_api'", "flex_api.base_url = '" . $server->url . "'",
	"flex_api.account_sid = 'AC" . '0' x 32 . "'", "flex_api.auth_token = 'x'", "flex_api.rate_limits = 'none'", ''));
$node->start;
my $session = FlexApi::Session->new($node);
$session->value('CREATE EXTENSION flex_api');

my %ARGUMENTS = (
	flex_webchat_create => '{"address_sid": "IG' . '0' x 32 . '"}',
	flex_channel_create => '{"flex_flow_sid": "FO' . '0' x 32 . '", "identity": "i", "chat_user_friendly_name": "n", "chat_friendly_name": "n"}');

sub enqueue { my ($operation) = @_; return $session->value("SELECT flex_enqueue('$operation', '$ARGUMENTS{$operation}')"); }
sub await { my ($id) = @_; return $session->value("SELECT state FROM flex_outbox_await($id, '30 s')"); }
sub state_of { my ($id) = @_; return $session->value("SELECT state FROM flex_outbox WHERE id = $id"); }

# The worker has looked for requests since then, and waits.
sub worker_has_looked
{
	my $since = $session->value('SELECT clock_timestamp()');

	$session->value('SELECT flex_outbox_wake()');
	return FlexApi::wait_until(sub {
		$session->value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'flex_api outbox worker' AND state = 'idle' AND state_change > '$since'")
	});
}

# Set something and reload; the server says nowhere when the worker has followed.
sub set_for
{
	my (@statements) = @_;

	$session->value($_) for @statements, 'SELECT pg_reload_conf()';
	return;
}

# Some request stays unsent.
sub is_paused
{
	my ($operation) = @_;

	return FlexApi::wait_until(sub {
		my $id = enqueue($operation);

		return worker_has_looked() && state_of($id) eq 'pending';
	});
}

is($session->value('SELECT count(*) FROM flex_outbox_status'), 1, 'a new outbox has a status');
is(await(enqueue('flex_webchat_create')), 'succeeded', 'sent, before');
is($session->value("SELECT concat_ws('|', explanation, due, waiting, last_failure) FROM flex_outbox_status"), '0|0', '... the status has no complaint');
is($session->value("SELECT worker_pid = pid AND worker_since = backend_start AND last_success IS NOT NULL FROM flex_outbox_status, pg_stat_activity
	WHERE backend_type = 'flex_api outbox worker'"), 't', '... it names the worker');

# By the server, and by the database, which goes before it
foreach my $where ('SYSTEM', 'DATABASE postgres')
{
	set_for("ALTER $where SET flex_api.delivery = off");
	ok(is_paused('flex_webchat_create'), "ALTER $where: the worker is paused");
	my $before = $session->value("SELECT count(*) FROM flex_outbox WHERE state = 'pending'");
	$server->clear_notes;
	my $id = enqueue('flex_webchat_create');
	ok(worker_has_looked(), '... it is woken');
	is(state_of($id) . '|' . scalar($server->notes), 'pending|0', '... what is enqueued is not sent');
	my $drainer = FlexApi::Session->new($node);
	ok(FlexApi::wait_until(sub { $drainer->value('SHOW flex_api.delivery') eq 'off' }), '... off in a session');
	like($drainer->value('SELECT concat(delivery, due > 0, explanation) FROM flex_outbox_status'), qr/^ftDelivery is paused/, '... the status says so');
	my $drained = $drainer->query('CALL flex_outbox_drain()');
	like($drained->{notices}[0]{M} // '', qr/flex_api\.delivery is off/, '... a drain says so');
	is(state_of($id) . '|' . scalar($server->notes), 'pending|0', '... and sends nothing');
	set_for("ALTER $where SET flex_api.delivery = on");
	is(await($id), 'succeeded', '... sent when it is on again');
	ok(FlexApi::wait_until(sub { $session->value("SELECT count(*) FROM flex_outbox WHERE state <> 'succeeded'") == 0 }), '... and all that has waited');
	is(scalar($server->notes), $before + 1, '... once');
}

# One operation alone
set_for("ALTER SYSTEM SET flex_api.rate_limits = 'flex_webchat_create=0'");
ok(is_paused('flex_webchat_create'), 'a rate of 0: the operation is paused');
$server->clear_notes;
my $paused = enqueue('flex_webchat_create');
is(await(enqueue('flex_channel_create')), 'succeeded', '... another is sent');
my $drainer = FlexApi::Session->new($node);
is($drainer->sqlstate('CALL flex_outbox_drain()'), '00000', '... a drain ends');
ok(worker_has_looked(), '... the worker is woken');
is(state_of($paused), 'pending', '... the one that is paused is not sent');
is_deeply([ $server->notes ], ['/v1/Channels'], '... not even tried');
set_for('ALTER SYSTEM RESET flex_api.rate_limits');
is(await($paused), 'succeeded', '... until it has a rate again');

# Those that may not pause
$session->value('CREATE ROLE plain LOGIN');
my $plain = FlexApi::Session->new($node, user => 'plain');
is($plain->sqlstate('SET flex_api.delivery = off'), '42501', 'a plain role cannot pause');

$node->stop('fast');
done_testing();
