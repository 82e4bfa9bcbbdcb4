/*
 * access_token.h
 *	  Access tokens, with which browsers and apps reach the service.
 */
#ifndef SIMULATOR_ACCESS_TOKEN_H
#define SIMULATOR_ACCESS_TOKEN_H

#include "accounts.h"

/* What is wrong with a token, by the codes that Twilio's error pages give it. */
typedef enum TokenFault
{
	TOKEN_GOOD = 0,
	TOKEN_INVALID = 20101,
	TOKEN_EXPIRED = 20104,
	TOKEN_NOT_YET_VALID = 20105,
	TOKEN_BADLY_SIGNED = 20107
} TokenFault;

extern TokenFault token_check(const char *token, const Credential **key, char **identity);

#endif
