/*
 * jsonb_writer.h
 *		Converts JSON to jsonb.
 */
#ifndef FLEX_JSONB_WRITER_H
#define FLEX_JSONB_WRITER_H

#include "answer/json.h"

extern Datum flex_jsonb_write(const JsonValue *value, const char *name);

#endif /* FLEX_JSONB_WRITER_H */
