# FlexApi: a simulator and a cluster that uses it, for the TAP tests.
#
#   my $simulator = FlexApi::Simulator->new(@options);
#   $simulator->post('faults', { path => '/v1/Channels', status => 503 });
#   my $node = FlexApi::node('name', $simulator);      # a started Cluster
package FlexApi;

use strict;
use warnings;

use PostgreSQL::Test::Cluster;

our $ACCOUNT = 'AC' . '0' x 32;
our $TOKEN = 'test-token';
our $KEY = 'SK' . '0' x 32;
our $SECRET = 'test-secret';

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
	$node->safe_psql('postgres', 'CREATE EXTENSION flex_api');
	return $node;
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

1;
