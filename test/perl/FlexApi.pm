# FlexApi: a simulator and a cluster that uses it, for the TAP tests.
#
#   my $simulator = FlexApi::Simulator->new(@options);
#   $simulator->post('faults', { path => '/v1/Channels', status => 503 });
#   my $node = FlexApi::node('name', $simulator);      # a started Cluster
#   my $session = FlexApi::Session->new($node);
#   my $result = $session->query('SELECT ...');        # rows, or an error's fields
#   my $server = FlexApi::Server->new(\&answer);       # answers whatever one likes
#   my $library = FlexApi::module('scan');             # of test/modules/scan.c
package FlexApi;

use strict;
use warnings;

use Cwd qw(realpath);
use File::Basename qw(dirname);
use File::Spec::Functions qw(rel2abs);
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils ();
use Test::More ();
use Time::HiRes qw(sleep time);

our $ACCOUNT = 'AC' . '0' x 32;
our $TOKEN = 'test-token';
our $KEY = 'SK' . '0' x 32;
our $SECRET = 'test-secret';

# A statement that node() executes when the extension is there, for tests of altered tables.
our $ALTERATION = '';

# A started cluster with the extension, talking to the simulator; further
# lines for postgresql.conf may follow.
sub node
{
	my ($name, $simulator, @lines) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init;
	$node->append_conf('postgresql.conf', join("\n",
		"flex_api.base_url = '" . $simulator->url . "'",
		"flex_api.account_sid = '$ACCOUNT'",
		"flex_api.auth_token = '$TOKEN'",
		@lines, ''));
	$node->start;
	$node->safe_psql('postgres', "CREATE EXTENSION flex_api; $ALTERATION");
	return $node;
}

# Certificates in a directory, each NAME.pem with NAME.key: ca; of the ca's
# making server (for 127.0.0.1 and localhost), expired, other (for another
# name), service (for the service's own names); and self, which is signed by
# itself alone.
sub make_certificates
{
	my ($directory) = @_;
	my $here = 'subjectAltName=IP:127.0.0.1,DNS:localhost';
	my $ca = "-CA '$directory/ca.pem' -CAkey '$directory/ca.key'";
	# Newer versions refuse to count days back.
	my $past = `openssl x509 -help 2>&1` =~ /-not_before/
	  ? '-not_before 20200101000000Z -not_after 20200102000000Z' : '-days -1';
	my $new = sub {
		my ($name, $san, $options) = @_;
		my $key = "openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=flex-$name";
		my $sign = $options =~ /-CA /
		  ? "$key -keyout '$directory/$name.key' -addext $san | openssl x509 -req -copy_extensions copy $options"
		  : "$key -x509 -keyout '$directory/$name.key' -addext $san $options";
		system("($sign -out '$directory/$name.pem') 2>>'$directory/openssl.log'") == 0
		  or die "openssl: " . content("$directory/openssl.log");
	};

	$new->('ca', 'subjectAltName=DNS:ca.invalid', '-days 30');
	$new->('server', $here, "$ca -days 30");
	$new->('expired', $here, "$ca $past");
	$new->('other', 'subjectAltName=DNS:other.invalid', "$ca -days 30");
	$new->('service', 'subjectAltName=DNS:flex-api.twilio.com,DNS:flex-api.dublin.ie1.twilio.com', "$ca -days 30");
	$new->('self', $here, '-days 30');
	return;
}

# How much longer than on a quiet machine of today things may take before a test calls
# them too late: ten times, and more where FLEX_SLOW_BUILD says that this is no
# optimized build (sanitizers, valgrind).  What a test waits for otherwise, if the code
# is wrong, has to take longer still.
sub slowness { return $ENV{FLEX_SLOW_BUILD} ? 20 : 10; }

# Wait until a condition holds; false when it does not within the seconds.
sub wait_until
{
	my ($condition, $seconds) = @_;
	my $end = time() + ($seconds // 120);

	until ($condition->())
	{
		return 0 if time() > $end;
		sleep 0.002;
	}
	return 1;
}

# Wait until a process that sends the outbox's requests waits for an answer, or for something
# to send.  Between two transactions it may do so for a moment, too: so it is seen a few times.
sub is_at_rest
{
	my ($session, $pid) = @_;
	my $times = 0;

	return wait_until(sub {
		my $rests = $session->value("SELECT wait_event_type = 'Extension' AND backend_xmin IS NULL FROM pg_stat_activity WHERE pid = $pid");
		$times = ($rests // 'f') eq 't' ? $times + 1 : 0;
		return $times == 20;
	});
}

# The shared library of a file of test/modules, linked with the extension's objects.  Where
# there are none, or no compiler, the test is skipped; what does not compile is an error.
sub module
{
	my ($name) = @_;
	my $source = realpath(dirname(__FILE__) . '/../..');
	my @objects = (glob("$source/src/*.o"), glob("$source/src/*/*.o"));
	my $compiler = $ENV{CC} // 'gcc';
	my $library = rel2abs(PostgreSQL::Test::Utils::tempdir()) . "/$name.so";
	chomp(my $includes = qx(pg_config --includedir-server));

	Test::More::plan(skip_all => 'no objects of the extension to link with') unless @objects;
	Test::More::plan(skip_all => 'no C compiler') if system("$compiler --version >/dev/null 2>&1") != 0;
	my $coverage = content($objects[0]) =~ /__gcov_init/ ? '--coverage' : '';
	system("$compiler -shared -fPIC $coverage -I'$source/src' -isystem '$includes' -o '$library'"
		  . " '$source/test/modules/$name.c' @objects \$(pkg-config --libs libcurl)") == 0
	  or die "test/modules/$name.c does not compile\n";
	return $library;
}

# The content of a file, '' when it is gone.
sub content
{
	my ($path) = @_;

	open(my $file, '<:raw', $path) or return '';
	local $/;
	return <$file> // '';
}

# What /proc/PID/status says of a process under a name, in its own unit.
sub status_of { my ($pid, $name) = @_; return (content("/proc/$pid/status") =~ /^$name:\s*([0-9a-f]+)/m)[0]; }

# How many files a process has open.
sub open_files { my ($pid) = @_; return scalar(() = glob("/proc/$pid/fd/*")); }

# Seconds of CPU that a process has used, all its threads together.
sub cpu_seconds
{
	my ($pid) = @_;
	my $nanoseconds = 0;

	return coarse_cpu_seconds($pid) unless -e "/proc/$pid/schedstat";
	$nanoseconds += (split ' ', content($_))[0] // 0 foreach glob("/proc/$pid/task/*/schedstat");
	return $nanoseconds / 1e9;
}

# The same in the clock's coarse ticks, where the kernel counts nothing finer.
sub coarse_cpu_seconds
{
	my ($pid) = @_;
	my @fields = split ' ', content("/proc/$pid/stat") =~ s/^.*\) //sr;

	return ($fields[11] + $fields[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

package FlexApi::Simulator;

use strict;
use warnings;

use File::Basename qw(dirname);
use HTTP::Tiny;
use IO::Handle;
use JSON::PP;

# Start a simulator with the given options; it ends with this object, and with
# this process however that ends.
sub new
{
	my ($class, @options) = @_;
	my $here = dirname(__FILE__);
	my $program = $ENV{FLEX_SIMULATOR} // "$here/../simulator/flex_simulator";

	pipe(my $life_read, my $life_write) or die "pipe: $!";
	pipe(my $out_read, my $out_write) or die "pipe: $!";
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		close $life_write;
		close $out_read;
		open(STDIN, '<&', $life_read) or die;
		open(STDOUT, '>&', $out_write) or die;
		exec($program, '--port', '0', '--facts', "$here/../facts", '--until-stdin-closes', @options)
		  or die "could not run $program: $!";
	}
	close $life_read;
	close $out_write;
	my $line = <$out_read> // die 'the simulator did not start';
	my ($url) = $line =~ /^listening on (\S+)/ or die "unexpected: $line";
	return bless { pid => $pid, life => $life_write, url => $url, owner => $$ }, $class;
}

sub url { return $_[0]->{url}; }
sub port { return ($_[0]->{url} =~ /:(\d+)$/)[0]; }
sub pid { return $_[0]->{pid}; }

# Send a control request; returns the decoded answer.
sub control
{
	my ($self, $method, $path, $content) = @_;
	my $http = HTTP::Tiny->new(timeout => 30, verify_SSL => 0);
	my %options;

	%options = (content => JSON::PP->new->utf8->encode($content), headers => { 'Content-Type' => 'application/json' })
	  if defined $content;
	my $answer = $http->request($method, "$self->{url}/_simulator/$path", \%options);
	die "$method $path: $answer->{status} $answer->{content}" unless $answer->{success};
	return length($answer->{content} // '') ? JSON::PP->new->utf8->decode($answer->{content}) : undef;
}

sub post { my ($self, $path, $content) = @_; return $self->control('POST', $path, $content // {}); }
sub get { my ($self, $path) = @_; return $self->control('GET', $path); }
sub clear_faults { return $_[0]->control('DELETE', 'faults'); }

# The API requests since the last reset or clear, oldest first.
sub requests { return @{ $_[0]->get('requests')->{requests} }; }
sub clear_requests { return $_[0]->control('DELETE', 'requests'); }

sub stop
{
	my ($self) = @_;

	return unless $self->{pid} && $self->{owner} == $$;
	local $?;
	kill 'TERM', $self->{pid};
	waitpid $self->{pid}, 0;
	$self->{pid} = 0;
}

sub DESTROY { $_[0]->stop; }

package FlexApi::Session;

# A session that speaks the server's protocol itself: an error comes with all
# its fields, a query need not be waited for, and a measured time is the
# server's and not a program's that had to be started.

use strict;
use warnings;

use IO::Select;
use IO::Socket::UNIX;
use Time::HiRes qw(time);

# Options: user, database, options (as of PGOPTIONS).
sub new
{
	my ($class, $node, %wish) = @_;
	my $path = $node->host . '/.s.PGSQL.' . $node->port;
	my $socket = IO::Socket::UNIX->new(Peer => $path) or die "could not connect to $path: $!";
	my $self = bless { socket => $socket, buffer => '' }, $class;
	my %parameters = (
		user => $wish{user} // scalar getpwuid($<),
		database => $wish{database} // 'postgres',
		client_encoding => 'UTF8',
		options => $wish{options} // '');
	my $startup = pack('N', 196608) . join('', map { "$_\0$parameters{$_}\0" } sort keys %parameters) . "\0";

	$socket->syswrite(pack('N', length($startup) + 4) . $startup);
	$self->{first} = $self->receive;
	die 'no session: ' . ($self->{first}->{error} ? $self->{first}->{error}->{M} : 'the connection was closed')
	  if ($self->{first}->{error} || $self->{first}->{closed}) && !$wish{may_fail};
	return $self;
}

# Process id of the backend.
sub pid { return $_[0]->{pid}; }

# Send a query without waiting for its result.
sub send_query
{
	my ($self, $sql) = @_;

	$self->{sent} = time();
	$self->{socket}->syswrite('Q' . pack('N', length($sql) + 5) . $sql . "\0");
	return;
}

# The next message: its type and content; nothing at the end of the connection.
sub _message
{
	my ($self, $end) = @_;

	for (;;)
	{
		if (length($self->{buffer}) >= 5)
		{
			my ($type, $length) = unpack('a N', $self->{buffer});
			if (length($self->{buffer}) > $length)
			{
				my $content = substr($self->{buffer}, 5, $length - 4);
				substr($self->{buffer}, 0, $length + 1) = '';
				return ($type, $content);
			}
		}
		die "the server said nothing for too long\n"
		  unless IO::Select->new($self->{socket})->can_read($end - time());
		sysread($self->{socket}, $self->{buffer}, 65536, length($self->{buffer})) or return;
	}
}

# The result of a query: rows (arrays of bytes, undef for NULL), error and notices
# (hashes by the protocol's letters: C M D H W), payloads of notifications, seconds
# since it was sent, and closed when the connection ended.  Dies when it does not come within so many seconds.
sub receive
{
	my ($self, $seconds) = @_;
	my $end = time() + ($seconds // 120);
	my $result = { rows => [], notices => [], notifications => [] };

	while (my ($type, $content) = $self->_message($end))
	{
		if ($type eq 'E') { $result->{error} = _fields($content); }
		elsif ($type eq 'N') { push @{ $result->{notices} }, _fields($content); }
		elsif ($type eq 'A') { push @{ $result->{notifications} }, (split /\0/, substr($content, 4))[1]; }
		elsif ($type eq 'T') { $result->{rows} = []; }
		elsif ($type eq 'D') { push @{ $result->{rows} }, _row($content); }
		elsif ($type eq 'K') { $self->{pid} = unpack('N', $content); }
		elsif ($type eq 'Z')
		{
			$result->{seconds} = time() - ($self->{sent} // time());
			return $result;
		}
	}
	$result->{seconds} = time() - ($self->{sent} // time());
	$result->{closed} = 1;
	return $result;
}

# The next notice of a query that was sent and may go on: its fields.
sub next_notice
{
	my ($self) = @_;

	while (my ($type, $content) = $self->_message(time() + 120))
	{
		return _fields($content) if $type eq 'N';
		die "the query ended without a notice\n" if $type eq 'Z';
	}
	die "the session ended without a notice\n";
}

# The fields of an error or a notice; those that are missing are empty.
sub _fields
{
	my ($content) = @_;
	my %fields = map { $_ => '' } qw(C M D H W);

	$fields{ substr($_, 0, 1) } = substr($_, 1) foreach grep { length } split /\0/, $content;
	return \%fields;
}

sub _row
{
	my ($content) = @_;
	my $count = unpack('n', $content);
	my $at = 2;
	my @row;

	for (1 .. $count)
	{
		my $length = unpack('l>', substr($content, $at, 4));
		$at += 4;
		push @row, $length < 0 ? undef : substr($content, $at, $length);
		$at += $length if $length > 0;
	}
	return \@row;
}

sub query
{
	my ($self, $sql, $seconds) = @_;

	$self->send_query($sql);
	return $self->receive($seconds);
}

# A query with parameters, which are bound: they stand in no statement.
sub query_with
{
	my ($self, $sql, @values) = @_;
	my $bind = pack('n', scalar @values) . join '', map { defined $_ ? pack('N', length) . $_ : pack('N', 0xffffffff) } @values;
	my %messages = (P => "\0$sql\0" . pack('n', 0), B => "\0\0" . pack('n', 0) . $bind . pack('n', 0), D => "P\0", E => "\0" . pack('N', 0), S => '');

	$self->{sent} = time();
	$self->{socket}->syswrite(join '', map { $_ . pack('N', length($messages{$_}) + 4) . $messages{$_} } qw(P B D E S));
	return $self->receive;
}

# The first value of a query that must not fail.
sub value
{
	my ($self, $sql, $seconds) = @_;
	my $result = $self->query($sql, $seconds);

	die "$sql: $result->{error}->{C} $result->{error}->{M} $result->{error}->{D}\n" if $result->{error};
	die "$sql: the session ended\n" if $result->{closed};
	return @{ $result->{rows} } ? $result->{rows}->[0]->[0] : undef;
}

# SQLSTATE of a query, 00000 when it succeeds.
sub sqlstate
{
	my ($self, $sql, $seconds) = @_;
	my $result = $self->query($sql, $seconds);

	return $result->{error} ? $result->{error}->{C} : $result->{closed} ? 'closed' : '00000';
}

# What has been notified to a session that listens since it was last asked for anything.
sub notifications { return @{ $_[0]->query('SELECT')->{notifications} }; }

sub close { my ($self) = @_; $self->{socket}->syswrite('X' . pack('N', 4)); $self->{socket}->close; return; }

package FlexApi::Server;

# A server on loopback that does to each connection what a function says, in a
# process of its own for each.  It notes lines, for the test to read.

use strict;
use warnings;

use File::Temp ();
use IO::Select;
use IO::Socket::IP;
use POSIX ();

# serve is called with the connection and this object; when it returns, the
# connection is closed.  The address is one of loopback.  The server ends with the object and with this process.
sub new
{
	my ($class, $serve, $address) = @_;
	my $listener = IO::Socket::IP->new(Listen => 128, LocalHost => $address // '127.0.0.1', LocalPort => 0, ReuseAddr => 1)
	  or die "could not listen: $!";
	my $self = bless { address => $address // '127.0.0.1', port => $listener->sockport, notes => File::Temp->new, owner => $$ }, $class;

	pipe(my $life_read, my $life_write) or die "pipe: $!";
	$self->{pid} = fork() // die "fork: $!";
	if ($self->{pid} == 0)
	{
		close $life_write;
		setpgrp;
		$SIG{PIPE} = 'IGNORE';
		$SIG{CHLD} = 'IGNORE';
		$self->_accept($listener, $life_read, $serve);
		kill 'KILL', -$$;
		POSIX::_exit(0);
	}
	setpgrp($self->{pid}, $self->{pid});
	$self->{life} = $life_write;
	return $self;
}

sub _accept
{
	my ($self, $listener, $life, $serve) = @_;
	my $select = IO::Select->new($listener, $life);

	for (;;)
	{
		foreach my $ready ($select->can_read)
		{
			return if $ready == $life;
			my $connection = $listener->accept or next;
			my $pid = fork();
			if (defined $pid && $pid == 0)
			{
				close $listener;
				$connection->autoflush(1);
				eval { $serve->($connection, $self); 1 } or $self->note("died: $@");
				close $connection;
				POSIX::_exit(0);
			}
			close $connection;
		}
	}
}

sub port { return $_[0]->{port}; }
sub url { my ($self) = @_; return 'http://' . ($self->{address} =~ /:/ ? "[$self->{address}]" : $self->{address}) . ":$self->{port}"; }

# Note a line; from the serving function.
sub note
{
	my ($self, $line) = @_;

	open(my $notes, '>>', $self->{notes}->filename) or return;
	syswrite($notes, "$line\n");
	return;
}

# The lines noted so far, all of them or those that match.
sub notes
{
	my ($self, $pattern) = @_;

	return grep { !defined $pattern || $_ =~ $pattern } split /\n/, FlexApi::content($self->{notes}->filename);
}

sub clear_notes { return truncate($_[0]->{notes}->filename, 0); }

# Read a request from a connection: method, path, head and body; nothing at its end.
sub read_request
{
	my ($connection) = @_;
	my $bytes = '';

	until ($bytes =~ /\r\n\r\n/)
	{
		sysread($connection, $bytes, 65536, length($bytes)) or return;
	}
	my ($head, $body) = split /\r\n\r\n/, $bytes, 2;
	my ($length) = $head =~ /^content-length: *(\d+)/mi;
	while (defined $length && length($body) < $length)
	{
		sysread($connection, $body, 65536, length($body)) or return;
	}
	my ($method, $path) = $head =~ /^(\S+) (\S+)/;
	return { method => $method, path => $path, head => $head, body => $body };
}

# A whole answer of JSON text.
sub answer
{
	my ($json, $status, @headers) = @_;

	return join("\r\n", 'HTTP/1.1 ' . ($status // '200 OK'), 'Content-Type: application/json',
		'Content-Length: ' . length($json), @headers, '', $json);
}

sub stop
{
	my ($self) = @_;

	return unless $self->{pid} && $self->{owner} == $$;
	local $?;
	close $self->{life};
	kill 'KILL', -$self->{pid};
	waitpid $self->{pid}, 0;
	$self->{pid} = 0;
	return;
}

sub DESTROY { $_[0]->stop; }

1;
