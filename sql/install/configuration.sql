--
-- configuration.sql
--	  The configuration of a Flex instance (/v1/Configuration), and how far the provisioning
--	  of e-mail has come (/v1/account/provision/status).
--
--	  An update replaces a JSON member whole: fetch it, merge, and send the result. Call the
--	  functions in FROM or LATERAL only: SELECT (flex_configuration_update(...)).* calls the
--	  function once per column, and so updates forty-nine times.
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
COMMENT ON COLUMN flex_configuration.integrations IS
'The integrations, each with its settings (array of objects); config of each is a string that holds JSON.';
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
among them; it is sent as JSON. A member that holds JSON is replaced whole, not merged: fetch it, merge, send.
The operator || merges its top level alone; jsonb_set changes one member deep inside.
Returns the configuration as it is afterwards.
Errors: TW400 for a member that the service refuses; Twilio''s code 45102 in the DETAIL
says that somebody else changed the configuration meanwhile: fetch, merge and send again.';

CREATE FUNCTION flex_json_merge_patch(
	target jsonb,
	patch jsonb)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'flex_api_json_merge_patch'
LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION flex_json_merge_patch(jsonb, jsonb) IS
'Changes JSON by a JSON Merge Patch, as RFC 7396 has it.
target: what is changed; NULL: there is nothing yet.
patch: an object of the members to change: null removes one, an object changes that member''s own members, and any other
value, an array included, takes the member''s place. A patch that is no object takes the place of all; NULL: no change.
Returns the target as it is then.
Sends nothing.';

CREATE FUNCTION flex_configuration_merge(
	patch jsonb,
	date_updated timestamptz DEFAULT NULL)
RETURNS flex_configuration
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE COST 2000
SET search_path = pg_catalog, pg_temp
AS $merge$
#variable_conflict use_variable
DECLARE
	-- It may have another name than when the extension was created.
	schema regnamespace := (SELECT e.extnamespace FROM pg_extension AS e WHERE e.extname = 'flex_api');
	seen record;
	members jsonb;
	stranger text;
	body jsonb;
	result record;
BEGIN
	IF pg_catalog.jsonb_typeof(patch) IS DISTINCT FROM 'object' OR patch = '{}' OR patch ? 'account_sid' THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'invalid value for argument "patch"',
			DETAIL = 'flex_configuration_merge expects an object of the members to change, without account_sid.';
	END IF;
	EXECUTE format('SELECT c.* FROM %s.flex_configuration_fetch() AS c', schema) INTO seen;
	members := to_jsonb(seen);
	SELECT name INTO stranger FROM jsonb_object_keys(patch) AS name WHERE NOT members ? name ORDER BY name LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('the configuration has no member "%s" that flex_api knows', stranger),
			HINT = 'flex_configuration_update sends any member, replacing it whole.';
	END IF;
	IF seen.date_updated IS DISTINCT FROM date_updated AND date_updated IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'serialization_failure', MESSAGE = 'the configuration has been changed meanwhile',
			DETAIL = format('It was updated at %s, not at %s.', seen.date_updated, date_updated),
			HINT = 'Fetch the configuration, and decide again.';
	END IF;
	-- A member cannot be removed: a null is sent for it.  Those that the patch does not name are not sent at all.
	EXECUTE format('SELECT jsonb_object_agg(name, coalesce(merged -> name, ''null''))
		FROM %s.flex_json_merge_patch($1, $2) AS merged, jsonb_object_keys($2) AS name', schema)
	INTO body USING members, patch;
	EXECUTE format('SELECT c.* FROM %s.flex_configuration_update($1) AS c', schema)
	INTO result USING body || jsonb_build_object('account_sid', seen.account_sid);
	RETURN result;
END $merge$;

COMMENT ON FUNCTION flex_configuration_merge(jsonb, timestamptz) IS
'Changes members of the configuration deep inside: fetches it, merges, and sends the members that the patch names.
patch: an object of the members to change, by their names in flex_configuration, merged as flex_json_merge_patch does; an
array is replaced. A null for a member of the configuration itself is sent as null; deeper down it removes a member.
date_updated: refuse if the configuration has another date_updated by now (in seconds) than when you read it; NULL: any.
Returns the configuration as it is afterwards. The caller needs EXECUTE on flex_configuration_fetch,
flex_configuration_update and flex_json_merge_patch, too.
Errors: 22023 for a patch that cannot be merged, 40001 when date_updated is another; when somebody changes the
configuration between its two requests, the service refuses the second one with its code 45102 in the DETAIL if it notices:
it has no condition that could be sent along. Twilio then asks to call again (twilio.com/docs/api/errors/45102).
Call it in FROM: SELECT (flex_configuration_merge(...)).* calls it once a column.';

CREATE FUNCTION flex_provisioning_status_fetch()
RETURNS flex_provisioning_status
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_provisioning_status_fetch() IS
'Tells how far the provisioning of e-mail for the account''s Flex has come.
GET /v1/account/provision/status
Returns one row, whose status is active, in-progress, not-configured or failed.
Errors: TW401 or TW403 when the credentials do not allow it.';
