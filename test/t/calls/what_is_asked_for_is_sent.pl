# Path and query arrive byte for byte as they were made, after the path of the base URL; each header comes once;
# what would end the request line is not sent, wherever it comes from; and requests to several
# servers in turns, and at once, each arrive where they should.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $library = FlexApi::module('waits');
my @servers = map { FlexApi::Server->new(sub {
	my ($connection, $self) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		$self->note(($request->{head} =~ /^(.*?)\r?\n/)[0]);
		$self->note('headers ' . join(' ', sort map { lc } $request->{head} =~ /^([\w-]+):/mg));
		$self->note('host ' . ($request->{head} =~ /^host: *(\S+)/mi)[0]);
		print $connection FlexApi::Server::answer('{}');
	}
}) } 1 .. 3;
my $node = FlexApi::node('asked_for', $servers[0], 'flex_api.max_retries = 0', "flex_api.timeout = '20s'");
my $session = FlexApi::Session->new($node);
my @hosts = map { '127.0.0.1:' . $_->port } @servers;

$session->value("CREATE FUNCTION exchanges(origins text[], paths text[]) RETURNS text[] AS '$library', 'waits_exchanges' LANGUAGE c");
$session->value("CREATE FUNCTION crowds(origins text[], paths text[], times text[], crowds int, what_then text) RETURNS text[] AS '$library', 'waits_crowds' LANGUAGE c");

# Ask a server for a target, given as an SQL string; what it has been asked, or the error.
sub asked
{
	my ($origin, $target) = @_;

	$servers[0]->clear_notes;
	my $result = $session->query("SELECT exchanges(ARRAY['$origin'], ARRAY[$target])");
	my @notes = grep { /^GET / } $servers[0]->notes;
	return @notes ? "@notes" : $result->{error}->{M};
}

foreach my $target ('/', '/v1/a', '/v1/../a/./b', '//a', '/a//b', '/a?', '/a?b=?&c=/../&d=%2e%2E%20+', '/a?b', "/a;b=c,d/%7Euser/\"<>^`{|}", '/' . 'x' x 9000)
{
	is(asked("http://$hosts[0]", "'$target'"), "GET $target HTTP/1.1", 'sent as it is: ' . substr($target, 0, 40));
	is(asked("http://$hosts[0]/gateway/flex", "'$target'"), "GET /gateway/flex$target HTTP/1.1", '... after the path of the base URL');
}
is(asked("HTTP://$hosts[0]", "'/a'"), 'GET /a HTTP/1.1', 'the scheme in capitals');
is(asked("http://$hosts[0]/{service}", "'/a'"), 'GET /flex-api/a HTTP/1.1', 'the name of the service in the path');

# Each header once, ours as well as those that libcurl would make by itself.
sub headers_of
{
	my ($call) = @_;

	$servers[0]->clear_notes;
	FlexApi::Session->new($node)->value("SELECT $call");
	return (grep { s/^headers // } $servers[0]->notes)[0];
}

is(headers_of(q{flex_request('GET', '/a', headers => '{"X-A": "1"}')}), 'accept accept-encoding authorization host user-agent x-a', 'the headers of a GET');
is(headers_of(q{flex_request('POST', '/a')}), 'accept accept-encoding authorization content-length content-type host user-agent', 'the headers of a POST');

# Nothing of these is made by any function; they stand for a mistake in one of them.
foreach my $broken ("E'/a HTTP/1.1\\r\\nX-Evil: 1\\r\\nX: '", "E'/a\\r\\n'", "E'/a\\n'", "'/a b'", "E'/a\\tb'", "E'/a\\x7f'", "E'/\\u00e4'", "'/a#b'")
{
	is(asked("http://$hosts[0]", $broken), "a request's target is not encoded", "not sent: $broken");
}

# In turns, and at once, so that one origin is replaced while requests to it are under way.
sub asked_at_once
{
	my ($function, @more) = @_;
	my @which = map { ($_ * 7) % 3 } 0 .. 29;
	my ($origins, $paths) = (join(',', map { "'http://$hosts[$_]'" } @which), join(',', map { "'/$_'" } 0 .. $#which));

	$_->clear_notes foreach @servers;
	my $count = $session->value("SELECT cardinality($function(ARRAY[$origins], ARRAY[$paths]" . join('', map { ", $_" } @more) . '))');
	my @wrong = map { my $server = $_; grep { $_ ne "host $hosts[$server]" } grep { /^host / } $servers[$server]->notes } 0 .. 2;
	my @seen = map { my $server = $_; join ' ', sort map { /^GET (\S+)/ ? $1 : () } $servers[$server]->notes } 0 .. 2;
	my @due = map { my $server = $_; join ' ', sort map { "/$_" } grep { $which[$_] == $server } 0 .. $#which } 0 .. 2;
	return [ $count, \@wrong, @seen ], [ 30, [], @due ];
}

foreach my $round (1 .. 2)
{
	my ($got, $due) = asked_at_once('exchanges');
	is_deeply($got, $due, "several servers in turns, round $round");
	($got, $due) = asked_at_once('crowds', 'array_fill(\'10000\'::text, ARRAY[30])', 2, "''");
	is_deeply($got, $due, "several servers at once, round $round");
}

done_testing();
