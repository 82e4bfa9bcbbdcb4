/*
 * callback_rows.h
 *		Callbacks that are due: the rows of flex_outbox_callbacks.
 */
#ifndef FLEX_CALLBACK_ROWS_H
#define FLEX_CALLBACK_ROWS_H

#include "datatype/timestamp.h"

/* A callback that is due, with the row it is called with. */
typedef struct Callback
{
	int64 id;
	Oid role;
	char *function;       /* qualified name */
	Oid owner;            /* of the function, when it was named; InvalidOid: unknown */
	int attempts;         /* this one included */
	TimestampTz again_at; /* when it is due again, if nobody settles it: known to its claimer alone */
	char *state;          /* that the request has now */
	int role_id;          /* of the request */
	char *ordering_key;   /* or NULL */
	Datum row;
	Oid row_type;
} Callback;

/* A role that has callbacks to run, and when the first of them is due. */
typedef struct CallbackRole
{
	Oid role;
	TimestampTz due_at;
} CallbackRole;

extern CallbackRole *flex_outbox_callback_roles(int *count);
extern bool flex_outbox_claim_callback(Oid role, Callback *callback);
extern bool flex_outbox_begin_callback(Callback *callback);
extern bool flex_outbox_callback_is_claimed(const Callback *callback);
extern void flex_outbox_end_callback(const Callback *callback);
extern void flex_outbox_fail_callback(const Callback *callback, const char *error, TimestampTz again_at);
extern TimestampTz flex_outbox_next_callback(Oid role);

#endif /* FLEX_CALLBACK_ROWS_H */
