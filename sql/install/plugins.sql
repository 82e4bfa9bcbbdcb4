--
-- plugins.sql
--	  Plugins of the Flex UI and their versions (/v1/PluginService/Plugins).
--
--	  A plugin has versions; a plugin configuration names the versions that run together,
--	  and a release puts a configuration into force (plugin_configurations.sql). Plugins
--	  and versions are never deleted, they are archived. Every function can send the
--	  header Flex-Metadata, whose meaning the published documents do not tell.
--
--	  Call the functions in FROM or LATERAL only: SELECT (flex_plugin_create(...)).* calls
--	  the function once per column, and so tries to create ten plugins.
--

CREATE TYPE flex_plugin AS (
	sid text,
	account_sid text,
	unique_name text,
	friendly_name text,
	description text,
	archived boolean,
	date_created timestamptz,
	date_updated timestamptz,
	url text,
	links jsonb);

COMMENT ON TYPE flex_plugin IS
'A plugin of the Flex UI.';
COMMENT ON COLUMN flex_plugin.sid IS 'SID of the plugin (FP...).';
COMMENT ON COLUMN flex_plugin.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_plugin.unique_name IS 'Its unique name.';
COMMENT ON COLUMN flex_plugin.friendly_name IS 'Its name for display.';
COMMENT ON COLUMN flex_plugin.description IS 'What it is for, at most 500 characters.';
COMMENT ON COLUMN flex_plugin.archived IS 'Whether it is archived.';
COMMENT ON COLUMN flex_plugin.date_created IS 'When it was created.';
COMMENT ON COLUMN flex_plugin.date_updated IS 'When it was last changed.';
COMMENT ON COLUMN flex_plugin.url IS 'Address of this resource.';
COMMENT ON COLUMN flex_plugin.links IS 'Addresses of the resources below it, by name (object).';

CREATE TYPE flex_plugin_archive AS (
	sid text,
	account_sid text,
	unique_name text,
	friendly_name text,
	description text,
	archived boolean,
	date_created timestamptz,
	date_updated timestamptz,
	url text);

COMMENT ON TYPE flex_plugin_archive IS
'A plugin of the Flex UI, as archiving it answers.';
COMMENT ON COLUMN flex_plugin_archive.sid IS 'SID of the plugin (FP...).';
COMMENT ON COLUMN flex_plugin_archive.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_plugin_archive.unique_name IS 'Its unique name.';
COMMENT ON COLUMN flex_plugin_archive.friendly_name IS 'Its name for display.';
COMMENT ON COLUMN flex_plugin_archive.description IS 'What it is for, at most 500 characters.';
COMMENT ON COLUMN flex_plugin_archive.archived IS 'Whether it is archived.';
COMMENT ON COLUMN flex_plugin_archive.date_created IS 'When it was created.';
COMMENT ON COLUMN flex_plugin_archive.date_updated IS 'When it was last changed.';
COMMENT ON COLUMN flex_plugin_archive.url IS 'Address of this resource.';

CREATE TYPE flex_plugin_version AS (
	sid text,
	plugin_sid text,
	account_sid text,
	version text,
	plugin_url text,
	changelog text,
	private boolean,
	archived boolean,
	validated boolean,
	date_created timestamptz,
	url text);

COMMENT ON TYPE flex_plugin_version IS
'A version of a plugin.';
COMMENT ON COLUMN flex_plugin_version.sid IS 'SID of the version (FV...).';
COMMENT ON COLUMN flex_plugin_version.plugin_sid IS 'SID of the plugin (FP...).';
COMMENT ON COLUMN flex_plugin_version.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_plugin_version.version IS 'The version''s number, unique in its plugin.';
COMMENT ON COLUMN flex_plugin_version.plugin_url IS 'Where the JavaScript bundle is hosted.';
COMMENT ON COLUMN flex_plugin_version.changelog IS 'What the version changes.';
COMMENT ON COLUMN flex_plugin_version.private IS 'Whether fetching the bundle needs authorization.';
COMMENT ON COLUMN flex_plugin_version.archived IS 'Whether it is archived.';
COMMENT ON COLUMN flex_plugin_version.validated IS 'Whether the version has been validated.';
COMMENT ON COLUMN flex_plugin_version.date_created IS 'When it was created.';
COMMENT ON COLUMN flex_plugin_version.url IS 'Address of this resource.';

CREATE TYPE flex_plugin_version_archive AS (
	sid text,
	plugin_sid text,
	account_sid text,
	version text,
	plugin_url text,
	changelog text,
	private boolean,
	archived boolean,
	date_created timestamptz,
	url text);

COMMENT ON TYPE flex_plugin_version_archive IS
'A version of a plugin, as archiving it answers.';
COMMENT ON COLUMN flex_plugin_version_archive.sid IS 'SID of the version (FV...).';
COMMENT ON COLUMN flex_plugin_version_archive.plugin_sid IS 'SID of the plugin (FP...).';
COMMENT ON COLUMN flex_plugin_version_archive.account_sid IS 'SID of the account (AC...).';
COMMENT ON COLUMN flex_plugin_version_archive.version IS 'The version''s number, unique in its plugin.';
COMMENT ON COLUMN flex_plugin_version_archive.plugin_url IS 'Where the JavaScript bundle is hosted.';
COMMENT ON COLUMN flex_plugin_version_archive.changelog IS 'What the version changes.';
COMMENT ON COLUMN flex_plugin_version_archive.private IS 'Whether fetching the bundle needs authorization.';
COMMENT ON COLUMN flex_plugin_version_archive.archived IS 'Whether it is archived.';
COMMENT ON COLUMN flex_plugin_version_archive.date_created IS 'When it was created.';
COMMENT ON COLUMN flex_plugin_version_archive.url IS 'Address of this resource.';

CREATE FUNCTION flex_plugin_archive(
	sid text,
	flex_metadata text DEFAULT NULL)
RETURNS flex_plugin_archive
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_plugin_archive(text, text) IS
'Archives a plugin.
POST /v1/PluginService/Plugins/{Sid}/Archive
sid: the plugin''s SID (FP...).
flex_metadata: value of the Flex-Metadata header.
Returns the plugin, archived.
Errors: TW404 when there is no such plugin.';

CREATE FUNCTION flex_plugin_create(
	unique_name text,
	flex_metadata text DEFAULT NULL,
	friendly_name text DEFAULT NULL,
	description text DEFAULT NULL)
RETURNS flex_plugin
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_plugin_create(text, text, text, text) IS
'Creates a plugin.
POST /v1/PluginService/Plugins
unique_name: a name that no other plugin of the account has. friendly_name: a name for display.
description: at most 500 characters.
flex_metadata: value of the Flex-Metadata header.
Returns the plugin.
Errors: TW400 for an argument that the service refuses, TW409 for a name that is taken.
Call it in FROM: SELECT (flex_plugin_create(...)).* calls it once per column.';

CREATE FUNCTION flex_plugin_fetch(
	sid text,
	flex_metadata text DEFAULT NULL)
RETURNS flex_plugin
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_plugin_fetch(text, text) IS
'Fetches one plugin.
GET /v1/PluginService/Plugins/{Sid}
sid: the plugin''s SID (FP...).
flex_metadata: value of the Flex-Metadata header.
Returns the plugin.
Errors: TW404 when there is no such plugin.';

CREATE FUNCTION flex_plugin_update(
	sid text,
	flex_metadata text DEFAULT NULL,
	friendly_name text DEFAULT NULL,
	description text DEFAULT NULL)
RETURNS flex_plugin
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_plugin_update(text, text, text, text) IS
'Changes a plugin''s description; what is NULL stays as it is.
POST /v1/PluginService/Plugins/{Sid}
sid: the plugin''s SID (FP...). friendly_name: a name for display. description: at most 500 characters.
flex_metadata: value of the Flex-Metadata header.
Returns the plugin as it is afterwards.
Errors: TW404 when there is no such plugin.';

CREATE FUNCTION flex_plugins_list(
	flex_metadata text DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_plugin
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_plugins_list(text, integer, bigint) IS
'Lists the account''s plugins.
GET /v1/PluginService/Plugins
flex_metadata: value of the Flex-Metadata header.
page_size: rows per request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row per plugin.';

CREATE FUNCTION flex_plugin_version_archive(
	plugin_sid text,
	sid text,
	flex_metadata text DEFAULT NULL)
RETURNS flex_plugin_version_archive
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_plugin_version_archive(text, text, text) IS
'Archives a version of a plugin.
POST /v1/PluginService/Plugins/{PluginSid}/Versions/{Sid}/Archive
plugin_sid: the plugin''s SID (FP...). sid: the version''s (FV...).
flex_metadata: value of the Flex-Metadata header.
Returns the version, archived.
Errors: TW404 when there is no such version.';

CREATE FUNCTION flex_plugin_version_create(
	plugin_sid text,
	version text,
	plugin_url text,
	flex_metadata text DEFAULT NULL,
	changelog text DEFAULT NULL,
	private boolean DEFAULT NULL,
	cli_version text DEFAULT NULL,
	validate_status text DEFAULT NULL)
RETURNS flex_plugin_version
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_plugin_version_create(text, text, text, text, text, boolean, text, text) IS
'Creates a version of a plugin.
POST /v1/PluginService/Plugins/{PluginSid}/Versions
plugin_sid: the plugin''s SID (FP...). version: the version''s number, which no other version of the plugin has.
plugin_url: where the JavaScript bundle is hosted. changelog: what is new.
private: whether fetching the bundle needs authorization.
cli_version: version of the Flex plugins'' command line tool.
validate_status: what validating the plugin has shown.
flex_metadata: value of the Flex-Metadata header.
Returns the version.
Errors: TW400 for an argument that the service refuses, TW404
when there is no such plugin, TW409 for a version that exists.
Call it in FROM: SELECT (flex_plugin_version_create(...)).* calls it once per column.';

CREATE FUNCTION flex_plugin_version_fetch(
	plugin_sid text,
	sid text,
	flex_metadata text DEFAULT NULL)
RETURNS flex_plugin_version
AS 'MODULE_PATHNAME', 'flex_api_call'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION flex_plugin_version_fetch(text, text, text) IS
'Fetches one version of a plugin.
GET /v1/PluginService/Plugins/{PluginSid}/Versions/{Sid}
plugin_sid: the plugin''s SID (FP...). sid: the version''s (FV...).
flex_metadata: value of the Flex-Metadata header.
Returns the version.
Errors: TW404 when there is no such version.';

CREATE FUNCTION flex_plugin_versions_list(
	plugin_sid text,
	flex_metadata text DEFAULT NULL,
	page_size integer DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS SETOF flex_plugin_version
AS 'MODULE_PATHNAME', 'flex_api_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;

COMMENT ON FUNCTION flex_plugin_versions_list(text, text, integer, bigint) IS
'Lists the versions of a plugin.
GET /v1/PluginService/Plugins/{PluginSid}/Versions
plugin_sid: the plugin''s SID (FP...).
flex_metadata: value of the Flex-Metadata header.
page_size: rows per request, 1 to 1000; NULL chooses. max_rows: stop after so many; NULL for all.
Returns one row per version.
Errors: TW404 when there is no such plugin.';
