/*
 * page.c
 *		A page of a list: where its rows are, and where the next page is.
 *
 * A page is an object with the rows in an array, and with "meta", which names
 * the array and tells where the next page is.  The whole page is checked before
 * any row is made, so the way to the next page is known early, and a page that is
 * wrong anywhere is wrong.
 */
#include "postgres.h"

#include "answer/page.h"
#include "base/encoding.h"
#include "base/errors.h"

#define SHOWN_BYTES 80 /* of a value in a message */

/* The text of a member of meta that must be a string, or NULL where it may be null. */
static char *
string_member(const JsonValue *meta, const char *name, bool may_be_null)
{
	JsonValue value = flex_json_member(meta, name);
	size_t length;
	const char *text;

	if (value.kind == JSON_NULL && may_be_null)
		return NULL;
	if (value.kind != JSON_STRING)
		flex_error_answer("Member \"meta.%s\" is not a string.", name);
	text = flex_json_string(&value, &length);
	return pnstrdup(text, length);
}

/*
 * The token of the next page, a string or a number, empty for none, and the
 * parameter that it is asked for with, spelt as the member is.
 */
static void
read_token(ListPage *page, const JsonValue *meta)
{
	static const char *const spellings[][2] = {{"next_token", "PageToken"}, {"nextToken", "pageToken"}};

	page->next_token = NULL;
	for (size_t i = 0; i < lengthof(spellings) && page->next_token == NULL; i++)
	{
		JsonValue value = flex_json_member(meta, spellings[i][0]);
		char *token =
			value.kind == JSON_NUMBER ? pnstrdup(value.text, value.length) : string_member(meta, spellings[i][0], true);

		if (token == NULL || token[0] == '\0')
			continue;
		page->next_token = token;
		page->token_parameter = spellings[i][1];
	}
}

/*
 * Read a page but for its rows, in the current context; its bytes must stay as long
 * as rows are read.  They are in the member of that name, or, where it is NULL, in
 * the one that meta.key, or meta.list_key, names.  Raises 08P01.
 */
void
flex_page_open(ListPage *page, const char *bytes, size_t length, const char *member)
{
	JsonDocument document;
	const char *wrong = flex_json_check_members(bytes, length, &document);
	JsonValue meta;
	JsonValue rows;
	bool says_key;

	if (wrong != NULL)
		flex_error_answer("The body %s.", wrong);
	meta = flex_json_document_member(&document, "meta");
	if (meta.kind != JSON_OBJECT && member == NULL)
		flex_error_answer("Member \"meta\" of the page is missing.");
	page->url = flex_json_member(&meta, "url").kind == JSON_STRING ? string_member(&meta, "url", false) : NULL;
	page->next_url = string_member(&meta, "next_page_url", true);
	read_token(page, &meta);
	/* In some answers of members of teams, and of users, it has another name. */
	says_key = flex_json_member(&meta, "list_key").kind != JSON_STRING;
	if (member == NULL)
		member = string_member(&meta, says_key ? "key" : "list_key", false);
	rows = flex_json_document_member(&document, member);
	if (rows.kind != JSON_ARRAY)
		flex_error_answer("Member \"%s\", which has the page's rows, is not an array.",
						  flex_text_shown(member, strlen(member), SHOWN_BYTES));
	page->count = rows.count;
	flex_json_enter(&page->rows, &rows);
}
