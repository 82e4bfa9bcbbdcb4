/*
 * plugin_effects.c
 *	  What happens besides in the plugin service: names are unique, a
 *	  configuration is made of versions that exist, and a release points at a
 *	  configuration that exists.
 */
#include <string.h>

#include "checks.h"
#include "effects.h"
#include "json_text.h"
#include "resources.h"

/* A plugin's unique name must be free. */
bool
require_free_name(Change *change)
{
	const char *name = json_text_member(change->members, "unique_name");

	if (name != NULL && store_find(store_list(change->request->account, change->kind, change->owner), name) != NULL)
		return refuse(change->request, 409, 20409, "UniqueName", "Plugin with unique name %.100s already exists", name);
	return true;
}

/* A version's number must be free; the CLI's verdict makes it validated. */
bool
validate_version(Change *change)
{
	const char *version = json_text_member(change->members, "version");
	const Pair *status = request_pair(change->request, "ValidateStatus", false);

	if (version != NULL &&
		store_find(store_list(change->request->account, change->kind, change->owner), version) != NULL)
		return refuse(change->request, 409, 20409, "Version", "Version %.100s already exists", version);
	if (status != NULL)
		json_object_object_add(change->members, "validated",
							   json_object_new_boolean(strcmp(status->value, "success") == 0));
	return true;
}

/* The version of any of the account's plugins that goes by that SID, or NULL. */
static Resource *
find_version(Account *account, const char *sid)
{
	const Kind *versions = kinds_of_shape("/v1/PluginService/Plugins/{}/Versions");
	List *plugins = store_list(account, kinds_of_shape("/v1/PluginService/Plugins"), NULL);

	for (size_t i = 0; sid != NULL && i < plugins->count; i++)
	{
		Resource *plugin = plugins->slots[i].resource;
		Resource *version = plugin ? store_find(store_list(account, versions, plugin), sid) : NULL;

		if (version != NULL && strcmp(version->sid, sid) == 0)
			return version;
	}
	return NULL;
}

/* Each of a configuration's plugins is JSON that names a version that exists. */
bool
require_plugins(Change *change)
{
	const Request *request = change->request;

	for (size_t i = 0; i < request->pair_count; i++)
	{
		const Pair *pair = &request->pairs[i];
		json_object *plugin;
		bool found;

		if (strcmp(pair->name, "Plugins") != 0)
			continue;
		if (!json_read(pair->value, pair->length, &plugin))
			return refuse(change->request, 400, 20001, "Plugins",
						  "Invalid value for parameter Plugins: it must be valid JSON");
		found = find_version(request->account, json_text_member(plugin, "plugin_version")) != NULL;
		json_object_put(plugin);
		if (!found)
			return refuse(change->request, 400, 20001, "Plugins", "Plugin version in %.200s not found", pair->value);
	}
	return true;
}

/* Copies members of another resource; "a=b" takes b and calls it a. */
static void
copy_members(json_object *members, json_object *source, const char *const *names)
{
	for (; *names != NULL; names++)
	{
		const char *sign = strchr(*names, '=');
		char name[64] = "";

		strncat(name, *names, sign ? (size_t) (sign - *names) : sizeof(name) - 1);
		json_object_object_add(members, name, json_object_get(json_member(source, sign ? sign + 1 : *names)));
	}
}

/* Makes one configured plugin of a version. */
static void
configure_plugin(Resource *configuration, Resource *version, int64_t phase)
{
	static const char *const of_version[] = {
		"plugin_version_sid=sid",           "plugin_url", "version", "changelog", "private",
		"plugin_version_archived=archived", NULL};
	static const char *const of_plugin[] = {"unique_name", "friendly_name", "description", "plugin_archived=archived",
											NULL};
	const Kind *kind = kinds_of_shape("/v1/PluginService/Configurations/{}/Plugins");
	Resource *plugin = version->list->owner;
	json_object *version_members = store_members(version);
	json_object *plugin_members = store_members(plugin);
	json_object *members = resource_blank(version->list->account, kind, configuration, plugin->sid);

	copy_members(members, version_members, of_version);
	copy_members(members, plugin_members, of_plugin);
	json_object_object_add(members, "phase", json_object_new_int64(phase));
	store_add(store_list(version->list->account, kind, configuration), plugin->sid,
			  json_text_member(members, "unique_name"), members);
	json_object_put(members);
	json_object_put(plugin_members);
	json_object_put(version_members);
}

/* Makes the configured plugins of a new configuration. */
bool
configure_plugins(Change *change)
{
	const Request *request = change->request;

	for (size_t i = 0; i < request->pair_count; i++)
	{
		const Pair *pair = &request->pairs[i];
		json_object *plugin;

		if (strcmp(pair->name, "Plugins") != 0 || !json_read(pair->value, pair->length, &plugin))
			continue;
		configure_plugin(change->resource, find_version(request->account, json_text_member(plugin, "plugin_version")),
						 json_integer_member(plugin, "phase", 3));
		json_object_put(plugin);
	}
	return true;
}

/* A release points at a configuration, which must exist. */
bool
require_configuration(Change *change)
{
	const Pair *sid = request_pair(change->request, "ConfigurationId", false);

	if (store_find(store_list(change->request->account, kinds_of_shape("/v1/PluginService/Configurations"), NULL),
				   sid->value) == NULL)
		return refuse(change->request, 404, 20404, "ConfigurationId", "Configuration %.100s not found", sid->value);
	json_object_object_add(change->members, "configuration_sid", json_object_new_string(sid->value));
	return true;
}
