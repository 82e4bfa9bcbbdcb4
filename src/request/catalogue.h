/*
 * catalogue.h
 *		The catalogue: what the Flex API can do, as data.
 */
#ifndef FLEX_CATALOGUE_H
#define FLEX_CATALOGUE_H

/* Where an argument goes. */
typedef enum Place
{
	PLACE_BY_METHOD, /* into the body of a POST, else into the query */
	PLACE_PATH,
	PLACE_QUERY,
	PLACE_FORM,
	PLACE_HEADER,
	PLACE_BODY,   /* it is the body, as JSON */
	PLACE_NOWHERE /* ours alone: not sent */
} Place;

/* What JSON has to be, as far as the service says. */
typedef enum JsonShape
{
	SHAPE_ANY,
	SHAPE_OBJECT,
	SHAPE_NOT_ENCODED /* anything but a string that holds an object */
} JsonShape;

#define FLEX_CUSTOM_OPERATION "flex_request" /* what the catalogue does not have counts as that */

#define MAX_VALUES 8

/*
 * What the SQL definition of an argument does not say.  A rule that an
 * operation has goes before the one that the name has everywhere.
 */
typedef struct ArgumentRule
{
	const char *name;               /* in SQL */
	const char *wire;               /* name on the wire, where not PascalCase of it */
	Place place;                    /* where it departs from the method's */
	const char *sid;                /* two letters that its SID begins with */
	const char *values[MAX_VALUES]; /* the values allowed, if they are few */
	JsonShape shape;                /* of JSON */
	int max_characters;
	int max_bytes;
	int least; /* of a number, where most is not 0 */
	int most;
	bool uri;    /* an absolute URI */
	bool secret; /* never shown in a message */
} ArgumentRule;

#define MAX_OWN_RULES 2
#define MAX_OPERATIONS 128

typedef struct Operation
{
	const char *name; /* of the SQL function */
	const char *method;
	const char *path;    /* {Word}: the argument of that wire name */
	const char *key;     /* member of its answer that names the resource, where that is not "sid" */
	double rate;         /* published limit of an account, requests per second; 0: none */
	const char *rate_as; /* name of the operation whose requests count for the same; NULL: its own */
	bool secret;         /* its answer is one: not for the outbox, which keeps answers */
	bool custom;         /* method and path are arguments of the call; those here are empty */
	ArgumentRule rules[MAX_OWN_RULES];
} Operation;

/* The rows that stand in beyond_openapi.c; they are part of the catalogue. */
#define BEYOND_OPENAPI 20
extern const Operation flex_beyond_openapi[BEYOND_OPENAPI];

extern const Operation *flex_operation_find(const char *name);
extern const Operation *flex_operation_at(int index);
extern const char *flex_operation_closest(const char *name);
extern int flex_operation_index(const Operation *operation);
extern int flex_operation_rate_index(const Operation *operation);
extern bool flex_operation_answers_secret(const char *method, const char *path);
extern bool flex_method_is_idempotent(const char *method);
extern const char *flex_operation_key(const char *method, const char *path);
extern const ArgumentRule *flex_operation_rule(const Operation *operation, const char *argument);

#endif /* FLEX_CATALOGUE_H */
