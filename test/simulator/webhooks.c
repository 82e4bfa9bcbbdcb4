/*
 * webhooks.c
 *	  Webhooks: where an account's events are told, which ones, and how. They
 *	  are registered by the API, or set by a control request, which says what
 *	  the API's resource says; one of type interaction is for interactions that
 *	  name it.
 *
 * Those of the API are the resources in the store: what has become of them is
 * looked up whenever there is something to tell, so that it does not matter
 * how they came there (a request, a state that was loaded) or went.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deliveries.h"
#include "events.h"
#include "identifiers.h"
#include "json_text.h"
#include "signature.h"
#include "store.h"
#include "text.h"
#include "webhook_sender.h"
#include "webhooks.h"

typedef struct Webhook
{
	char ttid[64];
	const Account *account;
	json_object *wish; /* as it was sent */
	char *url;         /* without the fragment, which says how to connect */
	bool get;
	bool json;
	bool for_interaction;
	Sender *sender;   /* NULL where the URL leads where nothing is sent to */
	char refusal[96]; /* why, then */
	char *source;     /* JSON of the API's resource; NULL for one of a control request */
	bool there;       /* the resource still is */
} Webhook;

static Webhook *webhooks;
static size_t count;

static const char *const known_members[] = {"account_sid", "webhook_url", "webhook_method", "webhook_events",
											"type",        "body",        "friendly_name",  NULL};

/* Checks that a member, if it is there, is one of two words. */
static bool
check_word(json_object *wish, const char *name, const char *one, const char *other, Problem *problem)
{
	const char *text = json_text_member(wish, name);

	if (json_member(wish, name) == NULL || (text != NULL && (strcmp(text, one) == 0 || strcmp(text, other) == 0)))
		return true;
	return problem_note(problem, name, "must be %s or %s", one, other);
}

/* Checks which events are wanted. */
static bool
check_events(json_object *events, Problem *problem)
{
	Text names = {0};

	if (events == NULL)
		return true;
	if (!json_object_is_type(events, json_type_array))
		return problem_note(problem, "webhook_events", "must be an array of events");
	for (size_t i = 0; i < json_object_array_length(events); i++)
	{
		json_object *event = json_object_array_get_idx(events, i);

		if (json_object_is_type(event, json_type_string) && is_event_type(json_object_get_string(event)))
			continue;
		for (int j = 0; event_types[j] != NULL; j++)
			text_printf(&names, "%s%s", j ? ", " : "", event_types[j]);
		problem_note(problem, "", "no such event; there are %s", names.data);
		problem_within(problem, "webhook_events[%zu]", i);
		text_free(&names);
		return false;
	}
	return true;
}

/* Whether a name is one that a webhook can have. */
static bool
is_known(const char *name)
{
	for (int i = 0; known_members[i] != NULL; i++)
		if (strcmp(known_members[i], name) == 0)
			return true;
	return false;
}

/* Checks a webhook as it is wished. */
static bool
check_webhook(json_object *wish, Problem *problem)
{
	json_object_object_foreach(wish, name, unused)
	{
		(void) unused;
		if (!is_known(name))
			return problem_note(problem, name,
								"a webhook has account_sid, webhook_url, webhook_method, "
								"webhook_events, type, body and friendly_name");
	}
	if (json_text_member(wish, "account_sid") != NULL && accounts_of_sid(json_text_member(wish, "account_sid")) == NULL)
		return problem_note(problem, "account_sid", "no such account");
	return check_word(wish, "webhook_method", "POST", "GET", problem) &&
		   check_word(wish, "type", "global", "interaction", problem) &&
		   check_word(wish, "body", "form", "json", problem) &&
		   check_events(json_member(wish, "webhook_events"), problem);
}

/* Whether a member is that word. */
static bool
says(json_object *wish, const char *name, const char *word)
{
	const char *text = json_text_member(wish, name);

	return text != NULL && strcmp(text, word) == 0;
}

/* Adds what a webhook says as a JSON object. */
static void
write_webhook(Text *text, const Webhook *webhook)
{
	text_printf(text, "{\"ttid\":\"%s\",\"account_sid\":\"%s\",\"wish\":", webhook->ttid, webhook->account->sid);
	json_write(text, webhook->wish);
	text_add_string(text, "}");
}

/* Adds a webhook of an account, which is yet to be told what it is. */
static Webhook *
append(const Account *account, const char *ttid, Sender *sender)
{
	Webhook *webhook;

	webhooks = must_resize(webhooks, (count + 1) * sizeof(Webhook));
	webhook = &webhooks[count++];
	*webhook = (Webhook){.account = account, .sender = sender};
	snprintf(webhook->ttid, sizeof(webhook->ttid), "%s", ttid);
	return webhook;
}

/* Where a webhook's JSON says that it is; a state that was loaded need not say. */
static const char *
url_of(json_object *wish)
{
	const char *url = json_text_member(wish, "webhook_url");

	return url != NULL ? url : "";
}

/* Makes a webhook what its JSON says; who sends is the caller's to see to. */
static void
take_wish(Webhook *webhook, json_object *wish)
{
	json_object_put(webhook->wish);
	free(webhook->url);
	webhook->wish = json_object_get(wish);
	webhook->url = must_copy(url_of(wish));
	webhook->url[strcspn(webhook->url, "#")] = '\0';
	webhook->get = says(wish, "webhook_method", "GET");
	webhook->json = says(wish, "body", "json");
	webhook->for_interaction = says(wish, "type", "interaction");
}

/* Adds a webhook, and writes it; false, with the problem, if it makes no sense. */
bool
webhooks_add(json_object *wish, Text *made, Problem *problem)
{
	const char *sid = json_text_member(wish, "account_sid");
	char unique[SID_LENGTH + 1];
	char ttid[64];
	Webhook *webhook;
	Sender *sender;

	if (!check_webhook(wish, problem))
		return false;
	sender = sender_new(json_text_member(wish, "webhook_url"), problem);
	if (sender == NULL)
		return false;
	make_sid("WH", unique);
	snprintf(ttid, sizeof(ttid), "flex_interactionwebhook_%.26s", unique + 2);
	webhook = append(sid ? accounts_of_sid(sid) : accounts_get(0), ttid, sender);
	take_wish(webhook, wish);
	write_webhook(made, webhook);
	return true;
}

/* Frees what a webhook has; what was to be sent to it is not. */
static void
release(Webhook *webhook)
{
	if (webhook->sender != NULL)
		sender_free(webhook->sender);
	json_object_put(webhook->wish);
	free(webhook->url);
	free(webhook->source);
}

/* Forgets all webhooks. */
void
webhooks_clear(void)
{
	for (size_t i = 0; i < count; i++)
		release(&webhooks[i]);
	free(webhooks);
	webhooks = NULL;
	count = 0;
}

/* The webhook that was made of a resource, or NULL. */
static Webhook *
find_registered(const Resource *resource)
{
	for (size_t i = 0; i < count; i++)
		if (webhooks[i].source != NULL && webhooks[i].account == resource->list->account &&
			strcmp(webhooks[i].ttid, resource->sid) == 0)
			return &webhooks[i];
	return NULL;
}

/* Makes a webhook of a resource, or makes it what the resource has become. */
static void
follow_resource(const Resource *resource)
{
	Webhook *webhook = find_registered(resource);
	json_object *members;
	const char *url;
	Problem problem = {0};

	if (webhook == NULL)
		webhook = append(resource->list->account, resource->sid, NULL);
	webhook->there = true;
	if (webhook->source != NULL && strcmp(webhook->source, resource->text) == 0)
		return;
	members = store_members(resource);
	json_object_object_del(members, "url"); /* whose base a request would say */
	url = url_of(members);
	/* With another URL it is another receiver; otherwise what waits to be sent still is. */
	if (webhook->wish == NULL || strcmp(url_of(webhook->wish), url) != 0)
	{
		if (webhook->sender != NULL)
			sender_free(webhook->sender);
		webhook->sender = sender_new(url, &problem);
		snprintf(webhook->refusal, sizeof(webhook->refusal), "%.95s", problem.what);
	}
	take_wish(webhook, members);
	free(webhook->source);
	webhook->source = must_copy(resource->text);
	json_object_put(members);
}

/* Forgets the webhooks of an account whose resources are gone. */
static void
drop_deleted(const Account *account)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (webhooks[i].account == account && webhooks[i].source != NULL && !webhooks[i].there)
			release(&webhooks[i]);
		else
			webhooks[kept++] = webhooks[i];
	count = kept;
}

/* Brings an account's registered webhooks up to date: those of each of its instances. */
static void
follow_resources(Account *account)
{
	const Kind *kind = kinds_of_shape("/v1/Instances/{}/InteractionWebhooks");
	const List *instances = store_list(account, kind->parent, NULL);

	for (size_t i = 0; i < count; i++)
		webhooks[i].there = false;
	for (size_t i = 0; i < instances->count; i++)
	{
		const List *list =
			instances->slots[i].resource ? store_list(account, kind, instances->slots[i].resource) : NULL;

		for (size_t j = 0; list != NULL && j < list->count; j++)
			if (list->slots[j].resource != NULL)
				follow_resource(list->slots[j].resource);
	}
	drop_deleted(account);
}

/* Writes all webhooks as a JSON object. */
void
webhooks_write(Text *text)
{
	for (int i = 0; i < accounts_count(); i++)
		follow_resources(accounts_get(i));
	text_add_string(text, "{\"webhooks\":[");
	for (size_t i = 0; i < count; i++)
	{
		text_add_string(text, i ? "," : "");
		write_webhook(text, &webhooks[i]);
	}
	text_add_string(text, "]}");
}

/* Whether an account has any. */
bool
webhooks_wanted(Account *account)
{
	follow_resources(account);
	for (size_t i = 0; i < count; i++)
		if (webhooks[i].account == account)
			return true;
	return false;
}

/* Whether an event, of an interaction that names a webhook or none, is for this one. */
static bool
is_for(const Webhook *webhook, const Account *account, const char *event, const char *ttid)
{
	json_object *events = json_member(webhook->wish, "webhook_events");

	if (webhook->account != account || (webhook->for_interaction && (ttid == NULL || strcmp(ttid, webhook->ttid) != 0)))
		return false;
	/* Conversations has webhooks of its own, which only a control request sets, by naming the event. */
	if (strcmp(event, MESSAGE_ADDED) == 0 && webhook->source != NULL)
		return false;
	if (events == NULL || json_object_array_length(events) == 0)
		return strcmp(event, MESSAGE_ADDED) != 0;
	for (size_t i = 0; i < json_object_array_length(events); i++)
		if (strcmp(json_object_get_string(json_object_array_get_idx(events, i)), event) == 0)
			return true;
	return false;
}

/* Adds parameters as a form. */
static void
write_form(Text *form, json_object *parameters)
{
	const char *separator = "";

	json_object_object_foreach(parameters, name, value)
	{
		const char *text = json_object_get_string(value);

		text_add_string(form, separator);
		text_add_percent_encoded(form, name, strlen(name));
		text_add_string(form, "=");
		text_add_percent_encoded(form, text, strlen(text));
		separator = "&";
	}
}

/* Makes the message that tells an event to a webhook, and signs it. */
static Message *
make_message(const Webhook *webhook, const char *event, json_object *parameters)
{
	Message *message = message_new(webhook->ttid, event, webhook->get);
	const char *separator = strchr(webhook->url, '?') ? "&" : "?";

	text_add_string(&message->url, webhook->url);
	if (webhook->get)
	{
		text_add_string(&message->url, separator);
		write_form(&message->url, parameters);
	}
	else if (webhook->json)
	{
		json_write(&message->body, parameters);
		text_printf(&message->url, "%sbodySHA256=", separator);
		text_add_sha256(&message->url, &message->body);
		message->content_type = "application/json";
	}
	else
	{
		write_form(&message->body, parameters);
		message->content_type = "application/x-www-form-urlencoded; charset=UTF-8";
	}
	sign_request(&message->signature, webhook->account->token, message->url.data,
				 webhook->get || webhook->json ? NULL : parameters);
	return message;
}

/* Notes that an event is not told, since its webhook's URL is not one to send to. */
static void
note_refusal(const Webhook *webhook, const char *event)
{
	deliveries_note(deliveries_begin(webhook->ttid, event), 0, webhook->refusal, true);
}

/* Tells an event of an account to the webhooks that it is for. */
void
webhooks_send(const Account *account, const char *event, const char *ttid, json_object *parameters)
{
	for (size_t i = 0; i < count; i++)
	{
		if (!is_for(&webhooks[i], account, event, ttid))
			continue;
		if (webhooks[i].sender != NULL)
			sender_send(webhooks[i].sender, make_message(&webhooks[i], event, parameters));
		else
			note_refusal(&webhooks[i], event);
	}
}
