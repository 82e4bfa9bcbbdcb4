/*
 * state.h
 *	  All that the accounts have: as JSON, and in the files of --load and --save.
 */
#ifndef SIMULATOR_STATE_H
#define SIMULATOR_STATE_H

#include "problem.h"
#include "text.h"

#include <json-c/json.h>

extern bool state_start(void);
extern void state_reset(void);
extern bool state_load(json_object *state, Problem *problem);
extern void state_write(Text *text);
extern bool state_save(Problem *problem);

#endif
