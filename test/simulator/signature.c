/*
 * signature.c
 *	  X-Twilio-Signature: base64 of HMAC-SHA1, by the auth token, of the URL and
 *	  then each parameter of a form, its name and its value, by the names' order.
 */
#include <gnutls/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "signature.h"

#define SHA1_LENGTH 20
#define SHA256_LENGTH 32

/* Compares two names by their bytes. */
static int
compare_names(const void *left, const void *right)
{
	return strcmp(*(const char *const *) left, *(const char *const *) right);
}

/* Adds names and values in the names' order. */
static void
add_sorted(Text *text, json_object *parameters)
{
	int count = json_object_object_length(parameters);
	const char **names = must_allocate((size_t) (count + 1) * sizeof(char *));
	int i = 0;

	json_object_object_foreach(parameters, name, unused)
	{
		(void) unused;
		names[i++] = name;
	}
	qsort(names, (size_t) count, sizeof(char *), compare_names);
	for (i = 0; i < count; i++)
	{
		text_add_string(text, names[i]);
		text_add_string(text, json_object_get_string(json_object_object_get(parameters, names[i])));
	}
	free(names);
}

/* Adds the signature of a request. The parameters are those of a form, or NULL. */
void
sign_request(Text *signature, const char *token, const char *url, json_object *parameters)
{
	unsigned char digest[SHA1_LENGTH];
	Text signed_text = {0};

	text_add_string(&signed_text, url);
	if (parameters != NULL)
		add_sorted(&signed_text, parameters);
	gnutls_hmac_fast(GNUTLS_MAC_SHA1, token, strlen(token), signed_text.data, signed_text.length, digest);
	text_add_base64(signature, digest, sizeof(digest));
	text_free(&signed_text);
}

/* Adds the SHA-256 of a body in hexadecimal digits. */
void
text_add_sha256(Text *text, const Text *data)
{
	unsigned char digest[SHA256_LENGTH];

	gnutls_hash_fast(GNUTLS_DIG_SHA256, data->data, data->length, digest);
	for (int i = 0; i < SHA256_LENGTH; i++)
		text_printf(text, "%02x", digest[i]);
}
