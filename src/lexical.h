/*
 * lexical.h
 *		The words of a JSON document, checked to the letter.
 */
#ifndef FLEX_LEXICAL_H
#define FLEX_LEXICAL_H

#include "lib/stringinfo.h"

/* An array that is a member of the document's outermost object. */
typedef struct ArrayPlace
{
	const char *begin; /* behind its bracket */
	const char *end;   /* at the other one */
	int64 count;       /* of its elements */
	int first_cut;     /* index of the first of its cuts, if it has any */
} ArrayPlace;

/* What the words of a document tell about it. */
typedef struct LexicalFindings
{
	bool is_ascii;
	bool has_long_integers; /* that may not fit in 64 bits */
	/* Complaint about an escape that stands for nothing that can be kept; NULL: none. */
	const char *unrepresentable;
	/* What its tree would take, by flex_lexical_is_costly(): all of it, and the most that is parsed at once in slices. */
	int64 parts;
	int64 most_parts;
	ArrayPlace *arrays;
	int array_count;
	int array_capacity;
	/* Commas between elements of these arrays, SLICE_BYTES or more apart. */
	const char **cuts;
	int cut_count;
	int cut_capacity;
} LexicalFindings;

/* The fewest digits of an integer that may not fit in 64 bits. */
#define FLEX_LONG_DIGITS 19

/* Brackets within each other that are parsed: what is deeper is refused. */
#define FLEX_MOST_DEPTH 128

extern const char *flex_lexical_complaint(const char *bytes, size_t length, LexicalFindings *findings);
extern void flex_lexical_replace(char *bytes, size_t length);
extern bool flex_lexical_is_costly(int64 parts, size_t length);
extern void flex_lexical_widen(StringInfo wide, const char *bytes, size_t length);

#endif /* FLEX_LEXICAL_H */
