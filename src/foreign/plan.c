/*
 * plan.c
 *		Planning of scans of foreign tables: paths, their costs, and the plan.
 *
 * A table can be read in two ways: as a list, page by page, or by fetches of single rows by
 * their key.  Each is a path with the query's restrictions, and there are parameterized paths
 * if a join provides values.
 *
 * Planning sends no request: the number of a table's rows is an option.  The costs are
 * dominated by the number of requests that have to follow each other.  A row of a list
 * costs about a sixteenth of a request, as it has to be found, sent and parsed.
 */
#include "postgres.h"

#include <math.h>

#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
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
#define KEY_COST 10.0          /* of each further fetch, which is concurrent with others */
#define IMPOSSIBLE_COST 1.0e12 /* of a path that lacks a value; more than disable_cost, as for enable_nestloop = off */

/* The members of the list fdw_private, of a path and of a plan. */
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
	PLAN_READS_FIRST,
	PLAN_COUNTS_DELETED
};

/* GetForeignRelSize: open the table, and estimate the rows that satisfy the query's restrictions. */
void
flex_plan_size(PlannerInfo *root, RelOptInfo *rel, Oid relation)
{
	RemoteTable *table = flex_remote_table_open(relation);
	List *conditions = flex_conditions_of_clauses(root, rel, table, rel->baserestrictinfo);
	Access access;

	rel->fdw_private = table;
	rel->tuples = table->rows;
	set_baserel_size_estimates(root, rel);
	/* The selectivity of a key is known without statistics. */
	if (flex_access_find(table, RESOURCE_FETCH, conditions, NULL, &access) && access.missing == NULL)
	{
		double most = access.keys != NULL ? flex_estimate_array_length(root, (Node *) access.keys->value) : 1;

		rel->rows = clamp_row_est(Min(rel->rows, most));
	}
}

/*
 * Estimate how many rows a query with LIMIT will ask this table for; PG_INT64_MAX if that
 * is unknown.  It is known if the query has no sort, and no other table except those that
 * are appended to this one.
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

/* Return the page size for a list of which so many rows will be read. */
static int
page_size_of(const RemoteTable *table, int64 rows)
{
	return table->page_size > 0 ? table->page_size : flex_pages_best_size(rows);
}

/*
 * Return true if the query lacks a value that a way to read the table needs.  Such a path is
 * planned nevertheless, with a prohibitive cost, because a join may provide the value to
 * another path.  If it is chosen all the same, flex_plan_scan() raises the error.
 */
static bool
lacks_value(const Access *access)
{
	return access->missing != NULL || access->unsent != InvalidAttrNumber;
}

/* Estimate the costs of reading a table in this way. */
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
		/* A filter that is sent reduces the rows of the answer; nobody knows by how much. */
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

/* Add a path that reads in this way and returns so many rows, parameterized by the relations outer. */
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

/* Raise 0A000 for a table whose resource has no operation that reads it. */
pg_noreturn static void
refuse_to_read(const RemoteTable *table)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("foreign table \"%s\" cannot be read", get_rel_name(table->relation)),
					errdetail("The Flex API has no operation that lists or fetches %s.", table->resource->name),
					errhint("Use INSERT with RETURNING.")));
}

/* Add the paths that need nothing but the query's restrictions.  compared: see flex_compared_arguments(). */
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
	/* If only one of them takes all arguments that the query compares, the other would find no row. */
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

/* Callback of generate_implied_equalities_for_column(): return true for the column in *argument. */
static bool
is_wanted_column(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *class, EquivalenceMember *member, void *argument)
{
	AttrNumber *column = argument;
	Var *var = (Var *) member->em_expr;

	return IsA(var, Var) && var->varno == (int) rel->relid && var->varattno == *column;
}

/*
 * Return the join clauses, as a list of RestrictInfo, including those implied by equivalence
 * classes for columns that can be sent or are arguments.
 */
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

/* Add the path whose values come from the relations outer: fetches if possible, else lists. */
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

/* Append a set of relations to a list, unless it has an equal one. */
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

/* GetForeignPaths */
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
	/* The key and the other names in the request's path may come from different relations. */
	if (list_length(considered) > 1)
		considered = add_outer(considered, all);
	foreach (cell, considered)
		add_parameterized_paths(root, rel, table, compared, lfirst(cell));
}

/* Return the columns in a set made by pull_varattnos(), as an integer list; a whole-row reference stands for all. */
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

/* Return the columns that the query needs, as an integer list. */
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

/* Raise HV00L for a plan that has no value for a required argument, or HV005 if the table lacks the column for it. */
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

/* Raise HV00L for a plan that compares an argument's column without sending it: it would never find a row. */
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
				 : errhint("The column can be written, but not compared.")));
}

/*
 * Return true if a query writes a foreign table, or a table that may have foreign partitions.
 * In a query that is not planned yet, "inh" tells only that ONLY was not given.
 */
static bool
query_writes_foreign(const Query *query)
{
	RangeTblEntry *entry;

	if (query->commandType == CMD_SELECT)
		return false;
	entry = rt_fetch(query->resultRelation, query->rtable);
	return entry->relkind == RELKIND_FOREIGN_TABLE || entry->relkind == RELKIND_PARTITIONED_TABLE ||
		   (entry->inh && has_subclass(entry->relid));
}

/*
 * Return true if the statement writes foreign tables, itself or in its WITH.  Rows that it
 * creates or deletes would shift the pages of a list that it is still reading, so all rows
 * have to be read first.
 */
static bool
writes_foreign(const PlannerInfo *root)
{
	for (; root != NULL; root = root->parent_root)
	{
		ListCell *cell;

		if (query_writes_foreign(root->parse))
			return true;
		foreach (cell, root->parse->cteList)
		{
			if (query_writes_foreign(castNode(Query, lfirst_node(CommonTableExpr, cell)->ctequery)))
				return true;
		}
	}
	return false;
}

/* GetForeignPlan: make the plan of the chosen path, or raise an error if the path lacks a value. */
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
	private = lappend(lappend(private, makeInteger(writes_foreign(root))), makeInteger(false));
	return make_foreignscan(tlist, extract_actual_clauses(clauses, false), rel->relid, values, private, NIL, NIL,
							outer_plan);
}

/* GetForeignRowMarkType: refuse to lock rows.  For EvalPlanQual, rows are copied. */
RowMarkType
flex_plan_row_mark(RangeTblEntry *entry, LockClauseStrength strength)
{
	if (strength != LCS_NONE)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("rows of foreign table \"%s\" cannot be locked", get_rel_name(entry->relid)),
						errdetail("The Flex API has no locks.")));
	return ROW_MARK_COPY;
}

/* Return the contents of a plan's fdw_private. */
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
		.counts_deleted = intVal(list_nth(private, PLAN_COUNTS_DELETED)) != 0,
	};
}

/*
 * Adapt the plan of a scan that is to delete its rows.  columns, a set made by
 * pull_varattnos(), are those to be read; counts: the rows count for the command tag.
 */
void
flex_scan_plan_delete(ForeignScan *scan, const RemoteTable *table, const Bitmapset *columns, bool counts)
{
	lfirst(list_nth_cell(scan->fdw_private, PLAN_NEEDED)) = list_columns(table, columns);
	/* The deletion reads all rows first by itself, and keeps less of them. */
	lfirst(list_nth_cell(scan->fdw_private, PLAN_READS_FIRST)) = makeInteger(false);
	lfirst(list_nth_cell(scan->fdw_private, PLAN_COUNTS_DELETED)) = makeInteger(counts);
}
