--
-- web_channels.sql
--	  Legacy web chats of Programmable Chat for Flex (/v1/WebChannels).
--
--	  Programmable Chat ended for Flex on 2026-06-01: these functions are for accounts
--	  that still have such channels, above all to list and to remove them. Current
--	  accounts start a web chat with flex_webchat_create, which answers with another
--	  type. Published rates, their unit not stated: create 5, every other one 1.
--
--	  Call them in FROM or LATERAL only: SELECT (flex_web_channel_create(...)).* calls
--	  the function once per column, and so creates six channels.
--

CREATE TYPE flex_web_channel AS (
	account_sid text,
	flex_flow_sid text,
	sid text,
	url text,
	date_created timestamptz,
	date_updated timestamptz);

COMMENT ON TYPE flex_web_channel IS
'A legacy Programmable Chat web channel for Flex.';
COMMENT ON COLUMN flex_web_channel.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_web_channel.flex_flow_sid IS 'SID of the Flex Flow that the channel follows (FO...).';
COMMENT ON COLUMN flex_web_channel.sid IS 'SID of the channel (CH...).';
COMMENT ON COLUMN flex_web_channel.url IS 'Address of this resource.';
COMMENT ON COLUMN flex_web_channel.date_created IS 'When it was created.';
COMMENT ON COLUMN flex_web_channel.date_updated IS 'When it was last changed.';

CREATE FUNCTION flex_web_channel_create(
	flex_flow_sid text,
	identity text,
	customer_friendly_name text,
	chat_friendly_name text,
	chat_unique_name text DEFAULT NULL,
	pre_engagement_data jsonb DEFAULT NULL)
RETURNS flex_web_channel
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_web_channel_create(text, text, text, text, text, jsonb) IS
'Creates a web chat channel that follows a Flex Flow.
POST /v1/WebChannels
flex_flow_sid: a SID (FO...). identity: names the chat user, at most 256 characters;
no personal data such as an e-mail address.
customer_friendly_name: the customer''s name for display.
chat_friendly_name: the channel''s, at most 256 characters.
chat_unique_name: a unique name for the channel.
pre_engagement_data: what is known of the customer before
the chat begins; JSON of at most 16 KB, sent as a string.
Returns the channel.
Errors: 22023 for an argument that cannot be valid, TW400 for one that the service refuses.
Legacy: Programmable Chat ended for Flex UI 1.x on 2026-06-01; current accounts use flex_webchat_create.
Call it in FROM: SELECT (flex_web_channel_create(...)).* calls it once per column.';

CREATE FUNCTION flex_web_channel_delete(
	sid text)
RETURNS void
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_web_channel_delete(text) IS
'Deletes a web chat channel.
DELETE /v1/WebChannels/{Sid}
sid: the channel''s SID (CH...).
Errors: TW404 when there is no such channel.
Legacy: Programmable Chat ended for Flex UI 1.x on 2026-06-01; current accounts use flex_webchat_create.';

CREATE FUNCTION flex_web_channel_fetch(
	sid text)
RETURNS flex_web_channel
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_web_channel_fetch(text) IS
'Fetches one web chat channel.
GET /v1/WebChannels/{Sid}
sid: the channel''s SID (CH...).
Returns the channel.
Errors: TW404 when there is no such channel.
Legacy: Programmable Chat ended for Flex UI 1.x on 2026-06-01; current accounts use flex_webchat_create.';

CREATE FUNCTION flex_web_channel_update(
	sid text,
	chat_status text DEFAULT NULL,
	post_engagement_data jsonb DEFAULT NULL)
RETURNS flex_web_channel
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_web_channel_update(text, text, jsonb) IS
'Ends a web chat, or adds what the customer said after it.
POST /v1/WebChannels/{Sid}
sid: the channel''s SID (CH...). chat_status: inactive ends the chat; there is no other value.
post_engagement_data: what came after the chat, JSON sent as a string.
Returns the channel as it is afterwards.
Errors: TW404 when there is no such channel.
Legacy: Programmable Chat ended for Flex UI 1.x on 2026-06-01; current accounts use flex_webchat_create.';

CREATE FUNCTION flex_web_channels_list(
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_web_channel
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_web_channels_list(integer, bigint) IS
'Lists the account''s web chat channels.
GET /v1/WebChannels
page_size: rows per request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row per channel.
Legacy: Programmable Chat ended for Flex UI 1.x on 2026-06-01; current accounts use flex_webchat_create.';
