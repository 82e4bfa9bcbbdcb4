/*
 * json_file.h
 *	  JSON in files.
 */
#ifndef SIMULATOR_JSON_FILE_H
#define SIMULATOR_JSON_FILE_H

#include <json-c/json.h>
#include <stdbool.h>

extern json_object *json_read_file(const char *name);

#endif
