/*
 * segment.h
 *		Named memory that all processes of the server share, if possible.
 */
#ifndef FLEX_SEGMENT_H
#define FLEX_SEGMENT_H

/* The owner defines a static one, in which it sets name, size and initialize. */
typedef struct Segment
{
	/* Names the release: a library loaded by other sessions may have another layout. */
	const char *name;

	/* Returns the number of bytes: for all sessions, or for one session alone. */
	Size (*size)(bool is_shared);

	/* Initializes the memory, once.  It must not raise an error, as locks are held. */
	void (*initialize)(void *memory, bool is_shared);

	void *memory; /* NULL: not found yet by this process */
	bool is_shared;
} Segment;

extern void flex_segment_request(const Segment *segment);
extern void flex_segment_set_up(Segment *segment);
extern void *flex_segment_find(Segment *segment, bool *is_shared);

#endif /* FLEX_SEGMENT_H */
