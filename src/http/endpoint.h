/*
 * endpoint.h
 *		Where a request goes, and as whom.
 */
#ifndef FLEX_ENDPOINT_H
#define FLEX_ENDPOINT_H

#define FLEX_AS_SETTINGS (-1)
#include "request/catalogue.h"
#include "shared/rates.h"

/*
 * All that a request needs to know of the other side, from one source.  It lives in
 * the memory context that it was made in, whose end erases the secret.
 */
typedef struct Endpoint
{
	Oid role;            /* whose request it is */
	char *origin;        /* scheme, host, port and a gateway's path, without a slash at the end; {service}: a product */
	char *authorization; /* value of the header, a secret; NULL: the request brings its own */
	char *proxy;         /* "": none, not that of the environment either */
	char *ca_file;       /* NULL: the authorities that libcurl was built to trust */
	char *account;       /* "": not known */
	char *made_as;       /* as whom, and where that is set: without a secret; NULL: the request brings its own */
	int timeout;         /* milliseconds, of a request with its repeats; FLEX_AS_SETTINGS: flex_api.timeout */
	int max_retries;     /* FLEX_AS_SETTINGS: flex_api.max_retries */
	MemoryContextCallback erase;
} Endpoint;

/* As whom, and where, a request of the outbox is to be made. */
typedef struct Identity
{
	Oid role;
	const char *server;      /* a foreign server's name; "": none; NULL: the one that the settings name */
	const char *account_sid; /* or NULL */
} Identity;

extern char *flex_endpoint_origin(const Endpoint *endpoint, const char *service);
extern RateKey flex_endpoint_rate_key(const Endpoint *endpoint, const Operation *operation);
extern Endpoint *flex_endpoint_of_settings(Oid role, const char *account, bool with_authorization);
extern const char *flex_endpoint_server_to_keep(Oid role);
extern Endpoint *flex_endpoint_of_identity(const Identity *identity, bool with_authorization);
extern Endpoint *flex_endpoint_of_server(Oid server_id, Oid role);

#endif /* FLEX_ENDPOINT_H */
