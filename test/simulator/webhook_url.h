/*
 * webhook_url.h
 *	  The URL of a webhook: whether it is a good one, and how to connect.
 */
#ifndef SIMULATOR_WEBHOOK_URL_H
#define SIMULATOR_WEBHOOK_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "problem.h"

/* Failures that can be asked to be tried again. */
typedef enum Failure
{
	FAILURE_NONE = 0,
	FAILURE_CONNECT = 1,
	FAILURE_READ = 2,
	FAILURE_4XX = 4,
	FAILURE_5XX = 8
} Failure;

/* How long to wait, and what to send again. */
typedef struct Connection
{
	int64_t connect_ms;
	int64_t read_ms;
	int64_t total_ms;
	int64_t retries;
	int policy; /* of Failure */
} Connection;

extern bool connection_of(const char *url, Connection *how, Problem *problem);

#endif
