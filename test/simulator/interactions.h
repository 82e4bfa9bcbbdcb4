/*
 * interactions.h
 *	  Interactions, their channels, and how they go on.
 */
#ifndef SIMULATOR_INTERACTIONS_H
#define SIMULATOR_INTERACTIONS_H

#include "problem.h"
#include "store.h"

extern char *conversation_of(const Resource *interaction);
extern char *task_of(const Resource *interaction);
extern Resource *find_channel(Account *account, const char *interaction, const char *channel);
extern void set_channel_status(Resource *channel, const char *status);
extern void set_assignment(Resource *interaction, const char *status);
extern void settle_setup(Resource *resource);
extern bool is_step(const char *name, Problem *problem);
extern bool take_step(Resource *channel, const char *step, json_object *details, Problem *problem);

#endif
