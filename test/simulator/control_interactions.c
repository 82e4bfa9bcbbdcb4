/*
 * control_interactions.c
 *	  Control requests for how interactions go on, and to whom it is told.
 */
#include "accounts.h"
#include "commands.h"
#include "deliveries.h"
#include "interactions.h"
#include "json_text.h"
#include "scripts.h"
#include "webhooks.h"

/* Adds the status of a channel, and that of its interaction's task. */
static void
write_statuses(Text *text, const Resource *channel)
{
	json_object *members = store_members(channel);
	json_object *interaction = store_members(channel->list->owner);

	text_add_string(text, "{\"status\":");
	text_add_json_string(text, json_text_member(members, "status"));
	text_add_string(text, ",\"assignment_status\":");
	text_add_json_string(
		text, json_text_member(json_member(json_member(interaction, "routing"), "properties"), "assignment_status"));
	text_add_string(text, "}");
	json_object_put(interaction);
	json_object_put(members);
}

/* POST step: has an interaction go on; answers what its channel and its task are then. */
static bool
step_interaction(json_object *wish, Answer *answer)
{
	const char *sid = json_text_member(wish, "account_sid");
	const char *interaction = json_text_member(wish, "interaction_sid");
	Account *account = sid ? accounts_of_sid(sid) : accounts_get(0);
	Resource *channel;
	Problem problem;

	if (account == NULL)
		return complain(answer, "no such account", "account_sid");
	channel = interaction ? find_channel(account, interaction, json_text_member(wish, "channel_sid")) : NULL;
	if (channel == NULL)
		return complain(answer, "no such interaction, or it has no such channel", "interaction_sid");
	if (!take_step(channel, json_text_member(wish, "step"), wish, &problem))
		return complain_of(answer, &problem);
	write_statuses(&answer->body, channel);
	return true;
}

/* POST scripts: those that new interactions have from now on; answers them. */
static bool
set_scripts(json_object *wish, Answer *answer)
{
	Problem problem;

	if (!scripts_set(wish, &problem))
		return complain_of(answer, &problem);
	scripts_write(&answer->body);
	return true;
}

/* GET scripts. */
static bool
show_scripts(json_object *wish, Answer *answer)
{
	(void) wish;
	scripts_write(&answer->body);
	return true;
}

/* DELETE scripts. */
static bool
clear_scripts(json_object *wish, Answer *answer)
{
	(void) wish;
	scripts_clear();
	return answer_nothing(answer);
}

/* POST webhooks: adds one; answers it. */
static bool
add_webhook(json_object *wish, Answer *answer)
{
	Problem problem;

	return webhooks_add(wish, &answer->body, &problem) || complain_of(answer, &problem);
}

/* GET webhooks. */
static bool
show_webhooks(json_object *wish, Answer *answer)
{
	(void) wish;
	webhooks_write(&answer->body);
	return true;
}

/* DELETE webhooks. */
static bool
clear_webhooks(json_object *wish, Answer *answer)
{
	(void) wish;
	webhooks_clear();
	return answer_nothing(answer);
}

/* GET deliveries: the last messages to webhooks. */
static bool
show_deliveries(json_object *wish, Answer *answer)
{
	(void) wish;
	deliveries_write(&answer->body);
	return true;
}

/* DELETE deliveries. */
static bool
clear_deliveries(json_object *wish, Answer *answer)
{
	(void) wish;
	deliveries_clear();
	return answer_nothing(answer);
}

const Command interaction_commands[] = {
	{"POST", "step", step_interaction, false},         {"GET", "scripts", show_scripts, false},
	{"POST", "scripts", set_scripts, false},           {"DELETE", "scripts", clear_scripts, false},
	{"GET", "webhooks", show_webhooks, false},         {"POST", "webhooks", add_webhook, false},
	{"DELETE", "webhooks", clear_webhooks, false},     {"GET", "deliveries", show_deliveries, false},
	{"DELETE", "deliveries", clear_deliveries, false}, {.method = NULL},
};
