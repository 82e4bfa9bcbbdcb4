/*
 * pace.h
 *		A rate that follows a limit which nobody has told us.
 *
 * A pure calculation: the time is an argument everywhere, in microseconds of one clock
 * that never goes back, and is never 0.
 */
#ifndef FLEX_PACE_H
#define FLEX_PACE_H

#define PACE_SLOTS 9 /* eight make a second; the ninth is the one that is being left */
#define PACE_FEW 4
#define PACE_MOST_RATE 1e6 /* per second: as good as no limit */

/* All zeroes: nothing has been refused, and nothing is held back. */
typedef struct Pace
{
	/* What got through: per eighth of a second, the last of which is passed_slot. */
	int64 passed_slot;
	int32 passed[PACE_SLOTS];
	int64 passed_at[PACE_FEW]; /* the last ones, the oldest first; 0: none */

	/* The last fall of the rate. */
	int64 fell_at;     /* 0: never */
	double before;     /* requests per second that got through until then */
	double after;      /* what it fell to */
	bool has_passed;   /* a request that was sent since then got through */
	int64 refused_for; /* when a refusal came first since the last request that got through; 0: none has */

	/* Requests that may be sent. */
	double tokens;
	int64 filled_at;

	/* While everything is refused: one request at a time, as a probe. */
	int64 probe_at; /* 0: that is not so */
	int64 probe_interval;

	int64 paused_until; /* as the service has asked */
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
