# AutoFailover: two nodes under pg_auto_failover's keepers, and its monitor.
package AutoFailover;

use strict;
use warnings;

use Neighbour qw(run_in_background stop_process port content append quiet wait_until);

sub name { return 'pg_auto_failover'; }

# directory: where all of it stands; conf: lines for each node's postgresql.conf.
sub new
{
	my ($class, $directory, $conf) = @_;
	my $self = bless { directory => $directory, nodes => [], processes => {} }, $class;
	chomp(my $bin = qx(pg_config --bindir));
	my $monitor = { data => "$directory/monitor", port => port() };

	$self->{monitor} = $monitor;
	# The keepers keep their own files there.
	$ENV{XDG_CONFIG_HOME} = "$directory/config";
	$ENV{XDG_DATA_HOME} = "$directory/data";
	$ENV{XDG_RUNTIME_DIR} = "$directory/runtime";
	# Where the servers' sockets are, and where its programs look for them.
	$ENV{PG_REGRESS_SOCK_DIR} = $ENV{PGHOST} = $directory;
	mkdir $ENV{$_} foreach qw(XDG_CONFIG_HOME XDG_DATA_HOME XDG_RUNTIME_DIR);
	quiet("pg_autoctl create monitor --pgctl $bin/pg_ctl --pgdata $monitor->{data} --pgport $monitor->{port} --auth trust --no-ssl --hostname localhost");
	append("$monitor->{data}/postgresql.conf", "unix_socket_directories = '$directory'",
		# It asks the nodes less often by default, and believes them for longer.
		'pgautofailover.health_check_period = 1000', 'pgautofailover.node_considered_unhealthy_timeout = 8000',
		'pgautofailover.health_check_timeout = 1000', 'pgautofailover.health_check_retry_delay = 500',
		'pgautofailover.primary_demote_timeout = 5000');
	$self->_run($monitor);
	foreach my $number (1, 2)
	{
		my $node = { name => "node_$number", data => "$directory/node$number", port => port() };

		push @{ $self->{nodes} }, $node;
		quiet("pg_autoctl create postgres --pgctl $bin/pg_ctl --pgdata $node->{data} --pgport $node->{port} --auth trust --no-ssl --hostname localhost"
			  . " --name $node->{name} --monitor postgres://autoctl_node\@localhost:$monitor->{port}/pg_auto_failover");
		append("$node->{data}/postgresql.conf", "unix_socket_directories = '$directory'", @$conf) if $number == 1;
		$self->_run($node);
		wait_until(sub { $self->_state($number == 1 ? 'single' : 'primary') }, 120) or die "node $number does not start";
	}
	return $self;
}

sub _run
{
	my ($self, $node) = @_;

	$node->{pid} = run_in_background("$node->{data}.log", 'pg_autoctl', 'run', '--pgdata', $node->{data});
	return;
}

# True when a node has a state, as the monitor reports it.
sub _state
{
	my ($self, @states) = @_;
	my $report = qx(pg_autoctl show state --pgdata $self->{monitor}->{data} 2>/dev/null);

	return scalar grep { my $state = $_; $report =~ /\|\s+$state \|\s+$state$/m || $report =~ /\|\s+$state\s*\|\s+$state\s*$/m } @states;
}

# What the tool says of its nodes.
sub describe { return split /\n/, qx(pg_autoctl show state --pgdata $_[0]->{monitor}->{data} 2>&1); }

sub nodes { return @{ $_[0]->{nodes} }; }

# Both nodes stand, and the standby is synchronous.
sub is_whole { my ($self) = @_; return $self->_state('primary') && $self->_state('secondary'); }

# What a kill needs: the keeper would start the server again.
sub kill_primary
{
	my ($self, $node) = @_;
	my ($postmaster) = content("$node->{data}/postmaster.pid") =~ /^(\d+)/;

	kill 'KILL', $node->{pid}, Neighbour::children($node->{pid});
	kill 'KILL', $postmaster;
	stop_process($node->{pid});
	return;
}

sub bring_back
{
	my ($self, $node) = @_;

	unlink "$node->{data}/postmaster.pid" if !kill 0, (content("$node->{data}/postmaster.pid") =~ /^(\d+)/)[0] // 0;
	$self->_run($node);
	return;
}

sub switch_over
{
	my ($self) = @_;

	# The monitor may meet a node's report, and be the one that gives way.
	foreach my $time (1 .. 5)
	{
		return if eval { quiet("pg_autoctl perform switchover --pgdata $self->{monitor}->{data} --wait 60"); 1 };
		die $@ if $time == 5 || $@ !~ /deadlock detected/;
	}
	return;
}

sub stop
{
	my ($self) = @_;

	stop_process($_->{pid}, 'INT') foreach @{ $self->{nodes} }, $self->{monitor};
	return;
}

1;
