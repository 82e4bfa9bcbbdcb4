/*
 * decoder.c
 *		Decodes answers of the service into rows.
 *
 * A column gets the value of the member of its name.  Members without a column are ignored;
 * a member that is missing or null gives NULL; a member of the wrong type raises an error
 * that names it.  Whatever the bytes of an answer are, the result is rows or an error 08P01
 * (22P05 for a character that the database's encoding does not have).
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
#define MOST_TIME_BYTES 64 /* of a timestamp, which leaves enough digits for its fraction */

typedef struct Column Column;

/* A column, and how its member is decoded. */
struct Column
{
	int index;        /* attribute number - 1 */
	const char *name; /* in the row's descriptor */
	size_t name_length;

	/* Returns the value of a member as a datum, in the current context. */
	Datum (*decode)(const Column *column, const JsonValue *value);
};

struct RowDecoder
{
	TupleDesc desc;
	Datum *values; /* of a row, for flex_decode_answer() */
	bool *nulls;
	JsonValue *members; /* of a row, by the index of their columns below */
	int count;          /* of columns; dropped ones are not among them */
	Column columns[FLEXIBLE_ARRAY_MEMBER];
};

/* Raise 08P01 for a member whose value does not fit its column. */
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

/* The functions for Column.decode.  They raise 08P01 for a value of another type or out of range. */

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

/* Return a whole number; raises 08P01 unless it is from least to most. */
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

/* The decoding function for each type of column. */
static const struct
{
	Oid type;
	Datum (*decode)(const Column *column, const JsonValue *value);
} decoders[] = {
	{TEXTOID, decode_text},   {BOOLOID, decode_boolean},  {INT4OID, decode_integer},
	{INT8OID, decode_bigint}, {FLOAT8OID, decode_double}, {TIMESTAMPTZOID, decode_timestamptz},
	{JSONBOID, decode_jsonb},
};

/* Return the index of a type in that table, or -1. */
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

/* Return true if a column can have this type. */
bool
flex_decoder_has_type(Oid type)
{
	return find_decoder(type) >= 0;
}

/* Describe a column, and choose the decoding function for its type. */
static Column
describe_column(int index, Form_pg_attribute attribute)
{
	int which = find_decoder(attribute->atttypid);
	Column column = {.index = index};

	if (which < 0)
		elog(ERROR, "column \"%s\" has a type that no answer has", NameStr(attribute->attname));
	column.name = NameStr(attribute->attname);
	column.name_length = strlen(column.name);
	column.decode = decoders[which].decode;
	return column;
}

/*
 * Create a decoder for a row type, in the current context.  desc is not copied, and must live
 * as long.  Dropped columns will be NULL.
 */
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

/* Return the row type of a decoder. */
TupleDesc
flex_decoder_desc(const RowDecoder *decoder)
{
	return decoder->desc;
}

/*
 * Return the index of the column for a member's name, as in flex_decoder_members(), or -1.
 * The search begins at *likely, which is then set to the column after the one found: most
 * answers have the members in the order of the columns.  The caller sets it to 0 for each row.
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

/* Return an array with an element for the member of each column, set to null, which the caller fills for a row. */
JsonValue *
flex_decoder_members(RowDecoder *decoder)
{
	memset(decoder->members, 0, sizeof(JsonValue) * decoder->count);
	return decoder->members;
}

/* Set the columns of a row from that array, in the current context. */
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
 * Find the members of the object that the scanner has just entered, for flex_decode_members().
 * If a name occurs twice the last one counts, so no member is decoded before all are found.
 */
static void
find_members(RowDecoder *decoder, JsonScanner *scanner)
{
	JsonValue *members = flex_decoder_members(decoder);
	int likely = 0;
	JsonValue name;
	JsonValue value;

	while (flex_json_next_member(scanner, &name, &value))
	{
		int place = flex_decoder_find_column(decoder, &name, &likely);

		if (place >= 0)
			members[place] = value;
	}
}

/*
 * Read the next value of the scanner, which must be an object, and set the columns of a row,
 * in the current context.  Return false if there is no value.
 */
bool
flex_decode_object(RowDecoder *decoder, JsonScanner *scanner, Datum *values, bool *nulls)
{
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
	find_members(decoder, scanner);
	flex_decode_members(decoder, values, nulls);
	return true;
}

/* Raise 08P01 for a body that is not valid, given what is wrong with it; NULL stands for nothing. */
static void
check_body(const char *wrong)
{
	if (wrong != NULL)
		flex_error_answer("The body %s.", wrong);
}

/*
 * Set the columns of the row for an answer that is a single object, in the current context.
 * No value is decoded before all of the body has been read and found valid.
 */
void
flex_decode_body(RowDecoder *decoder, const char *bytes, size_t length, Datum *values, bool *nulls)
{
	JsonScanner scanner;
	bool is_object;

	flex_json_begin(&scanner, bytes, length);
	is_object = flex_json_next(&scanner) == JSON_OBJECT;
	if (is_object)
		find_members(decoder, &scanner);
	check_body(flex_json_finish_check(&scanner));
	if (!is_object)
		flex_error_answer("An object was expected.");
	flex_decode_members(decoder, values, nulls);
}

/* The same, but return a tuple. */
HeapTuple
flex_decode_answer(RowDecoder *decoder, const char *bytes, size_t length)
{
	flex_decode_body(decoder, bytes, length, decoder->values, decoder->nulls);
	return heap_form_tuple(decoder->desc, decoder->values, decoder->nulls);
}

/* Return the body of an answer as jsonb, whatever its shape. */
Datum
flex_decode_jsonb(const char *bytes, size_t length)
{
	JsonValue root;

	check_body(flex_json_check(bytes, length, &root));
	return flex_jsonb_write(&root, NULL);
}

/* Set *value to the next value of the scanner as jsonb.  Return false if there is none. */
bool
flex_decode_element(JsonScanner *scanner, Datum *value)
{
	JsonValue element;

	if (!flex_json_next_element(scanner, &element))
		return false;
	*value = flex_jsonb_write(&element, NULL);
	return true;
}
