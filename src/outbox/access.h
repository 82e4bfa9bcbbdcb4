/*
 * access.h
 *		Where the outbox's tables are, of which version, and with whose rights
 *		they are used.
 */
#ifndef FLEX_ACCESS_H
#define FLEX_ACCESS_H

/*
 * Rights and names while the outbox's tables are being used: those of the
 * extension's owner, with no search_path but the server's own.
 */
typedef struct OutboxAccess
{
	Oid user;
	int security;
	int nest_level;
} OutboxAccess;

extern Oid flex_outbox_schema(bool missing_ok);
extern Oid flex_outbox_table(void);
extern bool flex_outbox_is_of_first_version(void);
extern uint64 flex_outbox_generation(void);
extern Oid flex_outbox_lock_requests(void);
extern void flex_outbox_lock_tables(void);
extern bool flex_outbox_tables_fit(int level);
extern bool flex_outbox_tables_are_known(void);
extern void flex_outbox_enter(OutboxAccess *access);
extern void flex_outbox_enter_to_insert(OutboxAccess *access);
extern void flex_outbox_leave(OutboxAccess *access);

#endif /* FLEX_ACCESS_H */
