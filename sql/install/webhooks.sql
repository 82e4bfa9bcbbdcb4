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
'Tells whether a webhook, a request with a form or without a body, was signed by Twilio with the account''s auth token.
url: the address as Twilio asked for it, scheme, host and query included; with or without a port.
parameters: those of the form, decoded, an object of strings; a name that is repeated has an array. NULL: no form.
signature: the header X-Twilio-Signature; NULL: the request has none.
Returns true or false, never NULL. The token is flex_api.auth_token, and the one before it, while it is rotated,
flex_api.auth_token_previous; without the first, they are those of the current role''s first two lines with a token in
the credentials file. Webhooks that Twilio signs with a shared key are not recognised.
Errors: 22004 without url, 22023 for parameters that no form has, 55000 where there is no auth token.
Sends nothing. From twilio.com/docs/usage/security; what that leaves open is as in the official Node client 6.2.0.';

CREATE FUNCTION flex_webhook_body_is_authentic(
	url text,
	body bytea,
	signature text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'flex_api_webhook_body_is_authentic'
LANGUAGE C STABLE PARALLEL UNSAFE COST 100;

COMMENT ON FUNCTION flex_webhook_body_is_authentic(text, bytea, text) IS
'Tells whether a webhook with a body that is no form, such as JSON, was signed by Twilio with the account''s auth token.
url: the address as Twilio asked for it; its query has bodySHA256, the body''s SHA-256, and without it nothing is authentic.
body: the bytes as they came, not JSON that was read and written again. NULL: none.
signature: the header X-Twilio-Signature; NULL: the request has none.
Returns true or false, never NULL. The token is found as flex_webhook_is_authentic finds it.
Errors: 22004 without url, 55000 where there is no auth token.
Sends nothing. From twilio.com/docs/usage/security; what that leaves open is as in the official Node client 6.2.0.';
