/*
 * main.c
 *	  flex_simulator: a local Flex API to develop and test against. Reads the
 *	  options and the facts, serves until it is told to end, and ends quickly.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "accounts.h"
#include "agenda.h"
#include "documents.h"
#include "facts.h"
#include "identifiers.h"
#include "kinds.h"
#include "options.h"
#include "record.h"
#include "server.h"
#include "state.h"
#include "wakeups.h"
#include "webhooks.h"

/* Waits for SIGTERM or SIGINT, or for the end of stdin if that counts. */
static void
wait_for_end(const sigset_t *signals)
{
	char block[512];
	struct pollfd events[2] = {
		{.fd = signalfd(-1, signals, SFD_CLOEXEC), .events = POLLIN},
		{.fd = options.until_stdin_closes ? STDIN_FILENO : -1, .events = POLLIN},
	};

	for (;;)
	{
		poll(events, 2, -1);
		if (events[0].revents != 0)
			return;
		if (events[1].revents != 0 && read(STDIN_FILENO, block, sizeof(block)) <= 0)
			return;
	}
}

/* Starts, serves, ends. */
int
main(int count, char **arguments)
{
	sigset_t signals;
	Problem problem;

	/* Blocked before any thread starts, so that only the poll sees them. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (!options_read(count, arguments) || !facts_read(options.facts) || !documents_read(options.samples))
		return EXIT_FAILURE;
	identifiers_start();
	kinds_derive();
	wakeups_start();
	agenda_start();
	if (!accounts_start() || !state_start() || !record_start(options.journal) || !server_start())
		return EXIT_FAILURE;
	wait_for_end(&signals);
	server_stop();
	agenda_stop();
	webhooks_clear();
	if (options.save != NULL && !state_save(&problem))
	{
		fprintf(stderr, "flex_simulator: %s: %s\n", problem.where, problem.what);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
