# An extension of the first version is updated.  Behaviour: what it has then is what a fresh
# install has, to the last comment and right; rights that were given, and views and functions
# that were made with it, stay and work.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../../perl", "$FindBin::RealBin/../../upgrade";
use Catalog;
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('update', $simulator);
my $fresh = FlexApi::Session->new($node);
my $version = $fresh->value("SELECT extversion FROM pg_extension WHERE extname = 'flex_api'");

$fresh->value('CREATE DATABASE old');
my $session = FlexApi::Session->new($node, database => 'old');

$session->value("CREATE EXTENSION flex_api VERSION '1.0.0'");
$session->value(q{
	CREATE ROLE caller; CREATE ROLE giver; CREATE ROLE given;
	GRANT EXECUTE ON FUNCTION flex_request TO caller;
	GRANT EXECUTE ON FUNCTION flex_request TO giver WITH GRANT OPTION;
	SET ROLE giver; GRANT EXECUTE ON FUNCTION flex_request TO given; RESET ROLE;
	CREATE VIEW seen AS SELECT (flex_request('GET', '/v1/Anything')).status;
	CREATE VIEW posted AS SELECT status FROM flex_request('POST', '/v1/Anything', '{"a": 1}', NULL);
	CREATE FUNCTION by_name() RETURNS integer LANGUAGE sql AS $$ SELECT status FROM flex_request(method => 'GET', path => '/v1/Anything', parameters => '{"b": 2}') $$;
	CREATE FUNCTION parsed() RETURNS integer LANGUAGE sql BEGIN ATOMIC SELECT status FROM flex_request('GET', '/v1/Anything'); END;
	PREPARE again AS SELECT status FROM flex_request('GET', '/v1/Anything')});

# As each of those uses is: with the SQL of the first version and the library of this one, and after the update.
sub all_work
{
	my ($when) = @_;

	$simulator->post('faults', { path => '/v1/Anything', status => 200, body => '{}', times => -1 });
	foreach my $use ('SELECT status FROM seen', 'SELECT status FROM posted', 'SELECT by_name()', 'SELECT parsed()', 'EXECUTE again',
		q{SELECT status FROM flex_request('GET', '/v1/Anything')}, q{SELECT status FROM flex_request('GET', '/v1/Anything', NULL, NULL)})
	{
		is($session->value($use), 200, "$when: $use");
	}
	foreach my $role ('caller', 'giver', 'given')
	{
		$session->value("SET ROLE $role");
		is($session->sqlstate(q{SELECT FROM flex_request('GET', '/v1/Anything')}), '00000', "$when: $role may call");
		$session->value('RESET ROLE');
	}
	return;
}

all_work('before the update');
is($session->sqlstate(q{SELECT FROM flex_request('GET', '/v1/Anything', headers => '{}')}), '42883', 'no headers there');
$session->value('ALTER EXTENSION flex_api UPDATE');
is($session->value("SELECT extversion FROM pg_extension WHERE extname = 'flex_api'"), $version, 'it is updated');
all_work('after it');
is($session->sqlstate(q{SELECT FROM flex_request('GET', '/v1/Anything', headers => '{"X-Mine": "1"}')}), '00000', 'headers');
$session->value('SET ROLE caller');
is($session->sqlstate(q{SELECT FROM flex_request_list('/v1/Anything')}), '42501', 'what is new is nobody\'s');
$session->value('RESET ROLE');

# Rights that were given are the user's own, which a dump has.
my ($dump) = PostgreSQL::Test::Utils::run_command([ 'pg_dump', '-d', $node->connstr('old') ]);
like($dump, qr/^GRANT ALL ON FUNCTION public\.flex_request\(.*\) TO caller;$/m, 'a dump has the rights');
like($dump, qr/CREATE VIEW public\.seen AS/, 'and the view');

# The same as a fresh install, rights that were given apart.
$session->value(q{
	DROP VIEW seen, posted; DROP FUNCTION by_name(), parsed();
	REVOKE ALL ON FUNCTION flex_request FROM giver CASCADE; REVOKE ALL ON FUNCTION flex_request FROM caller});
is(Catalog::lacks($node, 'old', 'postgres'), '', 'what it has is what a fresh install has');

$node->stop;
done_testing;
