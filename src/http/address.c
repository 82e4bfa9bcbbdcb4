/*
 * address.c
 *		Where requests go: scheme, host, port and a gateway's path, from the settings.
 */
#include "postgres.h"

#include "base/effective.h"
#include "http/address.h"

#define DEFAULT_DOMAIN "twilio.com"

/* The edge that a region implies, or NULL for a region we know nothing of. */
static const char *
edge_of_region(const char *region)
{
	static const char *const known[][2] = {
		{"au1", "sydney"},
		{"ie1", "dublin"},
		{"us1", "ashburn"},
	};

	for (size_t i = 0; i < lengthof(known); i++)
	{
		if (strcmp(region, known[i][0]) == 0)
			return known[i][1];
	}
	return NULL;
}

/*
 * Scheme, host, port and path that are put before the path of each request,
 * without a slash at the end; palloc'd.  Raises 55000 for a region whose edge is not known.
 */
char *
flex_address_origin(void)
{
	const char *region = flex_effective_string(&flex_settings.region);
	const char *edge = flex_effective_string(&flex_settings.edge);

	if (flex_setting_is_set(flex_settings.base_url))
	{
		char *origin = pstrdup(flex_settings.base_url);

		/* The setting allows one slash at the end. */
		if (origin[strlen(origin) - 1] == '/')
			origin[strlen(origin) - 1] = '\0';
		return origin;
	}
	if (!flex_setting_is_set(edge) && !flex_setting_is_set(region))
		return pstrdup("https://flex-api." DEFAULT_DOMAIN);
	if (!flex_setting_is_set(region))
		region = "us1";
	if (!flex_setting_is_set(edge))
		edge = edge_of_region(region);
	if (edge == NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("no edge is known for region \"%s\"", region), errhint("Set flex_api.edge.")));
	return psprintf("https://flex-api.%s.%s." DEFAULT_DOMAIN, edge, region);
}
