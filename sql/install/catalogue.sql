-- The catalogue of operations, and the door for what it does not have yet.

CREATE FUNCTION flex_operations(
	OUT name text,
	OUT method text,
	OUT path text,
	OUT repeatable boolean,
	OUT rate double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'flex_api_operations'
LANGUAGE C STABLE PARALLEL SAFE ROWS 76;

COMMENT ON FUNCTION flex_operations() IS
'Lists the operations of the Flex API that have a function; sends nothing.
Returns one row an operation. name: its function. method, path: of its requests; {Sid} stands for an argument.
repeatable: true when the request may be sent twice without harm, so that it is sent again when its answer is lost.
rate: the published limit in requests a second an account; NULL where none is published with its unit.';

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
	body jsonb DEFAULT NULL)
RETURNS flex_response
AS 'MODULE_PATHNAME', 'flex_api_request'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_request(text, text, jsonb, jsonb) IS
'Sends a request that no other function makes, to the configured host only.
method: GET, POST, PUT, PATCH or DELETE. path: begins with a slash, percent-encoded, for instance /v1/Channels.
parameters: an object of names and values, in the form of a POST, PUT or PATCH without body, else in the query;
an array is sent as repeated names, an object as JSON text, and a null is left out.
body: any JSON, sent as such.
Returns status, headers and body of the answer; a list''s further pages are not followed.
Errors: as with all functions: TW and the HTTP status, 08xxx for the network, 22023 for arguments.
Call it in FROM: SELECT (flex_request(...)).* calls it once a column.';
