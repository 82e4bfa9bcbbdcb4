/*
 * framing.h
 *		Determines from its header lines where an HTTP/1 answer ends.
 */
#ifndef FLEX_FRAMING_H
#define FLEX_FRAMING_H

#define FRAMING_HTTP2 20 /* version from which on frames tell where an answer ends */

typedef enum FramingPart
{
	FRAMING_STATUS_LINE, /* a status line is next, the first one or that after an interim answer */
	FRAMING_HEADERS,
	FRAMING_BODY /* header lines from here on are trailers */
} FramingPart;

/* What is known from the lines read so far.  Initialize it with zeros. */
typedef struct Framing
{
	FramingPart part;
	size_t total_bytes; /* size of all lines, including those of interim answers and trailers */
	int total_lines;
	int version; /* 10 * major + minor */
	int status;
	bool has_line;         /* a header line has been read since the status line */
	bool has_length;       /* there is a Content-Length */
	bool has_encoding;     /* there is a Transfer-Encoding */
	bool is_chunked;       /* its last coding is "chunked" */
	bool may_not_continue; /* the last line is one of those two, so must not have a continuation line */
	uint64 length;         /* value of Content-Length */
	bool must_close;       /* the connection must not be reused: what follows may not be a new answer */
	const char *fault;     /* why it is uncertain where the answer ends, or NULL */
	const char *excess;    /* which limit on header lines is exceeded, or NULL */
} Framing;

extern void flex_framing_read_line(Framing *framing, const char *line, size_t length);
extern bool flex_framing_has_no_body(const Framing *framing);

#endif /* FLEX_FRAMING_H */
