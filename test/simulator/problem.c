/*
 * problem.c
 *	  Problems are noted where they are found, by what is known there; those
 *	  that called put before it where they were.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "problem.h"

/* Notes a problem. Always returns false, so that a check can return what it calls. */
bool
problem_note(Problem *problem, const char *where, const char *format, ...)
{
	va_list arguments;

	snprintf(problem->where, sizeof(problem->where), "%s", where);
	va_start(arguments, format);
	vsnprintf(problem->what, sizeof(problem->what), format, arguments);
	va_end(arguments);
	return false;
}

/* Puts the name of what holds it before the place of a problem: keys[0], then .sid. */
void
problem_within(Problem *problem, const char *format, ...)
{
	char inner[sizeof(problem->where)];
	size_t length;
	va_list arguments;

	memcpy(inner, problem->where, sizeof(inner));
	va_start(arguments, format);
	vsnprintf(problem->where, sizeof(problem->where), format, arguments);
	va_end(arguments);
	length = strlen(problem->where);
	snprintf(problem->where + length, sizeof(problem->where) - length, "%s%s",
			 inner[0] == '\0' || inner[0] == '[' ? "" : ".", inner);
}
