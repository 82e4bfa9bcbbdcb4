# Whatever a webhook, an access token or a merge patch is asked of, there is an answer or an
# ordinary error: cases of a seed, in a database of UTF-8 and in one of any bytes.
#
# FLEX_FUZZ_SEED repeats the cases of a run, FLEX_FUZZ_CASES tries more of them; the batch
# that ends a session is named.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{FLEX_FUZZ_SEED} // int rand 2**31;
my ($cases, $batch) = ($ENV{FLEX_FUZZ_CASES} // 1000, 250);
note("FLEX_FUZZ_SEED=$seed");

my $node = PostgreSQL::Test::Cluster->new('hostile');
$node->init;
$node->append_conf('postgresql.conf', <<"CONF");
flex_api.account_sid = '$FlexApi::ACCOUNT'
flex_api.auth_token = '$FlexApi::TOKEN'
flex_api.auth_token_previous = 'before'
flex_api.api_key = '$FlexApi::KEY'
flex_api.api_secret = '$FlexApi::SECRET'
CONF
$node->start;
$node->safe_psql('postgres', q{CREATE DATABASE utf8 TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'; CREATE DATABASE bytes TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'});

my $generator = <<'SQL';
CREATE EXTENSION flex_api;
CREATE FUNCTION below(n int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT floor(random() * n)::int';
CREATE FUNCTION bytes(n int) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	IF getdatabaseencoding() = 'UTF8' THEN
		RETURN (SELECT coalesce(string_agg(chr(CASE below(3) WHEN 0 THEN 1 + below(127) WHEN 1 THEN 128 + below(50000) ELSE 65536 + below(100000) END), ''), '') FROM generate_series(1, n));
	END IF;
	RETURN (SELECT coalesce(convert_from(string_agg(decode(lpad(to_hex(1 + below(255)), 2, '0'), 'hex'), ''), 'SQL_ASCII'), '') FROM generate_series(1, n));
END $$;
CREATE TABLE pieces AS SELECT text, number::int FROM unnest(ARRAY['http://', 'https://', 'HTTPS:', '//', '/', '\', '@', '[', ']', '[::1]', '0x7f.1', '1.2.3.4', ':', ':0', ':443', ':99999999999999999999', '?', '#', '&', '=', '+',
	'%', '%0', '%00', '%ff', '%E2%82', '%zz', '.', '..', '%2e', '%2E.', '/../', E'\t', E'\n', ' ', 'a', '7', '''', '"', '<', '{', '|', '^', '`', 'bodySHA256=', 'example.com', 'x=y', '%62ody%53HA256=', '4294967295=',
	repeat('a', 1000), repeat('%', 500), repeat('/..', 300), repeat('a=b&', 1100), repeat('1=&2=&', 600), repeat('@', 100), repeat('%ff', 100)]) WITH ORDINALITY AS p (text, number);
ALTER TABLE pieces ADD PRIMARY KEY (number);
CREATE FUNCTION piece() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	which int := 1 + below(56);
BEGIN
	RETURN CASE WHEN below(4) = 0 THEN bytes(1 + below(8)) ELSE (SELECT text FROM pieces WHERE number = which) END;
END $$;
CREATE FUNCTION words(n int) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT coalesce(string_agg(piece(), ''), '') FROM generate_series(1, below(n + 1)) $$;
CREATE FUNCTION url() RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT CASE below(3) WHEN 0 THEN words(6) WHEN 1 THEN 'https://' || words(8) ELSE 'https://example.com/' || words(4) || '?' || words(8) END $$;
CREATE FUNCTION anything(depth int) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	CASE below(CASE WHEN depth > 0 THEN 9 ELSE 5 END)
		WHEN 0 THEN RETURN to_jsonb(words(2));
		WHEN 1 THEN RETURN 'null';
		WHEN 2 THEN RETURN to_jsonb(random() * 1e6);
		WHEN 3 THEN RETURN to_jsonb(below(2) = 0);
		WHEN 4 THEN RETURN to_jsonb(bytes(below(10)));
		WHEN 5 THEN RETURN (SELECT coalesce(jsonb_agg(anything(depth - 1)), '[]') FROM generate_series(1, below(5)));
		WHEN 6 THEN RETURN (SELECT coalesce(jsonb_agg(words(1)), '[]') FROM generate_series(1, below(8)));
		ELSE RETURN (SELECT coalesce(jsonb_object_agg(CASE below(3) WHEN 0 THEN words(1) ELSE chr(97 + below(6)) END, anything(depth - 1)), '{}') FROM generate_series(1, below(6)));
	END CASE;
END $$;
CREATE FUNCTION form() RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	CASE below(100)
		WHEN 0 THEN RETURN jsonb_build_object(words(1), repeat(left(piece(), 20), 50000));
		WHEN 1 THEN RETURN (SELECT jsonb_object_agg(n, n::text) FROM generate_series(1, 20000) AS n);
		WHEN 2 THEN RETURN jsonb_build_object('a', (SELECT jsonb_agg(below(100)::text) FROM generate_series(1, 20000)));
		WHEN 3 THEN RETURN (repeat('{"a":', 1 + below(5000)) || '1' || repeat('}', 0))::jsonb;
		WHEN 4, 5 THEN RETURN (SELECT (repeat('{"a":', n) || '1' || repeat('}', n))::jsonb FROM (SELECT 1 + below(3000)) AS depth (n));
		WHEN 6, 7, 8, 9 THEN RETURN anything(2);
		ELSE RETURN (SELECT coalesce(jsonb_object_agg(words(1), CASE below(3) WHEN 0 THEN (SELECT coalesce(jsonb_agg(words(1)), '[]') FROM generate_series(1, below(4)) WHERE n > 0) ELSE to_jsonb(words(2)) END), '{}')
			FROM generate_series(1, below(6)) AS n);
	END CASE;
END $$;
CREATE FUNCTION signature() RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT CASE below(4) WHEN 0 THEN NULL WHEN 1 THEN words(2) WHEN 2 THEN bytes(28) ELSE repeat('A', 27) || '=' END $$;
-- One case; true where the answer is one that cannot be
CREATE FUNCTION is_wrong() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	token text;
BEGIN
	CASE below(5)
		WHEN 0, 1 THEN RETURN flex_webhook_is_authentic(url(), form(), signature()) IS DISTINCT FROM false;
		WHEN 2 THEN RETURN flex_webhook_body_is_authentic(url(), convert_to(words(4), 'SQL_ASCII'), signature()) IS DISTINCT FROM false;
		WHEN 3 THEN
			token := flex_access_token(words(3), CASE below(3) WHEN 0 THEN words(1) WHEN 1 THEN 'IS' || repeat('0', 32) END, CASE below(3) WHEN 0 THEN form() WHEN 1 THEN anything(2) END,
				make_interval(months => CASE below(9) WHEN 0 THEN below(2147483647) - 1073741824 ELSE 0 END, secs => random() * 90000 - 100), CASE below(3) WHEN 0 THEN to_timestamp(random() * 1e10 - 1e9) END);
			RETURN token !~ '^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43}$';
		ELSE
			RETURN jsonb_typeof(flex_json_merge_patch(CASE below(5) WHEN 0 THEN NULL WHEN 1 THEN form() ELSE anything(3) END, CASE below(5) WHEN 0 THEN form() ELSE anything(3) END)) IS NULL;
	END CASE;
END $$;
CREATE FUNCTION run(seed bigint, first int, count int) RETURNS TABLE (outcome text, how_often bigint) LANGUAGE plpgsql AS $$
DECLARE
	outcomes text[];
BEGIN
	FOR i IN first .. first + count - 1 LOOP
		PERFORM setseed((seed * 7919 + i) % 1000003 / 1000003.0);
		BEGIN
			outcomes := outcomes || CASE WHEN is_wrong() THEN 'wrong: case ' || i ELSE 'answer' END;
		EXCEPTION WHEN OTHERS THEN
			outcomes := outcomes || SQLSTATE;
		END;
	END LOOP;
	RETURN QUERY SELECT o, count(*) FROM unnest(outcomes) AS o GROUP BY o;
END $$;
SQL

# Refused arguments, characters that are none, what is no JSON, what is too deep.
my %ordinary = map { $_ => 1 } qw(answer 22004 22023 22021 22P02 22P05 54001);
my %count;
foreach my $database (qw(utf8 bytes))
{
	$node->safe_psql($database, $generator);
	my $session = FlexApi::Session->new($node, database => $database);

	for (my $first = 0; $first < $cases / 2; $first += $batch)
	{
		my $result = $session->query("SELECT * FROM run($seed, $first, $batch)");
		if ($result->{error} || !$result->{rows}) { fail("$database: cases from $first on (FLEX_FUZZ_SEED=$seed): " . ($result->{error}{M} // 'the session ended')); last; }
		$count{$database}{ $_->[0] } += $_->[1] foreach @{ $result->{rows} };
	}
	my %outcome = %{ $count{$database} // {} };
	is(join(' ', grep { !$ordinary{$_} } sort keys %outcome), '', "$database: answers and ordinary errors (FLEX_FUZZ_SEED=$seed)");
	cmp_ok($outcome{answer} // 0, '>', $cases / 2 / 4, "$database: answers");
	note("$database: " . join(', ', map { "$_: $outcome{$_}" } sort keys %outcome));
}

# Parameters are looked through one by one, and none leaves its buffers behind
my $session = FlexApi::Session->new($node, database => 'utf8');
my $check = q{SELECT flex_webhook_body_is_authentic('https://example.com/?' || repeat('a=&', %d) || 'bodySHA256=e3b0', '', 'no')};
my $pid = $session->value('SELECT pg_backend_pid()');
$session->value(sprintf $check, 10);
my $peak = FlexApi::status_of($pid, 'VmHWM');
is($session->value(sprintf $check, 100_000), 'f', 'a URL of 100,000 parameters');
cmp_ok(FlexApi::status_of($pid, 'VmHWM') - $peak, '<', 64 * 1024, '... takes no memory for each of them') unless $ENV{FLEX_SLOW_BUILD};

$node->stop;
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/terminated by signal|test-secret|test-token/, 'no process has ended, and no secret is in the log');
done_testing;
