/*
 * limits.c
 *		How fast each operation may be called: flex_api.rate_limits.
 *
 * A token bucket an operation, in shared memory where we are preloaded, so that
 * all sessions together keep the limit; else each session keeps it by itself.  A
 * bucket holds a tenth of a second's tokens, and one at least: what is sent in
 * any second stays close to the limit, also after a pause.
 */
#include "postgres.h"

#include "utils/guc.h"

#include "clock.h"
#include "limits.h"
#include "roster.h"
#include "versions.h"

#define PUBLISHED "published"
#define NONE "none"
#define LEAST_RATE 0.001
#define MOST_RATE 1e6

/* Requests a second, by the operation's index; 0: no limit. */
typedef struct Rates
{
	double rates[MAX_OPERATIONS];
} Rates;

static char *rate_limits;
static const Rates *rates;
static Buckets local_buckets;

/* The limits that the service has published. */
static void
set_published(Rates *result)
{
	const Operation *operation;

	for (int i = 0; (operation = flex_operation_at(i)) != NULL; i++)
		result->rates[i] = operation->rate;
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
set_one(Rates *result, char *word)
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
	rate = strtod(number, &end);
	if (operation == NULL || end == number || *end != '\0' || !(rate >= LEAST_RATE && rate <= MOST_RATE))
		return false;
	result->rates[flex_operation_index(operation)] = rate;
	return true;
}

/* A list of limits; what it does not name has none. */
static bool
set_list(Rates *result, const char *text)
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
	Rates *result = flex_guc_malloc(sizeof(Rates));
	bool good = true;

	if (result == NULL)
		return false;
	memset(result, 0, sizeof(Rates));
	if (strcmp(*newval, PUBLISHED) == 0)
		set_published(result);
	else if (strcmp(*newval, NONE) != 0)
		good = set_list(result, *newval);
	if (!good)
	{
		flex_guc_free(result);
		GUC_check_errdetail("Give \"published\", \"none\", or a list such as \"flex_webchat_create=5, "
							"flex_interaction_create=20\": operations and requests a second.");
		return false;
	}
	*extra = result;
	return true;
}

static void
assign_rate_limits(const char *newval, void *extra)
{
	rates = extra;
}

/* Define the parameter. */
void
flex_limits_define(void)
{
	DefineCustomStringVariable(
		"flex_api.rate_limits", "How many requests a second the outbox sends to each operation.",
		"\"published\" for the limits that Twilio states, \"none\", or a list such as \"flex_webchat_create=5\".",
		&rate_limits, PUBLISHED, PGC_SUSET, GUC_LIST_INPUT, check_rate_limits, assign_rate_limits, NULL);
}

/* Microseconds on a clock that all processes of the machine share. */
static int64
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static Buckets *
buckets(void)
{
	Buckets *shared = flex_roster_buckets();
	static bool initialized = false;

	if (shared != NULL)
		return shared;
	if (!initialized)
		SpinLockInit(&local_buckets.lock);
	initialized = true;
	return &local_buckets;
}

/* Bring a bucket up to date.  The lock is held. */
static void
fill(Bucket *bucket, double rate, int64 now)
{
	double most = Max(1.0, rate / 10);

	if (bucket->filled_at == 0)
		bucket->tokens = most;
	else
		bucket->tokens = Min(most, bucket->tokens + rate * (now - bucket->filled_at) / 1e6);
	bucket->filled_at = now;
}

/* How many of the wanted requests may be sent now; they count as sent. */
int
flex_limits_take(const Operation *operation, int wanted)
{
	int index = flex_operation_index(operation);
	double rate = rates->rates[index];
	int64 now = now_us();
	Buckets *all = buckets();
	int granted;

	if (rate == 0)
		return wanted;
	SpinLockAcquire(&all->lock);
	fill(&all->buckets[index], rate, now);
	granted = Min(wanted, (int) all->buckets[index].tokens);
	all->buckets[index].tokens -= granted;
	SpinLockRelease(&all->lock);
	return granted;
}

/* Some of what was taken was not sent after all. */
void
flex_limits_give_back(const Operation *operation, int count)
{
	int index = flex_operation_index(operation);
	Buckets *all = buckets();

	if (rates->rates[index] == 0 || count == 0)
		return;
	SpinLockAcquire(&all->lock);
	all->buckets[index].tokens += count;
	SpinLockRelease(&all->lock);
}

/* Milliseconds until another request may be sent. */
int64
flex_limits_wait_ms(const Operation *operation)
{
	int index = flex_operation_index(operation);
	double rate = rates->rates[index];
	Buckets *all = buckets();
	double tokens;

	if (rate == 0)
		return 0;
	SpinLockAcquire(&all->lock);
	tokens = all->buckets[index].tokens;
	SpinLockRelease(&all->lock);
	return tokens >= 1 ? 0 : (int64) ((1 - tokens) / rate * 1000) + 1;
}
