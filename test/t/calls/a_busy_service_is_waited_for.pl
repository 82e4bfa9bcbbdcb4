# A service that refuses what is beyond its limit, with 429 and without Retry-After: calls and
# lists wait for their turn and succeed within flex_api.timeout, whatever the method; nothing
# that was created is lost; a cancel ends the wait.

use strict;
use warnings;

use FlexApi;
use List::Util ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $IG = 'IG00000000000000000000000000000001';
my $simulator = FlexApi::Simulator->new;
my $node = FlexApi::node('busy', $simulator, 'fsync = off', "flex_api.timeout = '60s'");

# As new: what a session has learned of the service is its own.
sub fresh
{
	$simulator->clear_faults;
	$simulator->post('reset');
	$simulator->post('limits', { per_operation => undef });
	return FlexApi::Session->new($node);
}

sub limit { my ($per_second) = @_; return $simulator->post('limits', { per_operation => $per_second }); }

sub came { my ($operation) = @_; return $simulator->get('counters')->{by_operation}->{$operation} // 0; }

# Requests of an operation that were let through and refused, in all seconds together.
sub met
{
	my ($operation) = @_;
	my ($accepted, $refused) = (0, 0);

	foreach my $second (grep { $_->{operation} eq $operation } @{ $simulator->get('seconds')->{seconds} })
	{
		$accepted += $second->{accepted};
		$refused += $second->{refused};
	}
	return ($accepted, $refused);
}

# A refusal is no attempt: more of them than flex_api.max_retries has, whatever the method
{
	my $session = fresh();
	$session->value('SET flex_api.max_retries = 1');
	foreach my $sql ("SELECT count(*) FROM flex_webchat_create('$IG')", 'SELECT count(*) FROM flex_channels_list()')
	{
		$simulator->post('faults', { status => 429, times => 5 });
		is($session->sqlstate($sql), '00000', "refused five times: $sql");
	}
	# ... and other failures are counted beside it
	$simulator->post('faults', [ { status => 429, times => 2 }, { status => 503 }, { status => 429 } ]);
	is($session->sqlstate('SELECT count(*) FROM flex_channels_list()'), '00000', 'refused, failed once, refused');
	$simulator->post('faults', [ { status => 503 }, { status => 429 }, { status => 503 } ]);
	is($session->sqlstate('SELECT count(*) FROM flex_channels_list()'), 'TW503', '... failed twice');
	$session->close;
}

# Not with flex_api.max_retries = 0, and not for longer than flex_api.timeout
{
	my $session = fresh();
	limit(0);
	$session->value('SET flex_api.max_retries = 0');
	my $result = $session->query("SELECT flex_webchat_create('$IG')");
	is($result->{error}->{C}, 'TW429', 'nobody wants a repeat: an error');
	is(came('flex_webchat_create'), 1, '... at once');
	$session->value(q{RESET flex_api.max_retries; SET flex_api.timeout = '2s'});
	$result = $session->query("SELECT flex_webchat_create('$IG')");
	is($result->{error}->{C}, 'TW429', 'everything is refused: an error');
	like($result->{error}->{D}, qr/error code 20429/, '... that says what the service said');
	cmp_ok($result->{seconds}, '<', 2 * FlexApi::slowness(), '... when the time is over');
	cmp_ok(came('flex_webchat_create'), '<', 15, '... few requests have tried: ' . came('flex_webchat_create'));
	$session->close;
}

# A list of 40 pages at ten a second
{
	my $session = fresh();
	$simulator->post('seed', { channels => 40 });
	limit(10);
	is($session->value('SELECT count(*) FROM flex_channels_list(page_size => 1)'), 40, '40 pages at ten a second');
	my ($accepted, $refused) = met('flex_channels_list');
	is($accepted, 40, '... each was answered once');
	cmp_ok($refused, '<', 30, "... $refused requests were refused");
	$session->close;
}

# Thirty web chats in one statement
{
	my $session = fresh();
	limit(10);
	my $result = $session->query("SELECT c.conversation_sid FROM generate_series(1, 30) AS g, LATERAL flex_webchat_create('$IG', identity => 'i' || g) AS c");
	is($result->{error}, undef, 'thirty web chats in one statement');
	my %sids = map { $_->[0] => 1 } @{ $result->{rows} };
	is(scalar(keys %sids), 30, '... all of their SIDs');
	is((met('flex_webchat_create'))[0], 30, '... each was created once');
	$session->close;
}

# flex_call_many, with no more retries than one
{
	my $session = fresh();
	limit(10);
	$session->value("SET flex_api.max_retries = 1; SET flex_api.rate_limits = 'none'");
	is($session->value("SELECT count(DISTINCT response ->> 'conversation_sid') FROM flex_call_many('flex_webchat_create',
		(SELECT array_agg(jsonb_build_object('address_sid', '$IG')) FROM generate_series(1, 60)), 20)"), 60, 'sixty at ten a second, many at once');
	my ($accepted, $refused) = met('flex_webchat_create');
	is($accepted, 60, '... each was created once');
	cmp_ok($refused, '<', 60, "... $refused requests were refused");
	# A service that lets nothing through: rows, in the end
	limit(0);
	$session->value("SET flex_api.timeout = '1s'");
	my $result = $session->query("SELECT coalesce(http_status::text, error_message), count(*) FROM flex_call_many('flex_webchat_create',
		(SELECT array_agg(jsonb_build_object('address_sid', '$IG')) FROM generate_series(1, 60)), 20) GROUP BY 1 ORDER BY 1");
	is_deeply([ map { $_->[0] =~ s/:.*//r } @{ $result->{rows} } ], [ '429', 'request was not sent' ], '... when nothing gets through, rows say so');
	is(List::Util::sum(map { $_->[1] } @{ $result->{rows} }), 60, '... each of them');
	$session->close;
}

# While it waits others can see that, and a cancel ends it at once
{
	my $session = fresh();
	my $control = FlexApi::Session->new($node);
	my $pid = $session->pid;
	my $waits = $control->value('SHOW server_version_num') >= 170000 ? 'FlexApiRate' : 'Extension';
	my $best;
	limit(0);
	foreach my $sql ("SELECT flex_webchat_create('$IG')", "SELECT * FROM flex_call_many('flex_webchat_create', ARRAY['{\"address_sid\": \"$IG\"}'::jsonb])")
	{
		foreach (1 .. 3)
		{
			$session->send_query($sql);
			ok(FlexApi::wait_until(sub {
				$control->value("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid AND state = 'active' AND wait_event = '$waits'") == 1
				  && (met('flex_webchat_create'))[1] >= 3;
			}), "it waits for its turn: $waits");
			my $start = time();
			$control->value("SELECT pg_cancel_backend($pid)");
			is($session->receive->{error}->{C}, '57014', '... a cancel');
			my $seconds = time() - $start;
			$best = $seconds if !defined $best || $seconds < $best;
		}
	}
	cmp_ok($best, '<', 0.05 * FlexApi::slowness(), '... ends it at once');
	limit(undef);
	is($session->sqlstate("SELECT flex_webchat_create('$IG')"), '00000', '... the next call is well');
	$_->close for $session, $control;
}

# Retry-After: nobody calls before
{
	my $session = fresh();
	$simulator->post('faults', { status => 429, retry_after => '1' });
	my $result = $session->query("SELECT flex_webchat_create('$IG')");
	is($result->{error}, undef, 'Retry-After');
	cmp_ok($result->{seconds}, '>=', 1, '... is waited for');
	$session->close;
}

$node->stop('fast');
done_testing();
