/*
 * pages.h
 *	  Pages for a browser, under /simulator.
 */
#ifndef SIMULATOR_PAGES_H
#define SIMULATOR_PAGES_H

#include "request.h"

extern bool is_page(const Request *request);
extern void serve_page(Request *request);

#endif
