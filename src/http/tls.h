/*
 * tls.h
 *		Access to the OpenSSL library that libcurl uses.
 */
#ifndef FLEX_TLS_H
#define FLEX_TLS_H

extern bool flex_tls_is_known(void);
extern bool flex_tls_has_read(const void *ssl);
extern void flex_tls_read_ahead(void *ssl, bool yes);
extern bool flex_tls_has_more(const void *ssl);
extern void flex_tls_watch(void *ssl_context, bool reads_ahead);
extern void flex_tls_begin(void);

#endif /* FLEX_TLS_H */
