/*
 * mending.c
 *		Notices that an operator may have mended what keeps requests from being made.
 *
 * Missing credentials and settings that contradict each other are mended by a reload
 * of the configuration, by a new credentials file, or by what is done to foreign servers,
 * user mappings and the rights on them.  The first is told to the process; the file and
 * the catalog are looked at once a second while a request of this process waits.  What an
 * operator has to do is said once a minute.  What is seen when a request is on its way
 * only is for holds.c.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "delivery/mending.h"
#include "http/credentials_file.h"

#define LOOK_MS 1000
#define WARNING_MS 60000

static bool awaits;             /* a request has not been made since the last notice */
static bool noticed;            /* nobody has acted on the notice yet */
static TimestampTz reloaded_at; /* PgReloadTime that was seen last */
static uint64 file_version;     /* of the credentials file, the same */
static uint64 catalog_version;  /* goes up with each change of a server, a mapping or a membership */
static uint64 catalog_seen;     /* the one that was seen last */
static int64 looked_at;         /* flex_clock_ms() of the last look */
static int64 warned_at;         /* the same of the last warning; 0: never */

/* The catalog has changed: callback of the system cache, which must do little. */
static void
note_catalog_change(Datum argument, int cache, uint32 hash)
{
	catalog_version++;
}

/* Have changes of the catalog noted, once. */
static void
watch_catalog(void)
{
	static const int caches[] = {FOREIGNSERVEROID, USERMAPPINGOID, AUTHMEMROLEMEM};
	static bool is_watched = false;

	for (size_t i = 0; !is_watched && i < lengthof(caches); i++)
		CacheRegisterSyscacheCallback(caches[i], note_catalog_change, (Datum) 0);
	is_watched = true;
}

/* Take notice of what other sessions have committed to the catalog. */
static void
look_at_catalog(void)
{
	MemoryContext before = CurrentMemoryContext;

	if (IsTransactionState())
		AcceptInvalidationMessages();
	else
	{
		/* Its beginning does. */
		StartTransactionCommand();
		CommitTransactionCommand();
		MemoryContextSwitchTo(before);
	}
}

/* From now on changes count. */
void
flex_mending_begin(void)
{
	watch_catalog();
	awaits = false;
	noticed = false;
	reloaded_at = PgReloadTime;
	file_version = flex_credentials_file_version();
	catalog_seen = catalog_version;
}

/* A request could not be made for a reason that an operator can mend. */
void
flex_mending_await(const ErrorData *error)
{
	awaits = true;
	if (warned_at != 0 && flex_clock_ms() - warned_at < WARNING_MS)
		return;
	warned_at = flex_clock_ms();
	ereport(WARNING, (errcode(error->sqlerrcode), errmsg("requests of the Flex API outbox wait for an operator"),
					  error->message ? errdetail_internal("%s", error->message) : 0,
					  error->hint ? errhint("%s", error->hint) : 0));
}

/* A request waits for what is set, of which nobody need be told. */
void
flex_mending_expect(void)
{
	awaits = true;
}

/* Milliseconds until flex_mending_is_noticed() is to be asked. */
long
flex_mending_look_ms(void)
{
	return awaits && !noticed ? (long) Max(looked_at + LOOK_MS - flex_clock_ms(), 0) : PG_INT32_MAX;
}

/* True when something may have been mended, until flex_mending_take_notice(). */
bool
flex_mending_is_noticed(void)
{
	if (!awaits)
	{
		reloaded_at = PgReloadTime;
		catalog_seen = catalog_version;
	}
	if (!awaits || noticed)
		return noticed;
	noticed = reloaded_at != PgReloadTime;
	if (flex_mending_look_ms() == 0)
	{
		looked_at = flex_clock_ms();
		look_at_catalog();
		noticed |= file_version != flex_credentials_file_version() || catalog_seen != catalog_version;
	}
	return noticed;
}

/* The same, once: the caller has what has waited tried again. */
bool
flex_mending_take_notice(void)
{
	if (!flex_mending_is_noticed())
		return false;
	flex_mending_begin();
	return true;
}
