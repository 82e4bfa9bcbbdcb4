/*
 * way.h
 *		The ways in which requests are made, as in the column "way" of the views flex_stat_*.
 */
#ifndef FLEX_WAY_H
#define FLEX_WAY_H

typedef enum Way
{
	WAY_CALL,    /* an operation's function */
	WAY_LIST,    /* an operation's function that returns a list */
	WAY_MANY,    /* flex_call_many() */
	WAY_FOREIGN, /* a foreign table */
	WAY_OUTBOX,  /* a sender of the outbox */
	WAY_REQUEST  /* flex_request() and flex_request_list() */
} Way;

/* Return the name of a way in SQL. */
static inline const char *
flex_way_name(Way way)
{
	static const char *const names[] = {"call", "list", "many", "foreign", "outbox", "request"};

	Assert((unsigned) way < lengthof(names));
	return names[way];
}

#define WAYS 6 /* number of ways */

#endif /* FLEX_WAY_H */
