/*
 * encoding.h
 *		Texts between the database's encoding and the wire's UTF-8.
 */
#ifndef FLEX_ENCODING_H
#define FLEX_ENCODING_H

extern char *flex_text_to_wire(const char *text, const char *name);
extern char *flex_text_from_wire(const char *text, int length, int *result_length, const char *name);
extern char *flex_text_for_message(const char *text, int length);

#endif /* FLEX_ENCODING_H */
