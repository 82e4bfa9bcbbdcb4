# Functions that are not the extension's: those that a superuser defines on its C functions
# with another signature, and those that somebody has made before it comes.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('functions', $simulator, 'client_min_messages = error');
my $super = FlexApi::Session->new($node);

# Every C function with too few arguments, too many, others and another result
my @symbols = map { $_->[0] } @{ $super->query(q{SELECT DISTINCT prosrc FROM pg_proc JOIN pg_language AS l ON l.oid = prolang
	WHERE lanname = 'c' AND prosrc LIKE 'flex\_%' ORDER BY 1})->{rows} };
is(scalar(@symbols) >= 9, 1, 'the C functions');
my @signatures = ('() RETURNS int', '() RETURNS text', '() RETURNS SETOF int', '() RETURNS flex_response', '() RETURNS SETOF flex_response', '() RETURNS void',
	'() RETURNS TABLE (a int, b int, c int, d int, e int)', '(a int DEFAULT 7) RETURNS text', '(a int DEFAULT 7) RETURNS void',
	'(a int DEFAULT 7, b int DEFAULT 7, c int DEFAULT 7, d int DEFAULT 7, e int DEFAULT 7, f int DEFAULT 7, g int DEFAULT 7, h int DEFAULT 7, i int DEFAULT 7) RETURNS bigint',
	'(a int DEFAULT 7, b int DEFAULT 7, c int DEFAULT 7, d int DEFAULT 7) RETURNS flex_response',
	q{(method text DEFAULT 'GET', path text DEFAULT '/', parameters jsonb DEFAULT NULL, body jsonb DEFAULT NULL) RETURNS TABLE (a text, b text, c text)},
	q{(sid text[] DEFAULT '{}') RETURNS flex_channel}, '(page_size text DEFAULT NULL, max_rows int DEFAULT NULL) RETURNS SETOF flex_channel');
$super->value('CREATE SCHEMA own');
foreach my $symbol (@symbols)
{
	foreach my $name ('something', $symbol eq 'flex_api_list' ? 'flex_channels_list' : 'flex_channel_fetch')
	{
		my @bad;

		foreach my $signature (@signatures)
		{
			my $routine = $symbol eq 'flex_api_drain' ? 'PROCEDURE' : 'FUNCTION';
			my $definition = $routine eq 'PROCEDURE' ? $signature =~ s/ RETURNS .*//r : $signature;

			$super->value("CREATE $routine own.$name$definition LANGUAGE C AS 'flex_api', '$symbol'");
			foreach my $call ($routine eq 'PROCEDURE' ? "CALL own.$name()" : ("SELECT own.$name()::text", "SELECT * FROM own.$name()"))
			{
				my $state = $super->sqlstate($call);

				next if $state =~ /^(00000|42P13|XX000|0A000|42846|42883|22023)$/ || ($symbol =~ /call|list/ && $state =~ /^TW/);
				die "$call with $definition has ended the server\n" if $state eq 'closed';
				push @bad, "$call with $definition: $state";
			}
			$super->value("DROP $routine own.$name");
		}
		is(join("\n", @bad), '', "$symbol under the name $name with other signatures");
	}
}

# Made before the extension: what the scripts call must not become ambiguous
foreach my $version ('', " VERSION '1.0.0'")
{
	$super->value('DROP EXTENSION flex_api CASCADE');
	$super->value('CREATE FUNCTION public.flex_outbox_wake(i int DEFAULT 1) RETURNS void LANGUAGE sql AS \'\'') unless $version;
	is($super->sqlstate("CREATE EXTENSION flex_api$version"), '00000', "CREATE EXTENSION$version");
	$super->value('CREATE FUNCTION public.flex_outbox_wake(i int DEFAULT 1) RETURNS void LANGUAGE sql AS \'\'') if $version;
	is($super->sqlstate('ALTER EXTENSION flex_api UPDATE'), '00000', '... and ALTER EXTENSION, beside a function of the same name');
	$super->value('DROP FUNCTION public.flex_outbox_wake(int)');
}

$node->stop('fast');
done_testing();
