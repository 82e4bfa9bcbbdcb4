/*
 * statements.c
 *		SQL statements on the outbox's tables: prepared, executed, and read.
 *
 * A statement is prepared at its first use in a session, with a search_path that finds only
 * the operators of pg_catalog.  It always has a generic plan: otherwise the server would plan
 * some statements at each use, which takes longer than to execute them.
 *
 * The plan may be made when the tables are almost empty.  Then a join may get one that reads a
 * whole table, and compares each row with each element of a list; an EXISTS may get one that
 * puts a whole table into a hash table.  Therefore a row that belongs to an element or to
 * another row is found by a LATERAL subquery, or an EXISTS, with OFFSET 0 or FOR UPDATE.  The
 * planner turns neither into a join or a hash table, so that each row is looked up in an index.
 *
 * The caller must have connected to SPI, and called flex_outbox_enter().
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "outbox/access.h"
#include "outbox/statements.h"

/* Return the number of parameters that a statement has before the named ones. */
static int
count_types(const Statement *statement)
{
	int count = 0;

	while (count <= MAX_PARAMETERS && OidIsValid(statement->types[count]))
		count++;
	/* types[] must end with an InvalidOid. */
	Assert(count <= MAX_PARAMETERS && statement->named_count <= MAX_NAMED_PARAMETERS);
	return count;
}

static void append_text(StringInfo text, const Statement *statement, const char *sql);

/* Append the expansion of a word that follows a $ in a statement's text. */
static void
append_word(StringInfo text, const Statement *statement, const char *word, size_t length)
{
	int number = count_types(statement);

	if (length == 1 && word[0] == 't')
		appendStringInfoString(text, quote_identifier(get_namespace_name(flex_outbox_schema(false))));
	else if (length == 5 && memcmp(word, "names", length) == 0)
	{
		for (int i = 0; i < statement->named_count; i++)
			appendStringInfo(text, "%s%s", i > 0 ? ", " : "", statement->named[i].name);
	}
	else if (length == 6 && memcmp(word, "values", length) == 0)
	{
		for (int i = 0; i < statement->named_count; i++)
			appendStringInfo(text, "%s$%d", i > 0 ? ", " : "", ++number);
	}
	else if (length == 6 && memcmp(word, "result", length) == 0)
	{
		for (int i = 0; i < statement->result_count; i++)
		{
			appendStringInfoString(text, i > 0 ? ", " : "");
			append_text(text, statement, statement->result[i].expression);
		}
	}
	else
		elog(ERROR, "unknown word in a statement of the outbox: %s", word);
}

/* Append SQL text, with its words expanded.  A $ that no lower-case letter follows, as in $1, is copied. */
static void
append_text(StringInfo text, const Statement *statement, const char *sql)
{
	for (const char *at = sql; *at != '\0';)
	{
		size_t length = at[0] == '$' ? strspn(at + 1, "abcdefghijklmnopqrstuvwxyz") : 0;

		if (length > 0)
			append_word(text, statement, at + 1, length);
		else
			appendStringInfoChar(text, *at);
		at += length + 1;
	}
}

/* Return a statement's text with its words expanded. */
static char *
statement_text(const Statement *statement)
{
	StringInfoData text;

	initStringInfo(&text);
	append_text(&text, statement, statement->sql);
	return text.data;
}

/* Store the types of all parameters of a statement, and return their number. */
static int
parameter_types(const Statement *statement, Oid *types)
{
	int count = count_types(statement);

	memcpy(types, statement->types, sizeof(Oid) * count);
	for (int i = 0; i < statement->named_count; i++)
		types[count + i] = statement->named[i].type;
	return count + statement->named_count;
}

/*
 * Prepare a statement, and return a plan that lasts until it is freed.  If this fails because the
 * tables are of another version than the library, raise an error that says so instead of one about a
 * missing column.
 */
static SPIPlanPtr
prepare(const Statement *statement)
{
	MemoryContext caller = CurrentMemoryContext;
	bool fits = flex_outbox_tables_fit(0);
	Oid types[MAX_PARAMETERS + MAX_NAMED_PARAMETERS];
	int count = parameter_types(statement, types);
	SPIPlanPtr plan = NULL;

	PG_TRY();
	{
		plan = SPI_prepare_cursor(statement_text(statement), count, types, CURSOR_OPT_GENERIC_PLAN);
	}
	PG_CATCH();
	{
		if (fits || geterrcode() == ERRCODE_QUERY_CANCELED)
			PG_RE_THROW();
		MemoryContextSwitchTo(caller);
		FlushErrorState();
		(void) flex_outbox_tables_fit(ERROR);
	}
	PG_END_TRY();
	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare a statement of the outbox: %s", SPI_result_code_string(SPI_result));
	return plan;
}

/*
 * Return the plan of a statement, which is prepared at its first use, and again if the outbox may have
 * moved to another schema.  If the old plan is being executed, because we are called from a user's
 * trigger that it has fired, it must not be freed; it is leaked.
 */
static SPIPlanPtr
plan_of(Statement *statement)
{
	if (statement->generation != flex_outbox_generation())
	{
		SPIPlanPtr old = statement->plan;

		statement->plan = NULL;
		if (old != NULL && statement->depth == 0)
			SPI_freeplan(old);
	}
	statement->generation = flex_outbox_generation();
	if (statement->plan == NULL)
		statement->plan = prepare(statement);
	return statement->plan;
}

/*
 * Execute a plan, and count this in "depth" meanwhile.  A snapshot may be given only for a statement
 * that does not write.  Return the result of SPI.
 */
static pg_noinline int
execute_plan(Statement *statement, SPIPlanPtr plan, Datum *values, const char *nulls, Snapshot snapshot)
{
	int result;

	statement->depth++;
	PG_TRY();
	{
		if (snapshot != InvalidSnapshot)
			result = SPI_execute_snapshot(plan, values, nulls, snapshot, InvalidSnapshot, true, true, 0);
		else
			result = SPI_execute_plan(plan, values, nulls, false, 0);
	}
	PG_CATCH();
	{
		statement->depth--;
		PG_RE_THROW();
	}
	PG_END_TRY();
	statement->depth--;
	return result;
}

/* Execute a statement, with the given snapshot, or the transaction's if that is InvalidSnapshot. */
static uint64
execute_statement(Statement *statement, Datum *values, const char *nulls, Snapshot snapshot)
{
	MemoryContext caller = CurrentMemoryContext;
	int result;

	/* Set by flex_outbox_enter(). */
	Assert(InLocalUserIdChange());
	result = execute_plan(statement, plan_of(statement), values, nulls, snapshot);
	/* SPI leaves its procedure context current, which SPI_finish() deletes. */
	MemoryContextSwitchTo(caller);
	if (result < 0)
		elog(ERROR, "a statement of the outbox failed: %s", SPI_result_code_string(result));
	return SPI_processed;
}

/*
 * Execute a statement.  nulls is as for SPI_execute_plan(): 'n' for each parameter that is NULL, or
 * NULL if none is.  Return the number of rows that were returned or, without a result, changed.
 */
uint64
flex_statement_execute(Statement *statement, Datum *values, const char *nulls)
{
	return execute_statement(statement, values, nulls, InvalidSnapshot);
}

/*
 * Likewise, for a statement that does not write, with the latest snapshot: it sees everything that has
 * been committed, even in a transaction of REPEATABLE READ.
 */
uint64
flex_statement_execute_latest(Statement *statement, Datum *values, const char *nulls)
{
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	uint64 count = execute_statement(statement, values, nulls, snapshot);

	UnregisterSnapshot(snapshot);
	return count;
}

/* Store a value in a member of a struct.  Texts and jsonb are copied into the current memory context. */
void
flex_statement_assign(char *member, size_t size, Oid type, Datum datum)
{
	switch (type)
	{
		case BOOLOID:
			Assert(size == sizeof(bool));
			*(bool *) member = DatumGetBool(datum);
			break;
		case INT4OID:
			Assert(size == sizeof(int32));
			*(int32 *) member = DatumGetInt32(datum);
			break;
		case OIDOID:
			Assert(size == sizeof(Oid));
			*(Oid *) member = DatumGetObjectId(datum);
			break;
		case INT8OID:
		case XID8OID:
			Assert(size == sizeof(int64));
			*(int64 *) member = DatumGetInt64(datum);
			break;
		case TIMESTAMPTZOID:
			Assert(size == sizeof(TimestampTz));
			*(TimestampTz *) member = DatumGetTimestampTz(datum);
			break;
		case TEXTOID:
			Assert(size == sizeof(char *));
			*(char **) member = TextDatumGetCString(datum);
			break;
		case JSONBOID:
			Assert(size == sizeof(Jsonb *));
			*(Jsonb **) member = DatumGetJsonbPCopy(datum);
			break;
		default:
			elog(ERROR, "a result of the outbox has a type that is not known: %u", type);
	}
}

/*
 * Store the columns of a row of the last result in the struct for which statement->result was
 * declared.  Rows are numbered from 0.  A column that is NULL leaves its member unchanged.
 */
void
flex_statement_read(const Statement *statement, uint64 row, void *target)
{
	TupleDesc desc = SPI_tuptable->tupdesc;
	Datum values[MAX_RESULT_COLUMNS];
	bool nulls[MAX_RESULT_COLUMNS];

	Assert(row < SPI_tuptable->numvals && desc->natts >= statement->result_count);
	/* Not only an assertion, because the columns are written to arrays on the stack. */
	if (desc->natts > MAX_RESULT_COLUMNS)
		elog(ERROR, "a statement of the outbox returns %d columns", desc->natts);
	heap_deform_tuple(SPI_tuptable->vals[row], desc, values, nulls);
	for (int i = 0; i < statement->result_count; i++)
	{
		const ResultColumn *column = &statement->result[i];

		Assert(TupleDescAttr(desc, i)->atttypid == column->type);
		if (!nulls[i])
			flex_statement_assign((char *) target + column->offset, column->size, column->type, values[i]);
	}
}

/*
 * Return a column, numbered from 1, of a row of the last result.  It must not be NULL.  A value by
 * reference is not copied, and is valid until SPI_finish().
 */
Datum
flex_statement_value(uint64 row, int number)
{
	bool is_null;
	Datum datum = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number, &is_null);

	Assert(!is_null);
	return datum;
}

/* Make an array of values, none of which is NULL, in the current memory context.  "type" is that of the elements. */
Datum
flex_statement_array(Oid type, Datum *values, int count)
{
	int16 length;
	bool by_value;
	char alignment;

	get_typlenbyvalalign(type, &length, &by_value, &alignment);
	return PointerGetDatum(construct_array(values, count, type, length, by_value, alignment));
}
