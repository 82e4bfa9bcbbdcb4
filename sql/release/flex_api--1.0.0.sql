-- flex_api: typed SQL functions for the Twilio Flex API.
-- Built from sql/install/*.sql; change those.
\echo Use "CREATE EXTENSION flex_api" to load this file. \quit

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
--
-- interactions.sql
--	  Interactions (/v1/Interactions): the current way to bring a contact to an agent, or an agent to a customer.
--
--	  An interaction has channels, a channel has participants, invites to agents and
--	  transfers between them. That the service accepts a request does not say that it
--	  came off: a channel's status, error_code and error_message tell later. JSON
--	  arguments (channel, routing, media_properties, routing_properties) are sent as
--	  strings. Published rate: 20 a second on each endpoint.
--
--	  Call the functions in FROM or LATERAL only: SELECT (flex_interaction_create(...)).*
--	  calls the function once a column, and so starts seven interactions.
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
COMMENT ON COLUMN flex_interaction.routing IS 'How it was routed, with the task''s properties (object).';
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
COMMENT ON COLUMN flex_interaction_channel.type IS 'voice, sms, email, web, whatsapp, chat, messenger or gbm.';
COMMENT ON COLUMN flex_interaction_channel.status IS 'setup, active, failed, closed, inactive, pause or transfer.';
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
COMMENT ON COLUMN flex_interaction_invite.routing IS 'How the invite was routed, with the task''s properties (object).';
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
interaction_context_sid: a SID (HQ...). webhook_ttid: identifies a webhook of this interaction.
Returns the interaction, which is accepted but not yet at work:
see flex_interaction_channels_list for its channel''s status.
Errors: 22023 for an argument that cannot be valid, TW400
for one that the service refuses, TW429 over 20 a second.
Call it in FROM: SELECT (flex_interaction_create(...)).* calls it once a column.';

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
page_size: rows a request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row a channel, with its status.
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
Returns the invite, which is sent but not yet accepted.
Errors: TW400 for routing that the service refuses, TW404 when there is no such channel.
Call it in FROM: SELECT (flex_interaction_invite_create(...)).* calls it once a column.';

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
page_size: rows a request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row an invite.
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
Call it in FROM: SELECT (flex_interaction_participant_create(...)).* calls it once a column.';

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
page_size: rows a request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row a participant.
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
Call it in FROM: SELECT (flex_interaction_transfer_create(...)).* calls it once a column.';

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
--
-- webchats.sql
--	  Web chats (/v2/WebChats): the current way to begin one.
--
--	  A web chat is a conversation that a guest user takes part in; the address that is
--	  configured in Conversations says which Studio flow or webhook receives it. The
--	  service has no call to fetch or list web chats: keep the conversation's SID.
--	  Published rate: 5 a second.
--
--	  Call it in FROM or LATERAL only: SELECT (flex_webchat_create(...)).* calls the
--	  function once a column, and so begins two chats.
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
address_sid: SID of the address in Conversations that the
chat comes in at. ui_version: value of the Ui-Version header.
chat_friendly_name: the conversation''s name, at most 256 characters.
customer_friendly_name: the customer''s name for display.
pre_engagement_data: what is known of the customer before
the chat begins; JSON of at most 16 KB, sent as a string.
identity: names the guest user, at most 256 characters.
Returns the conversation''s SID and the guest''s identity.
Errors: 22023 for an argument that cannot be valid; TW400 for one that the service
refuses, such as an address that is not configured; TW429 over 5 a second.
Call it in FROM: SELECT (flex_webchat_create(...)).* calls it once a column.';
--
-- users.sql
--	  Flex users (/v2/Instances/{InstanceSid}/Users): the people who work in a Flex instance.
--
--	  The published API has no call to list users, so their SIDs must be known. Call the
--	  functions in FROM or LATERAL only: SELECT (flex_user_update(...)).* calls the
--	  function once a column, and so updates fifteen times.
--

CREATE TYPE flex_user AS (
	account_sid text,
	instance_sid text,
	user_sid text,
	flex_user_sid text,
	worker_sid text,
	workspace_sid text,
	flex_team_sid text,
	username text,
	email text,
	locale text,
	roles jsonb,
	created_date timestamptz,
	updated_date timestamptz,
	version integer,
	url text);

COMMENT ON TYPE flex_user IS
'A user of a Flex instance.';
COMMENT ON COLUMN flex_user.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_user.instance_sid IS 'SID of the Flex instance (GO...).';
COMMENT ON COLUMN flex_user.user_sid IS 'SID of the Twilio user behind it (US...).';
COMMENT ON COLUMN flex_user.flex_user_sid IS 'SID of the Flex user (FU...).';
COMMENT ON COLUMN flex_user.worker_sid IS 'SID of the TaskRouter worker (WK...).';
COMMENT ON COLUMN flex_user.workspace_sid IS 'SID of the TaskRouter workspace (WS...).';
COMMENT ON COLUMN flex_user.flex_team_sid IS 'SID of the Flex team (QO...).';
COMMENT ON COLUMN flex_user.username IS 'The user''s name.';
COMMENT ON COLUMN flex_user.email IS 'The user''s e-mail address.';
COMMENT ON COLUMN flex_user.locale IS 'The language and region that the user prefers.';
COMMENT ON COLUMN flex_user.roles IS 'The user''s roles (array of strings).';
COMMENT ON COLUMN flex_user.created_date IS 'When it was created.';
COMMENT ON COLUMN flex_user.updated_date IS 'When it was last changed.';
COMMENT ON COLUMN flex_user.version IS 'Version of this user''s record.';
COMMENT ON COLUMN flex_user.url IS 'Address of this resource.';

CREATE FUNCTION flex_user_fetch(
	instance_sid text,
	flex_user_sid text)
RETURNS flex_user
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_user_fetch(text, text) IS
'Fetches one Flex user.
GET /v2/Instances/{InstanceSid}/Users/{FlexUserSid}
instance_sid: the instance''s SID (GO...). flex_user_sid: the user''s SID (FU...).
Returns the user.
Errors: TW404 when there is no such instance or user.';

CREATE FUNCTION flex_user_update(
	instance_sid text,
	flex_user_sid text,
	email text DEFAULT NULL,
	user_sid text DEFAULT NULL,
	locale text DEFAULT NULL)
RETURNS flex_user
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_user_update(text, text, text, text, text) IS
'Changes a Flex user; what is NULL stays as it is.
POST /v2/Instances/{InstanceSid}/Users/{FlexUserSid}
instance_sid: the instance''s SID (GO...). flex_user_sid: the user''s SID (FU...).
email: an e-mail address. user_sid: SID of a Twilio user (US...). locale: a language and region.
Returns the user as it is afterwards.
Errors: TW404 when there is no such instance or user.';
--
-- configuration.sql
--	  The configuration of a Flex instance (/v1/Configuration), and how far the provisioning
--	  of e-mail has come (/v1/account/provision/status).
--
--	  An update replaces a JSON member whole: fetch it, merge, and send the result. Call the
--	  functions in FROM or LATERAL only: SELECT (flex_configuration_update(...)).* calls the
--	  function once a column, and so updates forty-nine times.
--

CREATE TYPE flex_configuration AS (
	account_sid text,
	date_created timestamptz,
	date_updated timestamptz,
	attributes jsonb,
	status text,
	taskrouter_workspace_sid text,
	taskrouter_target_workflow_sid text,
	taskrouter_target_taskqueue_sid text,
	taskrouter_taskqueues jsonb,
	taskrouter_skills jsonb,
	taskrouter_worker_channels jsonb,
	taskrouter_worker_attributes jsonb,
	taskrouter_offline_activity_sid text,
	runtime_domain text,
	messaging_service_instance_sid text,
	chat_service_instance_sid text,
	flex_service_instance_sid text,
	flex_instance_sid text,
	ui_language text,
	ui_attributes jsonb,
	ui_dependencies jsonb,
	ui_version text,
	service_version text,
	call_recording_enabled boolean,
	call_recording_webhook_url text,
	crm_enabled boolean,
	crm_type text,
	crm_callback_url text,
	crm_fallback_url text,
	crm_attributes jsonb,
	public_attributes jsonb,
	plugin_service_enabled boolean,
	plugin_service_attributes jsonb,
	integrations jsonb,
	outbound_call_flows jsonb,
	serverless_service_sids jsonb,
	queue_stats_configuration jsonb,
	notifications jsonb,
	markdown jsonb,
	url text,
	flex_insights_hr jsonb,
	flex_insights_drilldown boolean,
	flex_url text,
	channel_configs jsonb,
	debugger_integration jsonb,
	flex_ui_status_report jsonb,
	agent_conv_end_methods jsonb,
	citrix_voice_vdi jsonb,
	offline_config jsonb);

COMMENT ON TYPE flex_configuration IS
'The configuration of the account''s Flex instance.';
COMMENT ON COLUMN flex_configuration.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_configuration.date_created IS 'When it was created.';
COMMENT ON COLUMN flex_configuration.date_updated IS 'When it was last changed.';
COMMENT ON COLUMN flex_configuration.attributes IS 'Data of the application''s own (object).';
COMMENT ON COLUMN flex_configuration.status IS 'How far setting up Flex has come: ok, inprogress or notstarted.';
COMMENT ON COLUMN flex_configuration.taskrouter_workspace_sid IS 'SID of the TaskRouter workspace (WS...).';
COMMENT ON COLUMN flex_configuration.taskrouter_target_workflow_sid IS 'SID of the workflow that tasks go to (WW...).';
COMMENT ON COLUMN flex_configuration.taskrouter_target_taskqueue_sid IS 'SID of the queue that tasks go to (WQ...).';
COMMENT ON COLUMN flex_configuration.taskrouter_taskqueues IS
'The TaskRouter queues (array of objects with sid and targettable).';
COMMENT ON COLUMN flex_configuration.taskrouter_skills IS 'The skills that workers may have (array of objects).';
COMMENT ON COLUMN flex_configuration.taskrouter_worker_channels IS
'Default capacity and availability of workers'' channels, by role (object).';
COMMENT ON COLUMN flex_configuration.taskrouter_worker_attributes IS
'Attributes of TaskRouter workers, by role (object).';
COMMENT ON COLUMN flex_configuration.taskrouter_offline_activity_sid IS
'SID of the activity that means offline (WA...).';
COMMENT ON COLUMN flex_configuration.runtime_domain IS 'Address at which the Flex instance is hosted.';
COMMENT ON COLUMN flex_configuration.messaging_service_instance_sid IS 'SID of the messaging service (MG...).';
COMMENT ON COLUMN flex_configuration.chat_service_instance_sid IS 'SID of the chat service (IS...).';
COMMENT ON COLUMN flex_configuration.flex_service_instance_sid IS 'SID of the Flex service (IS...).';
COMMENT ON COLUMN flex_configuration.flex_instance_sid IS 'SID of the Flex instance (GO...).';
COMMENT ON COLUMN flex_configuration.ui_language IS 'Main language of the Flex UI.';
COMMENT ON COLUMN flex_configuration.ui_attributes IS 'Looks and settings of the Flex UI (object).';
COMMENT ON COLUMN flex_configuration.ui_dependencies IS
'NPM packages and their versions for a hosted Flex UI (object).';
COMMENT ON COLUMN flex_configuration.ui_version IS 'Version of the Flex UI that the instance is pinned to.';
COMMENT ON COLUMN flex_configuration.service_version IS 'Version of the Flex service.';
COMMENT ON COLUMN flex_configuration.call_recording_enabled IS 'Whether calls are recorded.';
COMMENT ON COLUMN flex_configuration.call_recording_webhook_url IS 'Webhook for recordings of calls.';
COMMENT ON COLUMN flex_configuration.crm_enabled IS 'Whether a CRM is shown in Flex.';
COMMENT ON COLUMN flex_configuration.crm_type IS 'Kind of the CRM.';
COMMENT ON COLUMN flex_configuration.crm_callback_url IS 'Address that is asked for the CRM.';
COMMENT ON COLUMN flex_configuration.crm_fallback_url IS 'Address that is asked when crm_callback_url fails.';
COMMENT ON COLUMN flex_configuration.crm_attributes IS 'Attributes of the CRM (object).';
COMMENT ON COLUMN flex_configuration.public_attributes IS
'Attributes that anybody can read without authentication (object).';
COMMENT ON COLUMN flex_configuration.plugin_service_enabled IS 'Whether plugins are served by the plugin service.';
COMMENT ON COLUMN flex_configuration.plugin_service_attributes IS 'Settings of the plugin service (object).';
COMMENT ON COLUMN flex_configuration.integrations IS 'The integrations, each with its settings (array of objects).';
COMMENT ON COLUMN flex_configuration.outbound_call_flows IS 'How outgoing calls are made, by name (object).';
COMMENT ON COLUMN flex_configuration.serverless_service_sids IS 'The serverless services (array of SIDs, ZS...).';
COMMENT ON COLUMN flex_configuration.queue_stats_configuration IS 'Settings of the queues'' statistics (object).';
COMMENT ON COLUMN flex_configuration.notifications IS 'Settings of notifications in the Flex UI (object).';
COMMENT ON COLUMN flex_configuration.markdown IS 'Settings of Markdown in messages (object).';
COMMENT ON COLUMN flex_configuration.url IS 'Address of this resource.';
COMMENT ON COLUMN flex_configuration.flex_insights_hr IS
'Whether Insights'' advanced reporting is on, and its workspaces (object).';
COMMENT ON COLUMN flex_configuration.flex_insights_drilldown IS 'Whether the Flex UI goes to flex_url.';
COMMENT ON COLUMN flex_configuration.flex_url IS 'Where the Flex UI goes if flex_insights_drilldown is on.';
COMMENT ON COLUMN flex_configuration.channel_configs IS
'Limits for attachments, by kind of address (array of objects).';
COMMENT ON COLUMN flex_configuration.debugger_integration IS 'Settings of the debugger in the Flex UI (object).';
COMMENT ON COLUMN flex_configuration.flex_ui_status_report IS 'Settings of the Flex UI''s status report (object).';
COMMENT ON COLUMN flex_configuration.agent_conv_end_methods IS 'How agents may end a conversation (object).';
COMMENT ON COLUMN flex_configuration.citrix_voice_vdi IS 'Settings of voice in Citrix virtual desktops (object).';
COMMENT ON COLUMN flex_configuration.offline_config IS 'Whether presence is kept, and how long (object).';

CREATE TYPE flex_provisioning_status AS (
	status text,
	url text);

COMMENT ON TYPE flex_provisioning_status IS
'How far the provisioning of e-mail for the account''s Flex has come.';
COMMENT ON COLUMN flex_provisioning_status.status IS 'active, in-progress, not-configured or failed.';
COMMENT ON COLUMN flex_provisioning_status.url IS 'Address of this resource.';

CREATE FUNCTION flex_configuration_fetch(
	ui_version text DEFAULT NULL)
RETURNS flex_configuration
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_configuration_fetch(text) IS
'Fetches the configuration of the account''s Flex instance.
GET /v1/Configuration
ui_version: the version of the Flex UI whose configuration is wanted; NULL for the current one.
Returns the configuration.
Errors: TW404 when there is no Flex in the account.';

CREATE FUNCTION flex_configuration_update(
	body jsonb)
RETURNS flex_configuration
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_configuration_update(jsonb) IS
'Changes the configuration of the account''s Flex instance.
POST /v1/Configuration
body: an object of the members to change, by their names in flex_configuration, with account_sid
among them; it is sent as JSON. A member that holds JSON is replaced whole, not merged.
Returns the configuration as it is afterwards.
Errors: TW400 for a member that the service refuses; Twilio''s code 45102 in the DETAIL
says that somebody else changed the configuration meanwhile: fetch, merge and send again.';

CREATE FUNCTION flex_provisioning_status_fetch()
RETURNS flex_provisioning_status
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_provisioning_status_fetch() IS
'Tells how far the provisioning of e-mail for the account''s Flex has come.
GET /v1/account/provision/status
Returns one row, whose status is active, in-progress, not-configured or failed.
Errors: TW401 or TW403 when the credentials do not allow it.';
--
-- plugins.sql
--	  Plugins of the Flex UI and their versions (/v1/PluginService/Plugins).
--
--	  A plugin has versions; a plugin configuration names the versions that run together,
--	  and a release puts a configuration into force (plugin_configurations.sql). Plugins
--	  and versions are never deleted, they are archived. Every function can send the
--	  header Flex-Metadata, whose meaning the published documents do not tell.
--
--	  Call the functions in FROM or LATERAL only: SELECT (flex_plugin_create(...)).* calls
--	  the function once a column, and so tries to create ten plugins.
--

CREATE TYPE flex_plugin AS (
	sid text,
	account_sid text,
	unique_name text,
	friendly_name text,
	description text,
	archived boolean,
	date_created timestamptz,
	date_updated timestamptz,
	url text,
	links jsonb);

COMMENT ON TYPE flex_plugin IS
'A plugin of the Flex UI.';
COMMENT ON COLUMN flex_plugin.sid IS 'SID of the plugin (FP...).';
COMMENT ON COLUMN flex_plugin.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_plugin.unique_name IS 'Its unique name.';
COMMENT ON COLUMN flex_plugin.friendly_name IS 'Its name for display.';
COMMENT ON COLUMN flex_plugin.description IS 'What it is for, at most 500 characters.';
COMMENT ON COLUMN flex_plugin.archived IS 'Whether it is archived.';
COMMENT ON COLUMN flex_plugin.date_created IS 'When it was created.';
COMMENT ON COLUMN flex_plugin.date_updated IS 'When it was last changed.';
COMMENT ON COLUMN flex_plugin.url IS 'Address of this resource.';
COMMENT ON COLUMN flex_plugin.links IS 'Addresses of the resources below it, by name (object).';

CREATE TYPE flex_plugin_archive AS (
	sid text,
	account_sid text,
	unique_name text,
	friendly_name text,
	description text,
	archived boolean,
	date_created timestamptz,
	date_updated timestamptz,
	url text);

COMMENT ON TYPE flex_plugin_archive IS
'A plugin of the Flex UI, as archiving it answers.';
COMMENT ON COLUMN flex_plugin_archive.sid IS 'SID of the plugin (FP...).';
COMMENT ON COLUMN flex_plugin_archive.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_plugin_archive.unique_name IS 'Its unique name.';
COMMENT ON COLUMN flex_plugin_archive.friendly_name IS 'Its name for display.';
COMMENT ON COLUMN flex_plugin_archive.description IS 'What it is for, at most 500 characters.';
COMMENT ON COLUMN flex_plugin_archive.archived IS 'Whether it is archived.';
COMMENT ON COLUMN flex_plugin_archive.date_created IS 'When it was created.';
COMMENT ON COLUMN flex_plugin_archive.date_updated IS 'When it was last changed.';
COMMENT ON COLUMN flex_plugin_archive.url IS 'Address of this resource.';

CREATE TYPE flex_plugin_version AS (
	sid text,
	plugin_sid text,
	account_sid text,
	version text,
	plugin_url text,
	changelog text,
	private boolean,
	archived boolean,
	validated boolean,
	date_created timestamptz,
	url text);

COMMENT ON TYPE flex_plugin_version IS
'A version of a plugin.';
COMMENT ON COLUMN flex_plugin_version.sid IS 'SID of the version (FV...).';
COMMENT ON COLUMN flex_plugin_version.plugin_sid IS 'SID of the plugin (FP...).';
COMMENT ON COLUMN flex_plugin_version.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_plugin_version.version IS 'The version''s number, unique in its plugin.';
COMMENT ON COLUMN flex_plugin_version.plugin_url IS 'Where the JavaScript bundle is hosted.';
COMMENT ON COLUMN flex_plugin_version.changelog IS 'What the version changes.';
COMMENT ON COLUMN flex_plugin_version.private IS 'Whether fetching the bundle needs authorization.';
COMMENT ON COLUMN flex_plugin_version.archived IS 'Whether it is archived.';
COMMENT ON COLUMN flex_plugin_version.validated IS 'Whether the version has been validated.';
COMMENT ON COLUMN flex_plugin_version.date_created IS 'When it was created.';
COMMENT ON COLUMN flex_plugin_version.url IS 'Address of this resource.';

CREATE TYPE flex_plugin_version_archive AS (
	sid text,
	plugin_sid text,
	account_sid text,
	version text,
	plugin_url text,
	changelog text,
	private boolean,
	archived boolean,
	date_created timestamptz,
	url text);

COMMENT ON TYPE flex_plugin_version_archive IS
'A version of a plugin, as archiving it answers.';
COMMENT ON COLUMN flex_plugin_version_archive.sid IS 'SID of the version (FV...).';
COMMENT ON COLUMN flex_plugin_version_archive.plugin_sid IS 'SID of the plugin (FP...).';
COMMENT ON COLUMN flex_plugin_version_archive.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_plugin_version_archive.version IS 'The version''s number, unique in its plugin.';
COMMENT ON COLUMN flex_plugin_version_archive.plugin_url IS 'Where the JavaScript bundle is hosted.';
COMMENT ON COLUMN flex_plugin_version_archive.changelog IS 'What the version changes.';
COMMENT ON COLUMN flex_plugin_version_archive.private IS 'Whether fetching the bundle needs authorization.';
COMMENT ON COLUMN flex_plugin_version_archive.archived IS 'Whether it is archived.';
COMMENT ON COLUMN flex_plugin_version_archive.date_created IS 'When it was created.';
COMMENT ON COLUMN flex_plugin_version_archive.url IS 'Address of this resource.';

CREATE FUNCTION flex_plugin_archive(
	sid text,
	flex_metadata text DEFAULT NULL)
RETURNS flex_plugin_archive
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_plugin_archive(text, text) IS
'Archives a plugin.
POST /v1/PluginService/Plugins/{Sid}/Archive
sid: the plugin''s SID (FP...).
flex_metadata: value of the Flex-Metadata header.
Returns the plugin, archived.
Errors: TW404 when there is no such plugin.';

CREATE FUNCTION flex_plugin_create(
	unique_name text,
	flex_metadata text DEFAULT NULL,
	friendly_name text DEFAULT NULL,
	description text DEFAULT NULL)
RETURNS flex_plugin
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_plugin_create(text, text, text, text) IS
'Creates a plugin.
POST /v1/PluginService/Plugins
unique_name: a name that no other plugin of the account has. friendly_name: a name for display.
description: at most 500 characters.
flex_metadata: value of the Flex-Metadata header.
Returns the plugin.
Errors: TW400 for an argument that the service refuses, TW409 for a name that is taken.
Call it in FROM: SELECT (flex_plugin_create(...)).* calls it once a column.';

CREATE FUNCTION flex_plugin_fetch(
	sid text,
	flex_metadata text DEFAULT NULL)
RETURNS flex_plugin
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_plugin_fetch(text, text) IS
'Fetches one plugin.
GET /v1/PluginService/Plugins/{Sid}
sid: the plugin''s SID (FP...).
flex_metadata: value of the Flex-Metadata header.
Returns the plugin.
Errors: TW404 when there is no such plugin.';

CREATE FUNCTION flex_plugin_update(
	sid text,
	flex_metadata text DEFAULT NULL,
	friendly_name text DEFAULT NULL,
	description text DEFAULT NULL)
RETURNS flex_plugin
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_plugin_update(text, text, text, text) IS
'Changes a plugin''s description; what is NULL stays as it is.
POST /v1/PluginService/Plugins/{Sid}
sid: the plugin''s SID (FP...). friendly_name: a name for display. description: at most 500 characters.
flex_metadata: value of the Flex-Metadata header.
Returns the plugin as it is afterwards.
Errors: TW404 when there is no such plugin.';

CREATE FUNCTION flex_plugins_list(
	flex_metadata text DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_plugin
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_plugins_list(text, integer, bigint) IS
'Lists the account''s plugins.
GET /v1/PluginService/Plugins
flex_metadata: value of the Flex-Metadata header.
page_size: rows a request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row a plugin.';

CREATE FUNCTION flex_plugin_version_archive(
	plugin_sid text,
	sid text,
	flex_metadata text DEFAULT NULL)
RETURNS flex_plugin_version_archive
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_plugin_version_archive(text, text, text) IS
'Archives a version of a plugin.
POST /v1/PluginService/Plugins/{PluginSid}/Versions/{Sid}/Archive
plugin_sid: the plugin''s SID (FP...). sid: the version''s (FV...).
flex_metadata: value of the Flex-Metadata header.
Returns the version, archived.
Errors: TW404 when there is no such version.';

CREATE FUNCTION flex_plugin_version_create(
	plugin_sid text,
	version text,
	plugin_url text,
	flex_metadata text DEFAULT NULL,
	changelog text DEFAULT NULL,
	private boolean DEFAULT NULL,
	cli_version text DEFAULT NULL,
	validate_status text DEFAULT NULL)
RETURNS flex_plugin_version
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_plugin_version_create(text, text, text, text, text, boolean, text, text) IS
'Creates a version of a plugin.
POST /v1/PluginService/Plugins/{PluginSid}/Versions
plugin_sid: the plugin''s SID (FP...). version: the version''s number, which no other version of the plugin has.
plugin_url: where the JavaScript bundle is hosted. changelog: what is new.
private: whether fetching the bundle needs authorization.
cli_version: version of the Flex plugins'' command line tool.
validate_status: what validating the plugin has shown.
flex_metadata: value of the Flex-Metadata header.
Returns the version.
Errors: TW400 for an argument that the service refuses, TW404
when there is no such plugin, TW409 for a version that exists.
Call it in FROM: SELECT (flex_plugin_version_create(...)).* calls it once a column.';

CREATE FUNCTION flex_plugin_version_fetch(
	plugin_sid text,
	sid text,
	flex_metadata text DEFAULT NULL)
RETURNS flex_plugin_version
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_plugin_version_fetch(text, text, text) IS
'Fetches one version of a plugin.
GET /v1/PluginService/Plugins/{PluginSid}/Versions/{Sid}
plugin_sid: the plugin''s SID (FP...). sid: the version''s (FV...).
flex_metadata: value of the Flex-Metadata header.
Returns the version.
Errors: TW404 when there is no such version.';

CREATE FUNCTION flex_plugin_versions_list(
	plugin_sid text,
	flex_metadata text DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_plugin_version
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_plugin_versions_list(text, text, integer, bigint) IS
'Lists the versions of a plugin.
GET /v1/PluginService/Plugins/{PluginSid}/Versions
plugin_sid: the plugin''s SID (FP...).
flex_metadata: value of the Flex-Metadata header.
page_size: rows a request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row a version.
Errors: TW404 when there is no such plugin.';
--
-- plugin_configurations.sql
--	  Plugin configurations and releases (/v1/PluginService/Configurations and Releases).
--
--	  A plugin configuration names the plugin versions that run together; a release puts
--	  one configuration into force for everybody. Every function can send the header
--	  Flex-Metadata, whose meaning the published documents do not tell.
--
--	  Call the functions in FROM or LATERAL only: SELECT (flex_plugin_release_create(...)).*
--	  calls the function once a column, and so makes five releases.
--

CREATE TYPE flex_plugin_configuration AS (
	sid text,
	account_sid text,
	name text,
	description text,
	archived boolean,
	date_created timestamptz,
	url text,
	links jsonb);

COMMENT ON TYPE flex_plugin_configuration IS
'A set of plugin versions that run together.';
COMMENT ON COLUMN flex_plugin_configuration.sid IS 'SID of the configuration (FJ...).';
COMMENT ON COLUMN flex_plugin_configuration.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_plugin_configuration.name IS 'Its name.';
COMMENT ON COLUMN flex_plugin_configuration.description IS 'What it is for.';
COMMENT ON COLUMN flex_plugin_configuration.archived IS 'Whether it is archived.';
COMMENT ON COLUMN flex_plugin_configuration.date_created IS 'When it was created.';
COMMENT ON COLUMN flex_plugin_configuration.url IS 'Address of this resource.';
COMMENT ON COLUMN flex_plugin_configuration.links IS 'Addresses of the resources below it, by name (object).';

CREATE TYPE flex_plugin_configuration_archive AS (
	sid text,
	account_sid text,
	name text,
	description text,
	archived boolean,
	date_created timestamptz,
	url text);

COMMENT ON TYPE flex_plugin_configuration_archive IS
'A set of plugin versions, as archiving it answers.';
COMMENT ON COLUMN flex_plugin_configuration_archive.sid IS 'SID of the configuration (FJ...).';
COMMENT ON COLUMN flex_plugin_configuration_archive.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_plugin_configuration_archive.name IS 'Its name.';
COMMENT ON COLUMN flex_plugin_configuration_archive.description IS 'What it is for.';
COMMENT ON COLUMN flex_plugin_configuration_archive.archived IS 'Whether it is archived.';
COMMENT ON COLUMN flex_plugin_configuration_archive.date_created IS 'When it was created.';
COMMENT ON COLUMN flex_plugin_configuration_archive.url IS 'Address of this resource.';

CREATE TYPE flex_configured_plugin AS (
	account_sid text,
	configuration_sid text,
	plugin_sid text,
	plugin_version_sid text,
	phase integer,
	plugin_url text,
	unique_name text,
	friendly_name text,
	description text,
	plugin_archived boolean,
	version text,
	changelog text,
	plugin_version_archived boolean,
	private boolean,
	date_created timestamptz,
	url text);

COMMENT ON TYPE flex_configured_plugin IS
'A plugin in a configuration, with the version that was chosen.';
COMMENT ON COLUMN flex_configured_plugin.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_configured_plugin.configuration_sid IS 'SID of the configuration (FJ...).';
COMMENT ON COLUMN flex_configured_plugin.plugin_sid IS 'SID of the plugin (FP...).';
COMMENT ON COLUMN flex_configured_plugin.plugin_version_sid IS 'SID of the version (FV...).';
COMMENT ON COLUMN flex_configured_plugin.phase IS 'In which phase of the Flex UI''s start the plugin is loaded.';
COMMENT ON COLUMN flex_configured_plugin.plugin_url IS 'Where the JavaScript bundle is hosted.';
COMMENT ON COLUMN flex_configured_plugin.unique_name IS 'The plugin''s unique name.';
COMMENT ON COLUMN flex_configured_plugin.friendly_name IS 'The plugin''s name for display.';
COMMENT ON COLUMN flex_configured_plugin.description IS 'What the plugin is for, at most 500 characters.';
COMMENT ON COLUMN flex_configured_plugin.plugin_archived IS 'Whether the plugin is archived.';
COMMENT ON COLUMN flex_configured_plugin.version IS 'The version''s number.';
COMMENT ON COLUMN flex_configured_plugin.changelog IS 'What the version changes.';
COMMENT ON COLUMN flex_configured_plugin.plugin_version_archived IS 'Whether the version is archived.';
COMMENT ON COLUMN flex_configured_plugin.private IS 'Whether fetching the bundle needs authorization.';
COMMENT ON COLUMN flex_configured_plugin.date_created IS 'When the plugin was put into the configuration.';
COMMENT ON COLUMN flex_configured_plugin.url IS 'Address of this resource.';

CREATE TYPE flex_plugin_release AS (
	sid text,
	account_sid text,
	configuration_sid text,
	date_created timestamptz,
	url text);

COMMENT ON TYPE flex_plugin_release IS
'A release: which configuration is, or was, in force.';
COMMENT ON COLUMN flex_plugin_release.sid IS 'SID of the release (FK...).';
COMMENT ON COLUMN flex_plugin_release.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_plugin_release.configuration_sid IS 'SID of the configuration (FJ...).';
COMMENT ON COLUMN flex_plugin_release.date_created IS 'When it was created.';
COMMENT ON COLUMN flex_plugin_release.url IS 'Address of this resource.';

CREATE FUNCTION flex_plugin_configuration_archive(
	sid text,
	flex_metadata text DEFAULT NULL)
RETURNS flex_plugin_configuration_archive
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_plugin_configuration_archive(text, text) IS
'Archives a plugin configuration.
POST /v1/PluginService/Configurations/{Sid}/Archive
sid: the configuration''s SID (FJ...).
flex_metadata: value of the Flex-Metadata header.
Returns the configuration, archived.
Errors: TW404 when there is no such configuration.';

CREATE FUNCTION flex_plugin_configuration_create(
	name text,
	flex_metadata text DEFAULT NULL,
	plugins text[] DEFAULT NULL,
	description text DEFAULT NULL)
RETURNS flex_plugin_configuration
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_plugin_configuration_create(text, text, text[], text) IS
'Creates a plugin configuration.
POST /v1/PluginService/Configurations
name: a name for it. description: what it is for.
plugins: the versions in it, each element the text of an object {"plugin_version": "FV...", "phase": 3}.
flex_metadata: value of the Flex-Metadata header.
Returns the configuration; flex_plugin_release_create puts it into force.
Errors: TW400 for an argument that the service refuses.
Call it in FROM: SELECT (flex_plugin_configuration_create(...)).* calls it once a column.';

CREATE FUNCTION flex_plugin_configuration_fetch(
	sid text,
	flex_metadata text DEFAULT NULL)
RETURNS flex_plugin_configuration
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_plugin_configuration_fetch(text, text) IS
'Fetches one plugin configuration.
GET /v1/PluginService/Configurations/{Sid}
sid: the configuration''s SID (FJ...).
flex_metadata: value of the Flex-Metadata header.
Returns the configuration; flex_configured_plugins_list tells what is in it.
Errors: TW404 when there is no such configuration.';

CREATE FUNCTION flex_plugin_configurations_list(
	flex_metadata text DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_plugin_configuration
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_plugin_configurations_list(text, integer, bigint) IS
'Lists the account''s plugin configurations.
GET /v1/PluginService/Configurations
flex_metadata: value of the Flex-Metadata header.
page_size: rows a request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row a configuration.';

CREATE FUNCTION flex_configured_plugin_fetch(
	configuration_sid text,
	plugin_sid text,
	flex_metadata text DEFAULT NULL)
RETURNS flex_configured_plugin
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_configured_plugin_fetch(text, text, text) IS
'Fetches one plugin of a configuration.
GET /v1/PluginService/Configurations/{ConfigurationSid}/Plugins/{PluginSid}
configuration_sid: the configuration''s SID (FJ...). plugin_sid: the plugin''s (FP...).
flex_metadata: value of the Flex-Metadata header.
Returns the plugin and its version.
Errors: TW404 when there is no such configuration or no such plugin in it.';

CREATE FUNCTION flex_configured_plugins_list(
	configuration_sid text,
	flex_metadata text DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_configured_plugin
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_configured_plugins_list(text, text, integer, bigint) IS
'Lists the plugins of a configuration.
GET /v1/PluginService/Configurations/{ConfigurationSid}/Plugins
configuration_sid: the configuration''s SID (FJ...).
flex_metadata: value of the Flex-Metadata header.
page_size: rows a request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row a plugin, with its version.
Errors: TW404 when there is no such configuration.';

CREATE FUNCTION flex_plugin_release_create(
	configuration_id text,
	flex_metadata text DEFAULT NULL)
RETURNS flex_plugin_release
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_plugin_release_create(text, text) IS
'Puts a plugin configuration into force for the whole account.
POST /v1/PluginService/Releases
configuration_id: SID or version of the configuration.
flex_metadata: value of the Flex-Metadata header.
Returns the release.
Errors: TW400 or TW404 when there is no such configuration.
Call it in FROM: SELECT (flex_plugin_release_create(...)).* calls it once a column.';

CREATE FUNCTION flex_plugin_release_fetch(
	sid text,
	flex_metadata text DEFAULT NULL)
RETURNS flex_plugin_release
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_plugin_release_fetch(text, text) IS
'Fetches one release.
GET /v1/PluginService/Releases/{Sid}
sid: the release''s SID (FK...).
flex_metadata: value of the Flex-Metadata header.
Returns the release.
Errors: TW404 when there is no such release.';

CREATE FUNCTION flex_plugin_releases_list(
	flex_metadata text DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_plugin_release
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_plugin_releases_list(text, integer, bigint) IS
'Lists the account''s releases.
GET /v1/PluginService/Releases
flex_metadata: value of the Flex-Metadata header.
page_size: rows a request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row a release.';
--
-- insights.sql
--	  Flex Insights: sessions, roles, conversations, segments, assessments and comments (/v1/Insights).
--
--	  What belongs to questionnaires is in insights_questionnaires.sql. Every function can
--	  send an Authorization header of its own, such as a Flex user's token, in place of the
--	  configured credentials: Insights knows a user by it. Times and offsets that the
--	  published documents call plain strings stay text.
--
--	  Call the functions in FROM or LATERAL only: SELECT (flex_insights_comment_create(...)).*
--	  calls the function once a column, and so makes twelve comments.
--

CREATE TYPE flex_insights_assessment AS (
	account_sid text,
	assessment_sid text,
	"offset" text,
	report boolean,
	weight text,
	agent_id text,
	segment_id text,
	user_name text,
	user_email text,
	answer_text text,
	answer_id text,
	assessment jsonb,
	"timestamp" text,
	url text);

COMMENT ON TYPE flex_insights_assessment IS
'An assessment: one answer that somebody gave to a question about a conversation.';
COMMENT ON COLUMN flex_insights_assessment.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_insights_assessment.assessment_sid IS 'SID of the assessment (FM...).';
COMMENT ON COLUMN flex_insights_assessment."offset" IS 'Where in the conversation it belongs.';
COMMENT ON COLUMN flex_insights_assessment.report IS 'Whether it counts in reports.';
COMMENT ON COLUMN flex_insights_assessment.weight IS 'Its weight.';
COMMENT ON COLUMN flex_insights_assessment.agent_id IS 'Identifies the agent who is assessed.';
COMMENT ON COLUMN flex_insights_assessment.segment_id IS 'Identifies the segment of the conversation.';
COMMENT ON COLUMN flex_insights_assessment.user_name IS 'Name of the assessor.';
COMMENT ON COLUMN flex_insights_assessment.user_email IS 'E-mail address of the assessor.';
COMMENT ON COLUMN flex_insights_assessment.answer_text IS 'Text of the answer.';
COMMENT ON COLUMN flex_insights_assessment.answer_id IS 'Identifies the answer.';
COMMENT ON COLUMN flex_insights_assessment.assessment IS
'The questionnaire, the question and the category of the answer (object).';
COMMENT ON COLUMN flex_insights_assessment."timestamp" IS 'When it was made, as the service writes it.';
COMMENT ON COLUMN flex_insights_assessment.url IS 'Address of this resource.';

CREATE TYPE flex_insights_comment AS (
	account_sid text,
	assessment_sid text,
	comment jsonb,
	"offset" text,
	report boolean,
	weight text,
	agent_id text,
	segment_id text,
	user_name text,
	user_email text,
	"timestamp" text,
	url text);

COMMENT ON TYPE flex_insights_comment IS
'A comment that an assessor made on a conversation.';
COMMENT ON COLUMN flex_insights_comment.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_insights_comment.assessment_sid IS 'SID of the assessment (FM...).';
COMMENT ON COLUMN flex_insights_comment.comment IS 'The comment''s text and category (object).';
COMMENT ON COLUMN flex_insights_comment."offset" IS 'Where in the conversation it belongs.';
COMMENT ON COLUMN flex_insights_comment.report IS 'Whether it counts in reports.';
COMMENT ON COLUMN flex_insights_comment.weight IS 'Its weight.';
COMMENT ON COLUMN flex_insights_comment.agent_id IS 'Identifies the agent.';
COMMENT ON COLUMN flex_insights_comment.segment_id IS 'Identifies the segment of the conversation.';
COMMENT ON COLUMN flex_insights_comment.user_name IS 'Name of the assessor.';
COMMENT ON COLUMN flex_insights_comment.user_email IS 'E-mail address of the assessor.';
COMMENT ON COLUMN flex_insights_comment."timestamp" IS 'When it was made, as the service writes it.';
COMMENT ON COLUMN flex_insights_comment.url IS 'Address of this resource.';

CREATE TYPE flex_insights_comment_tags AS (
	account_sid text,
	comments jsonb,
	url text);

COMMENT ON TYPE flex_insights_comment_tags IS
'The tags that the account offers for comments.';
COMMENT ON COLUMN flex_insights_comment_tags.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_insights_comment_tags.comments IS 'The tags, each with id, name and order (array of objects).';
COMMENT ON COLUMN flex_insights_comment_tags.url IS 'Address of this resource.';

CREATE TYPE flex_insights_conversation AS (
	account_id text,
	conversation_id text,
	segment_count integer,
	segments jsonb);

COMMENT ON TYPE flex_insights_conversation IS
'A conversation and the segments it consists of.';
COMMENT ON COLUMN flex_insights_conversation.account_id IS 'Identifies the account.';
COMMENT ON COLUMN flex_insights_conversation.conversation_id IS 'Identifies the conversation.';
COMMENT ON COLUMN flex_insights_conversation.segment_count IS 'How many segments it has.';
COMMENT ON COLUMN flex_insights_conversation.segments IS 'The segments (array of objects).';

CREATE TYPE flex_insights_segment AS (
	segment_id text,
	external_id text,
	queue text,
	external_contact text,
	external_segment_link_id text,
	date text,
	account_id text,
	external_segment_link text,
	agent_id text,
	agent_phone text,
	agent_name text,
	agent_team_name text,
	agent_team_name_in_hierarchy text,
	agent_link text,
	customer_phone text,
	customer_name text,
	customer_link text,
	segment_recording_offset text,
	media jsonb,
	assessment_type jsonb,
	assessment_percentage jsonb,
	url text);

COMMENT ON TYPE flex_insights_segment IS
'A segment: one agent''s part in a conversation.';
COMMENT ON COLUMN flex_insights_segment.segment_id IS 'Identifies the segment.';
COMMENT ON COLUMN flex_insights_segment.external_id IS 'Identifies the conversation.';
COMMENT ON COLUMN flex_insights_segment.queue IS 'The queue that it came from.';
COMMENT ON COLUMN flex_insights_segment.external_contact IS 'External contact of the segment.';
COMMENT ON COLUMN flex_insights_segment.external_segment_link_id IS 'Identifies the link to the recording.';
COMMENT ON COLUMN flex_insights_segment.date IS 'Date of the conversation, as the service writes it.';
COMMENT ON COLUMN flex_insights_segment.account_id IS 'Identifies the account.';
COMMENT ON COLUMN flex_insights_segment.external_segment_link IS 'Link to the recording.';
COMMENT ON COLUMN flex_insights_segment.agent_id IS 'Identifies the agent.';
COMMENT ON COLUMN flex_insights_segment.agent_phone IS 'The agent''s telephone number.';
COMMENT ON COLUMN flex_insights_segment.agent_name IS 'The agent''s name.';
COMMENT ON COLUMN flex_insights_segment.agent_team_name IS 'The agent''s team.';
COMMENT ON COLUMN flex_insights_segment.agent_team_name_in_hierarchy IS 'The agent''s team with those above it.';
COMMENT ON COLUMN flex_insights_segment.agent_link IS 'Link to the agent''s conversation.';
COMMENT ON COLUMN flex_insights_segment.customer_phone IS 'The customer''s telephone number.';
COMMENT ON COLUMN flex_insights_segment.customer_name IS 'The customer''s name.';
COMMENT ON COLUMN flex_insights_segment.customer_link IS 'Link to the customer''s conversation.';
COMMENT ON COLUMN flex_insights_segment.segment_recording_offset IS 'Where in the recording the segment begins.';
COMMENT ON COLUMN flex_insights_segment.media IS 'Identifies the media of the conversation.';
COMMENT ON COLUMN flex_insights_segment.assessment_type IS 'Kinds of assessment.';
COMMENT ON COLUMN flex_insights_segment.assessment_percentage IS 'Scores of the assessments, in percent.';
COMMENT ON COLUMN flex_insights_segment.url IS 'Address of this resource.';

CREATE TYPE flex_insights_session AS (
	workspace_id text,
	session_expiry text,
	session_id text,
	base_url text,
	url text);

COMMENT ON TYPE flex_insights_session IS
'A session in which reports and dashboards can be fetched.';
COMMENT ON COLUMN flex_insights_session.workspace_id IS 'Identifies the user''s workspace.';
COMMENT ON COLUMN flex_insights_session.session_expiry IS 'When the session ends, as the service writes it.';
COMMENT ON COLUMN flex_insights_session.session_id IS 'Identifies the session.';
COMMENT ON COLUMN flex_insights_session.base_url IS 'Where reports and dashboards are fetched.';
COMMENT ON COLUMN flex_insights_session.url IS 'Address of this resource.';

CREATE TYPE flex_insights_user_roles AS (
	roles jsonb,
	url text);

COMMENT ON TYPE flex_insights_user_roles IS
'The Insights roles of a user.';
COMMENT ON COLUMN flex_insights_user_roles.roles IS 'The roles, for instance wfo.full_access (array of strings).';
COMMENT ON COLUMN flex_insights_user_roles.url IS 'Address of this resource.';

CREATE FUNCTION flex_insights_assessment_create(
	category_sid text,
	category_name text,
	segment_id text,
	agent_id text,
	"offset" double precision,
	metric_id text,
	metric_name text,
	answer_text text,
	answer_id text,
	questionnaire_sid text,
	"authorization" text DEFAULT NULL)
RETURNS flex_insights_assessment
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_assessment_create(
	text, text, text, text, double precision, text, text, text, text, text, text) IS
'Records an answer to a question about a conversation.
POST /v1/Insights/QualityManagement/Assessments
category_sid: SID of the question''s category (FY...). category_name: its name.
segment_id: the segment assessed. agent_id: the agent assessed. "offset": where in the conversation, a number.
metric_id: SID of the question (GE...). metric_name: its text.
answer_text: text of the answer. answer_id: identifies it in the question''s answer set.
questionnaire_sid: SID of the questionnaire (GM...).
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Returns the assessment.
Errors: 22023 for an argument that cannot be valid, TW400 for one that the service refuses.
Call it in FROM: SELECT (flex_insights_assessment_create(...)).* calls it once a column.';

CREATE FUNCTION flex_insights_assessment_update(
	assessment_sid text,
	"offset" double precision,
	answer_text text,
	answer_id text,
	"authorization" text DEFAULT NULL)
RETURNS flex_insights_assessment
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_assessment_update(text, double precision, text, text, text) IS
'Changes an answer that was given earlier.
POST /v1/Insights/QualityManagement/Assessments/{AssessmentSid}
assessment_sid: the assessment''s SID (FM...). "offset": where in the conversation, a number.
answer_text: text of the new answer. answer_id: identifies it in the question''s answer set.
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Returns the assessment as it is afterwards.
Errors: TW404 when there is no such assessment.';

CREATE FUNCTION flex_insights_assessments_list(
	segment_id text DEFAULT NULL,
	"authorization" text DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_insights_assessment
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_insights_assessments_list(text, text, integer, bigint) IS
'Lists the assessments that the user behind the Authorization header has made.
GET /v1/Insights/QualityManagement/Assessments
segment_id: only those of this segment.
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
page_size: rows a request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row an assessment.';

CREATE FUNCTION flex_insights_comment_create(
	category_id text,
	category_name text,
	comment text,
	segment_id text,
	agent_id text,
	"offset" double precision,
	"authorization" text DEFAULT NULL)
RETURNS flex_insights_comment
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_comment_create(text, text, text, text, text, double precision, text) IS
'Records a comment on a conversation.
POST /v1/Insights/QualityManagement/Assessments/Comments
category_id: identifies the comment''s tag, see flex_insights_comment_tags_fetch. category_name: its name.
comment: the text. segment_id: the segment. agent_id: the agent. "offset": where in the conversation, a number.
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Returns the comment.
Errors: TW400 for an argument that the service refuses.
Call it in FROM: SELECT (flex_insights_comment_create(...)).* calls it once a column.';

CREATE FUNCTION flex_insights_comment_tags_fetch(
	"authorization" text DEFAULT NULL)
RETURNS flex_insights_comment_tags
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_comment_tags_fetch(text) IS
'Fetches the tags that the account offers for comments.
GET /v1/Insights/QualityManagement/Settings/CommentTags
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Returns one row, with all tags in it.';

CREATE FUNCTION flex_insights_comments_list(
	segment_id text DEFAULT NULL,
	agent_id text DEFAULT NULL,
	"authorization" text DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_insights_comment
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_insights_comments_list(text, text, text, integer, bigint) IS
'Lists comments on conversations.
GET /v1/Insights/QualityManagement/Assessments/Comments
segment_id: only those of this segment. agent_id: only those about this agent.
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
page_size: rows a request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row a comment.';

CREATE FUNCTION flex_insights_conversations_list(
	segment_id text DEFAULT NULL,
	"authorization" text DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_insights_conversation
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_insights_conversations_list(text, text, integer, bigint) IS
'Lists conversations with their segments.
GET /v1/Insights/Conversations
segment_id: only the conversation that this segment belongs to.
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
page_size: rows a request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row a conversation.';

CREATE FUNCTION flex_insights_segments_list(
	segment_id text DEFAULT NULL,
	reservation_id text[] DEFAULT NULL,
	"authorization" text DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_insights_segment
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_insights_segments_list(text, text[], text, integer, bigint) IS
'Lists segments of conversations.
GET /v1/Insights/Segments
segment_id: only this segment. reservation_id: only those of these reservations, SIDs (WR...).
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
page_size: rows a request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row a segment.';

CREATE FUNCTION flex_insights_session_create(
	"authorization" text DEFAULT NULL)
RETURNS flex_insights_session
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_session_create(text) IS
'Opens a session for reports and dashboards.
POST /v1/Insights/Session
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Returns the session and the address that it is good for.
Errors: TW401 or TW403 when the user may not use Insights.
Call it in FROM: SELECT (flex_insights_session_create(...)).* calls it once a column.';

CREATE FUNCTION flex_insights_user_roles_fetch(
	"authorization" text DEFAULT NULL)
RETURNS flex_insights_user_roles
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_user_roles_fetch(text) IS
'Fetches the Insights roles of the user behind the Authorization header.
GET /v1/Insights/UserRoles
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Returns one row, with all roles in it.
Errors: TW401 or TW403 when the user may not use Insights.';
--
-- insights_questionnaires.sql
--	  Flex Insights: questionnaires, their questions, categories and answer sets
--	  (/v1/Insights/QualityManagement).
--
--	  A questionnaire is a list of questions; a question belongs to a category and takes
--	  its answers from an answer set. The answers that assessors give are in insights.sql.
--	  Every function can send an Authorization header of its own, such as a Flex user's
--	  token, in place of the configured credentials.
--
--	  Call the functions in FROM or LATERAL only: SELECT (flex_insights_question_create(...)).*
--	  calls the function once a column, and so makes ten questions.
--

CREATE TYPE flex_insights_answer_sets AS (
	account_sid text,
	answer_sets jsonb,
	answer_set_categories jsonb,
	not_applicable jsonb,
	url text);

COMMENT ON TYPE flex_insights_answer_sets IS
'The answer sets that the account offers for questions.';
COMMENT ON COLUMN flex_insights_answer_sets.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_insights_answer_sets.answer_sets IS
'The sets, each with its answers and their scores (array of objects).';
COMMENT ON COLUMN flex_insights_answer_sets.answer_set_categories IS
'The categories of answer sets (array of objects).';
COMMENT ON COLUMN flex_insights_answer_sets.not_applicable IS 'The answer that stands for "not applicable" (object).';
COMMENT ON COLUMN flex_insights_answer_sets.url IS 'Address of this resource.';

CREATE TYPE flex_insights_category AS (
	account_sid text,
	category_sid text,
	name text,
	url text);

COMMENT ON TYPE flex_insights_category IS
'A category of questions.';
COMMENT ON COLUMN flex_insights_category.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_insights_category.category_sid IS 'SID of the category (FY...).';
COMMENT ON COLUMN flex_insights_category.name IS 'Name of the category.';
COMMENT ON COLUMN flex_insights_category.url IS 'Address of this resource.';

CREATE TYPE flex_insights_question AS (
	account_sid text,
	question_sid text,
	question text,
	description text,
	category jsonb,
	answer_set_id text,
	allow_na boolean,
	usage integer,
	answer_set jsonb,
	url text);

COMMENT ON TYPE flex_insights_question IS
'A question that assessors answer.';
COMMENT ON COLUMN flex_insights_question.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_insights_question.question_sid IS 'SID of the question (GE...).';
COMMENT ON COLUMN flex_insights_question.question IS 'Its text.';
COMMENT ON COLUMN flex_insights_question.description IS 'What is meant by it.';
COMMENT ON COLUMN flex_insights_question.category IS 'SID and name of its category (object).';
COMMENT ON COLUMN flex_insights_question.answer_set_id IS 'Identifies its answer set.';
COMMENT ON COLUMN flex_insights_question.allow_na IS 'Whether "not applicable" is an answer.';
COMMENT ON COLUMN flex_insights_question.usage IS 'How many questionnaires have it.';
COMMENT ON COLUMN flex_insights_question.answer_set IS 'Its answer set, with answers and scores (object).';
COMMENT ON COLUMN flex_insights_question.url IS 'Address of this resource.';

CREATE TYPE flex_insights_questionnaire AS (
	account_sid text,
	questionnaire_sid text,
	name text,
	description text,
	active boolean,
	questions jsonb,
	url text);

COMMENT ON TYPE flex_insights_questionnaire IS
'A questionnaire for assessing conversations.';
COMMENT ON COLUMN flex_insights_questionnaire.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_insights_questionnaire.questionnaire_sid IS 'SID of the questionnaire (GM...).';
COMMENT ON COLUMN flex_insights_questionnaire.name IS 'Its name.';
COMMENT ON COLUMN flex_insights_questionnaire.description IS 'What it is for.';
COMMENT ON COLUMN flex_insights_questionnaire.active IS 'Whether it is in use.';
COMMENT ON COLUMN flex_insights_questionnaire.questions IS 'Its questions with their categories (array of objects).';
COMMENT ON COLUMN flex_insights_questionnaire.url IS 'Address of this resource.';

CREATE FUNCTION flex_insights_answer_sets_fetch(
	"authorization" text DEFAULT NULL)
RETURNS flex_insights_answer_sets
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_answer_sets_fetch(text) IS
'Fetches the answer sets that the account offers for questions.
GET /v1/Insights/QualityManagement/Settings/AnswerSets
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Returns one row, with all answer sets in it.';

CREATE FUNCTION flex_insights_categories_list(
	"authorization" text DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_insights_category
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_insights_categories_list(text, integer, bigint) IS
'Lists the categories of questions.
GET /v1/Insights/QualityManagement/Categories
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
page_size: rows a request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row a category.';

CREATE FUNCTION flex_insights_category_create(
	name text,
	"authorization" text DEFAULT NULL)
RETURNS flex_insights_category
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_category_create(text, text) IS
'Creates a category of questions.
POST /v1/Insights/QualityManagement/Categories
name: a name for it.
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Returns the category.
Errors: TW400 for a name that the service refuses.
Call it in FROM: SELECT (flex_insights_category_create(...)).* calls it once a column.';

CREATE FUNCTION flex_insights_category_delete(
	category_sid text,
	"authorization" text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_category_delete(text, text) IS
'Deletes a category of questions.
DELETE /v1/Insights/QualityManagement/Categories/{CategorySid}
category_sid: the category''s SID (FY...).
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Errors: TW404 when there is no such category.';

CREATE FUNCTION flex_insights_category_update(
	category_sid text,
	name text,
	"authorization" text DEFAULT NULL)
RETURNS flex_insights_category
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_category_update(text, text, text) IS
'Renames a category of questions.
POST /v1/Insights/QualityManagement/Categories/{CategorySid}
category_sid: the category''s SID (FY...). name: the new name.
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Returns the category as it is afterwards.
Errors: TW404 when there is no such category.';

CREATE FUNCTION flex_insights_question_create(
	category_sid text,
	question text,
	answer_set_id text,
	allow_na boolean,
	"authorization" text DEFAULT NULL,
	description text DEFAULT NULL)
RETURNS flex_insights_question
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_question_create(text, text, text, boolean, text, text) IS
'Creates a question in a category.
POST /v1/Insights/QualityManagement/Questions
category_sid: the category''s SID (FY...). question: its text.
answer_set_id: identifies its answer set, see flex_insights_answer_sets_fetch.
allow_na: whether "not applicable" is an answer. description: what is meant by it.
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Returns the question.
Errors: TW400 for an argument that the service refuses.
Call it in FROM: SELECT (flex_insights_question_create(...)).* calls it once a column.';

CREATE FUNCTION flex_insights_question_delete(
	question_sid text,
	"authorization" text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_question_delete(text, text) IS
'Deletes a question.
DELETE /v1/Insights/QualityManagement/Questions/{QuestionSid}
question_sid: the question''s SID (GE...).
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Errors: TW404 when there is no such question.';

CREATE FUNCTION flex_insights_question_update(
	question_sid text,
	allow_na boolean,
	"authorization" text DEFAULT NULL,
	category_sid text DEFAULT NULL,
	question text DEFAULT NULL,
	description text DEFAULT NULL,
	answer_set_id text DEFAULT NULL)
RETURNS flex_insights_question
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_question_update(text, boolean, text, text, text, text, text) IS
'Changes a question; what is NULL stays as it is, but allow_na must be said.
POST /v1/Insights/QualityManagement/Questions/{QuestionSid}
question_sid: the question''s SID (GE...). allow_na: whether "not applicable" is an answer.
category_sid: SID of its category (FY...). question: its text. description: what is meant by it.
answer_set_id: identifies its answer set.
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Returns the question as it is afterwards.
Errors: TW404 when there is no such question.';

CREATE FUNCTION flex_insights_questions_list(
	category_sid text[] DEFAULT NULL,
	"authorization" text DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_insights_question
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_insights_questions_list(text[], text, integer, bigint) IS
'Lists questions.
GET /v1/Insights/QualityManagement/Questions
category_sid: only those of these categories, SIDs (FY...).
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
page_size: rows a request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row a question.';

CREATE FUNCTION flex_insights_questionnaire_create(
	name text,
	"authorization" text DEFAULT NULL,
	description text DEFAULT NULL,
	active boolean DEFAULT NULL,
	question_sids text[] DEFAULT NULL)
RETURNS flex_insights_questionnaire
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_questionnaire_create(text, text, text, boolean, text[]) IS
'Creates a questionnaire.
POST /v1/Insights/QualityManagement/Questionnaires
name: a name for it. description: what it is for. active: whether it is in use at once.
question_sids: its questions, SIDs (GE...).
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Returns the questionnaire.
Errors: TW400 for an argument that the service refuses.
Call it in FROM: SELECT (flex_insights_questionnaire_create(...)).* calls it once a column.';

CREATE FUNCTION flex_insights_questionnaire_delete(
	questionnaire_sid text,
	"authorization" text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_questionnaire_delete(text, text) IS
'Deletes a questionnaire.
DELETE /v1/Insights/QualityManagement/Questionnaires/{QuestionnaireSid}
questionnaire_sid: the questionnaire''s SID (GM...).
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Errors: TW404 when there is no such questionnaire.';

CREATE FUNCTION flex_insights_questionnaire_fetch(
	questionnaire_sid text,
	"authorization" text DEFAULT NULL)
RETURNS flex_insights_questionnaire
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_questionnaire_fetch(text, text) IS
'Fetches one questionnaire with its questions.
GET /v1/Insights/QualityManagement/Questionnaires/{QuestionnaireSid}
questionnaire_sid: the questionnaire''s SID (GM...).
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Returns the questionnaire.
Errors: TW404 when there is no such questionnaire.';

CREATE FUNCTION flex_insights_questionnaire_update(
	questionnaire_sid text,
	active boolean,
	"authorization" text DEFAULT NULL,
	name text DEFAULT NULL,
	description text DEFAULT NULL,
	question_sids text[] DEFAULT NULL)
RETURNS flex_insights_questionnaire
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_insights_questionnaire_update(text, boolean, text, text, text, text[]) IS
'Changes a questionnaire; what is NULL stays as it is, but active must be said.
POST /v1/Insights/QualityManagement/Questionnaires/{QuestionnaireSid}
questionnaire_sid: the questionnaire''s SID (GM...). active: whether it is in use.
name: a name for it. description: what it is for. question_sids: its questions, SIDs (GE...).
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
Returns the questionnaire as it is afterwards.
Errors: TW404 when there is no such questionnaire.';

CREATE FUNCTION flex_insights_questionnaires_list(
	include_inactive boolean DEFAULT NULL,
	"authorization" text DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_insights_questionnaire
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_insights_questionnaires_list(boolean, text, integer, bigint) IS
'Lists questionnaires with their questions.
GET /v1/Insights/QualityManagement/Questionnaires
include_inactive: whether those that are not in use come too.
authorization: value of the Authorization header, a secret; NULL sends the configured credentials.
page_size: rows a request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row a questionnaire.';
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
--	  function once a column, and so creates eight channels.
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
'SID of the TaskRouter task (WT...); NULL unless the flow integrates by task.';
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
flex_flow_sid: a SID (FO...). identity: names the chat user, unique in its chat service, at most 256 characters.
chat_user_friendly_name: the chat user''s name for display.
chat_friendly_name: the channel''s, at most 256 characters.
target: the contact at the other end, for instance the telephone number of an SMS.
chat_unique_name: a unique name for the channel.
pre_engagement_data: what is known of the customer before
the chat begins; JSON of at most 16 KB, sent as a string.
task_sid: a SID (WT...); only where the flow''s integration type is task.
task_attributes: attributes for the task, JSON sent as a string.
long_lived: whether the channel is kept for the contact''s later conversations.
Returns the channel.
Errors: 22023 for an argument that cannot be valid, TW400 for one that the service refuses.
Legacy since 2026-06-01, the end of Programmable Chat: current accounts use flex_interaction_create.
Call it in FROM: SELECT (flex_channel_create(...)).* calls it once a column.';

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
Legacy since 2026-06-01, the end of Programmable Chat: current
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
Legacy since 2026-06-01, the end of Programmable Chat: current accounts use flex_interaction_channel_fetch.';

CREATE FUNCTION flex_channels_list(
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_channel
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_channels_list(integer, bigint) IS
'Lists the account''s chat channels.
GET /v1/Channels
page_size: rows a request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row a channel.
Legacy since 2026-06-01, the end of Programmable Chat: current accounts use flex_interaction_channels_list.';
--
-- flows.sql
--	  Legacy Flex Flows (/v1/FlexFlows): how a Programmable Chat contact reaches an agent.
--
--	  Programmable Chat ended for Flex on 2026-06-01: these functions are for accounts
--	  that still have such flows, above all to list and to remove them. Current accounts
--	  configure an address in Conversations and start with flex_interaction_create or
--	  flex_webchat_create. Published rates, their unit not stated: create 2, list 10,
--	  fetch 2, update 1, delete 2.
--
--	  The arguments integration_* depend on integration_type: studio takes flow_sid,
--	  external takes url, task takes workspace_sid, workflow_sid, channel, timeout and
--	  priority; retry_count goes with studio and external.
--
--	  Call them in FROM or LATERAL only: SELECT (flex_flow_create(...)).* calls the
--	  function once a column, and so creates fourteen flows.
--

CREATE TYPE flex_flow AS (
	account_sid text,
	date_created timestamptz,
	date_updated timestamptz,
	sid text,
	friendly_name text,
	chat_service_sid text,
	channel_type text,
	contact_identity text,
	enabled boolean,
	integration_type text,
	integration jsonb,
	long_lived boolean,
	janitor_enabled boolean,
	url text);

COMMENT ON TYPE flex_flow IS
'A legacy Flex Flow: which contacts it takes and what it does with them.';
COMMENT ON COLUMN flex_flow.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_flow.date_created IS 'When it was created.';
COMMENT ON COLUMN flex_flow.date_updated IS 'When it was last changed.';
COMMENT ON COLUMN flex_flow.sid IS 'SID of the flow (FO...).';
COMMENT ON COLUMN flex_flow.friendly_name IS 'Its name for display.';
COMMENT ON COLUMN flex_flow.chat_service_sid IS 'SID of the chat service (IS...).';
COMMENT ON COLUMN flex_flow.channel_type IS 'web, sms, facebook, whatsapp, line or custom.';
COMMENT ON COLUMN flex_flow.contact_identity IS 'The contact''s own address, for instance a telephone number.';
COMMENT ON COLUMN flex_flow.enabled IS 'Whether the flow takes contacts.';
COMMENT ON COLUMN flex_flow.integration_type IS 'What handles incoming messages: studio, external or task.';
COMMENT ON COLUMN flex_flow.integration IS 'Settings of the integration; the members depend on integration_type.';
COMMENT ON COLUMN flex_flow.long_lived IS 'Whether a channel is kept for the contact''s later conversations.';
COMMENT ON COLUMN flex_flow.janitor_enabled IS
'Whether Proxy sessions are ended when their task is removed outside the Flex UI.';
COMMENT ON COLUMN flex_flow.url IS 'Address of this resource.';

CREATE FUNCTION flex_flow_create(
	friendly_name text,
	chat_service_sid text,
	channel_type text,
	contact_identity text DEFAULT NULL,
	enabled boolean DEFAULT NULL,
	integration_type text DEFAULT NULL,
	integration_flow_sid text DEFAULT NULL,
	integration_url text DEFAULT NULL,
	integration_workspace_sid text DEFAULT NULL,
	integration_workflow_sid text DEFAULT NULL,
	integration_channel text DEFAULT NULL,
	integration_timeout integer DEFAULT NULL,
	integration_priority integer DEFAULT NULL,
	integration_creation_on_message boolean DEFAULT NULL,
	long_lived boolean DEFAULT NULL,
	janitor_enabled boolean DEFAULT NULL,
	integration_retry_count integer DEFAULT NULL)
RETURNS flex_flow
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_flow_create(
	text, text, text, text, boolean, text, text, text, text, text, text, integer, integer, boolean, boolean,
	boolean, integer) IS
'Creates a Flex Flow.
POST /v1/FlexFlows
friendly_name: a name for display. chat_service_sid: a SID (IS...).
channel_type: web, sms, facebook, whatsapp, line or custom. contact_identity: the contact''s own address.
enabled: whether the flow takes contacts at once.
integration_type: what handles incoming messages: studio, external or task.
integration_flow_sid: the Studio flow (FW...); needed with
studio. integration_url: the webhook; needed with external.
integration_workspace_sid, integration_workflow_sid: SIDs (WS... and WW...) for new tasks; needed with task.
integration_channel: SID (TC...) or unique name of the task channel, such as sms; needed with task.
integration_timeout: seconds until a task times out, 86400 where nothing is said; only with task.
integration_priority: a task''s priority, 0 where nothing is said; only with task.
integration_creation_on_message: for outgoing messages, true waits with the task for the customer''s first answer.
long_lived: whether a channel is kept for the contact''s later conversations; false where nothing is said.
janitor_enabled: whether Proxy sessions are ended when their task is removed outside the Flex UI.
integration_retry_count: how often a failed Studio flow or
webhook is tried again, 0 to 3, 3 where nothing is said.
Returns the flow.
Errors: 22023 for an argument that cannot be valid, TW400 for one that the service refuses.
Legacy since 2026-06-01, the end of Programmable Chat: current accounts use flex_interaction_create.
Call it in FROM: SELECT (flex_flow_create(...)).* calls it once a column.';

CREATE FUNCTION flex_flow_delete(
	sid text)
RETURNS void
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_flow_delete(text) IS
'Deletes a Flex Flow.
DELETE /v1/FlexFlows/{Sid}
sid: the flow''s SID (FO...).
Errors: TW404 when there is no such flow.
Legacy since 2026-06-01, the end of Programmable Chat: current accounts use flex_interaction_create.';

CREATE FUNCTION flex_flow_fetch(
	sid text)
RETURNS flex_flow
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_flow_fetch(text) IS
'Fetches one Flex Flow.
GET /v1/FlexFlows/{Sid}
sid: the flow''s SID (FO...).
Returns the flow.
Errors: TW404 when there is no such flow.
Legacy since 2026-06-01, the end of Programmable Chat: current accounts use flex_interaction_create.';

CREATE FUNCTION flex_flow_update(
	sid text,
	friendly_name text DEFAULT NULL,
	chat_service_sid text DEFAULT NULL,
	channel_type text DEFAULT NULL,
	contact_identity text DEFAULT NULL,
	enabled boolean DEFAULT NULL,
	integration_type text DEFAULT NULL,
	integration_flow_sid text DEFAULT NULL,
	integration_url text DEFAULT NULL,
	integration_workspace_sid text DEFAULT NULL,
	integration_workflow_sid text DEFAULT NULL,
	integration_channel text DEFAULT NULL,
	integration_timeout integer DEFAULT NULL,
	integration_priority integer DEFAULT NULL,
	integration_creation_on_message boolean DEFAULT NULL,
	long_lived boolean DEFAULT NULL,
	janitor_enabled boolean DEFAULT NULL,
	integration_retry_count integer DEFAULT NULL)
RETURNS flex_flow
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_flow_update(
	text, text, text, text, text, boolean, text, text, text, text, text, text, integer, integer, boolean, boolean,
	boolean, integer) IS
'Changes a Flex Flow; what is NULL stays as it is.
POST /v1/FlexFlows/{Sid}
sid: the flow''s SID (FO...). friendly_name: a name for display. chat_service_sid: a SID (IS...).
channel_type: web, sms, facebook, whatsapp, line or custom. contact_identity: the contact''s own address.
enabled: whether the flow takes contacts.
integration_type: what handles incoming messages: studio, external or task.
integration_flow_sid: the Studio flow (FW...); needed with
studio. integration_url: the webhook; needed with external.
integration_workspace_sid, integration_workflow_sid: SIDs (WS... and WW...) for new tasks; needed with task.
integration_channel: SID (TC...) or unique name of the task channel, such as sms; needed with task.
integration_timeout: seconds until a task times out, 86400 where nothing is said; only with task.
integration_priority: a task''s priority, 0 where nothing is said; only with task.
integration_creation_on_message: for outgoing messages, true waits with the task for the customer''s first answer.
long_lived: whether a channel is kept for the contact''s later conversations; false where nothing is said.
janitor_enabled: whether Proxy sessions are ended when their task is removed outside the Flex UI.
integration_retry_count: how often a failed Studio flow or
webhook is tried again, 0 to 3, 3 where nothing is said.
Returns the flow as it is afterwards.
Errors: TW404 when there is no such flow.
Legacy since 2026-06-01, the end of Programmable Chat: current accounts use flex_interaction_create.';

CREATE FUNCTION flex_flows_list(
	friendly_name text DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_flow
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_flows_list(text, integer, bigint) IS
'Lists the account''s Flex Flows.
GET /v1/FlexFlows
friendly_name: only flows of this name.
page_size: rows a request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row a flow.
Legacy since 2026-06-01, the end of Programmable Chat: current accounts use flex_interaction_create.';
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
--	  the function once a column, and so creates six channels.
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
flex_flow_sid: a SID (FO...). identity: names the chat user, at most 256 characters.
customer_friendly_name: the customer''s name for display.
chat_friendly_name: the channel''s, at most 256 characters.
chat_unique_name: a unique name for the channel.
pre_engagement_data: what is known of the customer before
the chat begins; JSON of at most 16 KB, sent as a string.
Returns the channel.
Errors: 22023 for an argument that cannot be valid, TW400 for one that the service refuses.
Legacy since 2026-06-01, the end of Programmable Chat: current accounts use flex_webchat_create.
Call it in FROM: SELECT (flex_web_channel_create(...)).* calls it once a column.';

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
Legacy since 2026-06-01, the end of Programmable Chat: current accounts use flex_webchat_create.';

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
Legacy since 2026-06-01, the end of Programmable Chat: current accounts use flex_webchat_create.';

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
Legacy since 2026-06-01, the end of Programmable Chat: current accounts use flex_webchat_create.';

CREATE FUNCTION flex_web_channels_list(
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_web_channel
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_web_channels_list(integer, bigint) IS
'Lists the account''s web chat channels.
GET /v1/WebChannels
page_size: rows a request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row a channel.
Legacy since 2026-06-01, the end of Programmable Chat: current accounts use flex_webchat_create.';
-- The outbox: requests that triggers and scheduled jobs leave behind, sent
-- after their transaction has committed, by a background worker or by whoever
-- calls flex_outbox_drain().  Nobody but this extension's functions writes the
-- table; everybody sees the requests of his own.

-- No CHECKs: our functions alone write it, and the server would read the
-- constraints' expressions anew for each of their statements, a fifth of the cost.
CREATE TABLE flex_outbox (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	operation text COLLATE "C" NOT NULL,
	arguments jsonb NOT NULL,
	context jsonb,
	state text COLLATE "C" NOT NULL DEFAULT 'pending',
	priority integer NOT NULL DEFAULT 0,
	attempts integer NOT NULL DEFAULT 0,
	max_attempts integer NOT NULL,
	run_at timestamptz NOT NULL,
	unique_key text COLLATE "C",
	on_success text,
	on_failure text,
	account_sid text,
	enqueued_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	enqueued_by name NOT NULL,
	enqueued_role oid NOT NULL,
	enqueued_in oid NOT NULL,
	started_at timestamptz,
	finished_at timestamptz,
	http_status integer,
	error_code text,
	error_message text,
	response jsonb,
	request_id text,
	may_be_done boolean NOT NULL DEFAULT false,
	sender_pid integer,
	sender_start timestamptz,
	outcome text COLLATE "C",
	callback_at timestamptz,
	callback_attempts integer NOT NULL DEFAULT 0,
	callback_error text)
-- Every request is three row versions: leave room, and clean up early.
WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000,
	autovacuum_vacuum_cost_delay = 0);

COMMENT ON TABLE flex_outbox IS
'Requests to the Flex API that are sent after the transaction that enqueued them has committed.
Written by flex_enqueue() and the senders alone; a role sees the requests that it enqueued.
It has no secrets. A dump has the finished rows only: a restored copy must not send again what the original sends.';
COMMENT ON COLUMN flex_outbox.id IS 'Number that flex_enqueue() returned.';
COMMENT ON COLUMN flex_outbox.operation IS 'Name of the function that a direct call would use, e.g. flex_webchat_create.';
COMMENT ON COLUMN flex_outbox.arguments IS 'Its arguments: a JSON object of names and values.';
COMMENT ON COLUMN flex_outbox.context IS 'What the caller wants to find again, such as the key of a ticket; not sent.';
COMMENT ON COLUMN flex_outbox.state IS
'pending: waits to be sent; sending: a sender has it, or its callback is to run; succeeded; failed: refused, or
tried max_attempts times; uncertain: sent once, and nobody knows whether it was carried out, so that
flex_outbox_retry() or flex_outbox_cancel() has to decide; cancelled.';
COMMENT ON COLUMN flex_outbox.priority IS 'Higher goes first among the requests of an operation and between operations.';
COMMENT ON COLUMN flex_outbox.attempts IS 'How many times it was claimed to be sent.';
COMMENT ON COLUMN flex_outbox.max_attempts IS 'How many attempts are made before it has failed.';
COMMENT ON COLUMN flex_outbox.run_at IS 'Not sent before this time; moves on when an attempt is to be repeated.';
COMMENT ON COLUMN flex_outbox.unique_key IS 'No two requests of a role have the same; NULL: no matter.';
COMMENT ON COLUMN flex_outbox.on_success IS 'Function of one flex_outbox row, called when the request succeeds.';
COMMENT ON COLUMN flex_outbox.on_failure IS 'Function of one flex_outbox row, called when it fails or becomes uncertain.';
COMMENT ON COLUMN flex_outbox.account_sid IS 'flex_api.account_sid of the session that enqueued; NULL: the sender''s.';
COMMENT ON COLUMN flex_outbox.enqueued_at IS 'When flex_enqueue() was called.';
COMMENT ON COLUMN flex_outbox.enqueued_by IS 'Role that enqueued, by its name at that time.';
COMMENT ON COLUMN flex_outbox.enqueued_role IS 'The same role by its OID: credentials and callbacks are this role''s.';
COMMENT ON COLUMN flex_outbox.enqueued_in IS 'OID of the database: requests in a copy of a database are not sent again.';
COMMENT ON COLUMN flex_outbox.started_at IS 'When the last attempt began.';
COMMENT ON COLUMN flex_outbox.finished_at IS 'When it reached its last state; NULL while it has not.';
COMMENT ON COLUMN flex_outbox.http_status IS 'HTTP status of the last answer; NULL when none came.';
COMMENT ON COLUMN flex_outbox.error_code IS 'Twilio''s error code of the last answer, or an SQLSTATE when there was none.';
COMMENT ON COLUMN flex_outbox.error_message IS 'What went wrong in the last attempt.';
COMMENT ON COLUMN flex_outbox.response IS 'Body of the good answer.';
COMMENT ON COLUMN flex_outbox.request_id IS 'Twilio-Request-Id of the last answer.';
COMMENT ON COLUMN flex_outbox.may_be_done IS
'Some attempt may have been carried out: it was sent, and the service did not refuse it. A repeated DELETE that then
finds nothing has succeeded.';
COMMENT ON COLUMN flex_outbox.sender_pid IS 'Process that claimed it, while it is being sent.';
COMMENT ON COLUMN flex_outbox.sender_start IS 'When that process began: tells it from a later one of the same number.';
COMMENT ON COLUMN flex_outbox.outcome IS 'The state that it takes together with its callback, while that has not run.';
COMMENT ON COLUMN flex_outbox.callback_at IS 'When its callback is to be tried; NULL: it has none, or it is done.';
COMMENT ON COLUMN flex_outbox.callback_attempts IS 'How many times its callback has failed.';
COMMENT ON COLUMN flex_outbox.callback_error IS 'How it failed the last time.';

-- Each operation and priority is a lane of its own, so that one that is held
-- back costs the others nothing, however many requests wait in it.
CREATE INDEX flex_outbox_lanes ON flex_outbox (operation, priority, run_at, id) WHERE state = 'pending';
CREATE INDEX flex_outbox_sending ON flex_outbox (sender_pid) WHERE state = 'sending' AND outcome IS NULL;
CREATE INDEX flex_outbox_callbacks ON flex_outbox (callback_at) WHERE callback_at IS NOT NULL;
CREATE INDEX flex_outbox_finished ON flex_outbox (finished_at) WHERE finished_at IS NOT NULL;
CREATE UNIQUE INDEX flex_outbox_unique_key ON flex_outbox (enqueued_role, unique_key) WHERE unique_key IS NOT NULL;

-- A restored copy must not send again what the original sends: a dump has the
-- finished rows alone.
SELECT pg_catalog.pg_extension_config_dump('flex_outbox', 'WHERE finished_at IS NOT NULL AND callback_at IS NULL');
SELECT pg_catalog.pg_extension_config_dump('flex_outbox_id_seq', '');

-- OIDs are reused and names change, so finished rows, which may come from a
-- dump, must agree in both.
ALTER TABLE flex_outbox ENABLE ROW LEVEL SECURITY;
CREATE POLICY flex_outbox_own ON flex_outbox FOR SELECT
	USING (enqueued_role = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user)
		AND (finished_at IS NULL OR enqueued_by = current_user));
GRANT SELECT ON flex_outbox TO PUBLIC;

CREATE TABLE flex_outbox_holds (
	operation text COLLATE "C" PRIMARY KEY,
	held_until timestamptz NOT NULL);
COMMENT ON TABLE flex_outbox_holds IS
'Operations that the service asked us to leave alone for a while (Retry-After):
nothing is sent to them before held_until.';
COMMENT ON COLUMN flex_outbox_holds.operation IS 'Name of the operation''s function.';
COMMENT ON COLUMN flex_outbox_holds.held_until IS 'When it may be called again.';

CREATE TABLE flex_outbox_activity (
	only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	last_drain_at timestamptz,
	worker_pid integer);
INSERT INTO flex_outbox_activity (last_drain_at) VALUES (NULL);
COMMENT ON TABLE flex_outbox_activity IS 'One row: who sends this outbox''s requests.';
COMMENT ON COLUMN flex_outbox_activity.only_row IS 'True: keeps the table to one row.';
COMMENT ON COLUMN flex_outbox_activity.last_drain_at IS 'Start of the last drain, to the minute; NULL: never.';
COMMENT ON COLUMN flex_outbox_activity.worker_pid IS 'Process of the background worker that began last.';

-- Each database's outbox is its own: a subscriber of logical replication must
-- neither send the publisher's requests nor have its own overwritten.
CREATE FUNCTION flex_outbox_refuse_replica() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$ BEGIN RETURN NULL; END $$;
COMMENT ON FUNCTION flex_outbox_refuse_replica() IS
'Trigger of the outbox''s tables that drops what logical replication brings:
the publisher sends its own requests.';

CREATE TRIGGER flex_outbox_refuse_replica BEFORE INSERT OR UPDATE OR DELETE ON flex_outbox
	FOR EACH ROW EXECUTE FUNCTION flex_outbox_refuse_replica();
ALTER TABLE flex_outbox ENABLE REPLICA TRIGGER flex_outbox_refuse_replica;
CREATE TRIGGER flex_outbox_refuse_replica BEFORE INSERT OR UPDATE OR DELETE ON flex_outbox_holds
	FOR EACH ROW EXECUTE FUNCTION flex_outbox_refuse_replica();
ALTER TABLE flex_outbox_holds ENABLE REPLICA TRIGGER flex_outbox_refuse_replica;
CREATE TRIGGER flex_outbox_refuse_replica BEFORE INSERT OR UPDATE OR DELETE ON flex_outbox_activity
	FOR EACH ROW EXECUTE FUNCTION flex_outbox_refuse_replica();
ALTER TABLE flex_outbox_activity ENABLE REPLICA TRIGGER flex_outbox_refuse_replica;

CREATE FUNCTION flex_enqueue(
	operation text,
	arguments jsonb,
	context jsonb DEFAULT NULL,
	on_success text DEFAULT NULL,
	on_failure text DEFAULT NULL,
	run_at timestamptz DEFAULT NULL,
	priority integer DEFAULT NULL,
	max_attempts integer DEFAULT NULL,
	unique_key text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'flex_api_enqueue'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION flex_enqueue(text, jsonb, jsonb, text, text, timestamptz, integer, integer, text) IS
'Leaves a request to be sent after this transaction has committed; a rollback takes it back.
operation: name of the function that a direct call would use, on which the caller needs EXECUTE; lists cannot be enqueued.
arguments: its arguments as a JSON object of names and values, checked at once as in a direct call, without the network.
context: whatever a callback or a query wants to find again with the request, such as a ticket''s number; it is not sent.
on_success: name of a function that takes one flex_outbox row, called when the request has succeeded.
on_failure: the same for a request that has failed, or has become uncertain.
run_at: not sent before this time; NULL for at once.
priority: higher goes first; -1000 to 1000, NULL for 0.
max_attempts: attempts before the request has failed; NULL for 20, which takes about an hour.
unique_key: when a request of the current role has this key already, nothing is enqueued, and its id is returned.
Returns the id in flex_outbox. Callbacks run as the current role, in the transaction that settles the request.
Errors: 22023 and 22004 for what cannot be valid, 0A000 for a list, 42883 for a callback that is not there,
42501 without EXECUTE on the operation or on a callback.';

CREATE PROCEDURE flex_outbox_drain(max_requests bigint DEFAULT NULL)
AS 'MODULE_PATHNAME', 'flex_api_drain'
LANGUAGE C;

COMMENT ON PROCEDURE flex_outbox_drain(bigint) IS
'Sends what is due in the outbox, waits for the answers and runs the callbacks, until nothing is due.
max_requests: attempts to make at most; NULL for all that is due.
Commits as it goes. Many sessions may do so at once. Not needed where the background worker runs
(shared_preload_libraries).
Errors: 25001 inside a transaction block, 55000 where transactions are not READ COMMITTED.
It sends the requests of all roles: with the credentials file''s line of the role that enqueued or, without such
a file, with the credentials that the session has from the server, its database, its role or its connection. So
EXECUTE on it is for a role that all of them trust. A plain role that has SET credentials in its session is refused
(55000).';

CREATE FUNCTION flex_outbox_retry(id bigint) RETURNS void
AS 'MODULE_PATHNAME', 'flex_api_outbox_retry'
LANGUAGE C VOLATILE PARALLEL UNSAFE STRICT;

COMMENT ON FUNCTION flex_outbox_retry(bigint) IS
'Makes a failed, uncertain or cancelled request pending again, with all its attempts before it.
An uncertain request may have been carried out: look before.
id: number of a request that the current role has enqueued; a superuser may retry anybody''s.
Errors: P0002 for an id that is not there, 55000 for a request in another state.
Of a request that has succeeded, it repeats the callback, if that failed.';

CREATE FUNCTION flex_outbox_cancel(id bigint) RETURNS void
AS 'MODULE_PATHNAME', 'flex_api_outbox_cancel'
LANGUAGE C VOLATILE PARALLEL UNSAFE STRICT;

COMMENT ON FUNCTION flex_outbox_cancel(bigint) IS
'Cancels a pending, failed or uncertain request: it will not be sent, and no callback is called.
id: number of a request that the current role has enqueued; a superuser may cancel anybody''s.
Errors: P0002 for an id that is not there, 55000 for a request that is being sent or has succeeded.';

CREATE FUNCTION flex_outbox_await(id bigint, timeout interval DEFAULT '30 seconds') RETURNS flex_outbox
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	awaited @extschema@.flex_outbox;
	deadline timestamptz := clock_timestamp() + coalesce(timeout, interval '30 seconds');
	epoch CONSTANT bigint := 4294967296;
	latest bigint;
	inserted_by bigint;
	pause double precision := 0.001;
BEGIN
	LOOP
		SELECT * INTO awaited FROM @extschema@.flex_outbox AS o WHERE o.id = flex_outbox_await.id;
		IF NOT FOUND THEN
			RAISE EXCEPTION 'request % is not in the outbox', id USING ERRCODE = 'no_data_found';
		END IF;
		IF awaited.state NOT IN ('pending', 'sending') OR clock_timestamp() >= deadline THEN
			RETURN awaited;
		END IF;
		-- A row that we see although its transaction is in progress is our own.
		SELECT o.xmin::text::bigint INTO inserted_by FROM @extschema@.flex_outbox AS o WHERE o.id = flex_outbox_await.id;
		latest := pg_snapshot_xmax(pg_current_snapshot())::text::bigint;
		inserted_by := latest + ((inserted_by - latest) % epoch + epoch + epoch / 2) % epoch - epoch / 2;
		IF pg_xact_status(inserted_by::text::xid8) = 'in progress' THEN
			RAISE EXCEPTION 'request % is not sent before its transaction commits', id
				USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Commit, then wait.';
		END IF;
		PERFORM pg_sleep(pause);
		pause := least(pause * 2, 0.05);
	END LOOP;
END $$;

COMMENT ON FUNCTION flex_outbox_await(bigint, interval) IS
'Waits until a request of one''s own is no longer pending or being sent, its callback included, and returns its row.
id: number of the request.
timeout: longest time to wait; after it, the row comes as it is then.
Call it outside the transaction that enqueued, in READ COMMITTED.
Errors: P0002 for an id that is not there, 55000 for a request whose transaction has not committed.';

CREATE VIEW flex_outbox_summary WITH (security_invoker = true) AS
SELECT
	o.operation,
	pg_catalog.count(*) FILTER (WHERE o.state = 'pending') AS pending,
	pg_catalog.count(*) FILTER (WHERE o.state = 'pending' AND o.run_at <= pg_catalog.now()) AS due,
	pg_catalog.count(*) FILTER (WHERE o.state = 'sending') AS sending,
	pg_catalog.count(*) FILTER (WHERE o.state = 'succeeded') AS succeeded,
	pg_catalog.count(*) FILTER (WHERE o.state = 'failed') AS failed,
	pg_catalog.count(*) FILTER (WHERE o.state = 'uncertain') AS uncertain,
	pg_catalog.count(*) FILTER (WHERE o.state = 'cancelled') AS cancelled,
	pg_catalog.count(*) FILTER (WHERE o.callback_at IS NOT NULL) AS callbacks,
	pg_catalog.now() - pg_catalog.min(o.enqueued_at) FILTER (WHERE o.state = 'pending') AS oldest_pending,
	pg_catalog.count(*) FILTER (WHERE o.finished_at > pg_catalog.now() - interval '1 minute') AS finished_last_minute,
	(SELECT h.held_until FROM flex_outbox_holds AS h
		WHERE h.operation = o.operation AND h.held_until > pg_catalog.now()) AS held_until,
	(pg_catalog.array_agg(o.error_message ORDER BY o.started_at DESC)
		FILTER (WHERE o.error_message IS NOT NULL))[1] AS last_error,
	(SELECT a.worker_pid FROM flex_outbox_activity AS a
		WHERE EXISTS (SELECT FROM pg_catalog.pg_stat_get_activity(a.worker_pid))) AS worker_pid
FROM flex_outbox AS o
GROUP BY o.operation;
GRANT SELECT ON flex_outbox_summary, flex_outbox_holds, flex_outbox_activity TO PUBLIC;

COMMENT ON VIEW flex_outbox_summary IS
'The outbox by operation, of the requests that the current role may see: how many are in each state, how many of
the pending ones are due, callbacks still to run, age of the oldest pending one, how many finished in the last minute,
until when the service asked us to hold back, the last error, and the background worker''s process (NULL: none runs).';
COMMENT ON COLUMN flex_outbox_summary.operation IS 'Name of the operation''s function.';
COMMENT ON COLUMN flex_outbox_summary.pending IS 'Requests that wait to be sent, now or later.';
COMMENT ON COLUMN flex_outbox_summary.due IS 'Those of them whose run_at has passed.';
COMMENT ON COLUMN flex_outbox_summary.sending IS 'Requests that a sender has, or whose callback is to run.';
COMMENT ON COLUMN flex_outbox_summary.succeeded IS 'Requests that have succeeded, as long as they are kept.';
COMMENT ON COLUMN flex_outbox_summary.failed IS 'Requests that have failed, as long as they are kept.';
COMMENT ON COLUMN flex_outbox_summary.uncertain IS 'Requests that somebody has to decide on.';
COMMENT ON COLUMN flex_outbox_summary.cancelled IS 'Requests that were cancelled, as long as they are kept.';
COMMENT ON COLUMN flex_outbox_summary.callbacks IS 'Callbacks that are still to run, or to run again.';
COMMENT ON COLUMN flex_outbox_summary.oldest_pending IS 'How long ago the oldest pending request was enqueued.';
COMMENT ON COLUMN flex_outbox_summary.finished_last_minute IS 'How many requests reached their last state within a minute.';
COMMENT ON COLUMN flex_outbox_summary.held_until IS 'Nothing is sent before this time, as the service has asked (Retry-After); NULL: no hold.';
COMMENT ON COLUMN flex_outbox_summary.last_error IS 'Message of the request that was tried last among those with one.';
COMMENT ON COLUMN flex_outbox_summary.worker_pid IS 'Process of the background worker; NULL: none runs.';

-- For the end of this script alone: the worker learns that the extension is here.
CREATE FUNCTION flex_outbox_wake() RETURNS void
AS 'MODULE_PATHNAME', 'flex_api_outbox_wake'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION flex_outbox_wake() IS
'Tells the background worker of this database, at commit, to look into the outbox.
flex_enqueue() does so by itself.';
SELECT flex_outbox_wake();
--
-- privileges.sql
--	  Takes EXECUTE on the extension's functions away from PUBLIC.
--
--	  Every function spends credentials that the whole server shares, so who may call
--	  which is for the database's owner to say. This stands last in the script and finds
--	  the functions and procedures as the extension's members: none can be forgotten.
--	  An upgrade script that adds functions has to do the same for them.
--

DO $privileges$
DECLARE
	routine text;
BEGIN
	FOR routine IN
		SELECT pg_catalog.format('%s', p.oid::pg_catalog.regprocedure)
		FROM pg_catalog.pg_extension AS e
		JOIN pg_catalog.pg_depend AS d
			ON d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
			AND d.refobjid OPERATOR(pg_catalog.=) e.oid
			AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
			AND d.deptype OPERATOR(pg_catalog.=) 'e'
		JOIN pg_catalog.pg_proc AS p
			ON p.oid OPERATOR(pg_catalog.=) d.objid
		WHERE e.extname OPERATOR(pg_catalog.=) 'flex_api'
		ORDER BY p.oid
	LOOP
		EXECUTE pg_catalog.format('REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC', routine);
	END LOOP;
END
$privileges$;
