/*
 * pending_counts.c
 *		How many requests of each role wait in an outbox, for all we know.
 *
 * A count of the tables' rows, and all that was enqueued since that began: that is too low by
 * what others have under way alone, and costs nothing to keep.  What another transaction had not
 * committed when the rows were counted is added when it does.  It is in shared memory where
 * there is some; else each session knows of its own.
 *
 * A key has its place in the set that its hash names; where all of a set are taken, the one
 * that was used least recently is given away, and has to be counted again.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "storage/spin.h"

#include "shared/pending_counts.h"

#define SETS 128
#define PLACES_PER_SET 8
#define ROLES_KEPT 4 /* of a transaction, and what it has added for each */

typedef struct Place
{
	PendingKey key;
	uint64 used; /* the number of the set's use that was its last; 0: never */
	int64 added; /* requests, since it is this key's: never less */
	PendingCount count;
} Place;

typedef struct PlaceSet
{
	slock_t lock;
	uint64 counts; /* that have begun here */
	uint64 uses;
	Place places[PLACES_PER_SET];
} PlaceSet;

static Size
size_of(bool is_shared)
{
	return sizeof(PlaceSet) * SETS;
}

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

/* The set that a key's place is in. */
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

/* The place of a key; NULL: it has none.  The set's lock is held. */
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

/* The same, with the one that was used least recently for a key that has none. */
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

/* Tell what is known, with what was added since. */
static void
copy_count(Place *place, PendingCount *count)
{
	*count = place->count;
	count->added = place->added - place->count.before;
}

/* What is known of a role; false: nothing.  is_shared: all sessions add what they enqueue. */
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

/* What this transaction has added: another that counts meanwhile does not see it. */
static struct
{
	PendingKey key;
	uint64 number; /* of the count that it was added to */
	int64 requests;
} own[ROLES_KEPT];
static int own_count;

/*
 * A role's requests are about to be counted.  What is added from now on, by transactions that
 * commit, too, may not be seen, and counts beside it.
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

/* They have been counted, those of this transaction included; adds what was added meanwhile. */
void
flex_pending_counts_note(const PendingKey *key, PendingCount *count)
{
	bool is_shared;
	PlaceSet *set = set_of(key, &is_shared);
	uint64 number = count->number;
	Place *place;

	SpinLockAcquire(&set->lock);
	place = take_place(set, key);
	/* Another may have begun since: what commits now is added for that one. */
	count->number = Max(count->number, place->count.number);
	/* It may have been given away meanwhile. */
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

/* Add requests to what is known of a role, unless that is the count of this number.  Returns its number, 0: nothing is known. */
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

/* The transaction ends: what has been counted since it added something did not see that. */
static void
add_again(XactEvent event, void *argument)
{
	for (int i = 0; i < own_count && (event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE); i++)
		(void) add(&own[i].key, own[i].requests, 0, own[i].number);
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		own_count = 0;
}

/* This transaction has enqueued requests of a role, the last of which has this id. */
void
flex_pending_counts_add(const PendingKey *key, int64 requests, int64 last_id)
{
	static bool is_registered = false;
	uint64 number = add(key, requests, last_id, 0);

	if (!is_registered)
		RegisterXactCallback(add_again, NULL);
	is_registered = true;
	for (int i = 0; i < own_count; i++)
	{
		if (!is_same(&own[i].key, key))
			continue;
		/* Another has counted since then. */
		if (own[i].number != number)
			own[i].number = add(key, own[i].requests, 0, own[i].number);
		own[i].requests += requests;
		return;
	}
	if (own_count == ROLES_KEPT)
		own_count--;
	own[own_count].key = *key;
	own[own_count].number = number;
	own[own_count++].requests = requests;
}
