/*
 * jsonb_writer.c
 *		Converts JSON to jsonb.
 *
 * jsonb_in() builds a tree first, which takes 20 to 95 times the memory of the text, and it
 * cannot be interrupted.  This code writes the same binary format (utils/jsonb.h) while it
 * reads the tokens: values are appended one after another, and when an array or object ends,
 * its header is inserted before them.  It needs little more memory than the result, and does
 * not recurse.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "answer/jsonb_writer.h"
#include "base/encoding.h"
#include "base/errors.h"

/* As JSONB_MAX_ELEMS and JSONB_MAX_PAIRS in jsonb_util.c. */
#define MOST_ELEMENTS Min(MaxAllocSize / sizeof(JsonbValue), JB_CMASK)
#define MOST_PAIRS Min(MaxAllocSize / sizeof(JsonbPair), JB_CMASK)

#define SHOWN_BYTES 200                  /* how much of a member's path a message shows */
#define KEPT_SCRATCH_BYTES (1024 * 1024) /* a larger scratch buffer is freed after use */
#define COMPARISONS_BETWEEN_INTERRUPTS 4096

/* A member of an object that is being written. */
typedef struct Pair
{
	uint32 name_at; /* offset in Writer.names */
	uint32 name_length;
	uint32 value_at; /* offset in the output, after the padding */
	uint32 place;    /* until the members are sorted, its number in the object; then the value's final offset */
	JEntry entry;    /* type and length of the value */
} Pair;

/* An array or object that is being written. */
typedef struct Level
{
	bool is_object;
	int before;  /* length of the output before its padding */
	int start;   /* offset of its values in the output, where its header will be inserted */
	int entries; /* number of items in Writer.entries before its own */
	int pairs;   /* number of items in Writer.pairs before its own */
	int names;   /* length of Writer.names before its own */
} Level;

/* The state of a conversion. */
typedef struct Writer
{
	const char *name; /* of the column, for messages; NULL: the value is the body */
	StringInfoData output;
	StringInfoData entries; /* stack of JEntry, for the elements of the open arrays */
	StringInfoData pairs;   /* stack of Pair, for the members of the open objects */
	StringInfoData names;   /* names of these members */
	StringInfoData scratch; /* for the values of an object while they are moved */
	int depth;
	Level levels[FLEX_MOST_DEPTH]; /* the open arrays and objects */
} Writer;

/* Number of items in one of a writer's stacks. */
#define COUNT(stack, Type) ((int) ((stack).len / sizeof(Type)))

static inline Pair *
pair_at(Writer *writer, int index)
{
	return (Pair *) writer->pairs.data + index;
}

/* Raise 08P01 for a value that jsonb cannot represent.  The DETAIL has the path of the member. */
pg_noreturn static void
raise_unwritable(Writer *writer, const char *complaint)
{
	StringInfoData path;
	const char *wire;

	initStringInfo(&path);
	if (writer->name != NULL)
		appendStringInfoString(&path, writer->name);
	for (int i = 0; i < writer->depth; i++)
	{
		int end = i + 1 < writer->depth ? writer->levels[i + 1].pairs : COUNT(writer->pairs, Pair);
		const Pair *pair;

		if (end == writer->levels[i].pairs)
			continue;
		pair = pair_at(writer, end - 1);
		appendStringInfo(&path, "%s%.*s", path.len > 0 ? "." : "", (int) pair->name_length,
						 writer->names.data + pair->name_at);
	}
	if (path.len == 0)
		flex_error_answer("The body %s.", complaint);
	wire = flex_text_to_wire(flex_text_clip(path.data, SHOWN_BYTES), "member");
	flex_error_answer("Member \"%s\" %s.", flex_text_for_message(wire, strlen(wire)), complaint);
}

/* Check the length of a value, or of the contents of an array or object, against jsonb's limit. */
static inline void
check_fits(Writer *writer, int64 length)
{
	if (length > JENTRY_OFFLENMASK)
		raise_unwritable(writer, "is larger than jsonb can hold");
}

/* Enlarge a buffer by "more" bytes; raises 08P01 if it would exceed MaxAllocSize. */
static inline void
reserve(Writer *writer, StringInfo buffer, int64 more)
{
	if (buffer->len + more >= (int64) MaxAllocSize)
		raise_unwritable(writer, "is larger than jsonb can hold");
	enlargeStringInfo(buffer, Max(more, 0));
}

static inline void
append(Writer *writer, StringInfo buffer, const void *bytes, int length)
{
	reserve(writer, buffer, length);
	memcpy(buffer->data + buffer->len, bytes, length);
	buffer->len += length;
}

/* Return the offset at which a value of a type begins if it follows after "end": some types are aligned. */
static inline int64
begin_of(JEntry type, int64 end)
{
	return type == JENTRY_ISNUMERIC || type == JENTRY_ISCONTAINER ? (int64) INTALIGN(end) : end;
}

/* Append the padding of an aligned value. */
static inline void
pad(Writer *writer)
{
	StringInfo output = &writer->output;

	append(writer, output, "\0\0\0", (int) INTALIGN(output->len) - output->len);
}

/*
 * Note a value that has been appended to the output, whose length was "before".  The length of
 * an array's element includes its padding; a member's padding is added in place_values().
 */
static inline void
note_value(Writer *writer, JEntry type, int before)
{
	Level *level;
	int count;
	JEntry entry;

	if (writer->depth == 0)
		return;
	level = &writer->levels[writer->depth - 1];
	check_fits(writer, writer->output.len - level->start);
	if (level->is_object)
	{
		Pair *pair = pair_at(writer, COUNT(writer->pairs, Pair) - 1);

		pair->value_at = begin_of(type, before);
		pair->entry = type | (writer->output.len - pair->value_at);
		return;
	}
	count = COUNT(writer->entries, JEntry) - level->entries;
	if ((Size) count >= MOST_ELEMENTS)
		raise_unwritable(writer, "has more elements than jsonb can hold");
	if (count % JB_OFFSET_STRIDE == 0)
		entry = JENTRY_HAS_OFF | type | (writer->output.len - level->start);
	else
		entry = type | (writer->output.len - before);
	append(writer, &writer->entries, &entry, sizeof(JEntry));
}

/* Append a string or name, converted to the database's encoding, and return its length. */
static int
append_string(Writer *writer, StringInfo to, const JsonValue *string)
{
	size_t size;
	const char *text = flex_json_string(string, &size);
	int length;
	char *converted;

	check_fits(writer, size);
	converted = flex_text_from_wire(text, size, &length, writer->name != NULL ? writer->name : "body");
	check_fits(writer, length);
	append(writer, to, converted, length);
	if (converted != text)
		pfree(converted);
	if (text != string->text)
		pfree(unconstify(char *, text));
	return length;
}

/* Write a value that is neither an array nor an object. */
static void
write_scalar(Writer *writer, const JsonValue *value)
{
	int before = writer->output.len;
	JEntry type = JENTRY_ISNULL;

	if (value->kind == JSON_STRING)
	{
		type = JENTRY_ISSTRING;
		append_string(writer, &writer->output, value);
	}
	else if (value->kind == JSON_NUMBER)
	{
		Numeric numeric = flex_json_numeric(value);

		if (numeric == NULL)
			raise_unwritable(writer, "has a number that PostgreSQL cannot store");
		type = JENTRY_ISNUMERIC;
		pad(writer);
		append(writer, &writer->output, numeric, VARSIZE_ANY(numeric));
		pfree(numeric);
	}
	else if (value->kind == JSON_BOOLEAN)
		type = flex_json_boolean(value) ? JENTRY_ISBOOL_TRUE : JENTRY_ISBOOL_FALSE;
	note_value(writer, type, before);
}

/* Begin a member, whose value comes next. */
static void
begin_member(Writer *writer, const JsonValue *name)
{
	Level *level = &writer->levels[writer->depth - 1];
	Pair pair = {
		.name_at = writer->names.len,
		.place = COUNT(writer->pairs, Pair) - level->pairs,
	};

	if (pair.place >= MOST_PAIRS)
		raise_unwritable(writer, "has more members than jsonb can hold");
	pair.name_length = append_string(writer, &writer->names, name);
	append(writer, &writer->pairs, &pair, sizeof(Pair));
}

/* Begin an array or object. */
static void
begin_level(Writer *writer, bool is_object)
{
	Level *level = &writer->levels[writer->depth];

	Assert(writer->depth < FLEX_MOST_DEPTH);
	level->is_object = is_object;
	level->before = writer->output.len;
	pad(writer);
	level->start = writer->output.len;
	level->entries = COUNT(writer->entries, JEntry);
	level->pairs = COUNT(writer->pairs, Pair);
	level->names = writer->names.len;
	writer->depth++;
}

/* Close the innermost array or object, which is complete in the output. */
static void
end_level(Writer *writer)
{
	Level *level = &writer->levels[--writer->depth];

	CHECK_FOR_INTERRUPTS();
	check_fits(writer, writer->output.len - level->before);
	note_value(writer, JENTRY_ISCONTAINER, level->before);
}

/* Insert the header and the entries of an array before its values. */
static void
end_array(Writer *writer, uint32 flags)
{
	Level *level = &writer->levels[writer->depth - 1];
	StringInfo output = &writer->output;
	int size = writer->entries.len - level->entries * (int) sizeof(JEntry);
	uint32 header = (uint32) (size / sizeof(JEntry)) | JB_FARRAY | flags;
	char *start;

	Assert(!level->is_object && level->start == (int) INTALIGN(level->start));
	reserve(writer, output, size + sizeof(header));
	start = output->data + level->start;
	memmove(start + sizeof(header) + size, start, output->len - level->start);
	memcpy(start, &header, sizeof(header));
	memcpy(start + sizeof(header), writer->entries.data + writer->entries.len - size, size);
	output->len += sizeof(header) + size;
	writer->entries.len -= size;
	end_level(writer);
}

/* qsort comparator for the order of members in jsonb: shorter names first; equal names keep their order. */
static int
compare_pairs(const void *a, const void *b, void *argument)
{
	static uint32 comparisons;
	const Pair *one = a;
	const Pair *other = b;
	const char *names = argument;
	int order;

	if (++comparisons % COMPARISONS_BETWEEN_INTERRUPTS == 0)
		CHECK_FOR_INTERRUPTS();
	if (one->name_length != other->name_length)
		return one->name_length < other->name_length ? -1 : 1;
	order = memcmp(names + one->name_at, names + other->name_at, one->name_length);
	if (order != 0)
		return order;
	return one->place < other->place ? -1 : 1;
}

/* Sort pairs, and keep the last one of each name.  Return how many are left. */
static int
sort_pairs(Pair *pairs, int count, const char *names)
{
	int kept = 0;

	qsort_arg(pairs, count, sizeof(Pair), compare_pairs, unconstify(char *, names));
	for (int i = 0; i < count; i++)
	{
		bool is_last = i + 1 == count || pairs[i].name_length != pairs[i + 1].name_length ||
					   memcmp(names + pairs[i].name_at, names + pairs[i + 1].name_at, pairs[i].name_length) != 0;

		if (is_last)
			pairs[kept++] = pairs[i];
	}
	return kept;
}

/* Return the index of the pair with the largest value; count must not be 0. */
static int
largest_pair(const Pair *pairs, int count)
{
	int largest = 0;

	for (int i = 1; i < count; i++)
	{
		if (JBE_OFFLENFLD(pairs[i].entry) > JBE_OFFLENFLD(pairs[largest].entry))
			largest = i;
	}
	return largest;
}

/*
 * Move the values of an object to their final offsets, which follow after "end", where the
 * names will end.  All but the largest go through the scratch buffer, as their order changes.
 * Set the pairs' places, and return the new end.
 */
static int64
place_values(Writer *writer, Pair *pairs, int count, int64 end)
{
	StringInfo output = &writer->output;
	StringInfo scratch = &writer->scratch;
	int largest = largest_pair(pairs, count);
	const char *from;

	resetStringInfo(scratch);
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (i != largest)
			append(writer, scratch, output->data + pairs[i].value_at, JBE_OFFLENFLD(pairs[i].entry));
		end = begin_of(pairs[i].entry & JENTRY_TYPEMASK, end);
		pairs[i].place = end;
		end += JBE_OFFLENFLD(pairs[i].entry);
		check_fits(writer, end - writer->levels[writer->depth - 1].start);
	}
	reserve(writer, output, end - output->len);
	memmove(output->data + pairs[largest].place, output->data + pairs[largest].value_at,
			JBE_OFFLENFLD(pairs[largest].entry));
	from = scratch->data;
	for (int i = 0; i < count; i++)
	{
		int length = JBE_OFFLENFLD(pairs[i].entry);

		CHECK_FOR_INTERRUPTS();
		if (i == largest)
			continue;
		memcpy(output->data + pairs[i].place, from, length);
		from += length;
	}
	if (scratch->maxlen > KEPT_SCRATCH_BYTES)
	{
		pfree(scratch->data);
		initStringInfo(scratch);
	}
	return end;
}

/* Write an object's header, entries and names before its values, and zeroes as the padding of those. */
static void
write_front(Writer *writer, const Pair *pairs, int count, int start)
{
	char *output = writer->output.data;
	uint32 header = count | JB_FOBJECT;
	JEntry *entries = (JEntry *) (output + start + sizeof(header));
	int base = start + (int) sizeof(header) + 2 * count * (int) sizeof(JEntry);
	int end = base;

	memcpy(output + start, &header, sizeof(header));
	for (int i = 0; i < 2 * count; i++)
	{
		const Pair *pair = &pairs[i % count];
		bool is_name = i < count;
		int before = end;
		JEntry type = is_name ? JENTRY_ISSTRING : pair->entry & JENTRY_TYPEMASK;

		CHECK_FOR_INTERRUPTS();
		if (is_name)
		{
			memcpy(output + end, writer->names.data + pair->name_at, pair->name_length);
			end += pair->name_length;
		}
		else
		{
			memset(output + end, 0, pair->place - end);
			end = pair->place + JBE_OFFLENFLD(pair->entry);
		}
		entries[i] = i % JB_OFFSET_STRIDE == 0 ? JENTRY_HAS_OFF | type | (end - base) : type | (end - before);
	}
	Assert(end == writer->output.len);
}

/* Sort a complete object as jsonb requires, and write its header. */
static void
end_object(Writer *writer)
{
	Level *level = &writer->levels[writer->depth - 1];
	StringInfo output = &writer->output;
	Pair *pairs = pair_at(writer, level->pairs);
	int count = sort_pairs(pairs, COUNT(writer->pairs, Pair) - level->pairs, writer->names.data);
	int64 end = level->start + (int64) sizeof(uint32) + 2 * (int64) count * sizeof(JEntry);

	Assert(level->is_object && level->start == (int) INTALIGN(level->start));
	for (int i = 0; i < count; i++)
		end += pairs[i].name_length;
	if (count > 0)
		end = place_values(writer, pairs, count, end);
	reserve(writer, output, end - output->len);
	output->len = end;
	write_front(writer, pairs, count, level->start);
	writer->pairs.len = level->pairs * (int) sizeof(Pair);
	writer->names.len = level->names;
	end_level(writer);
}

/* Write an array or object, which is scanned as a document of its own. */
static void
write_container(Writer *writer, const JsonValue *container)
{
	JsonScanner scanner;
	JsonToken token;

	flex_json_begin(&scanner, container->text, container->length);
	while ((token = flex_json_next(&scanner)) != JSON_STOP)
	{
		if (token < JSON_ARRAY)
			write_scalar(writer, &scanner.token);
		else if (token == JSON_NAME)
			begin_member(writer, &scanner.token);
		else if (token != JSON_END)
			begin_level(writer, token == JSON_OBJECT);
		else if (writer->levels[writer->depth - 1].is_object)
			end_object(writer);
		else
			end_array(writer, 0);
	}
	if (scanner.complaint != NULL)
		raise_unwritable(writer, scanner.complaint);
	Assert(writer->depth == 0);
}

/*
 * Return a value, of a document that has been checked, as jsonb in the current context.  name
 * is that of the member, for errors; NULL for a whole body.  Raises 08P01 if jsonb cannot
 * represent the value, 22P05 for a character that the database's encoding does not have.
 */
Datum
flex_jsonb_write(const JsonValue *value, const char *name)
{
	Writer writer = {.name = name};

	initStringInfo(&writer.output);
	initStringInfo(&writer.entries);
	initStringInfo(&writer.pairs);
	initStringInfo(&writer.names);
	initStringInfo(&writer.scratch);
	appendStringInfoSpaces(&writer.output, VARHDRSZ);
	if (value->kind >= JSON_ARRAY)
		write_container(&writer, value);
	else
	{
		/* In jsonb, a scalar is an array of one element with the flag JB_FSCALAR. */
		begin_level(&writer, false);
		write_scalar(&writer, value);
		end_array(&writer, JB_FSCALAR);
	}
	pfree(writer.entries.data);
	pfree(writer.pairs.data);
	pfree(writer.names.data);
	pfree(writer.scratch.data);
	SET_VARSIZE(writer.output.data, writer.output.len);
	return PointerGetDatum(writer.output.data);
}
