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
#define KEPT_MEMBERS 4 /* of a page, which mostly has two */

/* The object that a page is, and the first of its members: where there are no more, none is looked for again. */
typedef struct PageObject
{
	JsonValue value; /* {0}: it is none */
	int64 count;     /* of its members */
	JsonValue names[KEPT_MEMBERS];
	JsonValue values[KEPT_MEMBERS];
} PageObject;

/* Check a page, and note the rows that it has.  Returns NULL when it is good, or what is wrong with it. */
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

/* The last member of that name, as flex_json_member() finds it. */
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
 * as rows are read, and so must the notes, NULL for none.  Rows are in the member of that name, or, where it is NULL, in
 * the one that meta.key, or meta.list_key, names.  Raises 08P01.
 */
void
flex_page_open(ListPage *page, const char *bytes, size_t length, const char *member, RowNotes *notes)
{
	PageObject object;
	const char *wrong = check_page(&object, bytes, length, notes);
	JsonValue meta;
	JsonValue rows;
	bool says_key;

	if (wrong != NULL)
		flex_error_answer("The body %s.", wrong);
	meta = page_member(&object, "meta");
	if (meta.kind != JSON_OBJECT && member == NULL)
		flex_error_answer("Member \"meta\" of the page is missing.");
	page->url = flex_json_member(&meta, "url").kind == JSON_STRING ? string_member(&meta, "url", false) : NULL;
	page->next_url = string_member(&meta, "next_page_url", true);
	read_token(page, &meta);
	/* In some answers of members of teams, and of users, it has another name. */
	says_key = flex_json_member(&meta, "list_key").kind != JSON_STRING;
	if (member == NULL)
		member = string_member(&meta, says_key ? "key" : "list_key", false);
	rows = page_member(&object, member);
	if (rows.kind != JSON_ARRAY)
		flex_error_answer("Member \"%s\", which has the page's rows, is not an array.",
						  flex_text_shown(member, strlen(member), SHOWN_BYTES));
	page->count = rows.count;
	page->rows = flex_page_rows_begin(notes, &rows);
}
