/*
 * problem.h
 *		A refusal of the service, read from its body.
 */
#ifndef FLEX_PROBLEM_H
#define FLEX_PROBLEM_H

#include "base/errors.h"

extern void flex_problem_read(Problem *problem, const char *bytes, size_t length);

#endif /* FLEX_PROBLEM_H */
