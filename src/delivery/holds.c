/*
 * holds.c
 *		What holds requests back until an operator has mended it.
 *
 * A hold begins with the first request that meets something that an operator has to mend.
 * From then on all whose way to the server, or whose credentials, are the same wait, but
 * for one at a time that finds out whether it is mended: so a thousand requests make no
 * thousand attempts.  Ways and credentials are known by hashes of all that they consist of,
 * the version of the file of authorities and the secret included: what an operator changes
 * there is no longer the same, and is tried at once.
 *
 * What is answered with 401 although others get through with the same credentials is
 * refused by itself: this is known when it has been refused before, and another that left
 * after that was not.  Else one request could hold up all others, again and again.
 *
 * All this is the sender's alone, and forgotten with it: another one finds out anew.
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
#define CREDENTIALS_PAUSE_MS 60000 /* the service may take them again without a change here */
#define DESCRIPTORS_PAUSE_MS 1000
#define WARNING_MS 60000
#define MOST_KNOWN 1000
#define DESCRIPTORS_KEY 4 /* of no route: who has a connection goes on */

typedef struct Hold
{
	uint64 key;
	bool is_there;          /* else it was, and others have got through since */
	TimestampTz found_at;   /* by this process */
	TimestampTz since;      /* the same, by senders before it, too */
	int pauses;             /* probes that have met it */
	int64 open_at;          /* flex_clock_ms(), when the next probe may be sent */
	int64 probed_until;     /* flex_clock_ms(): until then a probe is under way; 0: none is */
	int64 warned_at;        /* flex_clock_ms(), also by one that was there before; 0: never */
	bool is_told;           /* the log says that it is there */
	char text[NAMEDATALEN]; /* of the place, for the log */
} Hold;

static HTAB *known;  /* NULL: none yet */
static int there;    /* so many of them are there */
static uint64 found; /* how often one was found */

/* Forget them all: what is mended by now nobody has told us. */
void
flex_holds_begin(void)
{
	if (known != NULL)
		hash_destroy(known);
	known = NULL;
	there = 0;
}

static uint64
hash_text(const char *text, uint64 seed)
{
	return text != NULL ? hash_bytes_extended((const unsigned char *) text, strlen(text), seed) : seed;
}

/* The route of requests to a product. */
Route
flex_holds_route(const Endpoint *endpoint, const char *service)
{
	Route route = {0};

	route.network = hash_text(flex_endpoint_origin(endpoint, service), 1);
	route.network = hash_text(endpoint->proxy, route.network);
	route.network = hash_text(flex_curl_authorities(endpoint), route.network) | 1;
	/* The lowest bit tells the one kind from the other, and both from 0. */
	if (endpoint->authorization != NULL)
		route.credentials = (hash_text(endpoint->authorization, hash_text(endpoint->origin, 2)) | 3) - 1;
	return route;
}

static Hold *
find(uint64 key)
{
	return known != NULL && key != 0 ? hash_search(known, &key, HASH_FIND, NULL) : NULL;
}

/* True when one is there. */
bool
flex_holds_any(void)
{
	return there > 0;
}

/* A number that has changed when one was found: what is known of routes may be too old to tell whose it is. */
uint64
flex_holds_found(void)
{
	return found;
}

/* When a request that is held back may be sent; 0: it is not. */
static int64
open_at(const Hold *hold)
{
	if (hold == NULL || !hold->is_there)
		return 0;
	return Max(Max(hold->open_at, hold->probed_until), 1);
}

/* When the next request of a route may be sent, by flex_clock_ms(), to find out whether others may; 0: all may. */
int64
flex_holds_open_at(const Route *route)
{
	if (there == 0)
		return 0;
	return Max(open_at(find(route->network)), open_at(find(route->credentials)));
}

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

/* A request is sent that finds out; no other is, until it is over, or should be. */
void
flex_holds_begin_probe(const Route *route)
{
	set_probed_until(route, flex_clock_ms() + flex_settings.connect_timeout + NETWORK_PAUSE_MS);
}

/* It was not sent after all. */
void
flex_holds_end_probe(const Route *route)
{
	set_probed_until(route, 0);
}

/* A request has got through that was claimed after the hold began. */
static void
note_passed(uint64 key, const Claim *claim)
{
	Hold *hold = find(key);

	if (hold == NULL || !hold->is_there || claim->started_at <= hold->found_at)
		return;
	hold->is_there = false;
	there--;
	if (hold->is_told)
		ereport(LOG, (errmsg("requests of the Flex API outbox no longer wait: %s", hold->text)));
}

/* Make place for others: those that are no longer there are known for a comfort only. */
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

/* The hold of a key, which may have to begin; NULL: there are too many. */
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

/* A request has met what is to be mended, for which probes are to be so far apart at most. */
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
	/* Others were on their way when it was found. */
	if (!is_probe)
		return;
	hold->probed_until = 0;
	hold->open_at = flex_clock_ms() + Min((int64) FIRST_PAUSE_MS << Min(hold->pauses, 10), most_ms);
	hold->pauses++;
}

/* What an operator has to look at, and how often that is tried. */
static const struct
{
	const char *hint;
	int pause_ms; /* between two probes, at most */
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

/* Say, once a minute per hold, what an operator has to do. */
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
						  errdetail("The service refuses the credentials of %s: %s", endpoint->made_as,
									said != NULL ? said : "HTTP status 401"),
						  errhint("%s", kinds[outcome->to_mend].hint)));
	else
		ereport(WARNING, (errcode(flex_error_sqlstate(FAILURE_NEVER_SENT)),
						  errmsg("requests of the Flex API outbox wait for an operator"),
						  errdetail("%s: %s", endpoint->origin, said), errhint("%s", kinds[outcome->to_mend].hint)));
}

/* True for an answer that comes after a look at the credentials. */
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

	/* Given up, it shows nothing. */
	if (state == TRANSFER_RUNNING && !outcome->was_sent)
		flex_holds_end_probe(route);
	else if (!is_of_network)
		note_passed(route->network, claim);
	if (state != TRANSFER_RUNNING && outcome->to_mend != MEND_DESCRIPTORS)
		note_passed(DESCRIPTORS_KEY, claim);
	if (shows_credentials(outcome))
		note_passed(route->credentials, claim);
}

/* The key of the hold for what a request of a route has met. */
static uint64
key_of(const Route *route, Mend kind)
{
	if (kind == MEND_DESCRIPTORS)
		return DESCRIPTORS_KEY;
	return kind == MEND_CREDENTIALS ? route->credentials : route->network;
}

/*
 * Note what became of a claimed request; returns how long it waits, where an operator has
 * to mend something that is not its own fault.
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
	/* Others get through. */
	if (is_refused && claim->was_unauthorized && hold->found_at != 0 && !hold->is_there)
		return (Wait){0};
	note_met(hold, claim, kinds[outcome->to_mend].pause_ms);
	warn(hold, endpoint, outcome);
	return (Wait){hold->since, TimestampTzPlusMilliseconds(now, Max(hold->open_at - flex_clock_ms(), 0))};
}
