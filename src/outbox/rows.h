/*
 * rows.h
 *		Decisions about single requests, and the note of the last drain.
 */
#ifndef FLEX_ROWS_H
#define FLEX_ROWS_H

#include "utils/jsonb.h"

extern int64 flex_outbox_find_key(Oid role, int role_id, const char *unique_key);
extern const char *flex_outbox_decide(int64 id, Oid role, const char *role_name, bool retry, char **to_send);
extern int flex_outbox_hurry_mended(void);
extern const char *flex_outbox_confirm(int64 id, Oid role, const char *role_name, Jsonb *response);
extern void flex_outbox_note_drain(bool is_worker);
extern bool flex_outbox_was_drained(void);

#endif /* FLEX_ROWS_H */
