/*
 * insertion.h
 *		Insertion of new requests into the outbox's table.
 */
#ifndef FLEX_INSERTION_H
#define FLEX_INSERTION_H

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

#include "base/compat.h"

/* A request to be inserted.  A pointer that is NULL becomes a NULL column. */
typedef struct NewRequest
{
	const char *operation;
	Jsonb *arguments;
	Jsonb *context;
	const char *on_success;
	const char *on_failure;
	Oid on_success_owner; /* owner of the function; InvalidOid without such a callback */
	Oid on_failure_owner;
	const char *account_sid;
	const char *server; /* a foreign server's name; "": none; NULL: the sender's */
	const char *unique_key;
	const char *ordering_key;
	TimestampTz run_at;
	TimestampTz expires_at; /* 0: never */
	int priority;
	int max_attempts;
	const char *enqueued_by;
	Oid enqueued_role;
	int role_id; /* number of enqueued_role in flex_outbox_roles; 0 in tables of the first version */
} NewRequest;

pg_noreturn extern void flex_outbox_refuse_row(void);
extern void flex_outbox_insert(const NewRequest *requests, int count, int64 *ids);

#endif /* FLEX_INSERTION_H */
