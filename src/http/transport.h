/*
 * transport.h
 *		Concurrent transfers: start them, wait for them, release them.
 *
 * Any number of transfers may run at once.  The caller calls flex_transport_wait() until
 * the transfers that it needs have ended, and must release each transfer, also after an
 * error.
 */
#ifndef FLEX_TRANSPORT_H
#define FLEX_TRANSPORT_H

#include "http/poller.h"
#include "http/transfer.h"

extern Transfer *flex_transport_start(const HttpRequest *request, const Endpoint *endpoint, long timeout_ms);
extern void flex_transport_release(Transfer *transfer);
extern void flex_transport_pump(void);
extern bool flex_transport_wait(long timeout_ms, WaitKind kind);
extern int64 flex_transport_due_at(void);

#endif /* FLEX_TRANSPORT_H */
