/*
 * identifier.h
 *		Finds the identifier in an answer that may be invalid otherwise.
 */
#ifndef FLEX_IDENTIFIER_H
#define FLEX_IDENTIFIER_H

extern bool flex_is_sid(const char *text, size_t length);
extern char *flex_identifier_find(const char *bytes, size_t length, const char *member);

#endif /* FLEX_IDENTIFIER_H */
