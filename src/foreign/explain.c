/*
 * explain.c
 *		EXPLAIN of statements on foreign tables.
 *
 * The path of a request is shown as a template, with {Word} for each argument; the values
 * are shown as conditions, deparsed as PostgreSQL's own.  Nothing of the endpoint is shown,
 * and this code has no access to secrets.
 */
#include "postgres.h"

#include "base/compat.h"

#include FLEX_EXPLAIN_STATE_H
#include FLEX_EXPLAIN_FORMAT_H
#include "commands/explain.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "foreign/explain.h"
#include "foreign/modify.h"
#include "foreign/row_writer.h"
#include "foreign/scan.h"

/* Return the conditions that are sent, as a list of SQL texts. */
static List *
conditions_as_text(ForeignScanState *node, const ScanReport *report, ExplainState *explain)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	List *context = set_deparse_context_plan(explain->deparse_cxt, &plan->scan.plan, NIL);
	List *texts = NIL;
	ListCell *expression;
	ListCell *column;

	forboth(expression, plan->fdw_exprs, column, report->plan.columns)
	{
		const char *name = NameStr(TupleDescAttr(report->table->desc, lfirst_int(column) - 1)->attname);
		bool is_any = list_length(texts) == report->plan.keys;
		char *value = deparse_expression(lfirst(expression), context, false, false);

		texts = lappend(texts, psprintf(is_any ? "%s = ANY (%s)" : "%s = %s", quote_identifier(name), value));
	}
	return texts;
}

/* Show which operation is called.  of_what is "", or a word and a space that distinguish the properties' names. */
static void
explain_operation(const Operation *operation, const char *of_what, ExplainState *explain)
{
	ExplainPropertyText(psprintf("Flex %sOperation", of_what), operation->name, explain);
	ExplainPropertyText(psprintf("Flex %sRequest", of_what), psprintf("%s %s", operation->method, operation->path),
						explain);
}

/* Show the traffic of a statement that has been executed. */
static void
explain_traffic(const Traffic *traffic, const char *of_what, ExplainState *explain)
{
	ExplainPropertyInteger(psprintf("Flex %sRequests", of_what), NULL, traffic->requests, explain);
	ExplainPropertyInteger(psprintf("Flex %sRepeats", of_what), NULL, traffic->repeats, explain);
	ExplainPropertyInteger(psprintf("Flex %sBytes Sent", of_what), NULL, traffic->bytes_sent, explain);
	ExplainPropertyInteger(psprintf("Flex %sBytes Received", of_what), NULL, traffic->bytes_received, explain);
	if (explain->timing)
		ExplainPropertyInteger(psprintf("Flex %sRequest Time", of_what), "ms", traffic->elapsed_us / 1000, explain);
}

/* Show what a scan asks the service for and, after EXPLAIN ANALYZE, its traffic. */
static void
explain_report(ForeignScanState *node, const ScanReport *report, ExplainState *explain)
{
	explain_operation(report->table->operations[report->plan.operation]->operation, "", explain);
	if (report->plan.columns != NIL)
		ExplainPropertyList("Flex Conditions", conditions_as_text(node, report, explain), explain);
	if (report->plan.operation == RESOURCE_LIST)
		ExplainPropertyInteger("Flex Page Size", NULL, report->plan.page_size, explain);
	if (report->plan.keys >= 0)
		ExplainPropertyInteger("Flex Concurrency", NULL, report->table->concurrency, explain);
	if (explain->analyze)
		explain_traffic(&report->traffic, "", explain);
}

/* ExplainForeignScan, for a scan that only reads. */
void
flex_explain_scan(ForeignScanState *node, ExplainState *explain)
{
	ScanReport report = flex_scan_report(node);

	explain_report(node, &report, explain);
}

/* Show the operation that is called for each row that is written and, after EXPLAIN ANALYZE, its traffic. */
static void
explain_writing(const RemoteTable *table, CmdType command, const Traffic *traffic, const char *of_what,
				ExplainState *explain)
{
	explain_operation(table->operations[flex_operation_of_command(command)]->operation, of_what, explain);
	if (command != CMD_UPDATE)
		ExplainPropertyInteger(psprintf("Flex %sConcurrency", of_what), NULL, table->concurrency, explain);
	if (explain->analyze && traffic != NULL)
		explain_traffic(traffic, of_what, explain);
}

/* ExplainForeignModify: INSERT, UPDATE or DELETE row by row. */
void
flex_explain_modify(ModifyTableState *state, ResultRelInfo *info, List *plan, int subplan, ExplainState *explain)
{
	explain_writing(flex_remote_table_open(RelationGetRelid(info->ri_RelationDesc)), state->operation,
					flex_modify_traffic(info), "", explain);
}

/* ExplainDirectModify: how rows are found, and then the operation that deletes each of them. */
void
flex_explain_delete(ForeignScanState *node, ExplainState *explain)
{
	ScanReport report = flex_delete_report(node);

	explain_report(node, &report, explain);
	explain_writing(report.table, CMD_DELETE, flex_delete_traffic(node), "Delete ", explain);
}
