/*
 * access.h
 *		Location, version and locks of the outbox's tables, and the rights with which they are used.
 */
#ifndef FLEX_ACCESS_H
#define FLEX_ACCESS_H

/* What flex_outbox_leave() restores. */
typedef struct OutboxAccess
{
	Oid user;       /* current user of the caller */
	int security;   /* and its security context */
	int nest_level; /* of the settings that were changed */
} OutboxAccess;

extern Oid flex_outbox_schema(bool missing_ok);
extern Oid flex_outbox_table(void);
extern Oid flex_outbox_file(void);
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
