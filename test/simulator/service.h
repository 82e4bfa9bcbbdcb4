/*
 * service.h
 *	  Carries out one request of the API.
 */
#ifndef SIMULATOR_SERVICE_H
#define SIMULATOR_SERVICE_H

#include "request.h"

extern void service_reset(void);
extern void serve(Request *request);

#endif
