/*
 * text.h
 *	  A growing run of bytes. Bodies, pages and records are built in it.
 *
 * Bytes are always followed by a NUL that the length does not count, so that
 * a text without NULs can be used as a C string. An allocation that fails
 * ends the program: a test server has nothing better to do.
 */
#ifndef SIMULATOR_TEXT_H
#define SIMULATOR_TEXT_H

#include <stdarg.h>
#include <stddef.h>

typedef struct Text
{
	char *data;
	size_t length;
	size_t room;
} Text;

/* Stands in stored JSON for scheme and host; never part of valid UTF-8. */
#define BASE_URL_MARK '\xff'

extern void *must_allocate(size_t size);
extern void *must_resize(void *old, size_t size);
extern char *must_copy(const char *string);
extern void text_reserve(Text *text, size_t more);
extern void text_add(Text *text, const void *data, size_t length);
extern void text_add_string(Text *text, const char *string);
extern void text_printf(Text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
extern void text_add_json(Text *text, const char *data, size_t length);
extern void text_add_json_string(Text *text, const char *string);
extern void text_add_base64(Text *text, const void *data, size_t length);
extern void text_add_percent_encoded(Text *text, const char *data, size_t length);
extern void text_add_with_base(Text *text, const char *data, size_t length, const char *base);
extern char *text_take(Text *text);
extern void text_free(Text *text);

#endif
