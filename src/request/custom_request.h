/*
 * custom_request.h
 *		Builds requests of operations that are not in the catalogue.
 */
#ifndef FLEX_CUSTOM_REQUEST_H
#define FLEX_CUSTOM_REQUEST_H

#include "request/request.h"

extern HttpRequest *flex_custom_request(const NullableDatum *values, int count);
extern HttpRequest *
flex_custom_list_request(const char *function, const NullableDatum *path, const NullableDatum *parameters,
						 const NullableDatum *headers, const NullableDatum *service);

#endif /* FLEX_CUSTOM_REQUEST_H */
