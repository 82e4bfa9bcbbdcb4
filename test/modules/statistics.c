/*
 * statistics.c
 *		Counts durations and requests of any role, for statistics_are_bounded.pl.
 *
 * It is linked with the extension's objects, and has a table of its own session.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "shared/statistics.h"

PG_FUNCTION_INFO_V1(statistics_quantile);
PG_FUNCTION_INFO_V1(statistics_count);
PG_FUNCTION_INFO_V1(statistics_entries);

/* statistics_quantile(us bigint[], quantile float8) returns float8: microseconds */
Datum
statistics_quantile(PG_FUNCTION_ARGS)
{
	uint64 buckets[HISTOGRAM_BUCKETS] = {0};
	Datum *durations;
	int count;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), INT8OID, 8, true, TYPALIGN_DOUBLE, &durations, NULL, &count);
	for (int i = 0; i < count; i++)
		buckets[flex_histogram_bucket(DatumGetInt64(durations[i]))]++;
	PG_RETURN_FLOAT8(flex_histogram_quantile_us(buckets, PG_GETARG_FLOAT8(1)));
}

/* statistics_count(role oid, operation text) returns void: a request that has succeeded */
Datum
statistics_count(PG_FUNCTION_ARGS)
{
	/* As the catalogue's names, it stays. */
	const char *operation = MemoryContextStrdup(TopMemoryContext, text_to_cstring(PG_GETARG_TEXT_PP(1)));
	StatisticsPlace place = flex_statistics_find(PG_GETARG_OID(0), WAY_CALL, operation);

	flex_statistics_count(&place, &(RequestEnd){.ending = ENDING_SUCCEEDED});
	PG_RETURN_VOID();
}

/* statistics_entries(role oid) returns bigint: operations of the role that are known */
Datum
statistics_entries(PG_FUNCTION_ARGS)
{
	int64 entries = 0;

	for (int i = 0; i < flex_statistics_entries(); i++)
	{
		StatisticsRow row;

		if (flex_statistics_read(i, &row) && row.key.role == PG_GETARG_OID(0))
			entries++;
	}
	PG_RETURN_INT64(entries);
}
