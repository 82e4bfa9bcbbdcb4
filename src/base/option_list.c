/*
 * option_list.c
 *		Reads options of foreign servers, user mappings, foreign tables and columns.
 *
 * The validator has checked all of them (foreign/options.c).  An invalid value here means that
 * somebody has modified a system catalog.
 */
#include "postgres.h"

#include "commands/defrem.h"
#include "utils/guc.h"

#include "base/option_list.h"

/* Return the value of an option, or NULL. */
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

/* Return the value of an integer option, or "missing".  unit is such as GUC_UNIT_MS; 0: the value has no unit. */
int
flex_option_integer(const List *options, const char *name, int unit, int missing)
{
	const char *text = flex_option_find(options, name);
	int value = missing;

	if (text != NULL && !parse_int(text, &value, unit, NULL))
		elog(ERROR, "option \"%s\" is no integer", name);
	return value;
}

/* Return the value of a numeric option, or "missing". */
double
flex_option_number(const List *options, const char *name, double missing)
{
	const char *text = flex_option_find(options, name);
	double value = missing;

	if (text != NULL && !parse_real(text, &value, 0, NULL))
		elog(ERROR, "option \"%s\" is no number", name);
	return value;
}
