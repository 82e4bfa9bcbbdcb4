/*
 * answer.h
 *	  What is to be sent back, and how: at once and whole, or as a fault wants it.
 */
#ifndef SIMULATOR_ANSWER_H
#define SIMULATOR_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "text.h"

typedef struct Answer
{
	int status;
	Text body;
	const char *content_type;
	Text headers;        /* further ones, "Name: value\n" each */
	int64_t delay_us;    /* before anything is sent */
	int64_t cut_at;      /* bytes of the whole answer, or -1 */
	int64_t stall_after; /* bytes of the body, or -1 */
	int64_t drip_bytes;  /* at a time, or 0 */
	int64_t drip_us;     /* between them */
	int64_t huge_bytes;  /* of a streamed body, or 0 */
} Answer;

/* The shapes in which errors come. */
typedef enum Shape
{
	SHAPE_TWILIO,
	SHAPE_PROBLEM,
	SHAPE_THIRD,
	SHAPE_HTML,
	SHAPE_EMPTY
} Shape;

extern void answer_clear(Answer *answer);
extern Shape shape_of_path(const char *path);
extern bool answer_problem(Answer *answer, Shape shape, const char *path, int status, int code, const char *parameter,
						   const char *format, ...) __attribute__((format(printf, 7, 8)));

#endif
