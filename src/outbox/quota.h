/*
 * quota.h
 *		The limit of waiting requests per role: flex_api.outbox_quota.
 */
#ifndef FLEX_QUOTA_H
#define FLEX_QUOTA_H

#include "base/compat.h"

extern bool flex_quota_admits(int role_id, int64 requests);
pg_noreturn extern void flex_quota_refuse(int role_id, const char *role_name, int64 requests);
extern void flex_quota_note(int role_id, const int64 *ids, int count);

#endif /* FLEX_QUOTA_H */
