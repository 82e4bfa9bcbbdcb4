/*
 * catalogue.h
 *		The catalogue: the operations of the Flex API, as data.
 */
#ifndef FLEX_CATALOGUE_H
#define FLEX_CATALOGUE_H

/* Where a request contains an argument. */
typedef enum Place
{
	PLACE_BY_METHOD, /* in the body of a POST, otherwise in the query */
	PLACE_PATH,
	PLACE_QUERY,
	PLACE_FORM,
	PLACE_HEADER,
	PLACE_BODY,   /* the argument is the body, as JSON */
	PLACE_NOWHERE /* not sent: it is for the extension itself */
} Place;

/* What the service says of an argument that is JSON. */
typedef enum JsonShape
{
	SHAPE_ANY,
	SHAPE_OBJECT,
	SHAPE_NOT_ENCODED /* anything but a string that contains an object */
} JsonShape;

#define FLEX_CUSTOM_OPERATION "flex_request" /* stands for all operations that are not in the catalogue */

#define MAX_VALUES 8

/*
 * What the SQL definition of an argument does not say.  A rule of an operation takes
 * precedence over a rule that applies to an argument's name in all operations.
 */
typedef struct ArgumentRule
{
	const char *name;               /* in SQL */
	const char *wire;               /* name on the wire; NULL: the name in PascalCase */
	Place place;                    /* unless it follows from the method */
	const char *sid;                /* it is a SID that begins with these two letters; NULL: it is not */
	const char *values[MAX_VALUES]; /* the allowed values; none: any */
	JsonShape shape;                /* if it is JSON */
	int max_characters;             /* 0: no limit */
	int max_bytes;                  /* in UTF-8; 0: no limit */
	int least;                      /* of a number; applies only if most is not 0 */
	int most;                       /* of a number; 0: no limit */
	bool uri;                       /* it must be an absolute URI */
	bool secret;                    /* it is never shown in a message */
} ArgumentRule;

#define MAX_OWN_RULES 2
#define MAX_OPERATIONS 128

typedef struct Operation
{
	const char *name; /* of the SQL function */
	const char *method;
	const char *path;    /* {Word} stands for the argument of that wire name */
	const char *key;     /* member of the answer that identifies the resource; NULL: "sid" */
	double rate;         /* published limit per account, in requests per second; 0: none */
	const char *rate_as; /* name of the operation with which it shares a rate; NULL: it has its own */
	bool secret;         /* the answer is a secret, so it is not for the outbox, which stores answers */
	bool custom;         /* method and path are arguments of the call; here they are empty */
	ArgumentRule rules[MAX_OWN_RULES];
} Operation;

/* The rows of beyond_openapi.c, which are part of the catalogue. */
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
