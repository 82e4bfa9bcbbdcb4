/*
 * merge_patch.c
 *		JSON Merge Patch (RFC 7396), on jsonb.
 *
 * A patch that is an object changes the members that it names and leaves all others
 * unchanged: null removes a member, an object is a patch for the member's value, and any
 * other value, arrays included, replaces the member.  A patch that is not an object replaces
 * the whole target.
 *
 * The result is built as JSON text and passed to jsonb_in(), because the functions that
 * build jsonb from values differ between PostgreSQL's releases.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "answer/merge_patch.h"

static void append_merged(StringInfo json, JsonbContainer *target, JsonbContainer *patch);

/* Return the container of a value that is an object; NULL for any other value, and for NULL. */
static JsonbContainer *
object_of(const JsonbValue *value)
{
	bool is_object = value != NULL && value->type == jbvBinary && JsonContainerIsObject(value->val.binary.data);

	return is_object ? value->val.binary.data : NULL;
}

/* Append a value as JSON text. */
static void
append_value(StringInfo json, JsonbValue *value)
{
	Jsonb *whole = JsonbValueToJsonb(value);

	(void) JsonbToCString(json, &whole->root, VARSIZE(whole));
}

/* Append a name and a colon, after a comma unless it is the first member. */
static void
append_name(StringInfo json, bool *is_first, const JsonbValue *name)
{
	appendStringInfoString(json, *is_first ? "" : ",");
	*is_first = false;
	escape_json(json, pnstrdup(name->val.string.val, name->val.string.len));
	appendStringInfoChar(json, ':');
}

/* Append the members of the target that the patch does not contain. */
static void
append_kept(StringInfo json, bool *is_first, JsonbContainer *target, JsonbContainer *patch)
{
	JsonbIterator *iterator = JsonbIteratorInit(target);
	JsonbValue name;
	JsonbValue value;

	(void) JsonbIteratorNext(&iterator, &name, true);
	while (JsonbIteratorNext(&iterator, &name, true) == WJB_KEY)
	{
		CHECK_FOR_INTERRUPTS();
		(void) JsonbIteratorNext(&iterator, &value, true);
		if (findJsonbValueFromContainer(patch, JB_FOBJECT, &name) != NULL)
			continue;
		append_name(json, is_first, &name);
		append_value(json, &value);
	}
}

/* Append the members that the patch sets or changes.  target may be NULL. */
static void
append_patched(StringInfo json, bool *is_first, JsonbContainer *target, JsonbContainer *patch)
{
	JsonbIterator *iterator = JsonbIteratorInit(patch);
	JsonbValue name;
	JsonbValue value;

	(void) JsonbIteratorNext(&iterator, &name, true);
	while (JsonbIteratorNext(&iterator, &name, true) == WJB_KEY)
	{
		JsonbValue *old = target != NULL ? findJsonbValueFromContainer(target, JB_FOBJECT, &name) : NULL;

		CHECK_FOR_INTERRUPTS();
		(void) JsonbIteratorNext(&iterator, &value, true);
		if (value.type == jbvNull)
			continue;
		append_name(json, is_first, &name);
		if (object_of(&value) != NULL)
			append_merged(json, object_of(old), object_of(&value));
		else
			append_value(json, &value);
	}
}

/* Append the result of a patch that is an object, for a target that is an object, or NULL. */
static void
append_merged(StringInfo json, JsonbContainer *target, JsonbContainer *patch)
{
	bool is_first = true;

	check_stack_depth();
	appendStringInfoChar(json, '{');
	if (target != NULL)
		append_kept(json, &is_first, target, patch);
	append_patched(json, &is_first, target, patch);
	appendStringInfoChar(json, '}');
}

/* Apply a patch to a target, which may be NULL, and return the result as jsonb. */
Datum
flex_merge_patch(Jsonb *target, Jsonb *patch)
{
	bool has_object = target != NULL && JB_ROOT_IS_OBJECT(target);
	StringInfoData json;

	if (!JB_ROOT_IS_OBJECT(patch))
		return JsonbPGetDatum(patch);
	initStringInfo(&json);
	append_merged(&json, has_object ? &target->root : NULL, &patch->root);
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}
