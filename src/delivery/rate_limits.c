/*
 * rate_limits.c
 *		How fast each operation may be called: flex_api.rate_limits.
 *
 * The setting says which operation has which rate; shared/rates.c keeps it.
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

#define PAUSED (-1.0)

/* Requests per second, by the operation's index; 0: no limit, PAUSED: none is sent. */
typedef struct Limits
{
	double per_second[MAX_OPERATIONS];
} Limits;

static char *rate_limits;
static const Limits *limits;

/* The limits that the service has published. */
static void
set_published(Limits *result)
{
	const Operation *operation;

	for (int i = 0; (operation = flex_operation_at(i)) != NULL; i++)
		result->per_second[i] = operation->rate;
}

/* The text without blanks around it, which are cut off in place. */
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

/* One word of a list: "flex_webchat_create=5". */
static bool
set_one(Limits *result, char *word)
{
	char *sign = strchr(word, '=');
	const Operation *operation;
	char *number;
	char *end;
	double rate;

	if (sign == NULL)
		return false;
	*sign = '\0';
	number = trim(sign + 1);
	operation = flex_operation_find(trim(word));
	if (operation == NULL && flex_operation_closest(trim(word)) != NULL)
		GUC_check_errhint("Perhaps you meant \"%s\".", flex_operation_closest(trim(word)));
	rate = strtod(number, &end);
	if (operation == NULL || end == number || *end != '\0' || !(rate == 0 || (rate >= LEAST_RATE && rate <= MOST_RATE)))
		return false;
	result->per_second[flex_operation_index(operation)] = rate == 0 ? PAUSED : rate;
	return true;
}

/* A list of limits; what it does not name has none. */
static bool
set_list(Limits *result, const char *text)
{
	char *copy = pstrdup(text);
	char *rest = copy;
	char *word;
	bool good = true;

	while (good && (word = strsep(&rest, ",")) != NULL)
		good = set_one(result, word);
	pfree(copy);
	return good;
}

static bool
check_rate_limits(char **newval, void **extra, GucSource source)
{
	Limits *result = flex_guc_malloc(sizeof(Limits));
	bool good = true;

	if (result == NULL)
		return false;
	memset(result, 0, sizeof(Limits));
	if (strcmp(*newval, PUBLISHED) == 0)
		set_published(result);
	else if (strcmp(*newval, NONE) != 0)
		good = set_list(result, *newval);
	if (!good)
	{
		flex_guc_free(result);
		GUC_check_errdetail("Give \"published\", \"none\", or a list such as \"flex_webchat_create=5, "
							"flex_interaction_create=20\": operations and requests per second.");
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
		"flex_api.rate_limits", "How many requests per second the outbox and flex_call_many() send to each operation.",
		"\"published\" for the limits that Twilio states, \"none\", or a list such as \"flex_webchat_create=5\"; "
		"a rate of 0 pauses an operation.",
		&rate_limits, PUBLISHED, PGC_SUSET, GUC_LIST_INPUT, check_rate_limits, assign_rate_limits, NULL);
}

/* True when none of its requests is to be sent. */
bool
flex_rate_limits_is_paused(const Operation *operation)
{
	return limits->per_second[flex_operation_index(operation)] == PAUSED;
}

/* All accounts share the limit of an operation, for a lane of the outbox has requests of any. */
static RateKey
key_of(const Operation *operation)
{
	return (RateKey){.operation = flex_operation_index(operation)};
}

/* How many of the wanted requests may be sent now, of an operation that is not paused; they count as sent. */
int
flex_rate_limits_take(const Operation *operation, int wanted)
{
	double limit = limits->per_second[flex_operation_index(operation)];

	Assert(limit != PAUSED);
	return limit == 0 ? wanted : flex_rates_take(key_of(operation), limit, wanted);
}

/* Some of what was taken was not sent after all. */
void
flex_rate_limits_give_back(const Operation *operation, int count)
{
	if (limits->per_second[flex_operation_index(operation)] != 0 && count != 0)
		flex_rates_give_back(key_of(operation), count);
}

/* Milliseconds until another request may be sent. */
int64
flex_rate_limits_wait_ms(const Operation *operation)
{
	double limit = limits->per_second[flex_operation_index(operation)];

	Assert(limit != PAUSED);
	return limit == 0 ? 0 : flex_rates_wait_ms(key_of(operation), limit);
}
