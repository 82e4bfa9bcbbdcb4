# Where the next page of a list is asked for: at the configured origin, gateway's path
# and all, whatever host the page before names.  Credentials go nowhere else.

use strict;
use warnings;

use lib 'test/perl';
use File::Temp ();
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Answers each page with a row that is its request's path and query, and tells that the next
# one is where the file says, with {n} for its number; after three pages comes none.
my $next = File::Temp->new;
my $server = FlexApi::Server->new(sub {
	my ($connection, $self) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		my ($number) = $request->{path} =~ /[?&]n=(\d+)/;
		my $url = FlexApi::content($next->filename) =~ s/\{n\}/($number \/\/ 0) + 1/er;
		my ($authorization) = $request->{head} =~ /^Authorization: (Basic \S+)/mi;

		$self->note("$request->{method} $request->{path} " . ($authorization // 'nobody'));
		$url = ($number // 0) < 2 ? "\"$url\"" : 'null';
		print $connection FlexApi::Server::answer(
			"{\"meta\":{\"key\":\"rows\",\"next_page_url\":$url},\"rows\":[{\"sid\":\"$request->{path}\"}]}");
	}
});
# Another host, as far as a client can see: nobody may come here.
my $stranger = FlexApi::Server->new(sub { my (undef, $self) = @_; $self->note('somebody came'); });
my $node = FlexApi::node('next_page', $server, 'flex_api.max_retries = 0', "flex_api.timeout = '20s'");
my $session = FlexApi::Session->new($node);

# What a list asks for when pages say that the next one is at that URL, under a base URL with that path.
sub asked
{
	my ($base_path, $url, $call) = @_;

	open(my $handle, '>', $next->filename) or die $!;
	print $handle $url;
	close $handle;
	$server->clear_notes;
	$session->value("SET flex_api.base_url = '" . $server->url . "$base_path'");
	my $result = $session->query('SELECT count(*) FROM ' . ($call // 'flex_channels_list(page_size => 5)'));
	my @notes = $server->notes;
	is(scalar(grep { /Basic / } @notes), scalar @notes, "$base_path, $url: each with the credentials") unless $result->{error};
	return $result->{error} ? $result->{error}->{C} : join ' ', map { /^GET (\S+)/ } @notes;
}

sub follows
{
	my ($base_path, $url, $expected, $name) = @_;
	return is(asked($base_path, $url), join(' ', "$expected->[0]?PageSize=5", map { "$expected->[1]&n=$_" } 1, 2), $name);
}

my $path = '/v1/Channels';
my $list = '/v1/Channels?PageSize=5';
my $there = $stranger->url;

follows('', "https://flex-api.twilio.com$list&n={n}", [ $path, $list ], 'the plain host');
follows('', "https://flex-api.dublin.ie1.twilio.com$list&n={n}", [ $path, $list ], 'a host of an edge and a region');
follows('', "$there$list&n={n}", [ $path, $list ], 'a host that would answer');
follows('/', "$there$list&n={n}", [ $path, $list ], 'a slash at the end of the base URL is none');
follows('/twilio', "https://flex-api.twilio.com$list&n={n}", [ "/twilio$path", "/twilio$list" ], 'the path of a gateway is put before');
follows('/twilio', "$there/twilio$list&n={n}", [ "/twilio$path", "/twilio$list" ], 'but not twice');
follows('/a/b/', "https://gateway.example/a/b$list&n={n}", [ "/a/b$path", "/a/b$list" ], 'a longer one');
follows('/twilio', "https://flex-api.twilio.com/twilions$list&n={n}", [ "/twilio$path", "/twilio/twilions$list" ], 'a path that only begins like it');
follows('/v1', "https://flex-api.twilio.com$list&n={n}", [ "/v1$path", "/v1$list" ], 'a gateway whose path is that of the list, which the page leaves out');
follows('/v1', "https://gateway.example/v1$list&n={n}", [ "/v1$path", "/v1$list" ], 'or has');
is(asked('/twilio', "https://flex-api.twilio.com/twilio?n={n}"), "/twilio$path?PageSize=5 /twilio/twilio?n=1 /twilio/twilio?n=2", 'the gateway\'s path alone is a path');
is(asked('/twilio', "https://flex-api.twilio.com/twilio/../x?n={n}"), '08P01', 'dots in it are an error');

# A list without meta has the next page's path and query beside the rows, as those of the product api.
# Some of those say with an empty text, others with null, that there is none.
my @bad = ('x', '?Page=1', "$there/2010-04-01/Calls.json?Page=1", '//127.0.0.1/Calls.json?Page=1', '/2010-04-01/../Calls.json?Page=1', '/a b');
my $older = FlexApi::Server->new(sub {
	my ($connection, $self) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		my ($number) = $request->{path} =~ /[?&]Page=(\d+)/;
		my $further = $request->{path} =~ /empty/ ? '' : $request->{path} =~ /bad(\d)/ ? $bad[$1] : $request->{path} =~ /same/ ? $request->{path} : '/2010-04-01/Calls.json?Page=' . (($number // 0) + 1);

		$self->note($request->{path});
		$further = ($number // 0) < 2 ? "\"$further\"" : 'null';
		print $connection FlexApi::Server::answer(
			"{\"end\":0,\"first_page_uri\":\"x\",\"page\":0,\"page_size\":1,\"next_page_uri\":$further,\"calls\":[{\"sid\":\"CA\"}],\"uri\":\"x\"}");
	}
});
sub calls_of { my ($path) = @_; return "SELECT count(*) FROM flex_request_list('$path', member => 'calls', service => 'api')"; }
$session->value("SET flex_api.base_url = '" . $older->url . "/{service}'");
is($session->value(calls_of('/2010-04-01/Calls.json?PageSize=1')), 3, 'a list without meta has all its pages');
is_deeply([ $older->notes ], [ '/api/2010-04-01/Calls.json?PageSize=1', map { "/api/2010-04-01/Calls.json?Page=$_" } 1, 2 ], 'which are asked for by their paths');
is($session->sqlstate(calls_of("/2010-04-01/bad$_.json")), '08P01', "no such path: '$bad[$_]'") foreach 0 .. $#bad;
is($session->value(calls_of('/2010-04-01/empty.json')), 1, 'an empty path is none');
is($session->sqlstate(calls_of('/2010-04-01/same.json')), '08P01', 'so is a page that has been read');

# What has no function is asked for there, too.
is(asked('/twilio', "$there/v2/X?n={n}", q{flex_request_list('/v2/X', '{"n": 0}')}), '/twilio/v2/X?n=0 /twilio/v2/X?n=1 /twilio/v2/X?n=2', 'flex_request_list');
is(asked('/twilio', '', q{flex_request('POST', '/v2/X?n=9')}), '', 'flex_request is no list');
is(join(' ', map { (split ' ')[1] } $server->notes), '/twilio/v2/X?n=9', 'and goes there');

# The next page is one that has been read: at once, however the host is written, and after a while.
is(asked('', "https://flex-api.twilio.com$list"), '08P01', 'the first page is the next');
is(scalar $server->notes, 1, 'and is not asked for again');
is(asked('/twilio', "https://flex-api.twilio.com/twilio$list"), '08P01', 'the same with a gateway');
is(scalar $server->notes, 1, 'nor there');

is_deeply([ $stranger->notes ], [], 'nobody came to the other host');

# An address that pages call their own is as good as the one they were asked for at; and a circle
# of many pages is found when it closes, wherever it begins.
my $circle = FlexApi::Server->new(sub {
	my ($connection, $self) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		my $number = $request->{path} =~ /[?&]n=(\d+)/ ? $1 : 0;
		my $further = $number == 299 ? 100 : $number + 1;

		$self->note('asked');
		print $connection FlexApi::Server::answer(
			"{\"meta\":{\"key\":\"rows\",\"url\":\"https://x/l?n=$number\",\"next_page_url\":\"https://x/l?n=$further\"},\"rows\":[]}");
	}
});
$session->value("SET flex_api.base_url = '" . $circle->url . "'");
is($session->sqlstate(q{SELECT count(*) FROM flex_request_list('/l')}), '08P01', 'a circle of 200 pages');
is(scalar $circle->notes, 300, 'each page was read once');
$circle->clear_notes;
is($session->sqlstate(q{SELECT count(*) FROM flex_request_list('/l?n=299')}), '08P01', 'one that leads back to the first page');
is(scalar $circle->notes, 200, 'each page was read once');

$node->stop;
done_testing;
