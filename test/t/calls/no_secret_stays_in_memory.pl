# What is left of credentials in the memory of a session that has called the service: what
# the extension keeps for the next call, and what libcurl and the TLS library have let go of.
# Every other copy has been erased.
#
# The memory is read from outside, as a core file would have it.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use File::Temp qw(tempdir);
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $A = 'AC' . 'a' x 32;
my $directory = tempdir(CLEANUP => 1);
my $path = "$directory/credentials";
my $GET = 'SELECT sid FROM flex_channels_list(max_rows => 1)';

my $server = FlexApi::Server->new(sub {
	my ($connection, $self) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		$self->note($request->{head} =~ /^authorization: *(.*?)\r?$/mi);
		my $next = $request->{path} =~ /n=/ ? 'null' : '"https://flex-api.twilio.com/v1/Insights/Segments?n=1"';
		print $connection FlexApi::Server::answer(qq({"meta": {"key": "rows", "next_page_url": $next}, "rows": [{}]}));
	}
});
my $node = PostgreSQL::Test::Cluster->new('memory');
$node->init;
$node->append_conf('postgresql.conf', "flex_api.base_url = '" . $server->url . "'\nflex_api.credentials_file = '$path'\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION flex_api');

sub write_file
{
	my ($text) = @_;

	unlink $path;
	open(my $file, '>:raw', $path) or die $!;
	print $file $text;
	close $file;
	return chmod 0600, $path;
}

# How many times texts stand in what a process may write to, shared memory apart.
sub copies
{
	my ($pid, @texts) = @_;
	my %count = map { $_ => 0 } @texts;

	open(my $memory, '<:raw', "/proc/$pid/mem") or return;
	foreach my $line (split /\n/, FlexApi::content("/proc/$pid/maps"))
	{
		my ($from, $to) = $line =~ /^([0-9a-f]+)-([0-9a-f]+) rw-p/ or next;

		{ no warnings 'portable'; ($from, $to) = (hex $from, hex $to); }
		# Sanitizers reserve more than there is.
		next if $to - $from > 1 << 30;
		sysseek($memory, $from, 0) or next;
		sysread($memory, my $bytes, $to - $from) or next;
		foreach my $text (@texts)
		{
			my $at = -1;
			$count{$text}++ while ($at = index($bytes, $text, $at + 1)) >= 0;
		}
	}
	return map { $count{$_} } @texts;
}

sub base64 { my ($text) = @_; return encode_base64($text, ''); }

my $session = FlexApi::Session->new($node);
plan skip_all => 'the memory of other processes cannot be read' unless defined((copies($session->pid, 'x'))[0]);
$session->value(q{SELECT set_config('application_name', 'word-that-is-there', false)});
cmp_ok((copies($session->pid, 'word-that-is-there'))[0], '>', 0, 'what is there is found');

# The file: the line that is used, one that is another role's, and two that a better one displaces.
my ($used, $others, $token, $second) = map { "memory-secret-$_-" . 'x' x 20 } 1 .. 4;
my $me = $session->value('SELECT current_user');
write_file("$A:nobody:$A:$others\n$A:$me:$A:$token\n$A:$me:SK1:$used\n$A:$me:SK2:$second\n");
is($session->sqlstate($GET), '00000', 'a call with the file');
is(($server->notes)[0], 'Basic ' . base64("SK1:$used"), '... sends the key\'s line');
is_deeply([ copies($session->pid, $used, $others, $token, $second) ], [ 1, 0, 0, 0 ], 'of the file, the secret that is used stays, once');
is_deeply([ copies($session->pid, base64("$A:$token"), base64("SK2:$second")) ], [ 0, 0 ], 'nothing of lines that were not taken');
my ($sent) = copies($session->pid, base64("SK1:$used"));
cmp_ok($sent, '<=', 1, "what was sent stands in memory $sent times: libcurl has let go of it");

# When the file has changed, what was kept goes.
write_file("$A:$me:$A:new\n");
is($session->sqlstate($GET), '00000', 'a call with the changed file');
is((copies($session->pid, $used))[0], 0, 'what was kept before is gone');

# Lines of two accounts are an error, after which nothing stays either.
my $b = 'AC' . 'b' x 32;
write_file("$A:$me:$A:$token\n$b:$me:$b:$second\n");
is($session->sqlstate($GET), '55000', 'two accounts');
is_deeply([ copies($session->pid, $token, $second, base64("$A:$token"), base64("$b:$second")) ], [ 0, 0, 0, 0 ], '... leave nothing');

# The argument of Insights, of which the statement's own copies are the server's.
my $bearer = 'Bearer ' . 'memory-token-' x 3;
write_file("$A:$me:$A:new\n");
$session->close;
$session = FlexApi::Session->new($node);
$session->value(qq{CREATE FUNCTION bearer() RETURNS text LANGUAGE sql AS \$\$ SELECT concat('Bearer ', repeat('memory-' || 'token-', 3)) \$\$});
$server->clear_notes;
is($session->value('SELECT count(*) FROM flex_insights_segments_list("authorization" => bearer())'), 2, 'a list of two pages with an Authorization of its own');
is_deeply([ $server->notes ], [ $bearer, $bearer ], '... which each page was asked for with');
my ($of_insights) = copies($session->pid, "Authorization: $bearer");
cmp_ok($of_insights, '<=', 2, "the header stands in memory $of_insights times, what libcurl has let go of");

$session->close;
$node->stop;
done_testing;
