/*
 * queue.h
 *		Which of the outbox's requests are sent next, and when.
 */
#ifndef FLEX_QUEUE_H
#define FLEX_QUEUE_H

#include "batch.h"

typedef struct Queue Queue;

extern Queue *flex_queue_create(int64 max_requests);
extern int flex_queue_claim(Queue *queue, Batch *batch, int under_way);
extern bool flex_queue_may_claim(Queue *queue, int under_way);
extern bool flex_queue_is_full(int under_way);
extern bool flex_queue_waits_for_rate(const Queue *queue);
extern TimestampTz flex_queue_next_at(const Queue *queue);
extern void flex_queue_look_now(Queue *queue);
extern void flex_queue_put_off(Queue *queue, int64 ms);
extern void flex_queue_forget(Queue *queue);

#endif /* FLEX_QUEUE_H */
