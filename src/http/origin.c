/*
 * origin.c
 *		Scheme, host and path of the service: as a URL says, or a region and an edge.
 */
#include "postgres.h"

#include "base/settings.h"
#include "http/origin.h"

#define DOMAIN "twilio.com"

/* The edge that a region implies, or NULL for a region we know nothing of. */
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

/* A base URL, which may have one slash at its end, as an origin. */
char *
flex_origin_of_url(const char *url)
{
	char *origin = pstrdup(url);

	if (origin[strlen(origin) - 1] == '/')
		origin[strlen(origin) - 1] = '\0';
	return origin;
}

/*
 * Scheme and host, with {service}, of a region and an edge, each of which may be empty.  Raises for a
 * region whose edge is not known; where names what they were set by.
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
