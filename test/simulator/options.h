/*
 * options.h
 *	  The command line's options, and those of the settings that the control
 *	  interface may change while the simulator runs.
 */
#ifndef SIMULATOR_OPTIONS_H
#define SIMULATOR_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Options
{
	const char *address; /* where to serve */
	int64_t port;
	int64_t threads;
	const char *tls_cert; /* file names */
	const char *tls_key;
	const char *facts;    /* directory */
	const char *samples;  /* file beside the program */
	const char *accounts; /* file; instead of these: */
	const char *account;
	const char *token;
	const char *key;
	const char *secret;
	const char *journal;
	const char *load;
	const char *save;
	bool until_stdin_closes;
	bool webhooks_anywhere;
	int64_t setup_ms; /* what follows may change */
	bool record;
	bool rate_limits;
	bool public_urls;
} Options;

extern Options options;

extern bool options_read(int count, char **arguments);

#endif
