# Where an answer ends: the rules of RFC 9112 (sections 2.2, 5, 6, 7 and 11.2) as a
# table.  A good answer counts; one of which nobody can tell where it ends is a lost
# one; and a connection that has shown more than one answer is not used again.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use IO::Compress::Gzip qw(gzip);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# From 8.18 on libcurl makes one line of those that continue each other, as RFC 9112 (5.2) lets a client do.
my ($major, $minor) = `pkg-config --modversion libcurl` =~ /^(\d+)\.(\d+)/ or die 'which libcurl?';
my $UNFOLDS = $major * 1000 + $minor >= 8018;
my $BODY = '{"n":1}';
my $CHUNKS = "7\r\n$BODY\r\n0\r\n\r\n";
gzip(\$BODY, \my $PACKED) or die;
my $PACKED_CHUNKS = sprintf("%x\r\n%s\r\n0\r\n\r\n", length $PACKED, $PACKED);
my $OTHER = FlexApi::Server::answer('{"n":666}');
my $TE = "Transfer-Encoding: chunked\r\n";
my $CL = "Content-Length: 7\r\n";

# An answer with these header lines and this body.
sub ok200 { my ($lines, $body) = @_; return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n$lines\r\n" . ($body // $BODY); }

# Name, answer, what it is to the client (taken, lost, or an SQLSTATE), and what becomes of
# the connection; undef where versions of libcurl differ, and either is right.
my @TABLE = (
	# 6.2, 6.3: Content-Length
	[ 'Content-Length', ok200($CL), 'taken', 'kept' ],
	[ '... in small letters', ok200("content-length:7\r\n"), 'taken', 'kept' ],
	[ '... with blanks around it', ok200("Content-Length: \t 7 \t\r\n"), 'taken', 'kept' ],
	[ '... with zeros before it', ok200("Content-Length: 0007\r\n"), 'taken', 'kept' ],
	[ '... twice the same', ok200("$CL$CL"), 'taken', 'kept' ],
	[ '... twice the same in a list', ok200("Content-Length: 7, 7\r\n"), 'taken', 'kept' ],
	[ '... two different ones', ok200("Content-Length: 2\r\n$CL"), 'lost', 'closed' ],
	[ '... two different ones, the larger first', ok200("${CL}Content-Length: 2\r\n"), 'lost', 'closed' ],
	[ '... two different ones in a list', ok200("Content-Length: 7, 2\r\n"), 'lost', 'closed' ],
	[ '... of nothing', ok200("Content-Length:\r\n"), 'lost', 'closed' ],
	[ '... of nothing in a list', ok200("Content-Length: 7,\r\n"), 'lost', 'closed' ],
	[ '... with a sign', ok200("Content-Length: +7\r\n"), 'lost', 'closed' ],
	[ '... negative', ok200("Content-Length: -7\r\n"), 'lost', 'closed' ],
	[ '... hexadecimal', ok200("Content-Length: 0x7\r\n"), 'lost', 'closed' ],
	[ '... with more behind it', ok200("Content-Length: 7 7\r\n"), 'lost', 'closed' ],
	[ '... in words', ok200("Content-Length: seven\r\n"), 'lost', 'closed' ],
	[ '... that nobody can count', ok200("Content-Length: 18446744073709551623\r\n"), 'lost', 'closed' ],
	[ '... with a vertical tab', ok200("Content-Length: \x0b7\r\n"), 'lost', 'closed' ],
	# 6.1, 6.3, 7: Transfer-Encoding
	[ 'chunked', ok200($TE, $CHUNKS), 'taken', 'kept' ],
	[ '... in other letters', ok200("Transfer-Encoding: CHUNKED\r\n", $CHUNKS), 'taken', 'kept' ],
	[ '... after gzip', ok200("Transfer-Encoding: gzip, chunked\r\n", $PACKED_CHUNKS), undef, undef ],
	[ '... after gzip, in two lines', ok200("Transfer-Encoding: gzip\r\n$TE", $PACKED_CHUNKS), undef, undef ],
	[ '... with extensions', ok200($TE, "7;a=b\r\n$BODY\r\n0;c\r\n\r\n"), 'taken', 'kept' ],
	[ '... with trailers', ok200($TE, "7\r\n$BODY\r\n0\r\nX-Sum: 1\r\n\r\n"), 'taken', 'kept' ],
	[ '... with trailers that speak of a length', ok200($TE, "7\r\n$BODY\r\n0\r\nContent-Length: 9\r\n\r\n"), 'taken', 'closed' ],
	[ '... with trailers without a name', ok200($TE, "7\r\n$BODY\r\n0\r\nnonsense\r\n\r\n"), 'lost', 'closed' ],
	[ '... twice', ok200("${TE}$TE", $CHUNKS), 'lost', 'closed' ],
	[ '... before gzip', ok200("Transfer-Encoding: chunked, gzip\r\n", $PACKED_CHUNKS), 'lost', 'closed' ],
	[ '... with a vertical tab', ok200("Transfer-Encoding: \x0bchunked\r\n", $CHUNKS), 'lost', 'closed' ],
	[ '... that is none', ok200("Transfer-Encoding: xchunked\r\n", $CHUNKS), 'lost', 'closed' ],
	[ '... in HTTP/1.0', ok200($TE, $CHUNKS) =~ s{^HTTP/1.1}{HTTP/1.0}r, 'lost', 'closed' ],
	[ '... and Content-Length', ok200("$TE$CL", $CHUNKS), 'lost', 'closed' ],
	[ 'Content-Length and chunked', ok200("$CL$TE", $CHUNKS), 'lost', 'closed' ],
	[ 'a chunk of 0x7', ok200($TE, "0x7\r\n$BODY\r\n0\r\n\r\n"), 'lost', 'closed' ],
	[ 'a chunk of -7', ok200($TE, "-7\r\n$BODY\r\n0\r\n\r\n"), 'lost', 'closed' ],
	[ 'a chunk longer than it says', ok200($TE, "2\r\n$BODY\r\n0\r\n\r\n"), 'lost', 'closed' ],
	# 6.3: answers that end with their headers, whatever these say
	[ '204', "HTTP/1.1 204 No Content\r\n\r\n", 'taken', 'kept' ],
	[ '204 of length 0', "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 'taken', 'kept' ],
	[ '204 of length 7', "HTTP/1.1 204 No Content\r\n$CL\r\n$BODY", 'taken', 'closed' ],
	[ '204, chunked', "HTTP/1.1 204 No Content\r\n$TE\r\n$CHUNKS", 'taken', 'closed' ],
	[ '204 and a body', "HTTP/1.1 204 No Content\r\n\r\n$BODY", 'taken', 'closed' ],
	[ '200 of length 0', ok200("Content-Length: 0\r\n", ''), 'taken', 'kept' ],
	[ '200 of length 0 and a body', ok200("Content-Length: 0\r\n"), 'taken', 'closed' ],
	[ '304', "HTTP/1.1 304 Not Modified\r\n\r\n", 'TW304', 'kept' ],
	[ '304 and a body', "HTTP/1.1 304 Not Modified\r\n\r\n$BODY", 'TW304', 'closed' ],
	[ '304 of length 7', "HTTP/1.1 304 Not Modified\r\n$CL\r\n", 'TW304', 'closed' ],
	[ '103 before the answer', "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" . ok200($CL), 'taken', 'kept' ],
	[ '103 with a length', "HTTP/1.1 103 Early Hints\r\n$CL\r\n" . ok200($CL), 'taken', 'closed' ],
	# 9.3: HTTP/1.0 keeps nothing by itself
	[ 'HTTP/1.0', ok200($CL) =~ s{^HTTP/1.1}{HTTP/1.0}r, 'taken', 'closed' ],
	# 2.2, 5: lines
	[ 'lines that end with a line feed', ok200($CL) =~ s/\r//gr, 'taken', 'kept' ],
	[ 'a header that is continued', ok200("X: a\r\n b\r\n$CL"), 'taken', $UNFOLDS ? 'kept' : 'closed' ],
	[ 'a first header line that begins with a blank', "HTTP/1.1 200 OK\r\n folded: x\r\n$CL\r\n$BODY", 'lost', 'closed' ],
	[ 'a length that is continued', ok200("Content-Length: 7\r\n 7\r\n"), 'lost', 'closed' ],
	[ 'a length that begins in the next line', ok200("Content-Length:\r\n 7\r\n"), $UNFOLDS ? ('taken', 'kept') : ('lost', 'closed') ],
	[ 'an encoding that is continued', ok200("Transfer-Encoding: chunked\r\n\t, gzip\r\n", $CHUNKS), 'lost', 'closed' ],
	[ 'a blank before the colon', ok200("Content-Length : 7\r\n"), 'lost', 'closed' ],
	[ 'a blank before the colon of another', ok200("X : 7\r\n$CL"), 'lost', 'closed' ],
	[ 'a line without a colon', ok200("nonsense\r\n$CL"), 'lost', 'closed' ],
	[ 'a line that is a carriage return', ok200("\r\r\n$CL"), 'lost', 'closed' ],
	[ 'a first line that is a carriage return', "HTTP/1.1 200 OK\r\n\r\r\n$CL\r\n$BODY", 'lost', 'closed' ],
	[ 'a line without a name', ok200(": x\r\n$CL"), 'lost', 'closed' ],
	[ 'a carriage return in a line', ok200("X: a\rContent-Length: 2\r\n$CL"), 'lost', 'closed' ],
	[ 'a NUL in a line', ok200("X: a\0b\r\n$CL"), 'lost', 'closed' ],
	[ 'a second status line', ok200("HTTP/1.1 200 OK\r\n$CL"), 'lost', 'closed' ],
	[ 'a status line with a NUL', ok200($CL) =~ s/OK/O\0K/r, 'lost', 'closed' ],
	# 9.3, 11.2: bytes that nobody asked for, in the same segment
	[ 'another answer behind Content-Length', ok200($CL) . $OTHER, 'taken', 'closed' ],
	[ 'another answer behind the last chunk', ok200($TE, $CHUNKS) . $OTHER, 'taken', 'closed' ],
	[ 'another answer behind 204', "HTTP/1.1 204 No Content\r\n\r\n$OTHER", 'taken', 'closed' ],
	[ 'another answer behind nothing', ok200("Content-Length: 0\r\n", '') . $OTHER, 'taken', 'closed' ],
	[ 'another answer behind 304', "HTTP/1.1 304 Not Modified\r\n\r\n$OTHER", 'TW304', 'closed' ],
	[ 'an empty line behind an answer', ok200($CL) . "\r\n", 'taken', 'closed' ]);

# Answers /case/N as the table has it, and all others with the number that they ask for.
sub serve
{
	my ($connection, $server) = @_;

	$server->note('connection');
	while (my $request = FlexApi::Server::read_request($connection))
	{
		my ($what, $number) = $request->{path} =~ m{^/(\w+)/(\d+)} or return;
		print $connection $what eq 'case' ? $TABLE[$number]->[1] : FlexApi::Server::answer("{\"n\":$number}");
	}
	return;
}

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('framing', $simulator, "flex_api.timeout = '5s'", 'flex_api.max_retries = 0');
my $session = FlexApi::Session->new($node);
my $server = FlexApi::Server->new(\&serve);
my $asked = 1000;

$session->value("SET flex_api.base_url = '" . $server->url . "'");

# What a request comes to: taken, lost or an SQLSTATE.
sub outcome
{
	my ($method, $number) = @_;
	my $state = $session->sqlstate("SELECT status FROM flex_request('$method', '/case/$number')", 20);

	return $state eq '00000' ? 'taken' : $state eq ($method eq 'GET' ? '08006' : '08007') ? 'lost' : $state;
}

# A call that must be answered with its own number.
sub is_well
{
	my ($method) = @_;

	$asked++;
	my $result = $session->query("SELECT body->>'n' FROM flex_request('$method', '/good/$asked')", 20);
	return ($result->{error} ? "$result->{error}->{C} $result->{error}->{M}" : $result->{rows}->[0]->[0]) eq $asked;
}

foreach my $method ('GET', 'POST')
{
	ok(is_well($method), "$method: a first connection");
	foreach my $number (0 .. $#TABLE)
	{
		my ($name, undef, $outcome, $connection) = @{ $TABLE[$number] };

		$server->clear_notes;
		my $seen = outcome($method, $number);
		like($seen, $outcome ? qr/^$outcome$/ : qr/^(taken|lost)$/, "$method, $name: the answer is $seen");
		ok(is_well($method), "$method, $name: the next answer is its own");
		is($server->notes(qr/^connection/) ? 'closed' : 'kept', $connection, "$method, $name: the connection is $connection")
		  if $connection;
	}
}

# The faults of headers twice in a row, after an answer with a long header line.
my $pid = $session->pid;
foreach my $name ('a first header line that begins with a blank', 'a first line that is a carriage return', 'a line without a colon')
{
	my ($number) = grep { $TABLE[$_]->[0] eq $name } 0 .. $#TABLE;

	foreach (1 .. 5)
	{
		is_well('POST');
		is(outcome('POST', $number), 'lost', "$name, again and again");
	}
}
is($session->value('SELECT pg_backend_pid()'), $pid, 'the process lives');

# A refusal may be there before libcurl 8.7 to 8.17 has noticed that a request without a body has gone out.
my ($refusal) = grep { $TABLE[$_]->[0] eq '304' } 0 .. $#TABLE;
ok(is_well('POST'), 'a connection');
$server->clear_notes;
my $refused = grep { outcome('POST', $refusal) eq 'TW304' } 1 .. 500;
is($refused, 500, 'requests without a body are refused');
is($server->notes(qr/^connection/), 0, 'their connection is kept');

$session->close;
$node->stop;
done_testing();
