/*
 * encoding.h
 *		Converts texts between the database's encoding and UTF-8, as on the wire.
 */
#ifndef FLEX_ENCODING_H
#define FLEX_ENCODING_H

extern char *flex_text_to_wire(const char *text, const char *name);
extern char *flex_text_from_wire(const char *text, int length, int *result_length, const char *name);
extern const char *flex_text_stand_in(void);
extern char *flex_text_of_bytes(const char *bytes, int length);
extern char *flex_text_shown(const char *text, int length, int most_bytes);
extern char *flex_text_for_message(const char *text, int length);
extern char *flex_text_clip(const char *text, int most_bytes);

#endif /* FLEX_ENCODING_H */
