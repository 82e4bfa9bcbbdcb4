/*
 * plan.c
 *		How a scan of a foreign table is planned: paths, their costs, the plan.
 *
 * There are two ways to read: a list, page by page, and fetches by key.  Each is a path
 * with the query's own conditions, and more where a join gives values: for those the
 * paths are parameterized, and their requests are sent one after another.
 *
 * Nothing is asked of the service.  How many rows a table has is told by an option.  Costs
 * count requests above all; a row of a list costs as much as it does to be found, sent and
 * read: about a sixteenth of a request.
 */
#include "postgres.h"

#include <math.h>

#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"

#include "base/compat.h"
#include "foreign/conditions.h"
#include "foreign/plan.h"
#include "http/pages.h"

#define REQUEST_COST 100.0
#define ROW_COST 6.0
#define KEY_COST 10.0          /* of a further fetch that is under way beside others */
#define IMPOSSIBLE_COST 1.0e12 /* of a scan that lacks a value; more than what enable_nestloop = off adds */

/* The members of fdw_private, of a path and of a plan. */
enum
{
	PATH_OPERATION,
	PATH_UNSENT
};
enum
{
	PLAN_OPERATION,
	PLAN_PAGE_SIZE,
	PLAN_EXPECTED_ROWS,
	PLAN_COLUMNS,
	PLAN_KEYS,
	PLAN_NEEDED,
	PLAN_READS_FIRST
};

/* Note what is known of the table, and how many rows the query's own conditions leave. */
void
flex_plan_size(PlannerInfo *root, RelOptInfo *rel, Oid relation)
{
	RemoteTable *table = flex_remote_table_open(relation);
	List *conditions = flex_conditions_of_clauses(root, rel, table, rel->baserestrictinfo);
	Access access;

	rel->fdw_private = table;
	rel->tuples = table->rows;
	set_baserel_size_estimates(root, rel);
	/* A key's selectivity is known without statistics. */
	if (flex_access_find(table, RESOURCE_FETCH, conditions, NULL, &access) && access.missing == NULL)
	{
		double most = access.keys != NULL ? flex_estimate_array_length(root, (Node *) access.keys->value) : 1;

		rel->rows = clamp_row_est(Min(rel->rows, most));
	}
}

/*
 * The rows that LIMIT lets the query ask this table for; PG_INT64_MAX: it does not tell.
 * That is so for the only table of a query, or each that it appends, without a sort.
 */
static int64
expected_rows(PlannerInfo *root, RelOptInfo *rel)
{
	Relids relids = rel->top_parent_relids != NULL ? rel->top_parent_relids : rel->relids;
	double selectivity;
	double rows;

	if (root->limit_tuples <= 0 || root->parse->sortClause != NIL || !bms_equal(relids, root->all_baserels))
		return PG_INT64_MAX;
	selectivity = clauselist_selectivity(root, rel->baserestrictinfo, 0, JOIN_INNER, NULL);
	rows = root->limit_tuples / Max(selectivity, 1.0e-6);
	return rows < PG_INT32_MAX ? (int64) ceil(rows) : PG_INT64_MAX;
}

/* How many rows a page of a list is to have. */
static int
page_size_of(const RemoteTable *table, int64 rows)
{
	return table->page_size > 0 ? table->page_size : flex_pages_best_size(rows);
}

/* True for a way to read that the query gives no value for: it is planned for want of another, and then refused. */
static bool
lacks_value(const Access *access)
{
	return access->missing != NULL || access->unsent != InvalidAttrNumber;
}

/* What it costs to read a table so. */
static void
estimate_cost(PlannerInfo *root, RelOptInfo *rel, const Access *access, Cost *startup, Cost *total)
{
	const RemoteTable *table = rel->fdw_private;
	double rows;
	double requests;

	*startup = REQUEST_COST;
	if (lacks_value(access))
		*startup += IMPOSSIBLE_COST;
	if (access->operation == RESOURCE_LIST)
	{
		/* A filter that is sent leaves fewer rows to be sent back. */
		rows = access->conditions != NIL ? Max(rel->rows, table->rows / 10) : table->rows;
		requests = ceil(rows / page_size_of(table, PG_INT64_MAX));
		*total = *startup + (requests - 1) * REQUEST_COST;
	}
	else
	{
		rows = access->keys != NULL ? flex_estimate_array_length(root, (Node *) access->keys->value) : 1;
		rows = Max(rows, 1);
		requests = ceil(rows / table->concurrency);
		*total = *startup + (requests - 1) * REQUEST_COST + (rows - 1) * KEY_COST;
	}
	*startup += rel->baserestrictcost.startup;
	*total += rel->baserestrictcost.startup + rows * (ROW_COST + cpu_tuple_cost + rel->baserestrictcost.per_tuple);
}

/* Add a path that reads by this access, with so many rows. */
static void
add_access(PlannerInfo *root, RelOptInfo *rel, const Access *access, double rows, Relids outer)
{
	Cost startup;
	Cost total;
	ForeignPath *path;

	estimate_cost(root, rel, access, &startup, &total);
	path = flex_create_foreignscan_path(root, rel, rows, lacks_value(access) ? 1 : 0, startup, total, outer,
										list_make2(makeInteger(access->operation), makeInteger(access->unsent)));
	add_path(rel, (Path *) path);
}

/* Raise 0A000 for a table that no operation reads. */
pg_noreturn static void
refuse_to_read(const RemoteTable *table)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("foreign table \"%s\" cannot be read", get_rel_name(table->relation)),
					errdetail("The Flex API has no operation that lists or fetches %s.", table->resource->name),
					errhint("Use INSERT with RETURNING.")));
}

/* Add the paths of the query's own conditions. */
static void
add_plain_paths(PlannerInfo *root, RelOptInfo *rel, const RemoteTable *table, const Bitmapset *compared)
{
	List *conditions = flex_conditions_of_clauses(root, rel, table, rel->baserestrictinfo);
	Access list;
	Access fetch;
	bool has_list = flex_access_find(table, RESOURCE_LIST, conditions, compared, &list);
	bool has_fetch = flex_access_find(table, RESOURCE_FETCH, conditions, compared, &fetch);

	if (!has_list && !has_fetch)
		refuse_to_read(table);
	/* Where one of them does not take an argument that is asked for, it is the other that answers. */
	if (has_list && has_fetch && (list.unsent == InvalidAttrNumber) != (fetch.unsent == InvalidAttrNumber))
	{
		has_list = list.unsent == InvalidAttrNumber;
		has_fetch = fetch.unsent == InvalidAttrNumber;
	}
	if (has_list)
		add_access(root, rel, &list, rel->rows, rel->lateral_relids);
	if (has_fetch && (fetch.missing == NULL || !has_list))
		add_access(root, rel, &fetch, rel->rows, rel->lateral_relids);
}

/* For generate_implied_equalities_for_column(): is it the column that is looked for? */
static bool
is_wanted_column(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *class, EquivalenceMember *member, void *argument)
{
	AttrNumber *column = argument;
	Var *var = (Var *) member->em_expr;

	return IsA(var, Var) && var->varno == (int) rel->relid && var->varattno == *column;
}

/* The query's clauses by which joins compare columns that are sent, or that no answer has: a list of RestrictInfo. */
static List *
join_clauses(PlannerInfo *root, RelOptInfo *rel, const RemoteTable *table)
{
	List *clauses = list_copy(rel->joininfo);

	for (AttrNumber column = 1; rel->has_eclass_joins && column <= table->desc->natts; column++)
	{
		const RemoteColumn *remote = &table->columns[column - 1];

		if (remote->name == NULL || (!remote->is_argument && !flex_column_is_sent(table, column)))
			continue;
		clauses = list_concat(clauses, generate_implied_equalities_for_column(root, rel, is_wanted_column, &column,
																			  rel->lateral_referencers));
	}
	return clauses;
}

/* Add the paths whose values come from these other tables of the query. */
static void
add_parameterized_paths(PlannerInfo *root, RelOptInfo *rel, const RemoteTable *table, const Bitmapset *compared,
						Relids outer)
{
	ParamPathInfo *info = get_baserel_parampathinfo(root, rel, outer);
	List *clauses = list_concat_copy(rel->baserestrictinfo, info->ppi_clauses);
	List *conditions = flex_conditions_of_clauses(root, rel, table, clauses);
	Access access;

	if (flex_access_find(table, RESOURCE_FETCH, conditions, compared, &access) && !lacks_value(&access))
	{
		if (access.keys == NULL)
			info->ppi_rows = 1;
		add_access(root, rel, &access, info->ppi_rows, outer);
	}
	else if (flex_access_find(table, RESOURCE_LIST, conditions, compared, &access) && !lacks_value(&access))
		add_access(root, rel, &access, info->ppi_rows, outer);
}

/* The list with one more set of tables, if it has none like it. */
static List *
add_outer(List *considered, Relids outer)
{
	ListCell *cell;

	foreach (cell, considered)
	{
		if (bms_equal(lfirst(cell), outer))
			return considered;
	}
	return lappend(considered, outer);
}

/* Add all the ways to read a table that the planner may choose from. */
void
flex_plan_paths(PlannerInfo *root, RelOptInfo *rel, Oid relation)
{
	const RemoteTable *table = rel->fdw_private;
	List *joins = join_clauses(root, rel, table);
	Bitmapset *compared = flex_compared_arguments(rel, table, list_concat_copy(rel->baserestrictinfo, joins));
	List *considered = NIL;
	Relids all = NULL;
	ListCell *cell;

	add_plain_paths(root, rel, table, compared);
	foreach (cell, joins)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, cell);
		Relids outer = bms_del_member(bms_union(rinfo->clause_relids, rel->lateral_relids), rel->relid);

		if (bms_is_empty(outer) || !join_clause_is_movable_to(rinfo, rel) ||
			flex_condition_of_clause(root, rel, table, rinfo) == NULL)
			continue;
		considered = add_outer(considered, outer);
		all = bms_add_members(all, outer);
	}
	/* A key and what stands before it in the path may come from different tables. */
	if (list_length(considered) > 1)
		considered = add_outer(considered, all);
	foreach (cell, considered)
		add_parameterized_paths(root, rel, table, compared, lfirst(cell));
}

/* The numbers of a table's columns in a set of pull_varattnos(), as a list of int. */
static List *
list_columns(const RemoteTable *table, const Bitmapset *used)
{
	List *needed = NIL;

	for (AttrNumber column = 1; column <= table->desc->natts; column++)
	{
		if (bms_is_member(column - FirstLowInvalidHeapAttributeNumber, used) ||
			bms_is_member(InvalidAttrNumber - FirstLowInvalidHeapAttributeNumber, used))
			needed = lappend_int(needed, column);
	}
	return needed;
}

/* The numbers of the columns that the query needs, as a list of int. */
static List *
needed_columns(const RelOptInfo *rel, const RemoteTable *table, List *clauses)
{
	Bitmapset *used = NULL;
	ListCell *cell;

	pull_varattnos((Node *) rel->reltarget->exprs, rel->relid, &used);
	foreach (cell, clauses)
		pull_varattnos((Node *) lfirst_node(RestrictInfo, cell)->clause, rel->relid, &used);
	return list_columns(table, used);
}

/* Raise HV00L for a plan without a value for an argument that must be there. */
pg_noreturn static void
refuse_missing(const RemoteTable *table, const char *argument)
{
	AttrNumber number = flex_remote_table_column(table, argument);
	const char *column = number != InvalidAttrNumber ? NameStr(TupleDescAttr(table->desc, number - 1)->attname) : NULL;
	const char *relation = get_rel_name(table->relation);

	if (column == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_COLUMN_NAME_NOT_FOUND),
						errmsg("foreign table \"%s\" has no column \"%s\"", relation, argument),
						errdetail("The Flex API cannot be asked for %s without it.", table->resource->name),
						errhint("Use ALTER FOREIGN TABLE ... ADD COLUMN, or import the table.")));
	ereport(ERROR,
			(errcode(ERRCODE_FDW_UNABLE_TO_CREATE_EXECUTION),
			 errmsg("foreign table \"%s\" can be read only for a given \"%s\"", relation, column),
			 errdetail("The Flex API cannot be asked for %s without it.", table->resource->name),
			 errhint("Add a condition such as %s = '...', or join the table by that column with one that has its "
					 "values.",
					 quote_identifier(column))));
}

/* Raise HV00L for a plan that compares a column that no answer has, and does not send it: it would find no row. */
pg_noreturn static void
refuse_unsent(const RemoteTable *table, AttrNumber column)
{
	const char *name = NameStr(TupleDescAttr(table->desc, column - 1)->attname);
	bool can_be_sent = flex_column_is_sent(table, column);
	bool is_array = table->columns[column - 1].type == TEXTARRAYOID;

	ereport(ERROR,
			(errcode(ERRCODE_FDW_UNABLE_TO_CREATE_EXECUTION),
			 errmsg("column \"%s\" of foreign table \"%s\" cannot be compared in this query", name,
					get_rel_name(table->relation)),
			 can_be_sent
				 ? errdetail("No answer of the Flex API has it: it is what a request asks for, and the query gives no "
							 "value for that.")
				 : errdetail("No answer of the Flex API has it, and no request that reads %s sends it.",
							 table->resource->name),
			 can_be_sent && is_array ? errhint("Compare it by = with the array of all values that are looked for.")
			 : can_be_sent
				 ? errhint("Compare it by = with one value, or in an inner join with a table that has the values.")
				 : errhint("It can be written, and not be looked for.")));
}

/*
 * True when the statement writes a foreign table, or one that may have such partitions:
 * what it creates and deletes must not move the pages that it still reads.
 */
static bool
writes_foreign(PlannerInfo *root)
{
	for (; root != NULL; root = root->parent_root)
	{
		RangeTblEntry *entry;

		if (root->parse->commandType == CMD_SELECT)
			continue;
		entry = rt_fetch(root->parse->resultRelation, root->parse->rtable);
		if (entry->relkind == RELKIND_FOREIGN_TABLE || entry->relkind == RELKIND_PARTITIONED_TABLE || entry->inh)
			return true;
	}
	return false;
}

/* Make the plan of a path that was chosen. */
ForeignScan *
flex_plan_scan(PlannerInfo *root, RelOptInfo *rel, Oid relation, ForeignPath *path, List *tlist, List *clauses,
			   Plan *outer_plan)
{
	const RemoteTable *table = rel->fdw_private;
	ResourceOperation operation = intVal(list_nth(path->fdw_private, PATH_OPERATION));
	AttrNumber unsent = intVal(list_nth(path->fdw_private, PATH_UNSENT));
	bool is_parameterized = path->path.param_info != NULL;
	int64 expected = is_parameterized ? PG_INT64_MAX : expected_rows(root, rel);
	List *values = NIL;
	List *columns = NIL;
	int keys = -1;
	Access access;
	List *private;
	ListCell *cell;

	(void) flex_access_find(table, operation, flex_conditions_of_clauses(root, rel, table, clauses), NULL, &access);
	if (access.missing != NULL)
		refuse_missing(table, access.missing);
	if (unsent != InvalidAttrNumber)
		refuse_unsent(table, unsent);
	foreach (cell, access.conditions)
	{
		RemoteCondition *condition = lfirst(cell);

		if (condition == access.keys)
			keys = list_length(columns);
		values = lappend(values, condition->value);
		columns = lappend_int(columns, condition->column);
	}
	private = list_make4(makeInteger(operation), makeInteger(page_size_of(table, expected)),
						 makeFloat(psprintf(INT64_FORMAT, expected)), columns);
	private = lappend(lappend(private, makeInteger(keys)), needed_columns(rel, table, clauses));
	private = lappend(private, makeInteger(writes_foreign(root)));
	return make_foreignscan(tlist, extract_actual_clauses(clauses, false), rel->relid, values, private, NIL, NIL,
							outer_plan);
}

/* Refuse to lock rows, which the service cannot; a row that is looked at again is copied. */
RowMarkType
flex_plan_row_mark(RangeTblEntry *entry, LockClauseStrength strength)
{
	if (strength != LCS_NONE)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("rows of foreign table \"%s\" cannot be locked", get_rel_name(entry->relid)),
						errdetail("The Flex API has no locks.")));
	return ROW_MARK_COPY;
}

/* What a plan says. */
ScanPlan
flex_scan_plan(const ForeignScan *scan)
{
	const List *private = scan->fdw_private;

	return (ScanPlan){
		.operation = intVal(list_nth(private, PLAN_OPERATION)),
		.page_size = intVal(list_nth(private, PLAN_PAGE_SIZE)),
		.expected_rows = strtoi64(castNode(Float, list_nth(private, PLAN_EXPECTED_ROWS))->fval, NULL, 10),
		.columns = list_nth(private, PLAN_COLUMNS),
		.keys = intVal(list_nth(private, PLAN_KEYS)),
		.needed = list_nth(private, PLAN_NEEDED),
		.reads_first = intVal(list_nth(private, PLAN_READS_FIRST)) != 0,
	};
}

/* Have a scan delete what it finds: it reads other columns, a set of pull_varattnos(). */
void
flex_scan_plan_need(ForeignScan *scan, const RemoteTable *table, const Bitmapset *columns)
{
	lfirst(list_nth_cell(scan->fdw_private, PLAN_NEEDED)) = list_columns(table, columns);
	/* It is what keeps the rows itself. */
	lfirst(list_nth_cell(scan->fdw_private, PLAN_READS_FIRST)) = makeInteger(false);
}
