/*
 * jsonb_sids.c
 *		The SIDs among the members of a JSON object.
 *
 * What is left of arguments and answers where nothing personal is to be kept.  Only
 * members of the outermost object are looked at, whose names are the API's: names within a
 * value may be anybody's.
 */
#include "postgres.h"

#include "answer/identifier.h"
#include "answer/jsonb_sids.h"

static bool
is_sid(const JsonbValue *value)
{
	return value->type == jbvString && flex_is_sid(value->val.string.val, value->val.string.len);
}

/* An object with the members of one that are SIDs, in the current context; empty where there are none, or it is no object. */
Jsonb *
flex_jsonb_sids(Jsonb *value)
{
	JsonbParseState *state = NULL;
	JsonbIterator *iterator = JsonbIteratorInit(&value->root);
	JsonbIteratorToken token;
	JsonbValue part;
	JsonbValue name = {0};

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	/* Values within others are skipped: they come as a whole. */
	token = JsonbIteratorNext(&iterator, &part, true);
	while (token == WJB_BEGIN_OBJECT && (token = JsonbIteratorNext(&iterator, &name, true)) == WJB_KEY)
	{
		(void) JsonbIteratorNext(&iterator, &part, true);
		token = WJB_BEGIN_OBJECT;
		if (!is_sid(&part))
			continue;
		(void) pushJsonbValue(&state, WJB_KEY, &name);
		(void) pushJsonbValue(&state, WJB_VALUE, &part);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}
