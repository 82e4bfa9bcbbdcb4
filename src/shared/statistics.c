/*
 * statistics.c
 *		Cumulative statistics of requests, by role, database, operation and way.
 *
 * There is one table of fixed size, in shared memory if there is any (segment.c).  Counting
 * takes only the spinlock of the entry.  The table's LWLock is taken to search for a key
 * (shared), to assign an entry to another key (exclusive), and by readers (shared); it is
 * always taken before a spinlock.  Each process remembers the entries that it has used, so
 * it rarely has to search.
 *
 * If all entries are taken, the least recently used one is replaced.  A role that has more
 * than its share of the table replaces one of its own, so it cannot displace the others.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "storage/spin.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/compat.h"
#include "shared/statistics.h"

#define ENTRIES 1024      /* 2.6 MB */
#define ENTRIES_ALONE 128 /* of a session that shares nothing */
#define SHARE 8           /* a role that has more than 1/SHARE of a full table replaces its own entries */
#define REMEMBERED 64     /* places that a process remembers */

#define TRANCHE_NAME "FlexApiStatistics"

/*
 * The counts of a key.  An entry that has never had a key is not initialized, so that a session
 * with a table of its own does not touch all of its memory.
 */
typedef struct Entry
{
	slock_t lock;  /* protects what follows; id and key change under the table's lock, too */
	uint64 id;     /* new for each assignment of the entry to a key; 0: unused */
	uint32 hash;   /* of the key */
	int64 used_at; /* flex_clock_us() */
	StatisticsKey key;
	StatisticsCounts counts;
	pg_atomic_uint64 histogram[HISTOGRAM_BUCKETS]; /* atomic because it is read without the spinlock */
} Entry;

typedef struct Table
{
	LWLock lock; /* held exclusively to change which key an entry has */
	int tranche; /* of the lock */
	int capacity;
	int begun; /* number of entries, from the first on, that have been initialized */
	uint64 last_id;
	Entry entries[FLEXIBLE_ARRAY_MEMBER];
} Table;

/* Segment.size */
static Size
size_of(bool is_shared)
{
	return offsetof(Table, entries) + sizeof(Entry) * (is_shared ? ENTRIES : ENTRIES_ALONE);
}

/* Segment.initialize */
static void
initialize(void *memory, bool is_shared)
{
	Table *table = memory;

	memset(table, 0, offsetof(Table, entries));
	table->capacity = is_shared ? ENTRIES : ENTRIES_ALONE;
	table->tranche = flex_new_tranche(TRANCHE_NAME);
	LWLockInitialize(&table->lock, table->tranche);
}

Segment flex_statistics_segment = {
	.name = "flex_api " FLEX_API_VERSION " statistics",
	.size = size_of,
	.initialize = initialize,
};

/* Return the table.  May raise an error for lack of memory when this process calls it first. */
static Table *
find_table(void)
{
	static int registered = 0;
	bool is_shared;
	Table *table = flex_segment_find(&flex_statistics_segment, &is_shared);

	if (registered != table->tranche)
	{
		registered = table->tranche;
		flex_register_tranche(registered, TRANCHE_NAME);
	}
	return table;
}

/* Return the key of a place, with its padding zeroed. */
static StatisticsKey
key_of(const StatisticsPlace *place)
{
	StatisticsKey key;

	memset(&key, 0, sizeof(key));
	key.role = place->role;
	key.database = MyDatabaseId;
	key.way = place->way;
	strlcpy(key.operation, place->operation, sizeof(key.operation));
	return key;
}

static uint32
hash_of(const StatisticsKey *key)
{
	return hash_bytes((const unsigned char *) key, sizeof(StatisticsKey));
}

/* Return the index of the entry of a key, or -1.  The caller holds the table's lock. */
static int
search(const Table *table, const StatisticsKey *key, uint32 hash)
{
	Assert(LWLockHeldByMe(&((Table *) table)->lock));
	for (int i = 0; i < table->begun; i++)
	{
		const Entry *entry = &table->entries[i];

		if (entry->hash == hash && entry->id != 0 && memcmp(&entry->key, key, sizeof(StatisticsKey)) == 0)
			return i;
	}
	return -1;
}

/* Return an entry that no key has, or -1.  The caller holds the table's lock. */
static int
unused_entry(Table *table)
{
	Entry *entry;

	Assert(LWLockHeldByMeInMode(&table->lock, LW_EXCLUSIVE));
	for (int i = 0; i < table->begun; i++)
	{
		if (table->entries[i].id == 0)
			return i;
	}
	if (table->begun == table->capacity)
		return -1;
	entry = &table->entries[table->begun];
	SpinLockInit(&entry->lock);
	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		pg_atomic_init_u64(&entry->histogram[i], 0);
	return table->begun++;
}

/* Choose the entry to replace for a new key of a role, when all are in use.  The caller holds the table's lock. */
static int
least_recent_entry(const Table *table, Oid role)
{
	int oldest = 0;
	int oldest_own = -1;
	int own = 0;

	Assert(LWLockHeldByMeInMode(&((Table *) table)->lock, LW_EXCLUSIVE));
	Assert(table->begun == table->capacity);
	for (int i = 0; i < table->begun; i++)
	{
		const Entry *entry = &table->entries[i];

		if (entry->used_at < table->entries[oldest].used_at)
			oldest = i;
		if (entry->key.role != role)
			continue;
		own++;
		if (oldest_own < 0 || entry->used_at < table->entries[oldest_own].used_at)
			oldest_own = i;
	}
	return own > table->capacity / SHARE ? oldest_own : oldest;
}

/*
 * Zero the counts of an entry and assign it to a key, or mark it unused if key is NULL.  The
 * caller holds the table's lock exclusively.
 */
static void
clear_entry(Table *table, Entry *entry, const StatisticsKey *key, uint32 hash)
{
	Assert(LWLockHeldByMeInMode(&table->lock, LW_EXCLUSIVE));
	SpinLockAcquire(&entry->lock);
	entry->id = key != NULL ? ++table->last_id : 0;
	entry->hash = hash;
	entry->used_at = flex_clock_us();
	memset(&entry->counts, 0, sizeof(StatisticsCounts));
	memset(&entry->key, 0, sizeof(StatisticsKey));
	if (key != NULL)
		entry->key = *key;
	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		pg_atomic_write_u64(&entry->histogram[i], 0);
	SpinLockRelease(&entry->lock);
}

/* Return the index of the entry of a key, to which one is assigned if necessary. */
static int
search_or_enter(Table *table, const StatisticsKey *key)
{
	uint32 hash = hash_of(key);
	int index;

	LWLockAcquire(&table->lock, LW_SHARED);
	index = search(table, key, hash);
	LWLockRelease(&table->lock);
	if (index >= 0)
		return index;
	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	index = search(table, key, hash);
	if (index < 0)
	{
		index = unused_entry(table);
		if (index < 0)
			index = least_recent_entry(table, key->role);
		clear_entry(table, &table->entries[index], key, hash);
		table->entries[index].counts.since = GetCurrentTimestamp();
	}
	LWLockRelease(&table->lock);
	return index;
}

/* Find the entry of a place's key. */
static void
look_up(Table *table, StatisticsPlace *place)
{
	StatisticsKey key = key_of(place);

	place->entry = search_or_enter(table, &key);
	/* The lock has been released.  If the entry has another key by now, lock_entry() will notice. */
	place->id = table->entries[place->entry].id;
}

/*
 * Return the place where a request of a role in this database will be counted.  operation
 * must live as long as the process, because places are remembered by its address.  Raises
 * an error if there is no memory for the table.
 */
StatisticsPlace
flex_statistics_find(Oid role, Way way, const char *operation)
{
	static StatisticsPlace remembered[REMEMBERED];
	Table *table = find_table();
	uint32 slot =
		(murmurhash32((uint32) role) ^ murmurhash32((uint32) (uintptr_t) operation) ^ (uint32) way) % REMEMBERED;
	StatisticsPlace *place = &remembered[slot];

	Assert(OidIsValid(role) && operation != NULL);
	/* The id is read without a lock.  If it is out of date, lock_entry() will notice. */
	if (place->role != role || place->way != way || place->operation != operation ||
		table->entries[place->entry].id != place->id)
	{
		*place = (StatisticsPlace){.role = role, .way = way, .operation = operation};
		look_up(table, place);
	}
	return *place;
}

/*
 * Lock the entry of a place and return it.  If the entry has been assigned to another key,
 * look the place up again, but only once: NULL if that has happened again already.
 */
static Entry *
lock_entry(Table *table, StatisticsPlace *place)
{
	for (int i = 0; i < 2; i++)
	{
		Entry *entry = &table->entries[place->entry];

		SpinLockAcquire(&entry->lock);
		if (entry->id == place->id)
			return entry;
		SpinLockRelease(&entry->lock);
		look_up(table, place);
	}
	return NULL;
}

/* Add the duration of the latest of so many requests, by Welford's method. */
static void
add_duration(StatisticsCounts *counts, int64 requests, double ms)
{
	double difference = ms - counts->mean_ms;

	Assert(requests > 0);
	counts->total_ms += ms;
	counts->min_ms = requests == 1 ? ms : Min(counts->min_ms, ms);
	counts->max_ms = requests == 1 ? ms : Max(counts->max_ms, ms);
	counts->mean_ms += difference / (double) requests;
	counts->sum_of_squares += difference * (ms - counts->mean_ms);
}

/* Return the number of requests that were counted. */
int64
flex_statistics_requests(const StatisticsCounts *counts)
{
	int64 requests = 0;

	for (int i = 0; i < ENDINGS; i++)
		requests += counts->endings[i];
	return requests;
}

/* Count a request that has ended. */
void
flex_statistics_count(StatisticsPlace *place, const RequestEnd *end)
{
	int bucket = flex_histogram_bucket(end->elapsed_us);
	int64 now = flex_clock_us();
	Entry *entry;

	if (place->operation == NULL || (entry = lock_entry(find_table(), place)) == NULL)
		return;
	entry->used_at = now;
	entry->counts.endings[end->ending]++;
	entry->counts.repeats += end->is_repeat ? 1 : 0;
	entry->counts.bytes_sent += end->bytes_sent;
	entry->counts.bytes_received += end->bytes_received;
	add_duration(&entry->counts, flex_statistics_requests(&entry->counts), (double) end->elapsed_us / 1000);
	pg_atomic_write_u64(&entry->histogram[bucket], pg_atomic_read_u64(&entry->histogram[bucket]) + 1);
	SpinLockRelease(&entry->lock);
}

/* Count rows that were received in an answer. */
void
flex_statistics_count_rows(StatisticsPlace *place, int64 rows)
{
	Entry *entry;

	if (rows == 0 || place->operation == NULL || (entry = lock_entry(find_table(), place)) == NULL)
		return;
	entry->counts.rows += rows;
	SpinLockRelease(&entry->lock);
}

/* Return the number of entries that flex_statistics_read() can be asked for: those that have had a key. */
int
flex_statistics_entries(void)
{
	return find_table()->begun;
}

/* Copy an entry; return false if it is unused. */
bool
flex_statistics_read(int index, StatisticsRow *row)
{
	Table *table = find_table();
	Entry *entry;
	bool is_used;

	Assert(index >= 0 && index < table->begun);
	entry = &table->entries[index];
	LWLockAcquire(&table->lock, LW_SHARED);
	SpinLockAcquire(&entry->lock);
	is_used = entry->id != 0;
	row->key = entry->key;
	row->counts = entry->counts;
	SpinLockRelease(&entry->lock);
	/* Requests counted since then may be included, which does not matter for a quantile. */
	for (int i = 0; is_used && i < HISTOGRAM_BUCKETS; i++)
		row->histogram[i] = pg_atomic_read_u64(&entry->histogram[i]);
	LWLockRelease(&table->lock);
	return is_used;
}

/* The same without locks: for the last process, because one that was killed may have left a spinlock held. */
bool
flex_statistics_read_alone(int index, StatisticsRow *row)
{
	const Entry *entry = &find_table()->entries[index];

	row->key = entry->key;
	row->counts = entry->counts;
	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		row->histogram[i] = pg_atomic_read_u64((pg_atomic_uint64 *) &entry->histogram[i]);
	return entry->id != 0;
}

/* Put a row into an unused entry; return false if there is none. */
bool
flex_statistics_restore(const StatisticsRow *row)
{
	Table *table = find_table();
	int index;

	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	index = unused_entry(table);
	if (index >= 0)
	{
		Entry *entry = &table->entries[index];

		clear_entry(table, entry, &row->key, hash_of(&row->key));
		entry->counts = row->counts;
		for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
			pg_atomic_write_u64(&entry->histogram[i], row->histogram[i]);
	}
	LWLockRelease(&table->lock);
	return index >= 0;
}

/* Mark all entries unused.  A request that is under way will be counted in a new entry when it ends. */
void
flex_statistics_reset(void)
{
	Table *table = find_table();

	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	for (int i = 0; i < table->begun; i++)
	{
		if (table->entries[i].id != 0)
			clear_entry(table, &table->entries[i], NULL, 0);
	}
	LWLockRelease(&table->lock);
}
