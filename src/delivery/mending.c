/*
 * mending.c
 *		Notices that an operator may have mended what keeps requests from being made.
 *
 * Missing credentials and contradictory settings are mended by a reload of the configuration,
 * by a new credentials file, or by changes of foreign servers, user mappings and the rights on
 * them.  A reload is signalled to the process; the file and the catalog are checked once per
 * second while a request of this process waits.  At most once per minute, a warning tells what
 * an operator has to do.  Problems that are found only when a request is sent are the subject
 * of holds.c.
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

static bool awaits;             /* a request waits for an operator, and nothing has been noticed since */
static bool noticed;            /* a change has been noticed, but flex_mending_take_notice() not been called since */
static TimestampTz reloaded_at; /* PgReloadTime at the last check */
static uint64 file_version;     /* of the credentials file, at the last flex_mending_begin() */
static uint64 catalog_version;  /* incremented at each change of a server, a mapping or a membership */
static uint64 catalog_seen;     /* catalog_version at the last check */
static int64 looked_at;         /* flex_clock_ms() of the last check of the file and the catalog */
static int64 warned_at;         /* flex_clock_ms() of the last warning, or 0 */

/* Syscache callback: the catalog has changed. */
static void
note_catalog_change(Datum argument, int cache, uint32 hash)
{
	catalog_version++;
}

/* Register the syscache callbacks, if that has not been done before. */
static void
watch_catalog(void)
{
	static const int caches[] = {FOREIGNSERVEROID, USERMAPPINGOID, AUTHMEMROLEMEM};
	static bool is_watched = false;

	for (size_t i = 0; !is_watched && i < lengthof(caches); i++)
		CacheRegisterSyscacheCallback(caches[i], note_catalog_change, (Datum) 0);
	is_watched = true;
}

/* Process invalidation messages, so that note_catalog_change() is called for what others have committed. */
static void
look_at_catalog(void)
{
	MemoryContext before = CurrentMemoryContext;

	if (IsTransactionState())
		AcceptInvalidationMessages();
	else
	{
		/* StartTransactionCommand() processes them. */
		StartTransactionCommand();
		CommitTransactionCommand();
		MemoryContextSwitchTo(before);
	}
}

/* Forget what has been noticed: only changes from now on count. */
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

/* Note that a request could not be made because of an error that an operator can mend, and warn. */
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

/* Note that a request waits for a change of the configuration, without a warning. */
void
flex_mending_expect(void)
{
	awaits = true;
}

/* Return the milliseconds until flex_mending_is_noticed() should be called. */
long
flex_mending_look_ms(void)
{
	return awaits && !noticed ? (long) Max(looked_at + LOOK_MS - flex_clock_ms(), 0) : PG_INT32_MAX;
}

/* Return true if a request waits and something may have been mended, until flex_mending_take_notice() is called. */
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

/* Return the same, but only once per change: if true, the caller has to try the waiting requests again. */
bool
flex_mending_take_notice(void)
{
	if (!flex_mending_is_noticed())
		return false;
	flex_mending_begin();
	return true;
}
