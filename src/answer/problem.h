/*
 * problem.h
 *		Parses the body of an error answer.
 */
#ifndef FLEX_PROBLEM_H
#define FLEX_PROBLEM_H

#include "base/errors.h"

extern void flex_problem_read(Problem *problem, const char *bytes, size_t length);

#endif /* FLEX_PROBLEM_H */
