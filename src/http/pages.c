/*
 * pages.c
 *		An iterator over the rows of a list, which fetches pages as they are needed.
 *
 * See pages.h for how it is used.
 *
 * If the link to the next page leads back to a page that has been read, the list would
 * never end and rows would be returned twice; that is an error.  To notice it at once we
 * keep hashes of the addresses of all pages: both the address that was requested and the
 * one that the page says is its own, as the two may be spelled differently.  To limit the
 * memory, after MOST_KEPT hashes no more are added.  From then on each page is also
 * compared with one landmark, which is moved ahead at growing distances (Brent's
 * algorithm), so that every cycle is found eventually.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "answer/page.h"
#include "base/clock.h"
#include "base/errors.h"
#include "http/exchange.h"
#include "http/pages.h"
#include "http/transport.h"
#include "shared/progress.h"

#define MS_BETWEEN_PUMPS 10   /* how often to receive bytes of the next page while rows are read slowly */
#define ROWS_BETWEEN_LOOKS 16 /* at the clock, for that */
#define MOST_ROWS_A_PAGE 1000 /* the service's limit */
#define MOST_KEPT (1 << 17)   /* 4 MB; with pages of 1000 rows enough for a list of 65 million rows */

/* The addresses (path and query) of the pages that have been requested or read, as hashes. */
typedef struct Trail
{
	HTAB *kept;
	uint64 landmark; /* hash of one of the pages after MOST_KEPT; 0 before the first */
	int64 steps;     /* pages since the landmark */
	int64 stride;    /* steps after which the landmark is moved */
} Trail;

/* A page that has been requested or received.  All of it is in its context, except the request for the first page. */
typedef struct Fetch
{
	MemoryContext context;
	const HttpRequest *request;
	Exchange *exchange;
} Fetch;

struct Pages
{
	const HttpRequest *first;
	PagesOptions options;
	MemoryContext context; /* holds everything that a rescan discards */
	Trail trail;
	Fetch *current;    /* the page whose rows are being read; NULL before the first */
	bool can_rewind;   /* current is the first page, and was read without an error */
	ListPage page;     /* contents of current */
	PageRows rows;     /* its rows, from the next one on */
	RowNotes *notes;   /* the decoder's notes about its rows, reused for each page; NULL if rows are jsonb */
	int64 rows_left;   /* number of its rows that are still to be returned */
	int64 rows_before; /* number of rows on the pages before it */
	Fetch *ahead;      /* the page after it, if requested already; else NULL */
	bool is_awaited;   /* the caller waits, or has waited, for ahead */
	int64 pump_at;     /* flex_clock_ms() at which to receive bytes of ahead */
	Progress *progress;
	ProgressCounts counts;
};

/*
 * Return the best page size for fetching a number of rows (0 if not known): the one with
 * the fewest pages and, among those, the fewest surplus rows.
 */
int
flex_pages_best_size(int64 rows)
{
	int64 pages;

	if (rows == 0 || rows > PG_INT32_MAX)
		return MOST_ROWS_A_PAGE;
	pages = (rows + MOST_ROWS_A_PAGE - 1) / MOST_ROWS_A_PAGE;
	return (int) ((rows + pages - 1) / pages);
}

/* Update the progress shown to other sessions. */
static void
show_progress(Pages *pages)
{
	pages->counts.in_flight = pages->ahead != NULL ? 1 : 0;
	flex_progress_show(pages->progress, &pages->counts);
}

/* Discard everything that has been read or requested. */
static void
reset(Pages *pages)
{
	HASHCTL control = {.keysize = sizeof(uint64), .entrysize = sizeof(uint64), .hcxt = pages->context};

	MemoryContextReset(pages->context);
	pages->trail = (Trail){.stride = 1};
	pages->trail.kept = hash_create("flex_api pages", 32, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	if (pages->options.decoder != NULL)
		pages->notes = flex_row_notes_create(pages->context, pages->options.decoder);
	pages->current = NULL;
	pages->can_rewind = false;
	pages->ahead = NULL;
	pages->is_awaited = false;
	pages->rows_left = 0;
	pages->rows_before = 0;
}

/* Begin to read a list, given the request for its first page.  Nothing is sent yet. */
Pages *
flex_pages_begin(const HttpRequest *first, const PagesOptions *options)
{
	Pages *pages = palloc0(sizeof(Pages));

	Assert(options->most_rows >= 0);
	pages->first = first;
	pages->progress = flex_progress_begin(first->way, first->operation, PROGRESS_UNKNOWN);
	pages->counts.total = PROGRESS_UNKNOWN;
	pages->options = *options;
	pages->context = AllocSetContextCreate(CurrentMemoryContext, "flex_api pages", ALLOCSET_DEFAULT_SIZES);
	reset(pages);
	return pages;
}

/* Record the address of a page.  Return false if it was recorded before, so that the list has a cycle. */
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

/* Record the address that a page says is its own.  Usually it is the one that was requested, and known already. */
static void
note_own_address(Trail *trail, const Fetch *fetch, const ListPage *page)
{
	const char *target = NULL;

	if (page->url != NULL && hash_get_num_entries(trail->kept) < MOST_KEPT)
		target = flex_request_page_target(fetch->request, flex_exchange_origin(fetch->exchange), page->url);
	if (target != NULL)
		(void) note_address(trail, target, strlen(target));
}

/* Return the request for the page after this one, palloc'd, or NULL if this is the last. */
static const HttpRequest *
next_request(const Fetch *fetch, const ListPage *page)
{
	if (page->next_url != NULL)
		return flex_request_follow(fetch->request, flex_exchange_origin(fetch->exchange), page->next_url);
	if (page->next_path != NULL)
		return flex_request_follow_path(fetch->request, flex_exchange_origin(fetch->exchange), page->next_path);
	if (page->next_token != NULL)
		return flex_request_follow_token(fetch->request, page->token_parameter, page->next_token);
	return NULL;
}

/* Send the request for a page. */
static void
begin_exchange(const Pages *pages, Fetch *fetch)
{
	fetch->exchange = flex_exchange_begin(fetch->request, pages->options.endpoint);
	if (pages->options.traffic != NULL)
		flex_exchange_count(fetch->exchange, pages->options.traffic);
}

/*
 * Request the page after the current one, or the first page.  Return NULL if there is none,
 * or most_rows has been reached.  Raise 08P01 if that page has been read before.
 */
static Fetch *
begin_fetch(Pages *pages)
{
	int64 rows = pages->rows_before + (pages->current != NULL ? pages->page.count : 0);
	MemoryContext before;
	Fetch *fetch;

	if (rows >= pages->options.most_rows)
		return NULL;
	before = MemoryContextSwitchTo(AllocSetContextCreate(pages->context, "flex_api page", ALLOCSET_DEFAULT_SIZES));
	fetch = palloc0(sizeof(Fetch));
	fetch->context = CurrentMemoryContext;
	fetch->request = pages->current != NULL ? next_request(pages->current, &pages->page) : pages->first;
	if (fetch->request != NULL && !note_address(&pages->trail, fetch->request->target.data, fetch->request->target.len))
		flex_error_answer("The list's pages lead back to one that was fetched before.");
	if (fetch->request != NULL)
		begin_exchange(pages, fetch);
	MemoryContextSwitchTo(before);
	if (fetch->request != NULL)
		return fetch;
	MemoryContextDelete(fetch->context);
	return NULL;
}

/* Error context callback: name the request for the page whose contents are being processed. */
static void
describe_page(void *argument)
{
	const Pages *pages = argument;

	errcontext("Flex API request %s %s", pages->current->request->method, pages->current->request->path);
}

/* Return true if the page after the current one, which has been opened, is to be requested ahead. */
static bool
is_looking_ahead(const Pages *pages)
{
	const PagesOptions *options = &pages->options;

	switch (options->look_ahead)
	{
		case LOOK_AHEAD_NEVER:
			break;
		case LOOK_AHEAD_LATER:
			return pages->rows_before > 0 && pages->rows_before + pages->page.count < options->expected_rows;
		case LOOK_AHEAD_ALWAYS:
			return true;
	}
	return false;
}

/* Parse a page, except for its rows, and request the page after it if that is to be done ahead. */
static void
open_page(Pages *pages, const Outcome *answer)
{
	ErrorContextCallback context = {.previous = error_context_stack, .callback = describe_page, .arg = pages};

	error_context_stack = &context;
	flex_page_open(&pages->page, answer->body, answer->body_length, pages->options.member, pages->notes);
	flex_exchange_count_rows(pages->current->exchange, pages->page.count);
	note_own_address(&pages->trail, pages->current, &pages->page);
	pages->rows = pages->page.rows;
	pages->rows_left = Min(pages->page.count, pages->options.most_rows - pages->rows_before);
	pages->counts.done++;
	pages->counts.rows += pages->page.count;
	if (is_looking_ahead(pages))
		pages->ahead = begin_fetch(pages);
	pages->pump_at = flex_clock_ms() + MS_BETWEEN_PUMPS;
	show_progress(pages);
	error_context_stack = context.previous;
}

/* Request a page anew if its timeout has expired before the caller waited for it. */
static void
renew_if_stale(const Pages *pages, Fetch *fetch)
{
	MemoryContext before;

	if (!flex_exchange_is_stale(fetch->exchange))
		return;
	before = MemoryContextSwitchTo(fetch->context);
	flex_exchange_abandon(fetch->exchange);
	begin_exchange(pages, fetch);
	MemoryContextSwitchTo(before);
}

/*
 * Request the next page if that has not been done.  Return false if there is none.  The
 * caller is taken to wait for the page from now on.
 */
static bool
ask_for_page(Pages *pages)
{
	bool was_asked_for = pages->current != NULL && is_looking_ahead(pages);

	if (pages->ahead == NULL)
		pages->ahead = was_asked_for ? NULL : begin_fetch(pages);
	else if (!pages->is_awaited)
		renew_if_stale(pages, pages->ahead);
	pages->is_awaited = true;
	show_progress(pages);
	return pages->ahead != NULL;
}

/* Wait for the next page, free the current one and open the next.  Return false if there is none. */
static bool
turn_page(Pages *pages)
{
	bool is_first = pages->current == NULL;
	Fetch *next;
	MemoryContext before;

	Assert(pages->rows_left == 0);
	if (!ask_for_page(pages))
		return false;
	next = pages->ahead;
	if (!is_first)
	{
		pages->rows_before += pages->page.count;
		MemoryContextDelete(pages->current->context);
	}
	pages->current = next;
	pages->can_rewind = false;
	pages->ahead = NULL;
	pages->is_awaited = false;
	before = MemoryContextSwitchTo(next->context);
	open_page(pages, flex_exchange_finish(next->exchange));
	MemoryContextSwitchTo(before);
	pages->can_rewind = is_first;
	return true;
}

/*
 * Receive available bytes of the next page, at most once in MS_BETWEEN_PUMPS.  When rows
 * are read quickly this is not needed: the page is then received in fewer system calls.
 */
static void
pump(Pages *pages)
{
	int64 now;

	if (pages->rows_left % ROWS_BETWEEN_LOOKS != 0 || pages->ahead == NULL ||
		!flex_exchange_is_under_way(pages->ahead->exchange))
		return;
	now = flex_clock_ms();
	if (now < pages->pump_at)
		return;
	pages->pump_at = now + MS_BETWEEN_PUMPS;
	flex_transport_pump();
}

/*
 * Get the columns of the next row, allocated in the current context.  Return false if there
 * is none, or most_rows has been reached.
 */
bool
flex_pages_next_row(Pages *pages, Datum *values, bool *nulls)
{
	ErrorContextCallback context = {.callback = describe_page, .arg = pages};

	while (pages->rows_left == 0)
	{
		if (!turn_page(pages))
			return false;
	}
	context.previous = error_context_stack;
	error_context_stack = &context;
	if (!flex_page_rows_next(&pages->rows, pages->options.decoder, values, nulls))
		elog(ERROR, "a page has fewer rows than were counted");
	error_context_stack = context.previous;
	pages->rows_left--;
	if (pages->rows_left > 0)
		pump(pages);
	return true;
}

/*
 * Do what is needed for the next row, without waiting.  Return true if flex_pages_next_row()
 * will not wait: it can return a row, or there is none.  Errors are raised as by that.
 */
bool
flex_pages_advance(Pages *pages)
{
	while (pages->rows_left == 0 && ask_for_page(pages))
	{
		bool could_rewind = pages->can_rewind;

		/* If an error is raised here, a rescan must request the list anew. */
		pages->can_rewind = false;
		if (flex_exchange_advance(pages->ahead->exchange) == NULL)
		{
			pages->can_rewind = could_rewind;
			return false;
		}
		(void) turn_page(pages);
	}
	return true;
}

/*
 * Return a descriptor that is readable when flex_pages_advance(), which has just returned
 * false, may have something to do, or PGINVALID_SOCKET.  For its use see
 * flex_crowd_descriptor().  It is a different one for each page.
 */
pgsocket
flex_pages_descriptor(Pages *pages)
{
	return pages->ahead != NULL ? flex_exchange_descriptor(pages->ahead->exchange) : PGINVALID_SOCKET;
}

/* Start over with the first row.  If the first page is still the current one, it is not requested again. */
void
flex_pages_rescan(Pages *pages)
{
	if (pages->can_rewind)
	{
		pages->rows = pages->page.rows;
		pages->rows_left = Min(pages->page.count, pages->options.most_rows);
	}
	else
		reset(pages);
}

/* End the iteration and free the iterator; see pages.h. */
void
flex_pages_end(Pages *pages)
{
	MemoryContextDelete(pages->context);
	flex_progress_end(pages->progress);
	pfree(pages);
}
