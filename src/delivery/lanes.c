/*
 * lanes.c
 *		Which of the outbox's requests are sent next, and when.
 *
 * A lane is what waits of one operation at one priority.  They are looked up by
 * one statement, the most urgent first, and then claimed from, as far as there is
 * room and the rates allow, which each account has for itself.  Whose requests are in a
 * lane shows only when they have been claimed: those of roles and accounts that were seen
 * before and have no turn are left out, and of others no more is claimed at once than
 * anybody may send.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/settings.h"
#include "delivery/accounts.h"
#include "delivery/lanes.h"
#include "delivery/rate_limits.h"
#include "delivery/settlement.h"
#include "http/poller.h"
#include "request/catalogue.h"

#define LANES_MS 200   /* a more urgent lane is not seen for so long */
#define BARREN_MS 1000 /* a role or account that is new in a lane is not seen for so long, while others have no turn */

#define MOST_SOURCES 128
#define KEPT_MS 10000  /* what a source is kept in mind for that has had nothing to send */
#define RECENT_MS 2000 /* what it has to have had something for, so that its turn bounds the others' */

/* A role, and the account that its requests name. */
typedef struct Source
{
	Oid role;
	char *account_sid; /* or NULL */
	int64 seen_at;     /* flex_clock_ms() of its last request that was claimed */
} Source;

static List *sources; /* of Source *, those that this process has seen lately */

/* What an account may send now of what a lane has, and has of it. */
typedef struct Grant
{
	RateKey rate;
	int granted;
	int claimed;
} Grant;

/* What may be claimed of a lane. */
typedef struct Grants
{
	List *list;     /* of Grant * */
	int limit;      /* requests that may be claimed, whosever they are */
	Datum *without; /* text: sources that have no turn */
	int without_count;
} Grants;

struct Lanes
{
	int64 requests_left;   /* that may still be claimed */
	TimestampTz due_at;    /* of the next request; 0: there is none */
	TimestampTz tokens_at; /* when the rate allows a request that is due; 0: none waits for it */
	Lane *lanes;           /* as they were at lanes_at */
	int lanes_count;
	int64 lanes_at; /* flex_clock_ms(); 0: unknown */
	MemoryContext lanes_context;
	int64 barren_until[MAX_OPERATIONS]; /* nobody but those without a turn had anything; flex_clock_ms() */
};

/* Lanes from which so many requests may be claimed; they live in the current context. */
Lanes *
flex_lanes_create(int64 max_requests)
{
	Lanes *lanes = palloc0(sizeof(Lanes));

	lanes->requests_left = max_requests;
	lanes->lanes_context = AllocSetContextCreate(CurrentMemoryContext, "flex_api lanes", ALLOCSET_DEFAULT_SIZES);
	return lanes;
}

/* The earlier of two times, where 0 means none. */
static TimestampTz
earlier(TimestampTz a, TimestampTz b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

/* A request is due at that time. */
static void
note_due(Lanes *lanes, TimestampTz due_at)
{
	lanes->due_at = earlier(lanes->due_at, due_at);
}

/* There may be something to claim. */
void
flex_lanes_look_now(Lanes *lanes)
{
	note_due(lanes, GetCurrentTimestamp());
}

/* Nothing is to be claimed before so many milliseconds are over, unless we are told to look. */
void
flex_lanes_put_off(Lanes *lanes, int64 ms)
{
	flex_lanes_forget(lanes);
	lanes->tokens_at = 0;
	lanes->due_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms);
}

/* What is known of the lanes is no longer true, perhaps. */
void
flex_lanes_forget(Lanes *lanes)
{
	lanes->lanes_at = 0;
}

/* How many requests may be under way at once: more than there are sockets for would only wait. */
static int
concurrency(void)
{
	return Min(flex_settings.concurrency, flex_poller_capacity());
}

/* True when there is too little room beside what is under way for a claim to be worth it. */
bool
flex_lanes_is_full(int under_way)
{
	return concurrency() - under_way < Max(concurrency() / 4, 1);
}

/* True when requests are due and it is worth claiming some. */
bool
flex_lanes_may_claim(Lanes *lanes, int under_way)
{
	TimestampTz now = GetCurrentTimestamp();

	if (lanes->tokens_at != 0 && lanes->tokens_at <= now)
		note_due(lanes, lanes->tokens_at);
	return flex_settings.delivery && lanes->requests_left > 0 && (under_way == 0 || !flex_lanes_is_full(under_way)) &&
		   lanes->due_at != 0 && lanes->due_at <= now;
}

/* True when requests are due that only their rate keeps back. */
bool
flex_lanes_waits_for_rate(const Lanes *lanes)
{
	return flex_settings.delivery && lanes->requests_left > 0 && lanes->tokens_at != 0;
}

/* When the next request may be claimed, for all we know; 0: there is none. */
TimestampTz
flex_lanes_next_at(const Lanes *lanes)
{
	return flex_settings.delivery && lanes->requests_left > 0 ? earlier(lanes->due_at, lanes->tokens_at) : 0;
}

/*
 * Claim requests of a lane, from where the last claim ended: before that, the
 * index has the entries of what was sent, until the next vacuum.  Only when there
 * is nothing more behind, all of it is looked at.
 */
static Claim *
claim_from_last(Lane *lane, int limit, Datum without, int *count)
{
	Claim *claims = flex_outbox_claim(lane, limit, without, count);

	if (*count == 0 && lane->claim_from != DT_NOBEGIN)
	{
		lane->claim_from = DT_NOBEGIN;
		claims = flex_outbox_claim(lane, limit, without, count);
	}
	Assert(*count <= limit);
	for (int i = 0; i < *count; i++)
		lane->claim_from = Max(lane->claim_from, claims[i].run_at);
	return claims;
}

/* A request waits for its turn; but a drain does not wait for a service that lets nothing through. */
static void
note_turn(Lanes *lanes, RateKey rate)
{
	TimestampTz turn_at;

	if (flex_rate_limits_is_paused(rate))
		return;
	turn_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), flex_rate_limits_wait_ms(rate));
	if (flex_rates_is_hopeless(rate, flex_settings.timeout))
		note_due(lanes, turn_at);
	else
		lanes->tokens_at = earlier(lanes->tokens_at, turn_at);
}

/* The grant of an account, made if need be; it takes what may be sent of so many requests. */
static Grant *
find_grant(Grants *grants, RateKey rate, int wanted)
{
	Grant *grant;
	ListCell *cell;

	foreach (cell, grants->list)
	{
		grant = lfirst(cell);
		if (grant->rate.account == rate.account)
			return grant;
	}
	grant = palloc0(sizeof(Grant));
	grant->rate = rate;
	grant->granted = flex_rate_limits_is_paused(rate) ? 0 : flex_rate_limits_take(rate, wanted);
	grants->list = lappend(grants->list, grant);
	return grant;
}

/* Forget the sources that have had nothing to send for long. */
static void
forget_sources(void)
{
	int64 now = flex_clock_ms();
	ListCell *cell;

	foreach (cell, sources)
	{
		Source *source = lfirst(cell);

		if (now - source->seen_at < KEPT_MS)
			continue;
		if (source->account_sid != NULL)
			pfree(source->account_sid);
		pfree(source);
		sources = foreach_delete_current(sources, cell);
	}
}

/* Take what the known accounts may send of an operation. */
static Grants
take_grants(const Operation *operation, int room)
{
	Grants grants = {
		.limit = Min(room, flex_rate_limits_burst(operation)),
		.without = palloc(sizeof(Datum) * Max(list_length(sources), 1)),
	};
	int wanted = grants.limit;
	ListCell *cell;

	forget_sources();
	foreach (cell, sources)
	{
		const Source *source = lfirst(cell);
		RateKey rate = flex_accounts_rate_key(source->role, source->account_sid, operation);
		const Grant *grant = find_grant(&grants, rate, wanted);

		if (grant->granted > 0 && flex_clock_ms() - source->seen_at >= RECENT_MS)
			continue;
		if (grant->granted > 0)
			grants.limit = Min(grants.limit, grant->granted);
		else
			grants.without[grants.without_count++] =
				CStringGetTextDatum(flex_outbox_source(source->role, source->account_sid));
	}
	return grants;
}

/* Know from now on that there are such requests. */
static void
note_source(const Claim *claim)
{
	MemoryContext before;
	Source *source;
	ListCell *cell;

	foreach (cell, sources)
	{
		const char *account_sid;

		source = lfirst(cell);
		account_sid = source->account_sid;
		if (source->role == claim->role && (account_sid == NULL) == (claim->account_sid == NULL) &&
			(account_sid == NULL || strcmp(account_sid, claim->account_sid) == 0))
		{
			source->seen_at = flex_clock_ms();
			return;
		}
	}
	/* What is not known, and has no turn, is put back. */
	if (list_length(sources) >= MOST_SOURCES)
		return;
	before = MemoryContextSwitchTo(TopMemoryContext);
	source = palloc(sizeof(Source));
	source->role = claim->role;
	source->seen_at = flex_clock_ms();
	source->account_sid = claim->account_sid != NULL ? pstrdup(claim->account_sid) : NULL;
	sources = lappend(sources, source);
	MemoryContextSwitchTo(before);
}

/*
 * Use up the grants by what was claimed, give back the rest, and note when those without a
 * turn have one.  What was claimed of an account that was not known, and has no turn, is as
 * it was before.  Returns how many of the claims are to be sent; they are the first.
 */
static int
use_grants(Lanes *lanes, const Operation *operation, Grants *grants, Claim *claims, int count)
{
	int kept = 0;
	ListCell *cell;

	for (int i = 0; i < count; i++)
	{
		RateKey rate = flex_accounts_rate_key(claims[i].role, claims[i].account_sid, operation);
		Grant *grant = find_grant(grants, rate, count - i);

		note_source(&claims[i]);
		if (grant->claimed == grant->granted)
		{
			flex_settle_unstarted(&claims[i]);
			continue;
		}
		grant->claimed++;
		claims[kept++] = claims[i];
	}
	foreach (cell, grants->list)
	{
		const Grant *grant = lfirst(cell);

		flex_rate_limits_give_back(grant->rate, grant->granted - grant->claimed);
		if (grant->granted == 0)
			note_turn(lanes, grant->rate);
	}
	return kept;
}

/* True when nothing is to be expected of a lane but the requests of those that have no turn. */
static bool
is_barren(const Lanes *lanes, const Operation *operation, const Grants *grants)
{
	return grants->limit == 0 || (grants->without_count > 0 && grants->without_count == list_length(sources) &&
								  flex_clock_ms() < lanes->barren_until[flex_operation_index(operation)]);
}

/* Claim what may be sent of a lane, into claims, which have room for so many.  Returns how many were. */
static int
claim_lane(Lanes *lanes, Lane *lane, Claim *claims, int room)
{
	const Operation *operation = flex_operation_find(lane->operation);
	Grants grants = {.limit = room};
	ArrayType *without;
	int count = 0;
	const Claim *claimed;

	if (operation != NULL)
		grants = take_grants(operation, room);
	if (operation == NULL || !is_barren(lanes, operation, &grants))
	{
		without = construct_array(grants.without, grants.without_count, TEXTOID, -1, false, TYPALIGN_INT);
		claimed = claim_from_last(lane, grants.limit, PointerGetDatum(without), &count);
		for (int i = 0; i < count; i++)
			claims[i] = claimed[i];
		if (count == 0 && operation != NULL)
			lanes->barren_until[flex_operation_index(operation)] = flex_clock_ms() + BARREN_MS;
	}
	/* There may be more of it. */
	if (count > 0)
		flex_lanes_look_now(lanes);
	return operation != NULL ? use_grants(lanes, operation, &grants, claims, count) : count;
}

/* Look which lanes there are, unless that was done a moment ago. */
static void
look_at_lanes(Lanes *lanes)
{
	MemoryContext before;

	if (lanes->lanes_at != 0 && flex_clock_ms() - lanes->lanes_at < LANES_MS)
		return;
	MemoryContextReset(lanes->lanes_context);
	before = MemoryContextSwitchTo(lanes->lanes_context);
	lanes->lanes = flex_outbox_lanes(&lanes->lanes_count);
	MemoryContextSwitchTo(before);
	lanes->lanes_at = flex_clock_ms();
}

/* Claim of all lanes what is due, as long as there is room; returns how many requests. */
static int
claim_lanes(Lanes *lanes, Claim *claims, int room)
{
	TimestampTz now = GetCurrentTimestamp();
	int claimed = 0;

	lanes->due_at = 0;
	lanes->tokens_at = 0;
	for (int i = 0; i < lanes->lanes_count; i++)
	{
		if (lanes->lanes[i].due_at <= now && room > claimed)
			claimed += claim_lane(lanes, &lanes->lanes[i], claims + claimed, room - claimed);
		else
			note_due(lanes, lanes->lanes[i].due_at);
	}
	return claimed;
}

/*
 * Claim what is due, as long as there is room beside what is under way.  Returns the
 * claims, in the current context; they may be sent after a commit, to disk.
 */
Claim *
flex_lanes_claim(Lanes *lanes, int under_way, int *count)
{
	int room = (int) Min((int64) (concurrency() - under_way), lanes->requests_left);
	bool were_known = lanes->lanes_at != 0;
	Claim *claims;

	*count = 0;
	if (lanes->requests_left == 0 || !flex_settings.delivery)
		return NULL;
	look_at_lanes(lanes);
	claims = palloc(sizeof(Claim) * Max(room, 1));
	*count = claim_lanes(lanes, claims, room);
	lanes->requests_left -= *count;
	if (*count > 0)
		return claims;
	/* What was known of the lanes is used up: look again, at once if it was not new. */
	flex_lanes_forget(lanes);
	if (were_known)
		flex_lanes_look_now(lanes);
	return claims;
}
