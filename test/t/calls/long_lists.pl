# Long lists: all rows, in bounded memory, the next page on its way while the last
# one is decoded, and an end in the middle that leaves nothing behind.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $ROWS = 100_000;
my $PAGES = 100;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('lists', $simulator, "work_mem = '256kB'", "flex_api.max_retries = 0");
my $control = FlexApi::Session->new($node);

# All rows once, whatever the page size.
is($simulator->post('seed', { channels => $ROWS })->{channels}, $ROWS, 'so many channels');
my $session = FlexApi::Session->new($node);
my $pid = $session->pid;

$session->value('SELECT count(*) FROM flex_channels_list(max_rows => 10)');
my $before = FlexApi::status_of($pid, 'RssAnon');
ok(reset_peak($pid), 'the peak of memory can be watched');
my $peak_before = FlexApi::status_of($pid, 'VmHWM');
$simulator->clear_requests;
my $result = $session->query(<<'SQL');
SELECT count(*), count(DISTINCT sid), bool_and(sid ~ '^CH[0-9a-f]{32}$'), bool_and(date_created IS NOT NULL)
FROM flex_channels_list()
SQL
is_deeply($result->{rows}, [ [ $ROWS, $ROWS, 't', 't' ] ], 'all rows, each once');
is(scalar $simulator->requests, $PAGES, 'in as few pages as there can be');
my $after = FlexApi::status_of($pid, 'RssAnon');
my $peak = FlexApi::status_of($pid, 'VmHWM');
note(sprintf '%d rows in %.2f s; RssAnon %d kB before, %d kB after; peak %d kB before, %d kB after',
	$ROWS, $result->{seconds}, $before, $after, $peak_before, $peak);
cmp_ok($peak - $peak_before, '<', 16 * 1024, 'at most 16 MB more, two pages included') unless $ENV{FLEX_SLOW_BUILD};
cmp_ok($after - $before, '<', 4 * 1024, 'which are given back') unless $ENV{FLEX_SLOW_BUILD};

# Another list of the same size needs no more than the first.
ok(reset_peak($pid), 'once more');
$session->value('SELECT count(*) FROM flex_channels_list()');
cmp_ok(FlexApi::status_of($pid, 'RssAnon') - $after, '<', 1024, 'a second list leaves nothing more') unless $ENV{FLEX_SLOW_BUILD};

# Sums, against what the simulator tells page by page by itself.
my $total = $session->value('SELECT sum(hashtextextended(sid, 0)) FROM flex_channels_list(page_size => 1000)');
my $other = $session->value('SELECT sum(hashtextextended(sid, 0)) FROM flex_channels_list(page_size => 999)');
is($other, $total, 'page sizes that differ give the same rows');
is($session->value('SELECT count(*) FROM flex_channels_list(max_rows => 2500)'), 2500, 'max_rows is kept');
$simulator->clear_requests;
$session->value('SELECT count(*) FROM flex_channels_list(max_rows => 2500)');
is(scalar $simulator->requests, 3, 'and no page beyond is asked for');

# The next page is asked for before this one's rows are made: a row that cannot be
# made does not keep it from being asked for.
$simulator->clear_requests;
$simulator->post('faults', { path => '/v1/Channels', set => { sid => 5 } });
is($session->sqlstate('SELECT count(*) FROM flex_channels_list(page_size => 10)'), '08P01', 'a page of rows that are none');
$simulator->clear_faults;
ok(FlexApi::wait_until(sub { $simulator->requests == 2 }), 'the page after it had been asked for');

# So the service works meanwhile: it has the request for the second page while the rows of the
# first are made.  This one answers when the backend has nothing more to do, and says how much
# that was.  Rows with much JSON in them are dear to make, and so many of them take longer by far than
# this process has to wait for its turn on a busy machine, when the request is there.
my $LARGE = 3000;
my $column = join ',', map { "\"member_$_\":[$_,\"" . 'text ' x 5 . '",{"a":null}]' } 1 .. 80;
my $rows = join ',', ("{\"sid\":\"FO\",\"integration\":{$column}}") x $LARGE;
my $backend = $session->pid;
my $server = FlexApi::Server->new(sub {
	my ($connection, $self) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		my $is_second = $request->{path} =~ /Page=2/;
		my $next = $is_second ? 'null' : '"' . $self->url . '/v1/FlexFlows?Page=2"';

		$self->note('worked ' . work_until_idle($backend)) if $is_second;
		print $connection FlexApi::Server::answer(
			"{\"meta\":{\"key\":\"flex_flows\",\"next_page_url\":$next},\"flex_flows\":[$rows]}");
	}
});

# Seconds of CPU that a process uses from now on, until it uses none for two seconds: on a busy
# machine it may have to wait for its turn.
sub work_until_idle
{
	my ($pid) = @_;
	my $first = FlexApi::cpu_seconds($pid);
	my ($last, $idle) = ($first, 0);

	while ($idle < 40)
	{
		sleep 0.05;
		my $now = FlexApi::cpu_seconds($pid);
		$idle = $now == $last ? $idle + 1 : 0;
		$last = $now;
	}
	return $last - $first;
}

$session->value("SET flex_api.base_url = '" . $server->url . "'");
my $begun = FlexApi::cpu_seconds($backend);
is($session->value('SELECT count(*) FROM flex_flows_list()'), 2 * $LARGE, 'rows with much JSON');
my $all_work = FlexApi::cpu_seconds($backend) - $begun;
my ($hidden) = map { /^worked (.*)/ } $server->notes;
note(sprintf '%.0f of %.0f ms of our work on two pages while the second is asked for', 1000 * $hidden, 1000 * $all_work);
# Half of the work is to check the pages, which comes before the next one is asked for; half of the rest
# is that of the first page.
cmp_ok($hidden, '>', 0.2 * $all_work, 'the service works while rows are made');
$session->value('RESET flex_api.base_url');

# The peak begins anew (Linux; else the peak is that of the whole life).
sub reset_peak
{
	my ($of) = @_;
	open(my $file, '>', "/proc/$of/clear_refs") or return 0;
	return syswrite($file, '5') == 1;
}

# A cancel in the middle of page 50: nothing stays, the next list is whole.
my @files;
foreach my $way ('cancel', 'statement_timeout', 'cancel again')
{
	$simulator->clear_requests;
	$simulator->post('faults', { path => '/v1/Channels', skip => 49, stall_after => 50_000, times => 1 });
	$session->value("SET statement_timeout = '@{[ $ENV{FLEX_SLOW_BUILD} ? 20 : 5 ]}s'") if $way eq 'statement_timeout';
	$session->send_query('SELECT count(*) FROM flex_channels_list()');
	if ($way =~ /^cancel/)
	{
		FlexApi::wait_until(sub { $simulator->requests == 50 });
		$control->value("SELECT pg_cancel_backend($pid)");
	}
	my $ended = $session->receive;
	is($ended->{error}->{C}, '57014', "$way in the middle of page 50");
	like($ended->{error}->{W}, qr{^Flex API request GET /v1/Channels}m, "$way: the context names the request");
	$session->value('RESET statement_timeout');
	$simulator->clear_faults;
	is(scalar $simulator->requests, 50, "$way: fifty pages had been asked for");
	is($session->value('SELECT count(*) FROM flex_channels_list(max_rows => 3000)'), 3000, "$way: the next list is whole");
	push @files, FlexApi::open_files($pid);
}
is($files[2], $files[0], 'no file is left open');
is($session->value("SELECT count(*) FROM pg_ls_tmpdir()"), 0, 'nor a temporary one');

# A list that breaks in its middle is an error, never a shorter list.
foreach my $fault ({ cut_at => 5000 }, { status => 500 }, { body => '{}' }, { body => '' })
{
	$simulator->post('faults', { path => '/v1/Channels', skip => 2, %$fault });
	my $broken = $session->query('SELECT sid FROM flex_channels_list(max_rows => 5000)');
	my ($what) = %$fault;
	like($broken->{error}->{C} // 'none', qr/^(08006|08P01|TW500)$/, "an error when page 3 has $what");
	is(scalar @{ $broken->{rows} }, 0, 'and no row');
	$simulator->clear_faults;
}

# Many at once in a session: cursors, and a join of two lists.
is($session->value(<<'SQL'), 1000, 'two lists in a join');
SELECT count(*) FROM flex_channels_list(max_rows => 1000) a JOIN flex_channels_list(max_rows => 1000) b USING (sid)
SQL

$_->close foreach $session, $control;
$node->stop;
done_testing();
