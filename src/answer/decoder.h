/*
 * decoder.h
 *		Decodes answers of the service into rows.
 */
#ifndef FLEX_DECODER_H
#define FLEX_DECODER_H

#include "access/htup.h"
#include "access/tupdesc.h"

#include "answer/json.h"

/* How the members of a JSON object become the columns of a row type.  It can decode one row at a time. */
typedef struct RowDecoder RowDecoder;

extern bool flex_decoder_has_type(Oid type);
extern RowDecoder *flex_decoder_create(TupleDesc desc);
extern TupleDesc flex_decoder_desc(const RowDecoder *decoder);
extern int flex_decoder_find_column(const RowDecoder *decoder, const JsonValue *name, int *likely);
extern JsonValue *flex_decoder_members(RowDecoder *decoder);
extern void flex_decode_members(RowDecoder *decoder, Datum *values, bool *nulls);
extern bool flex_decode_object(RowDecoder *decoder, JsonScanner *scanner, Datum *values, bool *nulls);
extern void flex_decode_body(RowDecoder *decoder, const char *bytes, size_t length, Datum *values, bool *nulls);
extern HeapTuple flex_decode_answer(RowDecoder *decoder, const char *bytes, size_t length);
extern bool flex_decode_element(JsonScanner *scanner, Datum *value);
extern Datum flex_decode_jsonb(const char *bytes, size_t length);

#endif /* FLEX_DECODER_H */
