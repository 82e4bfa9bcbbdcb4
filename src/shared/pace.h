/*
 * pace.h
 *		A rate that adapts to a rate limit which the service does not disclose.
 *
 * Pure computation, without a clock of its own.  Every time is an argument, in microseconds
 * of one monotonic clock, and is never 0; durations are in microseconds, too.
 */
#ifndef FLEX_PACE_H
#define FLEX_PACE_H

#define PACE_SLOTS 9       /* eight make a second; a part of the ninth, the oldest, completes the current one */
#define PACE_FEW 4         /* fewer requests than this within a second do not tell a rate */
#define PACE_MOST_RATE 1e6 /* per second: as good as no limit */

/* All zeroes is a valid state: nothing has been refused, and nothing is held back. */
typedef struct Pace
{
	/* Accepted requests, in a ring of slots of an eighth of a second each. */
	int64 passed_slot;         /* number of the newest slot: time / SLOT */
	int32 passed[PACE_SLOTS];  /* indexed by the number of the slot modulo PACE_SLOTS */
	int64 passed_at[PACE_FEW]; /* times of the last accepted requests, the oldest first; 0: none */

	/* The last reduction of the rate ("fall"). */
	int64 fell_at;     /* 0: never */
	double before;     /* requests per second that were accepted before it */
	double after;      /* the rate that it was reduced to */
	bool has_passed;   /* a request sent after it was accepted */
	int64 refused_for; /* time of the first refusal since a request was last accepted; 0: none */

	/* Token bucket of the requests that may be sent. */
	double tokens;
	int64 filled_at;

	/* While everything is refused, single requests are sent as probes. */
	int64 probe_at;       /* when the next one may be sent; 0: not probing */
	int64 probe_interval; /* grows with each probe that is refused */

	int64 paused_until; /* nothing may be sent before, at the service's request */
} Pace;

extern void flex_pace_note_passed(Pace *pace, int64 sent_at, int64 now);
extern void flex_pace_note_refused(Pace *pace, int64 sent_at, int64 pause, int64 now);
extern void flex_pace_pause(Pace *pace, int64 pause, int64 now);
extern int flex_pace_take(Pace *pace, int wanted, int64 now);
extern void flex_pace_debit(Pace *pace, int64 now);
extern void flex_pace_give_back(Pace *pace, int count, int64 now);
extern int64 flex_pace_next_at(const Pace *pace, int64 now);
extern double flex_pace_rate(const Pace *pace, int64 now);

#endif /* FLEX_PACE_H */
