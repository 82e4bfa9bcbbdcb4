# A list can be read as the scan of a table reads: a little of it, again from the
# beginning, to an end anywhere; an error in the middle leaves nothing behind.  No SQL
# function does so, hence a library for this test, of the extension's objects.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $library = FlexApi::module('scan');

my $ROWS = 35;
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('scans', $simulator, 'flex_api.max_retries = 0', "flex_api.timeout = '60s'");
$simulator->post('seed', { channels => $ROWS });
my $control = FlexApi::Session->new($node);
my @sids = split / /, $control->value("SELECT string_agg(sid, ' ') FROM flex_channels_list()");
my $session = FlexApi::Session->new($node);

$session->value("CREATE FUNCTION $_ LANGUAGE C STRICT AS '$library'") foreach
	'scan_begin(operation text, arguments jsonb, most_rows bigint, look_ahead boolean) RETURNS void',
	'scan_read(rows int) RETURNS text', 'scan_rescan() RETURNS void', 'scan_end() RETURNS void',
	'scan_signature() RETURNS text', 'scan_look_up(operation text) RETURNS void';

# Begin a scan of pages of ten rows, in a transaction.
sub begin
{
	my ($look_ahead, $most_rows) = @_;

	$simulator->clear_requests;
	$session->value('BEGIN');
	$most_rows //= '9223372036854775807';
	return $session->value("SELECT scan_begin('flex_channels_list', '{\"page_size\": 10}', $most_rows, $look_ahead)");
}

sub rescan { return $session->value('SELECT scan_rescan()'); }
sub end { $session->value('SELECT scan_end()'); return $session->value('COMMIT'); }
sub requests { return scalar $simulator->requests; }

# Reads so many rows, which must be those from that place on, after so many requests in all.
sub reads
{
	my ($rows, $from, $to, $requests, $name) = @_;

	is($session->value("SELECT scan_read($rows)"), join(' ', @sids[ $from .. $to ]), $name);
	is(requests(), $requests, "... $requests requests");
	return;
}

# What is left of scans: memory and files.
sub contexts { return $session->value(q{SELECT count(*) FROM pg_backend_memory_contexts WHERE name IN ('flex_api pages', 'flex_api page', 'scan')}); }
sub files { return FlexApi::open_files($session->pid); }

# A little, without looking ahead
begin('false');
is(requests(), 0, 'to begin costs no request');
reads(7, 0, 6, 1, 'seven rows');
reads(3, 7, 9, 1, 'the rest of the page');
reads(1, 10, 10, 2, 'a row of the next page');
reads(100, 11, 34, 4, 'all others');
reads(1, 1, 0, 4, 'there are no more');
reads(1, 1, 0, 4, 'which can be asked again');
end();
is(contexts(), 0, 'the end leaves no memory');
my $files = files();

# Again
begin('false');
rescan();
reads(5, 0, 4, 1, 'a rescan before anything is read');
rescan();
reads(10, 0, 9, 1, 'a rescan of the first page needs no request');
reads(2, 10, 11, 2, 'then comes the second');
rescan();
reads(35, 0, 34, 6, 'a rescan from there begins anew');
reads(1, 1, 0, 6, 'and comes to the end');
rescan();
reads(1, 0, 0, 7, 'and from the end');
end();
begin('false', 10);
reads(20, 0, 9, 1, 'no more rows than are wanted, and no request for them');
reads(1, 1, 0, 1, 'at its end');
rescan();
reads(20, 0, 9, 1, 'which is another with a rescan');
end();
begin('true', 12);
reads(20, 0, 11, 2, 'nor when looking ahead');
end();
begin('false', 0);
reads(1, 1, 0, 0, 'no row at all');
end();

# Looking ahead, to an end in the middle of a request; by command, or by that of the transaction
foreach my $end ('SELECT scan_end(); COMMIT', 'COMMIT', 'ROLLBACK')
{
	begin('true');
	$simulator->post('faults', { path => '/v1/Channels', skip => 1, stall_after => 50, times => 1 });
	is($session->value('SELECT scan_read(1)'), $sids[0], 'a row, looking ahead');
	ok(FlexApi::wait_until(sub { requests() == 2 }), '... the second page is on its way');
	rescan();
	reads(10, 0, 9, 2, '... and stays so when the first is read again');
	$session->value($_) foreach split /; /, $end;
	is(contexts(), 0, "$end leaves no memory");
	cmp_ok(files(), '<=', $files, '... and no file');
	$simulator->clear_faults;
}
begin('true');
reads(35, 0, 34, 4, 'the next scan is whole');
end();
cmp_ok(files(), '<=', $files, 'files');

# An error in the second page: the transaction's, or one after which the scan goes on
my %FAULTS = (
	'a cut answer' => [ { cut_at => 500 }, '08006' ],
	'an answer that is none' => [ { body => '{}' }, '08P01' ],
	'a row that is none' => [ { set => { sid => 5 } }, '08P01' ],
	'a refusal' => [ { status => 400 }, 'TW400' ]);
foreach my $name (sort keys %FAULTS)
{
	my ($fault, $state) = @{ $FAULTS{$name} };

	foreach my $look_ahead ('true', 'false')
	{
		begin($look_ahead);
		$simulator->post('faults', { path => '/v1/Channels', skip => 1, %$fault });
		is($session->sqlstate('SELECT scan_read(12)'), $state, "$name, looking ahead: $look_ahead");
		$session->value('ROLLBACK');
		is(contexts(), 0, '... leaves no memory');
		cmp_ok(files(), '<=', $files, '... and no file');
		$simulator->clear_faults;

		begin($look_ahead);
		$simulator->post('faults', { path => '/v1/Channels', skip => 1, %$fault });
		$session->value('SAVEPOINT s');
		is($session->sqlstate('SELECT scan_read(12)'), $state, '... in a subtransaction');
		$session->value('ROLLBACK TO s');
		$simulator->clear_faults;
		$simulator->clear_requests;
		rescan();
		reads(35, 0, 34, 4, '... which a rescan survives');
		end();
	}
}

# A cancel while a page is waited for
begin('false');
$simulator->post('faults', { path => '/v1/Channels', stall_after => 50, times => 1 });
$session->value('SAVEPOINT s');
$session->send_query('SELECT scan_read(1)');
FlexApi::wait_until(sub { requests() == 1 });
$control->value('SELECT pg_cancel_backend(' . $session->pid . ')');
is($session->receive->{error}->{C}, '57014', 'a cancel while a page is waited for');
$session->value('ROLLBACK TO s');
rescan();
reads(1, 0, 0, 2, '... and a rescan');
end();
is(contexts(), 0, 'no memory');
cmp_ok(files(), '<=', $files, 'no file');

# What the scan knows of its function does not change when functions do
begin('false');
my $signature = $session->value('SELECT scan_signature()');
is($signature, 'flex_channels_list page_size=PageSize max_rows=MaxRows', 'the signature');
$session->value('ALTER FUNCTION flex_channels_list COST 1001');
$session->value("SELECT scan_look_up('$_')") foreach qw(flex_webchat_create flex_interaction_create flex_channel_create);
is($session->value('SELECT scan_signature()'), $signature, '... when others were looked up after a change');
$session->value('ALTER TYPE flex_channel ADD ATTRIBUTE something text');
reads(35, 0, 34, 4, '... nor do its rows');
end();

$_->close foreach $session, $control;
$node->stop;
done_testing();
