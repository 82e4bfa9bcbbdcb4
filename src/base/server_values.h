/*
 * server_values.h
 *		The server's values of settings, which ALTER ROLE replaces when a process connects.
 */
#ifndef FLEX_SERVER_VALUES_H
#define FLEX_SERVER_VALUES_H

typedef struct ServerValues ServerValues;

extern ServerValues *flex_server_values_note(void);
extern bool flex_server_values_are_replaced(void);
extern void flex_server_values_restore(const ServerValues *values);
extern void flex_server_values_free(ServerValues *values);

#endif /* FLEX_SERVER_VALUES_H */
