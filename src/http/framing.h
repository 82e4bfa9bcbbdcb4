/*
 * framing.h
 *		Where an answer of HTTP/1 ends, by its header lines.
 */
#ifndef FLEX_FRAMING_H
#define FLEX_FRAMING_H

#define FRAMING_HTTP2 20 /* a version: frames say where an answer ends from this one on */

typedef enum FramingPart
{
	FRAMING_STATUS_LINE, /* of the answer, or of the one after an interim answer */
	FRAMING_HEADERS,
	FRAMING_BODY /* header lines from here on are trailers */
} FramingPart;

/* What the lines so far have said; begins as all zeros. */
typedef struct Framing
{
	FramingPart part;
	size_t total_bytes; /* of all lines, interim answers and trailers included */
	int total_lines;
	int version; /* 10 times major, plus minor */
	int status;
	bool has_line; /* a header line came after the status line */
	bool has_length;
	bool has_encoding;     /* Transfer-Encoding */
	bool is_chunked;       /* ... whose last coding is chunked */
	bool may_not_continue; /* a continuation of the last line would change where the answer ends */
	uint64 length;
	bool must_close;    /* whatever comes next on the connection may not be what it seems */
	const char *fault;  /* why nobody can tell where the answer ends, or NULL */
	const char *excess; /* what there is too much of, or NULL */
} Framing;

extern void flex_framing_read_line(Framing *framing, const char *line, size_t length);
extern bool flex_framing_has_no_body(const Framing *framing);

#endif /* FLEX_FRAMING_H */
