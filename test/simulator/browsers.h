/*
 * browsers.h
 *	  Requests of customers' browsers, with an access token.
 */
#ifndef SIMULATOR_BROWSERS_H
#define SIMULATOR_BROWSERS_H

#include "request.h"

extern bool is_preflight(const Request *request);
extern void answer_preflight(Request *request);
extern void allow_origin(Request *request);
extern bool carries_token(const Request *request);
extern bool check_token(Request *request);
extern bool check_conversation(Request *request);

#endif
