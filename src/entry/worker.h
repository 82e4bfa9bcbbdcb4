/*
 * worker.h
 *		The background workers that send the requests of the outboxes, and their launcher.
 */
#ifndef FLEX_WORKER_H
#define FLEX_WORKER_H

extern void flex_workers_register(void);

#endif /* FLEX_WORKER_H */
