/*
 * sent_values.c
 *		The values of the conditions that a scan sends, and the requests built from them.
 *
 * A value is an expression of the query: a constant, a parameter, or a column of the outer
 * side of a join.  All are evaluated when a scan begins to read, and at each rescan.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "foreign/sent_values.h"

typedef struct SentValue
{
	ExprState *state;
	Oid type;
	int16 typlen;
	bool typbyval;
	NullableDatum value; /* set by flex_sent_values_keep() */
} SentValue;

struct SentValues
{
	const RemoteTable *table;
	const Signature *operation;
	int page_size;
	int keys;       /* index of the array of keys in values, or -1 */
	int *of_column; /* index in values, by attribute number - 1; -1: none */
	bool are_kept;  /* flex_sent_values_keep() has been called */
	int count;
	SentValue values[FLEXIBLE_ARRAY_MEMBER];
};

/* Prepare the expressions of a plan for evaluation, in the current context.  node is the scan's. */
SentValues *
flex_sent_values_prepare(const RemoteTable *table, ScanPlan plan, List *expressions, PlanState *node)
{
	Size size = offsetof(SentValues, values) + sizeof(SentValue) * list_length(expressions);
	SentValues *values = palloc0(size);
	int natts = table->desc->natts;
	ListCell *state;
	ListCell *expression;
	ListCell *column;

	values->table = table;
	values->operation = table->operations[plan.operation];
	values->page_size = plan.page_size;
	values->keys = plan.keys;
	values->of_column = palloc(sizeof(int) * Max(natts, 1));
	for (int i = 0; i < natts; i++)
		values->of_column[i] = -1;
	forthree(state, ExecInitExprList(expressions, node), expression, expressions, column, plan.columns)
	{
		SentValue *value = &values->values[values->count];

		value->state = lfirst(state);
		value->type = exprType(lfirst(expression));
		get_typlenbyval(value->type, &value->typlen, &value->typbyval);
		values->of_column[lfirst_int(column) - 1] = values->count++;
	}
	return values;
}

/* Return the number of values. */
int
flex_sent_values_count(const SentValues *values)
{
	return values->count;
}

/*
 * Evaluate the expressions into the array now, in the per-tuple memory of the expression
 * context.  Return true if the values are equal to those that were kept.
 */
bool
flex_sent_values_evaluate(const SentValues *values, ExprContext *context, NullableDatum *now)
{
	bool are_same = values->are_kept;

	for (int i = 0; i < values->count; i++)
	{
		const SentValue *value = &values->values[i];
		MemoryContext before = MemoryContextSwitchTo(context->ecxt_per_tuple_memory);

		now[i].value = ExecEvalExpr(value->state, context, &now[i].isnull);
		if (!now[i].isnull && value->typlen == -1)
			now[i].value = PointerGetDatum(PG_DETOAST_DATUM(now[i].value));
		MemoryContextSwitchTo(before);
		are_same = are_same && now[i].isnull == value->value.isnull &&
				   (now[i].isnull || datumIsEqual(now[i].value, value->value.value, value->typbyval, value->typlen));
	}
	return are_same;
}

/* Copy values into the current context and keep them.  Return false if one is NULL: then no row can match. */
bool
flex_sent_values_keep(SentValues *values, const NullableDatum *now)
{
	bool are_all = true;

	for (int i = 0; i < values->count; i++)
	{
		SentValue *value = &values->values[i];

		value->value = now[i];
		if (!now[i].isnull)
			value->value.value = datumCopy(now[i].value, value->typbyval, value->typlen);
		are_all = are_all && !now[i].isnull;
	}
	values->are_kept = true;
	return are_all;
}

/* Return the index of the value for an argument, or -1. */
static int
place_of_parameter(const SentValues *values, const Parameter *parameter)
{
	AttrNumber column = flex_remote_table_column(values->table, parameter->name);

	return column != InvalidAttrNumber ? values->of_column[column - 1] : -1;
}

/* Return the value that is sent for a column; NULL if there is none, or it is one of several keys. */
const Datum *
flex_sent_values_of_column(const SentValues *values, AttrNumber column)
{
	int place = values->of_column[column - 1];

	return place >= 0 && place != values->keys ? &values->values[place].value.value : NULL;
}

/* Return false if a value, other than keys, is invalid as a name in the request's path: then no row can match. */
bool
flex_sent_values_can_name(const SentValues *values)
{
	for (int i = 0; i < values->operation->count; i++)
	{
		const Parameter *parameter = &values->operation->parameters[i];
		int place = place_of_parameter(values, parameter);

		if (parameter->place == PLACE_PATH && place >= 0 && place != values->keys &&
			!flex_argument_can_name(parameter, TextDatumGetCString(values->values[place].value.value)))
			return false;
	}
	return true;
}

/* Return the argument for which the keys are. */
static const Parameter *
key_parameter(const SentValues *values)
{
	for (int i = 0; i < values->operation->count; i++)
	{
		if (place_of_parameter(values, &values->operation->parameters[i]) == values->keys)
			return &values->operation->parameters[i];
	}
	elog(ERROR, "no argument of %s is the key", values->operation->operation->name);
}

/*
 * Return the keys to be fetched, in the current context: without duplicates, NULLs, and
 * keys that are invalid as names.
 */
char **
flex_sent_values_keys(const SentValues *values, int *count)
{
	const Parameter *parameter = key_parameter(values);
	char **keys;
	Datum *elements;
	bool *nulls;
	int found = 0;

	deconstruct_array(DatumGetArrayTypeP(values->values[values->keys].value.value), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, count);
	keys = palloc(sizeof(char *) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
	{
		char *key = nulls[i] ? NULL : TextDatumGetCString(elements[i]);

		if (key != NULL && flex_argument_can_name(parameter, key))
			keys[found++] = key;
	}
	qsort(keys, found, sizeof(char *), pg_qsort_strcmp);
	*count = 0;
	for (int i = 0; i < found; i++)
	{
		if (i == 0 || strcmp(keys[i], keys[*count - 1]) != 0)
			keys[(*count)++] = keys[i];
	}
	return keys;
}

/* Return the value of an argument: that of the condition on its column, or the key. */
static NullableDatum
value_of_parameter(const SentValues *values, const Parameter *parameter, const char *key)
{
	int place = place_of_parameter(values, parameter);
	Datum value;

	if (strcmp(parameter->name, "page_size") == 0)
		return (NullableDatum){.value = Int32GetDatum(values->page_size)};
	if (place < 0)
		return (NullableDatum){.isnull = true};
	value = place == values->keys ? CStringGetTextDatum(key) : values->values[place].value.value;
	if (parameter->type == TEXTARRAYOID && values->values[place].type == TEXTOID)
		value = PointerGetDatum(construct_array(&value, 1, TEXTOID, -1, false, TYPALIGN_INT));
	return (NullableDatum){.value = value};
}

/*
 * Build the request of a list or a fetch, in the current context.  key is the one to fetch
 * if the scan has keys, else it is ignored.  Raises the errors of flex_request_build().
 */
HttpRequest *
flex_sent_values_request(const SentValues *values, const char *key)
{
	const Signature *operation = values->operation;
	NullableDatum *arguments = palloc(sizeof(NullableDatum) * Max(operation->count, 1));
	HttpRequest *request;

	Assert(values->keys < 0 || key != NULL);
	for (int i = 0; i < operation->count; i++)
		arguments[i] = value_of_parameter(values, &operation->parameters[i], key);
	request = flex_request_build(operation->operation, operation->parameters, operation->count, arguments);
	request->way = WAY_FOREIGN;
	return request;
}
