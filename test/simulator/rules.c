/*
 * rules.c
 *	  The table of what the published documents cannot say: what a new
 *	  resource has that nobody sent, by which other name it is known, and
 *	  what making or changing it does besides. Kinds that need nothing of
 *	  that have no row.
 */
#include <string.h>

#include "effects.h"
#include "rules.h"

static const Rule rules[] = {
	{
		.shape = "/v1/Instances/{}/InteractionWebhooks",
		.name_prefix = "flex_interactionwebhook_",
		.fixed = "{\"webhook_events\":[],\"webhook_method\":\"POST\",\"type\":\"global\"}",
		.before_create = keep_events,
		.before_update = keep_events,
	},
	{
		.shape = "/v1/Instances/{}/Teams",
		.fixed = "{\"level\":1,\"member_count\":0,\"version\":1}",
		.before_update = count_version,
	},
	{
		.shape = "/v1/Instances/{}/Teams/{}/Members",
		.sid_member = "flex_user_sid",
		.named_by_client = true,
		.fixed = "{\"friendly_name\":\"user\",\"email\":\"user@example.com\",\"worker_sid\":\"WK*\"}",
		.after_create = count_member,
	},
	{
		.shape = "/v1/Instances/{}/Teams/{}/Owners",
		.named_by_client = true,
		.fixed = "{\"friendly_name\":\"user\",\"email\":\"user@example.com\",\"worker_sid\":\"WK*\"}",
	},
	{
		.shape = "/v1/Instances/{}/Users",
		.same_as = "/v4/Instances/{}/Users",
	},
	{
		.shape = "/conversations/v1/Conversations/{}/Messages",
		.fixed = "{\"author\":\"system\",\"attributes\":\"{}\"}",
		.before_create = number_message,
		.after_create = tell_message,
	},
	{
		.shape = "/taskrouter/v1/Workspaces/{}/Tasks",
		.fixed = "{\"age\":0,\"assignment_status\":\"pending\",\"attributes\":\"{}\",\"priority\":0,"
				 "\"task_channel_unique_name\":\"default\"}",
	},
	{
		.shape = "/v1/Channels",
		.fixed = "{\"user_sid\":\"US*\",\"task_sid\":\"WT*\"}",
		.before_create = require_flow,
	},
	{
		.shape = "/v1/FlexFlows",
		.fixed = "{\"enabled\":false,\"integration_type\":\"studio\",\"integration\":{},\"long_lived\":false,"
				 "\"janitor_enabled\":false}",
		.before_create = check_integration,
		.before_update = check_integration,
	},
	{
		.shape = "/v1/WebChannels",
		.before_create = require_flow,
	},
	{
		.shape = "/v2/WebChats",
		.sid_member = "conversation_sid",
		.before_create = identify_customer,
	},
	{
		.shape = "/v2/Instances/{}/Users",
		.fixed = "{\"user_sid\":\"US*\",\"worker_sid\":\"WK*\",\"workspace_sid\":\"WS*\",\"flex_team_sid\":\"QO*\","
				 "\"username\":\"username\",\"email\":\"sample@example.com\",\"locale\":\"en-US\",\"roles\":[\"agent\"]"
				 ",\"version\":1}",
		.before_update = count_version,
	},
	{
		.shape = "/v1/Interactions",
		.before_create = prepare_interaction,
		.after_create = open_channel,
	},
	{
		.shape = "/v1/Interactions/{}/Channels",
		.before_update = change_channel,
		.after_update = tell_channel,
	},
	{
		.shape = "/v1/Interactions/{}/Channels/{}/Participants",
		.after_create = tell_joined,
		.after_update = tell_participant,
	},
	{
		.shape = "/v1/Interactions/{}/Channels/{}/Invites",
		.before_create = route_invite,
	},
	{
		.shape = "/v1/Interactions/{}/Channels/{}/Transfers",
		.fixed = "{\"instance_sid\":\"GO*\",\"execution_sid\":\"QW*\",\"status\":\"active\",\"type\":\"cold\"}",
		.before_create = check_transfer,
		.before_update = check_transfer,
	},
	{
		.shape = "/v1/PluginService/Plugins",
		.alias = "unique_name",
		.fixed = "{\"archived\":false}",
		.before_create = require_free_name,
	},
	{
		.shape = "/v1/PluginService/Plugins/{}/Versions",
		.alias = "version",
		.fixed = "{\"private\":false,\"archived\":false,\"validated\":false}",
		.before_create = validate_version,
	},
	{
		.shape = "/v1/PluginService/Configurations",
		.fixed = "{\"archived\":false}",
		.before_create = require_plugins,
		.after_create = configure_plugins,
	},
	{
		.shape = "/v1/PluginService/Configurations/{}/Plugins",
		.sid_member = "plugin_sid",
		.alias = "unique_name",
	},
	{
		.shape = "/v1/PluginService/Releases",
		.alias = "active",
		.before_create = require_configuration,
	},
	{
		.shape = "/v1/Insights/QualityManagement/Questionnaires",
		.fixed = "{\"active\":false,\"questions\":[]}",
		.before_create = collect_questions,
		.before_update = collect_questions,
		.hides_inactive = true,
	},
	{
		.shape = "/v1/Insights/QualityManagement/Questions",
		.fixed = "{\"usage\":0}",
		.before_create = describe_question,
		.before_update = describe_question,
	},
	{
		.shape = "/v1/Insights/QualityManagement/Assessments",
		.fixed =
			"{\"report\":true,\"weight\":\"1\",\"user_name\":\"Supervisor\",\"user_email\":\"supervisor@example.com\"}",
		.before_create = describe_assessment,
	},
	{
		.shape = "/v1/Insights/QualityManagement/Assessments/Comments",
		.sid_member = "assessment_sid",
		.fixed =
			"{\"report\":true,\"weight\":\"1\",\"user_name\":\"Supervisor\",\"user_email\":\"supervisor@example.com\"}",
		.before_create = describe_comment,
	},
};

/* The rule for a kind; one that says nothing where the table has none. */
const Rule *
rules_for(const char *shape)
{
	static const Rule none;

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (strcmp(rules[i].shape, shape) == 0)
			return &rules[i];
	return &none;
}
