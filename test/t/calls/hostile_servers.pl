# Whatever a server sends, a call gives rows or a clear error, in time, and leaves
# nothing behind; and whatever the arguments are, they arrive as they were given.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use IO::Compress::Gzip qw(gzip);
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $SEED = $ENV{FLEX_SEED} // (time() * 1000) % 1_000_000;
note("seed $SEED; FLEX_SEED=$SEED repeats this run");
srand($SEED);

my $HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";

# A whole answer with this body, in each of the ways to say where it ends.
my %FRAMES = (
	'Content-Length' => sub { "${HEAD}Content-Length: " . length($_[0]) . "\r\n\r\n$_[0]" },
	'chunked' => sub {
		my ($body) = @_;
		return "${HEAD}Transfer-Encoding: chunked\r\n\r\n"
		  . join('', map { sprintf("%x\r\n%s\r\n", length, $_) } unpack('(a20)*', $body)) . "0\r\n\r\n";
	},
	'close' => sub { "${HEAD}Connection: close\r\n\r\n$_[0]" });
my @FRAMES = sort keys %FRAMES;

# A body of gzip that is a thousand times as large once unpacked.
sub bomb
{
	my $zeros = '"' . ('0' x 40_000_000) . '"';
	gzip(\$zeros, \my $packed) or die;
	return $packed;
}

# The same by hand, as zstd's runs, and as brotli has it.
sub zstd_bomb
{
	my $block = sub {
		my ($is_last, $is_run, $length, $bytes) = @_;
		return substr(pack('V', $is_last | $is_run << 1 | $length << 3), 0, 3) . $bytes;
	};
	return "\x28\xb5\x2f\xfd\x00\x38" . $block->(0, 0, 1, '"') . $block->(0, 1, 0x20000, '0') x 305 . $block->(1, 0, 1, '"');
}

my $brotli = pack('H*', '0b03807b226e223a317d03'); # {"n":1}
my $brotli_bomb = pack('H*', 'cbffff3ff8a54460e2b24000f7fe4ffeffffc12f0110874500baf77ffcffff835f02200e0b0074effff8ffff07bf04401c1600e8deff' .
	  '658096187e099152e4b000e06e9418');

sub packed { my ($text) = @_; gzip(\$text, \my $packed) or die; return $packed; }

sub encoded
{
	my ($encoding, $body) = @_;
	return "${HEAD}Content-Encoding: $encoding\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
}

my $garbage = join '', map { chr int rand 256 } 1 .. 5000;

# Answers and the SQLSTATE that each makes.  A reference is sent again and again
# until the client has gone.
my %HOSTILE = (
	'nothing' => [ '', qr/^08006$/ ],
	'garbage' => [ $garbage, qr/^08/ ],
	'HTTP 0.9' => [ "{}\n", qr/^08/ ],
	'HTTP 9.9' => [ "HTTP/9.9 200 OK\r\n\r\n{}", qr/^08/ ],
	'no status' => [ "HTTP/1.1\r\n\r\n{}", qr/^08/ ],
	'status 99' => [ "HTTP/1.1 099 No\r\nContent-Length: 2\r\n\r\n{}", qr/^08/ ],
	'status 1000' => [ "HTTP/1.1 1000 No\r\nContent-Length: 2\r\n\r\n{}", qr/^08|^TW/ ],
	'status letters' => [ "HTTP/1.1 abc No\r\nContent-Length: 2\r\n\r\n{}", qr/^08/ ],
	'304' => [ "HTTP/1.1 304 Not Modified\r\n\r\n", qr/^TW304$/ ],
	'302' => [ "HTTP/1.1 302 Found\r\nLocation: /good/1\r\nContent-Length: 0\r\n\r\n", qr/^TW302$/ ],
	'101' => [ "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n{}", qr/^08|^TW101$/ ],
	'407' => [ "HTTP/1.1 407 Proxy\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n", qr/^TW407$/ ],
	'401' => [ "HTTP/1.1 401 No\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n", qr/^TW401$/ ],
	'body with 204' => [ "HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n{\"n\":1234", qr/^00000$/ ],
	'endless headers' => [ \"X: y\r\n", qr/^08006$/, $HEAD, qr/more than 1000 header lines/ ],
	'long headers' => [ \('X: ' . 'x' x 10_000 . "\r\n"), qr/^08006$/, $HEAD, qr/header lines are larger than 256 kB/ ],
	'huge header' => [ \('x' x 10_000), qr/^08006$/, "${HEAD}X: " ],
	'flood of 100' => [ \"HTTP/1.1 100 Continue\r\n\r\n", qr/^08006$/ ],
	'flood of 103' => [ \"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", qr/^08006$/ ],
	'endless body' => [ \('1,' x 5000), qr/^08P01$/, "${HEAD}\r\n[" ],
	'endless chunks' => [ \("2710\r\n" . '1,' x 5000 . "\r\n"), qr/^08P01$/, "${HEAD}Transfer-Encoding: chunked\r\n\r\n" ],
	'endless chunk header' => [ \('0' x 10_000), qr/^08006$/, "${HEAD}Transfer-Encoding: chunked\r\n\r\n" ],
	'endless trailers' => [ \"X: y\r\n", qr/^08006$/, "${HEAD}Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n",
		qr/more than 1000 header lines/ ],
	'chunk size zz' => [ "${HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", qr/^08006$/ ],
	'chunk size -2' => [ "${HEAD}Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n", qr/^08006$/ ],
	'chunk size over' => [ "${HEAD}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n", qr/^08006$/ ],
	'chunk too long' => [ "${HEAD}Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n", qr/^08/ ],
	'length -5' => [ "${HEAD}Content-Length: -5\r\n\r\n{}", qr/^08/ ],
	'length over' => [ "${HEAD}Content-Length: 99999999999999999999999\r\n\r\n{}", qr/^08006$/ ],
	'length over, cut' => [ "${HEAD}Content-Length: 99999999999999999999999\r\n\r\n{", qr/^08006$/ ],
	'length huge' => [ "${HEAD}Content-Length: 9223372036854775807\r\n\r\n{}", qr/^08/ ],
	'length short' => [ "${HEAD}Content-Length: 3\r\n\r\n{\"n\":1}", qr/^08P01$/ ],
	'NUL in a header' => [ "${HEAD}X: a\0b\r\nContent-Length: 2\r\n\r\n{}", qr/^08|^00000/ ],
	'header without colon' => [ "${HEAD}nonsense\r\nContent-Length: 2\r\n\r\n{}", qr/^08|^00000/ ],
	'header not UTF-8' => [ "${HEAD}X: \xff\xfe\r\nContent-Length: 2\r\n\r\n{}", qr/^00000/ ],
	'NUL in the body' => [ "${HEAD}Content-Length: 7\r\n\r\n{\"a\0\":1", qr/^08P01$/ ],
	'\u0000' => [ "${HEAD}Content-Length: 14\r\n\r\n{\"a\":\"\\u0000\"}", qr/^08P01$|^22P05$/ ],
	'a lone surrogate' => [ "${HEAD}Content-Length: 14\r\n\r\n{\"a\":\"\\ud800\"}", qr/^08P01$|^22P05$|^00000$/ ],
	'gzip' => [ encoded('gzip', packed('{"n":1}')), qr/^00000$/ ],
	'gzip bomb' => [ encoded('gzip', bomb()), qr/^08P01$/ ],
	'bad gzip' => [ encoded('gzip', $garbage), qr/^08/ ],
	'cut gzip' => [ encoded('gzip', substr(packed('{"n":1}'), 0, 15)), qr/^08/ ],
	'gzip that is none' => [ encoded('gzip', '{"n":1}'), qr/^08/ ],
	# 08006 where libcurl was built without it
	'brotli' => [ encoded('br', $brotli), qr/^00000$|^08006$/ ],
	'brotli bomb' => [ encoded('br', $brotli_bomb), qr/^08P01$|^08006$/ ],
	'cut brotli' => [ encoded('br', substr($brotli, 0, 8)), qr/^08/ ],
	'zstd bomb' => [ encoded('zstd', zstd_bomb()), qr/^08P01$|^08006$/ ],
	'cut zstd' => [ encoded('zstd', substr(zstd_bomb(), 0, 20)), qr/^08/ ],
	'zstd that is cut before its first block' => [ encoded('zstd', substr(zstd_bomb(), 0, 8)), qr/^08006$/ ],
	'brotli that is cut at once' => [ encoded('br', substr($brotli, 0, 1)), qr/^08006$/ ],
	'gzip that is said to be brotli' => [ encoded('br', packed('{"n":1}')), qr/^08/ ],
	'gzip within gzip' => [ encoded('gzip, gzip', packed(packed('{"n":1}'))), qr/^00000$/ ],
	'unknown encoding' => [ encoded('x-nothing', '{"n":1}'), qr/^08|^00000/ ],
	'many encodings' => [ encoded(join(', ', ('gzip') x 50), packed('{"n":1}')), qr/^08/ ],
	'HTML' => [ FlexApi::Server::answer('<html></html>'), qr/^08P01$/ ],
	'deep' => [ FlexApi::Server::answer('[' x 500_000), qr/^08P01$/ ],
	'deep error' => [ FlexApi::Server::answer('{"a":' x 50_000, '500 No'), qr/^TW500$/ ],
	'error of garbage' => [ FlexApi::Server::answer($garbage, '500 No'), qr/^TW500$/ ],
	'error with huge message' => [ FlexApi::Server::answer('{"message":"' . 'x' x 1_000_000 . '"}', '400 No'), qr/^TW400$/ ],
	'retry in a while' => [ FlexApi::Server::answer('{}', '429 No', 'Retry-After: 99999999999999999999'), qr/^TW429$/ ],
	'retry before' => [ FlexApi::Server::answer('{}', '429 No', 'Retry-After: -1'), qr/^TW429$/ ],
	'retry nonsense' => [ FlexApi::Server::answer('{}', '429 No', 'Retry-After: whenever'), qr/^TW429$/ ],
);
my @HOSTILE = sort keys %HOSTILE;

# The row of a channel, whole; and a page of two.
sub row { my ($sid) = @_; return "{\"sid\":\"$sid\",\"account_sid\":\"AC\",\"date_created\":\"2016-08-01T22:10:40Z\"}"; }

sub page
{
	return '{"meta":{"key":"flex_chat_channels","next_page_url":null},"flex_chat_channels":[' . row('CH1') . ',' . row('CH2') . ']}';
}

# Cut the answer to /v1/Channels/CH<frame><bytes> after so many bytes, and that to
# a list after page_size; send the hostile answer of /hostile/<number>.
sub serve
{
	my ($connection, $server) = @_;

	while (my $request = FlexApi::Server::read_request($connection))
	{
		if ($request->{path} =~ m{^/v1/Channels/(CH(.{8})(.{24}))$})
		{
			print $connection substr($FRAMES{ $FRAMES[ hex $2 ] }->(row($1)), 0, hex substr($3, -8));
			return;
		}
		if ($request->{path} =~ /PageSize=(\d+)/)
		{
			print $connection substr($FRAMES{chunked}->(page()), 0, $1);
			return;
		}
		if ($request->{path} =~ m{^/good/(\d+)}) { print $connection FlexApi::Server::answer("{\"n\":$1}"); next; }
		my ($number) = $request->{path} =~ m{^/hostile/(\d+)} or return;
		my ($bytes, undef, $begin) = @{ $HOSTILE{ $HOSTILE[$number] } };
		print $connection $begin // '';
		if (ref $bytes) { while (defined syswrite($connection, $$bytes)) { } }
		else { print $connection $bytes; }
		return;
	}
	return;
}

my $server = FlexApi::Server->new(\&serve);
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('hostile', $simulator, 'flex_api.max_retries = 0', "flex_api.timeout = '5s'");
my $session = FlexApi::Session->new($node);
my $pid = $session->pid;

$session->value("SET flex_api.base_url = '" . $server->url . "'");

# Every cut: a row from the whole alone.
foreach my $frame (0 .. $#FRAMES)
{
	my $length = length $FRAMES{ $FRAMES[$frame] }->(row('CH' . '0' x 32));
	my (%states, @wrong);
	my $start = time();

	foreach my $cut (0 .. $length)
	{
		my $sid = sprintf 'CH%08x%024x', $frame, $cut;
		my $result = $session->query("SELECT sid FROM flex_channel_fetch('$sid')", 20);
		my $state = $result->{error} ? $result->{error}->{C} : '00000';
		my $body_begun = $FRAMES[$frame] eq 'close' && $cut >= length("${HEAD}Connection: close\r\n\r\n");
		my $wanted = $cut == $length ? '00000' : $body_begun ? '08P01' : '08006';

		$states{$state}++;
		# Of chunks, the row is whole before the last line feed has come.
		next if $FRAMES[$frame] eq 'chunked' && $cut == $length - 1;
		push @wrong, "$cut: $state" if $state ne $wanted;
		push @wrong, "$cut: another row" if $state eq '00000' && $result->{rows}->[0]->[0] ne $sid;
	}
	is_deeply(\@wrong, [], "$FRAMES[$frame]: cut at every byte");
	note(sprintf '%s: %d cuts in %.1f s: %s', $FRAMES[$frame], $length + 1, time() - $start,
		join ', ', map { "$_ $states{$_}" } sort keys %states);
}

my $length = length $FRAMES{chunked}->(page());
my @wrong;

foreach my $cut (1 .. $length - 2, $length)
{
	my $result = $session->query("SELECT count(*) FROM flex_channels_list(page_size => $cut)", 20);
	my $state = $result->{error} ? $result->{error}->{C} : "$result->{rows}->[0]->[0] rows";
	push @wrong, "$cut: $state" if $state ne ($cut == $length ? '2 rows' : '08006');
}
is_deeply(\@wrong, [], "a list: cut at every one of $length bytes");

# Every hostile answer, and after it a good one.  What we end ourselves is told in our words.
foreach my $number (0 .. $#HOSTILE)
{
	my $name = $HOSTILE[$number];
	my $result = $session->query("SELECT status, body FROM flex_request('GET', '/hostile/$number')", 20);
	my $error = $result->{error};

	like($error ? $error->{C} : '00000', $HOSTILE{$name}->[1], "$name: SQLSTATE")
	  or note($error ? "$error->{M} $error->{D}" : explain $result->{rows});
	like($error->{M}, $HOSTILE{$name}->[3], "$name: message") if $HOSTILE{$name}->[3];
	cmp_ok($result->{seconds}, '<', 2 * FlexApi::slowness(), "$name: in time");
	# The server has hung up without a word: a call that finds that out is sent again.
	$session->value('SET flex_api.max_retries = 1');
	$result = $session->query("SELECT body->>'n' FROM flex_request('GET', '/good/$number')");
	$session->value('RESET flex_api.max_retries');
	is($result->{error} ? $result->{error}->{M} : $result->{rows}->[0]->[0], $number, "$name: then a good answer");
}

# Thousands of failing and of good calls: what is left of them?
my @quick = grep { $HOSTILE[$_] !~ /endless|huge|flood|bomb|deep/ } 0 .. $#HOSTILE;
sub many
{
	my ($count) = @_;
	my $quick = join ',', @quick;

	$session->value(<<"SQL", 300);
DO \$\$
DECLARE
	quick integer[] := '{$quick}';
BEGIN
	FOR i IN 1 .. $count LOOP
		PERFORM set_config('flex_api.base_url', '@{[ $server->url ]}', false);
		BEGIN
			PERFORM * FROM flex_request('GET', '/hostile/' || quick[1 + i % cardinality(quick)]);
		EXCEPTION WHEN OTHERS THEN
		END;
		PERFORM set_config('flex_api.base_url', '@{[ $simulator->url ]}', false);
		PERFORM * FROM flex_channels_list(max_rows => 10);
	END LOOP;
END \$\$
SQL
	return (FlexApi::status_of($pid, 'RssAnon'), FlexApi::open_files($pid), FlexApi::status_of($pid, 'Threads'));
}

$simulator->post('seed', { channels => 20, flex_flows => 3 });
many(300);
my @before = many(200);
my $start = time();
my @after = many(2000);
note(sprintf 'before and after 2000 failing and 2000 good calls (%.1f s): %d and %d kB, %d and %d files, %d and %d threads',
	time() - $start, map { ($before[$_], $after[$_]) } 0 .. 2);
cmp_ok($after[0] - $before[0], '<', 1024, 'memory is what it was') unless $ENV{FLEX_SLOW_BUILD};
cmp_ok($after[1] - $before[1], '<=', 1, 'so are the open files');
is($after[2], $before[2], 'so are the threads');

# Mutated answers of several operations.
my $sid = $session->value('SELECT sid FROM flex_channels_list(max_rows => 1)');
my $flow = $session->value('SELECT sid FROM flex_flows_list(max_rows => 1)');
my $rounds = $ENV{FLEX_SLOW_BUILD} ? 200 : 1000;
$simulator->post('faults', { mutate => int $SEED, times => -1 });
$start = time();
$session->value('CREATE TEMP TABLE outcome (operation text, state text, message text)');
$session->value(<<"SQL", 600);
DO \$\$
DECLARE
	calls text[] := ARRAY[
		'SELECT flex_channel_fetch(''$sid'')',
		'SELECT count(c) FROM flex_channels_list(page_size => 5, max_rows => 15) c',
		'SELECT flex_flow_fetch(''$flow'')',
		'SELECT count(c) FROM flex_flows_list(max_rows => 3) c',
		'SELECT flex_request(''GET'', ''/v1/Channels/$sid'')'];
	call text;
BEGIN
	FOR i IN 1 .. $rounds LOOP
		FOREACH call IN ARRAY calls LOOP
			BEGIN
				EXECUTE call;
				INSERT INTO outcome VALUES (call, '00000', NULL);
			EXCEPTION WHEN OTHERS THEN
				INSERT INTO outcome VALUES (call, SQLSTATE, SQLERRM);
			END;
		END LOOP;
	END LOOP;
END \$\$
SQL
$simulator->clear_faults;
my @outcomes = @{ $session->query('SELECT state, count(*), min(message) FROM outcome GROUP BY state ORDER BY 2 DESC')->{rows} };
note(sprintf 'mutated answers, seed %d, %.1f s: %s', $SEED, time() - $start, join ', ', map { "$_->[0] $_->[1]" } @outcomes);
is_deeply([ grep { $_->[0] !~ /^(00000|08P01|22P05|TW\d\d\d)$/ } @outcomes ], [], 'all give rows or one of the errors')
  or note explain \@outcomes;
is($session->value('SELECT sid FROM flex_channels_list(max_rows => 1)'), $sid, 'the session lives');

# Random arguments arrive byte for byte.
sub random_text
{
	my ($most) = @_;
	my @ranges = ([ 1, 127 ], [ 32, 47 ], [ 0x80, 0x7ff ], [ 0x800, 0xd7ff ], [ 0xe000, 0xffff ], [ 0x10000, 0x10ffff ]);

	return join '', map { my ($from, $to) = @{ $ranges[ rand @ranges ] }; chr($from + int rand($to - $from + 1)) } 1 .. rand $most;
}

# As a literal of SQL, in UTF-8.
sub literal { my ($text) = @_; utf8::encode($text); $text =~ s/'/''/g; return "'$text'"; }

$session->value('SET standard_conforming_strings = on');
$simulator->clear_requests;
@wrong = ();
my @sent;
foreach (1 .. 400)
{
	my ($identity, $name) = (random_text(250), random_text(250));
	my $result = $session->query("SELECT * FROM flex_webchat_create('IG" . 'a' x 32
		  . "', identity => " . literal($identity) . ', customer_friendly_name => ' . literal($name) . ')');
	if (my $error = $result->{error}) { push @wrong, "$error->{C} $error->{M} $error->{D}" unless $error->{C} =~ /^TW/; }
	push @sent, [ $identity, $name ];
}
my @arrived = map { form_of($_->{body}) } $simulator->requests;
is(scalar @arrived, scalar @sent, 'all requests arrived');
foreach my $i (0 .. $#sent)
{
	push @wrong, "request $i: identity" if $arrived[$i]->{Identity} ne $sent[$i]->[0];
	push @wrong, "request $i: name" if $arrived[$i]->{CustomerFriendlyName} ne $sent[$i]->[1];
}
is_deeply(\@wrong, [], 'random values arrive as they were given')
  or note join "\n", @wrong[ 0 .. ($#wrong < 5 ? $#wrong : 5) ];

# The pairs of a form's body.
sub form_of
{
	my ($body) = @_;
	my %form;

	foreach (split /&/, $body)
	{
		my ($name, $value) = map { s/\+/ /gr =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ger } split /=/, $_, 2;
		utf8::decode($value);
		$form{$name} = $value;
	}
	return \%form;
}

# In a path, whatever it is stays one segment.
$simulator->clear_requests;
@wrong = ();
@sent = ('..', '.', 'a/b', '../../v1/Channels', 'a?b=c', 'a#b', '%2e%2e', '%', 'a b', "a\nb", ';', '&', '+', "\x{e9}", map { random_text(30) } 1 .. 100);
@sent = grep { length } @sent;
my @accepted;
foreach my $value (@sent)
{
	my $state = $session->sqlstate('SELECT * FROM flex_plugin_fetch(' . literal($value) . ')');
	push @accepted, $value if $state ne '22023';
	push @wrong, "$state" if $state !~ /^(22023|TW404|TW400)$/;
}
my @paths = map { $_->{path} } $simulator->requests;
is(scalar @paths, scalar @accepted, 'each accepted path was asked for');
foreach my $i (0 .. $#paths)
{
	my ($segment) = $paths[$i] =~ m{^/v1/PluginService/Plugins/([^/?#]*)$} or push @wrong, "path $paths[$i]";
	my $decoded = ($segment // '') =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ger;
	utf8::decode($decoded);
	push @wrong, "path $paths[$i]" if $decoded ne $accepted[$i] || $decoded =~ m{^\.{1,2}$|[/\\]};
}
is_deeply(\@wrong, [], 'a path argument stays one segment');
note(scalar(@accepted) . ' of ' . @sent . ' path arguments were accepted');

$session->close;
$node->stop;
done_testing();
