# Rows: requests in every state, in an outbox of the first release, and whether they are as they were.
#
#   Rows::insert($session, 10_000);    # of each state so many; what they are stands in the table "before"
#   is(Rows::changed($session), 0, 'no row is another');
package Rows;

use strict;
use warnings;

use FlexApi;

our @STATES = qw(pending sending succeeded failed uncertain cancelled);

# None of them is due, and no process has those that are being sent; every second of these waits for its callback.
sub insert
{
	my ($session, $each) = @_;
	my $states = join ', ', map { "'$_'" } @STATES;

	$session->value(qq{
		INSERT INTO flex_outbox (operation, arguments, context, state, priority, attempts, max_attempts, run_at, unique_key, account_sid,
			enqueued_by, enqueued_role, enqueued_in, finished_at, http_status, error_code, error_message, response, request_id, sender_pid,
			sender_start, outcome, callback_at, on_success)
		SELECT 'flex_webchat_create', '{"address_sid": "IG"}', jsonb_build_object('n', n), state, n % 3, n % 4, 20, 'infinity', state || n,
			'$FlexApi::ACCOUNT', current_user, current_user::regrole::oid, (SELECT oid FROM pg_database WHERE datname = current_database()),
			CASE WHEN state IN ('pending', 'sending') THEN NULL ELSE clock_timestamp() END, 200, 'E' || n, 'message ' || n,
			jsonb_build_object('sid', n), 'RQ' || n, CASE state WHEN 'sending' THEN 1 END, CASE state WHEN 'sending' THEN now() END,
			CASE WHEN state = 'sending' AND n % 2 = 0 THEN 'succeeded' END, CASE WHEN state = 'sending' AND n % 2 = 0 THEN 'infinity'::timestamptz END,
			CASE WHEN state = 'sending' THEN 'pg_temp.nothing' END
		FROM generate_series(1, $each) AS n, unnest(ARRAY[$states]) AS state;
		CREATE TABLE before AS SELECT * FROM flex_outbox WHERE context ? 'n'});
	return;
}

# How many of them are not as they were, in the columns that they had.
sub changed
{
	my ($session) = @_;
	my $names = $session->value(
		"SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'before'::regclass AND attnum > 0");

	return $session->value("SELECT count(*) FROM (TABLE before EXCEPT ALL SELECT $names FROM flex_outbox WHERE context ? 'n') AS changed");
}

1;
