# What a callback returns is of no use to anybody: however large it is, the process that runs
# the callback does not keep it, beside what the callback itself takes.

use strict;
use warnings;

use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $BYTES = 200_000_000;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('results', $simulator, 'fsync = off', "flex_api.callback_timeout = '5min'");
my $session = FlexApi::Session->new($node);

# How much more memory, in bytes, a drain takes at its peak than the session had before it.
sub peak_of_drain
{
	my ($callback) = @_;
	my $id = $session->value(q{SELECT flex_enqueue('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}', on_success => '} . "$callback')");

	append_to_file('/proc/' . $session->pid . '/clear_refs', '5');
	my $before = FlexApi::status_of($session->pid, 'VmRSS');
	$session->value('CALL flex_outbox_drain()');
	is($session->value("SELECT concat_ws('|', state, callback_error) FROM flex_outbox WHERE id = $id"), 'succeeded', "callback $callback");
	return 1024 * (FlexApi::status_of($session->pid, 'VmHWM') - $before);
}

$session->value("CREATE FUNCTION small(r flex_outbox) RETURNS text LANGUAGE sql AS \$\$ SELECT repeat('x', 1) \$\$");
$session->value("CREATE FUNCTION large(r flex_outbox) RETURNS text LANGUAGE sql AS \$\$ SELECT repeat(left(\$1.state, 1), $BYTES) \$\$");
$session->value("CREATE FUNCTION many(r flex_outbox) RETURNS SETOF text LANGUAGE sql AS \$\$ SELECT repeat(left(\$1.state, 1), 1000) FROM generate_series(1, $BYTES / 1000) \$\$");
my $small = peak_of_drain('small');
# repeat() makes it once, and not for the plan, since it depends on the row.
my $large = peak_of_drain('large') - $small;
cmp_ok($large, '<', 1.5 * $BYTES, sprintf 'a result of %d MB takes %d MB', $BYTES / 1e6, $large / 1e6);
my $many = peak_of_drain('many') - $small;
cmp_ok($many, '<', 0.2 * $BYTES, sprintf 'rows of %d MB take %d MB', $BYTES / 1e6, $many / 1e6);

$node->stop;
done_testing;
