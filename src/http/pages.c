/*
 * pages.c
 *		A list, row by row; pages.h has the contract.
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
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "answer/page.h"
#include "base/clock.h"
#include "base/errors.h"
#include "http/exchange.h"
#include "http/pages.h"
#include "http/transport.h"
#include "shared/progress.h"

#define MS_BETWEEN_PUMPS 10   /* keep the next page's bytes moving where rows are taken slowly */
#define ROWS_BETWEEN_LOOKS 16 /* at the clock, for that */
#define MOST_ROWS_A_PAGE 1000 /* as the service has it */
#define MOST_KEPT (1 << 17)   /* 4 MB; with pages of 1000 rows a list of 65 million */

/* The addresses, their paths and queries, of the pages that have been read. */
typedef struct Trail
{
	HTAB *kept;      /* their hashes */
	uint64 landmark; /* one of them */
	int64 steps;     /* pages since the landmark */
	int64 stride;    /* steps until the next one */
} Trail;

/* A page on its way or in hand; all but the first's request lives in its context. */
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
	MemoryContext context; /* of all that a rescan forgets */
	Trail trail;
	Fetch *current;    /* the page whose rows are read; NULL before the first */
	bool can_rewind;   /* it is the first, and good */
	ListPage page;     /* what it says */
	PageRows rows;     /* from its next one on */
	RowNotes *notes;   /* of its rows, used for one page after the other; NULL: rows are jsonb */
	int64 rows_left;   /* of it that are wanted */
	int64 rows_before; /* of the pages before it */
	Fetch *ahead;      /* the page after it, on its way; or NULL */
	bool is_awaited;   /* ahead has been waited for */
	int64 pump_at;     /* flex_clock_ms(), for its bytes */
	Progress *progress;
	ProgressCounts counts;
};

/*
 * A page size for so many rows: the fewest pages, and among those the fewest rows that
 * nobody asked for.
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

/* Show others how far it has come. */
static void
show_progress(Pages *pages)
{
	pages->counts.in_flight = pages->ahead != NULL ? 1 : 0;
	flex_progress_show(pages->progress, &pages->counts);
}

/* Forget what has been read. */
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

/* Begin to read a list, whose first page is what is asked for.  Sends nothing. */
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

/* The request for the page after this one, or NULL when it is the last. */
static const HttpRequest *
next_request(const Fetch *fetch, const ListPage *page)
{
	if (page->next_url != NULL)
		return flex_request_follow(fetch->request, flex_exchange_origin(fetch->exchange), page->next_url);
	if (page->next_token != NULL)
		return flex_request_follow_token(fetch->request, page->token_parameter, page->next_token);
	return NULL;
}

/* Send a page's request. */
static void
begin_exchange(const Pages *pages, Fetch *fetch)
{
	fetch->exchange = flex_exchange_begin(fetch->request, pages->options.endpoint);
	if (pages->options.traffic != NULL)
		flex_exchange_count(fetch->exchange, pages->options.traffic);
}

/*
 * Ask for the page after the current one, or for the first.  Returns NULL when
 * there is none, or none that is wanted; raises 08P01 for one that was read before.
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

/* Tell, in an error's context, which page's rows were being made. */
static void
describe_page(void *argument)
{
	const Pages *pages = argument;

	errcontext("Flex API request %s %s", pages->current->request->method, pages->current->request->path);
}

/* True when the page after the current one, which has been opened, is not to wait. */
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

/* Read the page that has come, but for its rows, and ask for the one after it if that is not to wait. */
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

/* Ask for a page anew whose time was over before anybody waited for it. */
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

/* Ask for the next page, unless it is on its way; false when there is none.  From now on it is waited for. */
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

/* Go to the next page, whose bytes take the place of this one's; false when there is none. */
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

/* Read of the next page what has come, where rows are taken slowly; otherwise it is read in fewer pieces later. */
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
 * The columns of the list's next row, data allocated in the current context; false
 * when there is none, or most_rows have been read.
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
 * Do what the next row needs, without waiting.  True when flex_pages_next_row() would not
 * wait either: the row is there, or there is none.  Raises what that would.
 */
bool
flex_pages_advance(Pages *pages)
{
	while (pages->rows_left == 0 && ask_for_page(pages))
	{
		bool could_rewind = pages->can_rewind;

		/* After an error a rescan must ask for all of it anew. */
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
 * A descriptor that is readable when flex_pages_advance(), which has just returned false,
 * may have something to do; flex_crowd_descriptor() has the rules.  Each page has its own.
 */
pgsocket
flex_pages_descriptor(Pages *pages)
{
	return pages->ahead != NULL ? flex_exchange_descriptor(pages->ahead->exchange) : PGINVALID_SOCKET;
}

/* Begin again, with the first row: without a request where the first page is still in hand. */
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

/* End the reading, wherever it is. */
void
flex_pages_end(Pages *pages)
{
	MemoryContextDelete(pages->context);
	flex_progress_end(pages->progress);
	pfree(pages);
}
