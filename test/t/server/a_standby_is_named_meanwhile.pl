# While a worker sends, commits begin to wait for a synchronous standby, and cease to, as failover managers
# have them do.  Processes learn of that one after another.  Behaviour: the worker goes on, and no request that
# it has under way becomes uncertain.
use strict;
use warnings;

use FlexApi;
use FlexScripted;
use IO::Select;
use PostgreSQL::Test::Cluster;
use Test::More;

my $service = FlexScripted->new;
my $node = FlexApi::node('named', $service->server, "shared_preload_libraries = 'flex_api'", "flex_api.rate_limits = 'none'", 'wal_level = replica',
	'max_wal_senders = 3', 'flex_api.timeout = 10min');
my $session = FlexApi::Session->new($node);
my $pid_of_worker = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'flex_api outbox worker'};
my $last = 0;

# Sessions do not wait for the standby themselves.
$session->value($_) foreach 'SET client_min_messages = error', 'SET synchronous_commit = local';
my $checkpointer = $session->value(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'});
END { kill 'CONT', $checkpointer if $checkpointer; }

# Enqueue the creation of a chat; returns its name and the request's id.
sub enqueue
{
	my $name = 'c' . ++$last;

	return ($name, $session->value(sprintf q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG%s", "identity": "%s"}')}, 'a' x 32, $name));
}

sub state_of { my ($id) = @_; return $session->value("SELECT state FROM flex_outbox WHERE id = $id"); }
sub succeeds { my ($id) = @_; return FlexApi::wait_until(sub { state_of($id) eq 'succeeded' }, 30); }
sub waits { my ($pid) = @_; return $session->value("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid AND wait_event = 'SyncRep'"); }
sub name_standby { my ($name) = @_; $node->append_conf('postgresql.conf', "synchronous_standby_names = '$name'"); $node->reload; return; }

# Does the statement that was sent to a session wait at its commit, or end?
sub commit_waits
{
	my ($committer) = @_;
	my $answer = IO::Select->new($committer->{socket});

	FlexApi::wait_until(sub { waits($committer->pid) || $answer->can_read(0) }, 30);
	return 1 if !$answer->can_read(0);
	$committer->receive;
	return 0;
}

# Enqueue what is on the wire until its gate is opened.
sub put_under_way
{
	$service->answer('c' . ($last + 1), 'gate 200 OK');
	my ($name, $id) = enqueue();
	ok($service->has_come($name), "$name is under way");
	return ($name, $id);
}

ok(succeeds((enqueue())[1]), 'the worker sends');
my $worker = $session->value($pid_of_worker);

# The worker has read the name, and the checkpointer, which has commits wait, has not.
my ($name, $id) = put_under_way();
kill 'STOP', $checkpointer;
name_standby('nobody');
my $sent = 0;
$sent++ while $sent < 20 && succeeds((enqueue())[1]);
is($sent, 20, 'a standby is named of which the checkpointer does not know yet: claims do not wait');
$service->open_gate($name);
ok(succeeds($id), '... and what was under way succeeds');

# Then all know it, which the commits of another session tell, until it is named no more.
my $other = FlexApi::Session->new($node);
$other->value('CREATE TABLE written (x integer)');
($name, $id) = put_under_way();
kill 'CONT', $checkpointer;
ok(FlexApi::wait_until(sub { $other->send_query('INSERT INTO written VALUES (1)'); return commit_waits($other); }), 'when it does, commits wait');
my $claimed = (enqueue())[1];
ok(FlexApi::wait_until(sub { waits($worker) }, 30), '... also that of a claim');
is($service->came("c$last"), 0, '... whose request is not sent');
name_standby('');
ok(succeeds($claimed), 'it is named no more: what was claimed is sent');
is($other->receive->{error}, undef, '... and all commits end');
$service->open_gate($name);
ok(succeeds($id), '... and what was under way succeeds');

is($session->value("SELECT string_agg(DISTINCT state || attempts, ' ') FROM flex_outbox"), 'succeeded1', 'each was sent once');
is($session->value($pid_of_worker), $worker, '... by one worker, all the time');
$session->close;
$node->stop('immediate');
done_testing();
