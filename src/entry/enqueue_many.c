/*
 * enqueue_many.c
 *		SQL entry point that leaves a set of requests in the outbox.
 *
 * They are requests of one operation, with arguments of their own each: what they have in
 * common is looked up once, the table and its indexes are opened once.  Each is
 * checked as flex_enqueue() would check it; none is left where one is wrong.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "entry/declaration.h"
#include "entry/enqueue.h"
#include "outbox/quota.h"

#define FUNCTION "flex_enqueue_many"

PG_FUNCTION_INFO_V1(flex_api_enqueue_many);

/* An argument with a value for each request. */
typedef struct Values
{
	Datum *values; /* NULL: the argument is NULL, and so is each value */
	bool *nulls;
	int count;
} Values;

/* The values of an argument that is an array of one dimension. */
static Values
read_values(FunctionCallInfo fcinfo, int position, const char *name, Oid type)
{
	Values read = {0};
	ArrayType *array;
	int16 length;
	bool by_value;
	char alignment;

	if (PG_ARGISNULL(position))
		return read;
	array = PG_GETARG_ARRAYTYPE_P(position);
	if (ARR_NDIM(array) > 1)
		flex_argument_refuse(FUNCTION, name, psprintf("%d dimensions", ARR_NDIM(array)), false, "an array of one");
	get_typlenbyvalalign(type, &length, &by_value, &alignment);
	deconstruct_array(array, type, length, by_value, alignment, &read.values, &read.nulls, &read.count);
	return read;
}

/* Raise 22023 unless an argument is NULL or has as many values as there are requests. */
static void
check_count(const Values *values, const char *name, int count)
{
	if (values->values != NULL && values->count != count)
		flex_argument_refuse(FUNCTION, name, psprintf("%d values", values->count), false,
							 psprintf("as many as arguments has, %d", count));
}

static Datum
value_of(const Values *values, int i)
{
	return values->values == NULL || values->nulls[i] ? (Datum) 0 : values->values[i];
}

static Jsonb *
jsonb_of(const Values *values, int i)
{
	Datum value = value_of(values, i);

	return value != (Datum) 0 ? DatumGetJsonbP(value) : NULL;
}

/* A key, which is not too long for an index, or NULL. */
static char *
key_of(const Values *values, const char *name, int i)
{
	Datum value = value_of(values, i);
	char *key = value != (Datum) 0 ? TextDatumGetCString(value) : NULL;

	flex_enqueue_check_key(name, key);
	return key;
}

/* Tell, in an error's context, which request is wrong. */
static void
describe_element(void *argument)
{
	errcontext("element %d of the arrays", *(const int *) argument + 1);
}

/* The requests, each checked.  Arguments that are NULL, as array_agg() of no rows, are none. */
static NewRequest *
read_requests(FunctionCallInfo fcinfo, NewRequest *common, int *count)
{
	const Signature *signature = flex_enqueue_begin(fcinfo, FUNCTION, common);
	Values arguments = read_values(fcinfo, ARGUMENT_ARGUMENTS, "arguments", JSONBOID);
	Values contexts = read_values(fcinfo, ARGUMENT_CONTEXT, "contexts", JSONBOID);
	Values unique_keys = read_values(fcinfo, ARGUMENT_UNIQUE_KEY, "unique_keys", TEXTOID);
	Values ordering_keys = read_values(fcinfo, ARGUMENT_ORDERING_KEY, "ordering_keys", TEXTOID);
	NewRequest *requests = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(NewRequest) * Max(arguments.count, 1));
	MemoryContext checking = AllocSetContextCreate(CurrentMemoryContext, "flex_api check", ALLOCSET_DEFAULT_SIZES);
	int number = 0;
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = describe_element,
		.arg = &number,
	};

	check_count(&contexts, "contexts", arguments.count);
	check_count(&unique_keys, "unique_keys", arguments.count);
	check_count(&ordering_keys, "ordering_keys", arguments.count);
	error_context_stack = &context;
	for (int i = 0; i < arguments.count; i++)
	{
		NewRequest *request = &requests[i];
		MemoryContext before;

		CHECK_FOR_INTERRUPTS();
		number = i;
		request->arguments = jsonb_of(&arguments, i);
		if (request->arguments == NULL)
			flex_argument_refuse_null(FUNCTION, psprintf("arguments[%d]", i + 1));
		request->context = jsonb_of(&contexts, i);
		request->unique_key = key_of(&unique_keys, "unique_keys", i);
		request->ordering_key = key_of(&ordering_keys, "ordering_keys", i);
		before = MemoryContextSwitchTo(checking);
		flex_enqueue_check(signature, request->arguments, request->context);
		MemoryContextSwitchTo(before);
		MemoryContextReset(checking);
	}
	error_context_stack = context.previous;
	*count = arguments.count;
	return requests;
}

/* Give a request what all have in common. */
static void
share(NewRequest *request, const NewRequest *common)
{
	NewRequest own = *request;

	*request = *common;
	request->arguments = own.arguments;
	request->context = own.context;
	request->unique_key = own.unique_key;
	request->ordering_key = own.ordering_key;
}

/* flex_enqueue_many() */
PGDLLEXPORT Datum
flex_api_enqueue_many(PG_FUNCTION_ARGS)
{
	static const EntryPoint entry = {
		.result = INT8ARRAYOID,
		.count = 11,
		.types = {TEXTOID, JSONBARRAYOID, JSONBARRAYOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, INT4OID, INT4OID,
				  TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZOID},
	};
	NewRequest common = {0};
	NewRequest *requests;
	int64 *ids;
	Datum *values;
	int count;

	flex_declaration_check(fcinfo, &entry);
	requests = read_requests(fcinfo, &common, &count);
	flex_enqueue_read_common(fcinfo, &common);
	for (int i = 0; i < count; i++)
		share(&requests[i], &common);
	ids = palloc(sizeof(int64) * Max(count, 1));
	values = palloc(sizeof(Datum) * Max(count, 1));
	if (!flex_quota_admits(common.role_id, count))
		flex_quota_refuse(common.role_id, common.enqueued_by, count);
	if (count > 0)
		flex_enqueue_insert_new(requests, count, ids);
	for (int i = 0; i < count; i++)
		values[i] = Int64GetDatum(ids[i] != 0 ? ids[i] : flex_enqueue_insert(&requests[i]));
	PG_RETURN_ARRAYTYPE_P(construct_array(values, count, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}
