/*
 * expiring_rows.h
 *		Requests that expire, if they have not been sent.
 */
#ifndef FLEX_EXPIRING_ROWS_H
#define FLEX_EXPIRING_ROWS_H

#include "datatype/timestamp.h"

/* A request with a time at which it expires. */
typedef struct ExpiringRow
{
	TimestampTz expires_at;
	int64 id;
	int turn;        /* of the request, when it got this time */
	bool is_over;    /* the time has come */
	bool is_pending; /* and the request, with this time still, has not come to its end */
} ExpiringRow;

extern void flex_expiring_add(TimestampTz expires_at, const int64 *ids, int count, int turn);
extern ExpiringRow *flex_expiring_rows(const ExpiringRow *behind, TimestampTz now, int most, int *count);
extern void flex_expiring_delete(const ExpiringRow *rows, int count);
extern void flex_expiring_forget(Datum ids);

#endif /* FLEX_EXPIRING_ROWS_H */
