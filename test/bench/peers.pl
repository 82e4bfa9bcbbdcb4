# peers.pl --bin FOLDER --directory DIRECTORY
#
# Measures the same GET by other ways to call a service from SQL, beside a program of libcurl
# alone: on a kept connection, as far as each keeps one, and as the first call of a session,
# beside SELECT 1.  Each is used as its documents have it and, where that is another way, at
# its best.  Those that the server does not have are left out: pgsql-http (http), pg_curl,
# PL/Python (plpython3u) with requests or the official client (twilio) of the system's Python.
# test/bench/run prepares and calls it.  Nothing is a failure here.
use strict;
use warnings;

use File::Basename qw(dirname);
use Getopt::Long;
use JSON::PP;

use lib dirname(__FILE__);
use Baseline;
use Rounds;
use Servers;
use Session;

my ($bin, $directory);
GetOptions('bin=s' => \$bin, 'directory=s' => \$directory) or exit 2;
my ($ROUNDS, $CALLS, $SESSIONS) = (5, 500, 7);
$SIG{INT} = $SIG{TERM} = sub { exit 1 };

my $servers = Servers->new($bin, $directory);
my $simulator = $servers->simulator;
my $session;

sub is_there { my ($extension) = @_; return $session->query("SELECT count(*) FROM pg_available_extensions WHERE name = '$extension'"); }

# Statements that make so many calls by an expression of arg, a SID, which gives the answer's JSON.
sub calls
{
	my ($expression, $sid) = @_;

	return sub {
		"SELECT count(c.sid) FROM generate_series(1, $_[0]) g, LATERAL (SELECT CASE WHEN g > 0 THEN '$sid' END AS arg OFFSET 0) a, " .
		  "LATERAL jsonb_populate_record(NULL::flex_channel, ($expression)::jsonb) c";
	};
}

# The ways that there are: name, statements for a number of calls, what a session that is to be at its best begins with.
sub ways
{
	my ($sid, @headers) = @_;
	my %headers = map { /^(.*?): (.*)$/ } @headers;
	my $url = "$simulator/v1/Channels/";
	my @ways = ([ 'flex_api', sub { "SELECT count(c.sid) FROM generate_series(1, $_[0]) g, LATERAL flex_channel_fetch(CASE WHEN g > 0 THEN '$sid' END) c" } ]);

	if (is_there('http'))
	{
		my $list = join(', ', map { "http_header('$_', '$headers{$_}')" } sort keys %headers);
		my $statement = calls("SELECT content FROM http(('GET', '$url' || arg, ARRAY[$list], NULL, NULL)::http_request)", $sid);

		$session->query('CREATE EXTENSION http');
		push @ways, [ 'pgsql-http', $statement ],
		  [ 'pgsql-http, CURLOPT_TCP_KEEPALIVE', $statement, "SELECT http_set_curlopt('CURLOPT_TCP_KEEPALIVE', '1')" ];
	}
	if (is_there('pg_curl'))
	{
		# As its documents have it; and with what stays the same said once a session.
		my $headers = join(', ', map { "curl_header_append('$_', '$headers{$_}')" } sort keys %headers);
		my $get = sub { "CREATE FUNCTION $_[0](arg text) RETURNS text LANGUAGE sql AS \$\$ WITH s AS (SELECT $_[1]curl_easy_setopt_url('$url' || arg), " .
			  'curl_easy_perform(), curl_easy_getinfo_data_in() AS data) SELECT convert_from(data, \'utf-8\') FROM s $$' };

		$session->query('CREATE EXTENSION pg_curl');
		$session->query($_) foreach $get->('pg_curl_get', "curl_easy_reset(), $headers, "), $get->('pg_curl_get_again', '');
		push @ways, [ 'pg_curl', calls('pg_curl_get(arg)', $sid) ], [ 'pg_curl, headers set once', calls('pg_curl_get_again(arg)', $sid), "SELECT $headers" ];
	}
	return @ways unless is_there('plpython3u');
	$session->query('CREATE EXTENSION plpython3u');
	my $dict = encode_json(\%headers);
	my %python = (
		requests => [
			[ 'requests.get', "import requests\nreturn requests.get('$url' + arg, headers=$dict).text" ],
			[ 'requests, a Session in GD', "s = GD.get('s')\nif s is None:\n\timport requests\n\ts = GD['s'] = requests.Session()\n\ts.headers.update($dict)\n" .
				  "return s.get('$url' + arg).text" ] ],
		twilio => [
			[ 'official client', "import json\nfrom twilio.rest import Client\nc = Client('$Servers::ACCOUNT', '$Servers::TOKEN')\n" .
				  "c.flex_api.base_url = '$simulator'\nreturn json.dumps({'sid': c.flex_api.v1.channel(arg).fetch().sid})" ],
			[ 'official client, kept in GD', "import json\nc = GD.get('c')\nif c is None:\n\tfrom twilio.rest import Client\n" .
				  "\tc = GD['c'] = Client('$Servers::ACCOUNT', '$Servers::TOKEN')\n\tc.flex_api.base_url = '$simulator'\n" .
				  "return json.dumps({'sid': c.flex_api.v1.channel(arg).fetch().sid})" ] ]);
	$session->query("CREATE FUNCTION has_module(name text) RETURNS boolean LANGUAGE plpython3u AS 'import importlib.util; return importlib.util.find_spec(name) is not None'");
	my $number = 0;
	foreach my $module (qw(requests twilio))
	{
		next if $session->query("SELECT has_module('$module')") ne 't';
		foreach my $way (@{ $python{$module} })
		{
			$number++;
			$session->query("CREATE FUNCTION way_$number(arg text) RETURNS text LANGUAGE plpython3u AS \$\$\n$way->[1]\n\$\$");
			push @ways, [ "PL/Python, $way->[0]", calls("way_$number(arg)", $sid) ];
		}
	}
	return @ways;
}

# A session that has done nothing yet; the library is not loaded before the first call.
sub fresh
{
	my ($begin) = @_;
	my $new = Session->new($servers);

	$new->query($begin) if defined $begin;
	return $new;
}

$session = Session->new($servers);
$session->query("CREATE EXTENSION flex_api; ALTER SYSTEM SET flex_api.base_url = '$simulator'; SELECT pg_reload_conf()");
$servers->control($simulator, 'POST', 'seed', { channels => 1 });
$session->query("SET flex_api.base_url = '$simulator'");
my $sid = $session->query('SELECT sid FROM flex_channels_list(max_rows => 1)');
$session->query("SELECT flex_channel_fetch('$sid')");
my @headers = Baseline::same_headers($servers, $simulator, 'raw_calls', "$simulator/v1/Channels/$sid");
my @ways = ways($sid, grep { $_ ne '-H' } @headers);
$servers->control($simulator, 'POST', 'settings', { record => JSON::PP::false });

# The first calls of sessions: what the backend has used from its start to its answer.
my $baseline = 'SELECT 1';
my $first = Rounds::measure($SESSIONS, 1, map { my (undef, $statement, $begin) = @$_;
	[ $_->[0] => sub { my $new = fresh($begin); my $cost = $new->cost($statement->(1)); return [ $cost->[0], $new->cpu * 1e6 ]; } ] }
	[ $baseline, sub { 'SELECT 1' } ], @ways);
Rounds::heading('The first call of a session (' . Rounds::count($first) . ' rounds; CPU from the start of the backend)', 'us');
Rounds::line($first, $_, $_ eq $baseline ? undef : $baseline) foreach $baseline, map { $_->[0] } @ways;

# Many calls of one.
my $raw = 'raw libcurl and json-c';
my $costs = Rounds::measure($ROUNDS, $CALLS,
	[ $raw => sub { Baseline::raw($servers, 'raw_calls', @headers, "$simulator/v1/Channels/$sid", $CALLS) } ],
	map { my (undef, $statement, $begin) = @$_; my $kept = fresh($begin); $kept->query($statement->(1));
		[ $_->[0] => sub { $kept->cost($statement->($CALLS)) } ] } @ways);
Rounds::heading("A call of $CALLS in one statement (" . Rounds::count($costs) . ' rounds)', 'us');
Rounds::line($costs, $_, $_ eq $raw ? undef : $raw) foreach $raw, map { $_->[0] } @ways;
undef $session;
$servers->stop;
