--
-- plugin_configurations.sql
--	  Plugin configurations and releases (/v1/PluginService/Configurations and Releases).
--
--	  A plugin configuration names the plugin versions that run together; a release puts
--	  one configuration into force for everybody. Every function can send the header
--	  Flex-Metadata, whose meaning the published documents do not tell.
--
--	  Call the functions in FROM or LATERAL only: SELECT (flex_plugin_release_create(...)).*
--	  calls the function once per column, and so makes five releases.
--

CREATE TYPE flex_plugin_configuration AS (
	sid text,
	account_sid text,
	name text,
	description text,
	archived boolean,
	date_created timestamptz,
	url text,
	links jsonb);

COMMENT ON TYPE flex_plugin_configuration IS
'A set of plugin versions that run together.';
COMMENT ON COLUMN flex_plugin_configuration.sid IS 'SID of the configuration (FJ...).';
COMMENT ON COLUMN flex_plugin_configuration.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_plugin_configuration.name IS 'Its name.';
COMMENT ON COLUMN flex_plugin_configuration.description IS 'What it is for.';
COMMENT ON COLUMN flex_plugin_configuration.archived IS 'Whether it is archived.';
COMMENT ON COLUMN flex_plugin_configuration.date_created IS 'When it was created.';
COMMENT ON COLUMN flex_plugin_configuration.url IS 'Address of this resource.';
COMMENT ON COLUMN flex_plugin_configuration.links IS 'Addresses of the resources below it, by name (object).';

CREATE TYPE flex_plugin_configuration_archive AS (
	sid text,
	account_sid text,
	name text,
	description text,
	archived boolean,
	date_created timestamptz,
	url text);

COMMENT ON TYPE flex_plugin_configuration_archive IS
'A set of plugin versions, as archiving it answers.';
COMMENT ON COLUMN flex_plugin_configuration_archive.sid IS 'SID of the configuration (FJ...).';
COMMENT ON COLUMN flex_plugin_configuration_archive.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_plugin_configuration_archive.name IS 'Its name.';
COMMENT ON COLUMN flex_plugin_configuration_archive.description IS 'What it is for.';
COMMENT ON COLUMN flex_plugin_configuration_archive.archived IS 'Whether it is archived.';
COMMENT ON COLUMN flex_plugin_configuration_archive.date_created IS 'When it was created.';
COMMENT ON COLUMN flex_plugin_configuration_archive.url IS 'Address of this resource.';

CREATE TYPE flex_configured_plugin AS (
	account_sid text,
	configuration_sid text,
	plugin_sid text,
	plugin_version_sid text,
	phase integer,
	plugin_url text,
	unique_name text,
	friendly_name text,
	description text,
	plugin_archived boolean,
	version text,
	changelog text,
	plugin_version_archived boolean,
	private boolean,
	date_created timestamptz,
	url text);

COMMENT ON TYPE flex_configured_plugin IS
'A plugin in a configuration, with the version that was chosen.';
COMMENT ON COLUMN flex_configured_plugin.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_configured_plugin.configuration_sid IS 'SID of the configuration (FJ...).';
COMMENT ON COLUMN flex_configured_plugin.plugin_sid IS 'SID of the plugin (FP...).';
COMMENT ON COLUMN flex_configured_plugin.plugin_version_sid IS 'SID of the version (FV...).';
COMMENT ON COLUMN flex_configured_plugin.phase IS 'In which phase of the Flex UI''s start the plugin is loaded.';
COMMENT ON COLUMN flex_configured_plugin.plugin_url IS 'Where the JavaScript bundle is hosted.';
COMMENT ON COLUMN flex_configured_plugin.unique_name IS 'The plugin''s unique name.';
COMMENT ON COLUMN flex_configured_plugin.friendly_name IS 'The plugin''s name for display.';
COMMENT ON COLUMN flex_configured_plugin.description IS 'What the plugin is for, at most 500 characters.';
COMMENT ON COLUMN flex_configured_plugin.plugin_archived IS 'Whether the plugin is archived.';
COMMENT ON COLUMN flex_configured_plugin.version IS 'The version''s number.';
COMMENT ON COLUMN flex_configured_plugin.changelog IS 'What the version changes.';
COMMENT ON COLUMN flex_configured_plugin.plugin_version_archived IS 'Whether the version is archived.';
COMMENT ON COLUMN flex_configured_plugin.private IS 'Whether fetching the bundle needs authorization.';
COMMENT ON COLUMN flex_configured_plugin.date_created IS 'When the plugin was put into the configuration.';
COMMENT ON COLUMN flex_configured_plugin.url IS 'Address of this resource.';

CREATE TYPE flex_plugin_release AS (
	sid text,
	account_sid text,
	configuration_sid text,
	date_created timestamptz,
	url text);

COMMENT ON TYPE flex_plugin_release IS
'A release: which configuration is, or was, in force.';
COMMENT ON COLUMN flex_plugin_release.sid IS 'SID of the release (FK...).';
COMMENT ON COLUMN flex_plugin_release.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_plugin_release.configuration_sid IS 'SID of the configuration (FJ...).';
COMMENT ON COLUMN flex_plugin_release.date_created IS 'When it was created.';
COMMENT ON COLUMN flex_plugin_release.url IS 'Address of this resource.';

CREATE FUNCTION flex_plugin_configuration_archive(
	sid text,
	flex_metadata text DEFAULT NULL)
RETURNS flex_plugin_configuration_archive
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_plugin_configuration_archive(text, text) IS
'Archives a plugin configuration.
POST /v1/PluginService/Configurations/{Sid}/Archive
sid: the configuration''s SID (FJ...).
flex_metadata: value of the Flex-Metadata header.
Returns the configuration, archived.
Errors: TW404 when there is no such configuration.';

CREATE FUNCTION flex_plugin_configuration_create(
	name text,
	flex_metadata text DEFAULT NULL,
	plugins text[] DEFAULT NULL,
	description text DEFAULT NULL)
RETURNS flex_plugin_configuration
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_plugin_configuration_create(text, text, text[], text) IS
'Creates a plugin configuration.
POST /v1/PluginService/Configurations
name: a name for it. description: what it is for.
plugins: the versions in it, each element the text of an object {"plugin_version": "FV...", "phase": 3}.
flex_metadata: value of the Flex-Metadata header.
Returns the configuration; flex_plugin_release_create puts it into force.
Errors: TW400 for an argument that the service refuses.
Call it in FROM: SELECT (flex_plugin_configuration_create(...)).* calls it once per column.';

CREATE FUNCTION flex_plugin_configuration_fetch(
	sid text,
	flex_metadata text DEFAULT NULL)
RETURNS flex_plugin_configuration
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_plugin_configuration_fetch(text, text) IS
'Fetches one plugin configuration.
GET /v1/PluginService/Configurations/{Sid}
sid: the configuration''s SID (FJ...).
flex_metadata: value of the Flex-Metadata header.
Returns the configuration; flex_configured_plugins_list tells what is in it.
Errors: TW404 when there is no such configuration.';

CREATE FUNCTION flex_plugin_configurations_list(
	flex_metadata text DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_plugin_configuration
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_plugin_configurations_list(text, integer, bigint) IS
'Lists the account''s plugin configurations.
GET /v1/PluginService/Configurations
flex_metadata: value of the Flex-Metadata header.
page_size: rows per request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row per configuration.';

CREATE FUNCTION flex_configured_plugin_fetch(
	configuration_sid text,
	plugin_sid text,
	flex_metadata text DEFAULT NULL)
RETURNS flex_configured_plugin
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_configured_plugin_fetch(text, text, text) IS
'Fetches one plugin of a configuration.
GET /v1/PluginService/Configurations/{ConfigurationSid}/Plugins/{PluginSid}
configuration_sid: the configuration''s SID (FJ...). plugin_sid: the plugin''s (FP...).
flex_metadata: value of the Flex-Metadata header.
Returns the plugin and its version.
Errors: TW404 when there is no such configuration or no such plugin in it.';

CREATE FUNCTION flex_configured_plugins_list(
	configuration_sid text,
	flex_metadata text DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_configured_plugin
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_configured_plugins_list(text, text, integer, bigint) IS
'Lists the plugins of a configuration.
GET /v1/PluginService/Configurations/{ConfigurationSid}/Plugins
configuration_sid: the configuration''s SID (FJ...).
flex_metadata: value of the Flex-Metadata header.
page_size: rows per request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row per plugin, with its version.
Errors: TW404 when there is no such configuration.';

CREATE FUNCTION flex_plugin_release_create(
	configuration_id text,
	flex_metadata text DEFAULT NULL)
RETURNS flex_plugin_release
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_plugin_release_create(text, text) IS
'Puts a plugin configuration into force for the whole account.
POST /v1/PluginService/Releases
configuration_id: SID or version of the configuration.
flex_metadata: value of the Flex-Metadata header.
Returns the release.
Errors: TW400 or TW404 when there is no such configuration.
Call it in FROM: SELECT (flex_plugin_release_create(...)).* calls it once per column.';

CREATE FUNCTION flex_plugin_release_fetch(
	sid text,
	flex_metadata text DEFAULT NULL)
RETURNS flex_plugin_release
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_plugin_release_fetch(text, text) IS
'Fetches one release.
GET /v1/PluginService/Releases/{Sid}
sid: the release''s SID (FK...).
flex_metadata: value of the Flex-Metadata header.
Returns the release.
Errors: TW404 when there is no such release.';

CREATE FUNCTION flex_plugin_releases_list(
	flex_metadata text DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_plugin_release
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_plugin_releases_list(text, integer, bigint) IS
'Lists the account''s releases.
GET /v1/PluginService/Releases
flex_metadata: value of the Flex-Metadata header.
page_size: rows per request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row per release.';
