/*
 * sender.h
 *		Sends what is due in the outbox: the engine of worker and drain.
 */
#ifndef FLEX_SENDER_H
#define FLEX_SENDER_H

/*
 * How a sender begins and ends its transactions: a worker and a procedure do
 * it in different ways.  Between begin and commit SPI is connected.
 */
typedef struct Transactions
{
	void (*begin)(void);
	void (*commit)(void);
	void (*rollback)(void); /* after an error, instead of commit */
	void (*check)(void);    /* raises when the sender is to stop; NULL: nothing to check */
} Transactions;

typedef struct Sender Sender;

extern Sender *flex_sender_create(const Transactions *transactions, int64 max_requests, bool is_worker);
extern void flex_sender_run(Sender *sender);
extern long flex_sender_idle_ms(const Sender *sender);

#endif /* FLEX_SENDER_H */
