/*
 * pending_counts.c
 *		How many requests each role has waiting in an outbox: an upper bound.
 *
 * The bound is the last count of the table's rows plus everything enqueued since it began.
 * Requests that are sent or rolled back do not lower it, so it costs nothing to maintain;
 * when it reaches the quota, the rows are counted again.  It is too low only by requests of
 * other transactions that were in progress during the count; those are added at the commit.
 *
 * The counts are in shared memory if there is any (segment.c); otherwise each session knows
 * of its own requests only.  The memory is a set-associative cache: a key's hash selects a
 * set, and if all places of the set are taken, the least recently used one is replaced.
 * The role that it belonged to has to be counted again.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "storage/spin.h"
#include "utils/memutils.h"

#include "shared/pending_counts.h"

#define SETS 128
#define PLACES_PER_SET 8
#define OWN_AT_FIRST 4 /* roles for which there is memory at first for what a transaction has added */

/* A place for the count of a key. */
typedef struct Place
{
	PendingKey key;
	uint64 used; /* the set's "uses" when this was last used; 0: the place is free */
	int64 added; /* requests added since the key has this place; only grows */
	PendingCount count;
} Place;

typedef struct PlaceSet
{
	slock_t lock;
	uint64 counts; /* counts begun so far: source of PendingCount.number */
	uint64 uses;   /* clock of the replacement */
	Place places[PLACES_PER_SET];
} PlaceSet;

/* Segment.size */
static Size
size_of(bool is_shared)
{
	return sizeof(PlaceSet) * SETS;
}

/* Segment.initialize */
static void
initialize(void *memory, bool is_shared)
{
	PlaceSet *sets = memory;

	memset(sets, 0, size_of(is_shared));
	for (int i = 0; i < SETS; i++)
		SpinLockInit(&sets[i].lock);
}

Segment flex_pending_counts_segment = {
	.name = "flex_api " FLEX_API_VERSION " pending",
	.size = size_of,
	.initialize = initialize,
};

/* Return the set of a key; *is_shared says whether all sessions see it.  May raise an error for lack of memory. */
static PlaceSet *
set_of(const PendingKey *key, bool *is_shared)
{
	PlaceSet *sets = flex_segment_find(&flex_pending_counts_segment, is_shared);
	uint32 hash = hash_combine(murmurhash32(key->database), murmurhash32(key->table));

	return &sets[hash_combine(hash, murmurhash32((uint32) key->role_id)) % SETS];
}

static bool
is_same(const PendingKey *a, const PendingKey *b)
{
	return a->database == b->database && a->table == b->table && a->role_id == b->role_id;
}

/* Return the place of a key, or NULL.  The caller holds the set's lock. */
static Place *
find_place(PlaceSet *set, const PendingKey *key)
{
	for (int i = 0; i < PLACES_PER_SET; i++)
	{
		Place *place = &set->places[i];

		if (place->used != 0 && is_same(&place->key, key))
			return place;
	}
	return NULL;
}

/* The same, but if the key has no place, assign the least recently used one to it. */
static Place *
take_place(PlaceSet *set, const PendingKey *key)
{
	Place *place = find_place(set, key);

	if (place != NULL)
		return place;
	place = set->places;
	for (int i = 1; i < PLACES_PER_SET; i++)
	{
		if (set->places[i].used < place->used)
			place = &set->places[i];
	}
	*place = (Place){.key = *key, .used = ++set->uses, .count.most = -1};
	return place;
}

/* Copy the count of a place, with what was added since it began. */
static void
copy_count(Place *place, PendingCount *count)
{
	*count = place->count;
	count->added = place->added - place->count.before;
}

/*
 * Copy what is known of a role, and return true; false if nothing is.  *is_shared is set
 * to whether it includes what other sessions enqueue.
 */
bool
flex_pending_counts_find(const PendingKey *key, PendingCount *count, bool *is_shared)
{
	PlaceSet *set = set_of(key, is_shared);
	Place *place;

	SpinLockAcquire(&set->lock);
	place = find_place(set, key);
	if (place != NULL)
	{
		place->used = ++set->uses;
		copy_count(place, count);
	}
	SpinLockRelease(&set->lock);
	return place != NULL;
}

/*
 * What the current transaction has added of a role.  If another session counts the rows before this
 * transaction commits, it does not see them, and they have to be added to its count, too.
 */
typedef struct Own
{
	PendingKey key;
	uint64 number; /* of the count that the requests were added to */
	int64 requests;
} Own;

static Own *own; /* of all roles; NULL: not allocated yet */
static int own_count;
static int own_room;

/*
 * Note that a role's requests are about to be counted.  Requests that are added from now on,
 * including those of transactions that commit, may not be seen by the count's snapshot, so
 * they are added to its result.  Sets the fields number and before of *count.
 */
void
flex_pending_counts_begin(const PendingKey *key, PendingCount *count)
{
	bool is_shared;
	PlaceSet *set = set_of(key, &is_shared);
	Place *place;

	SpinLockAcquire(&set->lock);
	place = take_place(set, key);
	count->number = place->count.number = ++set->counts;
	count->before = place->added;
	SpinLockRelease(&set->lock);
}

/*
 * Store the result of a count, which includes the requests of the current transaction, and
 * set count->added to what was added since the count began.
 */
void
flex_pending_counts_note(const PendingKey *key, PendingCount *count)
{
	bool is_shared;
	PlaceSet *set = set_of(key, &is_shared);
	uint64 number = count->number;
	Place *place;

	Assert(number != 0);
	SpinLockAcquire(&set->lock);
	place = take_place(set, key);
	/* If another count has begun since, transactions that commit now add their requests for that one. */
	count->number = Max(count->number, place->count.number);
	/* The place may have been assigned to another key in the meantime, and again to this one. */
	count->before = Min(count->before, place->added);
	place->count = *count;
	place->used = ++set->uses;
	copy_count(place, count);
	SpinLockRelease(&set->lock);
	for (int i = 0; i < own_count; i++)
	{
		if (is_same(&own[i].key, key))
			own[i].number = number;
	}
}

/*
 * Add requests to the count of a role, unless the count has the given number and so includes
 * them already.  Return the number of the count; 0 if there is none.
 */
static uint64
add(const PendingKey *key, int64 requests, int64 last_id, uint64 unless)
{
	bool is_shared;
	PlaceSet *set = set_of(key, &is_shared);
	uint64 number = 0;
	Place *place;

	SpinLockAcquire(&set->lock);
	place = find_place(set, key);
	if (place != NULL)
	{
		number = place->count.number;
		if (number != unless)
			place->added += requests;
		place->count.last_id = Max(place->count.last_id, last_id);
	}
	SpinLockRelease(&set->lock);
	return number;
}

/* Transaction callback: add the requests again to counts that were made before they were visible. */
static void
add_again(XactEvent event, void *argument)
{
	for (int i = 0; i < own_count && (event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE); i++)
		(void) add(&own[i].key, own[i].requests, 0, own[i].number);
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		own_count = 0;
}

/* Return what the current transaction has added of a role, at first nothing.  May raise an error for lack of memory. */
static Own *
own_of(const PendingKey *key)
{
	for (int i = 0; i < own_count; i++)
	{
		if (is_same(&own[i].key, key))
			return &own[i];
	}
	if (own_count == own_room)
	{
		int room = Max(own_room * 2, OWN_AT_FIRST);

		own =
			own != NULL ? repalloc(own, sizeof(Own) * room) : MemoryContextAlloc(TopMemoryContext, sizeof(Own) * room);
		own_room = room;
	}
	own[own_count] = (Own){.key = *key};
	return &own[own_count++];
}

/* Note that the current transaction has enqueued requests of a role, the last of which has the id last_id. */
void
flex_pending_counts_add(const PendingKey *key, int64 requests, int64 last_id)
{
	static bool is_registered = false;
	Own *mine;
	uint64 number;

	if (!is_registered)
		RegisterXactCallback(add_again, NULL);
	is_registered = true;
	mine = own_of(key);
	number = add(key, requests, last_id, 0);
	/* Another session has counted since the last time. */
	if (mine->requests != 0 && mine->number != number)
		(void) add(key, mine->requests, 0, mine->number);
	mine->number = number;
	mine->requests += requests;
}
