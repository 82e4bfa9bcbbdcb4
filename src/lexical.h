/*
 * lexical.h
 *		The words of a JSON document, checked to the letter.
 */
#ifndef FLEX_LEXICAL_H
#define FLEX_LEXICAL_H

#include "lib/stringinfo.h"

/* The fewest digits of an integer that may not fit in 64 bits. */
#define FLEX_LONG_DIGITS 19

extern const char *flex_lexical_complaint(const char *bytes, size_t length, bool *has_long_integers);
extern void flex_lexical_widen(StringInfo wide, const char *bytes, size_t length);

#endif /* FLEX_LEXICAL_H */
