/*
 * beyond_openapi.c
 *		The second part of the catalogue: operations that Twilio's pages describe but its
 *		OpenAPI documents do not contain.
 *
 * The conventions are those of catalogue.c.  Sources: "Register a webhook to receive
 * Interactions events", "Flex Teams API" and "Flex Users API" at
 * twilio.com/docs/flex/developer; the latter two are in public beta.  The facts from these
 * pages are in test/facts/pages, in the same form as those from the OpenAPI documents.
 */
#include "postgres.h"

#include "request/catalogue.h"

#define WEBHOOKS "/v1/Instances/{InstanceSid}/InteractionWebhooks"
#define TEAMS "/v1/Instances/{InstanceSid}/Teams"
#define USERS "/v4/Instances/{InstanceSid}/Users"

/* The published limits of teams and users, in requests per second. */
#define READ_RATE 20
#define WRITE_RATE 5
#define MEMBER_RATE 20 /* for adding members */

/* All operations that read share one rate, and all that write another: the pages give one limit for each group. */
#define OF_READING .rate = READ_RATE, .rate_as = "flex_team_fetch"
#define OF_WRITING .rate = WRITE_RATE, .rate_as = "flex_team_create"

#define WEBHOOK_TYPES                                                                                                  \
	{                                                                                                                  \
		"global", "interaction"                                                                                        \
	}

const Operation flex_beyond_openapi[BEYOND_OPENAPI] = {
	/* Interaction webhooks */
	{.name = "flex_interaction_webhook_create",
	 .method = "POST",
	 .path = WEBHOOKS,
	 .key = "ttid",
	 .rules = {{.name = "type", .values = WEBHOOK_TYPES}}},
	{.name = "flex_interaction_webhook_delete", .method = "DELETE", .path = WEBHOOKS "/{Ttid}"},
	{.name = "flex_interaction_webhook_fetch", .method = "GET", .path = WEBHOOKS "/{Ttid}", .key = "ttid"},
	{.name = "flex_interaction_webhook_update", .method = "POST", .path = WEBHOOKS "/{Ttid}", .key = "ttid"},
	{.name = "flex_interaction_webhooks_list",
	 .method = "GET",
	 .path = WEBHOOKS,
	 .rules = {{.name = "type", .wire = "type", .values = WEBHOOK_TYPES}}},

	/* Teams, their members and owners: public beta */
	{.name = "flex_team_create", .method = "POST", .path = TEAMS, .key = "team_sid", OF_WRITING},
	{.name = "flex_team_delete", .method = "DELETE", .path = TEAMS "/{TeamSid}", OF_WRITING},
	{.name = "flex_team_fetch", .method = "GET", .path = TEAMS "/{TeamSid}", .key = "team_sid", OF_READING},
	{.name = "flex_team_member_create",
	 .method = "POST",
	 .path = TEAMS "/{TeamSid}/Members",
	 .key = "flex_user_sid",
	 .rate = MEMBER_RATE},
	{.name = "flex_team_members_list", .method = "GET", .path = TEAMS "/{TeamSid}/Members", OF_READING},
	{.name = "flex_team_owner_create",
	 .method = "POST",
	 .path = TEAMS "/{TeamSid}/Owners",
	 .key = "flex_user_sid",
	 OF_WRITING},
	{.name = "flex_team_owner_delete", .method = "DELETE", .path = TEAMS "/{TeamSid}/Owners/{FlexUserSid}", OF_WRITING},
	{.name = "flex_team_owners_list", .method = "GET", .path = TEAMS "/{TeamSid}/Owners", OF_READING},
	{.name = "flex_team_update", .method = "POST", .path = TEAMS "/{TeamSid}", .key = "team_sid", OF_WRITING},
	{.name = "flex_teams_list", .method = "GET", .path = TEAMS, OF_READING, .rules = {{.name = "owner", .sid = "FU"}}},

	/* Users and their provisioning: public beta */
	{.name = "flex_instance_user_fetch",
	 .method = "GET",
	 .path = USERS "/{FlexUserSid}",
	 .key = "flex_user_sid",
	 OF_READING},
	{.name = "flex_instance_users_named_list", .method = "GET", .path = USERS, OF_READING},
	{.name = "flex_instance_users_list", .method = "GET", .path = "/v1/Instances/{InstanceSid}/Users", OF_READING},
	{.name = "flex_user_deprovision", .method = "POST", .path = USERS "/Deprovision", OF_WRITING},
	{.name = "flex_user_provision", .method = "POST", .path = USERS "/Provision", .key = "flex_user_sid", OF_WRITING},
};
