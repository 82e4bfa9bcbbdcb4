-- flex_api: from 1.0.0 to 1.1.0.
--
-- What a fresh install of 1.1.0 has beyond one of 1.0.0, or otherwise; a test compares
-- the two.  A function that is new here is not PUBLIC's: REVOKE EXECUTE on it.
\echo Use "ALTER EXTENSION flex_api UPDATE TO '1.1.0'" to load this file. \quit

-- The SID that an answer gave, also where the rest of it could not be kept.
ALTER TABLE flex_outbox ADD COLUMN sid text;
COMMENT ON COLUMN flex_outbox.sid IS
'SID that the good answer gave to what it tells of (its sid or, for web chats, users and Insights, the like
conversation_sid), also where the rest of the answer could not be kept; NULL: it gave none.';
COMMENT ON COLUMN flex_outbox.response IS
'Body of the good answer; NULL where it could not be kept: then error_message says why, and sid what was made.';
COMMENT ON COLUMN flex_outbox.error_message IS
'What went wrong in the last attempt; of a request that has succeeded, why its answer could not be kept.';
COMMENT ON FUNCTION flex_enqueue(text, jsonb, jsonb, text, text, timestamptz, integer, integer, text) IS
'Leaves a request to be sent after this transaction has committed; a rollback takes it back.
operation: name of the function that a direct call would use, on which the caller needs EXECUTE; lists cannot be enqueued.
arguments: its arguments as a JSON object of names and values, checked at once as in a direct call, without the network.
context: whatever a callback or a query wants to find again with the request, such as a ticket''s number; it is not sent.
on_success: name of a function that takes one flex_outbox row, called when the request has succeeded; the row has the
SID in sid, also where the answer could not be kept and response is NULL.
on_failure: the same for a request that has failed, or has become uncertain.
run_at: not sent before this time; NULL for at once.
priority: higher goes first; -1000 to 1000, NULL for 0.
max_attempts: attempts before the request has failed; NULL for 20, which takes about an hour.
unique_key: when a request of the current role has this key already, nothing is enqueued, and its id is returned.
Returns the id in flex_outbox. Callbacks run as the current role, in the transaction that settles the request.
Errors: 22023 and 22004 for what cannot be valid, 0A000 for a list, 42883 for a callback that is not there,
42501 without EXECUTE on the operation or on a callback.';

COMMENT ON COLUMN flex_interaction.routing IS
	'How it was routed, with the task''s properties (object); of these, attributes is a string that holds JSON.';
COMMENT ON COLUMN flex_interaction_invite.routing IS
	'How the invite was routed, with the task''s properties (object); of these, attributes is a string that holds JSON.';

-- At the end: a worker that waited for these tables goes on.
SELECT flex_outbox_wake();
