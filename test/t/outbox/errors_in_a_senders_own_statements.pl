# What a sender's own statements may fail with: where the extension has gone meanwhile and
# left its table behind, the error says so.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('own_statements', $simulator, "flex_api.rate_limits = 'none'", 'client_min_messages = error');
my $session = FlexApi::Session->new($node);

# A table that the extension has left behind: what is prepared for it meets other columns.
$session->value(q{CREATE FUNCTION retry(bigint) RETURNS void LANGUAGE C AS 'flex_api', 'flex_api_outbox_retry'});
my $late = FlexApi::Session->new($node);
is($late->sqlstate("SELECT flex_enqueue('flex_provisioning_status_fetch', '{}')"), '00000', 'a session that knows the outbox');
$session->value($_) foreach 'ALTER EXTENSION flex_api DROP TABLE flex_outbox_requests', 'DROP EXTENSION flex_api CASCADE',
	'ALTER TABLE flex_outbox_requests RENAME COLUMN finished_at TO otherwise';
my $error = $late->query('SELECT retry(1)')->{error};
is("$error->{C} $error->{M}", '55000 the outbox of extension flex_api is not in this database', 'the extension is gone: told as that');
is($error->{H}, 'Use CREATE EXTENSION, or ALTER EXTENSION flex_api UPDATE.', '... with what to do');

$node->stop;
done_testing;
