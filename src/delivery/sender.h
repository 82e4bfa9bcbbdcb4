/*
 * sender.h
 *		The main loop of a sender, which is a background worker or a drain.
 */
#ifndef FLEX_SENDER_H
#define FLEX_SENDER_H

#include "delivery/in_flight.h"
#include "delivery/transaction.h"

typedef struct Sender Sender;

extern Sender *flex_sender_create(const Driver *driver, int64 max_requests, bool is_worker);
extern DeliveryCounts flex_sender_counts(const Sender *sender);
extern void flex_sender_run(Sender *sender);
extern long flex_sender_idle_ms(const Sender *sender);

#endif /* FLEX_SENDER_H */
