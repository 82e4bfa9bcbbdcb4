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

/* What the process shares with the sender that has started it.  The sender may read the plain fields after its exit. */
typedef struct CallbackShare
{
	Oid database;
	Oid role;
	pg_atomic_uint32 asked;    /* how many times the sender has asked the process to look for callbacks */
	pg_atomic_uint32 answered; /* value of asked before the last look; equal to asked if no callback is left to run */
	pg_atomic_uint32 runs;     /* number of callbacks that have ended */
	pg_atomic_uint32 leave;    /* 1 if the process has been told to end */
	bool has_left;             /* the main loop has returned: no error ended it */
	bool ended_in_callback;    /* the process exited while a callback, or its commit, was running */
	bool was_stubborn;         /* ... because the callback did not react to being cancelled */
	Callback running;          /* the last callback that was claimed; of use are id, attempts and again_at */
} CallbackShare;

extern Helper *flex_callback_process_start(Oid role);
extern void flex_callback_process_ask(const Helper *process);
extern bool flex_callback_process_is_busy(const Helper *process);
extern ErrorData *flex_callback_process_failure(const Helper *process, MemoryContext context);
extern void flex_callback_process_dismiss(const Helper *process);
extern void flex_callback_process_run(CallbackShare *share, const Driver *driver);

#endif /* FLEX_CALLBACK_PROCESS_H */
