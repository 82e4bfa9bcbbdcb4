# Neighbour: processes in the background, for the failover tools' modules.
package Neighbour;

use strict;
use warnings;

use Exporter qw(import);
use PostgreSQL::Test::Cluster;
use Time::HiRes qw(sleep time);

our @EXPORT_OK = qw(run_in_background stop_process port content append quiet wait_until children);

# A port that nobody uses.
sub port { return PostgreSQL::Test::Cluster::get_free_port(); }

# Start a program in a group of its own; returns its process's number.
sub run_in_background
{
	my ($log, @command) = @_;
	my $pid = fork // die "fork: $!";

	return $pid if $pid;
	setpgrp(0, 0);
	open(STDOUT, '>>', $log) && open(STDERR, '>&', \*STDOUT) && open(STDIN, '<', '/dev/null') or POSIX::_exit(126);
	exec(@command) or POSIX::_exit(127);
}

# Signal a process, and wait until it is gone; after half a minute it is killed, with its group.
sub stop_process
{
	my ($pid, $signal) = @_;

	kill $signal, $pid if $signal;
	return if wait_until(sub { waitpid($pid, POSIX::WNOHANG()) != 0 }, 30);
	kill 'KILL', -$pid;
	waitpid $pid, 0;
	return;
}

# All processes below one.
sub children
{
	my ($pid) = @_;
	my @direct = split ' ', qx(pgrep -P $pid);

	return map { ($_, children($_)) } @direct;
}

sub content { my ($path) = @_; open(my $file, '<', $path) or return ''; local $/; return readline($file) // ''; }

sub append { my ($path, @lines) = @_; open(my $file, '>>', $path) or die "$path: $!"; print $file map { "$_\n" } @lines; close $file or die; return; }

# Run a command that must succeed, and show what it says only if it does not.
sub quiet
{
	my ($command) = @_;
	my $output = qx($command 2>&1);

	die "$command: $output" if $?;
	return $output;
}

sub wait_until
{
	my ($condition, $seconds) = @_;
	my $end = time() + $seconds;

	until ($condition->())
	{
		return 0 if time() > $end;
		sleep 0.1;
	}
	return 1;
}

1;
