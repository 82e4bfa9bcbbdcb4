/*
 * stat_views.c
 *		SQL entry points behind the views flex_stat_*.
 *
 * A role sees the rows of roles whose privileges it has, and all rows if it has the
 * privileges of pg_read_all_stats.  The views show neither arguments nor secrets.
 *
 * The rows of flex_stat_rates belong to accounts.  A role sees those of the account that its
 * calls use, unless the session has set the account itself: otherwise a role could name any
 * account and read its rates.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "base/attempt.h"
#include "base/compat.h"
#include "base/effective.h"
#include "delivery/rate_limits.h"
#include "entry/declaration.h"
#include "http/endpoint.h"
#include "shared/progress.h"
#include "shared/statistics.h"

PG_FUNCTION_INFO_V1(flex_api_stat_operations);
PG_FUNCTION_INFO_V1(flex_api_stat_progress);
PG_FUNCTION_INFO_V1(flex_api_stat_reset);
PG_FUNCTION_INFO_V1(flex_api_stat_rates);

#define OPERATIONS_COLUMNS 24
#define PROGRESS_COLUMNS 11
#define RATES_COLUMNS 8

/* Return true if the current role may see the rows of a role. */
static bool
may_see(Oid role)
{
	return has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS) || has_privs_of_role(GetUserId(), role);
}

/* Return a quantile of the durations, in milliseconds, corrected by the exact minimum and maximum. */
static Datum
quantile_ms(const StatisticsRow *row, double quantile)
{
	double ms = flex_histogram_quantile_us(row->histogram, quantile) / 1000;

	return Float8GetDatum(Max(Min(ms, row->counts.max_ms), row->counts.min_ms));
}

/* Put a row of flex_stat_get_operations() into the result. */
static void
store_operation(ReturnSetInfo *result, const StatisticsRow *row)
{
	const StatisticsCounts *counts = &row->counts;
	int64 requests = flex_statistics_requests(counts);
	bool nulls[OPERATIONS_COLUMNS] = {false};
	Datum values[OPERATIONS_COLUMNS];
	int i = 0;

	values[i++] = ObjectIdGetDatum(row->key.role);
	values[i++] = ObjectIdGetDatum(row->key.database);
	values[i++] = CStringGetTextDatum(row->key.operation);
	values[i++] = CStringGetTextDatum(flex_way_name(row->key.way));
	values[i++] = Int64GetDatum(requests);
	for (int j = 0; j < ENDINGS; j++)
		values[i++] = Int64GetDatum(counts->endings[j]);
	values[i++] = Int64GetDatum(counts->repeats);
	values[i++] = Int64GetDatum(counts->rows);
	values[i++] = Int64GetDatum(counts->bytes_sent);
	values[i++] = Int64GetDatum(counts->bytes_received);
	values[i++] = Float8GetDatum(counts->total_ms);
	values[i++] = Float8GetDatum(counts->min_ms);
	values[i++] = Float8GetDatum(counts->max_ms);
	values[i++] = Float8GetDatum(counts->mean_ms);
	/* The population standard deviation: all requests were counted, not a sample of them. */
	values[i++] = Float8GetDatum(requests > 1 ? sqrt(counts->sum_of_squares / (double) requests) : 0);
	values[i++] = quantile_ms(row, 0.5);
	values[i++] = quantile_ms(row, 0.95);
	values[i++] = quantile_ms(row, 0.99);
	values[i++] = TimestampTzGetDatum(counts->since);
	Assert(i == OPERATIONS_COLUMNS);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* flex_stat_get_operations(): one row per role, database, operation and way. */
PGDLLEXPORT Datum
flex_api_stat_operations(PG_FUNCTION_ARGS)
{
	static const EntryPoint entry = {.returns_set = true};
	static const Oid types[OPERATIONS_COLUMNS] = {
		OIDOID,    OIDOID,    TEXTOID,   TEXTOID,   INT8OID,   INT8OID,   INT8OID,   INT8OID,
		INT8OID,   INT8OID,   INT8OID,   INT8OID,   INT8OID,   INT8OID,   INT8OID,   FLOAT8OID,
		FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, TIMESTAMPTZOID};
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int entries;

	flex_declaration_check(fcinfo, &entry);
	InitMaterializedSRF(fcinfo, 0);
	flex_declaration_check_row(result->setDesc, types, OPERATIONS_COLUMNS);
	entries = flex_statistics_entries();
	for (int i = 0; i < entries; i++)
	{
		StatisticsRow row;

		if (flex_statistics_read(i, &row) && flex_statistics_requests(&row.counts) > 0 && may_see(row.key.role))
			store_operation(result, &row);
	}
	PG_RETURN_NULL();
}

/* flex_stat_get_progress(): one row for each statement or sender in progress. */
PGDLLEXPORT Datum
flex_api_stat_progress(PG_FUNCTION_ARGS)
{
	static const EntryPoint entry = {.returns_set = true};
	static const Oid types[PROGRESS_COLUMNS] = {INT4OID, OIDOID,  OIDOID,  TEXTOID, TEXTOID,       INT8OID,
												INT8OID, INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID};
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int capacity;

	flex_declaration_check(fcinfo, &entry);
	InitMaterializedSRF(fcinfo, 0);
	flex_declaration_check_row(result->setDesc, types, PROGRESS_COLUMNS);
	capacity = flex_progress_capacity();
	for (int i = 0; i < capacity; i++)
	{
		bool nulls[PROGRESS_COLUMNS] = {false};
		Datum values[PROGRESS_COLUMNS];
		ProgressRow row;

		if (!flex_progress_read(i, &row) || !may_see(row.role))
			continue;
		values[0] = Int32GetDatum(row.pid);
		values[1] = ObjectIdGetDatum(row.role);
		values[2] = ObjectIdGetDatum(row.database);
		values[3] = CStringGetTextDatum(flex_way_name(row.way));
		values[4] = CStringGetTextDatum(row.operation);
		nulls[4] = row.operation[0] == '\0';
		values[5] = Int64GetDatum(row.counts.done);
		values[6] = Int64GetDatum(row.counts.total);
		nulls[6] = row.counts.total == PROGRESS_UNKNOWN;
		values[7] = Int64GetDatum(row.counts.in_flight);
		values[8] = Int64GetDatum(row.counts.failed);
		values[9] = Int64GetDatum(row.counts.rows);
		values[10] = TimestampTzGetDatum(row.started_at);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}

/* flex_stat_reset(): discard all counts. */
PGDLLEXPORT Datum
flex_api_stat_reset(PG_FUNCTION_ARGS)
{
	static const EntryPoint entry = {.result = VOIDOID};

	flex_declaration_check(fcinfo, &entry);
	flex_statistics_reset();
	PG_RETURN_VOID();
}

/*
 * For flex_attempt(): set *argument to the name under which the rates of the current role's
 * account are kept.  Raises an error if the role has no credentials.
 */
static void
look_for_account(void *argument)
{
	const Endpoint *endpoint = flex_endpoint_of_settings(GetUserId(), NULL, true);

	*(const char **) argument = pstrdup(flex_endpoint_rate_key(endpoint, flex_operation_at(0)).name);
}

/* Return the name of the account whose rates the current role may see, or NULL. */
static const char *
own_account(void)
{
	const char *account = NULL;

	if (!flex_effective_is_of_session(&flex_settings.account_sid) &&
		!flex_effective_is_of_session(&flex_settings.api_key))
		(void) flex_attempt(look_for_account, &account);
	return account;
}

/* Put a row of flex_stat_get_rates() into the result.  per_second is that of flex_rate_limits_read(). */
static void
store_rate(ReturnSetInfo *result, const RateRow *row, double per_second)
{
	const Operation *operation = flex_operation_at(row->key.operation);
	TimestampTz held_until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), row->held_ms);
	bool nulls[RATES_COLUMNS] = {false};
	Datum values[RATES_COLUMNS];

	values[0] = CStringGetTextDatum(row->key.name);
	nulls[0] = row->key.name[0] == '\0';
	values[1] = CStringGetTextDatum(operation->name);
	values[2] = Float8GetDatum(per_second);
	nulls[2] = per_second < 0;
	values[3] = Float8GetDatum(row->learned_rate);
	nulls[3] = row->learned_rate == 0;
	values[4] = Int32GetDatum(row->sendable);
	nulls[4] = row->sendable == PG_INT32_MAX;
	values[5] = TimestampTzGetDatum(held_until);
	nulls[5] = row->held_ms == 0;
	values[6] = CStringGetTextDatum(row->is_asked_to ? "asked" : "refused");
	nulls[6] = row->held_ms == 0;
	values[7] = Int64GetDatum(row->throttled);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* flex_stat_get_rates(): one row per account and operation. */
PGDLLEXPORT Datum
flex_api_stat_rates(PG_FUNCTION_ARGS)
{
	static const EntryPoint entry = {.returns_set = true};
	static const Oid types[RATES_COLUMNS] = {TEXTOID, TEXTOID,        FLOAT8OID, FLOAT8OID,
											 INT4OID, TIMESTAMPTZOID, TEXTOID,   INT8OID};
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	bool sees_all = has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
	const char *own;

	flex_declaration_check(fcinfo, &entry);
	InitMaterializedSRF(fcinfo, 0);
	flex_declaration_check_row(result->setDesc, types, RATES_COLUMNS);
	own = sees_all ? NULL : own_account();
	for (int i = 0; i < flex_rates_capacity(); i++)
	{
		RateRow row;
		double per_second;

		if (flex_rate_limits_read(i, &row, &per_second) &&
			(sees_all || (own != NULL && strcmp(own, row.key.name) == 0)))
			store_rate(result, &row, per_second);
	}
	PG_RETURN_NULL();
}
