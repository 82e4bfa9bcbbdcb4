/*
 * pages.c
 *		A list, page by page, into rows.
 *
 * The next page is asked for before the rows of this one are made:
 * the service and the wire work while we do.  Memory is that of two pages' bytes
 * and a few rows, beside the tuplestore, which spills to disk.
 *
 * A list whose pages lead back to one that has been read would never end, or
 * would give rows twice: it is an error.  Hashes of addresses are kept, both of
 * the one that a page was asked for at and of the one that it calls its own, so
 * that it is noticed at once; when there are MOST_KEPT of them, each page is
 * compared with one landmark, which moves on at growing distances (Brent's
 * algorithm): every circle is found, and memory does not grow with the list.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "answer/page.h"
#include "base/errors.h"
#include "http/exchange.h"
#include "http/pages.h"
#include "http/transport.h"

#define ROWS_BETWEEN_PUMPS 64 /* keeps the next page's bytes moving */
#define MOST_KEPT (1 << 17)   /* 4 MB; with pages of 1000 rows a list of 65 million */

/* The addresses, their paths and queries, of the pages that have been read. */
typedef struct Trail
{
	HTAB *kept;      /* their hashes */
	uint64 landmark; /* one of them */
	int64 steps;     /* pages since the landmark */
	int64 stride;    /* steps until the next one */
} Trail;

/* A list being fetched. */
typedef struct Listing
{
	RowDecoder *decoder; /* NULL: rows are jsonb */
	const char *member;  /* that has the rows; NULL: meta tells */
	ReturnSetInfo *result;
	int64 max_rows; /* PG_INT64_MAX: all */
	int64 rows;     /* made so far */
	Trail trail;
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

/* Check max_rows of a function, PG_INT64_MAX when NULL. */
int64
flex_pages_max_rows(const char *function, const NullableDatum *value)
{
	if (value->isnull)
		return PG_INT64_MAX;
	if (DatumGetInt64(value->value) < 0)
		flex_argument_refuse(function, "max_rows", psprintf(INT64_FORMAT, DatumGetInt64(value->value)), false,
							 "a number from 0 on, or NULL for all rows");
	return DatumGetInt64(value->value);
}

/* Begin to note pages, in the current context. */
static void
begin_trail(Trail *trail)
{
	HASHCTL control = {.keysize = sizeof(uint64), .entrysize = sizeof(uint64), .hcxt = CurrentMemoryContext};

	*trail = (Trail){.stride = 1};
	trail->kept = hash_create("flex_api pages", 32, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* Note the address of a page that is read.  Returns false when it was noted already. */
static bool
note_address(Trail *trail, const char *target, size_t length)
{
	uint64 hash = hash_bytes_extended((const unsigned char *) target, length, 0);
	bool is_full = hash_get_num_entries(trail->kept) >= MOST_KEPT;
	bool found;

	(void) hash_search(trail->kept, &hash, is_full ? HASH_FIND : HASH_ENTER, &found);
	if (found || (is_full && hash == trail->landmark))
		return false;
	if (is_full && ++trail->steps >= trail->stride)
	{
		trail->steps = 0;
		trail->stride *= 2;
		trail->landmark = hash;
	}
	return true;
}

/* Note a page that is about to be asked for.  Raises 08P01 when it has been read before. */
static void
note_request(Trail *trail, const HttpRequest *request)
{
	if (!note_address(trail, request->target.data, request->target.len))
		flex_error_answer("The list's pages lead back to one that was fetched before.");
}

/* Note what a page that has come calls its own address, which may be spelled as its request was. */
static void
note_own_address(Trail *trail, const Fetch *fetch, const ListPage *page)
{
	const char *target = NULL;

	if (page->url != NULL && hash_get_num_entries(trail->kept) < MOST_KEPT)
		target = flex_request_page_target(fetch->request, flex_exchange_origin(fetch->exchange), page->url);
	if (target != NULL)
		(void) note_address(trail, target, strlen(target));
}

/* Ask for a page; the request must live as long as the context, which is the fetch's own. */
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
open_page(const Listing *listing, ListPage *page, Fetch *fetch, const Outcome *answer)
{
	MemoryContext before = MemoryContextSwitchTo(fetch->context);

	flex_page_open(page, answer->body, answer->body_length, listing->member);
	MemoryContextSwitchTo(before);
}

/* The request for the page after this one, or NULL when it is the last. */
static HttpRequest *
next_request(const Fetch *fetch, const ListPage *page)
{
	if (page->next_url != NULL)
		return flex_request_follow(fetch->request, flex_exchange_origin(fetch->exchange), page->next_url);
	if (page->next_token != NULL)
		return flex_request_follow_token(fetch->request, page->token_parameter, page->next_token);
	return NULL;
}

/* Ask for the page after this one, or return NULL when no more is needed. */
static Fetch *
begin_next(Listing *listing, const Fetch *fetch, const ListPage *page)
{
	MemoryContext context;
	MemoryContext before;
	HttpRequest *request;

	if (listing->max_rows - listing->rows <= page->count)
		return NULL;
	context = AllocSetContextCreate(listing->context, "flex_api page", ALLOCSET_DEFAULT_SIZES);
	before = MemoryContextSwitchTo(context);
	request = next_request(fetch, page);
	MemoryContextSwitchTo(before);
	if (request == NULL)
		return NULL;
	note_request(&listing->trail, request);
	return begin_fetch(context, request);
}

/* The columns of the page's next row. */
static void
decode_row(const Listing *listing, ListPage *page)
{
	bool has_row;

	if (listing->decoder != NULL)
		has_row = flex_decode_object(listing->decoder, &page->rows, listing->values, listing->nulls);
	else
	{
		has_row = flex_decode_element(&page->rows, listing->values);
		listing->nulls[0] = false;
	}
	if (!has_row)
		elog(ERROR, "a page has fewer rows than were counted");
}

/* Put the page's rows into the result, keeping the next page's bytes moving. */
static void
make_rows(Listing *listing, ListPage *page)
{
	int64 count = Min(page->count, listing->max_rows - listing->rows);
	MemoryContext before = MemoryContextSwitchTo(listing->row_context);

	for (int64 i = 0; i < count; i++)
	{
		decode_row(listing, page);
		tuplestore_putvalues(listing->result->setResult, listing->result->setDesc, listing->values, listing->nulls);
		if (i % ROWS_BETWEEN_PUMPS == ROWS_BETWEEN_PUMPS - 1)
		{
			MemoryContextReset(listing->row_context);
			flex_transport_pump();
		}
	}
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
take_page(Listing *listing, Fetch *fetch, const Outcome *answer)
{
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = describe_fetch,
		.arg = fetch,
	};
	ListPage page;
	Fetch *next;

	error_context_stack = &context;
	open_page(listing, &page, fetch, answer);
	note_own_address(&listing->trail, fetch, &page);
	next = begin_next(listing, fetch, &page);
	make_rows(listing, &page);
	error_context_stack = context.previous;
	return next;
}

/*
 * Put the rows of a list into the result, at most max_rows of them.  The first
 * page is what is asked for; it and the decoder must stay.  With a decoder of
 * NULL, rows are jsonb, whatever they are.  member names what has the rows, in
 * UTF-8; NULL where each page tells.  All memory is in the current context.
 */
void
flex_pages_fetch(HttpRequest *first, ReturnSetInfo *result, RowDecoder *decoder, const char *member, int64 max_rows)
{
	int natts = result->setDesc->natts;
	Listing listing = {
		.decoder = decoder,
		.member = member,
		.result = result,
		.max_rows = max_rows,
		.context = CurrentMemoryContext,
		.row_context = AllocSetContextCreate(CurrentMemoryContext, "flex_api rows", ALLOCSET_DEFAULT_SIZES),
		.values = palloc(sizeof(Datum) * natts),
		.nulls = palloc(sizeof(bool) * natts),
	};
	Fetch *fetch;

	if (max_rows == 0)
		return;
	begin_trail(&listing.trail);
	note_request(&listing.trail, first);
	fetch = begin_fetch(AllocSetContextCreate(listing.context, "flex_api page", ALLOCSET_DEFAULT_SIZES), first);
	while (fetch != NULL)
	{
		Fetch *next = take_page(&listing, fetch, flex_exchange_run(fetch->exchange));

		MemoryContextDelete(fetch->context);
		fetch = next;
	}
}
