/*
 * arguments.h
 *		Arguments of operations: checks them, and returns their texts on the wire.
 */
#ifndef FLEX_ARGUMENTS_H
#define FLEX_ARGUMENTS_H

#include "utils/jsonb.h"

#include "base/compat.h"
#include "request/catalogue.h"

/* An argument of an operation's function, with everything from its SQL definition and the catalogue. */
typedef struct Parameter
{
	const Operation *operation;
	const char *name; /* in SQL */
	const char *wire; /* name on the wire */
	Place place;      /* never PLACE_BY_METHOD */
	Oid type;         /* in SQL */
	bool required;    /* must not be NULL */
	const ArgumentRule *rule;
} Parameter;

extern void
flex_parameter_describe(Parameter *parameter, const Operation *operation, const char *name, Oid type, bool required);
extern int flex_argument_texts(const Parameter *parameter, const NullableDatum *value, char ***texts);
extern char *flex_argument_json(Jsonb *json);
extern bool flex_argument_can_name(const Parameter *parameter, const char *text);
extern bool flex_sid_is_good(const char *text, const char *letters);
extern bool flex_header_value_is_good(const char *text);
pg_noreturn extern void flex_argument_refuse_null(const char *function, const char *name);
pg_noreturn extern void flex_argument_refuse_null_element(const Parameter *parameter, int number);
pg_noreturn extern void
flex_argument_refuse(const char *function, const char *name, const char *value, bool secret, const char *expected);
pg_noreturn extern void flex_argument_refuse_with_hint(const char *function, const char *name, const char *value,
													   bool secret, const char *expected, const char *hint);
pg_noreturn extern void flex_argument_refuse_operation(const char *function, const char *name);

#endif /* FLEX_ARGUMENTS_H */
