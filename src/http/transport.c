/*
 * transport.c
 *		Transfers under way: libcurl's multi handle, driven by the poller.
 *
 * A backend has one multi handle, and so keeps its connections from statement
 * to statement.  libcurl tells which sockets and until when to wait; the poller
 * waits as a backend must, so that a cancel, a timeout or the postmaster's
 * death ends a call at once, whatever stage it is in.
 */
#include "postgres.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/latch.h"

#include "base/clock.h"
#include "base/compat.h"
#include "http/backpressure.h"
#include "http/connection.h"
#include "http/poller.h"
#include "http/readiness.h"
#include "http/tls.h"
#include "http/transport.h"

#define KEPT_CONNECTIONS 1000L

static CURLM *multi;
static pid_t multi_owner;    /* a child of the process must not use it */
static int under_way;        /* transfers that have been started and not released */
static bool idle_must_go;    /* they have all the file descriptors that there are */
static int64 timer_due = -1; /* when libcurl wants to be called; -1: never */

static bool may_start_threads;     /* libcurl, for names that it looks up */
static bool signals_are_blocked;   /* by us, while libcurl runs */
static sigset_t signals_otherwise; /* what is blocked when they are not */

/*
 * True for a handle that libcurl has for itself.  What it waits for with that,
 * sockets of connections apart, is open as long as the multi handle: since 8.20
 * the one by which the resolver's threads wake it.
 */
static bool
is_of_libcurl(CURL *easy)
{
	void *transfer = NULL;

	/* Where libcurl does not let us ask, it is not ours, either. */
	(void) curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
	return transfer == NULL;
}

/* libcurl wants to know of other events on a socket. */
static int
socket_changed(CURL *easy, curl_socket_t fd, int what, void *unused, void *unused_too)
{
	uint32 events = 0;

	if (what != CURL_POLL_REMOVE && (what & CURL_POLL_IN))
		events |= WL_SOCKET_READABLE;
	if (what != CURL_POLL_REMOVE && (what & CURL_POLL_OUT))
		events |= WL_SOCKET_WRITEABLE;
	return flex_poller_watch(fd, events, is_of_libcurl(easy)) ? 0 : -1;
}

/* A thread that looks up a name inherits the mask: signals are ours alone. */
static void
block_signals(void)
{
	sigset_t all;

	if (signals_are_blocked)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &signals_otherwise);
	signals_are_blocked = true;
}

/* libcurl has come back. */
static void
unblock_signals(void)
{
	if (signals_are_blocked)
		pthread_sigmask(SIG_SETMASK, &signals_otherwise, NULL);
	signals_are_blocked = false;
}

/*
 * libcurl is about to find an address.  From 8.20 on the thread that does so may also be
 * started later, while the request has not been sent.  On kept connections no address is
 * needed: there, to block the signals would be a third of a call's system calls.
 */
static int
look_up_begins(void *unused, void *unused_too, void *unused_as_well)
{
	may_start_threads = true;
	block_signals();
	return 0;
}

/* libcurl wants to be called after that time. */
static int
timer_changed(CURLM *unused, long timeout_ms, void *unused_too)
{
	timer_due = timeout_ms < 0 ? -1 : flex_clock_ms() + timeout_ms;
	return 0;
}

/* Close the idle connections, when a transfer has got no descriptor because of them. */
static void
let_idle_go(void)
{
	if (!idle_must_go || under_way > 0 || multi == NULL)
		return;
	idle_must_go = false;
	curl_multi_cleanup(multi);
	multi = NULL;
}

/* Make the multi handle, once a process. */
static void
open_multi(void)
{
	let_idle_go();
	if (multi != NULL && multi_owner == MyProcPid)
		return;
	/* libcurl would write its connections' keys to the file that it names. */
	unsetenv("SSLKEYLOGFILE");
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || (multi = curl_multi_init()) == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("could not initialize libcurl")));
	multi_owner = MyProcPid;
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, socket_changed);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, timer_changed);
	/* By default it would keep no more than four for each request under way. */
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, KEPT_CONNECTIONS);
}

/*
 * Give a handle to libcurl again, whose request was not sent: at once and not
 * counted as a repeat, since the kept connection was at fault alone.
 */
static void
start_again(CURL *easy)
{
	curl_multi_remove_handle(multi, easy);
	if (curl_multi_add_handle(multi, easy) != CURLM_OK)
		(void) flex_transfer_conclude(easy, CURLE_OUT_OF_MEMORY);
}

/* Tell libcurl what has happened, and learn which transfers are done. */
static void
run_multi(curl_socket_t fd, int events)
{
	int running;
	int left;
	CURLMsg *message;

	Assert(multi != NULL && multi_owner == MyProcPid);
	if (fd == CURL_SOCKET_TIMEOUT)
		timer_due = -1;
	if (may_start_threads)
		block_signals();
	flex_tls_begin();
	curl_multi_socket_action(multi, fd, events, &running);
	unblock_signals();

	while ((message = curl_multi_info_read(multi, &left)) != NULL)
	{
		if (message->msg == CURLMSG_DONE && !flex_transfer_conclude(message->easy_handle, message->data.result))
			start_again(message->easy_handle);
	}
	flex_readiness_disturb_all();
}

/*
 * Start a request; the beginning of it is on its way when this returns.
 * Nothing of the arguments has to stay.  The transfer must be released.
 * timeout_ms 0: the caller watches the time, beside other requests of its own;
 * then the answer has to wait while too many bytes of others are held.
 */
Transfer *
flex_transport_start(const HttpRequest *request, const Endpoint *endpoint, long timeout_ms)
{
	Transfer *transfer;
	CURL *easy;

	Assert(timeout_ms >= 0);
	open_multi();
	may_start_threads &= flex_transfer_any_unsent();
	transfer = flex_transfer_prepare(request, endpoint, timeout_ms);
	easy = flex_transfer_handle(transfer);
	if (curl_easy_setopt(easy, CURLOPT_RESOLVER_START_FUNCTION, look_up_begins) != CURLE_OK ||
		curl_multi_add_handle(multi, easy) != CURLM_OK)
	{
		flex_transfer_free(transfer);
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	}
	under_way++;
	if (timeout_ms == 0)
		flex_backpressure_add(transfer);
	run_multi(CURL_SOCKET_TIMEOUT, 0);
	return transfer;
}

/*
 * Let go of a transfer.  If it was still running its connection is closed, so
 * that nobody reads the rest of its answer as one to another request.
 */
void
flex_transport_release(Transfer *transfer)
{
	Assert(under_way > 0 && multi != NULL && multi_owner == MyProcPid);
	under_way--;
	flex_backpressure_remove(transfer);
	idle_must_go |= flex_transfer_state(transfer) == TRANSFER_NO_DESCRIPTOR;
	curl_multi_remove_handle(multi, flex_transfer_handle(transfer));
	flex_transfer_free(transfer);
}

/*
 * Fetch what the TLS library has read ahead, of which no socket tells, a record at a time.
 * True when there was something and all of it has been fetched.
 */
static bool
fetch_what_was_read(void)
{
	pgsocket fd = flex_connection_with_more();

	if (fd == PGINVALID_SOCKET)
		return false;
	for (int i = 0; i < MAX_READY && fd != PGINVALID_SOCKET; i++)
	{
		run_multi(fd, CURL_CSELECT_IN);
		fd = flex_connection_with_more();
	}
	return fd == PGINVALID_SOCKET;
}

/*
 * Let all transfers go on until something happens to one, or for so many milliseconds.
 * True when the process's latch was set.  Raises what CHECK_FOR_INTERRUPTS() raises, at
 * once.
 */
bool
flex_transport_wait(long timeout_ms, WaitKind kind)
{
	bool latch_was_set;
	ReadySocket ready[MAX_READY];
	int count;

	CHECK_FOR_INTERRUPTS();
	if (fetch_what_was_read())
		return false;
	/* One after the other: libcurl reads up to 1.6 MB of each before it returns. */
	while (flex_backpressure_let_one_go())
		run_multi(CURL_SOCKET_TIMEOUT, 0);
	(void) flex_backpressure_apply();
	if (flex_connection_with_more() != PGINVALID_SOCKET)
		timeout_ms = 0;
	if (timer_due >= 0)
		timeout_ms = Min(timeout_ms, Max(timer_due - flex_clock_ms(), 0));
	count = flex_poller_wait(timeout_ms, kind, ready, &latch_was_set);
	CHECK_FOR_INTERRUPTS();
	for (int i = 0; i < count; i++)
	{
		int events = 0;

		if (ready[i].events & WL_SOCKET_READABLE)
			events |= CURL_CSELECT_IN;
		if (ready[i].events & WL_SOCKET_WRITEABLE)
			events |= CURL_CSELECT_OUT;
		run_multi(ready[i].fd, events);
		/* Those that are paused now are no longer watched: what was seen of them is out of date. */
		if (flex_backpressure_apply())
			break;
	}
	if (timer_due >= 0 && timer_due <= flex_clock_ms())
		run_multi(CURL_SOCKET_TIMEOUT, 0);
	return latch_was_set;
}

/* Move all transfers on by what has come, without waiting: one look shows MAX_READY sockets at most. */
void
flex_transport_pump(void)
{
	for (int seen = 0; seen <= under_way; seen += MAX_READY)
		(void) flex_transport_wait(0, WAIT_FOR_ANSWER);
}

/* When flex_transport_wait() has something to do though no socket is ready, by flex_clock_ms(); PG_INT64_MAX: never. */
int64
flex_transport_due_at(void)
{
	if (flex_backpressure_may_go_on() || flex_connection_with_more() != PGINVALID_SOCKET)
		return 0;
	return timer_due >= 0 ? timer_due : PG_INT64_MAX;
}
