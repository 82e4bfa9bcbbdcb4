/*
 * tls.h
 *		What libcurl's OpenSSL can tell, and be told.
 */
#ifndef FLEX_TLS_H
#define FLEX_TLS_H

extern bool flex_tls_is_known(void);
extern bool flex_tls_has_read(const void *ssl);
extern void flex_tls_watch(void *ssl_context);
extern void flex_tls_begin(void);

#endif /* FLEX_TLS_H */
