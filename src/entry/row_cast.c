/*
 * row_cast.c
 *		SQL entry point of the cast from the row type of the view flex_outbox to that of
 *		the table flex_outbox_requests.
 *
 * In release 1.0.0 users read the table itself, so their functions and tables may use its
 * row type.  Columns are matched by name and type, because users may have added some to the
 * table.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "base/compat.h"

PG_FUNCTION_INFO_V1(flex_api_outbox_row);

/* Return the number of the column with the name and type of another one, or 0. */
static int
find_column(TupleDesc desc, Form_pg_attribute wanted)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped && attribute->atttypid == wanted->atttypid &&
			strcmp(NameStr(attribute->attname), NameStr(wanted->attname)) == 0)
			return i + 1;
	}
	return 0;
}

/* Return the descriptor of the function's result.  Raises 42P13 unless the function takes one row and returns a row. */
static TupleDesc
result_of(FunctionCallInfo fcinfo)
{
	TupleDesc desc;
	Oid *types;
	int count;

	(void) get_func_signature(fcinfo->flinfo->fn_oid, &types, &count);
	if (count != 1 || !type_is_rowtype(types[0]) || get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		ereport(ERROR, (errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
						errmsg("the definition of a Flex API function has the wrong arguments"),
						errhint("Call the functions that the extension defines.")));
	return BlessTupleDesc(desc);
}

/* flex_outbox_requests(flex_outbox): columns that only the result has are NULL. */
PGDLLEXPORT Datum
flex_api_outbox_row(PG_FUNCTION_ARGS)
{
	TupleDesc to = result_of(fcinfo);
	HeapTupleHeader row = PG_GETARG_HEAPTUPLEHEADER(0);
	TupleDesc from = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(row), HeapTupleHeaderGetTypMod(row));
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(row), .t_data = row};
	Datum *values = palloc0(sizeof(Datum) * to->natts);
	bool *nulls = palloc(sizeof(bool) * to->natts);
	HeapTuple result;

	ItemPointerSetInvalid(&tuple.t_self);
	for (int i = 0; i < to->natts; i++)
	{
		Form_pg_attribute wanted = TupleDescAttr(to, i);
		int number = wanted->attisdropped ? 0 : find_column(from, wanted);

		nulls[i] = true;
		if (number > 0)
			values[i] = heap_getattr(&tuple, number, from, &nulls[i]);
	}
	result = heap_form_tuple(to, values, nulls);
	ReleaseTupleDesc(from);
	PG_RETURN_DATUM(HeapTupleGetDatum(result));
}
