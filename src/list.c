/*
 * list.c
 *		SQL entry point of the operations that answer with pages.
 *
 * The next page is asked for before the rows of this one are parsed and made:
 * the service and the wire work while we do.  Memory is that of two pages' bytes
 * and a few rows, beside the tuplestore, which spills to disk.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "errors.h"
#include "exchange.h"
#include "page.h"
#include "signature.h"
#include "transport.h"
#include "versions.h"

#define MOST_ROWS_A_PAGE 1000
#define ROWS_BETWEEN_PUMPS 64 /* keeps the next page's bytes moving */

PG_FUNCTION_INFO_V1(flex_api_list);

/* A list being fetched. */
typedef struct Listing
{
	Signature *signature;
	ReturnSetInfo *result;
	int64 max_rows;        /* PG_INT64_MAX: all */
	int64 rows;            /* made so far */
	char *landmark;        /* URL of an earlier page, to notice a circle */
	int64 steps;           /* pages since the landmark */
	int64 stride;          /* steps until the next one */
	MemoryContext context; /* of what outlives a page */
	MemoryContext row_context;
	Datum *values;
	bool *nulls;
} Listing;

/* A page on its way or in hand; all of it lives in its own context. */
typedef struct Fetch
{
	MemoryContext context;
	HttpRequest *request;
	Exchange *exchange;
} Fetch;

/* Check max_rows, PG_INT64_MAX when NULL. */
static int64
max_rows_of(const Signature *signature, const NullableDatum *values)
{
	const NullableDatum *value = &values[flex_signature_position(signature, "max_rows")];

	if (value->isnull)
		return PG_INT64_MAX;
	if (DatumGetInt64(value->value) < 0)
		flex_argument_refuse(signature->operation->name, "max_rows",
							 psprintf(INT64_FORMAT, DatumGetInt64(value->value)), false,
							 "a number from 0 on, or NULL for all rows");
	return DatumGetInt64(value->value);
}

/*
 * Choose a page size where the caller did not: the fewest pages, and among
 * those the fewest rows that nobody asked for.
 */
static void
choose_page_size(const Signature *signature, NullableDatum *values, int64 max_rows)
{
	NullableDatum *value = &values[flex_signature_position(signature, "page_size")];
	int64 pages;

	if (!value->isnull)
		return;
	value->isnull = false;
	value->value = Int32GetDatum(MOST_ROWS_A_PAGE);
	if (max_rows == 0 || max_rows > PG_INT32_MAX)
		return;
	pages = (max_rows + MOST_ROWS_A_PAGE - 1) / MOST_ROWS_A_PAGE;
	value->value = Int32GetDatum((int32) ((max_rows + pages - 1) / pages));
}

/* Ask for a page; the request must live in the context, which is the fetch's own. */
static Fetch *
begin_fetch(MemoryContext context, HttpRequest *request)
{
	MemoryContext before = MemoryContextSwitchTo(context);
	Fetch *fetch = palloc0(sizeof(Fetch));

	fetch->context = context;
	fetch->request = request;
	fetch->exchange = flex_exchange_begin(request);
	MemoryContextSwitchTo(before);
	return fetch;
}

/* Read a page but for its rows. */
static void
open_page(ListPage *page, Fetch *fetch, const Transfer *answer)
{
	MemoryContext before = MemoryContextSwitchTo(fetch->context);
	size_t length;
	const char *bytes = flex_transfer_body(answer, &length);

	flex_page_open(page, bytes, length);
	MemoryContextSwitchTo(before);
}

/*
 * Raise when pages go round in a circle (Brent's algorithm: the URL is compared
 * with one kept landmark, which moves on at growing distances).
 */
static void
check_circle(Listing *listing, const char *url)
{
	if (listing->landmark != NULL && strcmp(listing->landmark, url) == 0)
		flex_error_answer("The list's pages lead back to one that was fetched before.");
	if (++listing->steps < listing->stride)
		return;
	listing->steps = 0;
	listing->stride *= 2;
	listing->landmark = MemoryContextStrdup(listing->context, url);
}

/* Ask for the page after this one, or return NULL when no more is needed. */
static Fetch *
begin_next(Listing *listing, const Fetch *fetch, const ListPage *page)
{
	MemoryContext context;
	MemoryContext before;
	HttpRequest *request;

	if (page->next_url == NULL || listing->max_rows - listing->rows <= page->count)
		return NULL;
	check_circle(listing, page->next_url);
	context = AllocSetContextCreate(listing->context, "flex_api page", ALLOCSET_DEFAULT_SIZES);
	before = MemoryContextSwitchTo(context);
	request = flex_request_follow(fetch->request, flex_exchange_origin(fetch->exchange), page->next_url);
	MemoryContextSwitchTo(before);
	return begin_fetch(context, request);
}

/* Put the page's rows into the result, keeping the next page's bytes moving. */
static void
make_rows(Listing *listing, ListPage *page)
{
	int64 count = Min(page->count, listing->max_rows - listing->rows);
	MemoryContext before = MemoryContextSwitchTo(listing->row_context);

	for (int64 i = 0; i < count; i++)
	{
		flex_decode_object(listing->signature->decoder, flex_page_next_row(page), listing->values, listing->nulls);
		tuplestore_putvalues(listing->result->setResult, listing->result->setDesc, listing->values, listing->nulls);
		if (i % ROWS_BETWEEN_PUMPS == ROWS_BETWEEN_PUMPS - 1)
		{
			MemoryContextReset(listing->row_context);
			flex_transport_pump();
		}
	}
	flex_page_close(page);
	MemoryContextReset(listing->row_context);
	MemoryContextSwitchTo(before);
	listing->rows += count;
}

/* Tell, in an error's context, whose rows were being made. */
static void
describe_fetch(void *argument)
{
	const Fetch *fetch = argument;

	errcontext("Flex API request %s %s", fetch->request->method, fetch->request->path);
}

/* Make the rows of a page that has come, and ask for the next one, which is returned. */
static Fetch *
take_page(Listing *listing, Fetch *fetch, const Transfer *answer)
{
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = describe_fetch,
		.arg = fetch,
	};
	ListPage page;
	Fetch *next;

	error_context_stack = &context;
	open_page(&page, fetch, answer);
	next = begin_next(listing, fetch, &page);
	make_rows(listing, &page);
	error_context_stack = context.previous;
	return next;
}

/* Fetch page after page. */
static void
fetch_all(Listing *listing, NullableDatum *values)
{
	Signature *signature = listing->signature;
	MemoryContext first = AllocSetContextCreate(listing->context, "flex_api page", ALLOCSET_DEFAULT_SIZES);
	MemoryContext before = MemoryContextSwitchTo(first);
	HttpRequest *request = flex_request_build(signature->operation, signature->parameters, signature->count, values);
	Fetch *fetch = listing->max_rows > 0 ? begin_fetch(first, request) : NULL;

	MemoryContextSwitchTo(before);
	while (fetch != NULL)
	{
		Fetch *next = take_page(listing, fetch, flex_exchange_run(fetch->exchange));

		MemoryContextDelete(fetch->context);
		fetch = next;
	}
}

/* Set a listing up in the current context, and fetch it. */
static void
list(FunctionCallInfo fcinfo)
{
	Signature *signature = flex_signature_of_call(fcinfo);
	NullableDatum *values = palloc(sizeof(NullableDatum) * signature->count);
	int natts = flex_decoder_desc(signature->decoder)->natts;
	Listing listing = {
		.signature = signature,
		.result = (ReturnSetInfo *) fcinfo->resultinfo,
		.stride = 1,
		.context = CurrentMemoryContext,
		.row_context = AllocSetContextCreate(CurrentMemoryContext, "flex_api rows", ALLOCSET_DEFAULT_SIZES),
		.values = palloc(sizeof(Datum) * natts),
		.nulls = palloc(sizeof(bool) * natts),
	};

	flex_signature_values(signature, fcinfo, values);
	listing.max_rows = max_rows_of(signature, values);
	choose_page_size(signature, values, listing.max_rows);
	fetch_all(&listing, values);
}

/* Any operation that answers with pages of rows; see the file's head. */
PGDLLEXPORT Datum
flex_api_list(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext work = AllocSetContextCreate(caller, "flex_api list", ALLOCSET_DEFAULT_SIZES);

	InitMaterializedSRF(fcinfo, 0);
	MemoryContextSwitchTo(work);
	PG_TRY();
	{
		list(fcinfo);
	}
	PG_FINALLY();
	{
		MemoryContextSwitchTo(caller);
		MemoryContextDelete(work);
	}
	PG_END_TRY();
	PG_RETURN_NULL();
}
