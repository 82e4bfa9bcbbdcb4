/*
 * attempt.h
 *		A step that may fail, in a subtransaction.
 */
#ifndef FLEX_ATTEMPT_H
#define FLEX_ATTEMPT_H

extern ErrorData *flex_attempt(void (*step)(void *argument), void *argument);

#endif /* FLEX_ATTEMPT_H */
