/*
 * request.h
 *	  One request as it came in, and what was made of it.
 */
#ifndef SIMULATOR_REQUEST_H
#define SIMULATOR_REQUEST_H

#include <json-c/json.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

#include "accounts.h"
#include "answer.h"
#include "facts.h"
#include "identifiers.h"

/* One parameter, decoded. The value ends with a NUL that is not counted. */
typedef struct Pair
{
	char *name;
	char *value;
	size_t length;
	bool query; /* not from the body */
	bool utf8;  /* both are valid UTF-8 */
} Pair;

typedef struct Request
{
	struct MHD_Connection *connection;
	char method[16];
	char *uri;                  /* as it came */
	char *path;                 /* the same up to the question mark, without the prefix */
	const char *prefix;         /* /flex-api where it came with that, or "" */
	char *query;                /* the same behind it, or "" */
	char *decoded;              /* where values and pairs point into */
	char *values[MAX_SEGMENTS]; /* of the path, decoded */
	Text body;
	Pair *pairs;
	size_t pair_count;
	json_object *json;
	const Route *route;
	const Operation *operation;
	Account *account;             /* whose credentials it carries; NULL before they were checked */
	const Credential *credential; /* of these */
	char *identity;               /* of the access token that it carries instead; NULL otherwise */
	char base[300];               /* scheme and host, for URLs in the answer */
	char request_id[SID_LENGTH + 1];
	int64_t started_us;
	int64_t number; /* of the API request, from 1 */
	bool begun;
	bool answered; /* the answer is ready, perhaps delayed */
	bool broken;   /* an escape or a path that is no UTF-8 */
	Answer answer;
} Request;

extern Request *request_new(struct MHD_Connection *connection, const char *uri);
extern void request_free(Request *request);
extern const char *request_header(const Request *request, const char *name);
extern bool request_has_media_type(const Request *request, const char *type);
extern void request_decode(Request *request, bool form);
extern void request_identify(Request *request);
extern void request_find_base(Request *request, bool tls, int port);
extern const Pair *request_pair(const Request *request, const char *name, bool query);
extern bool valid_utf8(const char *data, size_t length);

#endif
