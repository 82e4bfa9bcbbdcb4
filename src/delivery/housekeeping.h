/*
 * housekeeping.h
 *		What senders that are gone have left, and the roles' names.
 */
#ifndef FLEX_HOUSEKEEPING_H
#define FLEX_HOUSEKEEPING_H

extern bool flex_housekeeping_run(bool with_own, uint64 claims_from);

#endif /* FLEX_HOUSEKEEPING_H */
