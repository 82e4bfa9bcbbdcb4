-- The catalogue of operations, and the door for what it does not have yet.

CREATE FUNCTION flex_operations(
	OUT name text,
	OUT method text,
	OUT path text,
	OUT repeatable boolean,
	OUT rate double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'flex_api_operations'
LANGUAGE C STABLE PARALLEL SAFE ROWS 100;

COMMENT ON FUNCTION flex_operations() IS
'Lists the operations of the Flex API that have a function; sends nothing.
Returns one row per operation. name: its function. method, path: of its requests; {Sid} stands for an argument.
repeatable: true if the request can safely be sent twice, so that it is retried when its answer is lost.
rate: the published limit in requests per second and account; NULL if none is published with its unit.';

CREATE TYPE flex_response AS (
	status integer,
	headers jsonb,
	body jsonb);

COMMENT ON TYPE flex_response IS 'An answer of the Flex API to flex_request().';
COMMENT ON COLUMN flex_response.status IS 'HTTP status, 200 to 299: any other is an error of SQLSTATE TW and the status.';
COMMENT ON COLUMN flex_response.headers IS 'Headers of the answer: a JSON object, names in lower case.';
COMMENT ON COLUMN flex_response.body IS 'Body of the answer; NULL when it is empty.';

CREATE FUNCTION flex_request(
	method text,
	path text,
	parameters jsonb DEFAULT NULL,
	body jsonb DEFAULT NULL,
	headers jsonb DEFAULT NULL,
	service text DEFAULT NULL)
RETURNS flex_response
AS 'MODULE_PATHNAME', 'flex_api_request'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_request(text, text, jsonb, jsonb, jsonb, text) IS
'Sends a request that no other function makes, to Twilio''s hosts or the configured one only.
method: GET, POST, PUT, PATCH or DELETE. path: begins with a slash, percent-encoded, for instance /v1/Channels.
parameters: an object of names and values, in the form of a POST, PUT or PATCH without body, else in the query;
an array is sent as repeated names, an object as JSON text, and a null is left out.
body: any JSON, sent as such; not with GET.
headers: an object of names and strings, for instance {"I-Twilio-Auth-Account": "AC..."}; a null is left out. Headers
that the extension sends itself (Authorization, Host, Accept, Content-Type and those of the HTTP message) are refused.
service: NULL for the Flex API, or another product with the same credentials: conversations, taskrouter, api, verify,
proxy or studio. Its host is derived from the name, flex_api.edge and flex_api.region, or from {service} in
flex_api.base_url; a base_url without {service} is for the Flex API only.
Returns status, headers and body of the answer; for further pages of a list see flex_request_list.
Errors: as with all functions: TW and the HTTP status, 08xxx for the network, 22023 for arguments.
flex_enqueue sends it later: ''flex_request'' with these arguments. The outbox then keeps the answer and the headers.
Call it in FROM: SELECT (flex_request(...)).* calls it once per column.';

CREATE FUNCTION flex_request_list(
	path text,
	parameters jsonb DEFAULT NULL,
	member text DEFAULT NULL,
	max_rows bigint DEFAULT NULL,
	headers jsonb DEFAULT NULL,
	service text DEFAULT NULL)
RETURNS SETOF jsonb
AS 'MODULE_PATHNAME', 'flex_api_request_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_request_list(text, jsonb, text, bigint, jsonb, text) IS
'Returns the rows of all pages of a list that has no function of its own, as the service sends them.
path: of the list, as in flex_request. parameters: sent in the query; without PageSize the service chooses one.
member: name of the member that has the rows; NULL for the one that meta.key of the page names.
max_rows: the maximum number of rows; NULL for all, 0 sends nothing. headers: as in flex_request, sent for each page.
service: another product, as in flex_request.
The next page comes from meta.next_page_url, meta.next_token or, in lists of api, next_page_uri, at the configured host.
Returns one jsonb per row.
Errors: as with all lists: 08P01 if a page leads back to one that was already read, or the member is not an array.';

CREATE FUNCTION flex_call_many(
	operation text,
	arguments jsonb[],
	concurrency integer DEFAULT NULL)
RETURNS TABLE (
	number integer,
	http_status integer,
	response jsonb,
	error_code text,
	error_message text,
	request_id text,
	sqlstate text)
AS 'MODULE_PATHNAME', 'flex_api_call_many'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 100;

COMMENT ON FUNCTION flex_call_many(text, jsonb[], integer) IS
'Calls an operation many times, with many requests in flight at once, and returns when all have ended.
operation: name of the function that a direct call would use; the caller needs EXECUTE on it. flex_request is allowed,
list functions are not.
arguments: an array with one JSON object of names and values per call, as in flex_enqueue. All are checked before the
first is sent. NULL or an empty array: no call, no row.
concurrency: how many requests are in flight at once, 1 to 1000; NULL for flex_api.concurrency. flex_api.rate_limits
applies.
Returns one row per element, in the order in which they end. number: of the element, from 1 on. http_status: NULL
without
an answer. response: the answer''s JSON. error_code: Twilio''s. error_message: of the error that a direct call raises.
sqlstate: the SQLSTATE of that error, such as TW404; NULL if the call succeeded. 08007: it may have been carried out.
Errors: 22023 and 22004 for invalid arguments, with the element''s number in the CONTEXT; 0A000 for a list, 42501
without EXECUTE. A refusal by the service is a row. If the statement is cancelled or fails, its CONTEXT says how many
requests were sent and answered, its DETAIL has the SIDs in the answers to POSTs, and the server''s log has all of
them.
LIMIT does not end it: all elements are sent.';
