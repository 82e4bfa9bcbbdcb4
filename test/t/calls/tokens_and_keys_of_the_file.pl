# Which auth tokens and which API key of the credentials file count, for webhooks and for
# access tokens: those of the role and the account, the first line of a kind, and of tokens
# also the one below it, while it is rotated.

use strict;
use warnings;

use lib 'test/perl';
use Digest::SHA qw(hmac_sha1_base64 hmac_sha256);
use File::Temp qw(tempdir);
use FlexApi;
use JSON::PP;
use MIME::Base64 qw(decode_base64url encode_base64url);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($A, $B) = map { 'AC' . $_ x 32 } qw(a b);
my ($K, $L) = map { 'SK' . $_ x 32 } qw(1 2);
my $url = 'https://flex.example/';
my $path = tempdir(CLEANUP => 1) . '/credentials';
my $node = PostgreSQL::Test::Cluster->new('tokens');

$node->init;
$node->append_conf('postgresql.conf', "flex_api.credentials_file = '$path'\n");
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION flex_api;
CREATE ROLE one LOGIN;
CREATE ROLE two LOGIN;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO one, two;
GRANT CREATE ON SCHEMA public TO one;
SET ROLE one;
CREATE FUNCTION ones_webhook(url text, signature text) RETURNS boolean LANGUAGE sql SECURITY DEFINER AS
	'SELECT flex_webhook_is_authentic(url, NULL, signature)';
CREATE FUNCTION ones_token() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT flex_access_token(''a'')';
SQL

sub write_file
{
	my (@lines) = @_;

	unlink $path;
	open(my $file, '>:raw', $path) or die $!;
	print $file map { "$_\n" } @lines;
	close $file;
	chmod 0600, $path;
	return;
}

my %session = map { $_ => FlexApi::Session->new($node, user => $_) } qw(one two);

# Those of some tokens that a webhook may be signed with, or the SQLSTATE.
sub fitting
{
	my ($role, $function) = @_;
	my @fitting;

	foreach my $token (qw(t1 t2 t3 t4 session))
	{
		my $result = $session{$role}->query(sprintf "SELECT %s('%s', %s'%s=')", $function // 'flex_webhook_is_authentic', $url,
			$function ? '' : 'NULL, ', hmac_sha1_base64($url, $token));
		return $result->{error}{C} if $result->{error};
		push @fitting, $token if $result->{rows}[0][0] eq 't';
	}
	return join ' ', @fitting;
}

# Key and account that an access token names, and the secret that it is signed with, or the SQLSTATE.
sub signed
{
	my ($role, $expression) = @_;
	my $result = $session{$role}->query('SELECT ' . ($expression // q{flex_access_token('a')}));
	return $result->{error}{C} if $result->{error};
	my ($header, $claims, $signature) = split /\./, $result->{rows}[0][0];
	my $said = decode_json(decode_base64url($claims));
	my ($secret) = grep { encode_base64url(hmac_sha256("$header.$claims", $_)) eq $signature } qw(s1 s2 s3 session);
	return join ' ', $said->{iss}, $said->{sub}, $secret // '?';
}

write_file("# nothing");
is(fitting('one'), '55000', 'no token');
is(signed('one'), '55000', 'no key');

write_file("$A:one:$A:t1", "$A:one:$K:s1");
is(fitting('one'), 't1', 'a token beside a key');
is(signed('one'), "$K $A s1", 'a key beside a token');
is(fitting('two'), '55000', "another role's token");
is(signed('two'), '55000', "another role's key");

write_file("$A:*:$K:s1", "$A:*:$A:t1", "$A:*:$A:t2", "$A:*:$A:t3", "$A:*:$L:s2");
is(fitting('one'), 't1 t2', 'two tokens of three, while they are rotated');
is(signed('one'), "$K $A s1", 'the first key');

write_file("$A:one:$A:t1", "$A:*:$A:t2", "$A:two:$A:t3");
is(fitting('one'), 't1', "a role's own line, and not that of all");
is(fitting('two'), 't2', 'the first line that fits, as for calls');

write_file("$A:one:$A:t1", "$B:one:$B:t2", "$B:one:$B:t3", "$B:one:$L:s2");
is(fitting('one'), '55000', 'two accounts, and none is named');
is(signed('one'), '55000', '... of a key, too');
$session{one}->value("SET flex_api.account_sid = '$B'");
is(fitting('one'), 't2 t3', "one account's tokens");
is(signed('one'), "$L $B s2", "one account's key");
$session{one}->value("SET flex_api.account_sid = '$A'");
is(fitting('one'), 't1', "the other's token");
is(signed('one'), '55000', '... which has no key');
$session{one}->value('RESET flex_api.account_sid');

# Settings go before the file, a kind at a time; in a definer's function they are the definer's.
write_file("$A:*:$A:t1", "$A:*:$K:s1");
$session{two}->value("SET flex_api.auth_token = 'session'");
is(fitting('two'), 'session', "the session's token, alone");
is(signed('two'), "$K $A s1", "and the file's key");
is(fitting('two', 'ones_webhook'), 't1', "not in another's function");
$session{two}->value("SET flex_api.auth_token = ''; SET flex_api.auth_token_previous = 't4'; SET flex_api.account_sid = '$B'; SET flex_api.api_key = '$L'; SET flex_api.api_secret = 'session'");
is(signed('two'), "$L $B session", "the session's key");
is(signed('two', 'ones_token()'), "$K $A s1", "not in another's function");
is(fitting('two', 'ones_webhook'), 't1', 'nor the token before');

# Changed, spoilt, gone: as for calls.
write_file("$A:*:$A:t2");
is(fitting('one'), 't2', 'a new token counts at once');
write_file("$A:*:$A:");
is(fitting('one'), '55000', 'an empty token is none');
chmod 0644, $path;
is(fitting('one'), '55000', 'a file that others can read');
unlink $path;
is(signed('one'), '55000', 'no file');

$node->stop;
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/\bs1\b|\bt1\b/, 'no secret of the file is in the log');
done_testing;
