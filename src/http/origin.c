/*
 * origin.c
 *		The origin of the service: scheme, host, port and path prefix.
 *
 * It is derived from a configured URL, or else from a region and an edge.
 */
#include "postgres.h"

#include "base/settings.h"
#include "http/origin.h"

#define DOMAIN "twilio.com"

/* Return the default edge of a region, or NULL if the region is not known. */
static const char *
edge_of_region(const char *region)
{
	static const char *const known[][2] = {
		{"au1", "sydney"},
		{"ie1", "dublin"},
		{"us1", "ashburn"},
	};

	Assert(region != NULL);
	for (size_t i = 0; i < lengthof(known); i++)
	{
		if (strcmp(region, known[i][0]) == 0)
			return known[i][1];
	}
	return NULL;
}

/* Return the origin of a base URL, which must not be empty and may end with one slash; palloc'd. */
char *
flex_origin_of_url(const char *url)
{
	char *origin = pstrdup(url);

	Assert(origin[0] != '\0');
	if (origin[strlen(origin) - 1] == '/')
		origin[strlen(origin) - 1] = '\0';
	return origin;
}

/*
 * Return the origin for a region and an edge, each of which may be empty or NULL; palloc'd,
 * with {service} in place of the product's name.  If no edge is given and none is known for
 * the region, raise an error with the given code.  where is put before the names of the
 * settings or options in its hint.
 */
char *
flex_origin_of_region(const char *region, const char *edge, int code, const char *where)
{
	if (!flex_setting_is_set(edge) && !flex_setting_is_set(region))
		return pstrdup("https://{service}." DOMAIN);
	if (!flex_setting_is_set(region))
		region = "us1";
	if (!flex_setting_is_set(edge))
		edge = edge_of_region(region);
	if (edge == NULL)
		ereport(ERROR, (errcode(code), errmsg("no edge is known for region \"%s\"", region),
						errdetail("The regions that are known are au1, ie1 and us1."),
						errhint("Set %sregion to one of them, or set %sedge, too.", where, where)));
	return psprintf("https://{service}.%s.%s." DOMAIN, edge, region);
}
