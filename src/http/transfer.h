/*
 * transfer.h
 *		One request and its answer, as an easy handle of libcurl.
 */
#ifndef FLEX_TRANSFER_H
#define FLEX_TRANSFER_H

#include "http/endpoint.h"
#include "request/request.h"

typedef struct Transfer Transfer;

/* Does an answer have to wait for others to be taken? */
typedef enum TransferHold
{
	NOT_HELD,
	HELD,        /* its time stands still meanwhile */
	HELD_STALLED /* its time runs, for it moved nothing when it could */
} TransferHold;

typedef enum TransferState
{
	TRANSFER_RUNNING,
	TRANSFER_ANSWERED,      /* a whole answer, of whatever status */
	TRANSFER_TOO_LARGE,     /* an answer over the limit; its status is known */
	TRANSFER_NO_DESCRIPTOR, /* not even begun: this process has no file descriptor left */
	TRANSFER_NEVER_SENT,    /* failed before a byte of the request had left */
	TRANSFER_NOT_RESOLVED,  /* never sent, for the server's name has no address */
	TRANSFER_NO_PROXY,      /* never sent, for the proxy is not there, or refuses */
	TRANSFER_NOT_TRUSTED,   /* never sent, for the server is not who it should be */
	TRANSFER_BROKEN         /* failed after that */
} TransferState;

/* How a transfer stands, or has ended.  What it points to lasts until the transfer is freed. */
typedef struct TransferResult
{
	TransferState state;
	bool was_sent;        /* at least the beginning of the request may have left */
	int status;           /* of HTTP; 0: not known */
	int64 retry_after_ms; /* that the service asks to wait; 0: it does not */
	const char *body;     /* what has come of it */
	size_t body_length;
	size_t body_limit;
	const char *failure; /* why it failed, in libcurl's or our words */
	int64 elapsed_us;
	int64 bytes_sent; /* of bodies, as they were on the wire */
	int64 bytes_received;
} TransferResult;

/* Called for each header of an answer, in order; the texts are the wire's. */
typedef void (*HeaderVisitor)(void *state, const char *name, const char *value);

extern Transfer *flex_transfer_prepare(const HttpRequest *request, const Endpoint *endpoint, long timeout_ms);
extern void *flex_transfer_handle(Transfer *transfer);
extern bool flex_transfer_conclude(void *handle, int result);
extern void flex_transfer_free(Transfer *transfer);

extern TransferState flex_transfer_state(const Transfer *transfer);
extern uint64 flex_transfer_ending(const Transfer *transfer);
extern bool flex_transfer_was_sent(const Transfer *transfer);
extern bool flex_transfer_any_unsent(void);
extern size_t flex_transfer_length(const Transfer *transfer);
extern TransferResult flex_transfer_result(const Transfer *transfer);
extern const char *flex_transfer_request_id(const Transfer *transfer);
extern void flex_transfer_visit_headers(const Transfer *transfer, HeaderVisitor visit, void *state);
extern void flex_transfer_hold(Transfer *transfer, TransferHold hold);
extern void flex_transfer_go_on(Transfer *transfer);
extern TransferHold flex_transfer_held(const Transfer *transfer);

#endif /* FLEX_TRANSFER_H */
