/*
 * shutdown.c
 *		How long a background worker may go on after SIGTERM.
 *
 * It has flex_api.shutdown_grace from the first SIGTERM on, in which requests on the wire
 * may still be answered and a callback may finish.  A worker cannot tell a fast shutdown
 * from pg_terminate_backend(), so both grant the same time; an immediate shutdown does not
 * send SIGTERM.  A helper that is terminated by its starter has no such time.
 */
#include "postgres.h"

#include <signal.h>

#include "base/clock.h"
#include "base/settings.h"
#include "shared/helper.h"
#include "shared/shutdown.h"

static volatile sig_atomic_t is_asked;
static int64 asked_at; /* flex_clock_ms(); valid if is_asked */

/* Note that the process has been told to end.  Safe in a signal handler. */
void
flex_shutdown_note(void)
{
	if (!is_asked)
		asked_at = flex_clock_ms();
	is_asked = true;
}

/* Return true if the process has been told to end. */
bool
flex_shutdown_is_asked(void)
{
	return is_asked;
}

/*
 * Return the milliseconds that are left of flex_api.shutdown_grace, or of most_ms if that
 * is less; 0 if the process was not told to end.  Safe in a signal handler.
 */
long
flex_shutdown_grace_ms(int most_ms)
{
	int64 grace = Min(flex_settings.shutdown_grace, most_ms);

	if (!is_asked || flex_helper_must_end())
		return 0;
	return (long) Max(asked_at + grace - flex_clock_ms(), 0);
}
