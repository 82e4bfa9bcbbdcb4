/*
 * carried_out.c
 *		Remembers what the service has carried out for a statement that may still fail.
 *
 * If a statement that sends many requests fails, its rows are lost, but what the service has
 * created remains.  So the SIDs are remembered outside the rows: the error's DETAIL has the
 * first of them, and the server log has all.  Only requests that must not be sent twice count.
 */
#include "postgres.h"

#include "delivery/carried_out.h"

#define MOST_SHOWN 100                            /* in an error's DETAIL */
#define MOST_BYTES_KEPT ((int) 256 * 1024 * 1024) /* of SIDs (some seven million); then they are logged early */

/* Initialize an empty record, whose lists are allocated in the current memory context. */
void
flex_carried_out_begin(CarriedOut *carried_out, const char *operation)
{
	carried_out->operation = operation;
	carried_out->sids = carried_out->unknown = (NotedList){0};
	carried_out->is_logged = false;
	initStringInfo(&carried_out->sids.text);
	initStringInfo(&carried_out->unknown.text);
}

/* Append a word to a list. */
static void
add_to_list(NotedList *list, const char *word)
{
	appendStringInfo(&list->text, "%s%s", list->text.len > 0 ? ", " : "", word);
	if (++list->count == MOST_SHOWN)
		list->shown_length = list->text.len;
}

/* Append a word to a list that has to be logged (again) if the statement fails. */
static void
note_word(CarriedOut *carried_out, NotedList *list, const char *word)
{
	add_to_list(list, word);
	carried_out->is_logged = false;
}

/* Note that the element with this number may have been carried out. */
void
flex_carried_out_note_unknown(CarriedOut *carried_out, int number)
{
	char word[12];

	snprintf(word, sizeof(word), "%d", number);
	note_word(carried_out, &carried_out->unknown, word);
}

/*
 * Note the outcome of an element's request.  Interrupts are served, but only before anything
 * is noted.
 */
void
flex_carried_out_note(CarriedOut *carried_out, int number, const Outcome *outcome)
{
	char *sid;

	if (outcome->request->idempotent)
		return;
	sid = flex_outcome_find_sid(outcome);
	if (carried_out->sids.text.len > MOST_BYTES_KEPT)
	{
		flex_carried_out_log(carried_out);
		/* Keep the first ones, which the DETAIL shows. */
		carried_out->sids.text.len = carried_out->sids.shown_length;
		carried_out->sids.text.data[carried_out->sids.text.len] = '\0';
	}
	if (sid != NULL)
		note_word(carried_out, &carried_out->sids, sid);
	else if (flex_outcome_is_good(outcome))
		note_word(carried_out, &carried_out->sids, psprintf("element %d without a SID", number));
	else if (outcome->may_be_done)
		flex_carried_out_note_unknown(carried_out, number);
}

/* Write all that was noted to the server log. */
void
flex_carried_out_log(CarriedOut *carried_out)
{
	if (carried_out->sids.count > 0)
		ereport(LOG, (errmsg("statement failed after %s was carried out: %s", carried_out->operation,
							 carried_out->sids.text.data)));
	if (carried_out->unknown.count > 0)
		ereport(LOG, (errmsg("statement failed, and %s may have been carried out for elements: %s",
							 carried_out->operation, carried_out->unknown.text.data)));
	carried_out->is_logged = true;
}

/* Append a sentence that consists of a beginning and the first words of a list; nothing for an empty list. */
static void
append_list(StringInfo text, const char *beginning, const NotedList *list)
{
	int length = list->count > MOST_SHOWN ? list->shown_length : list->text.len;

	if (list->count == 0)
		return;
	appendStringInfo(text, "%s%s: %.*s", text->len > 0 ? " " : "", beginning, length, list->text.data);
	if (list->count > MOST_SHOWN)
		appendStringInfo(text, ", and " INT64_FORMAT " more in the server's log", list->count - MOST_SHOWN);
	appendStringInfoChar(text, '.');
}

/* Append what was noted to the DETAIL of the error that ends the statement, in the current memory context, and log it. */
void
flex_carried_out_tell(CarriedOut *carried_out, ErrorData *error)
{
	StringInfoData text;

	flex_carried_out_log(carried_out);
	initStringInfo(&text);
	append_list(&text, "The service has carried out", &carried_out->sids);
	append_list(&text, "It is not known whether it has carried out elements", &carried_out->unknown);
	if (text.len > 0)
		error->detail = error->detail != NULL ? psprintf("%s %s", error->detail, text.data) : text.data;
}
