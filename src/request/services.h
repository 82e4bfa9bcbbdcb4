/*
 * services.h
 *		Other products of Twilio that flex_request() can call.
 */
#ifndef FLEX_SERVICES_H
#define FLEX_SERVICES_H

#define FLEX_SERVICE "flex-api" /* the Flex API itself */

extern const char *flex_service_find(const char *name);
extern const char *flex_service_names(void);
extern bool flex_service_answers_secret(const char *service, const char *method, const char *path);

#endif /* FLEX_SERVICES_H */
