/*
 * page_rows.c
 *		The rows of a page: noted while it is checked, decoded when they are needed.
 *
 * No row may be decoded before the whole page has been checked.  The check sees every
 * member anyway, so it notes position and kind of the values for which there are columns.
 * Rows are then decoded from the notes, without scanning the other members again.
 *
 * The number of notes is bounded.  Notes end at the first row for which there is no space,
 * or that is not an object; from there on rows are read by a scanner, as are all rows
 * without notes.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "miscadmin.h"

#include "answer/page_rows.h"

#define FIRST_NOTES 1024
#define MOST_NOTES 32768 /* 384 kB: enough for the service's largest pages, of 1000 rows */

#define END_OF_ROW PG_UINT16_MAX /* instead of a column: marks the end of a row */

StaticAssertDecl(MaxTupleAttributeNumber < END_OF_ROW, "a column's number must not be that of no column");

/* The value of a member of a row, or the end of a row. */
typedef struct MemberNote
{
	uint32 at; /* offset in the document */
	uint32 length;
	uint16 column; /* index in flex_decoder_members(), or END_OF_ROW */
	uint8 kind;
	bool is_escaped : 1;
	bool is_integer : 1;
} MemberNote;

struct RowNotes
{
	RowDecoder *decoder;
	const char *document;
	const char *array; /* text of the noted array, which is the last one of the document; or NULL */
	int rows;          /* number of its rows that have been noted, from the first on */
	int count;         /* of notes */
	int capacity;
	MemberNote *notes;
};

/* Create empty notes, in a memory context, for rows that a decoder will decode. */
RowNotes *
flex_row_notes_create(MemoryContext context, RowDecoder *decoder)
{
	RowNotes *notes = MemoryContextAllocZero(context, sizeof(RowNotes));

	notes->decoder = decoder;
	notes->capacity = FIRST_NOTES;
	notes->notes = MemoryContextAlloc(context, sizeof(MemberNote) * notes->capacity);
	return notes;
}

/* Make space for one more note.  Return false if the limit has been reached. */
static bool
has_room(RowNotes *notes)
{
	if (notes->count < notes->capacity)
		return true;
	if (notes->capacity == MOST_NOTES)
		return false;
	notes->capacity *= 2;
	notes->notes = repalloc(notes->notes, sizeof(MemberNote) * notes->capacity);
	return true;
}

/* Read the object that the last token began, and note its members.  Return false if there was not enough space. */
static bool
note_members(RowNotes *notes, JsonScanner *scanner)
{
	int likely = 0;
	JsonValue name;
	JsonValue value;

	while (flex_json_next_member(scanner, &name, &value))
	{
		int column = flex_decoder_find_column(notes->decoder, &name, &likely);

		if (column < 0)
			continue;
		if (!has_room(notes))
		{
			(void) flex_json_skip(scanner);
			return false;
		}
		notes->notes[notes->count++] = (MemberNote){
			.at = value.text - notes->document,
			.length = value.length,
			.column = column,
			.kind = value.kind,
			.is_escaped = value.is_escaped,
			.is_integer = value.is_integer,
		};
	}
	if (!has_room(notes))
		return false;
	notes->notes[notes->count++] = (MemberNote){.column = END_OF_ROW};
	return true;
}

/* Read the object that the last token began, and note it as a row.  Return false if it could not be noted. */
static bool
note_row(RowNotes *notes, JsonScanner *scanner)
{
	int before = notes->count;

	if (!note_members(notes, scanner))
	{
		notes->count = before;
		return false;
	}
	notes->rows++;
	return true;
}

/*
 * Read the array that the last token began, and note its rows up to the first one that cannot
 * be noted.  Return the number of its elements.
 */
static int64
note_elements(RowNotes *notes, JsonScanner *scanner)
{
	bool is_noting = (size_t) (scanner->end - scanner->begin) <= PG_UINT32_MAX;
	int64 count = 0;
	JsonToken kind;

	notes->document = scanner->begin;
	notes->array = is_noting ? scanner->token.text : NULL;
	notes->rows = 0;
	notes->count = 0;
	while ((kind = flex_json_next(scanner)) <= JSON_OBJECT)
	{
		if (is_noting && kind == JSON_OBJECT)
			is_noting = note_row(notes, scanner);
		else
		{
			is_noting = false;
			if (kind >= JSON_ARRAY)
				(void) flex_json_skip(scanner);
		}
		count++;
	}
	return count;
}

/*
 * Read the next value, as flex_json_next_element() does.  If it is an array and notes is not
 * NULL, note its elements, instead of those of a former array.
 */
bool
flex_row_notes_read(RowNotes *notes, JsonScanner *scanner, JsonValue *value)
{
	JsonToken kind = flex_json_next(scanner);

	if (kind > JSON_OBJECT)
		return false;
	*value = scanner->token;
	if (kind >= JSON_ARRAY)
	{
		value->count = notes != NULL && kind == JSON_ARRAY ? note_elements(notes, scanner) : flex_json_skip(scanner);
		value->length = scanner->at - value->text;
	}
	return scanner->complaint == NULL;
}

/* Return a position before the first row of an array.  notes, which may be NULL, are used if they are about it. */
PageRows
flex_page_rows_begin(const RowNotes *notes, const JsonValue *array)
{
	Assert(array->kind == JSON_ARRAY);
	return (PageRows){.notes = notes != NULL && notes->array == array->text ? notes : NULL, .array = *array};
}

/* Set the columns of the next row from its notes. */
static void
make_noted_row(PageRows *rows, RowDecoder *decoder, Datum *values, bool *nulls)
{
	const RowNotes *notes = rows->notes;
	JsonValue *members = flex_decoder_members(decoder);
	const MemberNote *note;

	Assert(decoder == notes->decoder);
	for (note = &notes->notes[rows->next]; note->column != END_OF_ROW; note++)
	{
		members[note->column] = (JsonValue){
			.kind = note->kind,
			.is_escaped = note->is_escaped,
			.is_integer = note->is_integer,
			.text = notes->document + note->at,
			.length = note->length,
		};
	}
	rows->next = note + 1 - notes->notes;
	flex_decode_members(decoder, values, nulls);
}

/* Let the scanner skip the elements that have been noted. */
static void
begin_scanning(PageRows *rows)
{
	JsonValue element;

	flex_json_enter(&rows->scanner, &rows->array);
	for (int i = 0; rows->notes != NULL && i < rows->notes->rows; i++)
		(void) flex_json_next_element(&rows->scanner, &element);
	rows->is_scanning = true;
}

/*
 * Set the columns of the next row, in the current context.  Return false if there is none.  If
 * decoder is NULL, the row is a single column with the element as jsonb.
 */
bool
flex_page_rows_next(PageRows *rows, RowDecoder *decoder, Datum *values, bool *nulls)
{
	if (rows->notes != NULL && rows->next < rows->notes->count)
	{
		CHECK_FOR_INTERRUPTS();
		make_noted_row(rows, decoder, values, nulls);
		return true;
	}
	if (!rows->is_scanning)
		begin_scanning(rows);
	if (decoder != NULL)
		return flex_decode_object(decoder, &rows->scanner, values, nulls);
	nulls[0] = false;
	return flex_decode_element(&rows->scanner, &values[0]);
}
