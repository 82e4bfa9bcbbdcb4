/*
 * record.h
 *	  What came in: the last requests, counters, and the journal.
 */
#ifndef SIMULATOR_RECORD_H
#define SIMULATOR_RECORD_H

#include "request.h"

extern bool record_start(const char *journal_file);
extern void record_request(const Request *request, int carried_status);
extern void record_connection(int change);
extern void record_clear_requests(void);
extern void record_clear(void);
extern void record_write_requests(Text *text);
extern void record_write_recent(Text *text, int count);
extern void record_write_counters(Text *text);

#endif
