/*
 * schema_check.c
 *	  Checks an object against what the documents say of its members: that
 *	  there is such a member, its type, its pattern, its enumeration, and the
 *	  form of dates and URLs. Members that are missing or null are no problem.
 */
#include <regex.h>
#include <string.h>
#include <strings.h>

#include "schema_check.h"

/* Whether a value is of the member's type. */
static bool
has_type(ValueType type, json_object *value)
{
	switch (type)
	{
		case TYPE_STRING:
			return json_object_is_type(value, json_type_string);
		case TYPE_BOOLEAN:
			return json_object_is_type(value, json_type_boolean);
		case TYPE_INTEGER:
			return json_object_is_type(value, json_type_int);
		case TYPE_NUMBER:
			return json_object_is_type(value, json_type_int) || json_object_is_type(value, json_type_double);
		case TYPE_ARRAY:
			return json_object_is_type(value, json_type_array);
		case TYPE_OBJECT:
			return json_object_is_type(value, json_type_object);
		case TYPE_ANY:
			return true;
	}
	return false;
}

/* Whether the text fits the regular expression. */
static bool
fits(const char *pattern, const char *text)
{
	regex_t regex;
	bool same;

	if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	same = regexec(&regex, text, 0, NULL, 0) == 0;
	regfree(&regex);
	return same;
}

/* Whether the text has the form that the documents name. */
static bool
has_format(const char *format, const char *text)
{
	if (strcmp(format, "date-time") == 0)
		return fits("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$",
					text);
	if (strcmp(format, "uri") == 0)
		return strncasecmp(text, "https://", 8) == 0 || strncasecmp(text, "http://", 7) == 0;
	return true;
}

/* Checks the text of one member. */
static bool
check_text(const Member *member, const char *text, Problem *problem)
{
	if (member->pattern != NULL && !fits(member->pattern, text))
		return problem_note(problem, member->name, "\"%.100s\" does not fit %s", text, member->pattern);
	if (!is_choice(member->choices, text, strlen(text)))
		return problem_note(problem, member->name, "\"%.100s\" is not one of %s", text, member->choices);
	if (member->format != NULL && !has_format(member->format, text))
		return problem_note(problem, member->name, "\"%.100s\" is no %s", text,
							strcmp(member->format, "uri") == 0 ? "URL" : "date and time as in 2016-08-01T22:10:40Z");
	return true;
}

/* Checks one value that is there. */
static bool
check_member(const Member *member, json_object *value, Problem *problem)
{
	if (!has_type(member->type, value))
		return problem_note(
			problem, member->name, "must be %s%s, not %s",
			member->type == TYPE_ARRAY || member->type == TYPE_INTEGER || member->type == TYPE_OBJECT ? "an " : "a ",
			type_name(member->type), json_type_to_name(json_object_get_type(value)));
	return !json_object_is_type(value, json_type_string) || check_text(member, json_object_get_string(value), problem);
}

/* Checks all members of an object; false, with the problem, where one is not as documented. */
bool
check_members(const Schema *schema, json_object *members, Problem *problem)
{
	if (!json_object_is_type(members, json_type_object))
		return problem_note(problem, "", "must be an object");
	json_object_object_foreach(members, name, value)
	{
		const Member *member = schema_member(schema, name);

		if (schema != NULL && member == NULL)
			return problem_note(problem, name, "the documents have no such member");
		if (member != NULL && value != NULL && !check_member(member, value, problem))
			return false;
	}
	return true;
}
