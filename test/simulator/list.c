/*
 * list.c
 *	  One page of a list: rows that are ready as text, one after the other.
 *
 * The token of a page is the serial of the row before it, so that a page
 * neither repeats nor leaves out a row because others were deleted meanwhile.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checks.h"
#include "interactions.h"
#include "json_text.h"
#include "list.h"
#include "rules.h"

typedef struct Page
{
	Request *request;
	List *list;
	size_t size;
	long long number;
	Text filters; /* as part of a URL, "&" behind each */
	bool filtered;
	bool hides_inactive;
} Page;

/* Reads the page's size, number and filters from the request. */
static void
read_page(Page *page)
{
	Request *request = page->request;
	const Pair *size = request_pair(request, "PageSize", true);
	const Pair *number = request_pair(request, "Page", true);
	const Pair *inactive = request_pair(request, "IncludeInactive", true);

	page->size = size ? (size_t) atoll(size->value) : DEFAULT_PAGE_SIZE;
	page->number = number ? atoll(number->value) : 0;
	page->hides_inactive =
		page->list->kind->rule->hides_inactive && (inactive == NULL || strcmp(inactive->value, "true") != 0);
	for (size_t i = 0; i < request->pair_count; i++)
	{
		const Pair *pair = &request->pairs[i];

		if (is_paging(request->operation, pair))
			continue;
		text_add_percent_encoded(&page->filters, pair->name, strlen(pair->name));
		text_add_string(&page->filters, "=");
		text_add_percent_encoded(&page->filters, pair->value, pair->length);
		text_add_string(&page->filters, "&");
		page->filtered = page->filtered || strcmp(pair->name, "IncludeInactive") != 0;
	}
}

/*
 * Whether a row passes one filter: the values that were sent for a repeated
 * parameter are alternatives. A filter for what rows do not show lets them pass.
 */
static bool
passes_filter(const Request *request, json_object *row, const Parameter *parameter)
{
	bool asked = false;
	bool seen = false;

	for (size_t i = 0; i < request->pair_count; i++)
	{
		if (!request->pairs[i].query || strcmp(request->pairs[i].name, parameter->name) != 0)
			continue;
		asked = true;
		if (json_contains(row, parameter->member, request->pairs[i].value, &seen))
			return true;
	}
	return !asked || !seen;
}

/* Whether the list shows a row. */
static bool
passes(const Page *page, const Resource *row)
{
	const Operation *operation = page->request->operation;
	json_object *members;
	bool passed = true;

	if (page->hides_inactive && strstr(row->text, "\"active\":false") != NULL)
		return false;
	if (!page->filtered)
		return true;
	members = store_members(row);
	for (int i = 0; passed && i < operation->count; i++)
		if (operation->parameters[i].place == PLACE_QUERY &&
			strcmp(operation->parameters[i].name, "IncludeInactive") != 0)
			passed = passes_filter(page->request, members, &operation->parameters[i]);
	json_object_put(members);
	return passed;
}

/* The first slot of the page: behind the token, or after so many full pages. */
static size_t
first_slot(const Page *page)
{
	const Pair *token = request_pair(page->request, "PageToken", true);
	size_t left = (size_t) page->number * page->size;
	size_t slot;

	if (token != NULL && strncmp(token->value, "PT", 2) == 0)
		return store_first_after(page->list, strtoull(token->value + 2, NULL, 10));
	for (slot = 0; left > 0 && slot < page->list->count; slot++)
		left -= page->list->slots[slot].resource != NULL && passes(page, page->list->slots[slot].resource);
	return slot;
}

/* Adds the page's rows; returns whether there are more, and the last serial. */
static bool
add_rows(const Page *page, Text *rows, uint64_t *last)
{
	size_t left = page->size;

	for (size_t slot = first_slot(page); slot < page->list->count; slot++)
	{
		Resource *row = page->list->slots[slot].resource;

		if (row == NULL || !passes(page, row))
			continue;
		if (left-- == 0)
			return true;
		settle_setup(row);
		if (rows->length > 0)
			text_add(rows, ",", 1);
		text_add_with_base(rows, row->text, row->length, page->request->base);
		*last = row->serial;
	}
	return false;
}

/* Adds a URL of the list; the token may be NULL. */
static void
add_url(const Page *page, Text *body, long long number, const char *token)
{
	Text url = {0};

	text_printf(&url, "%s%s?%sPageSize=%zu&Page=%lld", page->request->base, page->request->path,
				page->filters.data ? page->filters.data : "", page->size, number);
	if (token != NULL)
	{
		text_add_string(&url, "&PageToken=");
		text_add_percent_encoded(&url, token, strlen(token));
	}
	text_add_json(body, url.data, url.length);
	text_free(&url);
}

/* Adds the member meta, which comes first. */
static void
add_meta(const Page *page, Text *body, bool more, uint64_t last)
{
	const Pair *token = request_pair(page->request, "PageToken", true);
	char next[32];

	snprintf(next, sizeof(next), "PT%llu", (unsigned long long) last);
	text_printf(body, "{\"meta\":{\"page\":%lld,\"page_size\":%zu,\"first_page_url\":", page->number, page->size);
	add_url(page, body, 0, NULL);
	text_add_string(body, ",\"previous_page_url\":");
	if (page->number > 0)
		add_url(page, body, page->number - 1, NULL);
	else
		text_add_string(body, "null");
	text_add_string(body, ",\"url\":");
	add_url(page, body, page->number, token ? token->value : NULL);
	text_add_string(body, ",\"next_page_url\":");
	if (more)
		add_url(page, body, page->number + 1, next);
	else
		text_add_string(body, "null");
	text_printf(body, ",\"key\":\"%s\"},\"%s\":[", page->request->operation->list_key,
				page->request->operation->list_key);
}

/* Makes the request's answer the page that it asks for. */
void
answer_page(Request *request, List *list)
{
	Page page = {.request = request, .list = list};
	Text *body = &request->answer.body;
	Text rows = {0};
	uint64_t last = 0;
	bool more;

	read_page(&page);
	more = add_rows(&page, &rows, &last);
	text_reserve(body, rows.length + 2048);
	add_meta(&page, body, more, last);
	text_add(body, rows.data, rows.length);
	text_add_string(body, "]}");
	text_free(&rows);
	text_free(&page.filters);
}
