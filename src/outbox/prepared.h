/*
 * prepared.h
 *		Detection of prepared transactions that may have enqueued requests.
 */
#ifndef FLEX_PREPARED_H
#define FLEX_PREPARED_H

extern bool flex_outbox_awaits_prepared(void);

#endif /* FLEX_PREPARED_H */
