/*
 * sender.h
 *	  Sends a request's answer in the way that the answer wants.
 */
#ifndef SIMULATOR_SENDER_H
#define SIMULATOR_SENDER_H

#include "request.h"

extern enum MHD_Result send_answer(Request *request, bool tls, int concurrent);

#endif
