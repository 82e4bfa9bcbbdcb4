/*
 * flex_api.c
 *		The front door: what PostgreSQL looks for when it loads the library.
 */
#include "postgres.h"

#include "fmgr.h"

#include "settings.h"
#include "versions.h"

FLEX_MODULE_MAGIC("flex_api", FLEX_API_VERSION);

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	flex_settings_define();
}
