/*
 * curl_headers.c
 *		The headers of a request: ours, the credentials, and those of the request itself.
 *
 * libcurl composes a request byte by byte, at a hundred instructions for each byte of a
 * header.  Those that it makes by itself it even composes twice.
 */
#include "postgres.h"

#include <curl/curl.h>

#include "http/curl_headers.h"

#define ACCEPT_ENCODING "Accept-Encoding: "

/* Append a header line to a list, which copies it. */
static void
append_header(struct curl_slist **headers, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*headers, line);

	if (longer == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	*headers = longer;
}

/* Append "name: value" to a list. */
static void
append_header_value(struct curl_slist **headers, const char *name, const char *value)
{
	char *line = psprintf("%s: %s", name, value);

	append_header(headers, line);
	pfree(line);
}

/*
 * Return the header by which we ask for all content encodings that libcurl can decode, of
 * which only the name is left if there are none.
 */
static const char *
accept_encoding(void)
{
	static const struct
	{
		int feature;
		const char *names;
	} encodings[] = {
		{CURL_VERSION_LIBZ, "deflate, gzip"},
		{CURL_VERSION_BROTLI, "br"},
		{CURL_VERSION_ZSTD, "zstd"},
	};
	static char header[64];
	int features;

	if (header[0] != '\0')
		return header;
	features = curl_version_info(CURLVERSION_NOW)->features;
	strlcpy(header, ACCEPT_ENCODING, sizeof(header));
	for (size_t i = 0; i < lengthof(encodings); i++)
	{
		if ((features & encodings[i].feature) == 0)
			continue;
		if (header[strlen(ACCEPT_ENCODING)] != '\0')
			strlcat(header, ", ", sizeof(header));
		strlcat(header, encodings[i].names, sizeof(header));
	}
	return header;
}

/* Return the names of those encodings, "" if there are none. */
const char *
flex_curl_encodings(void)
{
	return accept_encoding() + strlen(ACCEPT_ENCODING);
}

/*
 * Make the headers of a request.  The caller must call flex_curl_free_headers(), also after
 * an error.  may_be_encoded tells that the answer's body will be decoded.
 */
void
flex_curl_make_headers(struct curl_slist **headers, const HttpRequest *request, const Endpoint *endpoint,
					   bool may_be_encoded)
{
	ListCell *cell;

	if (may_be_encoded && flex_curl_encodings()[0] != '\0')
		append_header(headers, accept_encoding());
	append_header(headers, "Accept: application/json");
	append_header(headers, "User-Agent: " FLEX_USER_AGENT);
	if (request->content_type != NULL)
	{
		append_header(headers, "Expect:");
		append_header_value(headers, "Content-Type", request->content_type);
	}
	if (endpoint->authorization != NULL)
		append_header(headers, endpoint->authorization);
	foreach (cell, request->headers)
		append_header(headers, lfirst(cell));
}

/* Free headers; NULL stands for none.  They are overwritten first: they contain the credentials. */
void
flex_curl_free_headers(struct curl_slist *headers)
{
	for (struct curl_slist *header = headers; header != NULL; header = header->next)
		explicit_bzero(header->data, strlen(header->data));
	curl_slist_free_all(headers);
}
