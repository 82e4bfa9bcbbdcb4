# Servers: the throw-away cluster and simulators that the benchmark measures on.
package Servers;

use strict;
use warnings;

use File::Basename qw(dirname);
use HTTP::Tiny;
use IO::Handle;
use JSON::PP;

our $ACCOUNT = 'AC' . '0' x 32;
our $TOKEN = 'test-token';

my $here = dirname(__FILE__);

# A cluster under a directory, which is made if need be, with lines of configuration.
sub new
{
	my ($class, $bin, $directory, @configuration) = @_;
	my $self = bless { bin => $bin, directory => $directory, simulators => [], owner => $$ }, $class;
	my @cpus = allowed_cpus();

	# Clients on one CPU, simulators on another: where the kernel puts two that talk to
	# each other changes the cost of a call by half, and from second to second.
	@$self{ 'client_cpu', 'server_cpu' } = @cpus[ 0, 1 ] if @cpus > 1 && system('taskset --version >/dev/null 2>&1') == 0;

	# What is measured is the server as it comes, without the noise of its helpers.
	-d $directory or mkdir($directory) or die "$directory: $!";
	$self->command("$bin/initdb", '-D', "$directory/data", qw(-A trust -U postgres -N -E UTF8 --locale=C));
	open(my $conf, '>>', "$directory/data/postgresql.conf") or die "postgresql.conf: $!";
	print $conf map { "$_\n" } "listen_addresses = ''", "unix_socket_directories = '$directory'", 'autovacuum = off',
	  'fsync = off', "flex_api.account_sid = '$ACCOUNT'", "flex_api.auth_token = '$TOKEN'", @configuration;
	close($conf);
	$self->start;
	return $self;
}

sub start
{
	my ($self, @options) = @_;

	# The system's certificate authorities are those of certificates().
	local @ENV{qw(SYSTEM_AUTHORITIES_DIRECTORY SYSTEM_AUTHORITIES_FILE)} = map { "$self->{directory}/$_" } qw(certs authorities.pem);
	local $ENV{LD_PRELOAD} = join(':', "$here/system_authorities.so", $ENV{LD_PRELOAD} // ());
	$self->command("$self->{bin}/pg_ctl", '-D', "$self->{directory}/data", '-l', "$self->{directory}/server.log", '-w',
		'-o', join(' ', map { "-c $_" } @options), 'start');
	$self->{running} = 1;
}

# Start the cluster anew, with other settings, NAME=VALUE; no session must be left.
sub restart
{
	my ($self, @options) = @_;

	$self->command("$self->{bin}/pg_ctl", '-D', "$self->{directory}/data", qw(-m fast -w stop));
	$self->{running} = 0;
	$self->start(@options);
}

# Kill the postmaster with SIGKILL, and start the cluster anew once its children have gone.
sub crash
{
	my ($self, @options) = @_;

	open(my $file, '<', "$self->{directory}/data/postmaster.pid") or die "postmaster.pid: $!";
	my ($postmaster) = <$file> =~ /^(\d+)$/ or die 'no number of the postmaster';
	my @all = ($postmaster, split ' ', `ps -o pid= --ppid $postmaster`);
	kill 'KILL', $postmaster;
	$self->{running} = 0;
	for (1 .. 1000)
	{
		last unless kill 0, @all;
		select(undef, undef, undef, 0.01);
	}
	$self->start(@options);
}

# The numbers of the CPUs that this process may use.
sub allowed_cpus
{
	open(my $status, '<', '/proc/self/status') or die "status: $!";
	my ($list) = join('', <$status>) =~ /^Cpus_allowed_list:\s+(\S+)/m or die 'no list of CPUs';

	return map { /^(\d+)-(\d+)$/ ? $1 .. $2 : $_ } split /,/, $list;
}

# What goes before a command that is to run where clients or where servers do.
sub placed
{
	my ($self, $where) = @_;
	my $cpu = $self->{"${where}_cpu"};

	return defined $cpu ? ('taskset', '-c', $cpu) : ();
}

# Run a program and return what it says; dies with that where it fails.  It goes
# through a file, since a server that the program leaves running keeps a pipe open.
sub command
{
	my ($self, @command) = @_;
	my $file = "$self->{directory}/output";
	my $failed = system('sh', '-c', 'exec "$@" >"$0" 2>&1', $file, @command);

	open(my $output, '<', $file) or die "$file: $!";
	my $text = do { local $/; <$output> };
	die "@command\n$text" if $failed;
	return $text;
}

# Start a simulator; returns its URL.  It ends with this process, however that ends.
sub simulator
{
	my ($self, @options) = @_;
	my $program = "$here/../simulator/flex_simulator";

	pipe(my $life_read, my $life_write) or die "pipe: $!";
	pipe(my $out_read, my $out_write) or die "pipe: $!";
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		close($life_write);
		open(STDIN, '<&', $life_read) or die;
		open(STDOUT, '>&', $out_write) or die;
		exec($self->placed('server'), $program, '--port', '0', '--facts', "$here/../facts", '--until-stdin-closes', @options)
		  or die "$program: $!";
	}
	close($out_write);
	my ($url) = (<$out_read> // '') =~ /^listening on (\S+)/ or die 'the simulator did not start';
	push @{ $self->{simulators} }, { pid => $pid, life => $life_write };
	return $url;
}

# Control a simulator: settings, seed, faults, requests, counters.
sub control
{
	my ($self, $url, $method, $what, $content) = @_;
	my %options = defined $content ? (content => encode_json($content)) : ();
	my $answer = HTTP::Tiny->new(verify_SSL => 0)->request($method, "$url/_simulator/$what", \%options);

	die "$method $what: $answer->{status} $answer->{content}" unless $answer->{success};
	return length($answer->{content} // '') ? decode_json($answer->{content}) : undef;
}

# A certificate for 127.0.0.1 and its key, and a file of authorities as large as the system's that
# has it too: returns the three paths.  A server that trusts the system's authorities trusts it, too.
sub certificates
{
	my ($self) = @_;
	my ($key, $certificate, $authorities) = map { "$self->{directory}/$_.pem" } qw(key certificate authorities);
	my $system = '/etc/ssl/certs/ca-certificates.crt';

	$self->command('openssl', qw(req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1),
		'-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', $key, '-out', $certificate);
	$self->command('sh', '-c', 'cat "$1" "$2" >"$3"', 'sh', -e $system ? $system : '/dev/null', $certificate, $authorities);
	$self->command('sh', '-c', 'mkdir "$1" && { [ ! -d /etc/ssl/certs ] || cp -rL /etc/ssl/certs/. "$1"; } && ' .
		  'cp "$2" "$1/$(openssl x509 -hash -noout -in "$2").0"', 'sh', "$self->{directory}/certs", $certificate);
	return ($key, $certificate, $authorities);
}

sub stop
{
	my ($self) = @_;

	return unless $self->{owner} == $$;
	$self->command("$self->{bin}/pg_ctl", '-D', "$self->{directory}/data", qw(-m immediate -w stop)) if delete $self->{running};
	for my $simulator (splice @{ $self->{simulators} })
	{
		kill 'TERM', $simulator->{pid};
		waitpid $simulator->{pid}, 0;
	}
}

sub DESTROY
{
	local $?;
	$_[0]->stop;
}

1;
