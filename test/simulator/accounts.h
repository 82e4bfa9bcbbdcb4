/*
 * accounts.h
 *	  The accounts that the simulator serves, and whose credentials a request
 *	  carries.
 */
#ifndef SIMULATOR_ACCOUNTS_H
#define SIMULATOR_ACCOUNTS_H

#include <stdbool.h>

typedef struct Account
{
	int number; /* from 0 */
	char *sid;
} Account;

extern void accounts_start(void);
extern int accounts_count(void);
extern Account *accounts_get(int number);
extern Account *accounts_default(void);
extern Account *accounts_of_sid(const char *sid);
extern Account *accounts_of_credentials(const char *base64);

#endif
