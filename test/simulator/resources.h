/*
 * resources.h
 *	  From parameters to the members of a resource, and to changes of it.
 */
#ifndef SIMULATOR_RESOURCES_H
#define SIMULATOR_RESOURCES_H

#include "rules.h"

extern json_object *resource_blank(Account *account, const Kind *kind, Resource *owner, const char *sid);
extern Resource *resource_create(Request *request, const Kind *kind, Resource *owner);
extern bool resource_update(Request *request, Resource *resource);
extern Resource *resource_on_demand(Request *request, const Kind *kind);

#endif
