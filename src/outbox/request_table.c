/*
 * request_table.c
 *		The columns of the table of requests, and whether its rows can be written without an SQL statement.
 *
 * They can if the table is as the extension has created it.  What a user has added, a trigger,
 * rule, policy, constraint, index or column, takes effect only in a statement.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "outbox/request_table.h"

#define INDEXES 3 /* that the extension creates on the table */

#define NAME_AND_TYPE(name, type) {#name, type},

static const struct
{
	const char *name;
	Oid type;
} columns[] = {REQUEST_COLUMNS(NAME_AND_TYPE, NAME_AND_TYPE, NAME_AND_TYPE, NAME_AND_TYPE)};

StaticAssertDecl(lengthof(columns) == Natts_flex_outbox, "each column has its number");

/* Return true if the table has the columns of this version, and no others. */
static bool
has_known_columns(TupleDesc desc)
{
	if (desc->natts != Natts_flex_outbox)
		return false;
	for (int i = 0; i < Natts_flex_outbox; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (attribute->atttypid != columns[i].type || strcmp(NameStr(attribute->attname), columns[i].name) != 0)
			return false;
	}
	return true;
}

/* Return true if a written row would run no function of a user in a check or an index. */
static bool
runs_nothing(Relation table)
{
	const TupleConstr *constraints = RelationGetDescr(table)->constr;
	List *indexes = RelationGetIndexList(table);
	bool has_others = list_length(indexes) != INDEXES;

	list_free(indexes);
	return !has_others && (constraints == NULL || constraints->num_check == 0);
}

/* Return true if the table is as the extension has created it, apart from triggers, which depend on what is written. */
bool
flex_request_table_is_plain(Relation table)
{
	return table->rd_rel->relkind == RELKIND_RELATION && !table->rd_rel->relhasrules &&
		   has_known_columns(RelationGetDescr(table)) && runs_nothing(table);
}

/* Return true if a trigger fires in a session whose session_replication_role is "origin", as in flex_outbox_enter(). */
bool
flex_request_table_fires(const Trigger *trigger)
{
	return trigger->tgenabled != TRIGGER_FIRES_ON_REPLICA && trigger->tgenabled != TRIGGER_DISABLED;
}

/* Return true if a value of the column "state" is that of a request that has not ended. */
bool
flex_request_table_says_pending(Datum state)
{
	static const char pending[] = "pending";
	const text *value = DatumGetTextPP(state);

	return VARSIZE_ANY_EXHDR(value) == strlen(pending) && memcmp(VARDATA_ANY(value), pending, strlen(pending)) == 0;
}
