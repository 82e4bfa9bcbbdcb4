/*
 * rules.h
 *	  What the published documents cannot say of a kind of resource.
 */
#ifndef SIMULATOR_RULES_H
#define SIMULATOR_RULES_H

#include <json-c/json.h>
#include <stdbool.h>

#include "request.h"
#include "store.h"

/* A resource that is being made or changed. */
typedef struct Change
{
	Request *request;
	const Kind *kind;
	Resource *owner;      /* of the list, or NULL */
	json_object *members; /* as they will be stored */
	Resource *resource;   /* NULL before it is stored */
} Change;

/* Amends or refuses a change: false when the request's answer is a refusal. */
typedef bool (*Effect)(Change *change);

typedef struct Rule
{
	const char *shape;       /* of the collection's path */
	const char *sid_member;  /* where no path says it */
	const char *alias;       /* member that serves as a name in paths, too */
	const char *name_prefix; /* of names that are no SIDs */
	bool named_by_client;    /* as the member that names it was sent */
	const char *same_as;     /* shape of the collection whose resources it shows */
	const char *fixed;       /* JSON of what a new one has; "XX*" makes a SID */
	Effect before_create;
	Effect after_create;
	Effect before_update;
	Effect after_update;
	bool hides_inactive; /* lists do, unless IncludeInactive is true */
} Rule;

extern const Rule *rules_for(const char *shape);

#endif
