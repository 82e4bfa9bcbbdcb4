/*
 * transaction.h
 *		A sender's transactions, in which the outbox is read and written.
 */
#ifndef FLEX_TRANSACTION_H
#define FLEX_TRANSACTION_H

#include "outbox/access.h"

/*
 * What drives a sender: a worker and a procedure begin and end transactions in
 * different ways.  Between begin and commit SPI is connected.
 */
typedef struct Driver
{
	void (*begin)(void);
	void (*commit)(void);
	void (*roll_back)(void); /* after an error, instead of commit */
	void (*check)(void);     /* called in each turn; raises when the sender is to stop; NULL: nothing to check */
	long check_ms;           /* the longest wait between two checks; 0: any */
} Driver;

typedef struct Transaction
{
	const Driver *driver;
	MemoryContext outside; /* current between two transactions */
	MemoryContext inside;  /* current in one, and empty after it */
	OutboxAccess access;
	bool must_be_durable; /* it claims requests */
} Transaction;

extern Transaction *flex_transaction_create(const Driver *driver);
extern void flex_transaction_check_at_once(void);
extern void flex_transaction_begin(Transaction *transaction);
extern void flex_transaction_make_durable(Transaction *transaction);
extern void flex_transaction_commit(Transaction *transaction);
extern void flex_transaction_check_replicated(void);
extern void flex_transaction_roll_back(Transaction *transaction);

#endif /* FLEX_TRANSACTION_H */
