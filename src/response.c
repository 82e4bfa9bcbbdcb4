/*
 * response.c
 *		Answers of the service become rows.
 *
 * A column takes the member of its own name: a member that no column has is
 * ignored, one that is missing or null is NULL, and one of the wrong type is an
 * error that names it.  Whatever the bytes are, the outcome is rows or an error
 * of SQLSTATE 08P01 (22P05 for a character that the database cannot hold).
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "encoding.h"
#include "errors.h"
#include "response.h"
#include "timestamps.h"

#define SHOWN_BYTES 80 /* of a value in a message */

typedef struct Column Column;

struct Column
{
	const char *name; /* NULL: dropped */
	Datum (*decode)(const Column *column, JsonNode *node);
};

struct RowDecoder
{
	TupleDesc desc;
	Datum *values; /* room for a row */
	bool *nulls;
	Column columns[FLEXIBLE_ARRAY_MEMBER];
};

/* Raise 08P01 for a member that is not what its column needs. */
pg_noreturn static void
refuse_member(const Column *column, JsonNode *node, const char *expected)
{
	static const char *const kinds[] = {"null", "a boolean", "a number", "a string", "an array", "an object"};
	JsonKind kind = flex_json_kind(node);
	int length;
	const char *text = flex_json_source(node, &length);
	bool is_short = (kind == JSON_STRING || kind == JSON_NUMBER) && length <= SHOWN_BYTES;

	flex_error_answer("Member \"%s\" is %s where %s was expected.", column->name,
					  is_short ? flex_text_for_message(text, length) : kinds[kind], expected);
}

static Datum
decode_text(const Column *column, JsonNode *node)
{
	int length;
	const char *bytes;
	text *result;

	if (flex_json_kind(node) != JSON_STRING)
		refuse_member(column, node, "a string");
	bytes = flex_json_string(node, &length);
	bytes = flex_text_from_wire(bytes, length, &length, column->name);
	result = palloc(VARHDRSZ + length);
	SET_VARSIZE(result, VARHDRSZ + length);
	memcpy(VARDATA(result), bytes, length);
	return PointerGetDatum(result);
}

static Datum
decode_boolean(const Column *column, JsonNode *node)
{
	if (flex_json_kind(node) != JSON_BOOLEAN)
		refuse_member(column, node, "a boolean");
	return BoolGetDatum(flex_json_boolean(node));
}

/* A whole number from least to most. */
static int64
integer_between(const Column *column, JsonNode *node, int64 least, int64 most)
{
	int64 value;

	if (flex_json_kind(node) != JSON_NUMBER || !flex_json_integer(node, &value) || value < least || value > most)
		refuse_member(column, node, most == PG_INT32_MAX ? "a whole number of 32 bits" : "a whole number of 64 bits");
	return value;
}

static Datum
decode_integer(const Column *column, JsonNode *node)
{
	return Int32GetDatum((int32) integer_between(column, node, PG_INT32_MIN, PG_INT32_MAX));
}

static Datum
decode_bigint(const Column *column, JsonNode *node)
{
	return Int64GetDatum(integer_between(column, node, PG_INT64_MIN, PG_INT64_MAX));
}

static Datum
decode_double(const Column *column, JsonNode *node)
{
	double value;

	if (flex_json_kind(node) != JSON_NUMBER)
		refuse_member(column, node, "a number");
	value = flex_json_double(node);
	if (isinf(value))
		refuse_member(column, node, "a number of double precision");
	return Float8GetDatum(value);
}

static Datum
decode_timestamptz(const Column *column, JsonNode *node)
{
	TimestampTz value;
	int length;

	if (flex_json_kind(node) != JSON_STRING || !flex_timestamp_parse(flex_json_string(node, &length), &value))
		refuse_member(column, node, "a date and time such as \"2016-08-01T22:10:40Z\"");
	return TimestampTzGetDatum(value);
}

/* JSON text in UTF-8 as jsonb, by the server's own parser. */
static Datum
jsonb_of_text(const char *text, int length, const char *name)
{
	char *converted = flex_text_from_wire(text, length, &length, name);
	Oid input;
	Oid argument;

	getTypeInputInfo(JSONBOID, &input, &argument);
	return OidInputFunctionCall(input, converted, argument, -1);
}

static Datum
decode_jsonb(const Column *column, JsonNode *node)
{
	int length;
	const char *text = flex_json_text(node, &length);

	return jsonb_of_text(text, length, column->name);
}

/* Choose by a column's type how its member is read. */
static void
describe_column(Column *column, Form_pg_attribute attribute)
{
	static const struct
	{
		Oid type;
		Datum (*decode)(const Column *column, JsonNode *node);
	} decoders[] = {
		{TEXTOID, decode_text},   {BOOLOID, decode_boolean},  {INT4OID, decode_integer},
		{INT8OID, decode_bigint}, {FLOAT8OID, decode_double}, {TIMESTAMPTZOID, decode_timestamptz},
		{JSONBOID, decode_jsonb},
	};

	if (attribute->attisdropped)
		return;
	for (size_t i = 0; i < lengthof(decoders); i++)
	{
		if (decoders[i].type == attribute->atttypid)
		{
			column->name = pstrdup(NameStr(attribute->attname));
			column->decode = decoders[i].decode;
			return;
		}
	}
	elog(ERROR, "column \"%s\" has a type that no answer has", NameStr(attribute->attname));
}

/* Make a decoder for a row type, in the current context; desc must outlive it. */
RowDecoder *
flex_decoder_create(TupleDesc desc)
{
	RowDecoder *decoder = palloc0(offsetof(RowDecoder, columns) + sizeof(Column) * desc->natts);

	decoder->desc = desc;
	decoder->values = palloc0(sizeof(Datum) * desc->natts);
	decoder->nulls = palloc0(sizeof(bool) * desc->natts);
	for (int i = 0; i < desc->natts; i++)
		describe_column(&decoder->columns[i], TupleDescAttr(desc, i));
	return decoder;
}

/* The row type that the decoder was made for. */
TupleDesc
flex_decoder_desc(const RowDecoder *decoder)
{
	return decoder->desc;
}

/* The column of a name, looked for from a likely place on; -1 for none. */
static int
find_column(const RowDecoder *decoder, const char *name, int likely)
{
	int natts = decoder->desc->natts;

	for (int i = 0; i < natts; i++)
	{
		int column = likely + i < natts ? likely + i : likely + i - natts;

		if (decoder->columns[column].name != NULL && strcmp(decoder->columns[column].name, name) == 0)
			return column;
	}
	return -1;
}

/*
 * The columns of a row, from an object; data is allocated in the current
 * context.  Members mostly come in the columns' order, so each is looked for
 * behind the one before: cheaper than asking the object for each by name.
 */
void
flex_decode_object(RowDecoder *decoder, JsonNode *object, Datum *values, bool *nulls)
{
	int likely = 0;

	if (flex_json_kind(object) != JSON_OBJECT)
		flex_error_answer("An object was expected.");
	memset(nulls, true, sizeof(bool) * decoder->desc->natts);
	memset(values, 0, sizeof(Datum) * decoder->desc->natts);
	for (const JsonEntry *entry = NULL; (entry = flex_json_next_entry(object, entry)) != NULL;)
	{
		JsonNode *node = flex_json_entry_value(entry);
		int column = find_column(decoder, flex_json_entry_name(entry), likely);

		if (column < 0)
			continue;
		likely = column + 1 < decoder->desc->natts ? column + 1 : 0;
		if (node == NULL)
			continue;
		values[column] = decoder->columns[column].decode(&decoder->columns[column], node);
		nulls[column] = false;
	}
}

/* The value that a body is.  Raises 08P01 unless it is JSON. */
static JsonNode *
read_body(const char *bytes, size_t length)
{
	JsonDocument *document = flex_json_begin();
	const char *wrong = flex_json_read(document, bytes, length);

	if (wrong != NULL)
		flex_error_answer("The body %s.", wrong);
	return flex_json_root(document);
}

/* The row that an answer of a single object makes. */
HeapTuple
flex_decode_answer(RowDecoder *decoder, const char *bytes, size_t length)
{
	flex_decode_object(decoder, read_body(bytes, length), decoder->values, decoder->nulls);
	return heap_form_tuple(decoder->desc, decoder->values, decoder->nulls);
}

/* The body of an answer as jsonb, whatever its shape. */
Datum
flex_decode_jsonb(const char *bytes, size_t length)
{
	int text_length;
	const char *text = flex_json_text(read_body(bytes, length), &text_length);

	return jsonb_of_text(text, text_length, "body");
}

/* A value of an answer as jsonb, whatever its shape. */
Datum
flex_decode_value(JsonNode *node)
{
	int length;
	const char *text = flex_json_text(node, &length);

	return jsonb_of_text(text, length, "body");
}
