/*
 * jsonb_sids.c
 *		Reduces a JSON object to the members that are SIDs.
 *
 * Arguments and answers are reduced in this way if no personal data is to be stored.  Only
 * the members of the outermost object are considered, whose names are defined by the API; the
 * names within their values may be personal data, too.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "answer/identifier.h"
#include "answer/jsonb_sids.h"
#include "base/compat.h"

static bool
is_sid(const JsonbValue *value)
{
	return value->type == jbvString && flex_is_sid(value->val.string.val, value->val.string.len);
}

static Datum
text_of(const JsonbValue *value)
{
	return PointerGetDatum(cstring_to_text_with_len(value->val.string.val, value->val.string.len));
}

/* Return an object of those members that are SIDs, in the current context; an empty one if value is not an object. */
Jsonb *
flex_jsonb_sids(Jsonb *value)
{
	JsonbIterator *iterator = JsonbIteratorInit(&value->root);
	int room = JB_ROOT_IS_OBJECT(value) ? 2 * JB_ROOT_COUNT(value) : 0;
	Datum *words = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Datum) * Max(room, 1));
	int count = 0;
	JsonbValue name;
	JsonbValue part;

	/* Nested values are returned as a whole (skipNested), so there are only keys and values. */
	if (room > 0)
		(void) JsonbIteratorNext(&iterator, &part, true);
	while (room > 0 && JsonbIteratorNext(&iterator, &name, true) == WJB_KEY)
	{
		(void) JsonbIteratorNext(&iterator, &part, true);
		if (!is_sid(&part))
			continue;
		Assert(count + 2 <= room);
		words[count++] = text_of(&name);
		words[count++] = text_of(&part);
	}
	return DatumGetJsonbP(DirectFunctionCall1(
		jsonb_object, PointerGetDatum(construct_array(words, count, TEXTOID, -1, false, TYPALIGN_INT))));
}
