/*
 * fault_names.h
 *	  Faults by name, and what a fault may say.
 */
#ifndef SIMULATOR_FAULT_NAMES_H
#define SIMULATOR_FAULT_NAMES_H

#include <json-c/json.h>
#include <stdbool.h>

#include "problem.h"

extern bool fault_check(json_object *fault, Problem *problem);
extern json_object *fault_expand(json_object *fault);

#endif
