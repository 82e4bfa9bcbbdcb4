# A server process without a postmaster, as one repairs a cluster with.  Behaviour: calls, lists
# and a drain work there, too.
use strict;
use warnings;

use FlexApi;
use IPC::Run;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('single_user', $simulator);

$simulator->post('seed', { channels => 3 });
my $sid = $node->safe_psql('postgres', 'SELECT min(sid) FROM flex_channels_list()');
$node->safe_psql('postgres', "SELECT flex_enqueue('flex_channel_delete', jsonb_build_object('sid', '$sid'))");
$node->stop;

my ($output, $errors);
my $statements = "SELECT c.sid FROM flex_channel_fetch('$sid') c\nSELECT count(*) FROM flex_channels_list()\nCALL flex_outbox_drain()\n" .
  "SELECT state FROM flex_outbox\n";
IPC::Run::run([ 'postgres', '--single', '-D', $node->data_dir, 'postgres' ], '<', \$statements, '>', \$output, '2>', \$errors);
unlike($errors, qr/ERROR|FATAL|PANIC/, 'nothing fails') or diag $errors;
like($output, qr/\Q$sid\E/, 'a call');
like($output, qr/count = "3"/, 'a list');
like($output, qr/state = "succeeded"/, 'a drain');
done_testing();
