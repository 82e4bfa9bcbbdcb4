/*
 * documents.c
 *	  Single documents, by their path. What every account has at the start,
 *	  documents and the rows of some collections, is in samples.json.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "documents.h"
#include "fixture.h"
#include "json_file.h"
#include "json_text.h"
#include "options.h"
#include "store.h"

static json_object *samples; /* as read */

/* Reads the samples; false, with a message, if that is not possible. */
bool
documents_read(const char *file)
{
	samples = json_read_file(file);
	return samples != NULL;
}

/* Makes what an account has as it was at the start; clear its store before. */
void
documents_reset(Account *account)
{
	Problem problem;

	json_object_put(account->documents);
	account->documents = json_object_new_object();
	if (!fixture_load(account, samples, &problem))
		fprintf(stderr, "flex_simulator: %s: %s: %s\n", options.samples, problem.where, problem.what);
}

/*
 * The document at a path, which the caller owns; NULL if there is none. An
 * Insights session, which is made anew each time, lasts an hour from now.
 */
json_object *
document_members(const Account *account, const char *path)
{
	json_object *members = json_object_get(json_member(account->documents, path));
	time_t end = clock_seconds() + 3600;
	char text[DATE_LENGTH + 1];
	struct tm parts;

	if (json_member(members, "session_expiry") != NULL)
	{
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&end, &parts));
		json_object_object_add(members, "session_expiry", json_object_new_string(text));
	}
	return members;
}

/* Replaces a document. The members stay the caller's, too. */
void
document_replace(Account *account, const char *path, json_object *members)
{
	json_object_object_add(account->documents, path, json_object_get(members));
}
