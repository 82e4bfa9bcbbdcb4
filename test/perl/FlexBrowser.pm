package FlexBrowser;

# A headless Chromium that a test looks through: it opens a page, asks it questions in
# JavaScript, and knows everything that the console said.  Spoken to by the DevTools
# protocol over two pipes (file descriptors 3 and 4), messages end with a NUL.
#
#   plan skip_all => 'no Chromium' unless FlexBrowser::program();
#   my $browser = FlexBrowser->new;
#   $browser->open($url);
#   is($browser->evaluate('document.title'), 'x');
#   is_deeply([ $browser->console ], []);

use strict;
use warnings;

use File::Temp ();
use IO::Select;
use JSON::PP;
use MIME::Base64 qw(decode_base64);
use POSIX ();
use Time::HiRes qw(time);

# The browser's program, or nothing.
sub program
{
	foreach my $name ($ENV{CHROMIUM} // (), 'chromium', 'chromium-browser')
	{
		foreach my $path ($name =~ m{/} ? $name : map { "$_/$name" } split /:/, $ENV{PATH})
		{
			return $path if -x $path;
		}
	}
	return;
}

# Options: width and height of the window.
sub new
{
	my ($class, %wish) = @_;
	my $home = File::Temp->newdir;
	my $size = ($wish{width} // 1280) . ',' . ($wish{height} // 900);

	pipe(my $in_read, my $in_write) or die "pipe: $!";
	pipe(my $out_read, my $out_write) or die "pipe: $!";
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		# Any of the four may be 3 or 4 itself: out of the way first.
		my ($read, $write) = (POSIX::dup2(fileno($in_read), 50), POSIX::dup2(fileno($out_write), 51));
		POSIX::dup2(50, 3);
		POSIX::dup2(51, 4);
		open(STDERR, '>', "$home/stderr");
		open(STDIN, '<', '/dev/null');
		exec(program(), '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
			'--disable-background-networking', '--no-proxy-server', '--remote-debugging-pipe', "--user-data-dir=$home/profile", "--window-size=$size",
			'about:blank') or POSIX::_exit(1);
	}
	close $in_read;
	close $out_write;
	my $self = bless { pid => $pid, owner => $$, in => $in_write, out => $out_read, home => $home, bytes => '', last => 0, console => [] }, $class;
	$self->{in}->autoflush(1);
	my $target = $self->_ask('Target.createTarget', { url => 'about:blank' })->{targetId};
	$self->{session} = $self->_ask('Target.attachToTarget', { targetId => $target, flatten => JSON::PP::true })->{sessionId};
	$self->_ask($_) foreach 'Page.enable', 'Runtime.enable', 'Log.enable';
	return $self;
}

# The next message, which also is noted if it is one of the console's.
sub _receive
{
	my ($self) = @_;

	while ($self->{bytes} !~ /\0/)
	{
		die "the browser says nothing\n" unless IO::Select->new($self->{out})->can_read(180);
		sysread($self->{out}, $self->{bytes}, 65536, length $self->{bytes}) or die "the browser has ended\n";
	}
	$self->{bytes} =~ s/^([^\0]*)\0//;
	my $message = decode_json($1);
	my ($name, $told) = ($message->{method} // '', $message->{params});
	push @{ $self->{console} }, "$told->{type}: " . join ' ', map { $_->{value} // $_->{description} // '' } @{ $told->{args} } if $name eq 'Runtime.consoleAPICalled';
	push @{ $self->{console} }, 'exception: ' . ($told->{exceptionDetails}{exception}{description} // $told->{exceptionDetails}{text}) if $name eq 'Runtime.exceptionThrown';
	push @{ $self->{console} }, "$told->{entry}{level}: $told->{entry}{text} " . ($told->{entry}{url} // '') if $name eq 'Log.entryAdded';
	$self->{loaded} = 1 if $name eq 'Page.loadEventFired';
	return $message;
}

# Ask the browser for something; returns what it answers.
sub _ask
{
	my ($self, $method, $parameters) = @_;
	my $id = ++$self->{last};
	my %message = (id => $id, method => $method, params => $parameters // {});

	$message{sessionId} = $self->{session} if $self->{session};
	print { $self->{in} } encode_json(\%message) . "\0";
	for (;;)
	{
		my $answer = $self->_receive;
		next unless ($answer->{id} // 0) == $id;
		die "$method: $answer->{error}{message}\n" if $answer->{error};
		return $answer->{result};
	}
}

# Open a page, and wait until it is loaded.
sub open
{
	my ($self, $url) = @_;

	$self->{loaded} = 0;
	$self->_ask('Page.navigate', { url => $url });
	$self->_receive until $self->{loaded};
	return;
}

# The value of an expression; a promise is waited for.
sub evaluate
{
	my ($self, $expression) = @_;
	my $answer = $self->_ask('Runtime.evaluate', { expression => $expression, returnByValue => JSON::PP::true, awaitPromise => JSON::PP::true });

	die "$expression: $answer->{exceptionDetails}{exception}{description}\n" if $answer->{exceptionDetails};
	return $answer->{result}{value};
}

# What the console said since the browser began.
sub console { my ($self) = @_; $self->evaluate('0'); return @{ $self->{console} }; }

# Take a picture of the page (PNG).
sub screenshot
{
	my ($self, $file) = @_;
	my $picture = decode_base64($self->_ask('Page.captureScreenshot', { format => 'png', captureBeyondViewport => JSON::PP::true })->{data});

	CORE::open(my $handle, '>:raw', $file) or die "$file: $!";
	print $handle $picture;
	close $handle or die "$file: $!";
	return;
}

sub DESTROY
{
	my ($self) = @_;

	return unless $self->{owner} == $$;
	local $?;
	kill 'KILL', $self->{pid};
	waitpid $self->{pid}, 0;
	return;
}

1;
