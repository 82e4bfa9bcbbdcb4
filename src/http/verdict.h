/*
 * verdict.h
 *		The outcome of a request, and the verdict on it.
 */
#ifndef FLEX_VERDICT_H
#define FLEX_VERDICT_H

#include "base/errors.h"
#include "http/transfer.h"

typedef enum Verdict
{
	VERDICT_SUCCEEDED,
	VERDICT_DONE_BEFORE, /* it was refused because an earlier attempt has been carried out */
	VERDICT_AGAIN,       /* it failed, and sending it again is harmless */
	VERDICT_THROTTLED,   /* refused with 429: not carried out, and not counted as an attempt */
	VERDICT_DEFERRED,    /* it was not tried, because this process lacks file descriptors */
	VERDICT_FAILED,      /* it was refused, or failed for good */
	VERDICT_UNKNOWN      /* it was sent, and may or may not have been carried out */
} Verdict;

/* A problem that an operator has to mend before requests can succeed, as opposed to a fault of the request. */
typedef enum Mend
{
	MEND_NOTHING,
	MEND_TRUST,       /* the server's certificate could not be verified */
	MEND_NAME,        /* the server's host name could not be resolved */
	MEND_PROXY,       /* the proxy cannot be reached, or refuses */
	MEND_CREDENTIALS, /* the service does not accept the credentials: status 401 */
	MEND_DESCRIPTORS  /* this process has no file descriptor left */
} Mend;

/*
 * The outcome of one attempt at a request.  The body is valid as long as the transfer; the
 * other strings are in the context that was current when the outcome was made.
 */
typedef struct Outcome
{
	const HttpRequest *request;
	Verdict verdict;          /* does not depend on to_mend */
	Mend to_mend;             /* why it was not carried out, if an operator has to mend that */
	bool was_sent;            /* at least part of the request may have been sent */
	bool may_be_done;         /* the service may have carried it out */
	FailureKind failure_kind; /* FAILURE_NONE if a complete answer was received */
	const char *failure;      /* why none was received, in the database encoding; else NULL */
	Problem answer;           /* what the service said; its http_status is 0 if it said nothing */
	int64 retry_after_ms;     /* for VERDICT_AGAIN and _THROTTLED: the service's Retry-After, or 0 */
	const char *body;         /* as much of the answer's body as was received, or NULL */
	size_t body_length;
	int64 elapsed_us;
	int64 bytes_sent; /* sizes of the bodies as transferred */
	int64 bytes_received;
	const Transfer *transfer; /* for flex_outcome_visit_headers() */
} Outcome;

extern Outcome flex_outcome_reach(const HttpRequest *request, const Endpoint *endpoint, const Transfer *transfer,
								  bool was_maybe_done, const char *given_up);
extern Outcome flex_outcome_unsent(const HttpRequest *request, const char *reason);
extern Verdict flex_verdict_if_lost(const HttpRequest *request);
extern FailureKind flex_failure_if_lost(const HttpRequest *request);
extern bool flex_outcome_is_good(const Outcome *outcome);
extern bool flex_outcome_is_absence(const Outcome *outcome);
extern char *flex_outcome_find_sid(const Outcome *outcome);
extern void flex_outcome_visit_headers(const Outcome *outcome, HeaderVisitor visit, void *state);
pg_noreturn extern void flex_outcome_raise(const Outcome *outcome);
pg_noreturn extern void flex_outcome_raise_unread(const Outcome *outcome, MemoryContext context);

#endif /* FLEX_VERDICT_H */
