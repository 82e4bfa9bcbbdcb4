--
-- interactions.sql
--	  Interactions (/v1/Interactions): the current way to bring a contact to an agent, or an agent to a customer.
--
--	  An interaction has channels, a channel has participants, invites to agents and
--	  transfers between them. That the service accepts a request does not say that it
--	  came off: a channel's status, error_code and error_message tell later. JSON
--	  arguments (channel, routing, media_properties, routing_properties) are sent as
--	  strings. Published rate: 20 per second on each endpoint.
--
--	  Call the functions in FROM or LATERAL only: SELECT (flex_interaction_create(...)).*
--	  calls the function once per column, and so starts seven interactions.
--

CREATE TYPE flex_interaction AS (
	sid text,
	channel jsonb,
	routing jsonb,
	url text,
	links jsonb,
	interaction_context_sid text,
	webhook_ttid text);

COMMENT ON TYPE flex_interaction IS
'An interaction: one contact between a customer and the contact centre.';
COMMENT ON COLUMN flex_interaction.sid IS 'SID of the interaction (KD...).';
COMMENT ON COLUMN flex_interaction.channel IS
'The channel that it was created with: its type, its SID and more (object).';
COMMENT ON COLUMN flex_interaction.routing IS
'How it was routed, with the task''s properties (object). properties.attributes and
properties.addons are strings that hold JSON: (routing #>> ''{properties,attributes}'')::jsonb. To the attributes the
service adds members, such as conversationSid.';
COMMENT ON COLUMN flex_interaction.url IS 'Address of this resource.';
COMMENT ON COLUMN flex_interaction.links IS 'Addresses of the resources below it, by name (object).';
COMMENT ON COLUMN flex_interaction.interaction_context_sid IS 'SID of the interaction''s context (HQ...).';
COMMENT ON COLUMN flex_interaction.webhook_ttid IS 'Identifies the webhook of this interaction.';

CREATE TYPE flex_interaction_channel AS (
	sid text,
	interaction_sid text,
	type text,
	status text,
	error_code integer,
	error_message text,
	url text,
	links jsonb);

COMMENT ON TYPE flex_interaction_channel IS
'A channel of an interaction: the medium in which it takes place.';
COMMENT ON COLUMN flex_interaction_channel.sid IS 'SID of the channel (UO...).';
COMMENT ON COLUMN flex_interaction_channel.interaction_sid IS 'SID of the interaction (KD...).';
COMMENT ON COLUMN flex_interaction_channel.type IS 'voice, sms, email, web, whatsapp, chat, messenger or gbm; others may come.';
COMMENT ON COLUMN flex_interaction_channel.status IS 'setup, active, failed, closed, inactive, pause or transfer; others may come.';
COMMENT ON COLUMN flex_interaction_channel.error_code IS 'Twilio''s code for what went wrong, if status is failed.';
COMMENT ON COLUMN flex_interaction_channel.error_message IS 'What went wrong, if status is failed.';
COMMENT ON COLUMN flex_interaction_channel.url IS 'Address of this resource.';
COMMENT ON COLUMN flex_interaction_channel.links IS 'Addresses of the resources below it, by name (object).';

CREATE TYPE flex_interaction_invite AS (
	sid text,
	interaction_sid text,
	channel_sid text,
	routing jsonb,
	url text);

COMMENT ON TYPE flex_interaction_invite IS
'An invite of an agent or a queue to a channel.';
COMMENT ON COLUMN flex_interaction_invite.sid IS 'SID of the invite (KG...).';
COMMENT ON COLUMN flex_interaction_invite.interaction_sid IS 'SID of the interaction (KD...).';
COMMENT ON COLUMN flex_interaction_invite.channel_sid IS 'SID of the channel (UO...).';
COMMENT ON COLUMN flex_interaction_invite.routing IS
'How the invite was routed, with the task''s properties (object). properties.attributes and
properties.addons are strings that hold JSON: (routing #>> ''{properties,attributes}'')::jsonb. To the attributes the
service adds members, such as conversationSid.';
COMMENT ON COLUMN flex_interaction_invite.url IS 'Address of this resource.';

CREATE TYPE flex_interaction_participant AS (
	sid text,
	type text,
	interaction_sid text,
	channel_sid text,
	url text,
	routing_properties jsonb);

COMMENT ON TYPE flex_interaction_participant IS
'A participant in a channel.';
COMMENT ON COLUMN flex_interaction_participant.sid IS 'SID of the participant (UT...).';
COMMENT ON COLUMN flex_interaction_participant.type IS 'supervisor, customer, external, agent or unknown.';
COMMENT ON COLUMN flex_interaction_participant.interaction_sid IS 'SID of the interaction (KD...).';
COMMENT ON COLUMN flex_interaction_participant.channel_sid IS 'SID of the channel (UO...).';
COMMENT ON COLUMN flex_interaction_participant.url IS 'Address of this resource.';
COMMENT ON COLUMN flex_interaction_participant.routing_properties IS
'SIDs of the participant''s task, worker and reservation (object).';

CREATE TYPE flex_interaction_transfer AS (
	sid text,
	instance_sid text,
	account_sid text,
	interaction_sid text,
	channel_sid text,
	execution_sid text,
	type text,
	status text,
	"from" text,
	"to" text,
	note_sid text,
	summary_sid text,
	date_created timestamptz,
	date_updated timestamptz,
	url text);

COMMENT ON TYPE flex_interaction_transfer IS
'A transfer of a channel from one participant to another.';
COMMENT ON COLUMN flex_interaction_transfer.sid IS 'SID of the transfer (UX...).';
COMMENT ON COLUMN flex_interaction_transfer.instance_sid IS 'SID of the Flex instance (GO...).';
COMMENT ON COLUMN flex_interaction_transfer.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_interaction_transfer.interaction_sid IS 'SID of the interaction (KD...).';
COMMENT ON COLUMN flex_interaction_transfer.channel_sid IS 'SID of the channel (UO...).';
COMMENT ON COLUMN flex_interaction_transfer.execution_sid IS
'SID of the execution that belongs to the transfer (QW...).';
COMMENT ON COLUMN flex_interaction_transfer.type IS 'warm, cold or external.';
COMMENT ON COLUMN flex_interaction_transfer.status IS 'active, failed or completed.';
COMMENT ON COLUMN flex_interaction_transfer."from" IS 'SID of the participant who hands over (UT...).';
COMMENT ON COLUMN flex_interaction_transfer."to" IS 'SID of the participant who takes over.';
COMMENT ON COLUMN flex_interaction_transfer.note_sid IS 'SID of the transfer''s note (KQ...).';
COMMENT ON COLUMN flex_interaction_transfer.summary_sid IS 'SID of the transfer''s summary (KQ...).';
COMMENT ON COLUMN flex_interaction_transfer.date_created IS 'When it was created.';
COMMENT ON COLUMN flex_interaction_transfer.date_updated IS 'When it was last changed.';
COMMENT ON COLUMN flex_interaction_transfer.url IS 'Address of this resource.';

CREATE FUNCTION flex_interaction_create(
	channel jsonb,
	routing jsonb DEFAULT NULL,
	interaction_context_sid text DEFAULT NULL,
	webhook_ttid text DEFAULT NULL)
RETURNS flex_interaction
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_interaction_create(jsonb, jsonb, text, text) IS
'Starts an interaction, incoming or outgoing.
POST /v1/Interactions
channel: an object. A customer''s contact: {"type": "sms", "initiated_by": "customer", "properties":
{"media_channel_sid": "CH..."}}, with sms, whatsapp, web or email. An agent''s: {"type": "sms",
"initiated_by": "agent", "participants": [{"address": "+1...", "proxy_address": "+1..."}]}.
routing: {"properties": {"workspace_sid": ..., "workflow_sid": ..., "queue_sid": ..., "worker_sid": ...,
"task_channel_unique_name": ..., "attributes": {}}}; queue_sid and worker_sid are needed where an agent begins.
An identity in it should hold no personal data, and no @.
interaction_context_sid: a SID (HQ...). webhook_ttid: identifies a webhook of this interaction.
Returns the interaction, which is accepted but not yet at work:
see flex_interaction_channels_list for its channel''s status. The task''s attributes are a string in it that holds JSON:
(routing #>> ''{properties,attributes}'')::jsonb.
Errors: 22023 for an argument that cannot be valid, TW400
for one that the service refuses, TW429 when no turn comes in time (20 per second are allowed).
Call it in FROM: SELECT (flex_interaction_create(...)).* calls it once per column.';

CREATE FUNCTION flex_interaction_fetch(
	sid text)
RETURNS flex_interaction
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_interaction_fetch(text) IS
'Fetches one interaction.
GET /v1/Interactions/{Sid}
sid: the interaction''s SID (KD...).
Returns the interaction.
Errors: TW404 when there is no such interaction.';

CREATE FUNCTION flex_interaction_update(
	sid text,
	webhook_ttid text DEFAULT NULL)
RETURNS flex_interaction
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_interaction_update(text, text) IS
'Changes an interaction''s webhook; NULL leaves it as it is.
POST /v1/Interactions/{Sid}
sid: the interaction''s SID (KD...). webhook_ttid: identifies a webhook of this interaction.
Returns the interaction as it is afterwards.
Errors: TW404 when there is no such interaction.';

CREATE FUNCTION flex_interaction_channel_fetch(
	interaction_sid text,
	sid text)
RETURNS flex_interaction_channel
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_interaction_channel_fetch(text, text) IS
'Fetches one channel of an interaction.
GET /v1/Interactions/{InteractionSid}/Channels/{Sid}
interaction_sid: the interaction''s SID (KD...). sid: the channel''s (UO...).
Returns the channel; error_code and error_message say why a failed one failed.
Errors: TW404 when there is no such channel.';

CREATE FUNCTION flex_interaction_channel_update(
	interaction_sid text,
	sid text,
	status text,
	routing jsonb DEFAULT NULL)
RETURNS flex_interaction_channel
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_interaction_channel_update(text, text, text, jsonb) IS
'Closes a channel or makes it inactive, and with it the tasks in it.
POST /v1/Interactions/{InteractionSid}/Channels/{Sid}
interaction_sid: the interaction''s SID (KD...). sid: the channel''s (UO...). status: closed or inactive.
routing: what becomes of the tasks; {"status": "closed"} is the only
value, and needed with inactive. Without it they go to wrapping.
Returns the channel as it is afterwards.
Errors: TW404 when there is no such channel.';

CREATE FUNCTION flex_interaction_channels_list(
	interaction_sid text,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_interaction_channel
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_interaction_channels_list(text, integer, bigint) IS
'Lists the channels of an interaction.
GET /v1/Interactions/{InteractionSid}/Channels
interaction_sid: the interaction''s SID (KD...).
page_size: rows per request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row per channel, with its status.
Errors: TW404 when there is no such interaction.';

CREATE FUNCTION flex_interaction_invite_create(
	interaction_sid text,
	channel_sid text,
	routing jsonb)
RETURNS flex_interaction_invite
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_interaction_invite_create(text, text, jsonb) IS
'Invites an agent or a queue to a channel.
POST /v1/Interactions/{InteractionSid}/Channels/{ChannelSid}/Invites
interaction_sid: the interaction''s SID (KD...). channel_sid: the channel''s (UO...).
routing: whom to invite: {"properties": {"workspace_sid": ..., "workflow_sid": ...,
"queue_sid": ..., "worker_sid": ..., "task_channel_unique_name": ..., "attributes": {}}}.
Returns the invite, which is sent but not yet accepted. The task''s attributes are a string in it that holds JSON:
(routing #>> ''{properties,attributes}'')::jsonb.
Errors: TW400 for routing that the service refuses, TW404 when there is no such channel.
Call it in FROM: SELECT (flex_interaction_invite_create(...)).* calls it once per column.';

CREATE FUNCTION flex_interaction_invites_list(
	interaction_sid text,
	channel_sid text,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_interaction_invite
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_interaction_invites_list(text, text, integer, bigint) IS
'Lists the invites to a channel.
GET /v1/Interactions/{InteractionSid}/Channels/{ChannelSid}/Invites
interaction_sid: the interaction''s SID (KD...). channel_sid: the channel''s (UO...).
page_size: rows per request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row per invite.
Errors: TW404 when there is no such channel.';

CREATE FUNCTION flex_interaction_participant_create(
	interaction_sid text,
	channel_sid text,
	type text,
	media_properties jsonb,
	routing_properties jsonb DEFAULT NULL)
RETURNS flex_interaction_participant
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_interaction_participant_create(text, text, text, jsonb, jsonb) IS
'Adds a participant to a channel.
POST /v1/Interactions/{InteractionSid}/Channels/{ChannelSid}/Participants
interaction_sid: the interaction''s SID (KD...). channel_sid: the channel''s (UO...).
type: supervisor, customer, external, agent or unknown.
media_properties: how to reach the participant, for instance
{"type": "email", "level": "to", "name": ..., "address": ...}.
routing_properties: {"task_sid": ..., "worker_sid": ..., "reservation_sid": ...}.
Returns the participant.
Errors: TW400 for properties that the service refuses, TW404 when there is no such channel.
Call it in FROM: SELECT (flex_interaction_participant_create(...)).* calls it once per column.';

CREATE FUNCTION flex_interaction_participant_update(
	interaction_sid text,
	channel_sid text,
	sid text,
	status text)
RETURNS flex_interaction_participant
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_interaction_participant_update(text, text, text, text) IS
'Takes a participant out of a channel, or lets an agent wrap up.
POST /v1/Interactions/{InteractionSid}/Channels/{ChannelSid}/Participants/{Sid}
interaction_sid: the interaction''s SID (KD...). channel_sid:
the channel''s (UO...). sid: the participant''s (UT...).
status: closed or wrapup.
Returns the participant as it is afterwards.
Errors: TW404 when there is no such participant.';

CREATE FUNCTION flex_interaction_participants_list(
	interaction_sid text,
	channel_sid text,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_interaction_participant
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_interaction_participants_list(text, text, integer, bigint) IS
'Lists the participants in a channel.
GET /v1/Interactions/{InteractionSid}/Channels/{ChannelSid}/Participants
interaction_sid: the interaction''s SID (KD...). channel_sid: the channel''s (UO...).
page_size: rows per request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row per participant.
Errors: TW404 when there is no such channel.';

CREATE FUNCTION flex_interaction_transfer_create(
	interaction_sid text,
	channel_sid text,
	body jsonb)
RETURNS flex_interaction_transfer
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_interaction_transfer_create(text, text, jsonb) IS
'Begins a transfer of a channel to somebody else.
POST /v1/Interactions/{InteractionSid}/Channels/{ChannelSid}/Transfers
interaction_sid: the interaction''s SID (KD...). channel_sid: the channel''s (UO...).
body: an object, sent as JSON. The published documents do not say which members it takes.
Returns the transfer, whose status is active until it has completed or failed.
Errors: TW400 for a body that the service refuses, TW404 when there is no such channel.
Call it in FROM: SELECT (flex_interaction_transfer_create(...)).* calls it once per column.';

CREATE FUNCTION flex_interaction_transfer_fetch(
	interaction_sid text,
	channel_sid text,
	sid text)
RETURNS flex_interaction_transfer
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_interaction_transfer_fetch(text, text, text) IS
'Fetches one transfer.
GET /v1/Interactions/{InteractionSid}/Channels/{ChannelSid}/Transfers/{Sid}
interaction_sid: the interaction''s SID (KD...). channel_sid: the channel''s (UO...). sid: the transfer''s (UX...).
Returns the transfer.
Errors: TW404 when there is no such transfer.';

CREATE FUNCTION flex_interaction_transfer_update(
	interaction_sid text,
	channel_sid text,
	sid text,
	body jsonb)
RETURNS flex_interaction_transfer
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_interaction_transfer_update(text, text, text, jsonb) IS
'Changes a transfer.
POST /v1/Interactions/{InteractionSid}/Channels/{ChannelSid}/Transfers/{Sid}
interaction_sid: the interaction''s SID (KD...). channel_sid: the channel''s (UO...). sid: the transfer''s (UX...).
body: an object, sent as JSON. The published documents do not say which members it takes.
Returns the transfer as it is afterwards.
Errors: TW400 for a body that the service refuses, TW404 when there is no such transfer.';
