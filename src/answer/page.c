/*
 * page.c
 *		Parses a page of a list: where its rows are, and where the next page is.
 *
 * A page is an object that contains the rows in an array, and an object "meta", which has
 * the name of the array and the address of the next page.  In lists of the service "api"
 * there is no "meta": the page itself has path and query of the next one.  The whole page is
 * checked before any row is decoded.  So the next page can be requested early, and a page
 * that is invalid anywhere gives no rows at all.
 */
#include "postgres.h"

#include "answer/page.h"
#include "base/encoding.h"
#include "base/errors.h"

#define SHOWN_BYTES 80 /* of a value in a message */
#define KEPT_MEMBERS 4 /* most pages have two members */

/* The object of a page, with its first members, which then need not be searched for in the document. */
typedef struct PageObject
{
	JsonValue value; /* {0}: the page is not an object */
	int64 count;     /* of all members */
	JsonValue names[KEPT_MEMBERS];
	JsonValue values[KEPT_MEMBERS];
} PageObject;

/* Check a page, and note its rows.  Return NULL if it is valid, or else what is wrong with it. */
static const char *
check_page(PageObject *page, const char *bytes, size_t length, RowNotes *notes)
{
	JsonScanner scanner;
	JsonValue value;

	*page = (PageObject){0};
	flex_json_begin(&scanner, bytes, length);
	if (flex_json_next(&scanner) == JSON_OBJECT)
	{
		page->value = scanner.token;
		while (flex_json_next(&scanner) == JSON_NAME)
		{
			JsonValue name = scanner.token;

			if (!flex_row_notes_read(notes, &scanner, &value))
				break;
			if (page->count < KEPT_MEMBERS)
			{
				page->names[page->count] = name;
				page->values[page->count] = value;
			}
			page->count++;
		}
		page->value.length = scanner.at - page->value.text;
	}
	return flex_json_finish_check(&scanner);
}

/* Return the last member of a name, as flex_json_member() does. */
static JsonValue
page_member(const PageObject *page, const char *name)
{
	if (page->count > KEPT_MEMBERS)
		return flex_json_member(&page->value, name);
	for (int i = (int) page->count - 1; i >= 0; i--)
	{
		if (flex_json_is_named(&page->names[i], name, strlen(name)))
			return page->values[i];
	}
	return (JsonValue){0};
}

/* Return the value of a member, which must be a string, as a C string; NULL for null or none if that is allowed. */
static char *
string_value(JsonValue value, const char *parent, const char *name, bool may_be_null)
{
	size_t length;
	const char *text;

	if (value.kind == JSON_NULL && may_be_null)
		return NULL;
	if (value.kind != JSON_STRING)
		flex_error_answer("Member \"%s%s\" is not a string.", parent, name);
	text = flex_json_string(&value, &length);
	return pnstrdup(text, length);
}

/* The same for a member of meta. */
static char *
string_member(const JsonValue *meta, const char *name, bool may_be_null)
{
	return string_value(flex_json_member(meta, name), "meta.", name, may_be_null);
}

/* Return path and query of the next page, which a page without meta has itself; NULL if there is none. */
static char *
next_path_of(const PageObject *page)
{
	char *path = string_value(page_member(page, "next_page_uri"), "", "next_page_uri", true);

	/* Some lists have null on their last page, others an empty text; Twilio's Python library takes both for the end. */
	return path != NULL && path[0] != '\0' ? path : NULL;
}

/*
 * Read the token of the next page, which is a string or a number, and empty for none.  The
 * query parameter for it is spelled in the same style as the member.
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
 * Check a page and read everything except its rows, in the current context.  The bytes, and
 * the notes unless NULL, must stay in memory while the rows are read.  member is the name of
 * the array with the rows; if it is NULL, the name is in meta.key or meta.list_key.  Raises
 * 08P01 for an invalid page.
 */
void
flex_page_open(ListPage *page, const char *bytes, size_t length, const char *member, RowNotes *notes)
{
	PageObject object;
	const char *wrong = check_page(&object, bytes, length, notes);
	JsonValue meta;
	JsonValue rows;
	const char *key;

	if (wrong != NULL)
		flex_error_answer("The body %s.", wrong);
	meta = page_member(&object, "meta");
	if (meta.kind != JSON_OBJECT && member == NULL)
		flex_error_answer("Member \"meta\" of the page is missing.");
	page->url = flex_json_member(&meta, "url").kind == JSON_STRING ? string_member(&meta, "url", false) : NULL;
	page->next_url = string_member(&meta, "next_page_url", true);
	page->next_path = meta.kind != JSON_OBJECT ? next_path_of(&object) : NULL;
	read_token(page, &meta);
	/* Lists of users and of members of teams use list_key. */
	key = flex_json_member(&meta, "list_key").kind == JSON_STRING ? "list_key" : "key";
	if (member == NULL)
		member = string_member(&meta, key, false);
	rows = page_member(&object, member);
	if (rows.kind != JSON_ARRAY)
		flex_error_answer("Member \"%s\", which has the page's rows, is not an array.",
						  flex_text_shown(member, strlen(member), SHOWN_BYTES));
	page->count = rows.count;
	page->rows = flex_page_rows_begin(notes, &rows);
}
