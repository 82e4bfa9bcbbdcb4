/*
 * transfer.h
 *		One request and its answer, as an easy handle of libcurl.
 */
#ifndef FLEX_TRANSFER_H
#define FLEX_TRANSFER_H

#include "http/endpoint.h"
#include "request/request.h"

typedef struct Transfer Transfer;

/* Whether reading an answer is suspended until other answers have been taken (see backpressure.c). */
typedef enum TransferHold
{
	NOT_HELD,
	HELD,        /* suspended, and the time does not count towards its timeout */
	HELD_STALLED /* suspended, but the time counts: it received nothing when it was its turn */
} TransferHold;

typedef enum TransferState
{
	TRANSFER_RUNNING,
	TRANSFER_ANSWERED,      /* a complete answer was received, whatever its status */
	TRANSFER_TOO_LARGE,     /* the answer exceeds the size limit; its status is known */
	TRANSFER_NO_DESCRIPTOR, /* never sent: this process has no file descriptor left */
	TRANSFER_NEVER_SENT,    /* failed before a byte of the request was sent */
	TRANSFER_NOT_RESOLVED,  /* never sent: the server's host name could not be resolved */
	TRANSFER_NO_PROXY,      /* never sent: the proxy cannot be reached, or refuses */
	TRANSFER_NOT_TRUSTED,   /* never sent: the server's certificate could not be verified */
	TRANSFER_BROKEN         /* failed after at least part of the request may have been sent */
} TransferState;

/*
 * The state of a transfer, running or ended.  The pointers are into the transfer, and
 * valid until it is freed.
 */
typedef struct TransferResult
{
	TransferState state;
	bool was_sent;        /* at least part of the request may have been sent */
	int status;           /* HTTP status; 0 if none was received */
	int64 retry_after_ms; /* from Retry-After, at most one hour; 0 if the service sent none */
	const char *body;     /* as much of the answer's body as was received, decoded */
	size_t body_length;
	size_t body_limit;   /* flex_api.max_response_size, in bytes */
	const char *failure; /* reason of the failure, libcurl's message or ours; "" if none */
	int64 elapsed_us;
	int64 bytes_sent; /* size of the request's body as sent (compressed, for instance) */
	int64 bytes_received;
} TransferResult;

/* Called for each header of an answer, in order; name and value are in the encoding they were received in. */
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
