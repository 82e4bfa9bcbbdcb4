--
-- webhooks.sql
--	  Whether a request that has come in is one of the service's. Nothing is sent.
--

CREATE FUNCTION flex_webhook_is_authentic(
	url text,
	parameters jsonb,
	signature text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'flex_api_webhook_is_authentic'
LANGUAGE C STABLE PARALLEL UNSAFE COST 100;

COMMENT ON FUNCTION flex_webhook_is_authentic(text, jsonb, text) IS
'Checks whether a webhook, a request with a form or without a body, was signed by Twilio with the account''s auth token.
url: the address that Twilio requested, with scheme, host and query; with or without a port.
parameters: those of the form, decoded, as an object of strings; a repeated name has an array. NULL: no form.
signature: the header X-Twilio-Signature; NULL: the request has none.
Returns true or false, never NULL. The token is flex_api.auth_token or, while it is rotated, the previous one in
flex_api.auth_token_previous. Without flex_api.auth_token, the tokens are those of the current role''s first two lines
with a token in the credentials file. Webhooks that Twilio signs with a shared key are not recognised.
Errors: 22004 without url, 22023 for parameters that no form can have, 55000 without an auth token.
Sends nothing. From twilio.com/docs/usage/security; details that are not described there as in the official Node
client 6.2.0.';

CREATE FUNCTION flex_webhook_body_is_authentic(
	url text,
	body bytea,
	signature text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'flex_api_webhook_body_is_authentic'
LANGUAGE C STABLE PARALLEL UNSAFE COST 100;

COMMENT ON FUNCTION flex_webhook_body_is_authentic(text, bytea, text) IS
'Checks whether a webhook with a body that is not a form, such as JSON, was signed by Twilio with the account''s auth
token.
url: the address that Twilio requested. Its query must have bodySHA256, the body''s SHA-256, or the result is false.
body: the bytes as received, not JSON that was parsed and written again. NULL: none.
signature: the header X-Twilio-Signature; NULL: the request has none.
Returns true or false, never NULL. The tokens are those of flex_webhook_is_authentic.
Errors: 22004 without url, 55000 without an auth token.
Sends nothing. From twilio.com/docs/usage/security; details that are not described there as in the official Node
client 6.2.0.';
