/*
 * housekeeping.h
 *		What senders that are gone have left, and what is too old.
 */
#ifndef FLEX_HOUSEKEEPING_H
#define FLEX_HOUSEKEEPING_H

extern bool flex_housekeeping_run(bool with_own);

#endif /* FLEX_HOUSEKEEPING_H */
