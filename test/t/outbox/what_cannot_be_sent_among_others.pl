# Requests that are claimed together are prepared together.  Those that cannot be sent, wherever they stand, have their own
# errors; all others are sent, once each.

use strict;
use warnings;

use lib 'test/perl';
use FlexApi;
use PostgreSQL::Test::Cluster;
use Test::More;

my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('among_others', $simulator, "flex_api.rate_limits = 'none'", 'client_min_messages = error');
my $session = FlexApi::Session->new($node);

# So many requests, of which some positions are spoilt; a drain of all of them at once.
sub drain_with
{
	my ($count, @spoilt) = @_;
	my $list = join(', ', @spoilt, 0);

	$session->value($_) foreach 'TRUNCATE flex_outbox_requests CASCADE', "SET flex_api.concurrency = $count",
		"SELECT count(flex_enqueue('flex_webchat_create', jsonb_build_object('address_sid', 'IG' || md5(g::text), 'identity', 'c' || g)))
			FROM generate_series(1, $count) AS g",
		"UPDATE flex_outbox_requests SET arguments = arguments || jsonb_build_object('spoilt_' || substr(arguments ->> 'identity', 2), 1)
			WHERE substr(arguments ->> 'identity', 2)::integer IN ($list)";
	$simulator->clear_requests;
	return $session->sqlstate('CALL flex_outbox_drain()');
}

# The positions of requests in a state, if each is as it should be there.
sub positions
{
	my ($state, $as_it_should_be) = @_;

	return $session->value("SELECT coalesce(string_agg(substr(arguments ->> 'identity', 2), ' ' ORDER BY id), '')
		FROM flex_outbox WHERE state = '$state' AND $as_it_should_be");
}

foreach my $case ([ 'none', 8 ], [ 'the first', 8, 1 ], [ 'the last', 8, 8 ], [ 'some', 8, 2, 3, 6 ], [ 'all but one', 4, 1, 2, 4 ],
	[ 'all', 4, 1 .. 4 ], [ 'one alone', 1, 1 ])
{
	my ($name, $count, @spoilt) = @$case;
	my %spoilt = map { $_ => 1 } @spoilt;
	my @good = grep { !$spoilt{$_} } 1 .. $count;

	is(drain_with($count, @spoilt), '00000', "$name of $count cannot be sent");
	is(positions('failed', "error_message LIKE '%\"spoilt_' || substr(arguments ->> 'identity', 2) || '\"%' AND http_status IS NULL AND attempts = 1"),
		join(' ', @spoilt), '... which have failed, each by its own error');
	is(positions('succeeded', "response ->> 'identity' = arguments ->> 'identity' AND error_message IS NULL AND attempts = 1"),
		join(' ', @good), '... and the others have their own answers');
	is(scalar($simulator->requests), scalar(@good), '... and were sent once');
}

# The right to call one of two operations is revoked: that operation's requests wait, between the other's.
$session->value($_) foreach 'CREATE ROLE alice', 'GRANT EXECUTE ON FUNCTION flex_enqueue, flex_webchat_create, flex_channel_fetch TO alice',
	'TRUNCATE flex_outbox_requests CASCADE', 'SET flex_api.concurrency = 8', 'SET ROLE alice',
	q{SELECT count(flex_enqueue(name, arguments::jsonb)) FROM generate_series(1, 4), (VALUES
		('flex_channel_fetch', '{"sid": "CH00000000000000000000000000000001"}'),
		('flex_webchat_create', '{"address_sid": "IG00000000000000000000000000000001"}')) AS o(name, arguments)},
	'RESET ROLE', 'REVOKE EXECUTE ON FUNCTION flex_channel_fetch FROM alice';
is($session->sqlstate('CALL flex_outbox_drain()'), '00000', 'a role may no longer call one of two operations');
is($session->value(q{SELECT string_agg(concat_ws(' ', operation, state, error_code, n), ', ' ORDER BY operation)
	FROM (SELECT operation, state, error_code, count(*) AS n FROM flex_outbox GROUP BY 1, 2, 3) AS o}),
	'flex_channel_fetch pending 42501 4, flex_webchat_create succeeded 4', '... whose requests wait, and the other ones are sent');

$node->stop('fast');
done_testing();
