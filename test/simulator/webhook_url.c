/*
 * webhook_url.c
 *	  The URL of a webhook: whether it is a good one, and how to connect.
 *
 * Time limits, and what is sent again, are those that Twilio's page on
 * connection overrides publishes: 5 s to connect, 15 s to answer and in all,
 * and one more time where no connection came about. A URL's fragment says
 * otherwise: #rc=3&rp=ct,5xx (ct, rt, tt in milliseconds).
 */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "text.h"
#include "webhook_url.h"

/* Reads "5xx,ct" as failures; false if there is another word. */
static bool
read_policy(const char *text, int *policy)
{
	static const struct
	{
		const char *word;
		int failures;
	} words[] = {{"ct", FAILURE_CONNECT},
				 {"rt", FAILURE_READ},
				 {"4xx", FAILURE_4XX},
				 {"5xx", FAILURE_5XX},
				 {"all", FAILURE_CONNECT | FAILURE_READ | FAILURE_4XX | FAILURE_5XX}};

	*policy = FAILURE_NONE;
	while (*text != '\0')
	{
		size_t length = strcspn(text, ",");
		int found = FAILURE_NONE;

		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (strlen(words[i].word) == length && strncmp(words[i].word, text, length) == 0)
				found = words[i].failures;
		if (found == FAILURE_NONE)
			return false;
		*policy |= found;
		text += length + (text[length] == ',');
	}
	return true;
}

/* Takes one override over: rc=3. */
static bool
take_override(Connection *how, const char *name, const char *value, Problem *problem)
{
	struct
	{
		const char *name;
		int64_t *place;
		int64_t least;
		int64_t most;
	} numbers[] = {{"rc", &how->retries, 0, 5},
				   {"ct", &how->connect_ms, 100, 10000},
				   {"rt", &how->read_ms, 100, 15000},
				   {"tt", &how->total_ms, 100, 15000}};

	if (strcmp(name, "rp") == 0)
		return read_policy(value, &how->policy) ||
			   problem_note(problem, "webhook_url", "#rp takes ct, rt, 4xx, 5xx or all, not \"%s\"", value);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
	{
		char *end;

		if (strcmp(numbers[i].name, name) != 0)
			continue;
		*numbers[i].place = strtoll(value, &end, 10);
		if (end != value && *end == '\0' && *numbers[i].place >= numbers[i].least &&
			*numbers[i].place <= numbers[i].most)
			return true;
		return problem_note(problem, "webhook_url", "#%s takes a number from %lld to %lld, not \"%s\"", name,
							(long long) numbers[i].least, (long long) numbers[i].most, value);
	}
	return problem_note(problem, "webhook_url", "#%s is no override; there are rc, rp, ct, rt and tt", name);
}

/* Takes the overrides of a URL's fragment over. */
static bool
take_overrides(Connection *how, const char *url, Problem *problem)
{
	const char *mark = strchr(url, '#');
	char *fragment = must_copy(mark ? mark + 1 : "");
	char *rest = fragment;
	char *pair;
	bool done = true;

	while (done && (pair = strsep(&rest, "&")) != NULL)
	{
		char *sign = strchr(pair, '=');

		if (sign != NULL)
			*sign = '\0';
		if (*pair != '\0')
			done = take_override(how, pair, sign ? sign + 1 : "", problem);
	}
	free(fragment);
	return done;
}

/* Checks that a URL is one that may be sent to, as far as it says. */
static bool
check_url(const char *text, Problem *problem)
{
	CURLU *url = curl_url();
	char *host = NULL;
	char *scheme = NULL;
	struct in_addr parsed;
	bool valid = text != NULL && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
				 curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
				 curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
				 (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
	bool loopback = valid && (strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
							  (inet_pton(AF_INET, host, &parsed) == 1 && ntohl(parsed.s_addr) >> 24 == 127));

	curl_free(host);
	curl_free(scheme);
	curl_url_cleanup(url);
	if (!valid)
		return problem_note(problem, "webhook_url", "must be a URL, http or https");
	return loopback || options.webhooks_anywhere ||
		   problem_note(problem, "webhook_url",
						"leads out of this machine, which the simulator does only with --webhooks-anywhere");
}

/* Reads how to connect from a URL; false, with the problem, if it is not good. */
bool
connection_of(const char *url, Connection *how, Problem *problem)
{
	*how =
		(Connection){.connect_ms = 5000, .read_ms = 15000, .total_ms = 15000, .retries = 1, .policy = FAILURE_CONNECT};
	return check_url(url, problem) && take_overrides(how, url, problem);
}
