/*
 * operations.c
 *		The catalogue: the operations of the Flex API, a row each.
 *
 * A row says only what departs from the rules.  An argument's name on the wire
 * is the PascalCase of its SQL name; it goes where the path has {Name}, else
 * into the body of a POST and the query of anything else; that it is required,
 * and its type, stand in the SQL definition.  What a name means everywhere
 * (flex_flow_sid begins with FO) stands once, in named_rules; what it means in
 * one operation alone, in that operation's row.
 *
 * Source: the published OpenAPI documents of flex.v1 and flex.v2; a test
 * compares the two.  Rates are those published with a stated unit.
 */
#include "postgres.h"

#include "operations.h"

/* The argument "sid", which means another resource in each operation. */
#define OWN_SID(letters)                                                                                               \
	{                                                                                                                  \
		.name = "sid", .sid = letters                                                                                  \
	}

static const Operation operations[] = {
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

	/* Web chats */
	{.name = "flex_webchat_create", .method = "POST", .path = "/v2/WebChats", .rate = 5},
};

/* Conversation names and identities: 256 characters; their data: 16 KB. */
#define NAME_CHARACTERS 256
#define DATA_BYTES (16 * 1024)

static const ArgumentRule named_rules[] = {
	{.name = "body", .place = PLACE_BODY},
	{.name = "channel_type", .values = {"web", "sms", "facebook", "whatsapp", "line", "custom"}},
	{.name = "chat_friendly_name", .max_characters = NAME_CHARACTERS},
	{.name = "chat_service_sid", .sid = "IS"},
	{.name = "chat_status", .values = {"inactive"}},
	{.name = "chat_user_friendly_name", .max_characters = NAME_CHARACTERS},
	{.name = "customer_friendly_name", .max_characters = NAME_CHARACTERS},
	{.name = "flex_flow_sid", .sid = "FO"},
	{.name = "identity", .max_characters = NAME_CHARACTERS},
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
	{.name = "max_rows", .place = PLACE_NOWHERE},
	{.name = "page_size", .least = 1, .most = 1000},
	{.name = "post_engagement_data", .max_bytes = DATA_BYTES},
	{.name = "pre_engagement_data", .max_bytes = DATA_BYTES},
	{.name = "task_sid", .sid = "WT"},
	{.name = "ui_version", .wire = "Ui-Version", .place = PLACE_HEADER},
};

static const ArgumentRule no_rule;

/* The row of that name, or NULL. */
const Operation *
flex_operation_find(const char *name)
{
	for (size_t i = 0; i < lengthof(operations); i++)
	{
		if (strcmp(operations[i].name, name) == 0)
			return &operations[i];
	}
	return NULL;
}

/* The row at an index from 0 on, or NULL past the last. */
const Operation *
flex_operation_at(int index)
{
	return index >= 0 && (size_t) index < lengthof(operations) ? &operations[index] : NULL;
}

/* True when sending a request twice does no more than sending it once. */
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

/* Find a rule by the argument's name; an unused row ends the search. */
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

/* What holds for an argument of an operation; never NULL. */
const ArgumentRule *
flex_operation_rule(const Operation *operation, const char *argument)
{
	const ArgumentRule *rule = find_rule(operation->rules, MAX_OWN_RULES, argument);

	if (rule == NULL)
		rule = find_rule(named_rules, lengthof(named_rules), argument);
	return rule != NULL ? rule : &no_rule;
}
