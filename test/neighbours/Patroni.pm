# Patroni: two nodes under Patroni, and an etcd of one process.
package Patroni;

use strict;
use warnings;

use Neighbour qw(run_in_background stop_process port content append quiet wait_until);

sub name { return 'Patroni'; }

# directory: where all of it stands; conf: lines for each node's postgresql.conf.
sub new
{
	my ($class, $directory, $conf) = @_;
	my ($client, $peer) = (port(), port());
	my $self = bless { directory => $directory, nodes => [], client => $client }, $class;

	$self->{etcd} = run_in_background("$directory/etcd.log", 'etcd', '--name', 'one', '--data-dir', "$directory/etcd",
		'--listen-client-urls', "http://127.0.0.1:$client", '--advertise-client-urls', "http://127.0.0.1:$client",
		'--listen-peer-urls', "http://127.0.0.1:$peer", '--initial-advertise-peer-urls', "http://127.0.0.1:$peer",
		'--initial-cluster', "one=http://127.0.0.1:$peer", '--enable-v2=true');
	foreach my $number (1, 2)
	{
		my $node = { name => "node$number", data => "$directory/patroni$number", port => port(), rest => port() };

		push @{ $self->{nodes} }, $node;
		$self->_configure($node, $conf);
		$self->_run($node);
		wait_until(sub { ($self->_role($node) // '') eq ($number == 1 ? 'master' : 'sync_standby') }, 120)
		  or die "node $number does not start";
	}
	return $self;
}

sub _configure
{
	my ($self, $node, $conf) = @_;
	my ($bin) = split /\n/, qx(pg_config --bindir);
	my $parameters = join '', map { /^(\S+) = (.*)$/ ? "          $1: $2\n" : () } @$conf;
	my $user = getpwuid($<);

	open(my $file, '>', "$node->{data}.yml") or die "$node->{data}.yml: $!";
	print $file <<"YAML";
scope: flex
name: $node->{name}
restapi: {listen: '127.0.0.1:$node->{rest}', connect_address: '127.0.0.1:$node->{rest}'}
etcd: {host: '127.0.0.1:$self->{client}'}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 1
    retry_timeout: 3
    maximum_lag_on_failover: 1048576
    synchronous_mode: true
    postgresql:
      use_pg_rewind: true
      parameters:
$parameters
  initdb: [{encoding: UTF8}, {locale: C.UTF-8}, data-checksums]
  pg_hba: ['local all all trust', 'host all all 127.0.0.1/32 trust', 'host replication all 127.0.0.1/32 trust']
postgresql:
  listen: 127.0.0.1:$node->{port}
  connect_address: 127.0.0.1:$node->{port}
  data_dir: $node->{data}
  bin_dir: $bin
  authentication:
    superuser: {username: $user}
    replication: {username: $user}
    rewind: {username: $user}
  parameters: {unix_socket_directories: '$self->{directory}'}
YAML
	close $file or die;
	return;
}

sub _run
{
	my ($self, $node) = @_;

	$node->{pid} = run_in_background("$node->{data}.log", 'patroni', "$node->{data}.yml");
	return;
}

# The role of a node, as the cluster's members know it.
sub _role
{
	my ($self, $node) = @_;

	foreach my $asked ($self->nodes)
	{
		my $answer = qx(curl -s -m 2 http://127.0.0.1:$asked->{rest}/cluster);
		foreach my $member ($answer =~ /(\{[^{}]*"name"[^{}]*\})/g)
		{
			next unless $member =~ /"name": "$node->{name}"/ && $member =~ /"state": "(running|streaming)"/;
			return $1 =~ s/leader/master/r if $member =~ /"role": "([a-z_]+)"/;
		}
	}
	return;
}

# What the tool says of its nodes.
sub describe { return split /\n/, qx(curl -s http://127.0.0.1:$_[0]->{nodes}->[0]->{rest}/cluster); }

sub nodes { return @{ $_[0]->{nodes} }; }

sub is_whole { my ($self) = @_; return join(' ', sort map { $self->_role($_) // '' } $self->nodes) eq 'master sync_standby'; }

sub kill_primary
{
	my ($self, $node) = @_;
	my ($postmaster) = content("$node->{data}/postmaster.pid") =~ /^(\d+)/;

	kill 'KILL', $node->{pid};
	kill 'KILL', $postmaster;
	stop_process($node->{pid});
	return;
}

sub bring_back { my ($self, $node) = @_; return $self->_run($node); }

sub switch_over
{
	my ($self) = @_;
	my ($from) = grep { ($self->_role($_) // '') eq 'master' } $self->nodes;

	quiet("curl -s -f -m 60 -X POST -d '{\"leader\":\"$from->{name}\"}' http://127.0.0.1:$from->{rest}/switchover");
	return;
}

sub stop
{
	my ($self) = @_;

	# Without a leader's key nothing is asked of etcd any more.
	stop_process($_->{pid}, 'TERM') foreach $self->nodes;
	stop_process($self->{etcd}, 'TERM');
	return;
}

1;
