# flex_outbox_confirm(): an uncertain request that was carried out has succeeded.  Its callback is that of
# success, once; what is known of the answer is kept; who may decide on a request may do this.

use strict;
use warnings;

use FindBin;
use lib 'test/perl', "$FindBin::RealBin/../../crash";
use FlexApi;
use JSON::PP ();
use Outbox;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('confirmed', $simulator, "flex_api.rate_limits = 'none'");
my $session = FlexApi::Session->new($node);

$session->value($_) foreach 'SET client_min_messages = error', 'CREATE ROLE alice LOGIN', 'CREATE ROLE bob LOGIN',
	'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO alice, bob', 'CREATE TABLE told (id bigint, what text, sid text)',
	'GRANT ALL ON told TO PUBLIC', 'LISTEN flex_api',
	q{CREATE FUNCTION good(r flex_outbox) RETURNS void LANGUAGE sql AS $$ INSERT INTO public.told VALUES (r.id, r.state, r.sid) $$},
	q{CREATE FUNCTION bad(r flex_outbox) RETURNS void LANGUAGE sql AS $$ INSERT INTO public.told VALUES (r.id, r.state, r.sid) $$};
my ($alice, $bob) = map { FlexApi::Session->new($node, user => $_) } 'alice', 'bob';
$_->value('SET client_min_messages = error') foreach $alice, $bob;
my $SID = 'CH' . 'a' x 32;

# Requests whose answer is lost.
sub uncertain
{
	my ($who, @more) = @_;
	my @ids = map { enqueue($who, "lost$_", $more[ $_ - 1 ]) } 1 .. @more;

	$simulator->post('faults', { path => '/v2/WebChats', times => scalar @more, cut_at => 0, after => JSON::PP::true });
	$session->value('CALL flex_outbox_drain()');
	is($session->value('SELECT count(*) FROM flex_outbox WHERE state = \'uncertain\' AND id = ANY (ARRAY[' . join(', ', @ids) . '])'), scalar @ids, 'requests are uncertain');
	return @ids;
}

sub told { my ($id) = @_; return join ' ', map { join ' ', map { $_ // '-' } @$_ } @{ $session->query("SELECT what, sid FROM told WHERE id = $id ORDER BY what")->{rows} }; }
sub row { my ($id, $columns) = @_; return join '|', map { $_ // '' } @{ $session->query("SELECT $columns FROM flex_outbox WHERE id = $id")->{rows}->[0] }; }
sub error { my ($who, $sql) = @_; my $error = $who->query($sql)->{error} // { C => '00000', M => '', D => '' }; return join ' ', $error->{C}, $error->{M}, $error->{D} // (); }

my $both = "on_success => 'good', on_failure => 'bad'";
my ($with, $without, $plain) = uncertain($alice, $both, $both, undef);
is(told($with), 'uncertain -', 'the callback of failure was called');

is(error($bob, "SELECT flex_outbox_confirm($with)"), "P0002 request $with is not in the outbox There is no request with this id, or another role has enqueued it.", 'another role cannot confirm it');
$alice->value($_) foreach 'BEGIN', "SELECT flex_outbox_confirm($with)", 'ROLLBACK';
is(row($with, 'state'), 'uncertain', 'a rollback takes it back');

$simulator->clear_requests;
$alice->value(qq{SELECT flex_outbox_confirm($with, '{"conversation_sid": "$SID", "identity": "x"}')});
is(row($with, 'state, sid, outcome'), "sending|$SID|succeeded", 'confirmed: its callback is to run');
is(error($alice, "SELECT flex_outbox_confirm($with)"), "55000 request $with cannot be confirmed Its state is \"sending\".", '... once');
$alice->value("SELECT flex_outbox_confirm($without)");
is(join(' ', @{ $session->query("SELECT flex_outbox_confirm(id => $plain)")->{notifications} }), "$plain succeeded", 'one without a callback is told of at once');
$session->value('CALL flex_outbox_drain()');
is(told($with), "succeeded $SID uncertain -", 'the callback of success is called, with the SID');
is(told($without), 'succeeded - uncertain -', '... and without');
is(row($_, "state, finished_at IS NOT NULL, error_message, callback_at"), 'succeeded|t||', '... it has succeeded') foreach $with, $without, $plain;
is(row($with, "response ->> 'identity'"), 'x', '... the answer is kept');
$session->value('CALL flex_outbox_drain()');
is($session->value('SELECT count(*) FROM told'), 4, '... once');
is(scalar($simulator->requests), 0, 'nothing is sent');

# One that holds back the next of its ordering key, with a callback and without
foreach my $callback ('', ", on_success => 'good'")
{
	my ($first) = uncertain($alice, "ordering_key => 'k'$callback");
	my $next = enqueue($alice, 'next', "ordering_key => 'k'");
	$session->value('CALL flex_outbox_drain()');
	is(row($next, 'state, waits_for'), "pending|$first", 'an uncertain one holds back the next of its key');
	$alice->value("SELECT flex_outbox_confirm($first)");
	$session->value('CALL flex_outbox_drain()');
	$session->value('CALL flex_outbox_drain()');
	is(row($next, 'state'), 'succeeded', '... confirmed, it does not');
	$session->value("SELECT flex_outbox_cancel($next)") if row($next, 'state') eq 'pending';
	$session->value("DELETE FROM flex_outbox_requests WHERE id IN ($first, $next)");
}

# What cannot be confirmed
is(error($alice, "SELECT flex_outbox_confirm($with)"), "55000 request $with cannot be confirmed Its state is \"succeeded\".", 'what has succeeded cannot be confirmed');
my $pending = enqueue($alice, 'pending', "run_at => now() + interval '1 hour'");
is(error($alice, "SELECT flex_outbox_confirm($pending)"), "55000 request $pending cannot be confirmed Its state is \"pending\".", '... nor what is pending');
is($alice->sqlstate('SELECT flex_outbox_confirm(NULL)'), '22004', '... nor NULL');
is($alice->sqlstate('SELECT flex_outbox_confirm(0)'), 'P0002', '... nor what is not there');
my ($huge) = uncertain($alice, undef);
is($alice->sqlstate("SELECT flex_outbox_confirm($huge, jsonb_build_object('n', array_fill(1e100000, ARRAY[11000])))"), '54000', '... nor with an answer that cannot be printed');
is(error($alice, "SELECT flex_outbox_confirm($huge, '{\"sid\": 1}')"), '00000  ', 'an answer without a SID is no error');
is(row($huge, 'state, sid'), 'succeeded|', '... and has none');
is($session->value('SELECT sum(uncertain) FROM flex_outbox_summary'), 0, 'none is counted as uncertain');
is($session->value('SELECT sum(succeeded) FROM flex_outbox_summary'), 4, '... but as succeeded');

$node->stop('fast');
done_testing;
