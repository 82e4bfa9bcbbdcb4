/*
 * agenda.c
 *	  What is to happen to interactions later: a heap of appointments by the
 *	  simulated time, and a thread that keeps them. The thread sleeps on the
 *	  lock of the state, and so sees every change of agenda and clock.
 */
#include <stdlib.h>
#include <string.h>

#include "agenda.h"
#include "clock.h"
#include "scripts.h"
#include "state_lock.h"
#include "text.h"

/* How long to sleep at most; a machine's clock may be set meanwhile. */
#define LONGEST_SLEEP_US INT64_C(1000000)

static Appointment *heap; /* each entry is due no later than those at 2i+1 and 2i+2 */
static size_t count;
static size_t room;
static pthread_cond_t changed;
static pthread_t thread;
static bool stopping;

/* Exchanges two entries. */
static void
swap(size_t i, size_t j)
{
	Appointment held = heap[i];

	heap[i] = heap[j];
	heap[j] = held;
}

/* Takes the entry that is due first. */
static Appointment
take_first(void)
{
	Appointment first = heap[0];
	size_t i = 0;

	heap[0] = heap[--count];
	for (;;)
	{
		size_t least = i;

		for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < count; child++)
			if (heap[child].due_us < heap[least].due_us)
				least = child;
		if (least == i)
			return first;
		swap(i, least);
		i = least;
	}
}

/* Notes what is to happen to a channel; the steps stay the caller's, too. */
void
agenda_add(const Resource *channel, int64_t due_us, json_object *steps, size_t step)
{
	size_t i = count++;

	if (count > room)
	{
		room = room ? room * 2 : 64;
		heap = must_resize(heap, room * sizeof(Appointment));
	}
	heap[i] = (Appointment){
		.due_us = due_us, .account = channel->list->account, .steps = json_object_get(steps), .step = step};
	strncpy(heap[i].interaction, channel->list->owner->sid, SID_LENGTH);
	strncpy(heap[i].channel, channel->sid, SID_LENGTH);
	for (; i > 0 && heap[i].due_us < heap[(i - 1) / 2].due_us; i = (i - 1) / 2)
		swap(i, (i - 1) / 2);
	agenda_wake();
}

/* Forgets everything that was to happen. */
void
agenda_clear(void)
{
	while (count > 0)
		json_object_put(heap[--count].steps);
}

/* Has the thread look at the time again. */
void
agenda_wake(void)
{
	pthread_cond_signal(&changed);
}

/* Keeps what is due; returns how long to sleep. */
static int64_t
keep_due(void)
{
	while (count > 0 && heap[0].due_us <= clock_us())
	{
		Appointment due = take_first();

		script_continue(&due);
		json_object_put(due.steps);
	}
	if (count == 0 || heap[0].due_us - clock_us() > LONGEST_SLEEP_US)
		return LONGEST_SLEEP_US;
	return heap[0].due_us - clock_us();
}

/* Keeps appointments until the end. */
static void *
keep_agenda(void *unused)
{
	(void) unused;
	pthread_mutex_lock(&state_lock);
	while (!stopping)
	{
		int64_t until_us = now_us() + keep_due();
		struct timespec until = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};

		if (count == 0)
			pthread_cond_wait(&changed, &state_lock);
		else
			pthread_cond_timedwait(&changed, &state_lock, &until);
	}
	pthread_mutex_unlock(&state_lock);
	return NULL;
}

/* Starts the thread. */
void
agenda_start(void)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&changed, &attributes);
	pthread_create(&thread, NULL, keep_agenda, NULL);
}

/* Ends the thread. */
void
agenda_stop(void)
{
	pthread_mutex_lock(&state_lock);
	stopping = true;
	agenda_wake();
	pthread_mutex_unlock(&state_lock);
	pthread_join(thread, NULL);
}
