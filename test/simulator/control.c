/*
 * control.c
 *	  The interface through which tests control the simulator: everything
 *	  under /_simulator/, without authentication, in JSON. What can be asked
 *	  for is in the tables of control_*.c.
 */
#include <string.h>

#include "commands.h"
#include "control.h"
#include "json_text.h"

#define PREFIX "/_simulator/"

static const Command *const tables[] = {state_commands, interaction_commands, traffic_commands};

/* Makes the answer a complaint. Always returns false. */
bool
complain(Answer *answer, const char *problem, const char *what)
{
	answer_clear(answer);
	answer->status = 400;
	text_add_string(&answer->body, "{\"problem\":");
	text_add_json_string(&answer->body, problem);
	text_add_string(&answer->body, ",\"what\":");
	text_add_json_string(&answer->body, what);
	text_add_string(&answer->body, "}");
	return false;
}

/* Makes the answer a complaint of a problem. Always returns false. */
bool
complain_of(Answer *answer, const Problem *problem)
{
	return complain(answer, problem->what, problem->where);
}

/* Makes the answer one without a body. Always returns true. */
bool
answer_nothing(Answer *answer)
{
	answer->status = 204;
	answer->content_type = NULL;
	return true;
}

/* The command of that method and name, or NULL. */
static const Command *
find_command(const char *method, const char *name)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (const Command *command = tables[i]; command->method != NULL; command++)
			if (strcmp(command->method, method) == 0 && strcmp(command->name, name) == 0)
				return command;
	return NULL;
}

/* Whether a request is for the simulator itself, and not for the API. */
bool
is_control(const Request *request)
{
	return strncmp(request->path, PREFIX, strlen(PREFIX)) == 0;
}

/* Whether a page of another site asks, by the browser of somebody who looks at it. */
static bool
comes_from_elsewhere(const Request *request)
{
	const char *origin = request_header(request, "Origin");
	const char *host = request_header(request, "Host");
	const char *named = origin ? strstr(origin, "://") : NULL;

	return origin != NULL && (named == NULL || host == NULL || strcmp(named + 3, host) != 0);
}

/* Carries out a request for the simulator itself. */
void
serve_control(Request *request)
{
	Answer *answer = &request->answer;
	const Command *command = find_command(request->method, request->path + strlen(PREFIX));
	json_object *wish = NULL;

	answer->status = 200;
	if (comes_from_elsewhere(request))
	{
		complain(answer, "pages of other sites may not control the simulator", request_header(request, "Origin"));
		answer->status = 403;
		return;
	}
	if (request->body.length > 0 && !json_read(request->body.data, request->body.length, &wish))
	{
		complain(answer, "the body is not JSON", request->body.data);
		return;
	}
	if (request->body.length == 0)
		wish = json_object_new_object();
	if (command == NULL)
	{
		complain(answer, "no such command", request->path);
		answer->status = 404;
	}
	else if (!json_object_is_type(wish, json_type_object) &&
			 !(command->takes_array && json_object_is_type(wish, json_type_array)))
		complain(answer, "the body is not an object", request->body.data);
	else
		command->run(wish, answer);
	json_object_put(wish);
}
