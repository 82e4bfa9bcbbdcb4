/*
 * holds.c
 *		Holds: problems that only an operator can mend, and that block many requests.
 *
 * A hold begins when a request meets such a problem.  While it lasts, requests with the same
 * network route, or the same credentials, are not sent, except one at a time (a probe) to find
 * out whether the problem persists.  Routes and credentials are identified by hashes of all
 * that they consist of, including the secret and the version of the CA file; so after an
 * operator has changed something, the hash differs, and requests are sent at once.
 *
 * If one request is answered with 401 while others with the same credentials are accepted, the
 * fault is its own, and it must not block the others again and again.  This is recognized when
 * it has been refused before, and a request claimed after that was accepted.
 *
 * Holds are in the memory of one sender; another sender finds the problem by itself.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/settings.h"
#include "delivery/holds.h"
#include "http/curl_options.h"

#define STATUS_TOO_MANY 429
#define FIRST_PAUSE_MS 1000
#define NETWORK_PAUSE_MS 5000
#define CREDENTIALS_PAUSE_MS 60000 /* the service may accept them again without a change on our side */
#define DESCRIPTORS_PAUSE_MS 1000
#define WARNING_MS 60000
#define MOST_KNOWN 1000
#define DESCRIPTORS_KEY 4 /* belongs to no route, since requests with an open connection need no descriptor */

typedef struct Hold
{
	uint64 key;             /* Route.network, Route.credentials or DESCRIPTORS_KEY */
	bool is_there;          /* the hold lasts; false if requests have been accepted since */
	TimestampTz found_at;   /* when this process found the problem */
	TimestampTz since;      /* when this or an earlier sender found it */
	int pauses;             /* number of probes that have met it */
	int64 open_at;          /* flex_clock_ms() before which no probe is sent */
	int64 probed_until;     /* flex_clock_ms() at which we stop waiting for the present probe; 0 if there is none */
	int64 warned_at;        /* flex_clock_ms() of the last warning, even if in an earlier hold of this key; or 0 */
	bool is_told;           /* there was a warning, so the end is to be logged */
	char text[NAMEDATALEN]; /* the server's address, for the log */
} Hold;

static HTAB *known;  /* Hold by key; NULL if empty */
static int there;    /* number of holds that last */
static uint64 found; /* counts how often a hold has begun */

/* Forget all holds, when a sender begins: problems may have been mended since the last one. */
void
flex_holds_begin(void)
{
	if (known != NULL)
		hash_destroy(known);
	known = NULL;
	there = 0;
}

/* Add a text to a hash; NULL adds nothing. */
static uint64
hash_text(const char *text, uint64 seed)
{
	return text != NULL ? hash_bytes_extended((const unsigned char *) text, strlen(text), seed) : seed;
}

/* Return the route of requests to a product (a service of the catalogue) with an endpoint. */
Route
flex_holds_route(const Endpoint *endpoint, const char *service)
{
	Route route = {0};

	route.network = hash_text(flex_endpoint_origin(endpoint, service), 1);
	route.network = hash_text(endpoint->proxy, route.network);
	route.network = hash_text(flex_curl_authorities(endpoint), route.network) | 1;
	/* Keys of networks are odd.  Those of credentials are even, with bit 1 set; so neither is 0 or DESCRIPTORS_KEY. */
	if (endpoint->authorization != NULL)
		route.credentials = (hash_text(endpoint->authorization, hash_text(endpoint->origin, 2)) | 3) - 1;
	return route;
}

static Hold *
find(uint64 key)
{
	return known != NULL && key != 0 ? hash_search(known, &key, HASH_FIND, NULL) : NULL;
}

/* Return true if any hold lasts. */
bool
flex_holds_any(void)
{
	return there > 0;
}

/*
 * Return a number that changes when a hold begins.  A caller that caches routes must look them
 * up anew then, because the key of the hold may be of a newer route.
 */
uint64
flex_holds_found(void)
{
	return found;
}

/* Return when a probe may be sent, by flex_clock_ms(); 0 if the hold is NULL or over. */
static int64
open_at(const Hold *hold)
{
	if (hold == NULL || !hold->is_there)
		return 0;
	return Max(Max(hold->open_at, hold->probed_until), 1);
}

/* Return when the next request of a route may be sent, as a probe, by flex_clock_ms(); 0 if nothing holds it back. */
int64
flex_holds_open_at(const Route *route)
{
	if (there == 0)
		return 0;
	return Max(open_at(find(route->network)), open_at(find(route->credentials)));
}

/* Set probed_until of the holds that concern a route. */
static void
set_probed_until(const Route *route, int64 at)
{
	uint64 keys[] = {route->network, route->credentials};

	for (size_t i = 0; i < lengthof(keys); i++)
	{
		Hold *hold = find(keys[i]);

		if (hold != NULL && hold->is_there)
			hold->probed_until = at;
	}
}

/* Note that a request of a route is about to be sent.  If the route is held, it is the probe, and others wait for it. */
void
flex_holds_begin_probe(const Route *route)
{
	set_probed_until(route, flex_clock_ms() + flex_settings.connect_timeout + NETWORK_PAUSE_MS);
}

/* Note that the request was not sent after all, so that another one can be the probe. */
void
flex_holds_end_probe(const Route *route)
{
	set_probed_until(route, 0);
}

/* End the hold of a key, because a request did not meet its problem.  It must have been claimed after that was found. */
static void
note_passed(uint64 key, const Claim *claim)
{
	Hold *hold = find(key);

	if (hold == NULL || !hold->is_there || claim->started_at <= hold->found_at)
		return;
	Assert(there > 0);
	hold->is_there = false;
	there--;
	if (hold->is_told)
		ereport(LOG, (errmsg("requests of the Flex API outbox no longer wait: %s", hold->text)));
}

/* Remove the holds that are over, to make space.  We lose when the last warning was, and which accepted others. */
static void
forget_some(void)
{
	HASH_SEQ_STATUS all;
	Hold *hold;

	hash_seq_init(&all, known);
	while ((hold = hash_seq_search(&all)) != NULL)
	{
		if (!hold->is_there)
			(void) hash_search(known, &hold->key, HASH_REMOVE, NULL);
	}
}

/* Return the entry for a key, creating it (not yet as a hold that lasts) if needed; NULL if there are too many. */
static Hold *
find_or_make(uint64 key)
{
	HASHCTL control = {.keysize = sizeof(uint64), .entrysize = sizeof(Hold), .hcxt = TopMemoryContext};
	Hold *hold;
	bool is_old;

	if (known == NULL)
		known = hash_create("flex_api holds", 16, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	if (hash_get_num_entries(known) >= MOST_KNOWN)
		forget_some();
	if (hash_get_num_entries(known) >= MOST_KNOWN && find(key) == NULL)
		return NULL;
	hold = hash_search(known, &key, HASH_ENTER, &is_old);
	if (!is_old)
	{
		memset(hold, 0, sizeof(Hold));
		hold->key = key;
	}
	return hold;
}

/*
 * Note that a request has met the problem of a hold: begin the hold, or plan the next probe.
 * The pause between probes doubles from FIRST_PAUSE_MS up to most_ms.
 */
static void
note_met(Hold *hold, const Claim *claim, int64 most_ms)
{
	TimestampTz now = GetCurrentTimestamp();
	bool is_probe = claim->started_at > hold->found_at;

	if (!hold->is_there)
	{
		hold->is_there = true;
		hold->found_at = hold->since = now;
		hold->pauses = 0;
		hold->open_at = hold->probed_until = 0;
		hold->is_told = false;
		there++;
		found++;
		is_probe = true;
	}
	if (claim->held_since != 0)
		hold->since = Min(hold->since, claim->held_since);
	/* The request was claimed before the problem was found, so it tells nothing new. */
	if (!is_probe)
		return;
	hold->probed_until = 0;
	hold->open_at = flex_clock_ms() + Min((int64) FIRST_PAUSE_MS << Min(hold->pauses, 10), most_ms);
	hold->pauses++;
}

/* For each kind of problem, what an operator has to look at, and how often it is probed. */
static const struct
{
	const char *hint;
	int pause_ms; /* longest pause between two probes */
} kinds[] = {
	[MEND_TRUST] = {"Check flex_api.ca_file and the server's certificate.", NETWORK_PAUSE_MS},
	[MEND_NAME] = {"Check the server's name in flex_api.base_url, flex_api.edge and flex_api.region, and the name "
				   "resolution of this machine.",
				   NETWORK_PAUSE_MS},
	[MEND_PROXY] = {"Check flex_api.proxy.", NETWORK_PAUSE_MS},
	[MEND_CREDENTIALS] = {"Give the role credentials that the service takes.", CREDENTIALS_PAUSE_MS},
	[MEND_DESCRIPTORS] = {"Raise the limit of open files of the server (ulimit -n), or lower flex_api.concurrency.",
						  DESCRIPTORS_PAUSE_MS},
};

/* Warn, at most once per minute and hold, and tell what an operator has to do. */
static void
warn(Hold *hold, const Endpoint *endpoint, const Outcome *outcome)
{
	const char *said = outcome->failure != NULL ? outcome->failure : outcome->answer.message;

	if (hold->warned_at != 0 && flex_clock_ms() - hold->warned_at < WARNING_MS)
		return;
	hold->warned_at = flex_clock_ms();
	hold->is_told = true;
	strlcpy(hold->text, endpoint->origin, sizeof(hold->text));
	if (outcome->to_mend == MEND_CREDENTIALS)
		ereport(WARNING, (errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
						  errmsg("requests of the Flex API outbox wait for an operator"),
						  errdetail("The service refuses the credentials of %s: %s", flex_endpoint_made_as(endpoint),
									said != NULL ? said : "HTTP status 401"),
						  errhint("%s", kinds[outcome->to_mend].hint)));
	else
		ereport(WARNING, (errcode(flex_error_sqlstate(FAILURE_NEVER_SENT)),
						  errmsg("requests of the Flex API outbox wait for an operator"),
						  errdetail("%s: %s", endpoint->origin, said), errhint("%s", kinds[outcome->to_mend].hint)));
}

/* Return true if the answer shows that the service has accepted the credentials. */
static bool
shows_credentials(const Outcome *outcome)
{
	int status = outcome->answer.http_status;

	return status != 0 && status != STATUS_TOO_MANY && status < 500 && outcome->to_mend == MEND_NOTHING;
}

/* End the holds that an attempt shows to be over. */
static void
note_ends(const Route *route, const Claim *claim, const Outcome *outcome)
{
	TransferState state = flex_transfer_state(outcome->transfer);
	bool is_of_network = outcome->to_mend != MEND_NOTHING && outcome->to_mend != MEND_CREDENTIALS;

	/* A request that was given up before it was sent shows nothing. */
	if (state == TRANSFER_RUNNING && !outcome->was_sent)
		flex_holds_end_probe(route);
	else if (!is_of_network)
		note_passed(route->network, claim);
	if (state != TRANSFER_RUNNING && outcome->to_mend != MEND_DESCRIPTORS)
		note_passed(DESCRIPTORS_KEY, claim);
	if (shows_credentials(outcome))
		note_passed(route->credentials, claim);
}

/* Return the key of the hold for a kind of problem that a request of a route has met. */
static uint64
key_of(const Route *route, Mend kind)
{
	if (kind == MEND_DESCRIPTORS)
		return DESCRIPTORS_KEY;
	return kind == MEND_CREDENTIALS ? route->credentials : route->network;
}

/*
 * Note the outcome of a claimed request's attempt, which may begin, prolong or end holds.  To
 * be called once per attempt.  Return until when the request must wait, if it has met a problem
 * that an operator has to mend and that is not the request's own fault; else zeros.
 */
Wait
flex_holds_note(const Endpoint *endpoint, const Claim *claim, const Outcome *outcome)
{
	Route route;
	bool is_refused = outcome->to_mend == MEND_CREDENTIALS;
	TimestampTz now = GetCurrentTimestamp();
	Hold *hold;

	if (there == 0 && outcome->to_mend == MEND_NOTHING)
		return (Wait){0};
	route = flex_holds_route(endpoint, outcome->request->service);
	note_ends(&route, claim, outcome);
	if (outcome->to_mend == MEND_NOTHING)
		return (Wait){0};
	hold = find_or_make(key_of(&route, outcome->to_mend));
	if (hold == NULL)
		return (Wait){now, TimestampTzPlusMilliseconds(now, kinds[outcome->to_mend].pause_ms)};
	/* Others are accepted with the same credentials: the request itself is at fault. */
	if (is_refused && claim->was_unauthorized && hold->found_at != 0 && !hold->is_there)
		return (Wait){0};
	note_met(hold, claim, kinds[outcome->to_mend].pause_ms);
	warn(hold, endpoint, outcome);
	return (Wait){hold->since, TimestampTzPlusMilliseconds(now, Max(hold->open_at - flex_clock_ms(), 0))};
}
