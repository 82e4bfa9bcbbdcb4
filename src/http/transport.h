/*
 * transport.h
 *		Transfers under way: start them, wait for them, let go of them.
 *
 * Any number may run at once.  Call flex_transport_wait() until those that
 * matter are done, and release each, also after an error.
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
