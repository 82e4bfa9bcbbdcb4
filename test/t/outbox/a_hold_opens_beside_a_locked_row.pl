# A probe has met what keeps others back as well, and that cannot be recorded as somebody has its row
# locked: it is noted once, however often it is tried, and the others go on when they can.
use strict;
use warnings;

use FlexApi;
use File::Temp qw(tempdir);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $directory = tempdir(CLEANUP => 1);

# Refuses the credentials until they are good; the answer to a second attempt comes when its gate is open.
my $server = FlexApi::Server->new(sub {
	my ($connection, $server) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		my ($name) = $request->{body} =~ /Identity=(\w+)/;
		my $is_good = -e "$directory/good";
		$server->note("came $name");
		FlexApi::wait_until(sub { -e "$directory/gate" }, 120) if $server->notes(qr/^came/) == 2;
		print $connection $is_good ? FlexApi::Server::answer('{"conversation_sid": "CH00000000000000000000000000000001", "identity": "x"}', '201 Created')
		  : FlexApi::Server::answer('{"message": "Authenticate", "code": 20003}', '401 Unauthorized') or return;
	}
});
my $node = FlexApi::node('opens', FlexApi::Simulator->new, "shared_preload_libraries = 'flex_api'", "flex_api.base_url = '" . $server->url . "'",
	"flex_api.rate_limits = 'none'", 'flex_api.shutdown_grace = 0', 'fsync = off');
my ($session, $holder) = map { FlexApi::Session->new($node) } 1 .. 2;

sub enqueue { return $session->value(q{SELECT flex_enqueue('flex_webchat_create', jsonb_build_object('address_sid', 'IG' || repeat('a', 32), 'identity', '} . $_[0] . q{'))}); }
sub came { return scalar $server->notes(qr/^came/); }
sub reaches { my ($id, $state) = @_; return FlexApi::wait_until(sub { $session->value("SELECT state FROM flex_outbox WHERE id = $id") eq $state }, 3 * FlexApi::slowness()); }

my $probe = enqueue('probe');
ok(FlexApi::wait_until(sub { came() == 2 }), 'one is refused for its credentials, and finds out whether they are mended');
$holder->value($_) foreach 'BEGIN', "SELECT id FROM flex_outbox_requests WHERE id = $probe FOR UPDATE";
append_to_file("$directory/gate", '');
my $worker = $session->value(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'flex_api outbox worker'});
ok(FlexApi::is_at_rest($session, $worker), '... it is refused again, which cannot be recorded');
append_to_file("$directory/good", '');
my $other = enqueue('other');
ok(reaches($other, 'succeeded'), 'another goes on, as the credentials are mended') or diag "came: " . came();
is($session->value("SELECT state FROM flex_outbox WHERE id = $probe"), 'sending', '... while that one counts as being sent');
$holder->value('ROLLBACK');
ok(reaches($probe, 'succeeded'), '... and goes on, too, when it can be recorded');
is(came(), 4, '... by one attempt more');

$node->stop('fast');
done_testing();
