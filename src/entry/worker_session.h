/*
 * worker_session.h
 *		The database sessions of our background workers.
 */
#ifndef FLEX_WORKER_SESSION_H
#define FLEX_WORKER_SESSION_H

#include "delivery/transaction.h"

extern const Driver flex_worker_driver;

extern void flex_worker_connect(Oid database, const char *activity);
extern void flex_worker_follow_configuration(void);
extern void flex_worker_handle_sigterm(SIGNAL_ARGS);
extern bool flex_worker_finds_outbox(void);

#endif /* FLEX_WORKER_SESSION_H */
