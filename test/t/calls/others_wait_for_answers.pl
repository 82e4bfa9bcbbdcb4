# Requests, exchanges and lists can be waited for from outside, many at once, each by one
# descriptor: as the executor waits for asynchronous scans.  No SQL function does so, hence
# a library for this test, of the extension's objects.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket;
use Test::More;

plan(skip_all => 'descriptors to wait for are there on Linux alone') unless $^O eq 'linux';

my $library = FlexApi::module('waits');

my $ROWS = 35;
my @simulators = (FlexApi::Simulator->new, FlexApi::Simulator->new);
my @origins = map { $_->url } @simulators;
my $node = FlexApi::node('waits', $simulators[0], 'flex_api.max_retries = 3', "flex_api.timeout = '60s'");
my $control = FlexApi::Session->new($node);
my $session = FlexApi::Session->new($node);

# A port at which nobody listens
socket(my $closed, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
bind($closed, sockaddr_in(0, INADDR_LOOPBACK)) or die "bind: $!";
push @origins, 'http://127.0.0.1:' . (sockaddr_in(getsockname($closed)))[0];

$session->value("CREATE FUNCTION $_ LANGUAGE C STRICT AS '$library'") foreach
	'waits_count() RETURNS bigint',
	'waits_crowds(origins text[], paths text[], times text[], crowds int, afterwards text) RETURNS text[]',
	'waits_exchanges(origins text[], paths text[]) RETURNS text[]',
	'waits_lists(origins text[], paths text[], look_ahead boolean) RETURNS text[]';

sub list { return 'ARRAY[' . join(', ', map { "'$_'" } @_) . ']::text[]'; }
sub path { my ($which) = @_; return "/v1/Channels?PageSize=$which"; }

# Each answer waits for so many milliseconds; undef: for ever.  Each has a path of its own.
sub delay
{
	my ($path, $delay) = @_;

	$_->post('faults', { path => $path, defined $delay ? (delay_ms => $delay) : (stall_after => 5), times => -1 })
	  foreach @simulators;
	return;
}

# A statement that waits for requests: [ origin, path, time ] ...
sub crowds
{
	my ($crowds, $then, @requests) = @_;

	return 'SELECT waits_crowds(' . join(', ',
		list(map { $origins[ $_->[0] ] } @requests), list(map { $_->[1] } @requests),
		list(map { $_->[2] // 60000 } @requests), $crowds, "'$then'") . ')';
}

# The same for exchanges, or for lists: [ origin, path ] ...
sub exchanges { return 'SELECT waits_exchanges(' . list(map { defined $_->[0] ? $origins[ $_->[0] ] : '' } @_) . ', ' . list(map { $_->[1] } @_) . ')'; }
sub lists { my ($look_ahead, @lists) = @_; return 'SELECT waits_lists(' . list(map { $origins[ $_->[0] ] } @lists) . ', ' . list(map { $_->[1] } @lists) . ", $look_ahead)"; }

# No more waits have ended than so many.  A wait that ends without anything to do, and is begun
# again, ends thousands of times; how many parts an answer comes in is up to the machine.
sub few_wakes
{
	my ($most) = @_;
	my $wakes = $session->value('SELECT waits_count()');

	cmp_ok($wakes, '<=', $most, "... and that takes $wakes waits");
	return;
}

sub files { return FlexApi::open_files($session->pid); }

# The connections stay; nothing else may.
sub same_files { my ($before) = @_; return cmp_ok(files(), '<=', $before, '... no descriptor is left'); }

my $SLOW = '/v1/Channels/slow';
my $SLOWER = '/v1/Channels/slower';
my $SLOWEST = '/v1/Channels/slowest';
my $NEVER = '/v1/Channels/never';
my $FAST = '/v1/Channels/fast';
my @FOUR = ([ 0, $SLOWEST ], [ 1, $SLOWER ], [ 0, $SLOW ], [ 1, $FAST ]);
my $unit = 150 * FlexApi::slowness() / 10;

delay($SLOW, $unit);
delay($SLOWER, 2 * $unit);
delay($SLOWEST, 3 * $unit);
delay($NEVER, 60000);

# Two crowds, two servers
is($session->value(crowds(2, '', @FOUR)), '{"4 404","3 404","2 404","1 404"}', 'answers come in their order, in two crowds');
few_wakes(20);
my $files = files();
is($session->value(crowds(2, '', @FOUR)), '{"4 404","3 404","2 404","1 404"}', 'on kept connections, too');
few_wakes(20);
same_files($files);
is($session->value(crowds(4, '', @FOUR)), '{"4 404","3 404","2 404","1 404"}', 'in four crowds');
few_wakes(20);
same_files($files);
my $result = $session->value(crowds(2, '', [ 0, $NEVER, $unit ], [ 1, $NEVER, 2 * $unit ], [ 0, $FAST ]));
is($result, '{"3 404","1 0 no answer came within flex_api.timeout","2 0 no answer came within flex_api.timeout"}', 'the time of two is over');
few_wakes(20);
same_files($files);
like($session->value(crowds(2, '', [ 0, $SLOW ], [ 2, $FAST ])), qr/^{"2 0 .*connect.*","1 404"}$/i, 'a connection is refused');
few_wakes(20);
same_files($files);
is($session->value(crowds(64, '', map { [ $_ % 2, $SLOW ] } 1 .. 64)) =~ tr/"//, 128, 'in 64 crowds');
few_wakes(64 * 2);
$files = files();

# A call in between takes what came for a crowd from its socket; the descriptor in the set tells of it all the same
$simulators[0]->post('seed', { channels => $ROWS });
my $many = '/v1/Channels?PageSize=35';
$simulators[0]->post('faults', { path => '/v1/Channels', delay_ms => 4 * $unit, times => 1 });
is($session->value(crowds(2, $many, [ 0, $SLOW ], [ 1, $SLOWER ])), '{"1 404","2 404"}', 'answers that a call in between has read are told');
few_wakes(20);

# An end in the middle
is($session->sqlstate(crowds(2, 'raise', [ 0, $NEVER ], [ 1, $NEVER ], [ 0, $FAST ])), 'P0001', 'an error in the middle');
few_wakes(10);
same_files($files);
$_->clear_requests foreach @simulators;
$session->send_query(crowds(2, '', [ 0, $NEVER ], [ 1, $NEVER ]));
ok(FlexApi::wait_until(sub { 2 == grep { scalar $_->requests } @simulators }), 'both requests are sent');
$control->value('SELECT pg_cancel_backend(' . $session->pid . ')');
is($session->receive->{error}->{C}, '57014', 'a cancel in the middle');
few_wakes(10);
same_files($files);

# Exchanges
my $one = '/v1/Channels?PageSize=1';
my $two = '/v1/Channels?PageSize=2';
is($session->value(exchanges([ 0, $one ], [ undef, $two ])) =~ tr/"//, 4, 'two exchanges');
few_wakes(20);
$simulators[0]->post('faults', { path => '/v1/Channels', cut_at => 0, times => 2 });
is($session->value(exchanges([ 0, $one ], [ 1, $two ])), '{"2 200","1 200"}', 'one of two is repeated when its answer is lost');
few_wakes(20);
same_files($files);
is($session->sqlstate(exchanges([ 0, $one ], [ 1, $FAST ], [ 0, $NEVER ])), 'TW404', 'one is refused');
same_files($files);
$session->value('SELECT waits_count()');
$session->value("SET flex_api.timeout = '${unit}ms'");
is($session->sqlstate(exchanges([ 0, $NEVER ], [ 1, $NEVER ])), '08006', 'the time is over');
few_wakes(20);
same_files($files);
is($session->sqlstate(exchanges([ 2, $FAST ], [ 1, $NEVER ])), '08001', 'no connection is made, though it is tried again');
few_wakes(20);
same_files($files);
$session->value('RESET flex_api.timeout');

# Lists of two servers
$simulators[1]->post('seed', { channels => 2 * $ROWS });
my @sids = map {
	$control->value("SET flex_api.base_url = '$origins[$_]'");
	$control->value("SELECT string_agg(sid, ' ') FROM flex_channels_list()");
} 0, 1;

foreach my $look_ahead ('false', 'true')
{
	delay('/v1/Channels', 20);
	$_->clear_requests foreach @simulators;
	my $statement = lists($look_ahead, [ 0, '/v1/Channels?PageSize=10' ], [ 1, '/v1/Channels?PageSize=10' ]);
	foreach my $list (1, 2)
	{
		my $query = "SELECT string_agg(substr(told, 3), ' ' ORDER BY place) FROM unnest(($statement)) WITH ORDINALITY AS _(told, place) WHERE told LIKE '$list %'";
		is($session->value($query), $sids[ $list - 1 ], "list $list, looking ahead: $look_ahead");
	}
	is(scalar $simulators[$_]->requests, [ 8, 14 ]->[$_], '... from its own server') foreach 0, 1;
	few_wakes(22 * 10);
	same_files($files);
	$_->clear_faults foreach @simulators;
	$simulators[1]->post('faults', { path => '/v1/Channels', skip => 2, status => 400 });
	is($session->sqlstate($statement), 'TW400', '... an error in its third page');
	$simulators[1]->clear_faults;
	$session->value('SELECT waits_count()');
	same_files($files);
}

$_->close foreach $session, $control;
$node->stop;
done_testing();
