/*
 * framing.c
 *		Determines from its header lines where an HTTP/1 answer ends.
 *
 * If libcurl and a gateway disagree about where an answer ends, one request may get the
 * answer to another (response smuggling; RFC 9112, section 11.2).  libcurl is lenient: of
 * two different lengths, for instance, it uses the last.  So the header lines are checked
 * here by the rules of RFC 9112, section 6: strictly where they determine the end of the
 * answer, leniently elsewhere.  After a fault or an excess the answer counts as lost.
 * must_close means that the answer is accepted, but the connection must not be reused.
 *
 * This file depends neither on libcurl nor on memory management, and raises no errors.
 * Lines of HTTP/2 are accepted unchecked, since its frames tell where an answer ends.
 */
#include "postgres.h"

#include <ctype.h>

#include "http/framing.h"

#define MAX_LENGTH PG_INT64_MAX /* the largest length that libcurl can represent */

#define MAX_KILOBYTES 256
#define MAX_LINES 1000 /* libcurl takes quadratic time to enumerate headers */

#define STATUS_NO_CONTENT 204
#define STATUS_NOT_MODIFIED 304

/* A part of a line, not NUL-terminated. */
typedef struct Span
{
	const char *at;
	size_t length;
} Span;

static void
set_fault(Framing *framing, const char *fault)
{
	if (framing->fault == NULL)
		framing->fault = fault;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static Span
trim(Span span)
{
	while (span.length > 0 && is_blank(span.at[0]))
		span = (Span){span.at + 1, span.length - 1};
	while (span.length > 0 && is_blank(span.at[span.length - 1]))
		span.length--;
	return span;
}

static bool
span_is(Span span, const char *word)
{
	return span.length == strlen(word) && pg_strncasecmp(span.at, word, span.length) == 0;
}

/* Remove the first element of a comma-separated list, and return it in *element.  Return false at the list's end. */
static bool
next_element(Span *list, Span *element)
{
	const char *comma;

	if (list->at == NULL)
		return false;
	comma = memchr(list->at, ',', list->length);
	*element = trim((Span){list->at, comma != NULL ? (size_t) (comma - list->at) : list->length});
	*list = comma != NULL ? (Span){comma + 1, list->length - (comma + 1 - list->at)} : (Span){NULL, 0};
	return true;
}

/* Parse a number that consists of digits only.  Return false if it does not, or is above MAX_LENGTH. */
static bool
read_number(Span span, uint64 *number)
{
	*number = 0;
	for (size_t i = 0; i < span.length; i++)
	{
		if (!isdigit((unsigned char) span.at[i]) || *number > (MAX_LENGTH - 9) / 10)
			return false;
		*number = *number * 10 + (span.at[i] - '0');
	}
	return span.length > 0;
}

/* Process Content-Length.  The same length may be repeated (RFC 9110, 8.6). */
static void
read_length(Framing *framing, Span value)
{
	Span element;
	uint64 number;

	while (next_element(&value, &element))
	{
		if (!read_number(element, &number))
			set_fault(framing, "its Content-Length is not a number");
		else if (framing->has_length && number != framing->length)
			set_fault(framing, "it has two different values of Content-Length");
		framing->has_length = true;
		framing->length = number;
	}
}

/* Process Transfer-Encoding, in which "chunked" must be last and not be repeated. */
static void
read_encoding(Framing *framing, Span value)
{
	Span element;

	framing->has_encoding = true;
	while (next_element(&value, &element))
	{
		if (element.length == 0)
			continue;
		if (framing->is_chunked)
			set_fault(framing, "its Transfer-Encoding goes on after \"chunked\"");
		framing->is_chunked = span_is(element, "chunked");
	}
}

/* Process a status line, such as "HTTP/1.1 200 OK" or "HTTP/2 200". */
static void
read_status_line(Framing *framing, Span line)
{
	const char *p = line.at;
	const char *end = line.at + line.length;
	Span status;

	*framing = (Framing){
		.part = FRAMING_HEADERS,
		.total_bytes = framing->total_bytes,
		.total_lines = framing->total_lines,
		.must_close = framing->must_close,
		.fault = framing->fault,
		.excess = framing->excess,
	};
	if (line.length < strlen("HTTP/1") || memcmp(p, "HTTP/", 5) != 0 || !isdigit((unsigned char) p[5]))
	{
		set_fault(framing, "it begins with no status line");
		return;
	}
	framing->version = (p[5] - '0') * 10;
	p += 6;
	if (end - p >= 2 && p[0] == '.' && isdigit((unsigned char) p[1]))
	{
		framing->version += p[1] - '0';
		p += 2;
	}
	status = trim((Span){p, end - p});
	for (size_t i = 0; i < 3 && i < status.length && isdigit((unsigned char) status.at[i]); i++)
		framing->status = framing->status * 10 + (status.at[i] - '0');
	if (framing->status < 100 || status.at == p || (status.length > 3 && !is_blank(status.at[3])))
		set_fault(framing, "it begins with no status line");
}

/* Return true if the name of a header is not empty, and has no blanks and control characters. */
static bool
is_name(Span name)
{
	for (size_t i = 0; i < name.length; i++)
	{
		if ((unsigned char) name.at[i] <= ' ' || name.at[i] == 0x7f)
			return false;
	}
	return name.length > 0;
}

/* Process a header or trailer line, or a continuation of the previous one (obs-fold). */
static void
read_header_line(Framing *framing, Span line)
{
	const char *colon = memchr(line.at, ':', line.length);
	Span name = {line.at, colon != NULL ? (size_t) (colon - line.at) : 0};
	bool is_length;
	bool is_encoding;

	/* Some implementations take these for the end of the line, or of the value. */
	if (memchr(line.at, '\r', line.length) != NULL || memchr(line.at, '\0', line.length) != NULL)
		set_fault(framing, "a header has a carriage return or a NUL in it");
	if (is_blank(line.at[0]))
	{
		if (!framing->has_line || framing->may_not_continue)
			set_fault(framing, "a header is continued that must not be");
		framing->must_close = true;
		return;
	}
	framing->has_line = true;
	if (!is_name(name))
	{
		set_fault(framing, "a header line has no name");
		return;
	}
	is_length = span_is(name, "Content-Length");
	is_encoding = span_is(name, "Transfer-Encoding");
	framing->may_not_continue = is_length || is_encoding;
	if (!framing->may_not_continue)
		return;
	if (framing->part == FRAMING_BODY)
		framing->must_close = true;
	else if (is_length)
		read_length(framing, trim((Span){colon + 1, line.length - name.length - 1}));
	else
		read_encoding(framing, trim((Span){colon + 1, line.length - name.length - 1}));
}

/* Check the headers as a whole, after the last one has been read. */
static void
end_headers(Framing *framing)
{
	bool is_interim = framing->status < 200;

	if (is_interim || framing->status == STATUS_NO_CONTENT || framing->status == STATUS_NOT_MODIFIED)
	{
		/* Such an answer has no body whatever its headers say, but some servers send one nevertheless. */
		framing->must_close |= framing->has_encoding || (framing->has_length && framing->length > 0);
	}
	else if (framing->has_encoding && framing->has_length)
		set_fault(framing, "it has a Content-Length and a Transfer-Encoding");
	else if (framing->has_encoding && framing->version < 11)
		set_fault(framing, "it has a Transfer-Encoding, which HTTP/1.0 has not");
	else if (framing->has_encoding && !framing->is_chunked)
		framing->must_close = true;
	framing->part = is_interim ? FRAMING_STATUS_LINE : FRAMING_BODY;
	framing->has_line = false;
	framing->may_not_continue = false;
}

/* Process the next line of an answer, including empty lines and trailers.  The result is in *framing. */
void
flex_framing_read_line(Framing *framing, const char *line, size_t length)
{
	framing->total_bytes += length;
	framing->total_lines++;
	if (framing->total_lines > MAX_LINES)
		framing->excess = "the answer has more than " CppAsString2(MAX_LINES) " header lines";
	else if (framing->total_bytes > MAX_KILOBYTES * 1024)
		framing->excess = "the answer's header lines are larger than " CppAsString2(MAX_KILOBYTES) " kB";
	if (length > 0 && line[length - 1] == '\n')
	{
		length--;
		if (length > 0 && line[length - 1] == '\r')
			length--;
	}
	if (framing->part == FRAMING_STATUS_LINE)
		read_status_line(framing, (Span){line, length});
	else if (length == 0 && framing->part == FRAMING_HEADERS)
		end_headers(framing);
	else if (length > 0 && framing->version < FRAMING_HTTP2)
		read_header_line(framing, (Span){line, length});
}

/* Return true if the answer ends with its headers, which have been read. */
bool
flex_framing_has_no_body(const Framing *framing)
{
	return framing->status == STATUS_NO_CONTENT || framing->status == STATUS_NOT_MODIFIED ||
		   (framing->has_length && framing->length == 0);
}
