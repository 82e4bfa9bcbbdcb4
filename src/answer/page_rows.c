/*
 * page_rows.c
 *		The rows of a page: noted while it is checked, made when they are asked for.
 *
 * No row may be made before all of its page has been checked.  The check passes
 * every member, so it notes where the value of each one is that a column takes,
 * and of what kind: rows are made of the notes, and what no column takes is not
 * read again.  Notes are bounded: rows that find no room, and elements that are no
 * objects, are read by the scanner, as all are where there are no notes.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "miscadmin.h"

#include "answer/page_rows.h"

#define FIRST_NOTES 1024
#define MOST_NOTES 32768 /* 384 kB: of a page of the service, with its 1000 rows, all */

#define END_OF_ROW PG_UINT16_MAX /* in the place of a column */

StaticAssertDecl(MaxTupleAttributeNumber < END_OF_ROW, "a column's number must not be that of no column");

/* The value of a member of a row, or the row's end. */
typedef struct MemberNote
{
	uint32 at; /* in the document */
	uint32 length;
	uint16 column; /* as the decoder counts */
	uint8 kind;
	bool is_escaped : 1;
	bool is_integer : 1;
} MemberNote;

struct RowNotes
{
	RowDecoder *decoder;
	const char *document;
	const char *array; /* that has been noted, the last one of the document; or NULL */
	int rows;          /* of it, from the first on */
	int count;
	int capacity;
	MemberNote *notes;
};

/* Room for notes, in a context, of rows that this decoder will make. */
RowNotes *
flex_row_notes_create(MemoryContext context, RowDecoder *decoder)
{
	RowNotes *notes = MemoryContextAllocZero(context, sizeof(RowNotes));

	notes->decoder = decoder;
	notes->capacity = FIRST_NOTES;
	notes->notes = MemoryContextAlloc(context, sizeof(MemberNote) * notes->capacity);
	return notes;
}

/* Make room for one more note; false when there is none. */
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

/* Go to the end of the object that the last token began, and note its members; false when one found no room. */
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

/* Go to the end of the object that the last token began, and note the row that it is; false when it is not noted. */
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
 * Go to the end of the array that the last token began, and note its rows up to the
 * first that cannot be.  Returns how many elements it has.
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
 * The value that the scanner comes to next, as flex_json_next_element() gives it.  If
 * it is an array its elements are noted, where there are notes, and those of the one
 * before are forgotten.
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

/* The rows that an array is, from the first on; notes of it are used, which must stay, or NULL. */
PageRows
flex_page_rows_begin(const RowNotes *notes, const JsonValue *array)
{
	Assert(array->kind == JSON_ARRAY);
	return (PageRows){.notes = notes != NULL && notes->array == array->text ? notes : NULL, .array = *array};
}

/* The columns of the next row, from its notes. */
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

/* Begin to read the elements that are not noted. */
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
 * The columns of the next row, in the current context; false when there is none.  With
 * a decoder of NULL, which has no notes, the row is one column of jsonb, whatever it is.
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
