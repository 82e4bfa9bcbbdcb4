/*
 * signature.h
 *	  X-Twilio-Signature.
 */
#ifndef SIMULATOR_SIGNATURE_H
#define SIMULATOR_SIGNATURE_H

#include <json-c/json.h>

#include "text.h"

extern void sign_request(Text *signature, const char *token, const char *url, json_object *parameters);
extern void text_add_sha256(Text *text, const Text *data);

#endif
