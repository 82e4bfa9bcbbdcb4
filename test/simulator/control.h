/*
 * control.h
 *	  The interface through which tests control the simulator.
 */
#ifndef SIMULATOR_CONTROL_H
#define SIMULATOR_CONTROL_H

#include "request.h"

extern bool is_control(const Request *request);
extern void serve_control(Request *request);

#endif
