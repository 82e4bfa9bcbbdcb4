/*
 * expiring_rows.h
 *		Requests with a time of expiry: the rows of flex_outbox_expiring.
 */
#ifndef FLEX_EXPIRING_ROWS_H
#define FLEX_EXPIRING_ROWS_H

#include "datatype/timestamp.h"

/* A row of flex_outbox_expiring. */
typedef struct ExpiringRow
{
	TimestampTz expires_at;
	int64 id;
	int turn;        /* the request's turn when the row was inserted */
	bool is_over;    /* expires_at has passed */
	bool is_pending; /* is_over, and the request is pending and still has this expires_at */
} ExpiringRow;

extern void flex_expiring_add(TimestampTz expires_at, const int64 *ids, int count, int turn);
extern ExpiringRow *flex_expiring_rows(const ExpiringRow *behind, TimestampTz now, int most, int *count);
extern void flex_expiring_delete(const ExpiringRow *rows, int count);
extern void flex_expiring_forget(Datum ids);

#endif /* FLEX_EXPIRING_ROWS_H */
