/*
 * kinds.h
 *	  Kinds of resources, derived from the routes: one for each path that
 *	  holds a collection, such as /v1/Interactions/{}/Channels.
 */
#ifndef SIMULATOR_KINDS_H
#define SIMULATOR_KINDS_H

#include "facts.h"

struct Rule;

typedef struct Kind
{
	int number;
	const char *shape; /* the collection's path, {} for values */
	const char *word;  /* its last segment, in snake_case */
	const Schema *schema;
	const char *sid_member; /* sid, assessment_sid, ... */
	char sid_prefix[3];     /* empty where resources are made by others */
	const char *list_key;
	const struct Kind *parent; /* whose resources own such collections */
	const struct Rule *rule;   /* never NULL */
	bool managed_elsewhere;    /* no operation makes or lists them: any SID of the right form exists */
	bool anonymous;            /* no path is about one of them: they own collections, and any of them exists */
} Kind;

extern void kinds_derive(void);
extern int kinds_count(void);
extern const Kind *kinds_get(int number);
extern const Kind *kinds_of_shape(const char *shape);
extern const Kind *kinds_named(const char *name);

#endif
