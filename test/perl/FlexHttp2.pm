# FlexHttp2: the server's side of HTTP/2 by hand, over TLS, for what no server does.
#
#   my $context = FlexHttp2::context($directory);              # of certificates
#   my $server = FlexApi::Server->new(sub {
#       my $peer = FlexHttp2->accept($_[0], $context, %settings) or return;
#       while (my $stream = $peer->next_request) { $peer->answer($stream, '{}'); }
#   });
package FlexHttp2;

use strict;
use warnings;

use IO::Socket::SSL;

our %TYPE = (DATA => 0, HEADERS => 1, RST_STREAM => 3, SETTINGS => 4, PUSH_PROMISE => 5, PING => 6, GOAWAY => 7, WINDOW_UPDATE => 8, CONTINUATION => 9);
our %ERROR = (NO_ERROR => 0, PROTOCOL_ERROR => 1, INTERNAL_ERROR => 2, REFUSED_STREAM => 7, CANCEL => 8, HTTP_1_1_REQUIRED => 13);
our ($END_STREAM, $ACK, $END_HEADERS) = (1, 1, 4);
our $MAX_CONCURRENT_STREAMS = 3;

my $PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

# What the servers' processes have in common; made before they fork.
sub context
{
	my ($directory, @protocols) = @_;

	return IO::Socket::SSL::SSL_Context->new(
		SSL_server => 1,
		SSL_cert_file => "$directory/server.pem",
		SSL_key_file => "$directory/server.key",
		SSL_session_id_context => 'flex',
		SSL_alpn_protocols => [ @protocols ? @protocols : ('h2', 'http/1.1') ]) // die $IO::Socket::SSL::SSL_ERROR;
}

# A frame's bytes.
sub frame
{
	my ($type, $flags, $stream, $payload) = @_;

	return substr(pack('N', length $payload), 1) . pack('CCN', $TYPE{$type} // $type, $flags, $stream) . $payload;
}

# Headers, each a literal that no table remembers.
sub headers { my (@pairs) = @_; return join '', map { "\0" . pack('C/a C/a', $_->[0], $_->[1]) } @pairs; }

sub settings { my (%settings) = @_; return join '', map { pack 'nN', $_, $settings{$_} } sort keys %settings; }

# The server's end of a connection, after the preface; nothing where HTTP/2 was not agreed on.
# The socket of TLS is in {socket}.
sub accept
{
	my ($class, $connection, $context, %settings) = @_;
	my $socket = IO::Socket::SSL->start_SSL($connection, SSL_server => 1, SSL_reuse_ctx => $context) or return;
	my $self = bless { socket => $socket, bytes => '' }, $class;

	return unless ($socket->alpn_selected // '') eq 'h2';
	$self->_fill(length $PREFACE) or return;
	return unless substr($self->{bytes}, 0, length $PREFACE, '') eq $PREFACE;
	$self->send('SETTINGS', 0, 0, settings(%settings));
	return $self;
}

sub _fill
{
	my ($self, $length) = @_;

	while (length $self->{bytes} < $length)
	{
		sysread($self->{socket}, $self->{bytes}, 65536, length $self->{bytes}) or return 0;
	}
	return 1;
}

# Send a frame; false when the client has gone.
sub send { my ($self, @frame) = @_; return defined syswrite($self->{socket}, frame(@frame)); }

# The next frame: type, flags, stream, payload; nothing at the end.
sub next_frame
{
	my ($self) = @_;

	$self->_fill(9) or return;
	my ($high, $low, $type, $flags, $stream) = unpack 'C n C C N', substr($self->{bytes}, 0, 9);
	my $length = $high * 65536 + $low;
	$self->_fill(9 + $length) or return;
	my (undef, $payload) = (substr($self->{bytes}, 0, 9, ''), substr($self->{bytes}, 0, $length, ''));
	return ($type, $flags, $stream & 0x7fffffff, $payload);
}

# The number of the stream of the next request, after doing what other frames ask for.
sub next_request
{
	my ($self) = @_;

	while (my ($type, $flags, $stream, $payload) = $self->next_frame)
	{
		return $stream if $type == $TYPE{HEADERS};
		$self->send('SETTINGS', $ACK, 0, '') if $type == $TYPE{SETTINGS} && !($flags & $ACK);
		$self->send('PING', $ACK, 0, $payload) if $type == $TYPE{PING} && !($flags & $ACK);
	}
	return;
}

# The headers of an answer; with a length where one is given.
sub send_headers
{
	my ($self, $stream, $length, $flags) = @_;
	my @length = defined $length ? [ 'content-length', $length ] : ();

	return $self->send('HEADERS', $END_HEADERS | ($flags // 0), $stream,
		headers([ ':status', '200' ], [ 'content-type', 'application/json' ], @length));
}

# A whole answer.
sub answer
{
	my ($self, $stream, $body) = @_;

	$self->send_headers($stream, length $body);
	return $self->send('DATA', $END_STREAM, $stream, $body);
}

sub reset { my ($self, $stream, $error) = @_; return $self->send('RST_STREAM', 0, $stream, pack 'N', $ERROR{$error}); }

sub goaway { my ($self, $last, $error) = @_; return $self->send('GOAWAY', 0, 0, pack 'NN', $last, $ERROR{ $error // 'NO_ERROR' }); }

1;
