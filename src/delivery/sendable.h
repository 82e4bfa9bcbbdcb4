/*
 * sendable.h
 *		Whether requests of a role and an account can be made at all.
 */
#ifndef FLEX_SENDABLE_H
#define FLEX_SENDABLE_H

extern bool flex_is_sendable(Oid role, const char *account_sid);

#endif /* FLEX_SENDABLE_H */
