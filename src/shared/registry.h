/*
 * registry.h
 *		Registry of the outbox workers in shared memory: which database has one, and how to wake it.
 */
#ifndef FLEX_REGISTRY_H
#define FLEX_REGISTRY_H

#include "datatype/timestamp.h"
#include "storage/lwlock.h"

extern Size flex_registry_size(void);
extern void flex_registry_set_up(void *memory, LWLock *lock, bool is_new);
extern bool flex_registry_exists(void);

extern bool flex_registry_was_woken(void);
extern bool flex_registry_wake(Oid database);
extern void flex_registry_note_prepared(Oid database);
extern TimestampTz flex_registry_prepared_at(void);
extern void flex_registry_forget_prepared(TimestampTz at);
extern void flex_registry_sign_on_launcher(void);
extern bool flex_registry_sign_on_worker(void);
extern void flex_registry_close(Oid database);
extern Oid flex_registry_next_to_start(int64 *since);
extern void flex_registry_note_crowded_out(Oid database, int64 since);
extern void flex_registry_make_place(void);
extern bool flex_registry_must_leave(void);
extern void flex_registry_set_idle(bool is_idle);
extern void flex_registry_leave(int64 until_needed_ms);
extern bool flex_registry_is_crowded_out(Oid database);
extern long flex_registry_pause_ms(void);
extern bool flex_registry_bar(Oid database, bool barred);
extern bool flex_registry_is_barred(void);
extern pid_t flex_registry_worker(Oid database);
extern pid_t flex_registry_worker_since(Oid database, TimestampTz *since);

#endif /* FLEX_REGISTRY_H */
