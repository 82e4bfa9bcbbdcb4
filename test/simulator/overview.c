/*
 * overview.c
 *	  All that the page shows, in one answer: clock, accounts and how many rows
 *	  their collections have, the last interactions, traffic and last requests,
 *	  faults, limits, and what became of webhooks.
 */
#include "accounts.h"
#include "clock.h"
#include "deliveries.h"
#include "faults.h"
#include "interactions.h"
#include "json_text.h"
#include "limits.h"
#include "overview.h"
#include "record.h"
#include "traffic.h"

#define INTERACTIONS_SHOWN 20
#define REQUESTS_SHOWN 40

/* Adds how many rows each of an account's collections has. */
static void
write_collections(Text *text, Account *account)
{
	const char *comma = "";

	text_printf(text, "{\"account_sid\":\"%s\",\"suspended\":%s,\"collections\":{", account->sid,
				account->suspended ? "true" : "false");
	for (int i = 0; i < kinds_count(); i++)
	{
		const List *list =
			kinds_get(i)->parent == NULL && !kinds_get(i)->anonymous ? store_list(account, kinds_get(i), NULL) : NULL;

		if (list == NULL || list->count == list->dead)
			continue;
		text_printf(text, "%s\"%s\":%zu", comma, kinds_get(i)->shape, list->count - list->dead);
		comma = ",";
	}
	text_add_string(text, "}}");
}

/* Adds one interaction, if it has a channel. */
static bool
write_interaction(Text *text, Account *account, const Resource *interaction, const char *comma)
{
	Resource *channel = find_channel(account, interaction->sid, NULL);
	json_object *members;

	if (channel == NULL)
		return false;
	settle_setup(channel);
	members = store_members(channel);
	text_printf(text, "%s{\"account_sid\":\"%s\",\"sid\":\"%s\",\"type\":", comma, account->sid, interaction->sid);
	text_add_json_string(text, json_text_member(members, "type"));
	text_add_string(text, ",\"status\":");
	text_add_json_string(text, json_text_member(members, "status"));
	json_object_put(members);
	members = store_members(interaction);
	text_add_string(text, ",\"assignment\":");
	text_add_json_string(
		text, json_text_member(json_member(json_member(members, "routing"), "properties"), "assignment_status"));
	text_add_string(text, "}");
	json_object_put(members);
	return true;
}

/* Adds the last interactions of all accounts, newest first of each. */
static void
write_interactions(Text *text)
{
	int shown = 0;

	text_add_string(text, "[");
	for (int i = 0; i < accounts_count(); i++)
	{
		Account *account = accounts_get(i);
		const List *list = store_list(account, kinds_of_shape("/v1/Interactions"), NULL);

		for (size_t j = list->count; j-- > 0 && shown < INTERACTIONS_SHOWN;)
			if (list->slots[j].resource != NULL)
				shown += write_interaction(text, account, list->slots[j].resource, shown > 0 ? "," : "");
	}
	text_add_string(text, "]");
}

/* Writes everything as a JSON object. */
void
overview_write(Text *text)
{
	text_add_string(text, "{\"clock\":");
	clock_write(text);
	text_add_string(text, ",\"accounts\":[");
	for (int i = 0; i < accounts_count(); i++)
	{
		text_add_string(text, i ? "," : "");
		write_collections(text, accounts_get(i));
	}
	text_add_string(text, "],\"interactions\":");
	write_interactions(text);
	text_add_string(text, ",\"traffic\":");
	traffic_write(text);
	text_add_string(text, ",\"recent\":");
	record_write_recent(text, REQUESTS_SHOWN);
	text_add_string(text, ",\"counters\":");
	record_write_counters(text);
	text_add_string(text, ",\"limits\":");
	limits_write(text);
	text_add_string(text, ",\"faults\":");
	faults_write(text);
	text_add_string(text, ",\"deliveries\":");
	deliveries_write(text);
	text_add_string(text, "}");
}
