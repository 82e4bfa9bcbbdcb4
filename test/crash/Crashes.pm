# Crashes: rounds of all kinds on two clusters and one simulator, and their table.
package Crashes;

use strict;
use warnings;

use File::Basename qw(dirname);
use FlexApi;
use File::Temp;
use Journal;
use Kinds;
use List::Util qw(max shuffle sum0);
use Round;

my $HERE = dirname(__FILE__);
my @COLUMNS = (qw(rounds snapshot requests ordered succeeded failed cancelled uncertain), 'of it done', qw(decided deleted), 'not durable',
	qw(doubled lost), 'out of order');

sub new
{
	my ($class, $seed) = @_;
	my $folder = File::Temp->newdir;
	my $self = bless { folder => $folder, figures => {}, flows => [], seen => {}, problems => [] }, $class;

	srand $seed;
	$self->{simulator} = FlexApi::Simulator->new('--journal', "$folder/journal");
	$self->{simulator}->post('settings', { record => JSON::PP::false });
	$self->{journal} = Journal->new("$folder/journal");
	$self->{nodes}->{plain} = $self->_node('plain');
	$self->{nodes}->{preloaded} = $self->_node('preloaded', "shared_preload_libraries = 'flex_api'");
	return $self;
}

sub _node
{
	my ($self, $name, @lines) = @_;
	my $node = FlexApi::node($name, $self->{simulator}, @lines, 'restart_after_crash = on',
		"flex_api.rate_limits = 'none'", 'flex_api.timeout = 2s', 'flex_api.outbox_retention = 0', 'log_statement = none', 'log_min_error_statement = panic');

	$node->safe_psql('postgres', FlexApi::content("$HERE/objects.sql") . 'CALL flex_outbox_drain()');
	return $node;
}

# SIDs of flows that exist, for requests that need one each.
sub _fill_flows
{
	my ($self) = @_;
	my $session;

	return if @{ $self->{flows} } > 200;
	$self->{simulator}->post('seed', { flows => 1000 });
	$session = FlexApi::Session->new($self->{nodes}->{plain});
	# Flows that rounds have made are not to be deleted: their SIDs are looked at in the end.
	my $rows = $session->query("SELECT sid FROM flex_flows_list() WHERE friendly_name !~ '^r[0-9]+-'")->{rows};
	my @new = grep { !$self->{seen}->{$_}++ } map { $_->[0] } @$rows;
	push @{ $self->{flows} }, @new;
	return;
}

# Run so many rounds, each kind as often as the others; report is called after each.
sub run
{
	my ($self, $count, $report) = @_;
	my @kinds;

	for my $number (1 .. $count)
	{
		@kinds = shuffle @Kinds::ALL unless @kinds;
		my $kind = shift @kinds;
		$self->_fill_flows;
		my $round = Round->new(
			kind => $kind, number => $number, flows => $self->{flows}, journal => $self->{journal},
			simulator => $self->{simulator}, node => $self->{nodes}->{ $kind->[1] },
			snapshot => $self->{snapshots}->{ $kind->[1] } //= {});
		my ($figures, @problems) = eval { $round->run };
		die "round $number, $kind->[0]: $@" if !$figures;
		my $sum = $self->{figures}->{ $kind->[0] } //= {};

		$sum->{rounds}++;
		$sum->{$_} += $figures->{$_} foreach keys %$figures;
		push @{ $self->{problems} }, map { "round $number, $kind->[0]: $_" } @problems;
		$report->($number, $kind->[0], $figures, @problems);
	}
	return;
}

# The SIDs that the outbox has of flows it made, which the service must know by the same
# name.  Returns those that it does not.
sub unknown_sids
{
	my ($self) = @_;
	my $flows = FlexApi::Session->new($self->{nodes}->{plain})->query('SELECT sid, friendly_name FROM flex_flows_list()');
	my %name_of = map { @$_ } @{ $flows->{rows} };
	my @unknown;

	foreach my $node (values %{ $self->{nodes} })
	{
		my $result = FlexApi::Session->new($node)->query(
			"SELECT sid, tag FROM judged WHERE operation = 'flex_flow_create' AND state = 'succeeded' AND decisions !~ 'confirm' IS NOT FALSE");
		push @unknown, map { $_->[1] } grep { ($name_of{ $_->[0] } // '') ne $_->[1] } @{ $result->{rows} };
	}
	return @unknown;
}

# How many of a table's rows both clusters have, on a condition.
sub count
{
	my ($self, $what) = @_;

	return sum0(map { FlexApi::Session->new($_)->value("SELECT count(*) FROM $what") } values %{ $self->{nodes} });
}

sub problems { return @{ $_[0]->{problems} }; }
sub total { my ($self, $column) = @_; return sum0(map { $_->{$column} // 0 } values %{ $self->{figures} }); }

# The table, as lines.
sub table
{
	my ($self) = @_;
	my $line = sub { return sprintf('%-28s', shift) . join('', map { sprintf(' %*s', max(7, length $COLUMNS[$_]), $_[$_]) } 0 .. $#COLUMNS); };

	return (
		$line->('interrupted by', @COLUMNS),
		(map { my $figures = $self->{figures}->{$_}; $line->($_, map { $figures->{$_} // 0 } @COLUMNS) } sort keys %{ $self->{figures} }),
		$line->('all', map { $self->total($_) } @COLUMNS));
}

sub stop { my ($self) = @_; $_->stop('fast') foreach values %{ $self->{nodes} }; return; }

1;
