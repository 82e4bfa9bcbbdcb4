/*
 * resources.c
 *		The resources of the Flex API, one row per resource: its operations and its key.
 *
 * Foreign tables are derived from this: each resource is a table of its name, which the list
 * and fetch operations read and the others write.  The columns follow from the SQL functions
 * of the operations.  A resource has the name of its list function; if it has no list, its
 * name is in the plural, or in the singular if an account has only one.
 *
 * Operations that archive something are not in this table, as no SQL command on a row
 * corresponds to them.
 */
#include "postgres.h"

#include "base/closest.h"
#include "request/resources.h"

static const Resource resources[] = {
	/* Interactions */
	{.name = "interactions",
	 .key = "sid",
	 .operations = {[RESOURCE_FETCH] = "flex_interaction_fetch",
					[RESOURCE_CREATE] = "flex_interaction_create",
					[RESOURCE_UPDATE] = "flex_interaction_update"}},
	{.name = "interaction_channels",
	 .key = "sid",
	 .operations = {[RESOURCE_LIST] = "flex_interaction_channels_list",
					[RESOURCE_FETCH] = "flex_interaction_channel_fetch",
					[RESOURCE_UPDATE] = "flex_interaction_channel_update"}},
	{.name = "interaction_invites",
	 .operations =
		 {[RESOURCE_LIST] = "flex_interaction_invites_list", [RESOURCE_CREATE] = "flex_interaction_invite_create"}},
	{.name = "interaction_participants",
	 .key = "sid",
	 .operations = {[RESOURCE_LIST] = "flex_interaction_participants_list",
					[RESOURCE_CREATE] = "flex_interaction_participant_create",
					[RESOURCE_UPDATE] = "flex_interaction_participant_update"}},
	{.name = "interaction_transfers",
	 .key = "sid",
	 .operations = {[RESOURCE_FETCH] = "flex_interaction_transfer_fetch",
					[RESOURCE_CREATE] = "flex_interaction_transfer_create",
					[RESOURCE_UPDATE] = "flex_interaction_transfer_update"}},

	/* Web chats and users */
	{.name = "webchats", .operations = {[RESOURCE_CREATE] = "flex_webchat_create"}},
	{.name = "users",
	 .key = "flex_user_sid",
	 .operations = {[RESOURCE_FETCH] = "flex_user_fetch", [RESOURCE_UPDATE] = "flex_user_update"}},

	/* Interaction webhooks, teams and users: absent from the OpenAPI documents */
	{.name = "interaction_webhooks",
	 .key = "ttid",
	 .operations = {[RESOURCE_LIST] = "flex_interaction_webhooks_list",
					[RESOURCE_FETCH] = "flex_interaction_webhook_fetch",
					[RESOURCE_CREATE] = "flex_interaction_webhook_create",
					[RESOURCE_UPDATE] = "flex_interaction_webhook_update",
					[RESOURCE_DELETE] = "flex_interaction_webhook_delete"}},
	{.name = "teams",
	 .key = "team_sid",
	 .operations = {[RESOURCE_LIST] = "flex_teams_list",
					[RESOURCE_FETCH] = "flex_team_fetch",
					[RESOURCE_CREATE] = "flex_team_create",
					[RESOURCE_UPDATE] = "flex_team_update",
					[RESOURCE_DELETE] = "flex_team_delete"}},
	{.name = "team_members",
	 .operations = {[RESOURCE_LIST] = "flex_team_members_list", [RESOURCE_CREATE] = "flex_team_member_create"}},
	{.name = "team_owners",
	 .key = "flex_user_sid",
	 .operations = {[RESOURCE_LIST] = "flex_team_owners_list",
					[RESOURCE_CREATE] = "flex_team_owner_create",
					[RESOURCE_DELETE] = "flex_team_owner_delete"}},
	{.name = "instance_users",
	 .key = "flex_user_sid",
	 .operations = {[RESOURCE_LIST] = "flex_instance_users_list", [RESOURCE_FETCH] = "flex_instance_user_fetch"}},

	/* Configuration and provisioning */
	{.name = "configuration",
	 .operations = {[RESOURCE_FETCH] = "flex_configuration_fetch", [RESOURCE_UPDATE] = "flex_configuration_update"}},
	{.name = "provisioning_status", .operations = {[RESOURCE_FETCH] = "flex_provisioning_status_fetch"}},

	/* Plugins, their versions, configurations and releases */
	{.name = "plugins",
	 .key = "sid",
	 .operations = {[RESOURCE_LIST] = "flex_plugins_list",
					[RESOURCE_FETCH] = "flex_plugin_fetch",
					[RESOURCE_CREATE] = "flex_plugin_create",
					[RESOURCE_UPDATE] = "flex_plugin_update"}},
	{.name = "plugin_versions",
	 .key = "sid",
	 .operations = {[RESOURCE_LIST] = "flex_plugin_versions_list",
					[RESOURCE_FETCH] = "flex_plugin_version_fetch",
					[RESOURCE_CREATE] = "flex_plugin_version_create"}},
	{.name = "plugin_configurations",
	 .key = "sid",
	 .operations = {[RESOURCE_LIST] = "flex_plugin_configurations_list",
					[RESOURCE_FETCH] = "flex_plugin_configuration_fetch",
					[RESOURCE_CREATE] = "flex_plugin_configuration_create"}},
	{.name = "configured_plugins",
	 .key = "plugin_sid",
	 .operations =
		 {[RESOURCE_LIST] = "flex_configured_plugins_list", [RESOURCE_FETCH] = "flex_configured_plugin_fetch"}},
	{.name = "plugin_releases",
	 .key = "sid",
	 .operations = {[RESOURCE_LIST] = "flex_plugin_releases_list",
					[RESOURCE_FETCH] = "flex_plugin_release_fetch",
					[RESOURCE_CREATE] = "flex_plugin_release_create"}},

	/* Insights */
	{.name = "insights_answer_sets", .operations = {[RESOURCE_FETCH] = "flex_insights_answer_sets_fetch"}},
	{.name = "insights_assessments",
	 .key = "assessment_sid",
	 .operations = {[RESOURCE_LIST] = "flex_insights_assessments_list",
					[RESOURCE_CREATE] = "flex_insights_assessment_create",
					[RESOURCE_UPDATE] = "flex_insights_assessment_update"}},
	{.name = "insights_categories",
	 .key = "category_sid",
	 .operations = {[RESOURCE_LIST] = "flex_insights_categories_list",
					[RESOURCE_CREATE] = "flex_insights_category_create",
					[RESOURCE_UPDATE] = "flex_insights_category_update",
					[RESOURCE_DELETE] = "flex_insights_category_delete"}},
	{.name = "insights_comment_tags", .operations = {[RESOURCE_FETCH] = "flex_insights_comment_tags_fetch"}},
	{.name = "insights_comments",
	 .operations =
		 {[RESOURCE_LIST] = "flex_insights_comments_list", [RESOURCE_CREATE] = "flex_insights_comment_create"}},
	{.name = "insights_conversations", .operations = {[RESOURCE_LIST] = "flex_insights_conversations_list"}},
	{.name = "insights_questionnaires",
	 .key = "questionnaire_sid",
	 .operations = {[RESOURCE_LIST] = "flex_insights_questionnaires_list",
					[RESOURCE_FETCH] = "flex_insights_questionnaire_fetch",
					[RESOURCE_CREATE] = "flex_insights_questionnaire_create",
					[RESOURCE_UPDATE] = "flex_insights_questionnaire_update",
					[RESOURCE_DELETE] = "flex_insights_questionnaire_delete"}},
	{.name = "insights_questions",
	 .key = "question_sid",
	 .operations = {[RESOURCE_LIST] = "flex_insights_questions_list",
					[RESOURCE_CREATE] = "flex_insights_question_create",
					[RESOURCE_UPDATE] = "flex_insights_question_update",
					[RESOURCE_DELETE] = "flex_insights_question_delete"}},
	{.name = "insights_segments", .operations = {[RESOURCE_LIST] = "flex_insights_segments_list"}},
	{.name = "insights_sessions", .operations = {[RESOURCE_CREATE] = "flex_insights_session_create"}},
	{.name = "insights_user_roles", .operations = {[RESOURCE_FETCH] = "flex_insights_user_roles_fetch"}},

	/* Channels, flows and web channels: legacy since 2026-06 */
	{.name = "channels",
	 .key = "sid",
	 .operations = {[RESOURCE_LIST] = "flex_channels_list",
					[RESOURCE_FETCH] = "flex_channel_fetch",
					[RESOURCE_CREATE] = "flex_channel_create",
					[RESOURCE_DELETE] = "flex_channel_delete"}},
	{.name = "flows",
	 .key = "sid",
	 .operations = {[RESOURCE_LIST] = "flex_flows_list",
					[RESOURCE_FETCH] = "flex_flow_fetch",
					[RESOURCE_CREATE] = "flex_flow_create",
					[RESOURCE_UPDATE] = "flex_flow_update",
					[RESOURCE_DELETE] = "flex_flow_delete"}},
	{.name = "web_channels",
	 .key = "sid",
	 .operations = {[RESOURCE_LIST] = "flex_web_channels_list",
					[RESOURCE_FETCH] = "flex_web_channel_fetch",
					[RESOURCE_CREATE] = "flex_web_channel_create",
					[RESOURCE_UPDATE] = "flex_web_channel_update",
					[RESOURCE_DELETE] = "flex_web_channel_delete"}},
};

/* Return the row of a resource's name, or NULL. */
const Resource *
flex_resource_find(const char *name)
{
	for (size_t i = 0; i < lengthof(resources); i++)
	{
		if (strcmp(resources[i].name, name) == 0)
			return &resources[i];
	}
	return NULL;
}

/* Return the row at an index, from 0 on; NULL after the last. */
const Resource *
flex_resource_at(int index)
{
	return index >= 0 && (size_t) index < lengthof(resources) ? &resources[index] : NULL;
}

/* Return the name that an unknown name was probably meant to be, or NULL. */
const char *
flex_resource_closest(const char *name)
{
	ClosestName closest = flex_closest_begin(name);

	for (size_t i = 0; i < lengthof(resources); i++)
		flex_closest_compare(&closest, resources[i].name);
	return closest.found;
}

/* Return the operation of a kind that a resource has, or NULL. */
const Operation *
flex_resource_operation(const Resource *resource, ResourceOperation which)
{
	const char *name = resource->operations[which];
	const Operation *operation = name != NULL ? flex_operation_find(name) : NULL;

	Assert(name == NULL || operation != NULL);
	return operation;
}
