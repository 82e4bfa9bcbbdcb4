/*
 * faults.h
 *	  Faults that a test asks for: which requests they meet, and what they do.
 */
#ifndef SIMULATOR_FAULTS_H
#define SIMULATOR_FAULTS_H

#include <json-c/json.h>
#include <stdbool.h>

#include "request.h"

extern bool faults_add(json_object *wish, Problem *problem);
extern void faults_clear(void);
extern void faults_write(Text *text);
extern json_object *faults_take(const Request *request);
extern bool fault_lets_through(json_object *fault);
extern void fault_apply(json_object *fault, Request *request);

#endif
