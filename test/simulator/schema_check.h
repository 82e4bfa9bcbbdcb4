/*
 * schema_check.h
 *	  Whether an object is one that the documents allow.
 */
#ifndef SIMULATOR_SCHEMA_CHECK_H
#define SIMULATOR_SCHEMA_CHECK_H

#include <json-c/json.h>

#include "facts.h"
#include "problem.h"

extern bool check_members(const Schema *schema, json_object *members, Problem *problem);

#endif
