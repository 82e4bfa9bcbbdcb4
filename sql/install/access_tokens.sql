--
-- access_tokens.sql
--	  The tokens with which a browser or an app reaches Twilio itself. Nothing is sent.
--

CREATE FUNCTION flex_access_token(
	identity text,
	chat_service_sid text DEFAULT NULL,
	grants jsonb DEFAULT NULL,
	ttl interval DEFAULT '1 hour',
	valid_from timestamptz DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'flex_api_access_token'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 100;

COMMENT ON FUNCTION flex_access_token(text, text, jsonb, interval, timestamptz) IS
'Makes an access token, with which a browser or an app joins the conversation that flex_webchat_create has opened.
identity: the user of the token; for a web chat the identity that flex_webchat_create returns.
chat_service_sid: the chat service (IS...) that the token gives access to, chat_service_instance_sid of
flex_configuration.
grants: more grants, an object by kind, as Twilio defines them: {"voice": {"incoming": {"allow": true}},
"data_sync": {"service_sid": "IS..."}, "video": {"room": "..."}}.
ttl: how long the token is valid, from 1 second to 24 hours, counted from now; fractions are cut off.
valid_from: not valid before this time; NULL for at once. Clocks differ, so leave it out unless it is needed.
Returns the token, a JSON Web Token (HS256) with the API key''s SID, its account and flex_api.region if that is set.
Keep
it secret: its holder can act as this identity until it ends, and it cannot be revoked on its own.
Errors: 22004 without identity, 22023 for an invalid argument, 55000 without an API key: the auth token does
not sign access tokens.
Sends nothing. From twilio.com/docs/iam/access-tokens and the official Node client 6.2.0.';
