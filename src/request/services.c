/*
 * services.c
 *		Other products of Twilio that flex_request() can call, and which of their requests
 *		are answered with a secret.
 *
 * These products accept the same credentials.  A name is the first label of the product's
 * host (conversations.twilio.com).  The list is fixed so that no argument of a call can send
 * credentials to another host.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "request/catalogue.h"
#include "request/path_template.h"
#include "request/services.h"

/* A request whose answer is a secret. */
typedef struct SecretAnswer
{
	const char *service;
	const char *method;
	const char *path; /* without an extension, such as ".json" */
} SecretAnswer;

static const char *const services[] = {"conversations", "taskrouter", "api", "verify", "proxy", "studio"};

/*
 * Such requests that are not in the catalogue.  According to the pages of these resources,
 * the answers contain an auth token, the secret of an API key, a password, a seed or a token.
 */
static const SecretAnswer secret_answers[] = {
	{FLEX_SERVICE, "POST", "/v4/Instances/{InstanceSid}/Users/{FlexUserSid}/Tokens"},
	{"api", "GET", "/2010-04-01/Accounts"},
	{"api", "POST", "/2010-04-01/Accounts"},
	{"api", "GET", "/2010-04-01/Accounts/{Sid}"},
	{"api", "POST", "/2010-04-01/Accounts/{Sid}"},
	{"api", "POST", "/2010-04-01/Accounts/{AccountSid}/Keys"},
	{"api", "POST", "/2010-04-01/Accounts/{AccountSid}/SigningKeys"},
	{"api", "POST", "/2010-04-01/Accounts/{AccountSid}/Tokens"},
	{"verify", "POST", "/v2/Services/{ServiceSid}/AccessTokens"},
	{"verify", "GET", "/v2/Services/{ServiceSid}/AccessTokens/{Sid}"},
	{"verify", "POST", "/v2/Services/{ServiceSid}/Entities/{Identity}/Factors"},
};

/* Return the name of a product as a literal, or NULL if there is none of that name. */
const char *
flex_service_find(const char *name)
{
	for (size_t i = 0; i < lengthof(services); i++)
	{
		if (strcmp(services[i], name) == 0)
			return services[i];
	}
	return NULL;
}

/* Return the names of all products for a message: "a, b or c"; palloc'd. */
const char *
flex_service_names(void)
{
	StringInfoData names;

	initStringInfo(&names);
	for (size_t i = 0; i < lengthof(services); i++)
		appendStringInfo(&names, "%s%s", i == 0 ? "" : i + 1 < lengthof(services) ? ", " : " or ", services[i]);
	return names.data;
}

/* Remove an extension such as ".json", which selects the format of the answer, from the end of a path. */
static void
cut_extension(char *path)
{
	char *dot = strrchr(path, '.');

	if (dot != NULL && strchr(dot, '/') == NULL)
		*dot = '\0';
}

/* Return true if the answer of a product to a request may be a secret, whichever way the path is written. */
bool
flex_service_answers_secret(const char *service, const char *method, const char *path)
{
	char *asked;
	bool is_secret = false;

	if (strcmp(service, FLEX_SERVICE) == 0 && flex_operation_answers_secret(method, path))
		return true;
	asked = flex_path_read_leniently(path);
	cut_extension(asked);
	for (size_t i = 0; i < lengthof(secret_answers) && !is_secret; i++)
	{
		const SecretAnswer *answer = &secret_answers[i];

		is_secret = strcmp(answer->service, service) == 0 && strcmp(answer->method, method) == 0 &&
					flex_path_is_of(answer->path, asked, true);
	}
	pfree(asked);
	return is_secret;
}
