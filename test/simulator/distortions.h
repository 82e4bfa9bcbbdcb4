/*
 * distortions.h
 *	  Changes of a true answer that a fault may ask for.
 */
#ifndef SIMULATOR_DISTORTIONS_H
#define SIMULATOR_DISTORTIONS_H

#include <json-c/json.h>

#include "request.h"

extern void distort_answer(json_object *fault, Request *request);

#endif
