/*
 * webhook_signature.c
 *		Verifies the signatures of webhooks.
 *
 * X-Twilio-Signature is the HMAC-SHA1, in base64, of the URL followed by name and value of
 * all form parameters, sorted by name; the key is the account's auth token
 * (twilio.com/docs/usage/security).  For a JSON body, the URL contains its SHA-256 as the
 * parameter bodySHA256, and only the URL is signed.  Details that the page does not specify
 * are as in the official Node client: names and values are sorted by their UTF-16 code
 * units, and repeated values of a name count once.
 *
 * Each form of the URL is always tried with each token, even after a match, so that the
 * time taken reveals nothing about them.
 */
#include "postgres.h"

#include "common/base64.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "answer/webhook_query.h"
#include "answer/webhook_signature.h"
#include "answer/webhook_url.h"
#include "base/compat.h"
#include "base/encoding.h"

#define SIGNATURE_LENGTH 28 /* base64 of a SHA-1 */

/* Raise 22023 for a parameter whose value no form can have. */
pg_noreturn static void
refuse_parameter(const char *name)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("webhook parameter \"%s\" is neither a string nor an array of strings",
						   flex_text_clip(name, NAMEDATALEN)),
					errdetail("The values of a form are strings; a name that is repeated has an array of them.")));
}

/* Map a byte of UTF-8 so that comparing the mapped bytes of texts gives the order of their UTF-16 code units. */
static int
utf16_rank(char byte)
{
	unsigned char c = (unsigned char) byte;

	/* Characters above U+FFFF begin with a surrogate (from U+D800 on), which sorts before U+E000 (0xEE in UTF-8). */
	return c < 0xEE ? c : c < 0xF0 ? c + 0x10 : c - 0x02;
}

/* qsort comparator: the order in which JavaScript sorts texts.  The elements begin with a char *. */
static int
compare_texts(const void *a, const void *b)
{
	const char *one = *(char *const *) a;
	const char *other = *(char *const *) b;

	while (*one && *one == *other)
	{
		one++;
		other++;
	}
	return utf16_rank(*one) - utf16_rank(*other);
}

/* Return a jsonb string in UTF-8. */
static char *
wire_text(const JsonbValue *value)
{
	return flex_text_to_wire(pnstrdup(value->val.string.val, value->val.string.len), "parameters");
}

/* Append a name with each value of an array, sorted and without duplicates. */
static void
append_values(StringInfo to, const char *name, const char *shown_name, JsonbContainer *array)
{
	int count = JsonContainerSize(array);
	char **texts = palloc(sizeof(char *) * Max(count, 1));
	JsonbIterator *iterator = JsonbIteratorInit(array);
	JsonbValue value;
	int n = 0;

	for (JsonbIteratorToken token; (token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE;)
	{
		if (token != WJB_ELEM)
			continue;
		if (value.type != jbvString)
			refuse_parameter(shown_name);
		texts[n++] = wire_text(&value);
	}
	Assert(n == count);
	qsort(texts, n, sizeof(char *), compare_texts);
	for (int i = 0; i < n; i++)
	{
		if (i > 0 && strcmp(texts[i], texts[i - 1]) == 0)
			continue;
		appendStringInfoString(to, name);
		appendStringInfoString(to, texts[i]);
	}
}

/* Append name and value of a parameter.  shown_name is the name in the database's encoding, for messages. */
static void
append_parameter(StringInfo to, const char *name, const char *shown_name, const JsonbValue *value)
{
	if (value->type == jbvBinary && JsonContainerIsArray(value->val.binary.data))
	{
		append_values(to, name, shown_name, value->val.binary.data);
		return;
	}
	if (value->type != jbvString)
		refuse_parameter(shown_name);
	appendStringInfoString(to, name);
	appendStringInfoString(to, wire_text(value));
}

/* A parameter. */
typedef struct Member
{
	char *name;       /* in UTF-8; must be the first member, for compare_texts() */
	char *shown_name; /* in the database's encoding */
	JsonbValue value;
} Member;

/*
 * Return the text that is signed for the parameters of a form, in UTF-8.  Raises 22023 unless
 * they are an object whose values are strings and arrays of strings.
 */
char *
flex_webhook_parameters_text(Jsonb *parameters)
{
	JsonbIterator *iterator;
	JsonbValue key;
	Member *members;
	StringInfoData text;
	int count = 0;

	if (!JB_ROOT_IS_OBJECT(parameters))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("webhook parameters are no JSON object"),
						errdetail("An object of names and values is expected, as a form has them.")));
	members = palloc_extended(sizeof(Member) * Max(JB_ROOT_COUNT(parameters), 1), MCXT_ALLOC_HUGE);
	iterator = JsonbIteratorInit(&parameters->root);
	(void) JsonbIteratorNext(&iterator, &key, true);
	while (JsonbIteratorNext(&iterator, &key, true) == WJB_KEY)
	{
		Member *member = &members[count++];

		member->shown_name = pnstrdup(key.val.string.val, key.val.string.len);
		member->name = flex_text_to_wire(member->shown_name, "parameters");
		(void) JsonbIteratorNext(&iterator, &member->value, true);
	}
	qsort(members, count, sizeof(Member), compare_texts);
	initStringInfo(&text);
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		append_parameter(&text, members[i].name, members[i].shown_name, &members[i].value);
	}
	return text.data;
}

/* Compute the signature of a URL and its parameters with a token.  The result is not null-terminated. */
static void
sign(const char *url, const char *parameters, const char *token, char signature[SIGNATURE_LENGTH + 1])
{
	const DigestPiece pieces[] = {{url, strlen(url)}, {parameters, strlen(parameters)}};
	uint8 digest[SHA1_DIGEST_LENGTH];
	int written;

	flex_hmac(PG_SHA1, token, pieces, lengthof(pieces), digest, sizeof(digest));
	written = pg_b64_encode((const void *) digest, sizeof(digest), signature, SIGNATURE_LENGTH + 1);
	if (written != SIGNATURE_LENGTH)
		elog(ERROR, "could not encode a signature");
}

/*
 * Return true if the signature is that of any form of the URL, with the parameters, by any of
 * the tokens, whose array ends with NULL.
 */
bool
flex_webhook_signature_is_good(const char *url, const char *parameters, const char *signature, char *const *tokens)
{
	char *forms[FLEX_WEBHOOK_URL_FORMS];
	int count = flex_webhook_url_forms(url, forms);
	bool has_length = strlen(signature) == SIGNATURE_LENGTH;
	bool is_good = false;

	for (; *tokens != NULL; tokens++)
	{
		for (int i = 0; i < count; i++)
		{
			char expected[SIGNATURE_LENGTH + 1];

			CHECK_FOR_INTERRUPTS();
			sign(forms[i], parameters, *tokens, expected);
			is_good |= has_length && flex_digests_are_equal(expected, signature, SIGNATURE_LENGTH);
		}
	}
	return is_good;
}

/* Return true if the URL's parameter bodySHA256 is the SHA-256 of the body, in lower-case hexadecimal digits. */
bool
flex_webhook_body_is_good(const char *url, DigestPiece body)
{
	const char *told = flex_webhook_query_value(url, "bodySHA256");
	uint8 digest[PG_SHA256_DIGEST_LENGTH];
	StringInfoData expected;

	flex_sha256(body, digest);
	initStringInfo(&expected);
	for (size_t i = 0; i < sizeof(digest); i++)
		appendStringInfo(&expected, "%02x", digest[i]);
	return told != NULL && strlen(told) == (size_t) expected.len &&
		   flex_digests_are_equal(told, expected.data, expected.len);
}
