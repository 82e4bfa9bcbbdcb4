/*
 * verdict.h
 *		What the end of a transfer means.
 */
#ifndef FLEX_VERDICT_H
#define FLEX_VERDICT_H

#include "base/errors.h"
#include "http/transfer.h"

typedef enum Verdict
{
	VERDICT_SUCCEEDED,
	VERDICT_AGAIN,    /* it failed, and sending it again can do no harm */
	VERDICT_DEFERRED, /* it was not tried, for this process lacks something */
	VERDICT_FAILED,   /* it was refused, or failed for good */
	VERDICT_UNKNOWN   /* it was sent, and may or may not have been carried out */
} Verdict;

extern Verdict flex_verdict_judge(const HttpRequest *request, const Transfer *transfer);
extern void flex_verdict_explain(const HttpRequest *request, const Transfer *transfer, Problem *problem);
pg_noreturn extern void
flex_verdict_raise_unread(const HttpRequest *request, const Transfer *transfer, MemoryContext context);
pg_noreturn extern void flex_verdict_raise(const HttpRequest *request, const Transfer *transfer);
extern int64 flex_backoff_ms(int tries, int64 first_ms, int64 most_ms);

#endif /* FLEX_VERDICT_H */
