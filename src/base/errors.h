/*
 * errors.h
 *		Raises errors for failed requests and for answers that are errors.
 */
#ifndef FLEX_ERRORS_H
#define FLEX_ERRORS_H

#include "base/compat.h"

/*
 * What is known of an answer that is an error.  Texts are in the database's encoding; all
 * except method and path may be NULL.
 */
typedef struct Problem
{
	const char *method;
	const char *path; /* without the query, which may contain personal data */
	int http_status;
	const char *message;     /* the service's own message */
	const char *code;        /* Twilio's error code, in digits */
	const char *explanation; /* what else the service says about the error */
	const char *more_info;   /* URL of the error's description */
	const char *request_id;  /* header Twilio-Request-Id */
	const char *sid;         /* of the resource that the request has created or changed */
	const char *made_as;     /* whose credentials were used, if they may be the cause */
	bool idempotent;         /* the request may be sent again without harm */
} Problem;

/* Why there is no complete answer to a request. */
typedef enum FailureKind
{
	FAILURE_NONE,            /* there is one */
	FAILURE_NEVER_SENT,      /* not a byte of the request was sent */
	FAILURE_ANSWER_LOST,     /* sent, but may be sent again without harm */
	FAILURE_OUTCOME_UNKNOWN, /* sent, and the service may or may not have carried it out */
	FAILURE_WITHHELD,        /* not sent, because others had failed */
	FAILURE_TOO_LARGE        /* the answer exceeds flex_api.max_response_size */
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
