/*
 * checks.h
 *	  What the service refuses before it looks at any resource.
 */
#ifndef SIMULATOR_CHECKS_H
#define SIMULATOR_CHECKS_H

#include "request.h"

#define DEFAULT_PAGE_SIZE 50
#define MAX_PAGE_SIZE 1000

extern bool check_request(Request *request);
extern bool refuse(Request *request, int status, int code, const char *parameter, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
extern bool is_paging(const Operation *operation, const Pair *pair);
extern bool refuse_missing(Request *request);

#endif
