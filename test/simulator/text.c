/*
 * text.c
 *	  A growing run of bytes, and the ways of writing into it that the
 *	  simulator needs: JSON strings, percent-encoding, and stored JSON whose
 *	  mark for "scheme and host" is replaced by those of the request.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

/* realloc that ends the program instead of returning NULL. */
void *
must_resize(void *old, size_t size)
{
	void *memory = realloc(old, size ? size : 1);

	if (memory == NULL)
	{
		fputs("flex_simulator: out of memory\n", stderr);
		abort();
	}
	return memory;
}

/* malloc that ends the program instead of returning NULL. */
void *
must_allocate(size_t size)
{
	return must_resize(NULL, size);
}

/* strdup that ends the program instead of returning NULL. */
char *
must_copy(const char *string)
{
	size_t size = strlen(string) + 1;

	return memcpy(must_allocate(size), string, size);
}

/* Makes room for more bytes and the NUL behind them; at least doubles. */
void
text_reserve(Text *text, size_t more)
{
	size_t needed = text->length + more + 1;
	size_t room = text->room ? text->room : 256;

	if (needed <= text->room)
		return;
	while (room < needed)
		room *= 2;
	text->data = must_resize(text->data, room);
	text->room = room;
	text->data[text->length] = '\0';
}

/* Appends bytes. */
void
text_add(Text *text, const void *data, size_t length)
{
	text_reserve(text, length);
	if (length > 0)
		memcpy(text->data + text->length, data, length);
	text->length += length;
	text->data[text->length] = '\0';
}

/* Appends a C string. */
void
text_add_string(Text *text, const char *string)
{
	text_add(text, string, strlen(string));
}

/* Appends what printf would print. */
void
text_printf(Text *text, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	text_reserve(text, (size_t) length);
	va_start(arguments, format);
	vsnprintf(text->data + text->length, (size_t) length + 1, format, arguments);
	va_end(arguments);
	text->length += (size_t) length;
}

/*
 * Appends a JSON string, quotes included. Bytes above 0x7f go through as they
 * are: a recorded body may hold anything, and hiding it would hide a bug.
 */
void
text_add_json(Text *text, const char *data, size_t length)
{
	text_reserve(text, length + 2);
	text_add(text, "\"", 1);
	for (size_t i = 0; i < length; i++)
	{
		unsigned char byte = (unsigned char) data[i];

		if (byte == '"' || byte == '\\')
			text_printf(text, "\\%c", byte);
		else if (byte < 0x20)
			text_printf(text, "\\u%04x", byte);
		else
			text_add(text, &data[i], 1);
	}
	text_add(text, "\"", 1);
}

/* Appends a C string as a JSON string, NULL as null. */
void
text_add_json_string(Text *text, const char *string)
{
	if (string == NULL)
		text_add(text, "null", 4);
	else
		text_add_json(text, string, strlen(string));
}

/* Appends bytes in base64. */
void
text_add_base64(Text *text, const void *data, size_t length)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *bytes = data;

	for (size_t i = 0; i < length; i += 3)
	{
		unsigned int bits = 0;

		for (size_t j = 0; j < 3; j++)
			bits = bits << 8 | (i + j < length ? bytes[i + j] : 0);
		for (size_t j = 0; j < 4; j++)
			text_add(text, i + j > length ? "=" : &digits[bits >> (18 - 6 * j) & 63], 1);
	}
}

/* Appends bytes with everything percent-encoded that RFC 3986 reserves. */
void
text_add_percent_encoded(Text *text, const char *data, size_t length)
{
	static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";

	for (size_t i = 0; i < length; i++)
	{
		if (data[i] != '\0' && strchr(unreserved, data[i]) != NULL)
			text_add(text, &data[i], 1);
		else
			text_printf(text, "%%%02X", (unsigned char) data[i]);
	}
}

/* Appends stored JSON, with each mark replaced by the base URL given. */
void
text_add_with_base(Text *text, const char *data, size_t length, const char *base)
{
	size_t base_length = strlen(base);
	const char *end = data + length;
	const char *mark;

	text_reserve(text, length + 2 * base_length);
	while ((mark = memchr(data, (unsigned char) BASE_URL_MARK, (size_t) (end - data))) != NULL)
	{
		text_add(text, data, (size_t) (mark - data));
		text_add(text, base, base_length);
		data = mark + 1;
	}
	text_add(text, data, (size_t) (end - data));
}

/* Hands the bytes to the caller, who frees them, and leaves the text empty. */
char *
text_take(Text *text)
{
	char *data;

	text_reserve(text, 0);
	data = text->data;
	*text = (Text){0};
	return data;
}

/* Frees the bytes and leaves the text empty. */
void
text_free(Text *text)
{
	free(text->data);
	*text = (Text){0};
}
