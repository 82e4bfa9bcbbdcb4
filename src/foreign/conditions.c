/*
 * conditions.c
 *		Finds the conditions of a query that can be sent, and the operations that read a table.
 *
 * A condition can be sent if it is an equality between a column and a value, and the
 * operation has an argument of the column's name.  The executor checks all conditions
 * again, whether they were sent or not: the service may find a row by another of its names,
 * and may compare in another way than PostgreSQL does.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/restrictinfo.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "foreign/conditions.h"

/* Return the argument of an operation as which a column can be sent, or NULL. */
static const Parameter *
parameter_of_column(const RemoteTable *table, ResourceOperation which, AttrNumber number)
{
	const Signature *operation = table->operations[which];
	const RemoteColumn *column = &table->columns[number - 1];

	for (int i = 0; operation != NULL && i < operation->count; i++)
	{
		const Parameter *parameter = &operation->parameters[i];
		bool is_element = parameter->type == TEXTARRAYOID && column->type == TEXTOID;

		if (strcmp(parameter->name, column->name) != 0 || !flex_parameter_is_of_table(parameter))
			continue;
		if (parameter->type != column->type && !is_element)
			return NULL;
		/*
		 * An argument of a list is a filter.  An optional argument of a fetch is not: it says
		 * what the row is to be like, so it is sent only for a column that no answer contains.
		 */
		return parameter->place == PLACE_PATH || which == RESOURCE_LIST || column->is_argument ? parameter : NULL;
	}
	return NULL;
}

/* Return true if a list or a fetch of the table can send a column. */
bool
flex_column_is_sent(const RemoteTable *table, AttrNumber column)
{
	return parameter_of_column(table, RESOURCE_LIST, column) != NULL ||
		   parameter_of_column(table, RESOURCE_FETCH, column) != NULL;
}

/*
 * Return true if an operator is the equality of a type, under a collation in which equal
 * texts have equal bytes.
 */
static bool
is_plain_equality(Oid comparison, Oid type, Oid collation)
{
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_EQ_OPR);

	return entry->eq_opr == comparison && (!OidIsValid(collation) || get_collation_isdeterministic(collation));
}

/* If an expression is just a column of the table, return its number, else InvalidAttrNumber. */
static AttrNumber
own_column(const RelOptInfo *rel, const Node *node)
{
	const Var *var = (const Var *) node;

	if (node == NULL || !IsA(node, Var) || var->varno != (int) rel->relid || var->varlevelsup != 0 ||
		var->varattno <= 0)
		return InvalidAttrNumber;
	return var->varattno;
}

/* The same, for columns that can be sent only. */
static AttrNumber
sent_column(const RelOptInfo *rel, const RemoteTable *table, const Node *node)
{
	AttrNumber column = own_column(rel, node);

	return column != InvalidAttrNumber && flex_column_is_sent(table, column) ? column : InvalidAttrNumber;
}

/* Return true if an expression has one value for the whole scan. */
static bool
is_fixed(PlannerInfo *root, const RelOptInfo *rel, Node *node)
{
	return !bms_is_member(rel->relid, pull_varnos(root, node)) && !contain_volatile_functions(node) &&
		   !contain_subplans(node);
}

static RemoteCondition *
make_condition(AttrNumber column, bool is_any, Expr *value)
{
	RemoteCondition *condition = palloc(sizeof(RemoteCondition));

	*condition = (RemoteCondition){.column = column, .is_any = is_any, .value = value};
	return condition;
}

/* column = value, or value = column */
static RemoteCondition *
condition_of_operator(PlannerInfo *root, const RelOptInfo *rel, const RemoteTable *table, const OpExpr *clause)
{
	for (int i = 0; i < 2 && list_length(clause->args) == 2; i++)
	{
		AttrNumber column = sent_column(rel, table, list_nth(clause->args, i));
		Expr *value = list_nth(clause->args, 1 - i);

		if (column != InvalidAttrNumber && is_fixed(root, rel, (Node *) value) &&
			is_plain_equality(clause->opno, table->columns[column - 1].type, clause->inputcollid))
			return make_condition(column, false, value);
	}
	return NULL;
}

/* column = ANY (array) */
static RemoteCondition *
condition_of_any(PlannerInfo *root, const RelOptInfo *rel, const RemoteTable *table, const ScalarArrayOpExpr *clause)
{
	AttrNumber column = sent_column(rel, table, linitial(clause->args));

	if (column == InvalidAttrNumber || !clause->useOr || !is_fixed(root, rel, lsecond(clause->args)) ||
		table->columns[column - 1].type != TEXTOID || !is_plain_equality(clause->opno, TEXTOID, clause->inputcollid))
		return NULL;
	return make_condition(column, true, lsecond(clause->args));
}

/* A boolean column, or NOT of one: the planner simplifies column = true and column = false to these. */
static RemoteCondition *
condition_of_boolean(const RelOptInfo *rel, const RemoteTable *table, Node *clause)
{
	bool is_negated = is_notclause(clause);
	AttrNumber column = sent_column(rel, table, is_negated ? (Node *) get_notclausearg((Expr *) clause) : clause);

	if (column == InvalidAttrNumber || table->columns[column - 1].type != BOOLOID)
		return NULL;
	return make_condition(column, false, (Expr *) makeBoolConst(!is_negated, false));
}

/* Return a clause of the query as a RemoteCondition, or NULL if it cannot be sent. */
RemoteCondition *
flex_condition_of_clause(PlannerInfo *root, RelOptInfo *rel, const RemoteTable *table, RestrictInfo *rinfo)
{
	Node *clause = (Node *) rinfo->clause;

	/* Sending a clause evaluates it early, which must not precede the quals of a security barrier. */
	if (rinfo->pseudoconstant || !restriction_is_securely_promotable(rinfo, rel))
		return NULL;
	if (IsA(clause, OpExpr))
		return condition_of_operator(root, rel, table, (OpExpr *) clause);
	if (IsA(clause, ScalarArrayOpExpr))
		return condition_of_any(root, rel, table, (ScalarArrayOpExpr *) clause);
	return condition_of_boolean(rel, table, clause);
}

/* Return the conditions among some clauses that can be sent, as a list of RemoteCondition *. */
List *
flex_conditions_of_clauses(PlannerInfo *root, RelOptInfo *rel, const RemoteTable *table, List *rinfos)
{
	List *conditions = NIL;
	ListCell *cell;

	foreach (cell, rinfos)
	{
		RemoteCondition *condition = flex_condition_of_clause(root, rel, table, lfirst_node(RestrictInfo, cell));

		if (condition != NULL)
			conditions = lappend(conditions, condition);
	}
	return conditions;
}

/* What collect_compared() looks for, and what it has found. */
typedef struct Comparison
{
	const RelOptInfo *rel;
	const RemoteTable *table;
	Bitmapset *columns; /* attribute numbers */
} Comparison;

/* Expression walker: note the columns that are arguments, except below IS NULL and IS NOT NULL. */
static bool
collect_compared(Node *node, Comparison *comparison)
{
	AttrNumber column = own_column(comparison->rel, node);

	if (node == NULL ||
		(IsA(node, NullTest) && own_column(comparison->rel, (Node *) ((NullTest *) node)->arg) != InvalidAttrNumber))
		return false;
	if (column != InvalidAttrNumber && comparison->table->columns[column - 1].is_argument)
		comparison->columns = bms_add_member(comparison->columns, column);
	return expression_tree_walker(node, collect_compared, comparison);
}

/*
 * Return the columns that are arguments (no answer contains them) and that clauses compare
 * with anything, as a set of attribute numbers.  Unless such a column is sent, it reads as
 * NULL: the clause, or a branch of its OR, would never be true or, as with IS DISTINCT FROM,
 * be true for every row.
 */
Bitmapset *
flex_compared_arguments(const RelOptInfo *rel, const RemoteTable *table, List *rinfos)
{
	Comparison comparison = {.rel = rel, .table = table};
	ListCell *cell;

	foreach (cell, rinfos)
		(void) collect_compared((Node *) lfirst_node(RestrictInfo, cell)->clause, &comparison);
	return comparison.columns;
}

/* Return the condition on a column: an equality or, if there is none and it is allowed, one with ANY; or NULL. */
static RemoteCondition *
find_condition(const List *conditions, AttrNumber column, bool may_be_any)
{
	RemoteCondition *any = NULL;
	ListCell *cell;

	foreach (cell, conditions)
	{
		RemoteCondition *condition = lfirst(cell);

		if (condition->column != column)
			continue;
		if (!condition->is_any)
			return condition;
		any = condition;
	}
	return may_be_any ? any : NULL;
}

/*
 * Describe in *access how an operation reads a table under these conditions.  compared is
 * the set of flex_compared_arguments(), or NULL.  Return false if the table has no such
 * operation.
 */
bool
flex_access_find(const RemoteTable *table, ResourceOperation operation, List *conditions, const Bitmapset *compared,
				 Access *access)
{
	const Signature *signature = table->operations[operation];
	Bitmapset *unsent = bms_copy(compared);

	*access = (Access){.operation = operation};
	if (signature == NULL)
		return false;
	for (int i = 0; i < signature->count; i++)
	{
		const Parameter *parameter = &signature->parameters[i];
		AttrNumber column = flex_remote_table_column(table, parameter->name);
		bool is_sent = column != InvalidAttrNumber && parameter_of_column(table, operation, column) == parameter;
		bool is_key = operation == RESOURCE_FETCH && table->resource->key != NULL &&
					  strcmp(parameter->name, table->resource->key) == 0;
		RemoteCondition *condition = is_sent ? find_condition(conditions, column, is_key) : NULL;

		if (condition == NULL && parameter->required)
			access->missing = parameter->name;
		if (condition == NULL)
			continue;
		access->conditions = lappend(access->conditions, condition);
		unsent = bms_del_member(unsent, column);
		if (condition->is_any)
			access->keys = condition;
	}
	access->unsent = Max(bms_next_member(unsent, -1), InvalidAttrNumber);
	return true;
}
