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

/* A parameter of a statement with the name of the column that it is for. */
typedef struct NamedParameter
{
	const char *name;
	Oid type;
} NamedParameter;

/* A column of the result, and the member of a struct that flex_statement_read() stores it in. */
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
 * A statement, defined as a static variable next to the function that executes it.  In the text, $t
 * stands for the extension's schema, $names and $values for lists of the named parameters, whose
 * numbers follow those of types[], and $result for the list of the expressions of result[].
 */
typedef struct Statement
{
	const char *sql;
	Oid types[MAX_PARAMETERS + 1]; /* of $1, $2, ...; terminated by InvalidOid */
	const NamedParameter *named;
	int named_count;
	const ResultColumn *result;
	int result_count;

	/* The state of the statement in this session */
	SPIPlanPtr plan;   /* NULL: not prepared */
	uint64 generation; /* flex_outbox_generation() for which the plan is valid */
	int depth;         /* number of executions in progress: a trigger may execute it again */
} Statement;

extern uint64 flex_statement_execute(Statement *statement, Datum *values, const char *nulls);
extern uint64 flex_statement_execute_latest(Statement *statement, Datum *values, const char *nulls);
extern void flex_statement_read(const Statement *statement, uint64 row, void *target);
extern void flex_statement_assign(char *member, size_t size, Oid type, Datum datum);
extern Datum flex_statement_value(uint64 row, int number);
extern Datum flex_statement_array(Oid type, Datum *values, int count);

#endif /* FLEX_STATEMENTS_H */
