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

-- flex_request() has one argument more.  Its row in pg_proc is changed in place, by that of a
-- function made for it, so that rights, comments and all that uses it stay; what was stored
-- with fewer arguments gets the default of the new one whenever it is planned.
CREATE FUNCTION flex_request_with_headers(
	method text,
	path text,
	parameters jsonb DEFAULT NULL,
	body jsonb DEFAULT NULL,
	headers jsonb DEFAULT NULL)
RETURNS flex_response
AS 'MODULE_PATHNAME', 'flex_api_request'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

UPDATE pg_catalog.pg_proc AS p
SET pronargs = model.pronargs, pronargdefaults = model.pronargdefaults, proargtypes = model.proargtypes,
	proargnames = model.proargnames, proargdefaults = model.proargdefaults
FROM pg_catalog.pg_proc AS model
WHERE p.oid OPERATOR(pg_catalog.=) 'flex_request(text, text, jsonb, jsonb)'::pg_catalog.regprocedure
	AND model.oid OPERATOR(pg_catalog.=)
		'flex_request_with_headers(text, text, jsonb, jsonb, jsonb)'::pg_catalog.regprocedure;

ALTER EXTENSION flex_api DROP FUNCTION flex_request_with_headers(text, text, jsonb, jsonb, jsonb);
DROP FUNCTION flex_request_with_headers(text, text, jsonb, jsonb, jsonb);

COMMENT ON FUNCTION flex_request(text, text, jsonb, jsonb, jsonb) IS
'Sends a request that no other function makes, to the configured host only.
method: GET, POST, PUT, PATCH or DELETE. path: begins with a slash, percent-encoded, for instance /v1/Channels.
parameters: an object of names and values, in the form of a POST, PUT or PATCH without body, else in the query;
an array is sent as repeated names, an object as JSON text, and a null is left out.
body: any JSON, sent as such.
headers: an object of names and strings, for instance {"I-Twilio-Auth-Account": "AC..."}; a null is left out. Those
that the extension sends itself (Authorization, Host, Accept, Content-Type and what makes the HTTP message) are refused.
Returns status, headers and body of the answer; for a list''s further pages see flex_request_list.
Errors: as with all functions: TW and the HTTP status, 08xxx for the network, 22023 for arguments.
flex_enqueue sends it later: ''flex_request'' with these arguments; what it is answered and its headers are kept there.
Call it in FROM: SELECT (flex_request(...)).* calls it once a column.';

CREATE FUNCTION flex_request_list(
	path text,
	parameters jsonb DEFAULT NULL,
	member text DEFAULT NULL,
	max_rows bigint DEFAULT NULL,
	headers jsonb DEFAULT NULL)
RETURNS SETOF jsonb
AS 'MODULE_PATHNAME', 'flex_api_request_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_request_list(text, jsonb, text, bigint, jsonb) IS
'Lists what no other function lists: the rows of all pages, as the service gives them.
path: of the list, as in flex_request. parameters: sent in the query; without PageSize the service chooses one.
member: name of the member that has the rows; NULL for the one that meta.key of the page names.
max_rows: stop after so many; NULL for all, 0 sends nothing. headers: as in flex_request, sent for each page.
The next page is the one that meta.next_page_url or meta.next_token tells, at the configured host.
Returns one jsonb a row.
Errors: as with all lists: 08P01 where pages lead back to one that was read, or the member is no array.';

REVOKE EXECUTE ON FUNCTION flex_request_list(text, jsonb, text, bigint, jsonb) FROM PUBLIC;

-- At the end: a worker that waited for these tables goes on.
SELECT flex_outbox_wake();
