# PgNet: the workers of flex_api and of pg_net in one server, which send the same GET requests.
package PgNet;

use strict;
use warnings;

use Baseline;
use JSON::PP;
use Session;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC sleep);

my $PATIENCE = 120; # seconds, for what should come

# How many each has under way at once, its tables, where requests wait, and good answers.
my %WORKERS = (
	flex_api => {
		setting => 'flex_api.concurrency', tables => 'flex_outbox_requests',
		enqueue => "flex_enqueue('flex_channel_fetch', jsonb_build_object('sid', sid))",
		waiting => "flex_outbox WHERE state IN ('pending', 'sending')",
		answered => "flex_outbox WHERE state = 'succeeded' AND response->>'sid' = arguments->>'sid'" },
	pg_net => {
		setting => 'pg_net.batch_size', tables => 'net.http_request_queue, net._http_response',
		waiting => 'net.http_request_queue', answered => 'net._http_response WHERE status_code = 200' });

# Start both workers, and a simulator with options that they send to, which has so many channels.
sub new
{
	my ($class, $servers, $channels, @options) = @_;
	my $self = bless { servers => $servers, simulator => $servers->simulator(@options), channels => $channels }, $class;
	my $last = sub { grep { !/^-H$|^user-agent:/ } Baseline::headers_of_last($servers, $self->{simulator}) };

	# A process may have a third of its files as sockets.
	$self->{settings} = [ 'shared_preload_libraries=flex_api,pg_net', "flex_api.base_url=$self->{simulator}",
		'max_files_per_process=4000' ];
	$servers->restart(@{ $self->{settings} });
	$servers->control($self->{simulator}, 'POST', 'seed', { channels => $channels });
	$self->{session} = Session->new($servers, 'postgres', 1);
	$self->{session}->query('SET client_min_messages = error; CREATE EXTENSION IF NOT EXISTS pg_net; ' .
		  'TRUNCATE net._http_response; DROP TABLE IF EXISTS channels; ' .
		  "CREATE TABLE channels AS SELECT sid FROM flex_channels_list(max_rows => $channels)");

	# pg_net gets the headers that ours sends, but for its own User-Agent.
	my @ours = $last->();
	$self->{enqueue} = "net.http_get('$self->{simulator}/v1/Channels/' || sid, headers => jsonb_build_object(" .
	  join(', ', map { "'$1', '$2'" if /^(.*?): (.*)$/ } @ours) . '))';
	$self->{session}->query("SELECT $self->{enqueue} FROM channels LIMIT 1");
	$self->wait_for(sub { $self->rows('pg_net', 'answered') == 1 });
	my @theirs = $last->();
	"@ours" eq "@theirs" or die "pg_net's headers are others:\n@ours\n@theirs\n";
	$servers->control($self->{simulator}, 'POST', 'settings', { record => JSON::PP::false });
	return $self;
}

sub wait_for
{
	my ($self, $condition) = @_;
	my $until = clock_gettime(CLOCK_MONOTONIC) + $PATIENCE;

	until ($condition->())
	{
		die "waited for $PATIENCE s\n" if clock_gettime(CLOCK_MONOTONIC) > $until;
		sleep 0.01;
	}
}

# Requests that one of them has waiting, or answered.
sub rows
{
	my ($self, $who, $which) = @_;

	return $self->{session}->query("SELECT count(*) FROM $WORKERS{$who}{$which}");
}

# Leave so many requests with one of them, with so many under way at once.  Returns how many had been sent before.
sub enqueue
{
	my ($self, $who, $at_once, $count) = @_;
	my $enqueue = $WORKERS{$who}{enqueue} // $self->{enqueue};

	$self->{session}->query("ALTER SYSTEM SET $WORKERS{$who}{setting} = $at_once;\nSELECT pg_reload_conf()");
	$self->{session}->query("TRUNCATE $WORKERS{$who}{tables}");
	sleep 1; # the worker has read that, and is idle
	my ($before) = Baseline::counted(@$self{ 'servers', 'simulator' });
	$self->{session}->query("SELECT count($enqueue) FROM channels, generate_series(1, $count / $self->{channels})");
	return $before;
}

# What a request costs from that commit until all answers are there: wall clock, and CPU of the worker.
sub cost
{
	my ($self, $who, $at_once, $count) = @_;
	my $worker = bless { owner => 0, backend => $self->{session}->query(
		"SELECT pid FROM pg_stat_activity WHERE backend_type LIKE '$who% worker'") }, 'Session';
	my $cpu = $worker->cpu;
	my $before = $self->enqueue($who, $at_once, $count);
	my $sent = sub { (Baseline::counted(@$self{ 'servers', 'simulator' }))[0] - $before };
	my $started = clock_gettime(CLOCK_MONOTONIC);

	# The simulator is asked first: that costs the server nothing.
	$self->wait_for(sub { $sent->() >= $count });
	$self->wait_for(sub { $self->rows($who, 'answered') == $count });
	my $wall = clock_gettime(CLOCK_MONOTONIC) - $started;
	$sent->() == $count or die $sent->(), " requests were sent, not $count\n";
	return [ map { $_ * 1e6 / $count } $wall, $worker->cpu - $cpu ];
}

# Kill the server when so many requests to channels have been sent, and let it go on.  Returns how
# many were sent, how many of them twice, and the answers that are there.
sub crash
{
	my ($self, $who, $at_once, $kill_at, $journal) = @_;

	truncate($journal, 0) or die "$journal: $!";
	my $before = $self->enqueue($who, $at_once, $self->{channels});
	$self->wait_for(sub { (Baseline::counted(@$self{ 'servers', 'simulator' }))[0] - $before >= $kill_at });
	delete $self->{session};
	$self->{servers}->crash(@{ $self->{settings} });
	$self->{session} = Session->new($self->{servers});
	$self->wait_for(sub { $self->rows($who, 'waiting') == 0 });
	sleep 2; # for what may still be on its way
	open(my $lines, '<', $journal) or die "$journal: $!";
	my %sent;
	m{/v1/Channels/(CH\w+)} and $sent{$1}++ while <$lines>;
	return (scalar keys %sent, scalar(grep { $_ > 1 } values %sent), $self->rows($who, 'answered'));
}

1;
