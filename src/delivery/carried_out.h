/*
 * carried_out.h
 *		Remembers what the service has carried out for a statement that may still fail.
 */
#ifndef FLEX_CARRIED_OUT_H
#define FLEX_CARRIED_OUT_H

#include "http/verdict.h"

/* A list of words, kept as text. */
typedef struct NotedList
{
	StringInfoData text;
	int64 count;
	int shown_length; /* length of the text of the words that an error's DETAIL shows */
} NotedList;

/* What was carried out of the requests that must not be sent twice. */
typedef struct CarriedOut
{
	const char *operation;
	NotedList sids;    /* SIDs of what was created or changed */
	NotedList unknown; /* numbers of elements that may have been carried out */
	bool is_logged;    /* all of that has been logged */
} CarriedOut;

extern void flex_carried_out_begin(CarriedOut *carried_out, const char *operation);
extern void flex_carried_out_note(CarriedOut *carried_out, int number, const Outcome *outcome);
extern void flex_carried_out_note_unknown(CarriedOut *carried_out, int number);
extern void flex_carried_out_log(CarriedOut *carried_out);
extern void flex_carried_out_tell(CarriedOut *carried_out, ErrorData *error);

#endif /* FLEX_CARRIED_OUT_H */
