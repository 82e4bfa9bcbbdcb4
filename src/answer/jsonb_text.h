/*
 * jsonb_text.h
 *		How long the text of jsonb is.
 */
#ifndef FLEX_JSONB_TEXT_H
#define FLEX_JSONB_TEXT_H

#include "utils/jsonb.h"

/* What the outbox keeps of JSON has no longer text: a row of all its columns can be printed, and dumped. */
#define FLEX_MOST_JSON_TEXT (64 * 1024 * 1024)

extern bool flex_jsonb_text_exceeds(Jsonb *value, size_t most);

#endif /* FLEX_JSONB_TEXT_H */
