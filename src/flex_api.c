/*
 * flex_api.c
 *		The front door: what PostgreSQL looks for when it loads the library.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "barrier.h"
#include "effective.h"
#include "limits.h"
#include "roster.h"
#include "settings.h"
#include "versions.h"
#include "worker.h"

FLEX_MODULE_MAGIC("flex_api", FLEX_API_VERSION);

extern PGDLLEXPORT void _PG_init(void);

/* Called once a process; in the postmaster where we are preloaded. */
void
_PG_init(void)
{
	flex_effective_note_placeholders();
	flex_settings_define();
	flex_limits_define();
	flex_effective_note_parameters();
	MarkGUCPrefixReserved("flex_api");
	/* pg_upgrade starts the servers, too: nothing may be sent from there. */
	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
		return;
	flex_roster_request();
	flex_workers_register();
	flex_barrier_install();
}
