/*
 * mending.c
 *		Notices that an operator may have mended what keeps requests from being made.
 *
 * Missing credentials and settings that contradict each other are mended by a reload
 * of the configuration or by a new credentials file.  The first is told to the process;
 * the file is looked at once a second while a request of this process waits.  What an
 * operator has to do is said once a minute.
 */
#include "postgres.h"

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
static int64 looked_at;         /* flex_clock_ms() of the last look */
static int64 warned_at;         /* the same of the last warning; 0: never */

/* From now on changes count. */
void
flex_mending_begin(void)
{
	awaits = false;
	noticed = false;
	reloaded_at = PgReloadTime;
	file_version = flex_credentials_file_version();
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
		reloaded_at = PgReloadTime;
	if (!awaits || noticed)
		return noticed;
	noticed = reloaded_at != PgReloadTime;
	if (flex_mending_look_ms() == 0)
	{
		looked_at = flex_clock_ms();
		noticed |= file_version != flex_credentials_file_version();
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
