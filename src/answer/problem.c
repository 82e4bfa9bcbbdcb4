/*
 * problem.c
 *		Parses the body of an error answer.
 *
 * The service uses three formats of error bodies: its own, that of RFC 9457, and one for
 * Interactions.  A member never has different meanings in them, so they need not be told
 * apart.  A proxy may answer with something that is not JSON at all; then the error message
 * contains nothing but the HTTP status.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "answer/json.h"
#include "answer/problem.h"
#include "base/encoding.h"

#define SHOWN_BYTES 1000        /* how much of the explanation is kept */
#define MOST_BYTES (256 * 1024) /* a larger body is not parsed */

/* Return the text of a string or a number, for a message; NULL for other values and an empty text. */
static char *
scalar_text(JsonValue value)
{
	size_t length;
	const char *text;

	if (value.kind != JSON_STRING && value.kind != JSON_NUMBER)
		return NULL;
	text = value.kind == JSON_STRING ? flex_json_string(&value, &length) : flex_json_source(&value, &length);
	return length > 0 ? flex_text_for_message(text, length) : NULL;
}

/* Return the text of the first member that exists.  names are in order of preference, and end with NULL. */
static char *
first_text(const JsonValue *root, const char *const *names)
{
	for (; *names != NULL; names++)
	{
		char *text = scalar_text(flex_json_member(root, *names));

		if (text != NULL)
			return text;
	}
	return NULL;
}

/* Append "detail (pointer)" for each element of the member "errors" of RFC 9457. */
static void
append_errors(StringInfo to, JsonValue errors)
{
	JsonScanner scanner;
	JsonValue error;

	if (errors.kind != JSON_ARRAY)
		return;
	flex_json_enter(&scanner, &errors);
	while (to->len < SHOWN_BYTES && flex_json_next_element(&scanner, &error))
	{
		char *detail = scalar_text(flex_json_member(&error, "detail"));
		char *pointer = scalar_text(flex_json_member(&error, "pointer"));

		if (detail == NULL)
			continue;
		appendStringInfo(to, "%s%s", to->len > 0 ? "; " : "", detail);
		if (pointer != NULL)
			appendStringInfo(to, " (%s)", pointer);
	}
}

/* Append a member as JSON, unless it is null, or an empty string, array or object. */
static void
append_json(StringInfo to, JsonValue value)
{
	size_t length;
	const char *source = flex_json_source(&value, &length);
	char *text;

	if (value.kind == JSON_NULL)
		return;
	text = palloc(length);
	length = flex_json_compact(text, source, length);
	if (length > 2)
		appendStringInfo(to, "%s%s", to->len > 0 ? "; " : "", flex_text_shown(text, length, SHOWN_BYTES));
}

/* Return what the service says in addition to its message, or NULL. */
static char *
explanation_in(const JsonValue *root)
{
	StringInfoData text;

	initStringInfo(&text);
	append_errors(&text, flex_json_member(root, "errors"));
	append_json(&text, flex_json_member(root, "details"));
	append_json(&text, flex_json_member(root, "params"));
	if (text.len == 0)
		return NULL;
	return flex_text_clip(text.data, SHOWN_BYTES);
}

/*
 * Set the members of *problem that the body provides.  The texts are allocated in the current
 * context, in the database's encoding.  No error is raised for an unreadable body.
 */
void
flex_problem_read(Problem *problem, const char *bytes, size_t length)
{
	static const char *const messages[] = {"message", "detail", "title", NULL};
	static const char *const codes[] = {"code", NULL};
	static const char *const urls[] = {"more_info", "type", NULL};
	JsonValue root;

	if (length > MOST_BYTES || flex_json_check(bytes, length, &root) != NULL)
		return;
	problem->message = first_text(&root, messages);
	problem->code = first_text(&root, codes);
	problem->explanation = explanation_in(&root);
	problem->more_info = first_text(&root, urls);
	if (problem->more_info != NULL && strncmp(problem->more_info, "http", 4) != 0)
		problem->more_info = NULL;
}
