/*
 * catalogue.c
 *		The catalogue: the operations of the Flex API, one row per operation.
 *
 * A row contains only exceptions from these conventions: an argument's name on the wire is
 * its SQL name in PascalCase; the argument is in the path if that contains {Name}, otherwise
 * in the body of a POST or in the query; its type, and whether it is required, are in the
 * definition of the SQL function.  Rules for an argument's name in all operations (a
 * flex_flow_sid begins with FO) are in named_rules, others in the operation's row.
 *
 * Source: the published OpenAPI documents of flex.v1 and flex.v2, with which a test compares
 * this file.  Rates are those published with a unit.  Operations that the documents do not
 * contain are in beyond_openapi.c.
 */
#include "postgres.h"

#include "base/closest.h"
#include "request/catalogue.h"
#include "request/path_template.h"

#define PREFIX "flex_" /* of all operations' names */

/* The rule of the argument "sid", which is that of another resource in each operation. */
#define OWN_SID(letters)                                                                                               \
	{                                                                                                                  \
		.name = "sid", .sid = letters                                                                                  \
	}

/* Published limits, in requests per second. */
#define INTERACTION_RATE 20
#define WEBCHAT_RATE 5

static const Operation operations[] = {
	/* Interactions */
	{.name = "flex_interaction_channel_fetch",
	 .method = "GET",
	 .path = "/v1/Interactions/{InteractionSid}/Channels/{Sid}",
	 .rate = INTERACTION_RATE,
	 .rules = {OWN_SID("UO")}},
	{.name = "flex_interaction_channel_update",
	 .method = "POST",
	 .path = "/v1/Interactions/{InteractionSid}/Channels/{Sid}",
	 .rate = INTERACTION_RATE,
	 .rules = {OWN_SID("UO"), {.name = "status", .values = {"closed", "inactive"}}}},
	{.name = "flex_interaction_channels_list",
	 .method = "GET",
	 .path = "/v1/Interactions/{InteractionSid}/Channels",
	 .rate = INTERACTION_RATE},
	{.name = "flex_interaction_create", .method = "POST", .path = "/v1/Interactions", .rate = INTERACTION_RATE},
	{.name = "flex_interaction_fetch",
	 .method = "GET",
	 .path = "/v1/Interactions/{Sid}",
	 .rate = INTERACTION_RATE,
	 .rules = {OWN_SID("KD")}},
	{.name = "flex_interaction_invite_create",
	 .method = "POST",
	 .path = "/v1/Interactions/{InteractionSid}/Channels/{ChannelSid}/Invites",
	 .rate = INTERACTION_RATE},
	{.name = "flex_interaction_invites_list",
	 .method = "GET",
	 .path = "/v1/Interactions/{InteractionSid}/Channels/{ChannelSid}/Invites",
	 .rate = INTERACTION_RATE},
	{.name = "flex_interaction_participant_create",
	 .method = "POST",
	 .path = "/v1/Interactions/{InteractionSid}/Channels/{ChannelSid}/Participants",
	 .rate = INTERACTION_RATE},
	{.name = "flex_interaction_participant_update",
	 .method = "POST",
	 .path = "/v1/Interactions/{InteractionSid}/Channels/{ChannelSid}/Participants/{Sid}",
	 .rate = INTERACTION_RATE,
	 .rules = {OWN_SID("UT"), {.name = "status", .values = {"closed", "wrapup"}}}},
	{.name = "flex_interaction_participants_list",
	 .method = "GET",
	 .path = "/v1/Interactions/{InteractionSid}/Channels/{ChannelSid}/Participants",
	 .rate = INTERACTION_RATE},
	{.name = "flex_interaction_transfer_create",
	 .method = "POST",
	 .path = "/v1/Interactions/{InteractionSid}/Channels/{ChannelSid}/Transfers",
	 .rate = INTERACTION_RATE},
	{.name = "flex_interaction_transfer_fetch",
	 .method = "GET",
	 .path = "/v1/Interactions/{InteractionSid}/Channels/{ChannelSid}/Transfers/{Sid}",
	 .rate = INTERACTION_RATE,
	 .rules = {OWN_SID("UX")}},
	{.name = "flex_interaction_transfer_update",
	 .method = "POST",
	 .path = "/v1/Interactions/{InteractionSid}/Channels/{ChannelSid}/Transfers/{Sid}",
	 .rate = INTERACTION_RATE,
	 .rules = {OWN_SID("UX")}},
	{.name = "flex_interaction_update",
	 .method = "POST",
	 .path = "/v1/Interactions/{Sid}",
	 .rate = INTERACTION_RATE,
	 .rules = {OWN_SID("KD")}},

	/* Web chats */
	{.name = "flex_webchat_create",
	 .method = "POST",
	 .path = "/v2/WebChats",
	 .key = "conversation_sid",
	 .rate = WEBCHAT_RATE,
	 .rules = {{.name = "ui_version", .wire = "Ui-Version", .place = PLACE_HEADER}}},

	/* Users */
	{.name = "flex_user_fetch",
	 .method = "GET",
	 .path = "/v2/Instances/{InstanceSid}/Users/{FlexUserSid}",
	 .key = "flex_user_sid"},
	{.name = "flex_user_update",
	 .method = "POST",
	 .path = "/v2/Instances/{InstanceSid}/Users/{FlexUserSid}",
	 .key = "flex_user_sid"},

	/* Configuration and provisioning */
	{.name = "flex_configuration_fetch", .method = "GET", .path = "/v1/Configuration"},
	{.name = "flex_configuration_update", .method = "POST", .path = "/v1/Configuration"},
	{.name = "flex_provisioning_status_fetch", .method = "GET", .path = "/v1/account/provision/status"},

	/* Plugins, their versions, configurations and releases */
	{.name = "flex_configured_plugin_fetch",
	 .method = "GET",
	 .path = "/v1/PluginService/Configurations/{ConfigurationSid}/Plugins/{PluginSid}"},
	{.name = "flex_configured_plugins_list",
	 .method = "GET",
	 .path = "/v1/PluginService/Configurations/{ConfigurationSid}/Plugins"},
	{.name = "flex_plugin_archive", .method = "POST", .path = "/v1/PluginService/Plugins/{Sid}/Archive"},
	{.name = "flex_plugin_configuration_archive",
	 .method = "POST",
	 .path = "/v1/PluginService/Configurations/{Sid}/Archive",
	 .rules = {OWN_SID("FJ")}},
	{.name = "flex_plugin_configuration_create", .method = "POST", .path = "/v1/PluginService/Configurations"},
	{.name = "flex_plugin_configuration_fetch",
	 .method = "GET",
	 .path = "/v1/PluginService/Configurations/{Sid}",
	 .rules = {OWN_SID("FJ")}},
	{.name = "flex_plugin_configurations_list", .method = "GET", .path = "/v1/PluginService/Configurations"},
	{.name = "flex_plugin_create", .method = "POST", .path = "/v1/PluginService/Plugins"},
	{.name = "flex_plugin_fetch", .method = "GET", .path = "/v1/PluginService/Plugins/{Sid}"},
	{.name = "flex_plugin_release_create", .method = "POST", .path = "/v1/PluginService/Releases"},
	{.name = "flex_plugin_release_fetch", .method = "GET", .path = "/v1/PluginService/Releases/{Sid}"},
	{.name = "flex_plugin_releases_list", .method = "GET", .path = "/v1/PluginService/Releases"},
	{.name = "flex_plugin_update", .method = "POST", .path = "/v1/PluginService/Plugins/{Sid}"},
	{.name = "flex_plugin_version_archive",
	 .method = "POST",
	 .path = "/v1/PluginService/Plugins/{PluginSid}/Versions/{Sid}/Archive"},
	{.name = "flex_plugin_version_create", .method = "POST", .path = "/v1/PluginService/Plugins/{PluginSid}/Versions"},
	{.name = "flex_plugin_version_fetch",
	 .method = "GET",
	 .path = "/v1/PluginService/Plugins/{PluginSid}/Versions/{Sid}"},
	{.name = "flex_plugin_versions_list", .method = "GET", .path = "/v1/PluginService/Plugins/{PluginSid}/Versions"},
	{.name = "flex_plugins_list", .method = "GET", .path = "/v1/PluginService/Plugins"},

	/* Insights */
	{.name = "flex_insights_answer_sets_fetch",
	 .method = "GET",
	 .path = "/v1/Insights/QualityManagement/Settings/AnswerSets"},
	{.name = "flex_insights_assessment_create",
	 .method = "POST",
	 .path = "/v1/Insights/QualityManagement/Assessments",
	 .key = "assessment_sid"},
	{.name = "flex_insights_assessment_update",
	 .method = "POST",
	 .path = "/v1/Insights/QualityManagement/Assessments/{AssessmentSid}",
	 .key = "assessment_sid"},
	{.name = "flex_insights_assessments_list", .method = "GET", .path = "/v1/Insights/QualityManagement/Assessments"},
	{.name = "flex_insights_categories_list", .method = "GET", .path = "/v1/Insights/QualityManagement/Categories"},
	{.name = "flex_insights_category_create",
	 .method = "POST",
	 .path = "/v1/Insights/QualityManagement/Categories",
	 .key = "category_sid"},
	{.name = "flex_insights_category_delete",
	 .method = "DELETE",
	 .path = "/v1/Insights/QualityManagement/Categories/{CategorySid}"},
	{.name = "flex_insights_category_update",
	 .method = "POST",
	 .path = "/v1/Insights/QualityManagement/Categories/{CategorySid}",
	 .key = "category_sid"},
	{.name = "flex_insights_comment_create",
	 .method = "POST",
	 .path = "/v1/Insights/QualityManagement/Assessments/Comments"},
	{.name = "flex_insights_comment_tags_fetch",
	 .method = "GET",
	 .path = "/v1/Insights/QualityManagement/Settings/CommentTags"},
	{.name = "flex_insights_comments_list",
	 .method = "GET",
	 .path = "/v1/Insights/QualityManagement/Assessments/Comments"},
	{.name = "flex_insights_conversations_list", .method = "GET", .path = "/v1/Insights/Conversations"},
	{.name = "flex_insights_question_create",
	 .method = "POST",
	 .path = "/v1/Insights/QualityManagement/Questions",
	 .key = "question_sid"},
	{.name = "flex_insights_question_delete",
	 .method = "DELETE",
	 .path = "/v1/Insights/QualityManagement/Questions/{QuestionSid}"},
	{.name = "flex_insights_question_update",
	 .method = "POST",
	 .path = "/v1/Insights/QualityManagement/Questions/{QuestionSid}",
	 .key = "question_sid"},
	{.name = "flex_insights_questionnaire_create",
	 .method = "POST",
	 .path = "/v1/Insights/QualityManagement/Questionnaires",
	 .key = "questionnaire_sid"},
	{.name = "flex_insights_questionnaire_delete",
	 .method = "DELETE",
	 .path = "/v1/Insights/QualityManagement/Questionnaires/{QuestionnaireSid}"},
	{.name = "flex_insights_questionnaire_fetch",
	 .method = "GET",
	 .path = "/v1/Insights/QualityManagement/Questionnaires/{QuestionnaireSid}",
	 .key = "questionnaire_sid"},
	{.name = "flex_insights_questionnaire_update",
	 .method = "POST",
	 .path = "/v1/Insights/QualityManagement/Questionnaires/{QuestionnaireSid}",
	 .key = "questionnaire_sid"},
	{.name = "flex_insights_questionnaires_list",
	 .method = "GET",
	 .path = "/v1/Insights/QualityManagement/Questionnaires"},
	{.name = "flex_insights_questions_list", .method = "GET", .path = "/v1/Insights/QualityManagement/Questions"},
	{.name = "flex_insights_segments_list", .method = "GET", .path = "/v1/Insights/Segments"},
	{.name = "flex_insights_session_create", .method = "POST", .path = "/v1/Insights/Session", .secret = true},
	{.name = "flex_insights_user_roles_fetch", .method = "GET", .path = "/v1/Insights/UserRoles"},

	/* Channels: legacy since 2026-06 */
	{.name = "flex_channel_create", .method = "POST", .path = "/v1/Channels"},
	{.name = "flex_channel_delete", .method = "DELETE", .path = "/v1/Channels/{Sid}", .rules = {OWN_SID("CH")}},
	{.name = "flex_channel_fetch", .method = "GET", .path = "/v1/Channels/{Sid}", .rules = {OWN_SID("CH")}},
	{.name = "flex_channels_list", .method = "GET", .path = "/v1/Channels"},

	/* Flex flows: legacy since 2026-06 */
	{.name = "flex_flow_create", .method = "POST", .path = "/v1/FlexFlows"},
	{.name = "flex_flow_delete", .method = "DELETE", .path = "/v1/FlexFlows/{Sid}", .rules = {OWN_SID("FO")}},
	{.name = "flex_flow_fetch", .method = "GET", .path = "/v1/FlexFlows/{Sid}", .rules = {OWN_SID("FO")}},
	{.name = "flex_flow_update", .method = "POST", .path = "/v1/FlexFlows/{Sid}", .rules = {OWN_SID("FO")}},
	{.name = "flex_flows_list", .method = "GET", .path = "/v1/FlexFlows"},

	/* Web channels: legacy since 2026-06 */
	{.name = "flex_web_channel_create", .method = "POST", .path = "/v1/WebChannels"},
	{.name = "flex_web_channel_delete", .method = "DELETE", .path = "/v1/WebChannels/{Sid}", .rules = {OWN_SID("CH")}},
	{.name = "flex_web_channel_fetch", .method = "GET", .path = "/v1/WebChannels/{Sid}", .rules = {OWN_SID("CH")}},
	{.name = "flex_web_channel_update", .method = "POST", .path = "/v1/WebChannels/{Sid}", .rules = {OWN_SID("CH")}},
	{.name = "flex_web_channels_list", .method = "GET", .path = "/v1/WebChannels"},

	/* Stands for all operations without a row: the outbox stores their requests under this name */
	{.name = FLEX_CUSTOM_OPERATION, .method = "", .path = "", .custom = true},
};

StaticAssertDecl(lengthof(operations) + BEYOND_OPENAPI <= MAX_OPERATIONS, "arrays by operation have room for all");

/* Limits of names and identities in conversations, and of their data. */
#define NAME_CHARACTERS 256
#define DATA_BYTES (16 * 1024)

static const ArgumentRule named_rules[] = {
	{.name = "address_sid", .sid = "IG"},
	{.name = "assessment_sid", .sid = "FM"},
	{.name = "authorization", .place = PLACE_HEADER, .secret = true},
	{.name = "body", .place = PLACE_BODY, .shape = SHAPE_OBJECT},
	{.name = "category_sid", .sid = "FY"},
	{.name = "channel", .shape = SHAPE_OBJECT},
	{.name = "channel_sid", .sid = "UO"},
	{.name = "channel_type", .values = {"web", "sms", "facebook", "whatsapp", "line", "custom"}},
	{.name = "chat_friendly_name", .max_characters = NAME_CHARACTERS},
	{.name = "chat_service_sid", .sid = "IS"},
	{.name = "chat_status", .values = {"inactive"}},
	{.name = "chat_user_friendly_name", .max_characters = NAME_CHARACTERS},
	{.name = "customer_friendly_name", .max_characters = NAME_CHARACTERS},
	{.name = "flex_flow_sid", .sid = "FO"},
	{.name = "flex_metadata", .wire = "Flex-Metadata", .place = PLACE_HEADER},
	{.name = "flex_user_sid", .sid = "FU"},
	{.name = "identity", .max_characters = NAME_CHARACTERS},
	{.name = "instance_sid", .sid = "GO"},
	{.name = "integration_channel", .wire = "Integration.Channel"},
	{.name = "integration_creation_on_message", .wire = "Integration.CreationOnMessage"},
	{.name = "integration_flow_sid", .wire = "Integration.FlowSid", .sid = "FW"},
	{.name = "integration_priority", .wire = "Integration.Priority"},
	{.name = "integration_retry_count", .wire = "Integration.RetryCount"},
	{.name = "integration_timeout", .wire = "Integration.Timeout"},
	{.name = "integration_type", .values = {"studio", "external", "task"}},
	{.name = "integration_url", .wire = "Integration.Url", .uri = true},
	{.name = "integration_workflow_sid", .wire = "Integration.WorkflowSid", .sid = "WW"},
	{.name = "integration_workspace_sid", .wire = "Integration.WorkspaceSid", .sid = "WS"},
	{.name = "interaction_context_sid", .sid = "HQ"},
	{.name = "interaction_sid", .sid = "KD"},
	{.name = "max_rows", .place = PLACE_NOWHERE},
	{.name = "media_properties", .shape = SHAPE_OBJECT},
	{.name = "metric_id", .sid = "GE"},
	{.name = "page_size", .least = 1, .most = 1000},
	{.name = "parent_team_sid", .sid = "QO"},
	{.name = "plugin_url", .uri = true},
	{.name = "post_engagement_data", .shape = SHAPE_NOT_ENCODED, .max_bytes = DATA_BYTES},
	{.name = "pre_engagement_data", .shape = SHAPE_NOT_ENCODED, .max_bytes = DATA_BYTES},
	{.name = "question_sid", .sid = "GE"},
	{.name = "question_sids", .sid = "GE"},
	{.name = "questionnaire_sid", .sid = "GM"},
	{.name = "reservation_id", .sid = "WR"},
	{.name = "routing", .shape = SHAPE_OBJECT},
	{.name = "routing_properties", .shape = SHAPE_OBJECT},
	{.name = "task_attributes", .shape = SHAPE_OBJECT},
	{.name = "task_sid", .sid = "WT"},
	{.name = "team_sid", .sid = "QO"},
	{.name = "type", .values = {"supervisor", "customer", "external", "agent", "unknown"}},
	{.name = "user_sid", .sid = "US"},
	{.name = "webhook_method", .values = {"GET", "POST"}},
	{.name = "webhook_url", .uri = true},
};

static const ArgumentRule no_rule;

/* Return the row at an index, from 0 on; NULL after the last.  beyond_openapi.c's follow those of this file. */
const Operation *
flex_operation_at(int index)
{
	const int here = lengthof(operations);

	Assert(flex_beyond_openapi[BEYOND_OPENAPI - 1].name != NULL);
	if (index < 0 || index >= here + BEYOND_OPENAPI)
		return NULL;
	return index < here ? &operations[index] : &flex_beyond_openapi[index - here];
}

/* Return the row of an operation's name, or NULL. */
const Operation *
flex_operation_find(const char *name)
{
	/* Cached, because a statement that enqueues many requests asks for the same name each time. */
	static const Operation *last = NULL;
	const Operation *operation;

	if (last != NULL && strcmp(last->name, name) == 0)
		return last;
	for (int i = 0; (operation = flex_operation_at(i)) != NULL; i++)
	{
		if (strcmp(operation->name, name) == 0)
			return last = operation;
	}
	return NULL;
}

/*
 * Return the name of the operation that an unknown name was probably meant to be, or NULL.  A
 * schema, parentheses, upper case and a missing "flex_" are allowed for.
 */
const char *
flex_operation_closest(const char *name)
{
	char *own = pnstrdup(name, strcspn(name, "("));
	char *schema_end = strrchr(own, '.');
	bool has_prefix;
	ClosestName closest;
	const Operation *operation;

	if (schema_end != NULL)
		own = schema_end + 1;
	has_prefix = pg_strncasecmp(own, PREFIX, strlen(PREFIX)) == 0;
	closest = flex_closest_begin(has_prefix ? own : psprintf(PREFIX "%s", own));
	for (int i = 0; (operation = flex_operation_at(i)) != NULL; i++)
		flex_closest_compare(&closest, operation->name);
	return closest.found;
}

/* Return the index of a row. */
int
flex_operation_index(const Operation *operation)
{
	bool is_here = operation >= operations && operation < operations + lengthof(operations);
	int index =
		is_here ? (int) (operation - operations) : (int) (lengthof(operations) + (operation - flex_beyond_openapi));

	Assert(flex_operation_at(index) == operation);
	return index;
}

/* Return the index of the operation whose rate an operation uses. */
int
flex_operation_rate_index(const Operation *operation)
{
	return flex_operation_index(operation->rate_as != NULL ? flex_operation_find(operation->rate_as) : operation);
}

/* Return true if the answer to a request may be a secret, whichever way its path is written. */
bool
flex_operation_answers_secret(const char *method, const char *path)
{
	char *asked = flex_path_read_leniently(path);
	bool is_secret = false;
	const Operation *operation;

	for (int i = 0; !is_secret && (operation = flex_operation_at(i)) != NULL; i++)
	{
		is_secret = operation->secret && strcmp(operation->method, method) == 0 &&
					flex_path_is_of(operation->path, asked, true);
	}
	pfree(asked);
	return is_secret;
}

/* Return true if sending a request twice has no other effect than sending it once. */
bool
flex_method_is_idempotent(const char *method)
{
	static const char *const idempotent[] = {"GET", "HEAD", "PUT", "DELETE"};

	for (size_t i = 0; i < lengthof(idempotent); i++)
	{
		if (strcmp(method, idempotent[i]) == 0)
			return true;
	}
	return false;
}

/*
 * Return the name of the member that identifies the resource in the answer to a request.  If
 * a path is in the catalogue literally (.../Users/Provision), that row is meant, and not one
 * whose template it also matches (.../Users/{FlexUserSid}).
 */
const char *
flex_operation_key(const char *method, const char *path)
{
	const char *key = NULL;
	const Operation *operation;

	for (int i = 0; (operation = flex_operation_at(i)) != NULL; i++)
	{
		bool is_literal = strcmp(operation->path, path) == 0;

		if (strcmp(operation->method, method) != 0 || (!is_literal && !flex_path_is_of(operation->path, path, false)))
			continue;
		key = operation->key;
		if (is_literal)
			break;
	}
	return key != NULL ? key : "sid";
}

/* Return the rule for an argument's name, or NULL.  The used rows of the array come first. */
static const ArgumentRule *
find_rule(const ArgumentRule *rules, int count, const char *argument)
{
	for (int i = 0; i < count && rules[i].name != NULL; i++)
	{
		if (strcmp(rules[i].name, argument) == 0)
			return &rules[i];
	}
	return NULL;
}

/* Return the rule for an argument of an operation; never NULL. */
const ArgumentRule *
flex_operation_rule(const Operation *operation, const char *argument)
{
	const ArgumentRule *rule = find_rule(operation->rules, MAX_OWN_RULES, argument);

	if (rule == NULL)
		rule = find_rule(named_rules, lengthof(named_rules), argument);
	return rule != NULL ? rule : &no_rule;
}
