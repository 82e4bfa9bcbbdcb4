# FlexScripted: a service of which a test says what it answers to each request, and when.
#
# A request is known by its name: the Identity that it creates, or its channel's number.  What
# comes is noted as "+ NAME", and what is about to be answered as "- NAME".
package FlexScripted;

use strict;
use warnings;

use File::Temp;
use FlexApi;
use PostgreSQL::Test::Utils qw(append_to_file);

# options: body, of each answer.
sub new
{
	my ($class, %options) = @_;
	my $directory = File::Temp::tempdir(CLEANUP => 1);
	my $body = $options{body} // '{"sid": "CH2", "conversation_sid": "CH2"}';
	my $server = FlexApi::Server->new(sub {
		my ($connection, $server) = @_;
		while (my $request = FlexApi::Server::read_request($connection))
		{
			my ($name) = "$request->{path}?$request->{body}" =~ /(?:Identity=|Channels\/CH0*)(\w+)/;
			my $attempt = () = $server->notes(qr/^\+ $name$/);
			my $status = (split /\n/, FlexApi::content("$directory/$name"))[$attempt] // '200 OK';
			$server->note("+ $name");
			FlexApi::wait_until(sub { -e "$directory/$name.open" }, 300) if $status =~ s/^gate ?//;
			$server->note("- $name");
			print $connection FlexApi::Server::answer($body, ($status || '200 OK') =~ s/\|/\r\n/r) or return;
		}
	});

	return bless { server => $server, directory => $directory }, $class;
}

sub server { return $_[0]->{server}; }

# What is answered to a name's attempts: a status and header lines, with "|" between them, for each; "gate" before
# one that comes when the gate is open.  Where nothing is said it is 200.
sub answer { my ($self, $name, @lines) = @_; append_to_file("$self->{directory}/$name", join("\n", @lines, '')); return; }

sub open_gate { my ($self, $name) = @_; append_to_file("$self->{directory}/$name.open", ''); return; }

# How often a name has come.
sub came { my ($self, $name) = @_; return scalar(() = $self->{server}->notes(qr/^\+ $name$/)); }

sub has_come { my ($self, $name, $times) = @_; return FlexApi::wait_until(sub { $self->came($name) >= ($times // 1) }); }

1;
