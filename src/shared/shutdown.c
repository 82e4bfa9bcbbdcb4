/*
 * shutdown.c
 *		How long a background worker that was told to end may go on.
 *
 * flex_api.shutdown_grace from the first SIGTERM on: requests on the wire may be
 * answered, and a callback may end.  The postmaster's fast shutdown and
 * pg_terminate_backend() cannot be told apart, and have it both; an immediate shutdown
 * sends no SIGTERM.  A helper whose starter ends it has no such time.
 */
#include "postgres.h"

#include <signal.h>

#include "base/clock.h"
#include "base/settings.h"
#include "shared/helper.h"
#include "shared/shutdown.h"

static volatile sig_atomic_t is_asked;
static int64 asked_at; /* flex_clock_ms(), once is_asked */

/* The process is told to end.  For signal handlers, too. */
void
flex_shutdown_note(void)
{
	if (!is_asked)
		asked_at = flex_clock_ms();
	is_asked = true;
}

/* True when the process has been told to end. */
bool
flex_shutdown_is_asked(void)
{
	return is_asked;
}

/*
 * Milliseconds that are left, if there are so many at most; 0 for a process that was
 * not told to end.  For signal handlers, too.
 */
long
flex_shutdown_grace_ms(int most_ms)
{
	int64 grace = Min(flex_settings.shutdown_grace, most_ms);

	if (!is_asked || flex_helper_must_end())
		return 0;
	return (long) Max(asked_at + grace - flex_clock_ms(), 0);
}
