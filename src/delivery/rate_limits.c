/*
 * rate_limits.c
 *		The setting flex_api.rate_limits: how many requests per second an operation may have.
 *
 * This module parses the setting and looks up the limit of an account and operation; the token
 * buckets that enforce it for all sessions are in shared/rates.c.
 */
#include "postgres.h"

#include "utils/guc.h"

#include "base/compat.h"
#include "delivery/rate_limits.h"
#include "request/catalogue.h"
#include "shared/rates.h"

#define PUBLISHED "published"
#define NONE "none"
#define LEAST_RATE 0.001
#define MOST_RATE 1e6

#define PAUSED (-1.0)        /* a rate of 0 in the setting; internally 0 means that there is no limit */
#define UNLIMITED_STEP_MS 10 /* if there is no limit, but the service refuses requests */

#define MOST_OF_ACCOUNTS 256 /* limits for single accounts */

/* A limit for one account. */
typedef struct AccountLimit
{
	RateKey key;
	double per_second;
} AccountLimit;

/* The parsed setting, in requests per second; NO_RATE_LIMIT (0), or PAUSED if none is to be sent. */
typedef struct Limits
{
	double per_second[MAX_OPERATIONS]; /* for all other accounts, by the operation's index */
	int of_accounts_count;
	AccountLimit of_accounts[MOST_OF_ACCOUNTS];
} Limits;

static char *rate_limits;
static const Limits *limits;

/* Set the limits that the service has published. */
static void
set_published(Limits *result)
{
	const Operation *operation;

	for (int i = 0; (operation = flex_operation_at(i)) != NULL; i++)
		result->per_second[i] = operation->rate;
}

/* Return the text without white space at its ends; the string is modified. */
static char *
trim(char *text)
{
	size_t length;

	text += strspn(text, " \t\n");
	length = strlen(text);
	while (length > 0 && strchr(" \t\n", text[length - 1]) != NULL)
		text[--length] = '\0';
	return text;
}

/* Parse a rate.  Return false if the text is not a valid one. */
static bool
read_rate(const char *text, double *per_second)
{
	char *end;
	double rate = strtod(text, &end);

	if (end == text || *end != '\0' || !(rate == 0 || (rate >= LEAST_RATE && rate <= MOST_RATE)))
		return false;
	*per_second = rate == 0 ? PAUSED : rate;
	return true;
}

/* Return the operation with a name; if there is none, set the check hook's hint and return NULL. */
static const Operation *
find_operation(const char *name)
{
	const Operation *operation = flex_operation_find(name);

	if (operation == NULL && flex_operation_closest(name) != NULL)
		GUC_check_errhint("Perhaps you meant \"%s\".", flex_operation_closest(name));
	return operation;
}

/*
 * Add a limit for one account and operation; later ones override earlier ones.  Those beyond the most that
 * there may be are only counted, so that the error can tell how many there are.  Return false if no account is named.
 */
static bool
set_of_account(Limits *result, const char *account, const Operation *operation, double per_second)
{
	int index = result->of_accounts_count;

	if (account[0] == '\0')
		return false;
	result->of_accounts_count++;
	if (index < MOST_OF_ACCOUNTS)
		result->of_accounts[index] = (AccountLimit){
			.key = flex_rates_key(account, flex_operation_rate_index(operation)),
			.per_second = per_second,
		};
	return true;
}

/* Parse an element of the list: "flex_webchat_create=5", or "AC.../flex_webchat_create=5".  Modifies word. */
static bool
set_one(Limits *result, char *word)
{
	char *sign = strchr(word, '=');
	char *slash = strchr(word, '/');
	const char *name;
	const Operation *operation;
	double per_second;

	if (sign == NULL || (slash != NULL && slash > sign))
		return false;
	*sign = '\0';
	if (slash != NULL)
		*slash = '\0';
	name = trim(slash != NULL ? slash + 1 : word);
	operation = find_operation(name);
	if (operation == NULL || !read_rate(trim(sign + 1), &per_second))
		return false;
	if (slash != NULL)
		return set_of_account(result, trim(word), operation, per_second);
	result->per_second[flex_operation_rate_index(operation)] = per_second;
	return true;
}

/*
 * Parse a list of limits.  Operations that it does not name have no limit, or the published one
 * if its first element is "published".
 */
static bool
set_list(Limits *result, const char *text)
{
	char *copy = pstrdup(text);
	char *rest = copy;
	char *word;
	bool good = true;

	while (good && (word = strsep(&rest, ",")) != NULL)
	{
		if (word == copy && strcmp(trim(word), PUBLISHED) == 0)
			set_published(result);
		else
			good = set_one(result, word);
	}
	pfree(copy);
	return good;
}

/* Set the check hook's error detail, and return false, if a parsed list cannot be accepted. */
static bool
is_acceptable(const Limits *result, bool is_well_formed)
{
	if (!is_well_formed)
		GUC_check_errdetail("Give \"published\", \"none\", or a list such as \"flex_webchat_create=5, "
							"flex_interaction_create=20\": operations and requests per second. An account and a slash "
							"before an operation mean that account alone.");
	else if (result->of_accounts_count > MOST_OF_ACCOUNTS)
		GUC_check_errdetail("It has %d limits for single accounts; there can be at most %d.", result->of_accounts_count,
							MOST_OF_ACCOUNTS);
	else
		return true;
	return false;
}

static bool
check_rate_limits(char **newval, void **extra, GucSource source)
{
	Limits *result = flex_guc_malloc(sizeof(Limits));
	bool is_well_formed = true;

	if (result == NULL)
		return false;
	memset(result, 0, sizeof(Limits));
	if (strcmp(*newval, NONE) != 0)
		is_well_formed = set_list(result, *newval);
	if (!is_acceptable(result, is_well_formed))
	{
		flex_guc_free(result);
		return false;
	}
	*extra = result;
	return true;
}

static void
assign_rate_limits(const char *newval, void *extra)
{
	limits = extra;
}

/* Define the parameter. */
void
flex_rate_limits_define(void)
{
	DefineCustomStringVariable(
		"flex_api.rate_limits",
		"Maximum number of requests per second that the outbox and flex_call_many() send to each operation.",
		"\"published\" for the limits that Twilio states, \"none\", or a list such as \"flex_webchat_create=5\", for "
		"one account \"AC.../flex_webchat_create=5\"; a rate of 0 pauses an operation.",
		&rate_limits, PUBLISHED, PGC_SUSET, GUC_LIST_INPUT, check_rate_limits, assign_rate_limits, NULL);
}

/* Return the limit for a key: that of the account, if the setting has one, else that of the operation. */
static double
limit_of(RateKey key)
{
	for (int i = limits->of_accounts_count - 1; i >= 0; i--)
	{
		const AccountLimit *limit = &limits->of_accounts[i];

		if (limit->key.account == key.account && limit->key.operation == key.operation)
			return limit->per_second;
	}
	return limits->per_second[key.operation];
}

/*
 * Read the bucket with an index, for a view.  Set *per_second as users see it: the limit, 0 if
 * the operation is paused, or -1 if there is no limit.  Return false if there is no such bucket.
 */
bool
flex_rate_limits_read(int index, RateRow *row, double *per_second)
{
	if (!flex_rates_read(index, limit_of, row))
		return false;
	*per_second = limit_of(row->key);
	*per_second = *per_second == PAUSED ? 0 : *per_second == NO_RATE_LIMIT ? -1 : *per_second;
	return true;
}

/* Return true if requests of this key are paused by the setting. */
bool
flex_rate_limits_is_paused(RateKey key)
{
	return limit_of(key) == PAUSED;
}

/* Return how many of the wanted requests may be sent now, and take their tokens.  The key must not be paused. */
int
flex_rate_limits_take(RateKey key, int wanted)
{
	double limit = limit_of(key);

	Assert(limit != PAUSED);
	return flex_rates_take(key, limit, wanted);
}

/* Give tokens back whose requests were not sent after all. */
void
flex_rate_limits_give_back(RateKey key, int count)
{
	if (count != 0)
		flex_rates_give_back(key, count);
}

/* Return the milliseconds until another request may be sent.  The key must not be paused. */
int64
flex_rate_limits_wait_ms(RateKey key)
{
	double limit = limit_of(key);

	Assert(limit != PAUSED);
	return flex_rates_wait_ms(key, limit);
}

/* Return the milliseconds between two requests by the setting, at least 1.  The key must not be paused. */
int64
flex_rate_limits_step_ms(RateKey key)
{
	double limit = limit_of(key);

	Assert(limit != PAUSED);
	return limit == NO_RATE_LIMIT ? UNLIMITED_STEP_MS : (int64) Max(1000 / limit, 1);
}
