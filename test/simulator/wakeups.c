/*
 * wakeups.c
 *	  Lets a suspended connection go on at a given time: one thread that
 *	  sleeps until the next of them. A delayed answer so costs nobody else
 *	  anything, even though a single thread serves all connections.
 */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "identifiers.h"
#include "text.h"
#include "wakeups.h"

typedef struct Wakeup
{
	int64_t time_us;
	struct MHD_Connection *connection;
} Wakeup;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static pthread_t thread;
static Wakeup *pending;
static size_t count;
static size_t room;
static bool stopping;

/* Resumes what is due; returns when the next one is, or 0 for never. */
static int64_t
resume_due(int64_t now)
{
	int64_t next = 0;

	for (size_t i = 0; i < count;)
	{
		if (stopping || pending[i].time_us <= now)
		{
			MHD_resume_connection(pending[i].connection);
			pending[i] = pending[--count];
			continue;
		}
		if (next == 0 || pending[i].time_us < next)
			next = pending[i].time_us;
		i++;
	}
	return next;
}

/* Sleeps until the next wakeup, again and again. */
static void *
run(void *unused)
{
	(void) unused;
	pthread_mutex_lock(&lock);
	while (!stopping)
	{
		int64_t next = resume_due(now_us());
		struct timespec until = {.tv_sec = next / 1000000, .tv_nsec = next % 1000000 * 1000};

		if (next == 0)
			pthread_cond_wait(&changed, &lock);
		else
			pthread_cond_timedwait(&changed, &lock, &until);
	}
	resume_due(0);
	pthread_mutex_unlock(&lock);
	return NULL;
}

/* Starts the thread. */
void
wakeups_start(void)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&changed, &attributes);
	pthread_create(&thread, NULL, run, NULL);
}

/* Resumes everything and ends the thread: MHD does not stop while one sleeps. */
void
wakeups_stop(void)
{
	pthread_mutex_lock(&lock);
	stopping = true;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
	pthread_join(thread, NULL);
	free(pending);
}

/*
 * Suspends a connection from within one of its callbacks until then. False,
 * and nothing is suspended, when the simulator is about to end.
 */
bool
suspend_until(struct MHD_Connection *connection, int64_t time_us)
{
	bool suspended;

	pthread_mutex_lock(&lock);
	suspended = !stopping;
	if (suspended)
	{
		if (count == room)
		{
			room = room ? room * 2 : 16;
			pending = must_resize(pending, room * sizeof(Wakeup));
		}
		MHD_suspend_connection(connection);
		pending[count++] = (Wakeup){time_us, connection};
		pthread_cond_signal(&changed);
	}
	pthread_mutex_unlock(&lock);
	return suspended;
}
