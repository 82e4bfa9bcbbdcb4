/*
 * rates.c
 *		Takes tokens of any key, for rates_by_account.pl.
 *
 * It is linked with the extension's objects, and has buckets of its own session.
 */
#include "postgres.h"

#include "fmgr.h"

#include "shared/rates.h"

PG_FUNCTION_INFO_V1(rates_take);
PG_FUNCTION_INFO_V1(rates_give_back);

static RateKey
key_of_arguments(FunctionCallInfo fcinfo)
{
	return (RateKey){.account = (uint64) PG_GETARG_INT64(0), .operation = PG_GETARG_INT32(1)};
}

/* rates_take(account bigint, operation integer, rate double precision, wanted integer) returns integer */
Datum
rates_take(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(flex_rates_take(key_of_arguments(fcinfo), PG_GETARG_FLOAT8(2), PG_GETARG_INT32(3)));
}

/* rates_give_back(account bigint, operation integer, count integer) returns void */
Datum
rates_give_back(PG_FUNCTION_ARGS)
{
	flex_rates_give_back(key_of_arguments(fcinfo), PG_GETARG_INT32(2));
	PG_RETURN_VOID();
}
