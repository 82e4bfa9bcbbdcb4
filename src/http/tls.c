/*
 * tls.c
 *		What libcurl's OpenSSL can tell, and be told.
 *
 * libcurl hands out OpenSSL's objects for what it has no options for: to know what
 * has been read of a connection and not fetched yet; to read all that has come at
 * once; to end a connection on which libcurl reads for ever; and to keep its keys
 * out of the file that SSLKEYLOGFILE names.  Reading for ever is what 7.88 does with
 * HTTP/2 frames that bring no data as long as more come than it can read, without
 * a callback in which a timeout or a cancel could act.
 *
 * The functions are looked up in what libcurl itself is linked to, so that ours
 * need not be the same library, nor its headers be there.  Where libcurl uses
 * another TLS library, nothing is known.
 */
#include "postgres.h"

#include <dlfcn.h>

#include "base/clock.h"
#include "http/tls.h"

#define RECEIVED_SHUTDOWN 2 /* SSL_RECEIVED_SHUTDOWN */
#define RECORD_HEADER 256   /* SSL3_RT_HEADER: called so for each record */
#define SET_READ_AHEAD 41   /* SSL_CTRL_SET_READ_AHEAD */
#define WANTS_TO_READ 3     /* SSL_READING */

#define READ_AHEAD_BYTES (256 * 1024) /* sixteen records, for each connection that is read */

/* libcurl reads no more of one answer before it returns. */
#define USUAL_RECORDS 250
#define MOST_MS 100 /* after those */

typedef void (*MessageCallback)(int written, int version, int type, const void *bytes, size_t length, void *ssl,
								void *argument);

static struct
{
	bool looked_up;
	int (*has_pending)(const void *ssl);
	void (*set_shutdown)(void *ssl, int mode);
	void (*set_message_callback)(void *ssl_context, MessageCallback callback);
	void (*set_key_log_callback)(void *ssl_context, void (*callback)(const void *ssl, const char *line));
	long (*control_context)(void *ssl_context, int command, long number, void *pointer);
	void (*set_buffer_length)(void *ssl_context, size_t length);
	void (*set_read_ahead)(void *ssl, int yes);
	int (*wants)(const void *ssl);
} openssl;

static int records;        /* read since flex_tls_begin() */
static int64 unusual_from; /* flex_clock_ms() when they were more than usual */

/* True when libcurl's TLS library is OpenSSL. */
bool
flex_tls_is_known(void)
{
	if (!openssl.looked_up)
	{
		void *libcurl = dlopen("libcurl.so.4", RTLD_LAZY | RTLD_NOLOAD);

		openssl.looked_up = true;
		if (libcurl == NULL)
			return false;
		*(void **) &openssl.has_pending = dlsym(libcurl, "SSL_has_pending");
		*(void **) &openssl.set_shutdown = dlsym(libcurl, "SSL_set_shutdown");
		*(void **) &openssl.set_message_callback = dlsym(libcurl, "SSL_CTX_set_msg_callback");
		*(void **) &openssl.set_key_log_callback = dlsym(libcurl, "SSL_CTX_set_keylog_callback");
		*(void **) &openssl.control_context = dlsym(libcurl, "SSL_CTX_ctrl");
		*(void **) &openssl.set_buffer_length = dlsym(libcurl, "SSL_CTX_set_default_read_buffer_len");
		*(void **) &openssl.set_read_ahead = dlsym(libcurl, "SSL_set_read_ahead");
		*(void **) &openssl.wants = dlsym(libcurl, "SSL_want");
		dlclose(libcurl);
	}
	return openssl.has_pending != NULL && openssl.set_shutdown != NULL && openssl.set_message_callback != NULL &&
		   openssl.set_key_log_callback != NULL;
}

/* True when something has been read from a connection (SSL *) that libcurl has not fetched. */
bool
flex_tls_has_read(const void *ssl)
{
	return flex_tls_is_known() && openssl.has_pending(ssl) != 0;
}

/* True when all that reading ahead needs is there. */
static bool
can_read_ahead(void)
{
	return flex_tls_is_known() && openssl.control_context != NULL && openssl.set_buffer_length != NULL &&
		   openssl.set_read_ahead != NULL && openssl.wants != NULL;
}

/*
 * Have OpenSSL read as much of a connection as has come, or each record by itself, in two
 * system calls.  What it then has, no socket tells of: flex_tls_has_more() does.
 */
void
flex_tls_read_ahead(void *ssl, bool yes)
{
	if (can_read_ahead())
		openssl.set_read_ahead(ssl, yes);
}

/* True when something has been read that libcurl can fetch, as far as OpenSSL knows: it has not asked for more. */
bool
flex_tls_has_more(const void *ssl)
{
	return can_read_ahead() && flex_tls_has_read(ssl) && openssl.wants(ssl) != WANTS_TO_READ;
}

/* A record was read: if there is no end to them, that is the end of the connection. */
static void
count_record(int written, int version, int type, const void *bytes, size_t length, void *ssl, void *argument)
{
	if (written || type != RECORD_HEADER || ++records < USUAL_RECORDS)
		return;
	if (records == USUAL_RECORDS)
		unusual_from = flex_clock_ms();
	else if (flex_clock_ms() - unusual_from > MOST_MS)
		openssl.set_shutdown(ssl, RECEIVED_SHUTDOWN);
}

/*
 * Count the records of the connections of an SSL_CTX, and log no keys of them, also where
 * something else in the process has initialised libcurl while SSLKEYLOGFILE was set.
 * reads_ahead: until flex_tls_read_ahead() says otherwise.
 */
void
flex_tls_watch(void *ssl_context, bool reads_ahead)
{
	if (!flex_tls_is_known())
		return;
	if (reads_ahead && can_read_ahead())
	{
		openssl.set_buffer_length(ssl_context, READ_AHEAD_BYTES);
		(void) openssl.control_context(ssl_context, SET_READ_AHEAD, 1, NULL);
	}
	openssl.set_message_callback(ssl_context, count_record);
	openssl.set_key_log_callback(ssl_context, NULL);
}

/* libcurl is about to read. */
void
flex_tls_begin(void)
{
	records = 0;
}
