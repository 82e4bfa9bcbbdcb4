/*
 * only_libcurl.c
 *	  A module for PostgreSQL that does nothing, and is linked with libcurl as flex_api is: what it
 *	  takes to load it is the dynamic loader's, and libcurl's.
 */
#include "postgres.h"

#include "fmgr.h"

PG_MODULE_MAGIC;
