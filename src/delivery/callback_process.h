/*
 * callback_process.h
 *		A background worker that runs the callbacks of one role.
 */
#ifndef FLEX_CALLBACK_PROCESS_H
#define FLEX_CALLBACK_PROCESS_H

#include "port/atomics.h"

#include "delivery/transaction.h"
#include "outbox/callback_rows.h"
#include "shared/helper.h"

/* What the process shares with the sender that has started it. */
typedef struct CallbackShare
{
	Oid database;
	Oid role;
	pg_atomic_uint32 asked;    /* how many times the sender has asked it to look */
	pg_atomic_uint32 answered; /* asked, before a look that found no callback due */
	pg_atomic_uint32 runs;     /* callbacks that have come to their end */
	pg_atomic_uint32 leave;    /* 1: other roles wait for their turn */
	/* For the sender, after the process has ended. */
	bool has_left;          /* by itself */
	bool ended_in_callback; /* in the middle of one */
	bool was_stubborn;      /* because that could not be cancelled */
	Callback running;       /* its id, attempts and again_at */
} CallbackShare;

extern Helper *flex_callback_process_start(Oid role);
extern void flex_callback_process_ask(const Helper *process);
extern bool flex_callback_process_is_busy(const Helper *process);
extern ErrorData *flex_callback_process_failure(const Helper *process, MemoryContext context);
extern void flex_callback_process_dismiss(const Helper *process);
extern void flex_callback_process_run(CallbackShare *share, const Driver *driver);

#endif /* FLEX_CALLBACK_PROCESS_H */
