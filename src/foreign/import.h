/*
 * import.h
 *		IMPORT FOREIGN SCHEMA.
 */
#ifndef FLEX_IMPORT_H
#define FLEX_IMPORT_H

#include "nodes/parsenodes.h"

extern List *flex_import_schema(ImportForeignSchemaStmt *statement, Oid server);

#endif /* FLEX_IMPORT_H */
