# flex_outbox_retry() and flex_outbox_cancel() in a transaction whose snapshot is older than the
# claim on the request: it is not taken for one that nobody sends.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('claims', $simulator, "flex_api.rate_limits = 'none'", "flex_api.timeout = '10min'", 'fsync = off');
my $control = FlexApi::Session->new($node);
my $LONG_MS = 1000 * 60 * FlexApi::slowness();

$control->value('SET client_min_messages = error');
foreach my $level ('REPEATABLE READ', 'SERIALIZABLE')
{
	my ($drain, $old, $new) = map { FlexApi::Session->new($node) } 1 .. 3;
	my $pid = $drain->pid;
	my $id = $control->value(q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}')});

	$simulator->clear_requests;
	$simulator->post('faults', { path => '/v2/WebChats', times => 1, delay_ms => $LONG_MS });
	$old->value("BEGIN ISOLATION LEVEL $level");
	is($old->value("SELECT state FROM flex_outbox WHERE id = $id"), 'pending', "$level: a snapshot that sees a request wait");
	$drain->value('SET client_min_messages = error');
	$drain->send_query('CALL flex_outbox_drain()');
	ok(FlexApi::wait_until(sub { $simulator->requests == 1 }), '... it is sent');
	foreach my $decision ('retry', 'cancel')
	{
		$old->value('SAVEPOINT s');
		is($old->sqlstate("SELECT flex_outbox_$decision($id)"), '40001', "... which a $decision notices");
		$old->value('ROLLBACK TO s');
		$new->value("BEGIN ISOLATION LEVEL $level");
		is($new->sqlstate("SELECT flex_outbox_$decision($id)"), '55000', '... and in a transaction that sees the claim it says so');
		$new->value('ROLLBACK');
	}
	is($old->sqlstate('COMMIT'), '00000', '... that transaction can end');
	is($control->value("SELECT state FROM flex_outbox WHERE id = $id"), 'sending', '... and the request is as it was');
	$simulator->clear_faults;
	$control->value("SELECT pg_cancel_backend($pid)");
	is($drain->receive(60)->{error}->{C}, '57014', 'the drain is cancelled');
	is($control->value("SELECT state FROM flex_outbox WHERE id = $id"), 'uncertain', '... the request is settled');
	is($control->sqlstate('CALL flex_outbox_drain()'), '00000', '... another drain');
	is(scalar $simulator->requests, 1, '... does not send it again');
	$_->close foreach $drain, $old, $new;
}

$node->stop('fast');
done_testing;
