/*
 * activity_log.c
 *		A line in the server's log for each request: flex_api.log_activity.
 *
 * Words of the form name=value, without blanks in them.  There is nothing of the
 * arguments: the path is that of the operation, with {Word} where an argument stands, and
 * neither statement nor context is logged with it, which may have them.
 */
#include "postgres.h"

#include <ctype.h>

#include "base/settings.h"
#include "http/activity_log.h"

#define MOST_ID_BYTES 64

/* The service's number of the request, which comes from the wire, as one word. */
static const char *
request_id_word(const char *request_id)
{
	static char word[MOST_ID_BYTES + 1];

	if (request_id == NULL || request_id[0] == '\0')
		return "-";
	strlcpy(word, request_id, sizeof(word));
	for (char *p = word; *p; p++)
	{
		if (!isalnum((unsigned char) *p) || !isascii((unsigned char) *p))
			*p = '?';
	}
	return word;
}

/* Log how an attempt at a request ended, which is the first or a later one, if it is to be logged. */
void
flex_activity_log(const Outcome *outcome, Ending ending, int attempt)
{
	static const char *const results[ENDINGS] = {"succeeded", "refused", "throttled", "failed", "lost", "unsent"};
	const HttpRequest *request = outcome->request;

	if (flex_settings.log_activity == LOG_ACTIVITY_OFF ||
		(flex_settings.log_activity == LOG_ACTIVITY_FAILURES && ending == ENDING_SUCCEEDED))
		return;
	ereport(LOG, (errmsg("Flex API request: operation=%s way=%s method=%s path=%s result=%s status=%d request_id=%s "
						 "ms=%.3f attempt=%d bytes_sent=" INT64_FORMAT " bytes_received=" INT64_FORMAT,
						 request->operation, flex_way_name(request->way), request->method,
						 request->path_template != NULL ? request->path_template : "-", results[ending],
						 outcome->answer.http_status, request_id_word(outcome->answer.request_id),
						 (double) outcome->elapsed_us / 1000, attempt, outcome->bytes_sent, outcome->bytes_received),
				  errhidestmt(true), errhidecontext(true)));
}
