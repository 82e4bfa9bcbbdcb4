/*
 * attempt.h
 *		Calls a function in a subtransaction, and returns its error.
 */
#ifndef FLEX_ATTEMPT_H
#define FLEX_ATTEMPT_H

extern ErrorData *flex_attempt(void (*step)(void *argument), void *argument);

#endif /* FLEX_ATTEMPT_H */
