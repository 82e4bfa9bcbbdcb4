# A mark that names a transaction which has not begun, as after pg_resetwal, tells nothing: what
# has not been sent is found, nothing is sent again, and the mark is written anew.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('marks', $simulator, 'fsync = off', "flex_api.rate_limits = 'none'");
my $session = FlexApi::Session->new($node);

sub enqueue { my ($count) = @_; return $session->value("SELECT count(flex_enqueue('flex_provisioning_status_fetch', '{}')) FROM generate_series(1, $count)"); }

# Drain in a session that knows no mark yet.
sub drain
{
	my $drain = FlexApi::Session->new($node);
	$drain->value('SET client_min_messages = error');
	my $result = $drain->sqlstate('CALL flex_outbox_drain()', 60);
	$drain->close;
	return $result;
}
sub pending { return $session->value("SELECT count(*) FROM flex_outbox WHERE state = 'pending'"); }

$session->value('SET client_min_messages = error');
enqueue(40);
is(drain(), '00000', 'a drain');
is($session->value('SELECT count(*) FROM flex_outbox_marks WHERE id > 0'), 1, '... writes how far it has come');
foreach my $mark ("xid = '9999999999', id = 1", "xid = '9999999999', id = 1, holes = '{5, 9999999000}'")
{
	$session->value("UPDATE flex_outbox_marks SET $mark");
	enqueue(40);
	is(drain(), '00000', "another one, after $mark");
	is(pending(), 0, '... sends what is new');
	is($session->value("SELECT count(*) FROM flex_outbox_marks WHERE xid <= pg_current_xact_id() AND id > 0 AND holes = '{}'"), 1, '... and writes the mark anew');
}
is(scalar $simulator->requests, 120, 'all was sent, and nothing twice');

$node->stop('fast');
done_testing;
