/*
 * pace.c
 *		Senders that follow a limit, in a time of its own, for a_pace_follows_a_limit.pl.
 *
 * It is linked with the extension's objects.  A service lets so many requests pass in any
 * second, and refuses the others; senders send as fast as their pace allows, each with
 * requests enough.  Nothing of it waits: a minute takes some milliseconds.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/tuplestore.h"

#include "shared/pace.h"

#define STEP 1000 /* microseconds */
#define SECOND INT64CONST(1000000)
#define MOST_SENDERS 8
#define MOST_UNDER_WAY 20
#define MOST_PASSED 100000

typedef struct Request
{
	int64 sent_at;
	int64 answered_at; /* 0: there is none */
	bool passes;
} Request;

typedef struct Sender
{
	Pace pace;
	Request requests[MOST_UNDER_WAY];
	int passed; /* in this second */
	int refused;
	int64 promised_at; /* when it may send again, if nothing is answered before; 0: not known */
} Sender;

typedef struct Service
{
	double limit;
	int64 passed_at[MOST_PASSED];
	int passed;
} Service;

PG_FUNCTION_INFO_V1(pace_run);
PG_FUNCTION_INFO_V1(pace_probes);

static bool
lets_pass(Service *service, int64 now)
{
	int requests = (int) Max(service->limit, 1);
	bool passes =
		service->limit > 0 && (service->passed < requests || now - service->passed_at[service->passed - requests] >=
																 (int64) (requests / service->limit * SECOND));

	if (passes && service->passed < MOST_PASSED)
		service->passed_at[service->passed++] = now;
	return passes;
}

static void
answer(Sender *sender, Request *request, int64 now)
{
	if (request->passes)
		flex_pace_note_passed(&sender->pace, request->sent_at, now);
	else
		flex_pace_note_refused(&sender->pace, request->sent_at, 0, now);
	sender->promised_at = 0;
	sender->passed += request->passes ? 1 : 0;
	sender->refused += request->passes ? 0 : 1;
	*request = (Request){0};
}

/* Whether a sender may send; if so, it does, at the time that it was promised. */
static bool
may_send(Sender *sender, int64 now)
{
	if (flex_pace_take(&sender->pace, 1, now) == 1)
	{
		if (sender->promised_at != 0 && llabs(now - sender->promised_at) > 2 * STEP)
			elog(ERROR, "may send at " INT64_FORMAT ", and not at " INT64_FORMAT, now, sender->promised_at);
		sender->promised_at = 0;
		return true;
	}
	if (sender->promised_at == 0)
		sender->promised_at = flex_pace_next_at(&sender->pace, now);
	return false;
}

/* One step of a sender: what has been answered, and what may be sent. */
static void
step(Sender *sender, Service *service, int latency, int64 now)
{
	for (int i = 0; i < MOST_UNDER_WAY; i++)
	{
		Request *request = &sender->requests[i];

		if (request->answered_at != 0 && request->answered_at <= now)
			answer(sender, request, now);
		if (request->answered_at == 0 && may_send(sender, now))
			*request = (Request){
				.sent_at = now,
				.answered_at = now + latency + (int64) (pg_prng_double(&pg_global_prng_state) * latency),
				.passes = lets_pass(service, now),
			};
	}
}

/*
 * pace_run(limits float8[], senders int, latency_ms int) RETURNS TABLE (second int, sender int, passed int, refused int):
 * a limit for each second.
 */
PGDLLEXPORT Datum
pace_run(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int count = PG_GETARG_INT32(1);
	int latency = PG_GETARG_INT32(2) * 1000;
	Sender *senders = palloc0(sizeof(Sender) * MOST_SENDERS);
	Service *service = palloc0(sizeof(Service));
	Datum *limits;
	int seconds;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), FLOAT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &limits, NULL,
					  &seconds);
	if (count < 1 || count > MOST_SENDERS)
		elog(ERROR, "too many senders");
	InitMaterializedSRF(fcinfo, 0);
	pg_prng_seed(&pg_global_prng_state, 7);
	for (int second = 0; second < seconds; second++)
	{
		CHECK_FOR_INTERRUPTS();
		service->limit = DatumGetFloat8(limits[second]);
		for (int64 now = (second + 1) * SECOND; now < (second + 2) * SECOND; now += STEP)
		{
			int first = (int) (pg_prng_double(&pg_global_prng_state) * count);

			for (int i = 0; i < count; i++)
				step(&senders[(first + i) % count], service, latency, now);
		}
		for (int i = 0; i < count; i++)
		{
			Datum values[] = {Int32GetDatum(second), Int32GetDatum(i), Int32GetDatum(senders[i].passed),
							  Int32GetDatum(senders[i].refused)};
			bool nulls[lengthof(values)] = {false};

			tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
			senders[i].passed = senders[i].refused = 0;
		}
	}
	return (Datum) 0;
}

/* pace_probes(count int) RETURNS SETOF float8: seconds between the first requests, when each is refused */
PGDLLEXPORT Datum
pace_probes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Pace pace = {0};
	int64 now = SECOND;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	for (int i = 0; i < PG_GETARG_INT32(0); i++)
	{
		int64 next;
		Datum value;
		bool null = false;

		if (flex_pace_take(&pace, 1, now) != 1)
			elog(ERROR, "a request may not be sent when it may");
		flex_pace_note_refused(&pace, now, 0, now);
		next = flex_pace_next_at(&pace, now);
		if (flex_pace_take(&pace, 1, next - 1) != 0)
			elog(ERROR, "a request may be sent before it may");
		value = Float8GetDatum((double) (next - now) / SECOND);
		tuplestore_putvalues(result->setResult, result->setDesc, &value, &null);
		now = next;
	}
	return (Datum) 0;
}
