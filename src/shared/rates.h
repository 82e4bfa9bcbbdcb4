/*
 * rates.h
 *		How many requests may be sent: by the limits that are set, and as the service lets through.
 */
#ifndef FLEX_RATES_H
#define FLEX_RATES_H

/* What has a rate of its own: an account's use of an operation. */
typedef struct RateKey
{
	uint64 account;         /* a hash of its name */
	char name[NAMEDATALEN]; /* its SID or, where that is not known, the API key; "": neither */
	int operation;          /* its index in the catalogue, or that of another with which it shares a rate */
} RateKey;

#define NO_RATE_LIMIT 0.0

typedef struct Rates Rates;

/* Of the memory that sessions share; see shared/registry.h. */
extern Size flex_rates_size(void);
extern void flex_rates_set_up(Rates *memory, bool is_new);

extern RateKey flex_rates_key(const char *account, int operation);

/* For what nobody waits for: the limit that is set binds it, too. */
extern int flex_rates_take(RateKey key, double limit, int wanted);
extern void flex_rates_give_back(RateKey key, int count);
extern int64 flex_rates_wait_ms(RateKey key, double limit);

/* For a call that somebody waits for. */
extern bool flex_rates_take_turn(RateKey key);
extern int64 flex_rates_turn_ms(RateKey key);
extern void flex_rates_spend(RateKey key);

/* What became of a request; times are of flex_clock_us(). */
extern void flex_rates_note_passed(RateKey key, int64 sent_at);
extern void flex_rates_note_refused(RateKey key, int64 sent_at, int64 pause_ms);
extern void flex_rates_pause(RateKey key, int64 pause_ms);
extern bool flex_rates_is_hopeless(RateKey key, int64 patience_ms);

/* What is known of a key, for those that look at it. */
typedef struct RateRow
{
	RateKey key;
	double learned_rate; /* requests per second, by what was refused; 0: none is known */
	int sendable;        /* requests that may be sent at once; PG_INT32_MAX: any number */
	int64 held_ms;       /* nothing may be sent for so long; 0: that is not so */
	bool is_asked_to;    /* ... as the service has asked, and not because it refuses everything */
	int64 throttled;     /* requests that were answered with 429 */
} RateRow;

/* The limit per second that is set for a key. */
typedef double (*RateLimit)(RateKey key);

extern int flex_rates_capacity(void);
extern bool flex_rates_read(int index, RateLimit limit, RateRow *row);

#endif /* FLEX_RATES_H */
