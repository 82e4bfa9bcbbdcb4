/*
 * commands.h
 *	  What can be asked for under /_simulator/.
 */
#ifndef SIMULATOR_COMMANDS_H
#define SIMULATOR_COMMANDS_H

#include <json-c/json.h>
#include <stdbool.h>

#include "answer.h"
#include "problem.h"

/* One thing that can be asked for. */
typedef struct Command
{
	const char *method; /* NULL ends a table */
	const char *name;
	bool (*run)(json_object *wish, Answer *answer);
	bool takes_array; /* as well as an object */
} Command;

extern const Command state_commands[];       /* what accounts have */
extern const Command interaction_commands[]; /* how interactions go on */
extern const Command traffic_commands[];     /* what comes and goes */

extern bool complain(Answer *answer, const char *problem, const char *what);
extern bool complain_of(Answer *answer, const Problem *problem);
extern bool answer_nothing(Answer *answer);

#endif
