/*
 * request_table.h
 *		The columns of the table of requests, and whether its rows can be written without an SQL statement.
 */
#ifndef FLEX_REQUEST_TABLE_H
#define FLEX_REQUEST_TABLE_H

#include "utils/relcache.h"
#include "utils/reltrigger.h"

/*
 * The columns of flex_outbox_requests, in their order.  A new row has values in those that are GIVEN,
 * in those that are GIVEN_AT_FIRST only in tables of the first version, and in those that are
 * GIVEN_LATER only in tables of later versions.  OTHER columns of a new row are NULL.
 */
#define REQUEST_COLUMNS(GIVEN, GIVEN_AT_FIRST, GIVEN_LATER, OTHER)                                                     \
	GIVEN(id, INT8OID)                                                                                                 \
	GIVEN(operation, TEXTOID)                                                                                          \
	GIVEN(arguments, JSONBOID)                                                                                         \
	GIVEN(context, JSONBOID)                                                                                           \
	GIVEN(state, TEXTOID)                                                                                              \
	GIVEN(priority, INT4OID)                                                                                           \
	GIVEN(attempts, INT4OID)                                                                                           \
	GIVEN(max_attempts, INT4OID)                                                                                       \
	GIVEN(run_at, TIMESTAMPTZOID)                                                                                      \
	GIVEN(unique_key, TEXTOID)                                                                                         \
	GIVEN(on_success, TEXTOID)                                                                                         \
	GIVEN(on_failure, TEXTOID)                                                                                         \
	GIVEN(account_sid, TEXTOID)                                                                                        \
	GIVEN(enqueued_at, TIMESTAMPTZOID)                                                                                 \
	GIVEN(enqueued_by, NAMEOID)                                                                                        \
	GIVEN_AT_FIRST(enqueued_role, OIDOID)                                                                              \
	GIVEN(enqueued_in, OIDOID)                                                                                         \
	OTHER(started_at, TIMESTAMPTZOID)                                                                                  \
	OTHER(finished_at, TIMESTAMPTZOID)                                                                                 \
	OTHER(http_status, INT4OID)                                                                                        \
	OTHER(error_code, TEXTOID)                                                                                         \
	OTHER(error_message, TEXTOID)                                                                                      \
	OTHER(response, JSONBOID)                                                                                          \
	OTHER(request_id, TEXTOID)                                                                                         \
	GIVEN(may_be_done, BOOLOID)                                                                                        \
	OTHER(sender_pid, INT4OID)                                                                                         \
	OTHER(sender_start, TIMESTAMPTZOID)                                                                                \
	OTHER(outcome, TEXTOID)                                                                                            \
	OTHER(callback_at, TIMESTAMPTZOID)                                                                                 \
	GIVEN_AT_FIRST(callback_attempts, INT4OID)                                                                         \
	OTHER(callback_error, TEXTOID)                                                                                     \
	OTHER(sid, TEXTOID)                                                                                                \
	GIVEN_LATER(role_id, INT4OID)                                                                                      \
	GIVEN_LATER(enqueued_xid, XID8OID)                                                                                 \
	GIVEN_LATER(on_success_owner, OIDOID)                                                                              \
	GIVEN_LATER(on_failure_owner, OIDOID)                                                                              \
	GIVEN_LATER(lane, INT4OID)                                                                                         \
	GIVEN_LATER(turn, INT4OID)                                                                                         \
	GIVEN_LATER(server, TEXTOID)                                                                                       \
	GIVEN_LATER(ordering_key, TEXTOID)                                                                                 \
	OTHER(waits_for, INT8OID)                                                                                          \
	GIVEN_LATER(expires_at, TIMESTAMPTZOID)                                                                            \
	OTHER(reduced_at, TIMESTAMPTZOID)

#define NUMBER_OF_REQUEST_COLUMN(name, type) Anum_flex_outbox_##name,

typedef enum ColumnNumber
{
	Anum_flex_outbox_none,
	REQUEST_COLUMNS(NUMBER_OF_REQUEST_COLUMN, NUMBER_OF_REQUEST_COLUMN, NUMBER_OF_REQUEST_COLUMN,
					NUMBER_OF_REQUEST_COLUMN) Natts_flex_outbox_and_none
} ColumnNumber;

#define Natts_flex_outbox (Natts_flex_outbox_and_none - 1)

extern bool flex_request_table_is_plain(Relation table);
extern bool flex_request_table_fires(const Trigger *trigger);
extern bool flex_request_table_says_pending(Datum state);

#endif /* FLEX_REQUEST_TABLE_H */
