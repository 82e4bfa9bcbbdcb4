/*
 * scripts.h
 *	  How interactions go on by themselves.
 */
#ifndef SIMULATOR_SCRIPTS_H
#define SIMULATOR_SCRIPTS_H

#include "agenda.h"
#include "problem.h"
#include "text.h"

extern bool scripts_set(json_object *wish, Problem *problem);
extern void scripts_clear(void);
extern void scripts_write(Text *text);
extern void script_begin(Resource *channel);
extern void script_continue(const Appointment *appointment);

#endif
