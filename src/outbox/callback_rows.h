/*
 * callback_rows.h
 *		Callbacks that have not run without error: the rows of flex_outbox_callbacks.
 */
#ifndef FLEX_CALLBACK_ROWS_H
#define FLEX_CALLBACK_ROWS_H

#include "datatype/timestamp.h"

/* A claimed callback.  The members from "role" on, except the two noted, are set when it is begun. */
typedef struct Callback
{
	int64 id; /* of the request; set by the claim */
	Oid role;
	char *function;       /* qualified name */
	Oid owner;            /* owner of the function at the enqueueing; InvalidOid: unknown */
	int attempts;         /* this one included; set by the claim */
	TimestampTz again_at; /* when it is due again if this process fails; set by the claim, and identifies it */
	char *state;          /* state of the request */
	int role_id;          /* role of the request */
	char *ordering_key;   /* or NULL */
	Datum row;            /* the request's row of the view flex_outbox, in SPI's result */
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
