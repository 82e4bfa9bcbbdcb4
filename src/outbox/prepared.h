/*
 * prepared.h
 *		Requests in transactions that are prepared for a two-phase commit.
 */
#ifndef FLEX_PREPARED_H
#define FLEX_PREPARED_H

extern bool flex_outbox_awaits_prepared(void);

#endif /* FLEX_PREPARED_H */
