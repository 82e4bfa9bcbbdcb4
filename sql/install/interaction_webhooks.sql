--
-- interaction_webhooks.sql
--	  Interaction webhooks (/v1/Instances/{InstanceSid}/InteractionWebhooks): where the service tells
--	  what becomes of interactions.
--
--	  Twilio's page names two of the form's members in two ways: its examples, and all its
--	  answers, have WebhookEvents and WebhookMethod, as here; a table has Filters and Method.
--	  flex_request() sends those.
--

CREATE TYPE flex_interaction_webhook AS (
	ttid text,
	account_sid text,
	instance_sid text,
	webhook_url text,
	webhook_events jsonb,
	webhook_method text,
	type text,
	friendly_name text,
	url text);

COMMENT ON TYPE flex_interaction_webhook IS
'A webhook for events of interactions.';
COMMENT ON COLUMN flex_interaction_webhook.ttid IS 'What names the webhook (flex_interactionwebhook_...); of type interaction, what webhook_ttid of an interaction takes.';
COMMENT ON COLUMN flex_interaction_webhook.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_interaction_webhook.instance_sid IS 'SID of the Flex instance (GO...).';
COMMENT ON COLUMN flex_interaction_webhook.webhook_url IS 'Where events are sent.';
COMMENT ON COLUMN flex_interaction_webhook.webhook_events IS 'The names of the events that are sent (array of strings).';
COMMENT ON COLUMN flex_interaction_webhook.webhook_method IS 'GET or POST.';
COMMENT ON COLUMN flex_interaction_webhook.type IS 'global: events of all interactions; interaction: of those that name it.';
COMMENT ON COLUMN flex_interaction_webhook.friendly_name IS 'A name for people.';
COMMENT ON COLUMN flex_interaction_webhook.url IS 'Address of this resource.';

CREATE FUNCTION flex_interaction_webhook_create(
	instance_sid text,
	webhook_url text,
	webhook_events text[] DEFAULT NULL,
	webhook_method text DEFAULT NULL,
	type text DEFAULT NULL,
	friendly_name text DEFAULT NULL)
RETURNS flex_interaction_webhook
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_interaction_webhook_create(text, text, text[], text, text, text) IS
'Registers a webhook for events of interactions.
POST /v1/Instances/{InstanceSid}/InteractionWebhooks
instance_sid: the instance''s SID (GO...). webhook_url: where events are sent. webhook_events: names of events:
onInteractionCreated, onChannelCreated, onChannelCreateFailed, onChannelStatusUpdated, onParticipantJoined,
onParticipantLeft or onParticipantUpdated. webhook_method: GET or POST. type: global for events of all interactions,
which is the service''s default, or interaction for those that are created with its ttid as webhook_ttid.
friendly_name: a name for people.
Returns the webhook.
State: no beta notice; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/conversations/register-interactions-webhooks.
Errors: TW404 when there is no such instance.';

CREATE FUNCTION flex_interaction_webhooks_list(
	instance_sid text,
	type text DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_interaction_webhook
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_interaction_webhooks_list(text, text, integer, bigint) IS
'Lists the instance''s webhooks for events of interactions.
GET /v1/Instances/{InstanceSid}/InteractionWebhooks
instance_sid: the instance''s SID (GO...). type: global or interaction; NULL for both. page_size: rows per request, 1
to 1000; NULL for the fewest requests. max_rows: stop after so many; NULL for all.
Returns one row per webhook.
State: no beta notice; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/conversations/register-interactions-webhooks.
Errors: TW404 when there is no such instance.';

CREATE FUNCTION flex_interaction_webhook_fetch(
	instance_sid text,
	ttid text)
RETURNS flex_interaction_webhook
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_interaction_webhook_fetch(text, text) IS
'Fetches one webhook for events of interactions.
GET /v1/Instances/{InstanceSid}/InteractionWebhooks/{Ttid}
instance_sid: the instance''s SID (GO...). ttid: what names the webhook (flex_interactionwebhook_...).
Returns the webhook.
State: no beta notice; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/conversations/register-interactions-webhooks.
Errors: TW404 when there is no such instance or webhook.';

CREATE FUNCTION flex_interaction_webhook_update(
	instance_sid text,
	ttid text,
	webhook_url text DEFAULT NULL,
	webhook_events text[] DEFAULT NULL,
	webhook_method text DEFAULT NULL,
	friendly_name text DEFAULT NULL)
RETURNS flex_interaction_webhook
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_interaction_webhook_update(text, text, text, text[], text, text) IS
'Changes a webhook for events of interactions; what is NULL stays as it is.
POST /v1/Instances/{InstanceSid}/InteractionWebhooks/{Ttid}
instance_sid: the instance''s SID (GO...). ttid: what names the webhook (flex_interactionwebhook_...). webhook_url:
where events are sent. webhook_events: names of events, in place of those before. webhook_method: GET or POST.
friendly_name: a name for people.
Returns the webhook as it is afterwards.
State: no beta notice; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/conversations/register-interactions-webhooks.
Errors: TW404 when there is no such instance or webhook.';

CREATE FUNCTION flex_interaction_webhook_delete(
	instance_sid text,
	ttid text)
RETURNS void
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_interaction_webhook_delete(text, text) IS
'Deletes a webhook for events of interactions.
DELETE /v1/Instances/{InstanceSid}/InteractionWebhooks/{Ttid}
instance_sid: the instance''s SID (GO...). ttid: what names the webhook (flex_interactionwebhook_...).
Returns nothing.
State: no beta notice; absent from the OpenAPI documents, described at
https://www.twilio.com/docs/flex/developer/conversations/register-interactions-webhooks.
Errors: TW404 when there is no such instance or webhook.';
