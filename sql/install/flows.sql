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
--	  function once per column, and so creates fourteen flows.
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
integration_type: what handles incoming messages. studio needs integration_flow_sid, external needs integration_url,
task needs integration_workspace_sid and integration_workflow_sid, and a task channel.
integration_flow_sid: the Studio flow (FW...). integration_url: the webhook.
integration_workspace_sid, integration_workflow_sid: SIDs (WS... and WW...) for new tasks.
integration_channel: SID (TC...) or unique name of the task channel, such as sms.
integration_timeout: seconds until a task times out, 86400 where nothing is said; only with task.
integration_priority: a task''s priority, 0 where nothing is said; only with task.
integration_creation_on_message: for outgoing messages, true waits with the task for the customer''s first answer.
long_lived: whether a channel is kept for the contact''s later conversations; false where nothing is said.
janitor_enabled: whether Proxy sessions are ended when their task is removed outside the Flex UI.
integration_retry_count: how often a failed Studio flow or
webhook is tried again, 0 to 3, 3 where nothing is said.
Returns the flow.
Errors: 22023 for an argument that cannot be valid, TW400 for one that the service refuses.
Legacy: Programmable Chat ended for Flex UI 1.x on 2026-06-01; current accounts use flex_interaction_create.
Call it in FROM: SELECT (flex_flow_create(...)).* calls it once per column.';

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
Legacy: Programmable Chat ended for Flex UI 1.x on 2026-06-01; current accounts use flex_interaction_create.';

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
Legacy: Programmable Chat ended for Flex UI 1.x on 2026-06-01; current accounts use flex_interaction_create.';

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
integration_type: what handles incoming messages. studio needs integration_flow_sid, external needs integration_url,
task needs integration_workspace_sid and integration_workflow_sid, and a task channel.
integration_flow_sid: the Studio flow (FW...). integration_url: the webhook.
integration_workspace_sid, integration_workflow_sid: SIDs (WS... and WW...) for new tasks.
integration_channel: SID (TC...) or unique name of the task channel, such as sms.
integration_timeout: seconds until a task times out, 86400 where nothing is said; only with task.
integration_priority: a task''s priority, 0 where nothing is said; only with task.
integration_creation_on_message: for outgoing messages, true waits with the task for the customer''s first answer.
long_lived: whether a channel is kept for the contact''s later conversations; false where nothing is said.
janitor_enabled: whether Proxy sessions are ended when their task is removed outside the Flex UI.
integration_retry_count: how often a failed Studio flow or
webhook is tried again, 0 to 3, 3 where nothing is said.
Returns the flow as it is afterwards.
Errors: TW404 when there is no such flow.
Legacy: Programmable Chat ended for Flex UI 1.x on 2026-06-01; current accounts use flex_interaction_create.';

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
page_size: rows per request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row per flow.
Legacy: Programmable Chat ended for Flex UI 1.x on 2026-06-01; current accounts use flex_interaction_create.';
