/*
 * roles.h
 *		The numbers that identify roles in the outbox's tables.
 */
#ifndef FLEX_ROLES_H
#define FLEX_ROLES_H

/*
 * SQL expressions: the OID of the role with a number, or NULL if none in this cluster has it yet; and
 * the number of a role.
 */
#define ROLE_OF_ID(id) "(SELECT m.role FROM $t.flex_outbox_role_oids AS m WHERE m.id = " id ")"
#define ID_OF_ROLE(role) "(SELECT m.id FROM $t.flex_outbox_role_oids AS m WHERE m.role = " role ")"

extern int flex_outbox_known_role(Oid role);
extern int flex_outbox_find_role(Oid role, const char *name);
extern int flex_outbox_make_role(Oid role, const char *name);
extern void flex_outbox_refresh_roles(void);

#endif /* FLEX_ROLES_H */
