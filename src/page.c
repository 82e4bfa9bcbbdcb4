/*
 * page.c
 *		A page of a list, whose rows are read a slice at a time.
 *
 * A page is an object with the rows in an array, and with "meta", which names
 * the array and tells where the next page is.  The page is read without what
 * its arrays hold; then a few rows are parsed at a time.  So the way to the next
 * page is known before any row is made, and the tree of a whole page, several
 * times as large as its bytes, is never there.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "encoding.h"
#include "errors.h"
#include "page.h"

#define SHOWN_BYTES 80 /* of a value in a message */

/* Raise 08P01 if there is a complaint. */
static void
check(const char *wrong)
{
	if (wrong != NULL)
		flex_error_answer("The body %s.", wrong);
}

/* The page, with an array's number as the one element of each array that was found. */
static void
append_frame(StringInfo frame, const char *bytes, size_t length, const LexicalFindings *findings)
{
	const char *at = bytes;

	initStringInfo(frame);
	for (int i = 0; i < findings->array_count; i++)
	{
		appendBinaryStringInfo(frame, at, findings->arrays[i].begin - at);
		appendStringInfo(frame, "%d", i);
		at = findings->arrays[i].end;
	}
	appendBinaryStringInfo(frame, at, bytes + length - at);
}

/* The text of a member of meta that must be a string, or NULL where it may be null. */
static char *
string_member(JsonNode *meta, const char *name, bool may_be_null)
{
	JsonNode *node = flex_json_member(meta, name);
	int length;

	if (node == NULL && may_be_null)
		return NULL;
	if (flex_json_kind(node) != JSON_STRING)
		flex_error_answer("Member \"meta.%s\" is not a string.", name);
	return pstrdup(flex_json_string(node, &length));
}

/*
 * The token of the next page, and the parameter that it is asked for with, whose
 * spelling follows that of the member.  It is a string or a number, and an empty
 * one is none.
 */
static void
read_token(ListPage *page, JsonNode *meta)
{
	static const char *const spellings[][2] = {{"next_token", "PageToken"}, {"nextToken", "pageToken"}};

	for (size_t i = 0; i < lengthof(spellings) && page->next_token == NULL; i++)
	{
		JsonNode *node = flex_json_member(meta, spellings[i][0]);
		bool is_number = flex_json_kind(node) == JSON_NUMBER;
		int length;
		const char *token = is_number ? flex_json_source(node, &length) : string_member(meta, spellings[i][0], true);

		if (token == NULL || token[0] == '\0')
			continue;
		page->next_token = is_number ? pnstrdup(token, length) : pstrdup(token);
		page->token_parameter = spellings[i][1];
	}
}

/* Which of the arrays has the rows: the member of that name. */
static int64
array_of_rows(JsonNode *root, const char *key, int count)
{
	JsonNode *array = flex_json_member(root, key);
	int64 number;

	if (flex_json_kind(array) != JSON_ARRAY)
		flex_error_answer("Member \"%s\", which has the page's rows, is not an array.",
						  flex_text_for_message(key, pg_encoding_mbcliplen(PG_UTF8, key, strlen(key), SHOWN_BYTES)));
	if (!flex_json_integer(flex_json_element(array, 0), &number) || number < 0 || number >= count)
		elog(ERROR, "an array of a page was not found");
	return number;
}

/* Stand before the first element of an array. */
static void
enter_array(ListPage *page, const ArrayPlace *array)
{
	page->count = array->count;
	page->unparsed = array->count;
	page->index = page->slice_count = 0;
	page->at = array->begin;
	page->end = array->end;
	page->cut = array->first_cut;
}

/* Parse the next slice, up to a comma that is cut at, or to the end. */
static void
parse_slice(ListPage *page)
{
	const LexicalFindings *findings = &page->findings;
	const char *end;

	CHECK_FOR_INTERRUPTS();
	end = page->cut < findings->cut_count ? Min(findings->cuts[page->cut], page->end) : page->end;
	check(flex_json_parse_elements(page->document, page->at, end - page->at));
	page->index = 0;
	page->slice_count = flex_json_count(flex_json_root(page->document));
	page->unparsed -= page->slice_count;
	/* A slice of nothing has its commas at the wrong places. */
	if (page->slice_count == 0 || (end < page->end) != (page->unparsed > 0))
		check("is not valid JSON");
	page->at = end + 1;
	page->cut++;
}

/*
 * Read a page but for its rows, in the current context.  The bytes must stay as
 * long as rows are read.  The rows are in the member of that name, or in the one
 * that meta.key names where it is NULL: a page may do without meta only if the
 * caller knows the name.  Raises 08P01.
 */
void
flex_page_open(ListPage *page, const char *bytes, size_t length, const char *member)
{
	LexicalFindings *findings = &page->findings;
	StringInfoData frame;
	JsonNode *root;
	JsonNode *meta;
	int64 rows;

	check(flex_json_check(&bytes, &length, findings));
	check(flex_lexical_is_costly(findings->most_parts, length) ? "has too many values" : NULL);
	append_frame(&frame, bytes, length, findings);
	page->document = flex_json_begin();
	check(flex_json_parse(page->document, frame.data, frame.len));
	root = flex_json_root(page->document);
	meta = flex_json_member(root, "meta");
	page->url = page->next_url = page->next_token = NULL;
	if (flex_json_kind(meta) == JSON_OBJECT)
	{
		if (flex_json_kind(flex_json_member(meta, "url")) == JSON_STRING)
			page->url = string_member(meta, "url", false);
		page->next_url = string_member(meta, "next_page_url", true);
		read_token(page, meta);
	}
	else if (member == NULL)
		flex_error_answer("Member \"meta\" of the page is missing.");
	rows = array_of_rows(root, member != NULL ? member : string_member(meta, "key", false), findings->array_count);
	for (int i = 0; i < findings->array_count; i++)
	{
		if (i == rows)
			continue;
		enter_array(page, &findings->arrays[i]);
		flex_page_close(page);
	}
	enter_array(page, &findings->arrays[rows]);
}

/* The next row, good until the one after it is asked for.  Raises 08P01 if it is not JSON. */
JsonNode *
flex_page_next_row(ListPage *page)
{
	if (page->index == page->slice_count)
		parse_slice(page);
	return flex_json_element(flex_json_root(page->document), page->index++);
}

/* Read the rows that nobody wants: a page that is wrong there is wrong.  Raises 08P01. */
void
flex_page_close(ListPage *page)
{
	while (page->unparsed > 0)
		parse_slice(page);
}
