/*
 * openapi.h
 *	  The operations that are served, as an OpenAPI document.
 */
#ifndef SIMULATOR_OPENAPI_H
#define SIMULATOR_OPENAPI_H

#include "text.h"

extern void openapi_write(Text *text, const char *base);

#endif
