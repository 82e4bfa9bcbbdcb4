/*
 * agenda.h
 *	  What is to happen to interactions later.
 */
#ifndef SIMULATOR_AGENDA_H
#define SIMULATOR_AGENDA_H

#include "identifiers.h"
#include "store.h"

/* Names a channel without holding it: it may be gone by then. */
typedef struct Appointment
{
	int64_t due_us; /* of the simulated clock */
	Account *account;
	char interaction[SID_LENGTH + 1];
	char channel[SID_LENGTH + 1];
	json_object *steps; /* of a script; NULL where only a setup ends */
	size_t step;
} Appointment;

extern void agenda_start(void);
extern void agenda_stop(void);
extern void agenda_add(const Resource *channel, int64_t due_us, json_object *steps, size_t step);
extern void agenda_clear(void);
extern void agenda_wake(void);

#endif
