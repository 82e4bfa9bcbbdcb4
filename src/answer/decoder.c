/*
 * decoder.c
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
#include "utils/timestamp.h"

#include "answer/decoder.h"
#include "answer/jsonb_writer.h"
#include "answer/timestamps.h"
#include "base/encoding.h"
#include "base/errors.h"

#define SHOWN_BYTES 80     /* of a value in a message */
#define MOST_TIME_BYTES 64 /* of a date and time, with digits enough of its fraction */

typedef struct Column Column;

struct Column
{
	int index; /* in the row */
	const char *name;
	size_t name_length;
	Datum (*decode)(const Column *column, const JsonValue *value);
};

struct RowDecoder
{
	TupleDesc desc;
	Datum *values; /* room for a row */
	bool *nulls;
	JsonValue *members; /* and for what it is made of */
	int count;          /* of the columns that are not dropped */
	Column columns[FLEXIBLE_ARRAY_MEMBER];
};

/* Raise 08P01 for a member that is not what its column needs. */
pg_noreturn static void
refuse_member(const Column *column, const JsonValue *value, const char *expected)
{
	static const char *const kinds[] = {"null", "a boolean", "a number", "a string", "an array", "an object"};
	size_t length;
	const char *text = flex_json_source(value, &length);
	bool is_short = (value->kind == JSON_STRING || value->kind == JSON_NUMBER) && length <= SHOWN_BYTES;

	flex_error_answer("Member \"%s\" is %s where %s was expected.", column->name,
					  is_short ? flex_text_for_message(text, length) : kinds[value->kind], expected);
}

static Datum
decode_text(const Column *column, const JsonValue *value)
{
	size_t size;
	int length;
	const char *bytes;
	text *result;

	if (value->kind != JSON_STRING)
		refuse_member(column, value, "a string");
	bytes = flex_json_string(value, &size);
	bytes = flex_text_from_wire(bytes, size, &length, column->name);
	result = palloc(VARHDRSZ + length);
	SET_VARSIZE(result, VARHDRSZ + length);
	memcpy(VARDATA(result), bytes, length);
	return PointerGetDatum(result);
}

static Datum
decode_boolean(const Column *column, const JsonValue *value)
{
	if (value->kind != JSON_BOOLEAN)
		refuse_member(column, value, "a boolean");
	return BoolGetDatum(flex_json_boolean(value));
}

/* A whole number from least to most. */
static int64
integer_between(const Column *column, const JsonValue *value, int64 least, int64 most)
{
	int64 integer;

	if (!flex_json_integer(value, &integer) || integer < least || integer > most)
		refuse_member(column, value, most == PG_INT32_MAX ? "a whole number of 32 bits" : "a whole number of 64 bits");
	return integer;
}

static Datum
decode_integer(const Column *column, const JsonValue *value)
{
	return Int32GetDatum((int32) integer_between(column, value, PG_INT32_MIN, PG_INT32_MAX));
}

static Datum
decode_bigint(const Column *column, const JsonValue *value)
{
	return Int64GetDatum(integer_between(column, value, PG_INT64_MIN, PG_INT64_MAX));
}

static Datum
decode_double(const Column *column, const JsonValue *value)
{
	double number;

	if (value->kind != JSON_NUMBER)
		refuse_member(column, value, "a number");
	number = flex_json_double(value);
	if (isinf(number))
		refuse_member(column, value, "a number of double precision");
	return Float8GetDatum(number);
}

static Datum
decode_timestamptz(const Column *column, const JsonValue *value)
{
	char text[MOST_TIME_BYTES];
	TimestampTz time;
	size_t length = 0;
	const char *bytes = value->kind == JSON_STRING ? flex_json_string(value, &length) : "";

	memcpy(text, bytes, Min(length, sizeof(text) - 1));
	text[Min(length, sizeof(text) - 1)] = '\0';
	if (length >= sizeof(text) || !flex_timestamp_parse(text, &time))
		refuse_member(column, value, "a date and time such as \"2016-08-01T22:10:40Z\"");
	return TimestampTzGetDatum(time);
}

static Datum
decode_jsonb(const Column *column, const JsonValue *value)
{
	return flex_jsonb_write(value, column->name);
}

/* How a member is read into a column of a type. */
static const struct
{
	Oid type;
	Datum (*decode)(const Column *column, const JsonValue *value);
} decoders[] = {
	{TEXTOID, decode_text},   {BOOLOID, decode_boolean},  {INT4OID, decode_integer},
	{INT8OID, decode_bigint}, {FLOAT8OID, decode_double}, {TIMESTAMPTZOID, decode_timestamptz},
	{JSONBOID, decode_jsonb},
};

/* The place of a type in that table, or -1. */
static int
find_decoder(Oid type)
{
	for (size_t i = 0; i < lengthof(decoders); i++)
	{
		if (decoders[i].type == type)
			return (int) i;
	}
	return -1;
}

/* True when a member can be read into a column of this type. */
bool
flex_decoder_has_type(Oid type)
{
	return find_decoder(type) >= 0;
}

/* Choose by a column's type how its member is read. */
static Column
describe_column(int index, Form_pg_attribute attribute)
{
	int which = find_decoder(attribute->atttypid);
	Column column = {.index = index};

	if (which < 0)
		elog(ERROR, "column \"%s\" has a type that no answer has", NameStr(attribute->attname));
	column.name = pstrdup(NameStr(attribute->attname));
	column.name_length = strlen(column.name);
	column.decode = decoders[which].decode;
	return column;
}

/* Make a decoder for a row type, in the current context; desc must outlive it.  What is dropped is NULL. */
RowDecoder *
flex_decoder_create(TupleDesc desc)
{
	RowDecoder *decoder = palloc0(offsetof(RowDecoder, columns) + sizeof(Column) * desc->natts);

	decoder->desc = desc;
	decoder->values = palloc0(sizeof(Datum) * desc->natts);
	decoder->nulls = palloc0(sizeof(bool) * desc->natts);
	decoder->members = palloc0(sizeof(JsonValue) * desc->natts);
	for (int i = 0; i < desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped)
			decoder->columns[decoder->count++] = describe_column(i, TupleDescAttr(desc, i));
	}
	return decoder;
}

/* The row type that the decoder was made for. */
TupleDesc
flex_decoder_desc(const RowDecoder *decoder)
{
	return decoder->desc;
}

/*
 * The column of a member's name, as a place in flex_decoder_members(); -1 for none.  It is
 * looked for from a likely place on, which is set to the one behind it, and begins as 0:
 * most members come in the columns' order.
 */
int
flex_decoder_find_column(const RowDecoder *decoder, const JsonValue *name, int *likely)
{
	for (int i = 0; i < decoder->count; i++)
	{
		int place = *likely + i < decoder->count ? *likely + i : *likely + i - decoder->count;
		const Column *column = &decoder->columns[place];

		if (flex_json_is_named(name, column->name, column->name_length))
		{
			*likely = place + 1 < decoder->count ? place + 1 : 0;
			return place;
		}
	}
	return -1;
}

/* Room for what a row is made of: the members of its columns, null until they are set. */
JsonValue *
flex_decoder_members(RowDecoder *decoder)
{
	memset(decoder->members, 0, sizeof(JsonValue) * decoder->count);
	return decoder->members;
}

/* The columns of a row, in the current context, from the members that have been set. */
void
flex_decode_members(RowDecoder *decoder, Datum *values, bool *nulls)
{
	memset(values, 0, sizeof(Datum) * decoder->desc->natts);
	memset(nulls, true, sizeof(bool) * decoder->desc->natts);
	for (int i = 0; i < decoder->count; i++)
	{
		const Column *column = &decoder->columns[i];

		if (decoder->members[i].kind == JSON_NULL)
			continue;
		values[column->index] = column->decode(column, &decoder->members[i]);
		nulls[column->index] = false;
	}
}

/*
 * The columns of a row, in the current context, from the object that the scanner
 * comes to next; false, and nothing is set, when no value comes.
 */
bool
flex_decode_object(RowDecoder *decoder, JsonScanner *scanner, Datum *values, bool *nulls)
{
	JsonValue *members = flex_decoder_members(decoder);
	int likely = 0;
	JsonValue name;
	JsonValue value;

	switch (flex_json_next(scanner))
	{
		case JSON_OBJECT:
			break;
		case JSON_END:
		case JSON_STOP:
			return false;
		default:
			flex_error_answer("An object was expected.");
	}
	/* Of two with one name the last counts, so all are found before any is read. */
	while (flex_json_next_member(scanner, &name, &value))
	{
		int place = flex_decoder_find_column(decoder, &name, &likely);

		if (place >= 0)
			members[place] = value;
	}
	flex_decode_members(decoder, values, nulls);
	return true;
}

/* The value that a body is.  Raises 08P01 unless it is JSON. */
static JsonValue
read_body(const char *bytes, size_t length)
{
	JsonValue root;
	const char *wrong = flex_json_check(bytes, length, &root);

	if (wrong != NULL)
		flex_error_answer("The body %s.", wrong);
	return root;
}

/* The columns of the row that an answer of a single object makes, in the current context. */
void
flex_decode_body(RowDecoder *decoder, const char *bytes, size_t length, Datum *values, bool *nulls)
{
	JsonScanner scanner;

	(void) read_body(bytes, length);
	flex_json_begin(&scanner, bytes, length);
	(void) flex_decode_object(decoder, &scanner, values, nulls);
}

/* The same as a row. */
HeapTuple
flex_decode_answer(RowDecoder *decoder, const char *bytes, size_t length)
{
	flex_decode_body(decoder, bytes, length, decoder->values, decoder->nulls);
	return heap_form_tuple(decoder->desc, decoder->values, decoder->nulls);
}

/* The body of an answer as jsonb, whatever its shape. */
Datum
flex_decode_jsonb(const char *bytes, size_t length)
{
	JsonValue root = read_body(bytes, length);

	return flex_jsonb_write(&root, NULL);
}

/* The value that the scanner comes to next as jsonb.  Returns false when none comes. */
bool
flex_decode_element(JsonScanner *scanner, Datum *value)
{
	JsonValue element;

	if (!flex_json_next_element(scanner, &element))
		return false;
	*value = flex_jsonb_write(&element, NULL);
	return true;
}
