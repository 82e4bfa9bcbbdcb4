/*
 * jsonb_text.h
 *		Bounds the length of jsonb as text.
 */
#ifndef FLEX_JSONB_TEXT_H
#define FLEX_JSONB_TEXT_H

#include "utils/jsonb.h"

/* Limit for each JSON column of the outbox, so that the text of a whole row stays below 1 GB and can be dumped. */
#define FLEX_MOST_JSON_TEXT (64 * 1024 * 1024)

extern bool flex_jsonb_text_exceeds(Jsonb *value, size_t most);

#endif /* FLEX_JSONB_TEXT_H */
