/*
 * problem.h
 *	  What is wrong with something that somebody gave: where, and why.
 */
#ifndef SIMULATOR_PROBLEM_H
#define SIMULATOR_PROBLEM_H

#include <stdbool.h>

typedef struct Problem
{
	char where[512]; /* a name, or the path of a member: accounts[1].keys[0].sid */
	char what[768];
} Problem;

extern bool
problem_note(Problem *problem, const char *where, const char *format, ...) __attribute__((format(printf, 3, 4)));
extern void problem_within(Problem *problem, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
