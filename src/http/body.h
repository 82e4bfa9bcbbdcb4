/*
 * body.h
 *		A buffer for the body of an answer.
 */
#ifndef FLEX_BODY_H
#define FLEX_BODY_H

typedef struct Body
{
	char *bytes;
	size_t length;
	size_t capacity;
	size_t limit; /* maximum of length */
} Body;

extern bool flex_body_append(Body *body, const char *bytes, size_t length, bool *too_large);
extern void flex_body_free(Body *body);
extern size_t flex_body_bytes_held(void);

#endif /* FLEX_BODY_H */
