/*
 * errors.h
 *		What went wrong, told in PostgreSQL's way.
 */
#ifndef FLEX_ERRORS_H
#define FLEX_ERRORS_H

#include "base/compat.h"

/*
 * A refusal by the service, or an answer that is wrong.  Texts are in the database's encoding; each but
 * method and path may be NULL.
 */
typedef struct Problem
{
	const char *method;
	const char *path; /* without query: that may hold personal data */
	int http_status;
	const char *message;     /* the service's own words */
	const char *code;        /* Twilio's error code, in digits */
	const char *explanation; /* what else the service said */
	const char *more_info;   /* URL of the error's description */
	const char *request_id;  /* Twilio-Request-Id */
	const char *sid;         /* of what a good answer tells of */
	const char *made_as;     /* of a refusal that can be due to the credentials: whose they were */
	bool idempotent;         /* the request may be sent again without harm */
} Problem;

/* How a request failed that brought no whole answer. */
typedef enum FailureKind
{
	FAILURE_NONE,            /* a whole answer came */
	FAILURE_NEVER_SENT,      /* no byte of the request has left */
	FAILURE_ANSWER_LOST,     /* sent, repeatable: no harm in asking again */
	FAILURE_OUTCOME_UNKNOWN, /* sent, and may or may not be carried out */
	FAILURE_WITHHELD,        /* it was not tried, for others had failed */
	FAILURE_TOO_LARGE        /* the answer is over flex_api.max_response_size */
} FailureKind;

pg_noreturn extern void flex_error_refused(const Problem *problem);
pg_noreturn extern void
flex_error_connection(FailureKind kind, const char *method, const char *path, const char *reason);
pg_noreturn extern void flex_error_too_large(const Problem *answer, const char *message);
extern int flex_error_sqlstate(FailureKind kind);
extern void flex_error_add_answer(ErrorData *error, const Problem *answer);
extern ErrorData *flex_error_take(void);
extern bool flex_error_is_cancel(const ErrorData *error);
pg_noreturn extern void flex_error_rethrow(ErrorData *error);
pg_noreturn extern void flex_error_throw(ErrorData *error);
pg_noreturn extern void flex_error_answer(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif /* FLEX_ERRORS_H */
