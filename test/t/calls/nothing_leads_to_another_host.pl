# Server-side request forgery: whatever an answer or an argument says, no request leaves for
# another host than the configured one.  The forms are those of OWASP's list: numbers for
# addresses, IPv6, users before an at sign, letters that look like others, other schemes,
# redirects.  A listener stands where each of them would lead.  Other products are asked at their
# own places of the configured address, and nothing but their names leads there.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# What the server answers to the next request: status line, headers and body.
my $answer = File::Temp->new;
my $server = FlexApi::Server->new(sub {
	my ($connection, $self) = @_;
	while (my $request = FlexApi::Server::read_request($connection))
	{
		my $is_second = $request->{path} =~ /n=1/;
		my ($status, $body, @headers) = $is_second ? ('200 OK', '{"meta": {"key": "rows", "next_page_url": null}, "rows": []}')
		  : @{ JSON::PP->new->decode(FlexApi::content($answer->filename)) };
		$self->note("$request->{method} $request->{path} " . ($request->{head} =~ /^host: *(\S+)/mi)[0]);
		print $connection FlexApi::Server::answer($body, $status, @headers);
	}
});
my $stranger = FlexApi::Server->new(sub { my (undef, $self) = @_; $self->note('somebody came'); });
my $node = FlexApi::node('elsewhere', $server, 'flex_api.max_retries = 0', "flex_api.timeout = '20s'");
my $session = FlexApi::Session->new($node);
my $port = $stranger->port;
my $here = '127.0.0.1:' . $server->port;

sub set_answer
{
	open(my $handle, '>:raw', $answer->filename) or die $!;
	print $handle JSON::PP->new->ascii->encode([@_]);
	close $handle;
	return $server->clear_notes;
}

# A list whose first page says so of the next one: where it was asked for, or the error.
sub next_page
{
	my ($url) = @_;

	set_answer('200 OK', JSON::PP->new->ascii->encode({ meta => { key => 'rows', next_page_url => $url }, rows => [] }));
	my $result = $session->query('SELECT count(*) FROM flex_channels_list()');
	my @notes = $server->notes;
	return $result->{error}->{C} if $result->{error};
	return join ' ', map { (split ' ')[1, 2] } @notes[ 1 .. $#notes ];
}

# The host counts for nothing: only the path does, at our own.
my @plain = ("127.0.0.1:$port", "0177.0.0.1:$port", "2130706433:$port", "0x7f000001:$port", "0x7f.0.0.1:$port", "127.1:$port", "0:$port", "017700000001:$port",
	"[::1]:$port", "[::ffff:127.0.0.1]:$port", "[0:0:0:0:0:ffff:7f00:1]:$port", "[::]:$port", "localhost:$port", "LOCALHOST.:$port", "127.0.0.1.:$port",
	'169.254.169.254', 'metadata.google.internal', "127.0.0.1.nip.io:$port", 'xn--flex-api.twilio.com', 'flex-api.twilio.com.evil.example', "-:$port");
foreach my $host (@plain)
{
	foreach my $scheme ('http', 'https', 'HtTp')
	{
		is(next_page("$scheme://$host/v1/Channels?n=1"), "/v1/Channels?n=1 $here", "$scheme, host $host");
	}
}
# What does not say plainly where the path begins, or has none, is an error.
my @unclear = ("http://flex-api.twilio.com\@127.0.0.1:$port/v1?n=1", "http://a:b\@127.0.0.1:$port/v1?n=1", "http://127.0.0.1:$port\\\@flex-api.twilio.com/v1?n=1",
	"http://flex-api.twilio.com:80\\\@127.0.0.1:$port/v1?n=1", "http://127.0.0.1:$port#\@flex-api.twilio.com/v1?n=1", "http://127.0.0.1:$port?\@flex-api.twilio.com/v1?n=1",
	"http://127.0.0.1%2f\@x:$port/v1?n=1", "http://127%2E0%2E0%2E1:$port/v1?n=1", "http://127.0.0.1:$port%00/v1?n=1", "http://127.0.0.1:$port /v1?n=1", "http://127.0.0.1\t:$port/v1?n=1",
	"http://127.0.0.1:$port/\r\nHost: x/v1?n=1", "http://127.0.0.1:$port/v1\r\nX: y?n=1", "http://\x{2460}\x{2461}\x{2466}.0.0.1:$port/v1?n=1", "http://127\x{3002}0\x{3002}0\x{3002}1:$port/v1?n=1",
	"http://\x{ff11}27.0.0.1:$port/v1?n=1", "http:/\\127.0.0.1:$port/v1?n=1", "http:\\\\127.0.0.1:$port/v1?n=1", "http:127.0.0.1:$port/v1?n=1", "http:///127.0.0.1:$port/v1?n=1",
	"//127.0.0.1:$port/v1?n=1", "\\\\127.0.0.1:$port/v1?n=1", '/v1/Channels?n=1', '?n=1', 'v1/Channels?n=1', '', ' ', 'http://', 'http:///', "http://127.0.0.1:$port", "http://127.0.0.1:$port/v1/../x?n=1",
	"http://127.0.0.1:$port/v1/%2e%2E/x?n=1", "http://127.0.0.1:$port/v1/..%2f?n=1", "http://127.0.0.1:$port/v1/..%5c?n=1", "http://127.0.0.1:$port/a\\..\\b?n=1",
	"http://*.127.0.0.1:$port/v1?n=1", "http://{127.0.0.1}:$port/v1?n=1", "http://[::1%25lo]:$port/v1?n=1", " http://127.0.0.1:$port/v1?n=1",
	map { "$_/v1?n=1" } 'file://', 'file:///etc/passwd', "gopher://127.0.0.1:$port", "dict://127.0.0.1:$port", "ftp://127.0.0.1:$port", "ldap://127.0.0.1:$port", "tftp://127.0.0.1:$port",
	"ws://127.0.0.1:$port", "jar:http://127.0.0.1:$port", "url:http://127.0.0.1:$port", "javascript:http://127.0.0.1:$port", 'data:text/plain,', "unix:///tmp/x");
is(next_page($_), '08P01', 'refused: ' . JSON::PP->new->ascii->allow_nonref->encode($_)) foreach @unclear;

# Redirects, and other headers that name an address.
my @calls = ("SELECT FROM flex_channel_fetch('CH" . 'a' x 32 . "')", "SELECT FROM flex_channel_delete('CH" . 'a' x 32 . "')", "SELECT FROM flex_webchat_create('IG" . 'a' x 32 . "')",
	'SELECT FROM flex_channels_list()', q{SELECT FROM flex_request('PUT', '/v1/X')});
foreach my $status ('300 Multiple Choices', '301 Moved Permanently', '302 Found', '303 See Other', '305 Use Proxy', '307 Temporary Redirect', '308 Permanent Redirect')
{
	set_answer($status, '', "Location: http://127.0.0.1:$port/v1/Channels", "Refresh: 0; url=http://127.0.0.1:$port/", "Content-Location: http://127.0.0.1:$port/",
		"Link: <http://127.0.0.1:$port/>; rel=next", "Alt-Svc: h2=\"127.0.0.1:$port\"; ma=60", 'Strict-Transport-Security: max-age=60', "Set-Cookie: a=b; Domain=127.0.0.1");
	is_deeply([ map { $session->sqlstate($_) } @calls ], [ ('TW' . substr($status, 0, 3)) x @calls ], "$status is an error");
	is(scalar $server->notes, scalar @calls, '... and one request each');
}

# Arguments: a path of one's own, and labels of the host's name, stay at the host.
foreach my $path ("//127.0.0.1:$port/", "/\@127.0.0.1:$port/", "/http://127.0.0.1:$port/", "/v1?u=http://127.0.0.1:$port/", "/%2f%2f127.0.0.1:$port/")
{
	set_answer('200 OK', '{}');
	is($session->value("SELECT status FROM flex_request('GET', '$path')"), 200, "flex_request of $path");
	# Of an escaped byte the case of the digits says nothing, and libcurl may change it.
	is(lc join(' ', $server->notes), lc "GET $path $here", '... stays here');
}
is($session->sqlstate("SELECT flex_request('GET', '$_')"), '22023', "flex_request of $_ is refused")
  foreach "\@127.0.0.1:$port/", "http://127.0.0.1:$port/", ":$port/", ".evil.example/", '', "\\\\127.0.0.1:$port";
is($session->sqlstate("SET flex_api.$_->[0] = '$_->[1]'"), '22023', "$_->[0] $_->[1] is refused")
  foreach map { my $name = $_; map { [ $name, $_ ] } "127.0.0.1:$port/", 'evil.example', 'x@evil', 'x/', 'x#', 'x?', "x\\", 'x%2f', "x\x{7f}", '[::1]' } 'edge', 'region';

# Other products: each at its own place of the configured address, whatever its name, its path and its answers say.
my @services = qw(conversations taskrouter api verify proxy studio);
$session->value("SET flex_api.base_url = '" . $server->url . "/{service}'");
foreach my $service (@services)
{
	set_answer('200 OK', '{}');
	is($session->value("SELECT status FROM flex_request('GET', '//127.0.0.1:$port/\@x', service => '$service')"), 200, "flex_request of $service");
	is(join(' ', $server->notes), "GET /$service//127.0.0.1:$port/\@x $here", '... stays here');
	set_answer('200 OK', JSON::PP->new->encode({ meta => { key => 'rows', next_page_url => "http://127.0.0.1:$port/v1/Rows?n=1" }, rows => [] }));
	is($session->value("SELECT count(*) FROM flex_request_list('/v1/Rows', service => '$service')"), 0, "a list of $service");
	is(join(', ', $server->notes), "GET /$service/v1/Rows $here, GET /$service/v1/Rows?n=1 $here", '... and its next page stay here');
	set_answer('307 Temporary Redirect', '', "Location: http://127.0.0.1:$port/v1/Rows");
	is($session->sqlstate("SELECT flex_request('POST', '/v1/Rows', service => '$service')"), 'TW307', 'a redirect is an error');
	is(scalar $server->notes, 1, '... and one request');
}
foreach my $name ("127.0.0.1:$port", "\@127.0.0.1:$port/", "x\@127.0.0.1:$port", '..', '../..', '/', '', '{service}', 'localhost', "api\r\n", 'flex-api', "\xe2\x91\xa0", 'API', 'api.', 'api/', 'api%2f')
{
	set_answer('200 OK', '{}');
	is($session->sqlstate("SELECT flex_request('GET', '/v1/X', service => '$name')"), '22023', 'no product: ' . JSON::PP->new->ascii->allow_nonref->encode($name));
	is(scalar $server->notes, 0, '... and no request');
}
# Where the address is the Flex API's alone, theirs is not made up: neither here nor at the products do credentials arrive.
$session->value("SET flex_api.base_url = '" . $server->url . "'");
is($session->sqlstate("SELECT flex_request('GET', '/v1/X', service => '$_')"), '55000', "no address of $_") foreach @services;
is(scalar $server->notes, 0, 'no request');

is_deeply([ $stranger->notes ], [], 'nobody came to the other host');
$node->stop;
done_testing;
