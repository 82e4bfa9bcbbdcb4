# A list that has no end: the service leads from page to page for ever.  Memory stays bounded,
# and what ends it is what the caller or the server has set: max_rows, statement_timeout, or
# temp_file_limit, for the rows go to a temporary file.  Each leaves nothing behind.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $rows = join ',', ('{"sid":"CH' . 'x' x 200 . '"}') x 1000;
my $server = FlexApi::Server->new(sub {
	my ($connection, $self) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		my $next = ($request->{path} =~ /n=(\d+)/ ? $1 : 0) + 1;
		$self->note($next);
		print $connection FlexApi::Server::answer("{\"meta\":{\"key\":\"rows\",\"next_page_url\":\"https://x/v1/Channels?n=$next\"},\"rows\":[$rows]}");
	}
});
my $node = FlexApi::node('endless', $server);
my $super = FlexApi::Session->new($node);
$super->value($_) foreach 'CREATE ROLE plain LOGIN', 'GRANT EXECUTE ON FUNCTION flex_channels_list, flex_request_list TO plain',
  "ALTER ROLE plain SET temp_file_limit = '20MB'", "ALTER ROLE plain SET work_mem = '1MB'";
my $plain = FlexApi::Session->new($node, user => 'plain');
is($plain->sqlstate('SET temp_file_limit = -1'), '42501', 'the limit is the superuser\'s');

sub files { return $super->value(q{SELECT count(*) FROM pg_ls_dir('base/pgsql_tmp', true, false)}); }

foreach my $list ('flex_channels_list()', "flex_request_list('/v1/Channels')")
{
	$server->clear_notes;
	my $error = $plain->query("SELECT count(*) FROM $list", 60 * FlexApi::slowness())->{error};
	is($error->{C}, '53400', "$list ends at temp_file_limit");
	like($error->{M}, qr/temp_file_limit/, '... which the error names');
	like($error->{W}, qr{^Flex API request GET /v1/Channels}m, '... with the request');
	# A page is 200 kB of rows; the file counts what work_mem has held before, too.
	my $pages = () = $server->notes;
	cmp_ok($pages, '<', 300, "... after $pages pages");
	is(files(), 0, '... and leaves no file');
	is($plain->value('SELECT count(*) FROM flex_channels_list(max_rows => 2500)'), 2500, 'the session goes on, and max_rows ends it, too');
}
$plain->value("SET statement_timeout = '2s'");
$super->value("ALTER ROLE plain RESET temp_file_limit");
my $other = FlexApi::Session->new($node, user => 'plain');
$other->value("SET statement_timeout = '2s'");
is($other->sqlstate('SELECT count(*) FROM flex_channels_list()'), '57014', 'so does statement_timeout');
is(files(), 0, '... and leaves no file');
$_->close foreach $plain, $other, $super;
$node->stop;
done_testing;
