--
-- foreign.sql
--	  The foreign-data wrapper: an account's resources as foreign tables. A server says
--	  where they are, a user mapping as whom a role reads and writes them.
--

CREATE FUNCTION flex_fdw_handler()
RETURNS fdw_handler
AS 'MODULE_PATHNAME', 'flex_fdw_handler'
LANGUAGE C STRICT;

COMMENT ON FUNCTION flex_fdw_handler() IS
'Handler of the foreign-data wrapper flex_api, which calls it.';

CREATE FUNCTION flex_fdw_validator(
	options text[],
	catalog oid)
RETURNS void
AS 'MODULE_PATHNAME', 'flex_fdw_validator'
LANGUAGE C STRICT;

COMMENT ON FUNCTION flex_fdw_validator(text[], oid) IS
'Checks options of the foreign-data wrapper flex_api, which calls it.';

CREATE FOREIGN DATA WRAPPER flex_api HANDLER flex_fdw_handler VALIDATOR flex_fdw_validator;

COMMENT ON FOREIGN DATA WRAPPER flex_api IS
'The resources of the Flex API as foreign tables.';

CREATE FUNCTION flex_user_mapping_set(
	server text,
	role text,
	options jsonb)
RETURNS void
AS 'MODULE_PATHNAME', 'flex_user_mapping_set'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION flex_user_mapping_set(text, text, jsonb) IS
'Creates or alters a user mapping, as CREATE and ALTER USER MAPPING do, but takes the secret as a value. If the options
are a bind parameter, no statement, log or view of activity contains the secret.
server: name of a server of the foreign-data wrapper flex_api. role: name of a role; public for all roles without a
mapping of their own.
options: an object of strings, api_key and api_secret, or auth_token. They replace all options of the mapping.
Errors: 42704 for a server or a role that does not exist, 42501 without the right, HV00D for an unknown option.
Sends nothing.';
