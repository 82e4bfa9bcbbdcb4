/*
 * tls.c
 *		Access to the OpenSSL library that libcurl uses.
 *
 * libcurl has no options for some things that we need: to know whether OpenSSL has read
 * bytes that libcurl has not fetched; to read all available bytes at once (read-ahead); to
 * keep TLS keys out of the file that SSLKEYLOGFILE names; and to end a connection on which
 * libcurl would read forever.  The latter happens in 7.88 as long as HTTP/2 frames without
 * data arrive faster than it reads them: it calls no callback meanwhile in which a timeout
 * or a cancel could take effect.
 *
 * The functions are looked up at run time in the library that libcurl is linked with.  So
 * we need no OpenSSL headers, and cannot get another version of OpenSSL than libcurl has.
 * If libcurl uses another TLS library, flex_tls_is_known() is false and none of this works.
 */
#include "postgres.h"

#include <dlfcn.h>

#include "base/clock.h"
#include "http/tls.h"

/* OpenSSL's values of constants, whose headers we do not include. */
#define RECEIVED_SHUTDOWN 2 /* SSL_RECEIVED_SHUTDOWN */
#define RECORD_HEADER 256   /* SSL3_RT_HEADER: content type passed to the message callback for each record */
#define SET_READ_AHEAD 41   /* SSL_CTRL_SET_READ_AHEAD */
#define WANTS_TO_READ 3     /* SSL_READING */

#define READ_AHEAD_BYTES (256 * 1024) /* sixteen records; per connection that is being read */

/*
 * libcurl normally returns after at most this many records of one answer.  If it goes on
 * reading for MOST_MS after them, the connection is ended.
 */
#define USUAL_RECORDS 250
#define MOST_MS 100

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

static int records;        /* number of records read since flex_tls_begin() */
static int64 unusual_from; /* flex_clock_ms() when that number reached USUAL_RECORDS */

/* Return true if libcurl's TLS library is OpenSSL, and has the functions that we cannot do without. */
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

/* Return true if OpenSSL has read bytes from a connection (SSL *) that libcurl has not fetched. */
bool
flex_tls_has_read(const void *ssl)
{
	return flex_tls_is_known() && openssl.has_pending(ssl) != 0;
}

/* Return true if OpenSSL has all functions needed for reading ahead. */
static bool
can_read_ahead(void)
{
	return flex_tls_is_known() && openssl.control_context != NULL && openssl.set_buffer_length != NULL &&
		   openssl.set_read_ahead != NULL && openssl.wants != NULL;
}

/*
 * Let OpenSSL read all available bytes of a connection at once, instead of one record at a
 * time in two system calls.  The socket is not readable for bytes that have been read
 * ahead: flex_tls_has_more() must be asked.
 */
void
flex_tls_read_ahead(void *ssl, bool yes)
{
	if (can_read_ahead())
		openssl.set_read_ahead(ssl, yes);
}

/*
 * Return true if bytes have been read ahead that libcurl can fetch.  If OpenSSL waits for
 * more input, they are only part of a record.
 */
bool
flex_tls_has_more(const void *ssl)
{
	return can_read_ahead() && flex_tls_has_read(ssl) && openssl.wants(ssl) != WANTS_TO_READ;
}

/* OpenSSL's message callback: count the records read, and end the connection if libcurl does not stop reading. */
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
 * Prepare the SSL_CTX of a new connection: count its records, and do not log its keys, not
 * even if other code in this process initialized libcurl while SSLKEYLOGFILE was set.
 * reads_ahead enables reading ahead until flex_tls_read_ahead() is called.
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

/* Restart the count of records.  To be called before libcurl is. */
void
flex_tls_begin(void)
{
	records = 0;
}
