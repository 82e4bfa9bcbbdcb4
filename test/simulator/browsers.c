/*
 * browsers.c
 *	  Requests of customers' browsers: in the place of Twilio's Conversations
 *	  SDK, which speaks a protocol of its own, a page reads and writes the
 *	  messages of its conversation by the REST API, with an access token in the
 *	  header Authorization ("Bearer ..."), from whatever site it is of.
 */
#include <string.h>

#include "access_token.h"
#include "browsers.h"
#include "checks.h"
#include "json_text.h"
#include "store.h"

#define PREFIX "/conversations/"
#define SCHEME "Bearer"

/* Whether a request is for conversations, which pages of all sites may ask for: nothing there depends on cookies. */
static bool
is_for_conversations(const Request *request)
{
	return strncmp(request->path, PREFIX, strlen(PREFIX)) == 0;
}

/* The token of a header, which may be empty: some clients leave out the space then; NULL: it is of another scheme. */
static const char *
token_of(const char *authorization)
{
	const char *rest = authorization + strlen(SCHEME);

	if (strncmp(authorization, SCHEME, strlen(SCHEME)) != 0 || (*rest != ' ' && *rest != '\0'))
		return NULL;
	return rest + strspn(rest, " ");
}

/* Whether a browser asks what a page may do before it does it. */
bool
is_preflight(const Request *request)
{
	return strcmp(request->method, "OPTIONS") == 0 && is_for_conversations(request) &&
		   request_header(request, "Access-Control-Request-Method") != NULL;
}

/* Tells a browser what a page may do. */
void
answer_preflight(Request *request)
{
	request->answer.status = 204;
	request->answer.content_type = NULL;
	text_add_string(&request->answer.headers,
					"Access-Control-Allow-Origin: *\nAccess-Control-Allow-Methods: GET, POST\n"
					"Access-Control-Allow-Headers: Authorization\n");
}

/* Lets the page of another site read the answer. */
void
allow_origin(Request *request)
{
	if (is_for_conversations(request) && request_header(request, "Origin") != NULL)
		text_add_string(&request->answer.headers, "Access-Control-Allow-Origin: *\n");
}

/* Whether a request has an access token in the place of credentials. */
bool
carries_token(const Request *request)
{
	const char *authorization = request_header(request, "Authorization");

	return is_for_conversations(request) && authorization != NULL && token_of(authorization) != NULL;
}

/* Takes account and identity from a request's token; false, with the request refused, if it is not good. */
bool
check_token(Request *request)
{
	TokenFault fault =
		token_check(token_of(request_header(request, "Authorization")), &request->credential, &request->identity);

	if (fault == TOKEN_GOOD && !request->credential->account->suspended)
	{
		request->account = request->credential->account;
		return true;
	}
	request->credential = NULL;
	return answer_problem(&request->answer, SHAPE_TWILIO, request->path, 401, fault, NULL, "%s",
						  fault == TOKEN_EXPIRED         ? "Access Token has expired"
						  : fault == TOKEN_NOT_YET_VALID ? "Access Token is not valid yet"
						  : fault == TOKEN_BADLY_SIGNED  ? "Invalid Access Token signature"
														 : "Invalid Access Token");
}

/* With a token only the conversation is reached that a web chat has opened for its identity. */
bool
check_conversation(Request *request)
{
	Resource *chat;
	json_object *members;
	const char *identity;
	bool own;

	if (request->identity == NULL)
		return true;
	if (request->route->kind != kinds_of_shape("/conversations/v1/Conversations/{}/Messages"))
		return refuse(request, 403, 20403, NULL, "Forbidden");
	chat = store_find(store_list(request->account, kinds_of_shape("/v2/WebChats"), NULL), request->values[0]);
	members = chat ? store_members(chat) : NULL;
	identity = json_text_member(members, "identity");
	own = identity != NULL && strcmp(identity, request->identity) == 0;
	json_object_put(members);
	return own || refuse(request, 403, 20403, NULL, "Forbidden");
}
