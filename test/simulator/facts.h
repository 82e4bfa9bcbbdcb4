/*
 * facts.h
 *	  What the published documents and pages say, as read from --facts at
 *	  start: operations, their parameters, their resources' members, and what
 *	  follows from those: the routes, and the kinds of resources.
 */
#ifndef SIMULATOR_FACTS_H
#define SIMULATOR_FACTS_H

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>

#define MAX_SEGMENTS 12

typedef enum Place
{
	PLACE_PATH,
	PLACE_QUERY,
	PLACE_FORM,
	PLACE_HEADER,
	PLACE_JSON
} Place;

typedef enum ValueType
{
	TYPE_STRING,
	TYPE_BOOLEAN,
	TYPE_INTEGER,
	TYPE_NUMBER,
	TYPE_ARRAY,
	TYPE_ANY,
	TYPE_OBJECT
} ValueType;

typedef enum Body
{
	BODY_NONE,
	BODY_FORM,
	BODY_JSON
} Body;

typedef enum Method
{
	METHOD_GET,
	METHOD_POST,
	METHOD_DELETE,
	METHOD_COUNT
} Method;

/* What a value must look like; a SID's prefix is told apart to be fast. */
typedef struct Pattern
{
	const char *text; /* NULL: anything */
	char prefix[3];   /* of a SID, or empty */
	regex_t regex;    /* where it is no SID */
} Pattern;

typedef struct Parameter
{
	const char *name;   /* as sent: Integration.FlowSid */
	const char *member; /* as answered: integration.flow_sid */
	Place place;
	ValueType type;
	bool required;
	bool uri;
	const char *choices; /* a|b|c, or NULL */
	Pattern pattern;
} Parameter;

typedef struct Member
{
	const char *name;
	ValueType type;
	const char *format;  /* date-time, uri, uri-map, or NULL */
	const char *choices; /* a|b|c, or NULL */
	const char *pattern;
} Member;

typedef struct Schema
{
	const char *name;
	Member *members;
	int count;
} Schema;

struct Kind;

typedef struct Operation
{
	int number;
	const char *function;
	const char *path;
	Method method;
	Body body;
	int success;
	const char *list_key;
	const Schema *schema;
	Parameter *parameters;
	int count;
} Operation;

/* One path, with what each method does there. */
typedef struct Route
{
	const char *path;                      /* as published */
	const char *shape;                     /* with {} for each value */
	const char *segments[MAX_SEGMENTS];    /* NULL for a value */
	const char *value_names[MAX_SEGMENTS]; /* snake_case, by value */
	int count;
	int values;
	const Operation *operations[METHOD_COUNT];
	const struct Kind *kind; /* of the resources it is about, or NULL */
	bool collection;         /* the path of all, not of one */
	bool archive;            /* the path that archives one */
} Route;

extern bool facts_read(const char *directory);
extern int facts_operation_count(void);
extern const Operation *facts_operation(int number);
extern const Operation *facts_operation_named(const char *function);
extern int facts_route_count(void);
extern Route *facts_routes(void);
extern const Member *schema_member(const Schema *schema, const char *name);
extern bool is_choice(const char *choices, const char *value, size_t length);
extern const char *type_name(ValueType type);
extern char *snake_case(const char *name);

#endif
