/*
 * webhook_signature.h
 *		Verifies the signatures of webhooks.
 */
#ifndef FLEX_WEBHOOK_SIGNATURE_H
#define FLEX_WEBHOOK_SIGNATURE_H

#include "utils/jsonb.h"

#include "base/digests.h"

extern char *flex_webhook_parameters_text(Jsonb *parameters);
extern bool
flex_webhook_signature_is_good(const char *url, const char *parameters, const char *signature, char *const *tokens);
extern bool flex_webhook_body_is_good(const char *url, DigestPiece body);

#endif /* FLEX_WEBHOOK_SIGNATURE_H */
