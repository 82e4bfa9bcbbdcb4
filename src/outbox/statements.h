/*
 * statements.h
 *		SQL statements on the outbox's tables.
 */
#ifndef FLEX_STATEMENTS_H
#define FLEX_STATEMENTS_H

#include "executor/spi.h"

#define MAX_PARAMETERS 12
#define MAX_NAMED_PARAMETERS 32
#define MAX_RESULT_COLUMNS 32

/* A parameter that has the name of a column. */
typedef struct NamedParameter
{
	const char *name;
	Oid type;
} NamedParameter;

/* A column of the result, and the member of a struct that takes it. */
typedef struct ResultColumn
{
	const char *expression;
	Oid type;
	size_t offset;
	size_t size;
} ResultColumn;

#define RESULT_COLUMN(expression, type, Struct, member)                                                                \
	{                                                                                                                  \
		expression, type, offsetof(Struct, member), sizeof(((Struct *) NULL)->member)                                  \
	}

/*
 * A statement stands beside the function that runs it.  In its text $t is the
 * extension's schema; $names and $values list the named parameters, whose numbers
 * follow those of types[]; $result lists the columns of result[].
 */
typedef struct Statement
{
	const char *sql;
	Oid types[MAX_PARAMETERS + 1]; /* of $1, $2, ...; InvalidOid behind the last */
	const NamedParameter *named;
	int named_count;
	const ResultColumn *result;
	int result_count;

	/* What the session knows of it */
	SPIPlanPtr plan;   /* NULL: to be prepared */
	uint64 generation; /* flex_outbox_generation() that the plan is for */
	int depth;         /* how often it is being executed, once in a trigger of the other */
} Statement;

extern uint64 flex_statement_execute(Statement *statement, Datum *values, const char *nulls);
extern uint64 flex_statement_execute_latest(Statement *statement, Datum *values, const char *nulls);
extern void flex_statement_read(const Statement *statement, uint64 row, void *target);
extern Datum flex_statement_value(uint64 row, int number);
extern Datum flex_statement_array(Oid type, Datum *values, int count);

#endif /* FLEX_STATEMENTS_H */
