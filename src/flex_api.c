/*
 * flex_api.c
 *		The front door: what PostgreSQL looks for when it loads the library.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "base/compat.h"
#include "base/effective.h"
#include "base/setting_names.h"
#include "base/settings.h"
#include "base/tracking.h"
#include "delivery/guarded_call.h"
#include "delivery/rate_limits.h"
#include "entry/database_commands.h"
#include "entry/setting_hints.h"
#include "entry/worker.h"
#include "shared/startup.h"

FLEX_MODULE_MAGIC("flex_api", FLEX_API_VERSION);

extern PGDLLEXPORT void _PG_init(void);

/* Called once a process; in the postmaster where we are preloaded. */
void
_PG_init(void)
{
	flex_effective_note_placeholders();
	flex_settings_define();
	flex_tracking_define();
	flex_rate_limits_define();
	flex_effective_note_parameters();
	flex_settings_reserve_prefix();
	flex_setting_hints_install();
	flex_guarded_call_register();
	/* pg_upgrade starts the servers, too: nothing may be sent from there. */
	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
		return;
	flex_startup_request();
	flex_workers_register();
	flex_database_commands_install();
}
