/*
 * services.c
 *		The products beside the Flex API that take the same credentials, and what
 *		of theirs is answered with a secret.
 *
 * A name here is the first label of the product's host (conversations.twilio.com),
 * and no other name can become one: the list is fixed, so that no argument of a call
 * leads a credential to a host that nobody has thought of.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "request/catalogue.h"
#include "request/path_template.h"
#include "request/services.h"

/* An answer of another product that is a secret, by its request. */
typedef struct SecretAnswer
{
	const char *service;
	const char *method;
	const char *path; /* without an extension, such as ".json" */
} SecretAnswer;

static const char *const services[] = {"conversations", "taskrouter", "api", "verify", "proxy", "studio"};

/*
 * Those that are no function's.  As the resources' pages have it: an auth token, an API
 * key's secret, a password, a seed, a token.
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

/* The name, as the list has it, of a product; NULL for what is none. */
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

/* The names of all products, for a message: "a, b or c". */
const char *
flex_service_names(void)
{
	StringInfoData names;

	initStringInfo(&names);
	for (size_t i = 0; i < lengthof(services); i++)
		appendStringInfo(&names, "%s%s", i == 0 ? "" : i + 1 < lengthof(services) ? ", " : " or ", services[i]);
	return names.data;
}

/* Cut the extension, which says the form of an answer, off a path's last part. */
static void
cut_extension(char *path)
{
	char *dot = strrchr(path, '.');

	if (dot != NULL && strchr(dot, '/') == NULL)
		*dot = '\0';
}

/* True when the answer of a service to a request may be a secret, however the path is spelt. */
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
