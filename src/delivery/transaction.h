/*
 * transaction.h
 *		A sender's transactions, in which the outbox is read and written.
 */
#ifndef FLEX_TRANSACTION_H
#define FLEX_TRANSACTION_H

#include "outbox/access.h"

/*
 * How a sender begins and ends transactions, which differs between a background worker and a
 * procedure.  Between begin and commit, SPI is connected.
 */
typedef struct Driver
{
	void (*begin)(void);
	void (*commit)(void);
	void (*roll_back)(void); /* after an error, instead of commit */
	void (*check)(void);     /* called periodically; raises an error if the sender has to stop; may be NULL */
	long check_ms;           /* longest wait between two calls of check; 0 if there is no limit */
} Driver;

typedef struct Transaction
{
	const Driver *driver;
	MemoryContext outside; /* current between transactions */
	MemoryContext inside;  /* current in a transaction, and reset after it */
	OutboxAccess access;
	bool must_be_durable; /* the present transaction claims requests */
	bool needs_standby;   /* just before the last commit, commits waited for a synchronous standby */
} Transaction;

extern Transaction *flex_transaction_create(const Driver *driver);
extern void flex_transaction_check_at_once(void);
extern void flex_transaction_begin(Transaction *transaction);
extern void flex_transaction_make_durable(Transaction *transaction);
extern void flex_transaction_commit(Transaction *transaction);
extern void flex_transaction_check_replicated(const Transaction *transaction);
extern void flex_transaction_roll_back(Transaction *transaction);

#endif /* FLEX_TRANSACTION_H */
