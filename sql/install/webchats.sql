--
-- webchats.sql
--	  Web chats (/v2/WebChats): the current way to begin one.
--
--	  A web chat is a conversation that a guest user takes part in; the address that is
--	  configured in Conversations says which Studio flow or webhook receives it. The
--	  service has no call to fetch or list web chats: keep the conversation's SID.
--	  Published rate: 5 per second.
--
--	  Call it in FROM or LATERAL only: SELECT (flex_webchat_create(...)).* calls the
--	  function once per column, and so begins two chats.
--

CREATE TYPE flex_webchat AS (
	conversation_sid text,
	identity text);

COMMENT ON TYPE flex_webchat IS
'A web chat that has begun: the conversation, and the guest user in it.';
COMMENT ON COLUMN flex_webchat.conversation_sid IS 'SID of the conversation (CH...).';
COMMENT ON COLUMN flex_webchat.identity IS
'Identity of the guest user, to be named in the access token of the web page.';

CREATE FUNCTION flex_webchat_create(
	address_sid text,
	ui_version text DEFAULT NULL,
	chat_friendly_name text DEFAULT NULL,
	customer_friendly_name text DEFAULT NULL,
	pre_engagement_data jsonb DEFAULT NULL,
	identity text DEFAULT NULL)
RETURNS flex_webchat
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_webchat_create(text, text, text, text, jsonb, text) IS
'Begins a web chat: creates a conversation with a guest user in it.
POST /v2/WebChats
address_sid: SID (IG...) of the address that the chat comes in at, an address of Conversations of type chat. Twilio''s
Console has it under Flex, Manage, Messaging, Conversations Addresses.
ui_version: value of the Ui-Version header.
chat_friendly_name: the conversation''s name, at most 256 characters.
customer_friendly_name: the customer''s name for display.
pre_engagement_data: what is known of the customer before
the chat begins; JSON of at most 16 KB, sent as a string.
identity: names the guest user, at most 256 characters: a pseudonym, no personal data such as an e-mail address.
Returns the conversation''s SID and the guest''s identity.
Errors: 22023 for an argument that cannot be valid; TW400 for one that the service
refuses, such as an address that is not configured; TW429 when no turn comes in time (5 per second are allowed).
Call it in FROM: SELECT (flex_webchat_create(...)).* calls it once per column.';
