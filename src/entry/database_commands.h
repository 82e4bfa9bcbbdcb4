/*
 * database_commands.h
 *		Keeps workers out of databases to which nobody may be connected.
 */
#ifndef FLEX_DATABASE_COMMANDS_H
#define FLEX_DATABASE_COMMANDS_H

extern void flex_database_commands_install(void);

#endif /* FLEX_DATABASE_COMMANDS_H */
