/*
 * segment.h
 *		A piece of memory that all processes of the server have in common, where it can be had.
 */
#ifndef FLEX_SEGMENT_H
#define FLEX_SEGMENT_H

/* One such piece; its owner has a static one, and fills in all but the memory. */
typedef struct Segment
{
	const char *name;

	/* Bytes; for one session alone where that is all. */
	Size (*size)(bool is_shared);

	/* Makes it ready, once; no error may be raised. */
	void (*initialize)(void *memory, bool is_shared);

	void *memory; /* NULL: not found yet */
	bool is_shared;
} Segment;

extern void flex_segment_request(const Segment *segment);
extern void flex_segment_set_up(Segment *segment);
extern void *flex_segment_find(Segment *segment, bool *is_shared);

#endif /* FLEX_SEGMENT_H */
