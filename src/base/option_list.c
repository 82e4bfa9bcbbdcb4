/*
 * option_list.c
 *		Values of options, as servers, user mappings and foreign tables have them.
 *
 * The validator has seen them all: what cannot be read here was put into a catalog past it.
 */
#include "postgres.h"

#include "commands/defrem.h"
#include "utils/guc.h"

#include "base/option_list.h"

/* The value of an option, or NULL. */
const char *
flex_option_find(const List *options, const char *name)
{
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, name) == 0)
			return defGetString(option);
	}
	return NULL;
}

/* The same of an integer, in a unit such as GUC_UNIT_MS; 0: it has none. */
int
flex_option_integer(const List *options, const char *name, int unit, int missing)
{
	const char *text = flex_option_find(options, name);
	int value = missing;

	if (text != NULL && !parse_int(text, &value, unit, NULL))
		elog(ERROR, "option \"%s\" is no integer", name);
	return value;
}

/* The same of a number. */
double
flex_option_number(const List *options, const char *name, double missing)
{
	const char *text = flex_option_find(options, name);
	double value = missing;

	if (text != NULL && !parse_real(text, &value, 0, NULL))
		elog(ERROR, "option \"%s\" is no number", name);
	return value;
}
