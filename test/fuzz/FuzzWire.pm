# FuzzWire: answers that are nearly right, made anew from a seed and the number of a case.
#
# Each begins as a good answer to that case, whose marker ("FZ", eight digits and a sum of them,
# so that a spoilt one is known) is in its body, and is then spoiled in one to three places: in its parts first, which reach the rules
# behind the parser, and in its bytes.  Another answer may follow it, with a marker of its own.
package FuzzWire;

use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use Exporter qw(import);
use FlexHttp2;
use IO::Compress::Gzip qw(gzip);

our @EXPORT_OK = qw(seed_case marker markers_in other_marker good_answer bad_answer bad_frames pieces one_of);

my $OTHERS = 50_000_000;

sub seed_case { my ($seed, $case) = @_; srand($seed * 1_000_003 + $case); return; }
sub marker { my ($case) = @_; return sprintf 'FZ%08d%s', $case, substr(md5_hex($case), 0, 8); }

# The true markers in a text.
sub markers_in
{
	my ($text) = @_;
	my @numbers = $text =~ /FZ(\d{8})(?=[0-9a-f]{8})/g;

	return grep { index($text, $_) >= 0 } map { marker($_ + 0) } @numbers;
}

sub other_marker { my ($case) = @_; return marker($OTHERS + $case); }
sub one_of { return $_[ rand @_ ]; }
sub chance { my ($share) = @_; return rand() < $share; }
sub random_bytes { my ($most) = @_; return join '', map { chr int rand 256 } 1 .. rand $most; }

sub body_of
{
	my ($marker) = @_;

	return qq({"sid":"$marker","account_sid":"AC","friendly_name":"$marker \\u00e9","date_created":"2016-08-01T22:10:40Z",)
	  . q("attributes":{"a":[1,2.50,null,true],"b":{}},"conversation_sid":") . $marker . q("});
}

# A whole answer that is right, as bytes.
sub good_answer
{
	my ($marker) = @_;
	my $body = body_of($marker);

	return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
}

my @STATUS = (
	'HTTP/1.1 200', 'HTTP/1.1 201 Created', 'HTTP/1.1 204 No Content', 'HTTP/1.1 304 Not Modified', 'HTTP/1.1 100 Continue',
	'HTTP/1.1 101 Switching Protocols', 'HTTP/1.1 103 x', 'HTTP/1.1 199 x', 'HTTP/1.1 302 Found', 'HTTP/1.1 400 No', 'HTTP/1.1 404 No',
	'HTTP/1.1 429 No', 'HTTP/1.1 500 No', 'HTTP/1.1 502 No', 'HTTP/1.1 503 No', 'HTTP/1.1 999 x', 'HTTP/1.1 1000 x', 'HTTP/1.1 099 x',
	'HTTP/1.1 20', 'HTTP/1.1  200 OK', "HTTP/1.1\t200 OK", 'HTTP/1.0 200 OK', 'HTTP/0.9 200 OK', 'HTTP/2 200', 'HTTP/3 200', 'HTTP/11.1 200 OK',
	'HTTP/1.10 200 OK', 'http/1.1 200 OK', 'ICY 200 OK', 'RTSP/1.0 200 OK', ' HTTP/1.1 200 OK', "\0HTTP/1.1 200 OK", 'HTTP/1.1 -200 OK', '');
my @HEADERS = (
	' folded: x', "\tfolded", "\r", 'nonsense', ': x', 'X :y', "X\0Y: z", "X: a\0b", "X: a\rb", "X-\xff\xfe: 1", "X: \xff\xfe", 'Content-Length: 0',
	'Content-Length: 5', 'Content-Length: -1', 'Content-Length: 99999999999999999999', 'Content-Length: 5, 5', 'Content-Length:',
	'Transfer-Encoding: chunked', 'Transfer-Encoding: identity', 'Transfer-Encoding: gzip', 'Transfer-Encoding: chunked, chunked', 'Content-Encoding: gzip',
	'Content-Encoding: br', 'Content-Encoding: deflate', 'Content-Encoding: zstd', 'Content-Encoding: none', 'Connection: close', 'Connection: keep-alive',
	'Connection: upgrade', 'Upgrade: h2c', 'Location: http://127.0.0.1:1/', 'Retry-After: 0', 'Retry-After: 99999999999999999', 'Retry-After: x',
	'Set-Cookie: a=b', 'WWW-Authenticate: Basic realm="x"', 'Alt-Svc: h3=":443"', 'Strict-Transport-Security: max-age=1', 'Trailer: Content-Length',
	'HTTP/1.1 200 OK', 'Twilio-Request-Id: RQ' . "\xe9" x 40, 'X: ' . 'y' x 5000, 'Content-Range: bytes 0-1/2', 'Last-Modified: x', 'Date: x');
my @JSON = (
	'{}', '[]', '', ' ', 'null', '1e99999', '"' . 'x' x 70_000 . '"', '[' x 20_000, '{"a":' x 2_000, "{\"sid\":\"\xff\"}", '{"sid":"\u0000"}',
	'{"sid":"\ud800"}', '{"sid":1}', '{"sid":{}}', '{"sid":"a","sid":"b"}', '{"date_created":"never"}', '{"code":"x","message":["y"],"status":1e400}',
	'1' . '9' x 20_000, '{"a":1e5', '{"message":"' . "\xc3" . '"}', "\xef\xbb\xbf{}", '<html>', '{"n":-}', '[1,]', '{"a" 1}', "{\"a\":\"\n\"}");

# Spoils some bytes of a text.
sub spoil
{
	my ($bytes) = @_;
	my $at = int rand(1 + length $bytes);
	my $length = int rand(one_of(2, 20, 200));
	my $how = int rand 8;

	if ($how == 0 && length $bytes) { substr($bytes, $at % length $bytes, 1) = chr int rand 256; }
	elsif ($how == 1) { substr($bytes, $at, $length) = '' if $at < length $bytes; }
	elsif ($how == 2) { substr($bytes, $at, 0) = random_bytes(30); }
	elsif ($how == 3) { substr($bytes, $at, 0) = substr($bytes, int rand(1 + length $bytes), $length) // ''; }
	elsif ($how == 4) { $bytes = substr($bytes, 0, $at); }
	elsif ($how == 5) { substr($bytes, $at, 0) = one_of("\r\n", "\n", "\r", "\0", "\r\n\r\n", ' ', ':', ',', '"', '{', "\x80"); }
	elsif ($how == 6 && $bytes =~ /\d/) { my @digits = ($bytes =~ /\d/g); my $n = int rand @digits; my $i = 0; $bytes =~ s/(\d)/$i++ == $n ? one_of(0 .. 9, '-', 'f') : $1/ge; }
	else { $bytes .= random_bytes(40); }
	return $bytes;
}

# The chunks of a body, and its trailers.
sub chunked
{
	my ($body, $spoilt) = @_;
	my @sizes = map { 1 + int rand 60 } 1 .. 40;
	my $bytes = '';

	while (length $body)
	{
		my $chunk = substr($body, 0, shift(@sizes) // 5000, '');
		my $size = sprintf one_of('%x', '%X', '%04x'), length $chunk;
		$size = one_of("$size;a=b", "$size ", "0x$size", "-$size", "+$size", 'fffffffffffffffff', '0', "$size\0", sprintf('%x', 1 + length $chunk), '')
		  if $spoilt && chance(0.2);
		$bytes .= $size . ($spoilt && chance(0.1) ? one_of("\n", "\r", '', "\r\r\n") : "\r\n") . $chunk . ($spoilt && chance(0.1) ? one_of("\n", '', 'x') : "\r\n");
	}
	$bytes .= one_of('0', '000', '0;x') . "\r\n";
	$bytes .= join '', map { one_of(@HEADERS) . "\r\n" } 1 .. rand 3 if $spoilt && chance(0.3);
	return $bytes . ($spoilt && chance(0.1) ? '' : "\r\n");
}

# An answer to a case that is spoilt, as bytes; those of another may follow.
sub bad_answer
{
	my ($case) = @_;
	my $body = body_of(marker($case));
	my %spoilt = map { one_of(qw(status headers headers framing framing chunks body json interim bytes bytes order other other)) => 1 } 1 .. 1 + rand 3;
	my $status = $spoilt{status} ? chance(0.7) ? one_of(@STATUS) : spoil('HTTP/1.1 200 OK') : 'HTTP/1.1 200 OK';
	my @headers = ('Content-Type: application/json', 'Twilio-Request-Id: RQ' . '0' x 32);

	$body = spoil($body) if $spoilt{body};
	$body = one_of(@JSON) if $spoilt{json} && chance(0.7);
	if (chance(0.2)) { gzip(\(my $plain = $body), \$body); push @headers, 'Content-Encoding: gzip'; $body = spoil($body) if chance(0.3); }
	if ($spoilt{chunks} || chance(0.3)) { push @headers, 'Transfer-Encoding: chunked'; $body = chunked($body, $spoilt{chunks}); }
	elsif (chance(0.85)) { push @headers, 'Content-Length: ' . length $body; }
	else { push @headers, 'Connection: close'; }
	push @headers, one_of('Content-Length: ' . (length($body) + one_of(-5 .. 5, 1000)), 'Content-Length: ' . length $body, 'Transfer-Encoding: chunked') if $spoilt{framing};
	if ($spoilt{headers}) { splice @headers, rand(1 + @headers), 0, one_of(@HEADERS) for 1 .. 1 + rand 3; }
	@headers = sort { $a cmp $b } @headers if $spoilt{order};
	my $bytes = join "\r\n", $status, @headers, '', $body;
	$bytes = join('', map { one_of('HTTP/1.1 100 Continue', 'HTTP/1.1 103 x', 'HTTP/1.1 102 y') . "\r\n" . (chance(0.4) ? one_of(@HEADERS) . "\r\n" : '') . "\r\n" } 1 .. 1 + rand 4) . $bytes
	  if $spoilt{interim};
	$bytes = spoil($bytes) if $spoilt{bytes};
	$bytes .= good_answer(other_marker($case)) if $spoilt{other};
	return $bytes;
}

# Frames of HTTP/2 for a stream, spoilt, as bytes.
sub bad_frames
{
	my ($case, $stream) = @_;
	my $body = body_of(marker($case));
	my @length = chance(0.7) ? [ 'content-length', length($body) + (chance(0.2) ? one_of(-3, 3, 1000) : 0) ] : ();
	my @pairs = ([ ':status', chance(0.85) ? 200 : one_of(100, 103, 204, 304, 404, 429, 500, 'x', '') ], [ 'content-type', 'application/json' ], @length);

	push @pairs, one_of([ 'X', 'y' ], [ 'x', "a\r\nb" ], [ ':x', 'y' ], [ 'connection', 'close' ], [ 'transfer-encoding', 'chunked' ], [ '', '' ], [ "x\xff", "\xff" ],
		[ 'content-length', 3 ], [ 'x', 'y' x 200 ], [ ':status', 404 ]) if chance(0.3);
	@pairs = reverse @pairs if chance(0.05);
	my @frames = ([ 'HEADERS', 4, $stream, FlexHttp2::headers(@pairs) ]);
	push @frames, [ 'DATA', 0, $stream, substr($body, 0, 1 + rand 60, '') ] while length $body && chance(0.8);
	push @frames, [ 'DATA', 1, $stream, $body ];
	for (1 .. 1 + rand 3)
	{
		my $at = int rand @frames;
		my $frame = $frames[$at];
		my $how = int rand 9;

		if ($how == 0) { splice @frames, $at, 1 if @frames > 1; }
		elsif ($how == 1) { splice @frames, $at, 0, [@$frame]; }
		elsif ($how == 2) { $frame->[1] = int rand 256; }
		elsif ($how == 3) { $frame->[2] = one_of(0, $stream + 2, 2, 0x7fffffff); }
		elsif ($how == 4) { $frame->[0] = one_of(0 .. 12, 255); }
		elsif ($how == 5) { $frame->[3] = spoil($frame->[3]); }
		elsif ($how == 6) { splice @frames, $at, 0, [ 'RST_STREAM', 0, $stream, pack 'N', int rand 14 ]; }
		elsif ($how == 7) { splice @frames, $at, 0, [ 'GOAWAY', 0, 0, pack 'NN', one_of(0, $stream, 0x7fffffff), int rand 3 ]; }
		else { splice @frames, $at, 0, one_of([ 'PING', 0, 0, 'x' x 8 ], [ 'SETTINGS', 0, 0, pack 'nN', 1 + int rand 6, int rand 100_000 ], [ 'WINDOW_UPDATE', 0, 0, pack 'N', int rand 2**31 ],
			[ 'PUSH_PROMISE', 4, $stream, pack('N', 2) . FlexHttp2::headers([ ':path', '/' ]) ], [ 'CONTINUATION', 4, $stream, 'x' ], [ 'DATA', 0, $stream, '' ]); }
	}
	my $bytes = join '', map { FlexHttp2::frame(@$_) } @frames;
	return chance(0.1) ? spoil($bytes) : $bytes;
}

# Bytes in the pieces in which they are written.
sub pieces
{
	my ($bytes) = @_;
	my @pieces;

	return ($bytes) if chance(0.5);
	push @pieces, substr($bytes, 0, 1 + rand one_of(3, 100, 1000), '') while length $bytes && @pieces < 50;
	return (@pieces, $bytes);
}

1;
