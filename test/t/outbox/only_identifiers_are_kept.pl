# flex_api.outbox_keep = identifiers: when a request has ended, and its callback has run, only SIDs are left of
# arguments, context and answer, and nothing that the service has said.  What may still be sent again, confirmed, or
# called back is kept as it is; who has it cancelled has it reduced.

use strict;
use warnings;

use FlexApi;
use FlexScripted;
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($IG, $CH, $US) = map { $_ . '0123456789abcdef' x 2 } qw(IG CH US);
my $WHO = 'alice@example.com';
my @answers; # the statuses of the next ones, in a file that the service reads
my $file = PostgreSQL::Test::Utils::tempdir() . '/answers';

# A service that says who it is about, whatever it answers.
my $server = FlexApi::Server->new(sub {
	my ($connection, $server) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		my @statuses = split /\n/, FlexApi::content($file);
		my $status = $statuses[ scalar(() = $server->notes(qr/^sent/)) ] // '201 Created';
		my $good = $status =~ /^2/;
		$server->note("sent $request->{body}");
		my $answer = { conversation_sid => $CH, identity => $WHO, message => "no $WHO", code => 20001, users => [ { sid => $US, name => $WHO } ], large => $good ? $WHO x 2000 : '' };
		print $connection FlexApi::Server::answer(JSON::PP::encode_json($answer), $status) or return;
	}
});
my $node = FlexApi::node('discreet', $server, "flex_api.rate_limits = 'none'", 'fsync = off', 'autovacuum = off', 'flex_api.outbox_keep = identifiers');
my ($session, $other) = map { FlexApi::Session->new($node) } 1 .. 2;

$session->value($_) foreach 'SET client_min_messages = error', 'CREATE TABLE seen (id bigint, row text)', 'CREATE SEQUENCE calls', 'CREATE ROLE alice LOGIN',
	q{CREATE FUNCTION sees(r flex_outbox) RETURNS void LANGUAGE sql AS $$ INSERT INTO public.seen VALUES (r.id, r::text) $$},
	q{CREATE FUNCTION fails_once(r flex_outbox) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
		IF nextval('public.calls') = 1 THEN RAISE 'not yet, %', r.arguments; END IF;
		INSERT INTO public.seen VALUES (r.id, r::text); END $$};

sub enqueue
{
	my ($more, %given) = @_;
	my $arguments = JSON::PP::encode_json({ address_sid => $IG, identity => $WHO, pre_engagement_data => { $WHO => $CH } });
	my $context = JSON::PP::encode_json({ user => $US, ticket => 42, name => $WHO, upper => uc $CH, list => [ $CH ] });

	return $session->value("SELECT flex_enqueue('flex_webchat_create', '$arguments', context => '$context'$more)");
}
# The next requests are answered so.
sub answer { my (@statuses) = @_; $server->clear_notes; PostgreSQL::Test::Utils::append_to_file($file, ''); open my $to, '>', $file or die; print $to join("\n", @statuses); close $to; return; }
sub drain { return $session->value('CALL flex_outbox_drain()', 120); }
sub row { my ($id, $columns) = @_; return join '|', map { $_ // '' } @{ $session->query("SELECT $columns FROM flex_outbox WHERE id = $id")->{rows}->[0] }; }
sub tells { my ($id) = @_; return row($id, "o::text FROM flex_outbox AS o WHERE id = $id UNION ALL SELECT ''") =~ /\Q$WHO/ ? 1 : 0; }
sub seen { my ($id) = @_; return scalar(() = $session->value("SELECT coalesce(string_agg(row, ''), '') FROM seen WHERE id = $id") =~ /identity/g); }
sub is_reduced
{
	my ($id, $what) = @_;

	is(row($id, 'arguments, context, reduced_at >= finished_at'), qq({"address_sid": "$IG"}|{"user": "$US"}|t), "$what: SIDs are left of it");
	is(tells($id), 0, '... and no name');
	return;
}
sub is_kept { my ($id, $what) = @_; is(tells($id) . row($id, 'reduced_at IS NULL'), '1t', "$what: it is kept as it is"); return; }

# Without a callback, by the one update that records the answer
answer();
my $id = enqueue('');
is(tells($id), 1, 'while it waits it is all there');
drain();
like(($server->notes)[0], qr/alice/, '... and is sent');
is_reduced($id, 'one that has succeeded');
is(row($id, 'state, sid, http_status, response, error_message, enqueued_by IS NOT NULL'), qq(succeeded|$CH|201|{"conversation_sid": "$CH"}||t), '... with what it has come to');
$session->value('SELECT pg_stat_force_next_flush()');
is($session->value(q{SELECT n_tup_upd || ' ' || n_tup_hot_upd FROM pg_stat_all_tables WHERE relid = 'flex_outbox_requests'::regclass}), '1 1', '... by one update');

$id = $session->value(qq{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "$IG"}', context => '["$WHO", "$CH"]')});
drain();
is(row($id, 'context, reduced_at IS NOT NULL'), '{}|t', '... nothing of a context that is no object');

# With a callback, which sees it all
$id = enqueue(q{, on_success => 'sees'});
drain();
is(seen($id), 2, 'a callback sees arguments and answer');
is_reduced($id, '... after it');
$id = enqueue(q{, on_success => 'fails_once'});
drain();
is_kept($id, 'while a callback has failed');
$session->value("SELECT flex_outbox_retry($id)");
drain();
is(seen($id), 2, '... it sees all when it is called again');
is_reduced($id, '... after that');

# What has failed can be sent again, as it was
answer('400 Bad Request');
$id = enqueue(q{, on_failure => 'sees'});
drain();
is(row($id, 'state'), 'failed', 'one has failed');
is_kept($id, '... and can be retried');
like(row($id, 'error_message'), qr/alice/, '... with what the service has said');
answer();
$session->value("SELECT flex_outbox_retry($id)");
drain();
is_reduced($id, '... retried, it has succeeded');
answer('400 Bad Request');
$id = enqueue('');
drain();
$session->value("SELECT flex_outbox_cancel($id)");
is_reduced($id, 'one that has failed and is cancelled');
is(row($id, 'state, error_code, error_message, http_status'), 'cancelled|20001||400', '... and what the service has said is gone');
my $error = $session->query("SELECT flex_outbox_retry($id)")->{error};
is("$error->{C} $error->{D}", '55000 Its arguments have been reduced to identifiers (flex_api.outbox_keep).', '... it cannot be sent any more');

# What is uncertain, until somebody has decided
answer(('502 Bad Gateway') x 2);
my ($plain, $with) = (enqueue(''), enqueue(q{, on_success => 'sees'}));
drain();
is(row($_, 'state'), 'uncertain', 'one is uncertain') foreach $plain, $with;
is_kept($_, '... it') foreach $plain, $with;
$session->value(qq{SELECT flex_outbox_confirm($_, '{"conversation_sid": "$CH", "identity": "$WHO"}')}) foreach $plain, $with;
is_reduced($plain, '... confirmed');
is_kept($with, '... with a callback to run');
drain();
is_reduced($with, '... after that');
is(row($_, 'response'), qq({"conversation_sid": "$CH"}), '... and so is what was confirmed') foreach $plain, $with;

# However large a context is: it is not sent, and no more than SIDs of it are kept in memory.
$session->value(qq{SELECT count(flex_enqueue('flex_webchat_create', '{"address_sid": "$IG"}', context => jsonb_build_object('user', '$US', 'x', repeat('x', 16000000)), max_attempts => 7))
	FROM generate_series(1, 15)}, 300);
my $drainer = FlexApi::Session->new($node);
my $resident = FlexApi::status_of($drainer->pid, 'VmHWM');
$drainer->value('CALL flex_outbox_drain()', 300);
my $grown = FlexApi::status_of($drainer->pid, 'VmHWM') - $resident;
is($session->value(qq{SELECT count(*) FROM flex_outbox WHERE state = 'succeeded' AND context = '{"user": "$US"}' AND max_attempts = 7}), 15, 'large contexts are reduced');
cmp_ok($grown, '<', 150_000, "... which takes little memory ($grown kB)") unless $ENV{FLEX_SLOW_BUILD};
$drainer->close;

# A copy of the database does not send: what is new there, what has expired, and what a sender that is gone had
my @copied = (enqueue(''), enqueue(q{, expires_at => '2020-01-01'}), enqueue(''));
$session->value("UPDATE flex_outbox_requests SET enqueued_in = 1 WHERE id IN (@{[ join ', ', @copied ]})");
$session->value("INSERT INTO flex_outbox_claims (id, sender_pid, sender_start, claimed_at, requests, turns, enqueued_xids)
	SELECT pg_current_xact_id(), 0, '-infinity', now(), ARRAY[id], ARRAY[turn + 1], ARRAY[enqueued_xid] FROM flex_outbox_requests WHERE id = $copied[2]");
drain();
foreach my $copied (@copied)
{
	is(row($copied, 'state'), 'cancelled', 'one of a copy is cancelled');
	is_reduced($copied, '... it');
}

# What others hold, or hang on the table, keeps it, and nothing else
answer();
foreach my $case ([ 'that somebody has locked', 1 ], [ 'that a trigger keeps', 0 ])
{
	my ($what, $is_locked) = @$case;
	$id = enqueue(q{, on_success => 'sees'});
	if ($is_locked)
	{
		# When its callback begins it has been settled.
		$session->value(q{CREATE OR REPLACE FUNCTION sees(r flex_outbox) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
			INSERT INTO public.seen VALUES (r.id, r::text); PERFORM pg_advisory_xact_lock(7); END $$});
		$other->value('SELECT pg_advisory_lock(7)');
		my $drainer = FlexApi::Session->new($node);
		$drainer->send_query('CALL flex_outbox_drain()');
		ok(FlexApi::wait_until(sub { $session->value(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}) }), 'a callback runs');
		$other->value($_) foreach 'BEGIN', "SELECT id FROM flex_outbox_requests WHERE id = $id FOR UPDATE", 'SELECT pg_advisory_unlock(7)';
		is($drainer->receive(120)->{error}, undef, '... and comes to its end');
		$other->value('ROLLBACK');
	}
	else
	{
		$session->value($_) foreach q{CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'it stays'; END $$},
			'CREATE TRIGGER refuse BEFORE UPDATE ON flex_outbox_requests FOR EACH ROW WHEN (OLD.reduced_at IS DISTINCT FROM NEW.reduced_at) EXECUTE FUNCTION refuse()';
		drain();
	}
	is_kept($id, "a request $what");
	is(row($id, 'state, callback_at, callback_error'), 'succeeded||', '... its callback has come to a good end');
	is($session->value("SELECT count(*) FROM seen WHERE id = $id"), 1, '... once');
}
like(slurp_file($node->logfile), qr/WARNING: .*request \d+ of the Flex API outbox could not be reduced to identifiers/, '... and the log says so');
$session->value('DROP TRIGGER refuse ON flex_outbox_requests');

# Whose it is to set; what is kept otherwise
my $alice = FlexApi::Session->new($node, user => 'alice');
$session->value('GRANT EXECUTE ON FUNCTION flex_operations() TO alice');
$alice->value('SELECT count(*) FROM flex_operations()');
is($alice->sqlstate('SET flex_api.outbox_keep = \'all\''), '42501', 'a role may not set it');
is($session->sqlstate("SET flex_api.outbox_keep = 'some'"), '22023', 'nor anybody something else');
$session->value('SET flex_api.outbox_keep = \'all\'');
$id = enqueue('');
drain();
is(row($id, 'state'), 'succeeded', 'where all is kept');
is_kept($id, '... of one that has succeeded');

$node->stop('fast');

# Set while a request is under way, it counts for those that are claimed from then on: of this one the context was not read.
my $scripted = FlexScripted->new;
my $working = FlexApi::node('reloaded', $scripted->server, "flex_api.rate_limits = 'none'", 'fsync = off', "shared_preload_libraries = 'flex_api'");
my $client = FlexApi::Session->new($working);
my $new_setting = sub { my $new = FlexApi::Session->new($working); $new->value('SELECT count(*) FROM flex_operations()'); my $value = $new->value('SHOW flex_api.outbox_keep'); $new->close; return $value; };
$scripted->answer('underway', 'gate 200 OK');
my ($before, $after);
$before = $client->value(qq{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "$IG", "identity": "underway"}', context => '{"user": "$US"}')});
ok($scripted->has_come('underway'), 'a request is under way');
$client->value($_) foreach 'ALTER SYSTEM SET flex_api.outbox_keep = identifiers', 'SELECT pg_reload_conf()';
ok(FlexApi::wait_until(sub { $new_setting->() eq 'identifiers' }), '... when the setting is changed');
$scripted->open_gate('underway');
is($client->value("SELECT state || ' ' || context FROM flex_outbox_await($before)"), qq(succeeded {"user": "$US"}), '... whose context stays');
$after = $client->value(qq{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "$IG", "identity": "later"}', context => '{"user": "$US", "n": 1}')});
is($client->value("SELECT concat_ws(' ', state, arguments, context) FROM flex_outbox_await($after)"), qq(succeeded {"address_sid": "$IG"} {"user": "$US"}), '... the next one is reduced');
$client->close;
$working->stop('fast');

done_testing;
