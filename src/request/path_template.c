/*
 * path_template.c
 *		Matches paths with the path templates of the catalogue.
 *
 * The answers of some operations are secrets.  A request for one of them must be recognized
 * whichever way its path is written, as far as any server may accept that spelling.
 */
#include "postgres.h"

#include "request/path_template.h"

/* Return the value of two hexadecimal digits, or -1. */
static int
decoded_byte(const char *digits)
{
	static const char hex[] = "0123456789abcdef";
	const char *high = digits[0] != '\0' ? strchr(hex, pg_ascii_tolower(digits[0])) : NULL;
	const char *low = high != NULL && digits[1] != '\0' ? strchr(hex, pg_ascii_tolower(digits[1])) : NULL;

	return low != NULL ? (int) ((high - hex) * 16 + (low - hex)) : -1;
}

/*
 * Return a path as the most lenient server may read it: percent-decoded, in lower case, with
 * single slashes, and without the query, parameters after a semicolon, and trailing slashes.
 * The result is palloc'd.
 */
char *
flex_path_read_leniently(const char *path)
{
	char *result = palloc(strlen(path) + 1);
	char *to = result;
	bool is_parameter = false;

	while (*path != '\0' && *path != '?')
	{
		int byte = *path == '%' ? decoded_byte(path + 1) : -1;
		char c = byte > 0 ? (char) byte : *path;

		path += byte > 0 ? 3 : 1;
		if (c == '?')
			break;
		is_parameter = c == ';' || (is_parameter && c != '/');
		if (is_parameter)
			continue;
		if (c != '/' || to == result || to[-1] != '/')
			*to++ = pg_ascii_tolower(c);
	}
	while (to > result && to[-1] == '/')
		to--;
	*to = '\0';
	return result;
}

/*
 * Return true if a path, without query, matches a template, in which {Word} stands for any
 * text without a slash.
 */
bool
flex_path_is_of(const char *template, const char *path, bool ignore_case)
{
	while (*template != '\0')
	{
		if (*template != '{')
		{
			bool is_same =
				*template == *path || (ignore_case && pg_ascii_tolower(*template) == pg_ascii_tolower(*path));

			if (!is_same)
				return false;
			template ++;
			path++;
			continue;
		}
		template += strcspn(template, "}") + 1;
		path += strcspn(path, "/");
	}
	return *path == '\0';
}
