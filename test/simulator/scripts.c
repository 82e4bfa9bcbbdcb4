/*
 * scripts.c
 *	  How interactions go on by themselves: a script is a row of steps, each
 *	  so long after the one before it, for interactions of a type of channel
 *	  or of all. The first script that fits a new interaction is its own.
 */
#include <string.h>

#include "clock.h"
#include "interactions.h"
#include "json_text.h"
#include "options.h"
#include "scripts.h"
#include "webhooks.h"

static json_object *scripts; /* an array, as it was sent; NULL for none */

/* Checks one step: {"step":"join","after_ms":500}, and what the step needs to know. */
static bool
check_step(json_object *step, Problem *problem)
{
	if (!json_object_is_type(step, json_type_object))
		return problem_note(problem, "", "must be an object with step and after_ms");
	if (json_integer_member(step, "after_ms", 0) < 0 ||
		(json_member(step, "after_ms") && !json_object_is_type(json_member(step, "after_ms"), json_type_int)))
		return problem_note(problem, "after_ms", "must be a number of milliseconds");
	return is_step(json_text_member(step, "step"), problem);
}

/* Checks one script. */
static bool
check_script(json_object *script, Problem *problem)
{
	json_object *steps = json_member(script, "steps");

	json_object_object_foreach(script, name, value)
	{
		if (strcmp(name, "steps") != 0 && strcmp(name, "channel_type") != 0)
			return problem_note(problem, name, "a script has steps and channel_type");
		if (strcmp(name, "channel_type") == 0 && !json_object_is_type(value, json_type_string))
			return problem_note(problem, name, "must be a string");
	}
	if (!json_object_is_type(steps, json_type_array))
		return problem_note(problem, "steps", "must be an array of steps");
	for (size_t i = 0; i < json_object_array_length(steps); i++)
		if (!check_step(json_object_array_get_idx(steps, i), problem))
		{
			problem_within(problem, "steps[%zu]", i);
			return false;
		}
	return true;
}

/* Takes {"scripts":[...]} in the place of those that there were; false, with the problem, if one is wrong. */
bool
scripts_set(json_object *wish, Problem *problem)
{
	json_object *list = json_member(wish, "scripts");

	if (!json_object_is_type(list, json_type_array))
		return problem_note(problem, "scripts", "must be an array of scripts");
	for (size_t i = 0; i < json_object_array_length(list); i++)
	{
		json_object *script = json_object_array_get_idx(list, i);

		if (!json_object_is_type(script, json_type_object))
			problem_note(problem, "", "must be an object with steps");
		else if (check_script(script, problem))
			continue;
		problem_within(problem, "scripts[%zu]", i);
		return false;
	}
	json_object_put(scripts);
	scripts = json_object_get(list);
	return true;
}

/* Forgets the scripts; those that have begun go on. */
void
scripts_clear(void)
{
	json_object_put(scripts);
	scripts = NULL;
}

/* Writes the scripts as a JSON object. */
void
scripts_write(Text *text)
{
	text_add_string(text, "{\"scripts\":");
	if (scripts != NULL)
		json_write(text, scripts);
	else
		text_add_string(text, "[]");
	text_add_string(text, "}");
}

/* The steps for a channel of that type, or NULL. */
static json_object *
steps_for(const char *channel_type)
{
	for (size_t i = 0; scripts != NULL && i < json_object_array_length(scripts); i++)
	{
		json_object *script = json_object_array_get_idx(scripts, i);
		const char *type = json_text_member(script, "channel_type");

		if (type == NULL || (channel_type != NULL && strcmp(type, channel_type) == 0))
			return json_member(script, "steps");
	}
	return NULL;
}

/* How long after the one before it a step comes, in microseconds; 0 for none. */
static int64_t
delay_of(json_object *steps, size_t step)
{
	return json_integer_member(json_object_array_get_idx(steps, step), "after_ms", 0) * 1000;
}

/* Has the channel of a new interaction go on: its setup ends, and then come the steps of its script. */
void
script_begin(Resource *channel)
{
	json_object *members = store_members(channel);
	json_object *steps = steps_for(json_text_member(members, "type"));

	/* Otherwise it is early enough to end the setup when the channel is looked at. */
	if (webhooks_wanted(channel->list->account) || steps != NULL)
		agenda_add(channel, channel->due_us, NULL, 0);
	if (steps != NULL && json_object_array_length(steps) > 0)
		agenda_add(channel, channel->due_us + delay_of(steps, 0), steps, 0);
	json_object_put(members);
}

/* Keeps an appointment. A step that is not possible ends the script. */
void
script_continue(const Appointment *appointment)
{
	Resource *channel = find_channel(appointment->account, appointment->interaction, appointment->channel);
	json_object *steps = appointment->steps;
	json_object *step = steps ? json_object_array_get_idx(steps, appointment->step) : NULL;
	size_t next = appointment->step + 1;
	Problem problem;

	if (channel == NULL)
		return;
	settle_setup(channel);
	if (step == NULL || !take_step(channel, json_text_member(step, "step"), step, &problem))
		return;
	if (next < json_object_array_length(steps))
		agenda_add(channel, appointment->due_us + delay_of(steps, next), steps, next);
}
