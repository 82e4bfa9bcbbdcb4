/*
 * body.h
 *		The bytes of an answer's body, as they come.
 */
#ifndef FLEX_BODY_H
#define FLEX_BODY_H

typedef struct Body
{
	char *bytes;
	size_t length;
	size_t capacity;
	size_t limit; /* more bytes than these are not taken */
} Body;

extern bool flex_body_append(Body *body, const char *bytes, size_t length, bool *too_large);
extern void flex_body_free(Body *body);
extern size_t flex_body_bytes_held(void);

#endif /* FLEX_BODY_H */
