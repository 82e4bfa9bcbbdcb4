/*
 * rates.h
 *		Rate limiting: by the limits that are set, and by what the service accepts.
 */
#ifndef FLEX_RATES_H
#define FLEX_RATES_H

#include "shared/segment.h"

/* Each pair of an account and an operation has a rate of its own. */
typedef struct RateKey
{
	uint64 account;         /* hash of the account's name; compared instead of it */
	char name[NAMEDATALEN]; /* the account's SID or, if that is not known, the API key; "": neither */
	int operation;          /* index in the catalogue, of the operation or of another with which it shares its rate */
} RateKey;

#define NO_RATE_LIMIT 0.0

extern Segment flex_rates_segment;

extern RateKey flex_rates_key(const char *account, int operation);

/* For requests of the outbox, for which no statement waits: the limit that is set holds for them. */
extern int flex_rates_take(RateKey key, double limit, int wanted);
extern void flex_rates_give_back(RateKey key, int count);
extern int64 flex_rates_wait_ms(RateKey key, double limit);

/* For requests of a statement that waits for the answer: only what the service accepts limits them. */
extern bool flex_rates_take_turn(RateKey key);
extern int64 flex_rates_turn_ms(RateKey key);
extern void flex_rates_spend(RateKey key);

/* How the service answered.  sent_at is by flex_clock_us(). */
extern void flex_rates_note_passed(RateKey key, int64 sent_at);
extern void flex_rates_note_refused(RateKey key, int64 sent_at, int64 pause_ms);
extern void flex_rates_pause(RateKey key, int64 pause_ms);
extern bool flex_rates_is_hopeless(RateKey key, int64 patience_ms);

/* The state of a key, for a view. */
typedef struct RateRow
{
	RateKey key;
	double learned_rate; /* requests per second, learned from refusals; 0: none is known */
	int sendable;        /* requests that may be sent at once; PG_INT32_MAX: any number */
	int64 held_ms;       /* nothing may be sent for this time; 0: not held back */
	bool is_asked_to;    /* the service asked for that pause; otherwise it refuses everything */
	int64 throttled;     /* requests that were answered with 429 */
} RateRow;

/* Returns the limit per second that is set for a key; NO_RATE_LIMIT: none; negative: nothing may be sent. */
typedef double (*RateLimit)(RateKey key);

extern int flex_rates_capacity(void);
extern bool flex_rates_read(int index, RateLimit limit, RateRow *row);

#endif /* FLEX_RATES_H */
