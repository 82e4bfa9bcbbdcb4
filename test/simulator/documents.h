/*
 * documents.h
 *	  Single documents, such as the configuration, and the rows that some
 *	  collections have from the start. Both come from samples.json.
 */
#ifndef SIMULATOR_DOCUMENTS_H
#define SIMULATOR_DOCUMENTS_H

#include <json-c/json.h>
#include <stdbool.h>

#include "accounts.h"

extern bool documents_read(const char *file);
extern void documents_reset(Account *account);
extern json_object *document_members(const Account *account, const char *path);
extern void document_replace(Account *account, const char *path, json_object *members);

#endif
