/*
 * custom_request.h
 *		A request that the catalogue does not have, as its caller describes it.
 */
#ifndef FLEX_CUSTOM_REQUEST_H
#define FLEX_CUSTOM_REQUEST_H

#include "utils/jsonb.h"

#include "request/request.h"

/* The description; what is NULL but for function, method and path is none. */
typedef struct CustomCall
{
	const char *function; /* of SQL, for messages */
	const char *method;
	const char *path; /* with or without a query */
	Jsonb *parameters;
	Jsonb *body;
	Jsonb *headers;
} CustomCall;

extern HttpRequest *flex_custom_build(const CustomCall *call);
extern HttpRequest *flex_custom_request(const NullableDatum *values, int count);

#endif /* FLEX_CUSTOM_REQUEST_H */
