/*
 * batch.h
 *		The requests of the outbox that a sender has under way.
 */
#ifndef FLEX_BATCH_H
#define FLEX_BATCH_H

#include "lib/ilist.h"

#include "outbox.h"
#include "signature.h"

/* Which of a batch's requests are settled. */
typedef enum SettleScope
{
	SETTLE_OVER,   /* those that are over */
	SETTLE_ALL,    /* also those under way, which are given up */
	SETTLE_AT_ONCE /* all, in a moment: answers that take longer are not read */
} SettleScope;

typedef struct Batch
{
	dlist_head sendings;
	int count;
	bool had_callbacks;    /* some of what was settled */
	MemoryContext context; /* that the requests' own are under */
} Batch;

extern void flex_batch_add(Batch *batch, const Claim *claim, const Signature *signature);
extern void flex_batch_confirm(Batch *batch);
extern void flex_batch_start(Batch *batch);
extern long flex_batch_pump(Batch *batch);
extern bool flex_batch_any_over(Batch *batch);
extern int flex_batch_settle(Batch *batch, SettleScope scope);
extern void flex_batch_end_settled(Batch *batch);
extern void flex_batch_end_unclaimed(Batch *batch);
extern void flex_batch_end_all(Batch *batch);
extern bool flex_batch_had_callbacks(Batch *batch);

#endif /* FLEX_BATCH_H */
