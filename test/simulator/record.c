/*
 * record.c
 *	  What came in: the last requests, counters, and the journal.
 *
 * Recording copies bytes and nothing more; they are taken apart when somebody
 * asks for them. The journal is for tests that kill processes: a line is in
 * the kernel, by one write, before the answer to its request is sent.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "json_text.h"
#include "options.h"
#include "record.h"
#include "traffic.h"

#define RING_SIZE 1000
#define MAX_STATUS 600

typedef struct Record
{
	int64_t number; /* 0 for none */
	int status;
	char method[16];
	Text uri;
	Text headers; /* name NUL value NUL, again and again */
	Text body;
} Record;

static Record ring[RING_SIZE];
static int64_t by_status[MAX_STATUS];
static int64_t *by_operation;
static int64_t requests;
static _Atomic int64_t connections;
static int journal = -1;

/* Opens the journal, if there is to be one; false, with a message, if it cannot. */
bool
record_start(const char *journal_file)
{
	by_operation = calloc((size_t) facts_operation_count() + 1, sizeof(int64_t));
	if (journal_file == NULL)
		return true;
	journal = open(journal_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (journal < 0)
		perror(journal_file);
	return journal >= 0;
}

/* Counts a connection, or takes one back that only controls the simulator. */
void
record_connection(int change)
{
	connections += change;
}

/* Copies one header: MHD_KeyValueIterator. */
static enum MHD_Result
copy_header(void *headers, enum MHD_ValueKind kind, const char *name, const char *value)
{
	(void) kind;
	text_add(headers, name, strlen(name) + 1);
	text_add(headers, value ? value : "", (value ? strlen(value) : 0) + 1);
	return MHD_YES;
}

/* Copies the request into the ring, over the oldest one. */
static void
remember(const Request *request)
{
	Record *record = &ring[request->number % RING_SIZE];

	record->number = request->number;
	record->status = request->answer.status;
	memcpy(record->method, request->method, sizeof(record->method));
	record->uri.length = record->headers.length = record->body.length = 0;
	text_add_string(&record->uri, request->uri);
	text_add(&record->body, request->body.data, request->body.length);
	MHD_get_connection_values(request->connection, MHD_HEADER_KIND, copy_header, &record->headers);
}

/* Adds the form as an object; a name that was sent more than once gets an array. */
static void
write_form(Text *line, const Request *request)
{
	json_object *form = json_object_new_object();

	for (size_t i = 0; i < request->pair_count; i++)
	{
		const Pair *pair = &request->pairs[i];
		json_object *value = json_object_new_string_len(pair->value, (int) pair->length);
		json_object *before = json_member(form, pair->name);

		if (pair->query)
			json_object_put(value);
		else if (json_object_is_type(before, json_type_array))
			json_object_array_add(before, value);
		else if (before != NULL)
		{
			json_object *both = json_object_new_array();

			json_object_array_add(both, json_object_get(before));
			json_object_array_add(both, value);
			json_object_object_add(form, pair->name, both);
		}
		else
			json_object_object_add(form, pair->name, value);
	}
	text_add_string(line, ",\"form\":");
	json_write(line, form);
	json_object_put(form);
}

/* Appends a line to the journal by a single write. */
static void
write_journal(const Request *request, int carried_status)
{
	Text line = {0};
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	text_printf(&line, "{\"n\":%lld,\"at_us\":%lld,\"method\":\"%s\",\"path\":", (long long) request->number,
				(long long) now.tv_sec * 1000000 + now.tv_nsec / 1000, request->method);
	text_add_json_string(&line, request->path);
	text_printf(&line, ",\"status\":%d", carried_status ? carried_status : request->answer.status);
	if (carried_status != request->answer.status)
		text_printf(&line, ",\"answered\":%d", request->answer.status);
	if (request->answer.delay_us > 0)
		text_printf(&line, ",\"delay_us\":%lld", (long long) request->answer.delay_us);
	text_printf(&line, ",\"carried_out\":%s", carried_status >= 200 && carried_status < 300 ? "true" : "false");
	if (request->json != NULL)
	{
		text_add_string(&line, ",\"body\":");
		json_write(&line, request->json);
	}
	else if (request->body.length > 0 && request_has_media_type(request, "application/x-www-form-urlencoded"))
		write_form(&line, request);
	else if (request->body.length > 0)
	{
		text_add_string(&line, ",\"body\":");
		text_add_json(&line, request->body.data, request->body.length);
	}
	text_printf(&line, ",\"request_id\":\"%s\"}\n", request->request_id);
	if (write(journal, line.data, line.length) != (ssize_t) line.length)
		perror("flex_simulator: could not write to the journal");
	text_free(&line);
}

/*
 * Counts, remembers and journals a request whose answer is ready. The status
 * with which it was carried out is 0 if it was not even looked at.
 */
void
record_request(const Request *request, int carried_status)
{
	int status = request->answer.status;

	requests++;
	traffic_count(status);
	by_status[status > 0 && status < MAX_STATUS ? status : 0]++;
	if (request->operation != NULL)
		by_operation[request->operation->number]++;
	if (options.record)
		remember(request);
	if (journal >= 0)
		write_journal(request, carried_status);
}

/* Forgets the recorded requests. */
void
record_clear_requests(void)
{
	for (int i = 0; i < RING_SIZE; i++)
	{
		text_free(&ring[i].uri);
		text_free(&ring[i].headers);
		text_free(&ring[i].body);
		ring[i].number = 0;
	}
}

/* Forgets the recorded requests and counts from nothing; the journal goes on. */
void
record_clear(void)
{
	record_clear_requests();
	memset(by_status, 0, sizeof(by_status));
	memset(by_operation, 0, sizeof(int64_t) * (size_t) facts_operation_count());
	traffic_clear();
	requests = 0;
	connections = 0;
}

/* Adds the headers as an object; names are in lower case. */
static void
write_headers(Text *text, const Record *record)
{
	const char *header = record->headers.data;
	const char *end = header + record->headers.length;

	text_add_string(text, ",\"headers\":{");
	while (header < end)
	{
		const char *value = header + strlen(header) + 1;
		size_t start;

		text_add_string(text, header == record->headers.data ? "" : ",");
		start = text->length;
		text_add_json_string(text, header);
		for (size_t i = start; i < text->length; i++)
			if (text->data[i] >= 'A' && text->data[i] <= 'Z')
				text->data[i] += 'a' - 'A';
		text_add_string(text, ":");
		text_add_json_string(text, value);
		header = value + strlen(value) + 1;
	}
	text_add_string(text, "}");
}

/* The value of a recorded header, or "". */
static const char *
recorded_header(const Record *record, const char *name)
{
	const char *header = record->headers.data;
	const char *end = header + record->headers.length;

	while (header < end)
	{
		const char *value = header + strlen(header) + 1;

		if (strcasecmp(header, name) == 0)
			return value;
		header = value + strlen(value) + 1;
	}
	return "";
}

/* Adds the parameters, decoded and in order, and the body as JSON if it is some. */
static void
write_decoded(Text *text, const Record *record)
{
	Request *request = request_new(NULL, record->uri.data);
	json_object *json = NULL;
	bool is_json = strncasecmp(recorded_header(record, "Content-Type"), "application/json", 16) == 0;

	text_add(&request->body, record->body.data, record->body.length);
	request_decode(request, !is_json && record->body.length > 0);
	text_add_string(text, ",\"parameters\":[");
	for (size_t i = 0; i < request->pair_count; i++)
	{
		text_add_string(text, i ? ",[" : "[");
		text_add_json_string(text, request->pairs[i].name);
		text_add_string(text, ",");
		text_add_json(text, request->pairs[i].value, request->pairs[i].length);
		text_add_string(text, "]");
	}
	text_add_string(text, "],\"json\":");
	if (is_json && json_read(request->body.data, request->body.length, &json))
		json_write(text, json);
	else
		text_add_string(text, "null");
	json_object_put(json);
	request_free(request);
}

/* Adds one recorded request. */
static void
write_record(Text *text, const Record *record)
{
	size_t path_length = strcspn(record->uri.data, "?");
	const char *query = record->uri.data + path_length;

	text_printf(text, "{\"n\":%lld,\"method\":\"%s\",\"path\":", (long long) record->number, record->method);
	text_add_json(text, record->uri.data, path_length);
	text_add_string(text, ",\"query\":");
	text_add_json_string(text, *query == '?' ? query + 1 : query);
	write_headers(text, record);
	text_add_string(text, ",\"body\":");
	text_add_json(text, record->body.data, record->body.length);
	write_decoded(text, record);
	text_printf(text, ",\"status\":%d}", record->status);
}

/* The number of the newest recorded request, or 0. */
static int64_t
newest_number(void)
{
	int64_t newest = 0;

	for (int i = 0; i < RING_SIZE; i++)
		if (ring[i].number > newest)
			newest = ring[i].number;
	return newest;
}

/* Writes what the last requests asked for and got, newest first, as a JSON array. */
void
record_write_recent(Text *text, int count)
{
	int64_t newest = newest_number();
	const char *comma = "";

	text_add_string(text, "[");
	for (int64_t number = newest; number > newest - count && number > 0; number--)
	{
		const Record *record = &ring[number % RING_SIZE];

		if (record->number != number)
			continue;
		text_printf(text, "%s{\"n\":%lld,\"method\":\"%s\",\"uri\":", comma, (long long) number, record->method);
		text_add_json(text, record->uri.data, record->uri.length);
		text_printf(text, ",\"status\":%d}", record->status);
		comma = ",";
	}
	text_add_string(text, "]");
}

/* Writes the recorded requests, oldest first, as a JSON object. */
void
record_write_requests(Text *text)
{
	int64_t newest = newest_number();
	bool first = true;

	text_add_string(text, "{\"requests\":[");
	for (int64_t number = newest < RING_SIZE ? 1 : newest - RING_SIZE + 1; number <= newest; number++)
	{
		const Record *record = &ring[number % RING_SIZE];

		if (record->number != number)
			continue;
		text_add_string(text, first ? "" : ",");
		write_record(text, record);
		first = false;
	}
	text_add_string(text, "]}");
}

/* Writes the counters as a JSON object. */
void
record_write_counters(Text *text)
{
	const char *comma = "";

	text_printf(text, "{\"requests\":%lld,\"connections\":%lld,\"by_status\":{", (long long) requests,
				(long long) connections);
	for (int i = 0; i < MAX_STATUS; i++)
		if (by_status[i] > 0)
		{
			text_printf(text, "%s\"%d\":%lld", comma, i, (long long) by_status[i]);
			comma = ",";
		}
	comma = "";
	text_add_string(text, "},\"by_operation\":{");
	for (int i = 0; i < facts_operation_count(); i++)
		if (by_operation[i] > 0)
		{
			text_printf(text, "%s\"%s\":%lld", comma, facts_operation(i)->function, (long long) by_operation[i]);
			comma = ",";
		}
	text_add_string(text, "}}");
}
