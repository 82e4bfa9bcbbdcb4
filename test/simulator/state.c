/*
 * state.c
 *	  All that the accounts have, {"accounts":{"AC..":{path: content}}}: loaded
 *	  at the start and after each reset, written at the end or when asked for.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "documents.h"
#include "fixture.h"
#include "json_file.h"
#include "interactions.h"
#include "json_text.h"
#include "options.h"
#include "state.h"
#include "store.h"

static json_object *start; /* what --load named; NULL for nothing */

/* Makes an account as it is without any file. */
static void
empty_account(Account *account)
{
	store_clear(account);
	documents_reset(account);
}

/* Loads the accounts' paths, or, where no account is named, the first one's. */
static bool
load_accounts(json_object *state, Problem *problem)
{
	json_object *by_sid = json_member(state, "accounts");

	if (by_sid == NULL)
		return fixture_load(accounts_get(0), state, problem);
	if (!json_object_is_type(by_sid, json_type_object))
		return problem_note(problem, "accounts", "must be an object of accounts by their SID");
	json_object_object_foreach(by_sid, sid, paths)
	{
		Account *account = accounts_of_sid(sid);

		if (account == NULL)
			problem_note(problem, "", "no such account; --accounts says which there are");
		else if (fixture_load(account, paths, problem))
			continue;
		problem_within(problem, "accounts.%s", sid);
		return false;
	}
	return true;
}

/* Puts a state's paths in the place of what is there; where something is wrong, nothing changes. */
bool
state_load(json_object *state, Problem *problem)
{
	Text before = {0};
	Problem unused;

	state_write(&before);
	if (!load_accounts(state, problem))
	{
		json_object *restored = json_reread(before.data, before.length);

		for (int i = 0; i < accounts_count(); i++)
			empty_account(accounts_get(i));
		load_accounts(restored, &unused);
		json_object_put(restored);
		text_free(&before);
		return false;
	}
	text_free(&before);
	return true;
}

/* Makes everything as it was at the start. */
void
state_reset(void)
{
	Problem problem;

	for (int i = 0; i < accounts_count(); i++)
		empty_account(accounts_get(i));
	/* It was right when it was read, and accounts only ever come to those that there are. */
	if (start != NULL && !load_accounts(start, &problem))
		fprintf(stderr, "flex_simulator: %s: %s: %s\n", options.load, problem.where, problem.what);
}

/* Reads the file of --load; false, with a message, if it cannot be taken. */
bool
state_start(void)
{
	Problem problem;

	if (options.load == NULL)
		return true;
	/* A state that is to survive has to begin somewhere. */
	if (options.save != NULL && strcmp(options.load, options.save) == 0 && access(options.load, F_OK) != 0 &&
		errno == ENOENT)
		return true;
	start = json_read_file(options.load);
	if (start == NULL)
		return false;
	if (load_accounts(start, &problem))
		return true;
	fprintf(stderr, "flex_simulator: %s: %s: %s\n", options.load, problem.where, problem.what);
	return false;
}

/* Adds a list as a path with its rows. */
static void
write_rows(Text *text, List *list, const char **comma)
{
	Text path = {0};
	bool first = true;

	text_add_string(text, *comma);
	*comma = ",\n  ";
	if (list->owner != NULL)
		text_printf(&path, "%s%s", list->owner->path,
					list->kind->shape + strlen(list->owner->list->kind->shape) + strlen("/{}"));
	else
		text_add_string(&path, list->kind->shape);
	text_add_json_string(text, path.data);
	text_add_string(text, ":[");
	text_free(&path);
	for (size_t i = 0; i < list->count; i++)
	{
		Resource *resource = list->slots[i].resource;

		if (resource == NULL)
			continue;
		settle_setup(resource);
		text_add_string(text, first ? "\n   " : ",\n   ");
		text_add_with_base(text, resource->text, resource->length, PUBLIC_ORIGIN);
		first = false;
	}
	text_add_string(text, "]");
}

/* Adds a list, unless nothing is known of its rows but their names, and then what its rows have. */
static void
write_list(Text *text, List *list, const char **comma)
{
	if (list->count == list->dead)
		return;
	if (!list->kind->anonymous)
		write_rows(text, list, comma);
	for (size_t i = 0; i < list->count; i++)
		for (List *child = list->slots[i].resource ? list->slots[i].resource->children : NULL; child != NULL;
			 child = child->next)
			write_list(text, child, comma);
}

/* Adds what one account has. */
static void
write_account(Text *text, Account *account)
{
	const char *comma = "\n  ";

	text_printf(text, "\"%s\":{", account->sid);
	json_object_object_foreach(account->documents, path, document)
	{
		Text plain = {0};

		text_printf(text, "%s\"%s\":", comma, path);
		json_write(&plain, document);
		text_add_with_base(text, plain.data, plain.length, PUBLIC_ORIGIN);
		text_free(&plain);
		comma = ",\n  ";
	}
	for (int i = 0; i < kinds_count(); i++)
		write_list(text, store_list(account, kinds_get(i), NULL), &comma);
	text_add_string(text, "}");
}

/* Writes all that there is as a JSON object. */
void
state_write(Text *text)
{
	text_add_string(text, "{\"accounts\":{");
	for (int i = 0; i < accounts_count(); i++)
	{
		text_add_string(text, i ? ",\n " : "\n ");
		write_account(text, accounts_get(i));
	}
	text_add_string(text, "}}\n");
}

/* Writes the file of --save, which is the old one or the new one whatever happens; false, with the problem. */
bool
state_save(Problem *problem)
{
	Text text = {0};
	Text name = {0};
	FILE *file;
	bool done;

	if (options.save == NULL)
		return problem_note(problem, "--save", "was not given, so there is no file to save to");
	text_printf(&name, "%s.new", options.save);
	state_write(&text);
	file = fopen(name.data, "w");
	done = file != NULL && fwrite(text.data, 1, text.length, file) == text.length && fflush(file) == 0 &&
		   fsync(fileno(file)) == 0;
	if (file != NULL && fclose(file) != 0)
		done = false;
	done = done && rename(name.data, options.save) == 0;
	if (!done)
		problem_note(problem, options.save, "could not write it: %s", strerror(errno));
	text_free(&text);
	text_free(&name);
	return done;
}
