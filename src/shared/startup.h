/*
 * startup.h
 *		Requests shared memory while the postmaster starts.
 */
#ifndef FLEX_STARTUP_H
#define FLEX_STARTUP_H

extern void flex_startup_request(void);

#endif /* FLEX_STARTUP_H */
