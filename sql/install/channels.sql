--
-- channels.sql
--	  Legacy chat channels of Programmable Chat for Flex (/v1/Channels).
--
--	  Programmable Chat ended for Flex on 2026-06-01: these functions are for accounts
--	  that still have such channels, above all to list and to remove them. Current
--	  accounts start with flex_interaction_create or flex_webchat_create. Published
--	  rates, their unit not stated: create 10, list 5, fetch 3, delete 10.
--
--	  Call them in FROM or LATERAL only: SELECT (flex_channel_create(...)).* calls the
--	  function once per column, and so creates eight channels.
--

CREATE TYPE flex_channel AS (
	account_sid text,
	flex_flow_sid text,
	sid text,
	user_sid text,
	task_sid text,
	url text,
	date_created timestamptz,
	date_updated timestamptz);

COMMENT ON TYPE flex_channel IS
'A legacy Programmable Chat channel for Flex, as the service describes it.';
COMMENT ON COLUMN flex_channel.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_channel.flex_flow_sid IS 'SID of the Flex Flow that the channel follows (FO...).';
COMMENT ON COLUMN flex_channel.sid IS 'SID of the channel (CH...).';
COMMENT ON COLUMN flex_channel.user_sid IS 'SID of the chat user (US...).';
COMMENT ON COLUMN flex_channel.task_sid IS
'SID of the TaskRouter task (WT...); NULL for flows of integration type studio and external.';
COMMENT ON COLUMN flex_channel.url IS 'Address of this resource.';
COMMENT ON COLUMN flex_channel.date_created IS 'When it was created.';
COMMENT ON COLUMN flex_channel.date_updated IS 'When it was last changed.';

CREATE FUNCTION flex_channel_create(
	flex_flow_sid text,
	identity text,
	chat_user_friendly_name text,
	chat_friendly_name text,
	target text DEFAULT NULL,
	chat_unique_name text DEFAULT NULL,
	pre_engagement_data jsonb DEFAULT NULL,
	task_sid text DEFAULT NULL,
	task_attributes jsonb DEFAULT NULL,
	long_lived boolean DEFAULT NULL)
RETURNS flex_channel
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_channel_create(text, text, text, text, text, text, jsonb, text, jsonb, boolean) IS
'Creates a chat channel that follows a Flex Flow, and its chat user.
POST /v1/Channels
flex_flow_sid: a SID (FO...). identity: names the chat user, unique in its chat service, at most 256 characters;
no personal data such as an e-mail address.
chat_user_friendly_name: the chat user''s name for display.
chat_friendly_name: the channel''s, at most 256 characters.
target: the contact at the other end, for instance the telephone number of an SMS.
chat_unique_name: a unique name for the channel.
pre_engagement_data: what is known of the customer before
the chat begins; JSON of at most 16 KB, sent as a string.
task_sid: a SID (WT...); only where the flow''s integration type is task.
task_attributes: attributes for the task, an object, sent as a string.
long_lived: whether the channel is kept for the contact''s later conversations.
Returns the channel; its task_sid is NULL where the flow''s integration type is studio or external.
Errors: 22023 for an argument that cannot be valid, TW400 for one that the service refuses.
Legacy: Programmable Chat ended for Flex UI 1.x on 2026-06-01; current accounts use flex_interaction_create.
Call it in FROM: SELECT (flex_channel_create(...)).* calls it once per column.';

CREATE FUNCTION flex_channel_delete(
	sid text)
RETURNS void
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_channel_delete(text) IS
'Deletes a chat channel.
DELETE /v1/Channels/{Sid}
sid: the channel''s SID (CH...).
Errors: TW404 when there is no such channel.
Legacy: Programmable Chat ended for Flex UI 1.x on 2026-06-01; current
accounts use flex_interaction_channel_update with status closed.';

CREATE FUNCTION flex_channel_fetch(
	sid text)
RETURNS flex_channel
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_channel_fetch(text) IS
'Fetches one chat channel.
GET /v1/Channels/{Sid}
sid: the channel''s SID (CH...).
Returns the channel.
Errors: TW404 when there is no such channel.
Legacy: Programmable Chat ended for Flex UI 1.x on 2026-06-01; current accounts use flex_interaction_channel_fetch.';

CREATE FUNCTION flex_channels_list(
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_channel
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_channels_list(integer, bigint) IS
'Lists the account''s chat channels.
GET /v1/Channels
page_size: rows per request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row per channel.
Legacy: Programmable Chat ended for Flex UI 1.x on 2026-06-01; current accounts use flex_interaction_channels_list.';
