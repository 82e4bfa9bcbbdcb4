/*
 * documents.c
 *	  samples.json is an object from paths to what is there at the start: an
 *	  object for a document, an array for the rows of a collection.
 */
#include <string.h>
#include <time.h>

#include "documents.h"
#include "json_file.h"
#include "json_text.h"
#include "store.h"

static json_object *samples; /* as read */

/* Reads the samples; false, with a message, if that is not possible. */
bool
documents_read(const char *file)
{
	samples = json_read_file(file);
	return samples != NULL;
}

/* Sets what is the same in all samples: the account and the URL. */
static void
adapt_sample(const Account *account, json_object *members, const char *path)
{
	Text url = {0};

	text_printf(&url, "%c%s", BASE_URL_MARK, path);
	if (json_object_object_get_ex(members, "account_sid", NULL))
		json_object_object_add(members, "account_sid", json_object_new_string(account->sid));
	if (json_object_object_get_ex(members, "url", NULL))
		json_object_object_add(members, "url", json_object_new_string_len(url.data, (int) url.length));
	text_free(&url);
}

/* Adds the rows that a collection has from the start. */
static void
add_rows(Account *account, const char *path, json_object *rows)
{
	const Kind *kind = kinds_of_shape(path);

	for (size_t i = 0; kind != NULL && i < json_object_array_length(rows); i++)
	{
		json_object *members = NULL;
		const char *sid;
		Text row_path = {0};

		json_object_deep_copy(json_object_array_get_idx(rows, i), &members, NULL);
		/* These rows go by an id of another name: segment_id, conversation_id. */
		sid = json_text_member(members, kind->sid_member);
		json_object_object_foreach(members, name, value)
		{
			if (sid == NULL && strlen(name) > 3 && strcmp(name + strlen(name) - 3, "_id") == 0 &&
				strncmp(name, kind->word, strlen(name) - 3) == 0)
				sid = json_object_get_string(value);
		}
		text_printf(&row_path, "%s/%s", path, sid ? sid : "");
		adapt_sample(account, members, row_path.data);
		store_add(store_list(account, kind, NULL), sid ? sid : "", NULL, members);
		text_free(&row_path);
		json_object_put(members);
	}
}

/* Makes what an account has as it was at the start; clear its store before. */
void
documents_reset(Account *account)
{
	json_object_put(account->documents);
	account->documents = json_object_new_object();
	json_object_object_foreach(samples, path, sample)
	{
		json_object *copy = NULL;

		if (json_object_is_type(sample, json_type_array))
		{
			add_rows(account, path, sample);
			continue;
		}
		json_object_deep_copy(sample, &copy, NULL);
		adapt_sample(account, copy, path);
		json_object_object_add(account->documents, path, copy);
	}
}

/*
 * The document at a path, which the caller owns; NULL if there is none. An
 * Insights session, which is made anew each time, lasts an hour from now.
 */
json_object *
document_members(const Account *account, const char *path)
{
	json_object *members = json_object_get(json_member(account->documents, path));
	time_t end = time(NULL) + 3600;
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
