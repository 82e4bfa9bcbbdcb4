/*
 * activity_log.c
 *		Writes a line per request to the server's log: flex_api.log_activity.
 *
 * The line consists of words of the form name=value that contain no blanks.  No argument of
 * a request is logged: the path is the template of the operation, with {Word} in place of
 * each argument, and STATEMENT and CONTEXT, which may contain arguments, are suppressed.
 */
#include "postgres.h"

#include <ctype.h>

#include "base/settings.h"
#include "http/activity_log.h"

#define MOST_ID_BYTES 64

/*
 * Return the service's identifier of the request as one word, in a static buffer.  It was
 * received from the network, so characters that do not belong there are replaced.
 */
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

/* Log the end of an attempt at a request if flex_api.log_activity says so.  attempt counts from 1. */
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
