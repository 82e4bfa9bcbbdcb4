/*
 * address.h
 *		Validates addresses in settings: of the service, and of proxies.
 */
#ifndef FLEX_ADDRESS_H
#define FLEX_ADDRESS_H

extern const char *flex_base_url_fault(const char *url);
extern bool flex_proxy_url_is_good(const char *url);

#endif /* FLEX_ADDRESS_H */
