/*
 * endpoint.h
 *		The address and the credentials that a request is made with.
 */
#ifndef FLEX_ENDPOINT_H
#define FLEX_ENDPOINT_H

#define FLEX_AS_SETTINGS (-1)
#include "request/catalogue.h"
#include "shared/rates.h"

/*
 * Address, credentials and limits of requests.  It is allocated in the memory context that
 * was current when it was made; its secrets are erased when that is reset or deleted.
 */
typedef struct Endpoint
{
	Oid role;            /* the role whose request it is */
	char *origin;        /* scheme, host, port and path prefix, without trailing slash; may contain {service} */
	char *authorization; /* that header, a secret; NULL if the request has credentials of its own */
	char *proxy;         /* "" for none, not even one from the environment */
	char *ca_file;       /* NULL for the authorities that libcurl trusts by default */
	char *account;       /* account SID, "" if not known */
	const char *user;    /* of the credentials, to be shown by flex_endpoint_made_as(); NULL if authorization is */
	const char *source;  /* where the credentials come from, for messages; NULL if authorization is */
	int timeout;         /* milliseconds for a request with its repeats; FLEX_AS_SETTINGS for flex_api.timeout */
	int max_retries;     /* FLEX_AS_SETTINGS for flex_api.max_retries */
	MemoryContextCallback erase;
} Endpoint;

/* What a request of the outbox stores about the endpoint to use. */
typedef struct Identity
{
	Oid role;
	const char *server;      /* name of a foreign server; "" for none, NULL for the one that the settings name */
	const char *account_sid; /* NULL for the account that the settings name */
} Identity;

extern char *flex_endpoint_origin(const Endpoint *endpoint, const char *service);
extern const char *flex_endpoint_made_as(const Endpoint *endpoint);
extern RateKey flex_endpoint_rate_key(const Endpoint *endpoint, const Operation *operation);
extern Endpoint *flex_endpoint_of_settings(Oid role, const char *account, bool with_authorization);
extern const char *flex_endpoint_server_to_keep(Oid role);
extern Endpoint *flex_endpoint_of_identity(const Identity *identity, bool with_authorization);
extern Endpoint *flex_endpoint_of_server(Oid server_id, Oid role);

#endif /* FLEX_ENDPOINT_H */
