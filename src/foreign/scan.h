/*
 * scan.h
 *		Scans of foreign tables.
 */
#ifndef FLEX_SCAN_H
#define FLEX_SCAN_H

#include "nodes/execnodes.h"

#include "foreign/plan.h"
#include "http/traffic.h"

/* What EXPLAIN shows of a scan; the traffic is all zeroes unless the statement was executed. */
typedef struct ScanReport
{
	const RemoteTable *table;
	ScanPlan plan;
	Traffic traffic;
} ScanReport;

extern void flex_scan_begin(ForeignScanState *node, int eflags);
extern TupleTableSlot *flex_scan_next(ForeignScanState *node);
extern void flex_scan_again(ForeignScanState *node);
extern void flex_scan_end(ForeignScanState *node);
extern ScanReport flex_scan_report(ForeignScanState *node);

/* Asynchronous execution, under Append. */
extern bool flex_scan_is_async_capable(ForeignPath *path);
extern void flex_scan_request(AsyncRequest *request);
extern void flex_scan_configure_wait(AsyncRequest *request);

#endif /* FLEX_SCAN_H */
