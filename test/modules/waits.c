/*
 * waits.c
 *		Waits for requests as the executor would, for others_wait_for_answers.pl.
 *
 * It is linked with the extension's objects and loaded in the extension's place.  All
 * waiting is by a WaitEventSet of its own, made anew for each wait, with the latch and
 * the descriptors that the extension gives.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "base/clock.h"
#include "base/compat.h"
#include "http/crowd.h"
#include "http/exchange.h"
#include "http/pages.h"

#define MOST 100
#define LONG_MS 20000 /* nobody has to wait so long */

/* The set that is being made, and how often a wait has ended. */
static WaitEventSet *wait_set;
static int64 wakes;

PG_FUNCTION_INFO_V1(waits_count);
PG_FUNCTION_INFO_V1(waits_crowds);
PG_FUNCTION_INFO_V1(waits_exchanges);
PG_FUNCTION_INFO_V1(waits_lists);

/* The texts of an array. */
static int
texts_of(ArrayType *array, char *texts[MOST])
{
	Datum *elements;
	int count;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL, &count);
	if (count > MOST)
		elog(ERROR, "too many");
	for (int i = 0; i < count; i++)
		texts[i] = TextDatumGetCString(elements[i]);
	return count;
}

static Endpoint *
endpoint_at(char *origin)
{
	Endpoint *endpoint = flex_endpoint_of_settings(GetUserId(), NULL, true);

	endpoint->origin = origin;
	return endpoint;
}

static void
begin_set(void)
{
	wait_set = flex_create_wait_event_set(MOST + 2);
	AddWaitEventToSet(wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
}

static void
add_to_set(pgsocket fd)
{
	if (fd == PGINVALID_SOCKET)
		elog(ERROR, "there is no descriptor");
	AddWaitEventToSet(wait_set, WL_SOCKET_READABLE, fd, NULL, NULL);
}

static void
wait_for_set(void)
{
	WaitEvent event;
	int count = WaitEventSetWait(wait_set, LONG_MS, &event, 1, PG_WAIT_EXTENSION);

	FreeWaitEventSet(wait_set);
	wakes++;
	if (count == 0)
		elog(ERROR, "nothing woke us");
	if (event.events & WL_LATCH_SET)
		ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* waits_count() RETURNS bigint: how often a wait has ended since this was last asked */
PGDLLEXPORT Datum
waits_count(PG_FUNCTION_ARGS)
{
	int64 count = wakes;

	wakes = 0;
	PG_RETURN_INT64(count);
}

/* Take what is over of a crowd; returns how many were. */
static int
take_finished(Crowd *crowd, Attempt *attempts[MOST], ArrayBuildState **told)
{
	Attempt *attempt;
	int taken = 0;

	(void) flex_crowd_advance(crowd);
	while ((attempt = flex_crowd_next_finished(crowd)) != NULL)
	{
		Outcome outcome = flex_attempt_outcome(attempt, false, NULL);
		int which = 0;
		char *line;

		while (attempts[which] != attempt)
			which++;
		line = psprintf("%d %d%s%s", which + 1, outcome.answer.http_status, outcome.failure != NULL ? " " : "",
						outcome.failure != NULL ? outcome.failure : "");
		*told = accumArrayResult(*told, CStringGetTextDatum(line), false, TEXTOID, CurrentMemoryContext);
		flex_attempt_end(attempt);
		taken++;
	}
	return taken;
}

/*
 * waits_crowds(origins text[], paths text[], times text[], crowds int, then text) RETURNS text[]:
 * sends GET requests, the first in the first crowd, the next in the next, and tells which
 * are over, in that order.  then: '' (all), 'raise' after the first, or a path that is
 * called and waited for before the first wait, when the descriptors are in the set already
 */
PGDLLEXPORT Datum
waits_crowds(PG_FUNCTION_ARGS)
{
	char *origins[MOST];
	char *paths[MOST];
	char *times[MOST];
	int count = texts_of(PG_GETARG_ARRAYTYPE_P(0), origins);
	int crowd_count = PG_GETARG_INT32(3);
	const char *then = text_to_cstring(PG_GETARG_TEXT_PP(4));
	Crowd *crowds[MOST];
	int left[MOST] = {0};
	Attempt *attempts[MOST];
	ArrayBuildState *told = NULL;

	texts_of(PG_GETARG_ARRAYTYPE_P(1), paths);
	texts_of(PG_GETARG_ARRAYTYPE_P(2), times);
	for (int i = 0; i < crowd_count; i++)
		crowds[i] = flex_crowd_create(CROWD_OF_MANY);
	for (int i = 0; i < count; i++)
	{
		attempts[i] = flex_crowd_add(crowds[i % crowd_count], flex_request_plain("GET", paths[i]),
									 endpoint_at(origins[i]), flex_clock_ms() + atoi(times[i]));
		left[i % crowd_count]++;
	}
	for (int all = count; all > 0;)
	{
		begin_set();
		for (int i = 0; i < crowd_count; i++)
		{
			if (left[i] > 0)
				add_to_set(flex_crowd_descriptor(crowds[i], PG_INT64_MAX));
		}
		if (then[0] == '/')
			(void) flex_exchange_finish(flex_exchange_begin(flex_request_plain("GET", then), NULL));
		if (then[0] == '/')
			then = "";
		wait_for_set();
		for (int i = 0; i < crowd_count; i++)
		{
			int taken = take_finished(crowds[i], attempts, &told);

			left[i] -= taken;
			all -= taken;
		}
		if (told != NULL && strcmp(then, "raise") == 0)
			ereport(ERROR, (errcode(ERRCODE_RAISE_EXCEPTION), errmsg("raised")));
	}
	PG_RETURN_DATUM(makeArrayResult(told, CurrentMemoryContext));
}

/* waits_exchanges(origins text[], paths text[]) RETURNS text[]: the same, an exchange for each */
PGDLLEXPORT Datum
waits_exchanges(PG_FUNCTION_ARGS)
{
	char *origins[MOST];
	char *paths[MOST];
	int count = texts_of(PG_GETARG_ARRAYTYPE_P(0), origins);
	Exchange *exchanges[MOST];
	ArrayBuildState *told = NULL;

	texts_of(PG_GETARG_ARRAYTYPE_P(1), paths);
	for (int i = 0; i < count; i++)
		exchanges[i] = flex_exchange_begin(flex_request_plain("GET", paths[i]),
										   origins[i][0] != '\0' ? endpoint_at(origins[i]) : NULL);
	for (int left = count; left > 0;)
	{
		begin_set();
		for (int i = 0; i < count; i++)
		{
			if (exchanges[i] != NULL)
				add_to_set(flex_exchange_descriptor(exchanges[i]));
		}
		wait_for_set();
		for (int i = 0; i < count; i++)
		{
			const Outcome *outcome = exchanges[i] != NULL ? flex_exchange_advance(exchanges[i]) : NULL;

			if (outcome == NULL)
				continue;
			told = accumArrayResult(told, CStringGetTextDatum(psprintf("%d %d", i + 1, outcome->answer.http_status)),
									false, TEXTOID, CurrentMemoryContext);
			exchanges[i] = NULL;
			left--;
		}
	}
	PG_RETURN_DATUM(makeArrayResult(told, CurrentMemoryContext));
}

/*
 * waits_lists(origins text[], paths text[], look_ahead boolean) RETURNS text[]: reads lists, each
 * of which goes on as long as it need not wait;
 * tells the SIDs of the rows
 */
PGDLLEXPORT Datum
waits_lists(PG_FUNCTION_ARGS)
{
	char *origins[MOST];
	char *paths[MOST];
	int count = texts_of(PG_GETARG_ARRAYTYPE_P(0), origins);
	Pages *lists[MOST];
	ArrayBuildState *told = NULL;

	texts_of(PG_GETARG_ARRAYTYPE_P(1), paths);
	for (int i = 0; i < count; i++)
	{
		PagesOptions options = {.most_rows = PG_INT64_MAX,
								.look_ahead = PG_GETARG_BOOL(2) ? LOOK_AHEAD_ALWAYS : LOOK_AHEAD_NEVER,
								.endpoint = endpoint_at(origins[i])};

		lists[i] = flex_pages_begin(flex_request_plain("GET", paths[i]), &options);
	}
	for (int left = count; left > 0;)
	{
		int waiting = 0;

		for (int i = 0; i < count; i++)
		{
			Datum row;
			bool is_null;

			while (lists[i] != NULL && flex_pages_advance(lists[i]))
			{
				if (flex_pages_next_row(lists[i], &row, &is_null))
				{
					Jsonb *jsonb = DatumGetJsonbP(row);
					JsonbValue value;

					getKeyJsonValueFromContainer(&jsonb->root, "sid", 3, &value);
					row = CStringGetTextDatum(psprintf("%d %.*s", i + 1, value.val.string.len, value.val.string.val));
					told = accumArrayResult(told, row, false, TEXTOID, CurrentMemoryContext);
					continue;
				}
				flex_pages_end(lists[i]);
				lists[i] = NULL;
				left--;
			}
			waiting += lists[i] != NULL;
		}
		if (waiting == 0)
			break;
		begin_set();
		for (int i = 0; i < count; i++)
		{
			if (lists[i] != NULL)
				add_to_set(flex_pages_descriptor(lists[i]));
		}
		wait_for_set();
	}
	PG_RETURN_DATUM(makeArrayResult(told, CurrentMemoryContext));
}
