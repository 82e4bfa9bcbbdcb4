/*
 * raw_commits.c
 *	  How long after a commit its request in the outbox is settled.
 *
 *	  raw_commits CONNINFO COUNT
 *
 * A client of libpq alone: it commits a request, waits for the notification that
 * tells of its end, and pauses, so that the worker is idle again.  Prints a line
 * for each: microseconds from sending COMMIT to the notification, and those that
 * COMMIT took.
 */
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "raw.h"

#define PATIENCE_MS 10000
#define PAUSE_NS 3000000
#define ENQUEUE                                                                                                        \
	"SELECT flex_enqueue('flex_webchat_create', '{\"address_sid\": \"IG00000000000000000000000000000000\", "           \
	"\"identity\": \"idle\"}')"

/* Run a statement; returns its result. */
static PGresult *
run(PGconn *connection, const char *statement)
{
	PGresult *result = PQexec(connection, statement);
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		raw_fail(statement, PQerrorMessage(connection));
	return result;
}

/* The next notification, waited for. */
static PGnotify *
next_notification(PGconn *connection)
{
	struct pollfd readable = {.fd = PQsocket(connection), .events = POLLIN};
	PGnotify *notification;

	while ((notification = PQnotifies(connection)) == NULL)
	{
		if (poll(&readable, 1, PATIENCE_MS) <= 0 || !PQconsumeInput(connection))
			raw_fail("the outbox", "nobody has sent the request");
	}
	return notification;
}

/* Commit a request and wait for its end. */
static void
commit_one(PGconn *connection)
{
	PGresult *enqueued;
	PGnotify *notification;
	char expected[64];
	RawCost begin;
	RawCost committed;

	PQclear(run(connection, "BEGIN"));
	enqueued = run(connection, ENQUEUE);
	snprintf(expected, sizeof(expected), "%s succeeded", PQgetvalue(enqueued, 0, 0));
	PQclear(enqueued);
	begin = raw_cost_now();
	PQclear(run(connection, "COMMIT"));
	committed = raw_cost_now();
	notification = next_notification(connection);
	printf("%lld %lld\n", (long long) (raw_cost_now().wall - begin.wall), (long long) (committed.wall - begin.wall));
	if (strcmp(notification->extra, expected) != 0)
		raw_fail("the notification is another", notification->extra);
	PQfreemem(notification);
}

int
main(int argc, char **argv)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	PGconn *connection;

	if (argc != 3)
		raw_fail(argv[0], "CONNINFO and COUNT are needed");
	connection = PQconnectdb(argv[1]);
	if (PQstatus(connection) != CONNECTION_OK)
		raw_fail(argv[1], PQerrorMessage(connection));
	PQclear(run(connection, "LISTEN flex_api"));
	for (long i = 0; i < atol(argv[2]); i++)
	{
		nanosleep(&pause, NULL);
		commit_one(connection);
	}
	PQfinish(connection);
	return 0;
}
