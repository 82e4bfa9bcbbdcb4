/*
 * faults.c
 *	  The faults that were asked for: which requests each of them meets, and
 *	  the answers that they put in place of the true one. What changes a true
 *	  answer is in distortions.c.
 */
#include <ctype.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "distortions.h"
#include "fault_names.h"
#include "faults.h"
#include "json_text.h"
#include "text.h"

typedef struct Fault
{
	json_object *wish; /* as it was sent */
	int64_t skip;      /* requests to let pass first */
	int64_t times;     /* requests to meet; -1 for all */
	uint64_t dice;     /* the seed of what comes by chance */
	uint64_t throws;
} Fault;

static Fault *faults;
static size_t count;

/* What replaces the true answer. */
static const char *const replacing_members[] = {"status",      "code",       "message", "shape", "body",
												"body_base64", "huge_bytes", "nested",  NULL};

/* Whether the name is in the list. */
static bool
is_listed(const char *name, const char *const *names)
{
	for (; *names != NULL; names++)
		if (strcmp(name, *names) == 0)
			return true;
	return false;
}

/* Adds a fault behind the others; false, with the problem, if it makes no sense. */
bool
faults_add(json_object *wish, Problem *problem)
{
	json_object *fault;
	bool by_chance;

	if (!fault_check(wish, problem))
		return false;
	fault = fault_expand(wish);
	by_chance = json_member(fault, "chance") != NULL;
	faults = must_resize(faults, (count + 1) * sizeof(Fault));
	faults[count++] = (Fault){.wish = fault,
							  .skip = json_integer_member(fault, "skip", 0),
							  .times = json_integer_member(fault, "times", by_chance ? -1 : 1),
							  .dice = (uint64_t) json_integer_member(fault, "seed", 1)};
	return true;
}

/* Forgets all faults. */
void
faults_clear(void)
{
	for (size_t i = 0; i < count; i++)
		json_object_put(faults[i].wish);
	free(faults);
	faults = NULL;
	count = 0;
}

/* Writes the faults as JSON, with what is left of each. */
void
faults_write(Text *text)
{
	text_add_string(text, "{\"faults\":[");
	for (size_t i = 0; i < count; i++)
	{
		text_printf(text, "%s{\"skip\":%lld,\"times\":%lld,\"fault\":", i ? "," : "", (long long) faults[i].skip,
					(long long) faults[i].times);
		json_write(text, faults[i].wish);
		text_add_string(text, "}");
	}
	text_add_string(text, "]}");
}

/* Whether a fault is meant for such a request, which was identified. */
static bool
meets(const Fault *fault, const Request *request)
{
	const char *method = json_text_member(fault->wish, "method");
	const char *path = json_text_member(fault->wish, "path");
	const char *operation = json_text_member(fault->wish, "operation");

	return fault->times != 0 &&
		   (operation == NULL ||
			(request->operation != NULL && strcmp(operation, request->operation->function) == 0)) &&
		   (method == NULL || strcmp(method, request->method) == 0) &&
		   (path == NULL || fnmatch(path, request->path, 0) == 0);
}

/* Whether a fault that comes by chance comes now: for one seed always in the same places. */
static bool
falls(Fault *fault)
{
	json_object *chance = json_member(fault->wish, "chance");
	uint64_t thrown;

	if (chance == NULL)
		return true;
	thrown = mix_bits(mix_bits(fault->dice) + fault->throws++);
	return (double) (thrown >> 11) * 0x1p-53 < json_object_get_double(chance);
}

/* The seed that mutates this time; each time another one. */
static void
advance_seed(json_object *fault)
{
	json_object *seed = json_member(fault, "mutate");

	if (seed != NULL)
		json_object_set_int64(seed, json_object_get_int64(seed) + 1);
}

/*
 * The first fault that meets the request, or NULL; used up by once. The
 * caller owns the reference, and applies it before it takes the next.
 */
json_object *
faults_take(const Request *request)
{
	for (size_t i = 0; i < count; i++)
	{
		Fault *fault = &faults[i];

		if (!meets(fault, request) || !falls(fault))
			continue;
		if (fault->skip > 0)
		{
			fault->skip--;
			continue;
		}
		if (fault->times > 0)
			fault->times--;
		return json_object_get(fault->wish);
	}
	return NULL;
}

/* Whether the fault puts an answer in place of the true one. */
static bool
replaces(json_object *fault)
{
	json_object_object_foreach(fault, name, value)
	{
		(void) value;
		if (is_listed(name, replacing_members))
			return true;
	}
	return false;
}

/*
 * Whether the request is carried out nevertheless. Without a word on it, what
 * is answered truly is, what is refused is not, and a connection that breaks
 * before the first byte breaks before anything was done.
 */
bool
fault_lets_through(json_object *fault)
{
	json_object *after = json_member(fault, "after");

	if (after != NULL)
		return json_object_get_boolean(after);
	return !replaces(fault) && json_integer_member(fault, "cut_at", -1) != 0;
}

/* Decodes base64; what is no digit of it is passed over. */
static void
decode_base64(Text *body, const char *text)
{
	unsigned int bits = 0;
	int have = 0;

	for (; *text != '\0' && *text != '='; text++)
	{
		static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
		const char *digit = strchr(digits, *text);
		char byte;

		if (digit == NULL)
			continue;
		bits = bits << 6 | (unsigned int) (digit - digits);
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		byte = (char) (bits >> have);
		text_add(body, &byte, 1);
	}
}

/* The shape that the fault names, or else the endpoint's own. */
static Shape
shape_of(json_object *fault, const Request *request)
{
	static const char *const names[] = {"twilio", "problem", "third", "html", "empty"};
	const char *name = json_text_member(fault, "shape");

	for (int i = 0; name != NULL && i < 5; i++)
		if (strcmp(name, names[i]) == 0)
			return (Shape) i;
	return shape_of_path(request->path);
}

/* Twilio's general code for a status. */
static int
code_of_status(int status)
{
	switch (status)
	{
		case 401:
			return 20003;
		case 405:
			return 20004;
		case 403:
		case 404:
		case 409:
		case 413:
		case 422:
		case 429:
		case 500:
		case 503:
			return 20000 + status;
		default:
			return status >= 500 ? 20500 : 20001;
	}
}

/* Puts the fault's own answer in place of the true one. */
static void
replace_answer(json_object *fault, Request *request)
{
	Answer *answer = &request->answer;
	const char *body = json_text_member(fault, "body");
	const char *base64 = json_text_member(fault, "body_base64");
	int64_t nested = json_integer_member(fault, "nested", 0);
	bool literal = body || base64 || nested > 0 || json_member(fault, "huge_bytes");
	int status = (int) json_integer_member(fault, "status", literal ? 200 : 500);
	const char *message = json_text_member(fault, "message");

	if (!literal)
	{
		answer_problem(answer, shape_of(fault, request), request->path, status,
					   (int) json_integer_member(fault, "code", code_of_status(status)), NULL, "%s",
					   message ? message : "A fault was asked for");
		return;
	}
	answer_clear(answer);
	answer->status = status;
	if (body != NULL)
		text_add(&answer->body, body, (size_t) json_object_get_string_len(json_member(fault, "body")));
	else if (base64 != NULL)
		decode_base64(&answer->body, base64);
	for (int64_t i = 0; i < nested; i++)
		text_add(&answer->body, "[", 1);
	answer->huge_bytes = json_integer_member(fault, "huge_bytes", 0);
}

/* Adds the headers that the fault wants. */
static void
add_headers(json_object *fault, Answer *answer)
{
	json_object *headers = json_member(fault, "headers");
	json_object *retry_after = json_member(fault, "retry_after");

	if (retry_after != NULL)
		text_printf(&answer->headers, "Retry-After: %s\n", json_object_get_string(retry_after));
	if (!json_object_is_type(headers, json_type_object))
		return;
	json_object_object_foreach(headers, name, value)
	{
		text_printf(&answer->headers, "%s: %s\n", name, json_object_get_string(value));
	}
}

/*
 * Makes the request's answer what the fault wants. The true answer is there
 * already if the fault lets the request through.
 */
void
fault_apply(json_object *fault, Request *request)
{
	Answer *answer = &request->answer;
	json_object *drip = json_member(fault, "drip");

	if (replaces(fault))
		replace_answer(fault, request);
	else if (fault_lets_through(fault))
		distort_answer(fault, request);
	else
		answer_problem(answer, shape_of(fault, request), request->path, 500, 20500, NULL, "A fault was asked for");
	advance_seed(fault);
	if (json_member(fault, "content_type") != NULL)
		answer->content_type = json_text_member(fault, "content_type");
	add_headers(fault, answer);
	answer->delay_us = json_integer_member(fault, "delay_ms", 0) * 1000;
	answer->cut_at = json_integer_member(fault, "cut_at", -1);
	answer->stall_after = json_integer_member(fault, "stall_after", -1);
	if (drip != NULL)
	{
		answer->drip_bytes = json_integer_member(drip, "bytes", 1);
		answer->drip_us = json_integer_member(drip, "interval_ms", 10) * 1000;
	}
}
