/*
 * verdict.h
 *		What the end of a request means: its outcome, a value.
 */
#ifndef FLEX_VERDICT_H
#define FLEX_VERDICT_H

#include "base/errors.h"
#include "http/transfer.h"

typedef enum Verdict
{
	VERDICT_SUCCEEDED,
	VERDICT_DONE_BEFORE, /* it was refused, for an earlier attempt has done it */
	VERDICT_AGAIN,       /* it failed, and sending it again can do no harm */
	VERDICT_THROTTLED,   /* 429: it was not carried out, and counts as no attempt */
	VERDICT_DEFERRED,    /* it was not tried, for this process lacks something */
	VERDICT_FAILED,      /* it was refused, or failed for good */
	VERDICT_UNKNOWN      /* it was sent, and may or may not have been carried out */
} Verdict;

/* What an operator has to mend, so that a request can be made: it is not the request's fault. */
typedef enum Mend
{
	MEND_NOTHING,
	MEND_TRUST,       /* the server's certificate is not one that is trusted */
	MEND_NAME,        /* the server's name has no address */
	MEND_PROXY,       /* the proxy is not there, or refuses */
	MEND_CREDENTIALS, /* the service does not take the credentials: 401 */
	MEND_DESCRIPTORS  /* this process has no file descriptor left */
} Mend;

/*
 * What one attempt at a request came to.  The body lasts as long as the transfer,
 * texts as long as the context that was current when the outcome was reached.
 */
typedef struct Outcome
{
	const HttpRequest *request;
	Verdict verdict;          /* of the request, without regard to what is to be mended */
	Mend to_mend;             /* so that it was not carried out */
	bool was_sent;            /* at least the beginning of the request may have left */
	bool may_be_done;         /* the service may have carried it out */
	FailureKind failure_kind; /* FAILURE_NONE: a whole answer came */
	const char *failure;      /* why none came, in the database's encoding; NULL: one came */
	Problem answer;           /* what the service said; http_status 0: nothing */
	int64 retry_after_ms;     /* of VERDICT_AGAIN and _THROTTLED: what the service asks to wait; 0: nothing */
	const char *body;         /* as much of it as came */
	size_t body_length;
	int64 elapsed_us;
	int64 bytes_sent; /* of bodies, as they were on the wire */
	int64 bytes_received;
	const Transfer *transfer; /* for flex_outcome_visit_headers() */
} Outcome;

extern Outcome flex_outcome_reach(const HttpRequest *request, const Endpoint *endpoint, const Transfer *transfer,
								  bool was_maybe_done, const char *given_up);
extern Outcome flex_outcome_unsent(const HttpRequest *request, const char *reason);
extern Verdict flex_verdict_if_lost(const HttpRequest *request);
extern FailureKind flex_failure_if_lost(const HttpRequest *request);
extern bool flex_outcome_is_good(const Outcome *outcome);
extern char *flex_outcome_find_sid(const Outcome *outcome);
extern void flex_outcome_visit_headers(const Outcome *outcome, HeaderVisitor visit, void *state);
pg_noreturn extern void flex_outcome_raise(const Outcome *outcome);
pg_noreturn extern void flex_outcome_raise_unread(const Outcome *outcome, MemoryContext context);

#endif /* FLEX_VERDICT_H */
