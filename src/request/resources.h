/*
 * resources.h
 *		The resources of the Flex API: their operations and keys.
 */
#ifndef FLEX_RESOURCES_H
#define FLEX_RESOURCES_H

#include "request/catalogue.h"

typedef enum ResourceOperation
{
	RESOURCE_LIST,
	RESOURCE_FETCH,
	RESOURCE_CREATE,
	RESOURCE_UPDATE,
	RESOURCE_DELETE
} ResourceOperation;

#define RESOURCE_OPERATIONS (RESOURCE_DELETE + 1)

typedef struct Resource
{
	const char *name; /* of the foreign table */
	const char *key;  /* column and argument that identify a row to fetch, update or delete; NULL: there is none */
	const char *operations[RESOURCE_OPERATIONS]; /* names; NULL: the service has no such operation */
} Resource;

extern const Resource *flex_resource_find(const char *name);
extern const Resource *flex_resource_at(int index);
extern const char *flex_resource_closest(const char *name);
extern const Operation *flex_resource_operation(const Resource *resource, ResourceOperation which);

#endif /* FLEX_RESOURCES_H */
