/*
 * transport.c
 *		Concurrent transfers: libcurl's multi handle, driven by the poller.
 *
 * A backend has one multi handle, and thereby keeps its connections from one statement to
 * the next.  libcurl tells by callbacks which sockets to wait for, and how long.  The
 * waiting itself is done by poller.c with a WaitEventSet, so that a cancel request, a
 * statement timeout or the death of the postmaster ends a call at once in any phase,
 * including name resolution and the TLS handshake.
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
static pid_t multi_owner;    /* the process that made it; a forked child must not use it */
static int under_way;        /* number of transfers that have been started and not released */
static bool idle_must_go;    /* idle connections must be closed, to free their file descriptors */
static int64 timer_due = -1; /* flex_clock_ms() when libcurl's timer expires; -1 if it is not set */

static bool may_start_threads;     /* libcurl may start a thread that resolves a host name */
static bool signals_are_blocked;   /* by block_signals(), while libcurl runs */
static sigset_t signals_otherwise; /* the signal mask to restore afterwards */

/*
 * Return true if the easy handle is an internal one of libcurl, which has no Transfer.
 * Apart from the sockets of connections, a descriptor that libcurl waits for with such a
 * handle stays open as long as the multi handle.  Since libcurl 8.20 there is one, by
 * which the threads that resolve host names wake libcurl.
 */
static bool
is_of_libcurl(CURL *easy)
{
	void *transfer = NULL;

	/* If libcurl refuses this for an internal handle, transfer remains NULL. */
	(void) curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
	return transfer == NULL;
}

/* CURLMOPT_SOCKETFUNCTION callback: libcurl tells which events of a socket it waits for from now on. */
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

/*
 * Block all signals while libcurl may start a thread to resolve a host name.  The thread
 * inherits the mask, so signals are delivered to the backend's own thread only.
 */
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

/* Undo block_signals(), if it was called, after libcurl has returned. */
static void
unblock_signals(void)
{
	if (signals_are_blocked)
		pthread_sigmask(SIG_SETMASK, &signals_otherwise, NULL);
	signals_are_blocked = false;
}

/*
 * CURLOPT_RESOLVER_START_FUNCTION callback: libcurl is about to resolve a host name.  Since
 * libcurl 8.20 the thread that does so may also be started later, as long as the request
 * has not been sent; so signals are blocked in each call of libcurl until then.  They are
 * not blocked always, because on kept connections, where nothing is resolved, that would
 * make a third of a request's system calls.
 */
static int
look_up_begins(void *unused, void *unused_too, void *unused_as_well)
{
	may_start_threads = true;
	block_signals();
	return 0;
}

/* CURLMOPT_TIMERFUNCTION callback: libcurl sets its one timer, or cancels it with -1. */
static int
timer_changed(CURLM *unused, long timeout_ms, void *unused_too)
{
	timer_due = timeout_ms < 0 ? -1 : flex_clock_ms() + timeout_ms;
	return 0;
}

/*
 * Close the idle connections, along with the multi handle, if a transfer has failed for
 * lack of a file descriptor.  Only possible when no transfer is left.
 */
static void
let_idle_go(void)
{
	if (!idle_must_go || under_way > 0 || multi == NULL)
		return;
	idle_must_go = false;
	curl_multi_cleanup(multi);
	multi = NULL;
}

/* Create the multi handle, unless this process has one. */
static void
open_multi(void)
{
	let_idle_go();
	if (multi != NULL && multi_owner == MyProcPid)
		return;
	/* libcurl would write the TLS keys of its connections to the file that the variable names. */
	unsetenv("SSLKEYLOGFILE");
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || (multi = curl_multi_init()) == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("could not initialize libcurl")));
	multi_owner = MyProcPid;
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, socket_changed);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, timer_changed);
	/* By default libcurl keeps no more than four connections per easy handle. */
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, KEPT_CONNECTIONS);
}

/*
 * Add a handle again after flex_transfer_conclude() has asked for that.  Its request was
 * not sent, so this is done at once and does not count as a repeat.
 */
static void
start_again(CURL *easy)
{
	curl_multi_remove_handle(multi, easy);
	if (curl_multi_add_handle(multi, easy) != CURLM_OK)
		(void) flex_transfer_conclude(easy, CURLE_OUT_OF_MEMORY);
}

/*
 * Let libcurl act on events (CURL_CSELECT_*) of a socket, or on its timer if fd is
 * CURL_SOCKET_TIMEOUT; then conclude the transfers that have ended.
 */
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
 * Start a request.  On return the connection is being established or, if there is a kept
 * one, the request has been sent as far as the socket takes it.  The arguments are copied.
 * The caller must call flex_transport_release(), also after an error.
 *
 * timeout_ms limits the duration.  With 0 the caller, which has several requests under
 * way, limits it, and reading the answer is suspended while too many bytes of other
 * answers are held in memory.
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
 * Free a transfer, running or ended.  If it was still running, libcurl closes its
 * connection, so that the rest of the answer is not taken for that to another request.
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
 * Have libcurl process what OpenSSL has read ahead, one record at a time: the sockets are
 * not readable for it.  At most MAX_READY records are processed, so that interrupts are
 * served.  Return true if there were any and none is left.
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
 * Wait until a socket of any transfer is ready, the latch is set or the time is over, and
 * process the events.  kind is shown in pg_stat_activity.  Return true if the latch was
 * set; it has been reset then.  Interrupts are served.
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
	/* Resume one transfer at a time, because libcurl reads up to 1.6 MB of each before it returns. */
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
		/* Some transfers have been paused, so the remaining events may be of sockets that must not be read now. */
		if (flex_backpressure_apply())
			break;
	}
	if (timer_due >= 0 && timer_due <= flex_clock_ms())
		run_multi(CURL_SOCKET_TIMEOUT, 0);
	return latch_was_set;
}

/* Process all pending events of all transfers without waiting.  A single wait reports at most MAX_READY sockets. */
void
flex_transport_pump(void)
{
	for (int seen = 0; seen <= under_way; seen += MAX_READY)
		(void) flex_transport_wait(0, WAIT_FOR_ANSWER);
}

/*
 * Return the time (flex_clock_ms()) from which on flex_transport_wait() has work even if no
 * socket is ready; 0 for at once, PG_INT64_MAX for never.
 */
int64
flex_transport_due_at(void)
{
	if (flex_backpressure_may_go_on() || flex_connection_with_more() != PGINVALID_SOCKET)
		return 0;
	return timer_due >= 0 ? timer_due : PG_INT64_MAX;
}
