/*
 * webhook_url.h
 *		The forms of a webhook's URL that the service may have signed.
 */
#ifndef FLEX_WEBHOOK_URL_H
#define FLEX_WEBHOOK_URL_H

#define FLEX_WEBHOOK_URL_FORMS 6

extern int flex_webhook_url_forms(const char *url, char *forms[FLEX_WEBHOOK_URL_FORMS]);

#endif /* FLEX_WEBHOOK_URL_H */
