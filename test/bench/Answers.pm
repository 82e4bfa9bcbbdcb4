# Answers: large bodies of several kinds, and a server that sends them.
package Answers;

use strict;
use warnings;

use IO::Socket::INET;
use POSIX ();

our $BYTES = 16_000_000;

# As many of a text as fit, between brackets.
sub many { my ($text) = @_; return '[' . ($text x (($BYTES - 10) / length $text)) =~ s/,$//r . ']'; }

my %BODIES = (
	'smallest objects' => sub { many('{"a":1},') },
	'empty objects' => sub { many('{},') },
	'numbers' => sub { many('1,') },
	'fractions' => sub { many('12345.678,') },
	'short strings' => sub { many('"a",') },
	'ordinary objects' => sub {
		many('{"sid":"CH0123456789abcdef0123456789abcdef","status":"active","date_created":"2016-08-01T22:10:40Z","members":3,' .
			'"attributes":{"from":"+15551234567","tags":["a","b"],"priority":0.5},"url":null},');
	},
	'an object of many names' => sub { my $n = 0; '{' . join(',', map { "\"k" . ($_ * 7919 % 1_000_003) . "\":$_" } 1 .. $BYTES / 17) . '}' },
	'deep' => sub { '[' x 100 . many('[1],') . ']' x 100 },
	'one string' => sub { '"' . 'x' x ($BYTES - 10) . '"' });

sub names { return sort keys %BODIES; }

# Start a server that answers /NUMBER with the body of that number among the
# names; returns its URL.  It ends with this process.
sub serve
{
	my $listener = IO::Socket::INET->new(Listen => 8, LocalAddr => '127.0.0.1') or die "could not listen: $!";
	my $parent = $$;
	my $pid = fork() // die "fork: $!";

	return 'http://127.0.0.1:' . $listener->sockport if $pid;
	local $SIG{ALRM} = sub { POSIX::_exit(0) if getppid() != $parent; alarm 1; };
	alarm 1;
	for (;;)
	{
		my $connection = $listener->accept or next;
		my $asked = '';

		while ($asked !~ /\r\n\r\n/) { last unless sysread($connection, $asked, 65536, length $asked); }
		my ($number) = $asked =~ m{^GET /(\d+)} or next;
		my $body = $BODIES{ (names())[$number] }->();
		print $connection "HTTP/1.1 200 OK\r\nContent-Length: " . length($body) . "\r\nConnection: close\r\n\r\n$body";
		close $connection;
	}
}

1;
