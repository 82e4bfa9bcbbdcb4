/*
 * rates.c
 *	  The published rates: requests per second and operation, off by default.
 *
 * Each operation of an account has a bucket that holds a second's worth of requests and
 * one more, so that a client that sends exactly at the rate is not refused
 * because two of its requests came a little closer together.
 */
#include <stdlib.h>
#include <string.h>

#include "checks.h"
#include "options.h"
#include "rates.h"

typedef struct Rate
{
	const char *function; /* or how the functions' names begin */
	double per_second;
} Rate;

/* The first row that fits counts. */
static const Rate rates[] = {
	{.function = "flex_interaction", .per_second = 20},    {.function = "flex_webchat_create", .per_second = 5},
	{.function = "flex_channel_create", .per_second = 10}, {.function = "flex_channels_list", .per_second = 5},
	{.function = "flex_channel_fetch", .per_second = 3},   {.function = "flex_channel_delete", .per_second = 10},
	{.function = "flex_flow_create", .per_second = 2},     {.function = "flex_flows_list", .per_second = 10},
	{.function = "flex_flow_fetch", .per_second = 2},      {.function = "flex_flow_update", .per_second = 1},
	{.function = "flex_flow_delete", .per_second = 2},     {.function = "flex_web_channel_create", .per_second = 5},
	{.function = "flex_web_channel", .per_second = 1},
};

typedef struct Bucket
{
	double level;      /* requests that may still come */
	int64_t filled_us; /* when that was so; 0 for never */
} Bucket;

/* Forgets what came so far. */
void
rates_reset(void)
{
	for (int i = 0; i < accounts_count(); i++)
	{
		free(accounts_get(i)->buckets);
		accounts_get(i)->buckets = NULL;
	}
}

/* The operation's rate, or 0 if none is published. */
static double
rate_of(const Operation *operation)
{
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
		if (strncmp(operation->function, rates[i].function, strlen(rates[i].function)) == 0)
			return rates[i].per_second;
	return 0;
}

/* Refuses the request with 429 if its operation's rate is used up. */
bool
check_rate(Request *request)
{
	double rate = options.rate_limits ? rate_of(request->operation) : 0;
	int64_t now = now_us();
	Bucket *bucket;

	if (rate == 0)
		return true;
	if (request->account->buckets == NULL)
		request->account->buckets = calloc((size_t) facts_operation_count(), sizeof(Bucket));
	bucket = &request->account->buckets[request->operation->number];
	if (bucket->filled_us == 0)
		bucket->level = rate + 1;
	else
		bucket->level += (double) (now - bucket->filled_us) / 1e6 * rate;
	if (bucket->level > rate + 1)
		bucket->level = rate + 1;
	bucket->filled_us = now;
	if (bucket->level >= 1)
	{
		bucket->level -= 1;
		return true;
	}
	refuse(request, 429, 20429, NULL, "Too many requests");
	text_add_string(&request->answer.headers, "Retry-After: 1\n");
	return false;
}
