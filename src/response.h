/*
 * response.h
 *		Answers of the service become rows and pages.
 */
#ifndef FLEX_RESPONSE_H
#define FLEX_RESPONSE_H

#include "access/htup.h"
#include "access/tupdesc.h"

#include "json.h"

/* How the members of an object become the columns of a row type. */
typedef struct RowDecoder RowDecoder;

/* A page of a list; its nodes belong to the document it was read from. */
typedef struct ListPage
{
	JsonNode *rows;
	int count;
	char *next_url; /* NULL: this is the last page */
} ListPage;

extern RowDecoder *flex_decoder_create(TupleDesc desc);
extern TupleDesc flex_decoder_desc(const RowDecoder *decoder);
extern void flex_decode_object(RowDecoder *decoder, JsonNode *object, Datum *values, bool *nulls);
extern HeapTuple flex_decode_answer(RowDecoder *decoder, const char *bytes, size_t length);
extern void flex_decode_page(JsonDocument *document, const char *bytes, size_t length, ListPage *page);
extern Datum flex_decode_jsonb(const char *bytes, size_t length);

#endif /* FLEX_RESPONSE_H */
